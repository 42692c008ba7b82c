//! How faults are shown to a person: message, place, the line of the source with a caret, what is accepted, what to do.

use std::io::{self, Write};

use crate::config::fault::{Fault, Place, Severity};

/// How much of a long line is shown around the fault, in characters.
const BEFORE: usize = 60;
const SHOWN: usize = 100;

/// Shows one fault of a configuration.
pub(super) fn render(fault: &Fault, source: &str, out: &mut impl Write) -> io::Result<()> {
    let severity = match fault.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    writeln!(out, "{severity}[{}]: {}", fault.code, fault.message)?;
    writeln!(out, "  --> {}", fault.place)?;
    if let Place::File { line, column, .. } = fault.place {
        excerpt(source, line, column, out)?;
    }
    if let Some(accepted) = &fault.accepted {
        writeln!(out, "   = accepted: {accepted}")?;
    }
    if let Some(help) = &fault.help {
        writeln!(out, "help: {help}")?;
    }
    writeln!(out)
}

/// The line at a place, both counted from 1, and a caret under the column. Of a long line only the part around the caret is
/// shown, so that a screen holds both.
pub(super) fn excerpt(
    source: &str,
    line: usize,
    column: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let text = source
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    let from = column.saturating_sub(1).saturating_sub(BEFORE);
    let shown: String = text.chars().skip(from).take(SHOWN).collect();
    writeln!(out, "   | {shown}")?;
    writeln!(out, "   | {:>1$}", "^", column - from)
}
