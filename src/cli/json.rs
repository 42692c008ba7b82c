//! Answers for programs: one JSON document, indented, ended by a line break.

use std::io::Write;

use serde::Serialize;

/// Writes an answer.
pub(super) fn write_json(answer: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    // The writer's error as it is, so that a closed pipe is seen as one.
    serde_json::to_writer_pretty(&mut *out, answer).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
