//! Reports as JUnit XML, which CI systems show: a case for each rule.

use std::io::{self, Write};

use crate::cli::xml::escaped;
use crate::conformance::report::{ConformanceReport, RuleVerdict};

/// Writes a report.
pub(super) fn write(report: &ConformanceReport, out: &mut impl Write) -> io::Result<()> {
    let seconds = report.took.as_secs_f64();
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<testsuites name="eventcast gateway conformance" tests="{}" failures="{}" skipped="{}" time="{seconds:.3}">"#,
        report.rules.len(),
        report.broken,
        report.not_tried
    )?;
    writeln!(
        out,
        r#"  <testsuite name="{}" tests="{}" failures="{}" skipped="{}" time="{seconds:.3}">"#,
        escaped(&report.gateway),
        report.rules.len(),
        report.broken,
        report.not_tried
    )?;
    for rule in &report.rules {
        let (class, name) = rule.rule.split_once('.').unwrap_or(("gateway", rule.rule));
        let took = rule.took.as_secs_f64();
        write!(
            out,
            r#"    <testcase classname="{class}" name="{name}: {}" time="{took:.3}""#,
            escaped(rule.title)
        )?;
        match &rule.verdict {
            RuleVerdict::Held => writeln!(out, "/>")?,
            RuleVerdict::Broken { why } => {
                writeln!(out, r#"><failure message="{}"/></testcase>"#, escaped(why))?
            }
            RuleVerdict::NotTried { why, help } => writeln!(
                out,
                r#"><skipped message="{}"/></testcase>"#,
                escaped(format_args!("{why}: {help}"))
            )?,
        }
    }
    writeln!(out, "  </testsuite>")?;
    writeln!(out, "</testsuites>")
}
