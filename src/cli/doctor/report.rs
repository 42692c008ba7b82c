//! The doctor's findings, and their report.

use std::io::Write;

use serde::Serialize;

use crate::cli::json::write_json;
use crate::cli::{Format, Status};
use crate::escape::write_line;

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Tried, and right.
    Ok,
    /// Works, and is probably not meant so.
    Warning,
    /// Not set, or not there.
    Missing,
    /// Tried, and refused, unreachable or set wrong.
    Failed,
    /// Not tried: nothing is known of it. Does not count for the exit status.
    NotTried,
}

impl Verdict {
    /// The verdict in the text report: verdicts that need action are in capitals.
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "MISSING",
            Self::Failed => "FAILED",
            Self::NotTried => "not tried",
        }
    }

    const fn is_bad(self) -> bool {
        matches!(self, Self::Missing | Self::Failed)
    }
}

#[derive(Debug, Serialize)]
struct Check {
    about: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// The checks so far, in their order.
#[derive(Default)]
pub(super) struct Report(Vec<Check>);

impl Report {
    pub(super) fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.add(about, Verdict::Ok, found, "");
    }

    pub(super) fn warning(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Warning, found, help);
    }

    pub(super) fn missing(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Missing, found, help);
    }

    pub(super) fn failed(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Failed, found, help);
    }

    pub(super) fn not_tried(&mut self, about: &'static str, why: impl Into<String>, help: &str) {
        self.add(about, Verdict::NotTried, why, help);
    }

    /// Adds a check; an empty `help` is none.
    fn add(&mut self, about: &'static str, verdict: Verdict, found: impl Into<String>, help: &str) {
        self.0.push(Check {
            about,
            verdict,
            found: found.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        });
    }

    fn count(&self, counts: impl Fn(Verdict) -> bool) -> usize {
        self.0.iter().filter(|check| counts(check.verdict)).count()
    }

    pub(super) fn write(&self, format: Format, out: &mut impl Write) -> anyhow::Result<Status> {
        if format == Format::Json {
            write_json(&serde_json::json!({ "checks": self.0 }), out)?;
        } else {
            for check in &self.0 {
                let word = check.verdict.word();
                write_line(
                    out,
                    format_args!("{word:<9} {:<18} {}", check.about, check.found),
                )?;
                if let Some(help) = &check.help {
                    write_line(out, format_args!("{:28} help: {help}", ""))?;
                }
            }
            write_line(
                out,
                format_args!(
                    "{} ok, {} warning, {} missing, {} failed, {} not tried",
                    self.count(|verdict| verdict == Verdict::Ok),
                    self.count(|verdict| verdict == Verdict::Warning),
                    self.count(|verdict| verdict == Verdict::Missing),
                    self.count(|verdict| verdict == Verdict::Failed),
                    self.count(|verdict| verdict == Verdict::NotTried)
                ),
            )?;
        }
        Ok(if self.count(Verdict::is_bad) > 0 {
            Status::No
        } else {
            Status::Yes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(add: impl Fn(&mut Report), expected: Status) {
        let mut report = Report::default();
        report.ok("configuration", "1 route");
        add(&mut report);
        for format in [Format::Text, Format::Json] {
            let status = report.write(format, &mut Vec::new()).unwrap();
            assert_eq!(status, expected);
        }
    }

    #[test]
    fn exit_status() {
        check(|_| (), Status::Yes);
        check(|report| report.warning("a", "b", ""), Status::Yes);
        check(|report| report.not_tried("a", "b", ""), Status::Yes);
        check(|report| report.missing("a", "b", ""), Status::No);
        check(|report| report.failed("a", "b", ""), Status::No);
    }

    #[test]
    fn each_verdict_has_its_word() {
        let mut report = Report::default();
        report.ok("a", "found");
        report.warning("b", "odd", "set it");
        report.missing("c", "not set", "set it");
        report.failed("d", "refused", "grant it");
        report.not_tried("e", "no Region", "");
        let mut text = Vec::new();
        report.write(Format::Text, &mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
        let mut json = Vec::new();
        report.write(Format::Json, &mut json).unwrap();
        insta::assert_snapshot!(String::from_utf8(json).unwrap());
    }
}
