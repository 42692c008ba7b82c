//! Faults as a person sees them: message, place, the line of the source with a caret, what is
//! accepted, what to do.

use std::io::{self, Write};

use super::terminal::Palette;
use crate::config::fault::{Fault, Severity, ValuePlace};
use crate::escape::{escaped, same_width};

/// Bounds of the excerpt of a long line around the fault, in characters.
const BEFORE: usize = 60;
const SHOWN: usize = 100;

/// Shows one fault of a configuration on standard error.
pub(super) fn render(fault: &Fault, source: &str, out: &mut impl Write) -> io::Result<()> {
    render_in(Palette::of_messages(), fault, source, out)
}

/// Shows one fault of a configuration in given colours.
pub(super) fn render_in(
    palette: Palette,
    fault: &Fault,
    source: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let (severity, colour) = match fault.severity {
        Severity::Error => ("error", ERROR),
        Severity::Warning => ("warning", WARNING),
    };
    let head = palette.paint(colour, &format!("{severity}[{}]", fault.code));
    let message = palette.paint(BOLD, &escaped(&fault.message));
    writeln!(out, "{head}: {message}")?;
    writeln!(
        out,
        "  {} {}",
        palette.paint(FRAME, "-->"),
        escaped(&fault.place.to_string())
    )?;
    if let ValuePlace::File { line, column, .. } = fault.place {
        excerpt_in(palette, colour, source, line, column, out)?;
    }
    if let Some(accepted) = &fault.accepted {
        writeln!(
            out,
            "   {} accepted: {}",
            palette.paint(FRAME, "="),
            escaped(accepted)
        )?;
    }
    if let Some(help) = &fault.help {
        writeln!(out, "{}: {}", palette.paint(HELP, "help"), escaped(help))?;
    }
    writeln!(out)
}

/// The codes of styles: bold red, bold yellow, bold, bold blue, bold cyan.
const ERROR: &str = "1;31";
const WARNING: &str = "1;33";
const BOLD: &str = "1";
const FRAME: &str = "1;34";
const HELP: &str = "1;36";

/// The line at a place, both counted from 1, and a caret under the column. Of a long line only the
/// part around the caret is shown, so that a screen holds both.
pub(super) fn excerpt(
    source: &str,
    line: usize,
    column: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    excerpt_in(Palette::PLAIN, BOLD, source, line, column, out)
}

fn excerpt_in(
    palette: Palette,
    colour: &str,
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
    let shown = text.chars().skip(from).take(SHOWN);
    let shown: String = shown.map(same_width).collect();
    let bar = palette.paint(FRAME, "|");
    let before = " ".repeat((column - from).saturating_sub(1));
    writeln!(out, "   {bar} {shown}")?;
    writeln!(out, "   {bar} {before}{}", palette.paint(colour, "^"))
}
