//! The doctor's findings, and their report.

use std::io::Write;

use serde::Serialize;

use crate::cli::json::write_json;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckVerdict {
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

impl CheckVerdict {
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
struct DoctorCheck {
    about: &'static str,
    verdict: CheckVerdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// The checks so far, in their order.
#[derive(Default)]
pub(super) struct DoctorReport(Vec<DoctorCheck>);

impl DoctorReport {
    pub(super) fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.add(about, CheckVerdict::Ok, found, "");
    }

    pub(super) fn warning(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, CheckVerdict::Warning, found, help);
    }

    pub(super) fn missing(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, CheckVerdict::Missing, found, help);
    }

    pub(super) fn failed(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, CheckVerdict::Failed, found, help);
    }

    pub(super) fn not_tried(&mut self, about: &'static str, why: impl Into<String>, help: &str) {
        self.add(about, CheckVerdict::NotTried, why, help);
    }

    /// Adds a check; an empty `help` is none.
    fn add(
        &mut self,
        about: &'static str,
        verdict: CheckVerdict,
        found: impl Into<String>,
        help: &str,
    ) {
        self.0.push(DoctorCheck {
            about,
            verdict,
            found: found.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        });
    }

    fn count(&self, counts: impl Fn(CheckVerdict) -> bool) -> usize {
        self.0.iter().filter(|check| counts(check.verdict)).count()
    }

    pub(super) fn write(
        &self,
        format: OutputFormat,
        out: &mut impl Write,
    ) -> anyhow::Result<Status> {
        if format == OutputFormat::Json {
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
                    self.count(|verdict| verdict == CheckVerdict::Ok),
                    self.count(|verdict| verdict == CheckVerdict::Warning),
                    self.count(|verdict| verdict == CheckVerdict::Missing),
                    self.count(|verdict| verdict == CheckVerdict::Failed),
                    self.count(|verdict| verdict == CheckVerdict::NotTried)
                ),
            )?;
        }
        Ok(if self.count(CheckVerdict::is_bad) > 0 {
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
    fn check(add: impl Fn(&mut DoctorReport), expected: Status) {
        let mut report = DoctorReport::default();
        report.ok("configuration", "1 route");
        add(&mut report);
        for format in [OutputFormat::Text, OutputFormat::Json] {
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
        let mut report = DoctorReport::default();
        report.ok("a", "found");
        report.warning("b", "odd", "set it");
        report.missing("c", "not set", "set it");
        report.failed("d", "refused", "grant it");
        report.not_tried("e", "no Region", "");
        let mut text = Vec::new();
        report.write(OutputFormat::Text, &mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap());
        let mut json = Vec::new();
        report.write(OutputFormat::Json, &mut json).unwrap();
        insta::assert_snapshot!(String::from_utf8(json).unwrap());
    }
}
