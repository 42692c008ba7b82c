//! Reports for people: each finding with its line, then the parts without a verdict, then the
//! numbers.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::cli::counted::counted;
use crate::cli::terminal::{Palette, is_quiet};
use crate::escape::{escaped, same_width};
use crate::guard::catalogue::rule;
use crate::guard::finding::GuardFinding;
use crate::guard::redact::redacted;
use crate::guard::report::GuardReport;
use crate::guard::rule::GuardSeverity;

/// The most characters of a source line that are shown.
const SHOWN: usize = 100;

/// Writes a report; `sources` has the texts of the files with findings.
pub(super) fn write(
    report: &GuardReport,
    sources: &BTreeMap<String, String>,
    out: &mut impl Write,
) -> io::Result<()> {
    let palette = Palette::of_output();
    let lines = sources
        .iter()
        .map(|(path, text)| (path, text.lines().collect()));
    let lines: BTreeMap<&String, Vec<&str>> = lines.collect();
    for finding in report.open() {
        let at = finding.region.start.line.saturating_sub(1);
        let line = lines.get(&finding.path).and_then(|lines| lines.get(at));
        write_finding(palette, finding, line.copied().unwrap_or_default(), out)?;
    }
    for skipped in &report.skipped {
        let place = skipped
            .region
            .map(|region| format!(":{}:{}", region.start.line, region.start.column));
        let detail = match &*skipped.detail {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        let head = palette.paint("1;36", "no verdict");
        let place = place.unwrap_or_default();
        let line = format!("{}{place} {}{detail}", skipped.path, skipped.reason.text());
        writeln!(out, "{head}: {}", escaped(&line))?;
    }
    let errors = report.count(GuardSeverity::Error);
    let warnings = report.count(GuardSeverity::Warning);
    if is_quiet() && errors + warnings == 0 {
        return Ok(());
    }
    let suppressed = report.findings.len() - report.open().count();
    let mut parts = vec![
        counted(report.files, "file"),
        counted(errors, "error"),
        counted(warnings, "warning"),
    ];
    if suppressed > 0 {
        parts.push(format!("{suppressed} waived or in the baseline"));
    }
    if !report.skipped.is_empty() {
        parts.push(format!("{} without a verdict", report.skipped.len()));
    }
    for (kind, count) in &report.left_out {
        parts.push(format!("{count} {} left out", kind.text()));
    }
    writeln!(out, "{}", parts.join(", "))
}

fn write_finding(
    palette: Palette,
    finding: &GuardFinding,
    line: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let colour = match finding.severity {
        GuardSeverity::Error => "1;31",
        GuardSeverity::Warning => "1;33",
        GuardSeverity::Note => "1;36",
    };
    let head = palette.paint(
        colour,
        &format!("{}[{}]", finding.severity.name(), finding.rule),
    );
    let message = palette.paint("1", &escaped(&finding.message));
    writeln!(out, "{head}: {message}")?;
    let at = finding.region.start;
    let place = format!("{}:{}:{}", finding.path, at.line, at.column);
    writeln!(
        out,
        "  {} {}",
        palette.paint("1;34", "-->"),
        escaped(&place)
    )?;
    if !line.trim().is_empty() {
        excerpt(palette, colour, finding, line, out)?;
    }
    let help = finding
        .help
        .clone()
        .or_else(|| rule(&finding.rule).map(|rule| rule.fix.to_string()));
    if let Some(help) = help {
        writeln!(out, "{}: {}", palette.paint("1;36", "help"), escaped(&help))?;
    }
    writeln!(out)
}

fn excerpt(
    palette: Palette,
    colour: &str,
    finding: &GuardFinding,
    line: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let bar = palette.paint("1;34", "|");
    let shown = redacted(line);
    let is_same = shown == line;
    let part: String = shown.chars().take(SHOWN).map(same_width).collect();
    writeln!(out, "   {bar} {part}")?;
    let (start, end) = (finding.region.start, finding.region.end);
    // Marks would stand below other characters where something is hidden.
    if is_same && start.column < SHOWN {
        let width = match end.line == start.line {
            true => end.column.saturating_sub(start.column),
            false => 1,
        };
        let marks = "^".repeat(width.clamp(1, SHOWN.saturating_sub(start.column).max(1)));
        let before = " ".repeat(start.column.saturating_sub(1));
        writeln!(out, "   {bar} {before}{}", palette.paint(colour, &marks))?;
    }
    Ok(())
}
