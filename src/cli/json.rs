//! Answers for programs: one JSON document, indented, ended by a line break.

use std::io::Write;

use serde::Serialize;

/// Writes an answer.
pub(super) fn write_json(answer: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer)?;
    writeln!(out)?;
    Ok(())
}
