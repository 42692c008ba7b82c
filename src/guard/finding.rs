//! Findings: a rule, a place, and what is wrong there.

use std::borrow::Cow;

use serde::Serialize;

use super::rule::{GuardRule, GuardSeverity};

/// Place in a text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourcePoint {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Part of a text; `end` is behind its last character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourceRegion {
    /// First character.
    pub start: SourcePoint,
    /// Place behind the last character.
    pub end: SourcePoint,
}

impl SourceRegion {
    /// The region of a single place.
    pub fn at(line: usize, column: usize) -> Self {
        let start = SourcePoint { line, column };
        Self { start, end: start }
    }
}

/// Change that removes a finding, as data: the text of a region, replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuardFix {
    /// One line: the change.
    pub description: String,
    /// Region that is replaced.
    pub region: SourceRegion,
    /// Text in its place.
    pub replacement: String,
}

/// Reason why a finding does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Suppression {
    /// A waiver, in the file of waivers or in line.
    Waived {
        /// Person or team that answers for it.
        owner: String,
        /// Reason.
        reason: String,
        /// Last day on which it holds.
        until: String,
        /// Place of the waiver: `path:line`.
        place: String,
    },
    /// An entry of the baseline.
    Baselined,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuardFinding {
    /// Id of the rule.
    pub rule: Cow<'static, str>,
    /// Severity.
    pub severity: GuardSeverity,
    /// One line without a full stop: what is wrong. It holds no text of string literals.
    pub message: String,
    /// Path below the root of the repository, with `/`.
    pub path: String,
    /// Place.
    pub region: SourceRegion,
    /// Fix for this finding; the rule's own where there is none.
    pub help: Option<String>,
    /// The found text without secrets and with its white space folded. The fingerprint is made of
    /// it, so that it survives moved lines.
    #[serde(skip)]
    pub matched: String,
    /// First and last line of the statement around it: a waiver above the statement covers it.
    #[serde(skip)]
    pub statement: (usize, usize),
    /// Fingerprint (`fingerprint`): set when a report is made.
    pub fingerprint: String,
    /// Mechanical changes.
    pub fixes: Vec<GuardFix>,
    /// Reason why it does not count.
    pub suppression: Option<Suppression>,
}

impl GuardFinding {
    /// A finding of a rule, with the rule's severity.
    pub fn new(
        rule: &GuardRule,
        path: &str,
        region: SourceRegion,
        matched: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule: rule.id.clone(),
            severity: rule.severity,
            message: message.into(),
            path: path.to_owned(),
            region,
            help: None,
            matched: matched.to_owned(),
            statement: (region.start.line, region.end.line),
            fingerprint: String::new(),
            fixes: Vec::new(),
            suppression: None,
        }
    }

    /// The same with a fix of its own.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns `true` where neither a waiver nor the baseline covers it.
    pub fn is_open(&self) -> bool {
        self.suppression.is_none()
    }
}
