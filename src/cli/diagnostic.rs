//! How faults are shown to a person: message, place, the line of the source with a caret, what is accepted, what to do.

use std::io::{self, Write};

use crate::config::fault::{Fault, Place, Severity};
use crate::escape::{same_width, write_line};

/// How much of a long line is shown around the fault, in characters.
const BEFORE: usize = 60;
const SHOWN: usize = 100;

/// Shows one fault of a configuration.
pub(super) fn render(fault: &Fault, source: &str, out: &mut impl Write) -> io::Result<()> {
    let severity = match fault.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    write_line(
        out,
        format_args!("{severity}[{}]: {}", fault.code, fault.message),
    )?;
    write_line(out, format_args!("  --> {}", fault.place))?;
    if let Place::File { line, column, .. } = fault.place {
        excerpt(source, line, column, out)?;
    }
    if let Some(accepted) = &fault.accepted {
        write_line(out, format_args!("   = accepted: {accepted}"))?;
    }
    if let Some(help) = &fault.help {
        write_line(out, format_args!("help: {help}"))?;
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
    let shown: String = text
        .chars()
        .skip(from)
        .take(SHOWN)
        .map(same_width)
        .collect();
    write_line(out, format_args!("   | {shown}"))?;
    writeln!(out, "   | {:>1$}", "^", column - from)
}
