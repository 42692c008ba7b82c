//! Reports: all findings of a run, and everything that was in scope and not looked at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::finding::{GuardFinding, SourceRegion};
use super::fingerprint::set_fingerprints;
use super::redact::redacted;
use super::rule::GuardSeverity;
use super::scope::LeftOut;

/// Reason why a file in scope was not checked whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// The file cannot be opened or read.
    Unreadable,
    /// More bytes than are read of one file.
    TooLarge,
    /// Bytes that are no UTF-8, in a file whose name promises text.
    NotUtf8,
    /// The text is not of the language or format that the name promises.
    NotParsed,
    /// Parsing took longer than the time budget.
    TimedOut,
    /// A link that leads out of the repository.
    LinkOut,
    /// A value that is known only when it is deployed: no verdict.
    CannotTell,
    /// A part of a contract that no rule could prove either way.
    Unproved,
}

impl SkipReason {
    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "cannot be read",
            Self::TooLarge => "is too large",
            Self::NotUtf8 => "is not UTF-8",
            Self::NotParsed => "does not parse",
            Self::TimedOut => "took longer than its time budget",
            Self::LinkOut => "is a link out of the repository",
            Self::CannotTell => "has a value that is known only when it is deployed",
            Self::Unproved => "has a part of its contract that cannot be proved",
        }
    }
}

/// A file in scope, or a part of one, that has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SkippedFile {
    /// Path below the root of the repository.
    pub path: String,
    /// Place, where a part is meant.
    pub region: Option<SourceRegion>,
    /// Reason.
    pub reason: SkipReason,
    /// Detail, one line.
    pub detail: String,
}

/// Version of the document: it changes where a program would have to.
const DOCUMENT_VERSION: u32 = 1;

/// A report for programs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GuardDocument<'r> {
    version: u32,
    errors: usize,
    warnings: usize,
    #[serde(flatten)]
    report: &'r GuardReport,
}

/// Everything that a run has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GuardReport {
    /// Findings in the order of path and place, suppressed ones too.
    pub findings: Vec<GuardFinding>,
    /// Files in scope that have no verdict.
    pub skipped: Vec<SkippedFile>,
    /// Number of files that were read.
    pub files: usize,
    /// Number of files that were parsed for code.
    pub parsed: usize,
    /// Number of files that are out of scope by their kind.
    pub left_out: BTreeMap<LeftOut, usize>,
}

impl GuardReport {
    /// Puts findings in order and sets their fingerprints.
    pub fn finish(&mut self) {
        for finding in &mut self.findings {
            finding.matched = redacted(&finding.matched);
        }
        self.findings.sort_by(|a, b| {
            (&a.path, a.region, &a.rule, &a.message).cmp(&(&b.path, b.region, &b.rule, &b.message))
        });
        self.findings.dedup();
        set_fingerprints(&mut self.findings);
        self.skipped.sort();
        self.skipped.dedup();
    }

    /// Adds the findings of another part.
    pub fn extend(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.skipped.extend(other.skipped);
        self.files += other.files;
        self.parsed += other.parsed;
        for (kind, count) in other.left_out {
            *self.left_out.entry(kind).or_default() += count;
        }
    }

    /// The report as a document for programs, with the version of its form
    /// (`docs/guard-report.schema.json`).
    pub fn document(&self) -> GuardDocument<'_> {
        GuardDocument {
            version: DOCUMENT_VERSION,
            errors: self.count(GuardSeverity::Error),
            warnings: self.count(GuardSeverity::Warning),
            report: self,
        }
    }

    /// Findings that count.
    pub fn open(&self) -> impl Iterator<Item = &GuardFinding> {
        self.findings.iter().filter(|finding| finding.is_open())
    }

    /// Number of open findings of a severity.
    pub fn count(&self, severity: GuardSeverity) -> usize {
        self.open()
            .filter(|finding| finding.severity == severity)
            .count()
    }
}
