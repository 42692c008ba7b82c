//! Reports for people: a line for each rule, and below it why it does not hold.

use std::io::{self, Write};

use crate::cli::terminal::Palette;
use crate::conformance::report::{ConformanceReport, RuleVerdict};
use crate::conformance::rules;
use crate::escape::write_line;

/// Styles of ECMA-48, section 8.3.117 (SGR).
const GREEN: &str = "32";
const RED: &str = "1;31";
const YELLOW: &str = "33";

/// Writes all rules.
pub(super) fn list(out: &mut impl Write) -> io::Result<()> {
    let width = width();
    for rule in rules() {
        writeln!(out, "{:width$}  {}", rule.name, rule.title)?;
    }
    Ok(())
}

fn width() -> usize {
    rules()
        .map(|rule| rule.name.len())
        .max()
        .unwrap_or_default()
}

/// Writes a report.
pub(super) fn report(report: &ConformanceReport, out: &mut impl Write) -> io::Result<()> {
    let palette = Palette::of_output();
    let width = width();
    for rule in &report.rules {
        let (word, style) = match rule.verdict {
            RuleVerdict::Held => ("held     ", GREEN),
            RuleVerdict::Broken { .. } => ("broken   ", RED),
            RuleVerdict::NotTried { .. } => ("not tried", YELLOW),
        };
        writeln!(
            out,
            "{}  {:width$}  {}",
            palette.paint(style, word),
            rule.rule,
            rule.title
        )?;
        match &rule.verdict {
            RuleVerdict::Held => {}
            RuleVerdict::Broken { why } => write_line(out, format_args!("           {why}"))?,
            RuleVerdict::NotTried { why, help } => {
                write_line(out, format_args!("           {why}: {help}"))?;
            }
        }
    }
    write_line(
        out,
        format_args!(
            "{}: {} held, {} broken, {} not tried in {:.1} s",
            report.gateway,
            report.held,
            report.broken,
            report.not_tried,
            report.took.as_secs_f64()
        ),
    )
}
