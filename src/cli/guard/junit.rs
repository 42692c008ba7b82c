//! Reports as JUnit XML: a case for each rule, with its findings as failures.

use std::io::{self, Write};

use crate::cli::xml::escaped;
use crate::guard::catalogue::rules;
use crate::guard::finding::GuardFinding;
use crate::guard::report::GuardReport;
use crate::guard::rule::GuardSeverity;

/// Writes the open findings.
pub(super) fn write(report: &GuardReport, out: &mut impl Write) -> io::Result<()> {
    let count = rules().count();
    let counts = |one: &&GuardFinding| one.severity > GuardSeverity::Note;
    let failed = rules()
        .filter(|rule| report.open().filter(counts).any(|one| one.rule == rule.id))
        .count();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuites name=\"eventcast guard\" tests=\"{count}\" failures=\"{failed}\">"
    )?;
    writeln!(
        out,
        "  <testsuite name=\"guard\" tests=\"{count}\" failures=\"{failed}\">"
    )?;
    for rule in rules() {
        let found: Vec<&GuardFinding> = report
            .open()
            .filter(counts)
            .filter(|one| one.rule == rule.id)
            .collect();
        let name = escaped(format!("{} {}", rule.id, rule.name));
        if found.is_empty() {
            writeln!(out, "    <testcase classname=\"guard\" name=\"{name}\"/>")?;
            continue;
        }
        writeln!(out, "    <testcase classname=\"guard\" name=\"{name}\">")?;
        let message = escaped(&rule.summary);
        writeln!(out, "      <failure message=\"{message}\">")?;
        for finding in found {
            let at = finding.region.start;
            let line = format!(
                "{}:{}:{}: {}",
                finding.path, at.line, at.column, finding.message
            );
            writeln!(out, "{}", escaped(line))?;
        }
        writeln!(out, "</failure>\n    </testcase>")?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}
