//! Rules: the explanations of findings.

use std::borrow::Cow;

use serde::Serialize;

/// Severity of a rule's findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GuardSeverity {
    /// Information that is not a finding: it never fails a run.
    Note,
    /// A finding that a reviewer should look at.
    Warning,
    /// A finding that breaks the platform's rule.
    Error,
}

impl GuardSeverity {
    /// The severity's name in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A file that shows a rule: one that it finds, or one that it passes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSample {
    /// Path in the repository, which decides the reader.
    pub path: &'static str,
    /// Text of the file.
    pub text: &'static str,
}

impl RuleSample {
    /// A sample of constants.
    pub const fn new(path: &'static str, text: &'static str) -> Self {
        Self { path, text }
    }
}

/// A rule of the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuardRule {
    /// Stable id, such as `RT010`. It never changes its meaning, and is never used again.
    pub id: Cow<'static, str>,
    /// Short name, such as `websocket-client`.
    pub name: Cow<'static, str>,
    /// Severity of its findings.
    pub severity: GuardSeverity,
    /// One line: the fault.
    pub summary: Cow<'static, str>,
    /// Reason: the harm that the fault does.
    pub reason: Cow<'static, str>,
    /// Fix: the change that removes the finding.
    pub fix: Cow<'static, str>,
    /// Files in which the rule has a finding.
    pub hits: &'static [RuleSample],
    /// Files that look alike and have no finding.
    pub near_misses: &'static [RuleSample],
}

impl GuardRule {
    /// A rule of constants.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one property of a constant"
    )]
    pub const fn new(
        id: &'static str,
        name: &'static str,
        severity: GuardSeverity,
        summary: &'static str,
        reason: &'static str,
        fix: &'static str,
        hits: &'static [RuleSample],
        near_misses: &'static [RuleSample],
    ) -> Self {
        Self {
            id: Cow::Borrowed(id),
            name: Cow::Borrowed(name),
            severity,
            summary: Cow::Borrowed(summary),
            reason: Cow::Borrowed(reason),
            fix: Cow::Borrowed(fix),
            hits,
            near_misses,
        }
    }
}
