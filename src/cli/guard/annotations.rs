//! Annotations of GitHub's workflows (GitHub documentation, "Workflow commands").
//!
//! A step shows ten of each kind. More would be dropped without a word, and so the gravest are
//! written, with the number of the others.

use std::io::{self, Write};

use crate::escape::escaped;
use crate::guard::finding::GuardFinding;
use crate::guard::report::GuardReport;
use crate::guard::rule::GuardSeverity;

/// The most annotations of a kind in one step.
const SHOWN: usize = 10;

/// Writes the open findings.
pub(super) fn write(report: &GuardReport, out: &mut impl Write) -> io::Result<()> {
    for (severity, kind) in [
        (GuardSeverity::Error, "error"),
        (GuardSeverity::Warning, "warning"),
        (GuardSeverity::Note, "notice"),
    ] {
        let found: Vec<&GuardFinding> = report
            .open()
            .filter(|one| one.severity == severity)
            .collect();
        let limit = if found.len() > SHOWN {
            SHOWN - 1
        } else {
            SHOWN
        };
        for finding in found.iter().take(limit) {
            let start = finding.region.start;
            writeln!(
                out,
                "::{kind} file={},line={},col={},title={}::{}",
                property(&escaped(&finding.path)),
                start.line,
                start.column,
                property(&finding.rule),
                data(&finding.message)
            )?;
        }
        if found.len() > limit {
            let more = found.len() - limit;
            writeln!(
                out,
                "::{kind} title=eventcast guard::{more} more are in the report of the whole run"
            )?;
        }
    }
    let skipped = report.skipped.len();
    if skipped > 0 {
        writeln!(
            out,
            "::notice title=eventcast guard::{skipped} files or parts of files have no verdict"
        )?;
    }
    Ok(())
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
