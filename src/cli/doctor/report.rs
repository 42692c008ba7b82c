//! What the doctor found, and how it is told.

use std::io::Write;

use serde::Serialize;

use crate::cli::json::write_json;
use crate::cli::{Format, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    about: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Report(Vec<Check>);

impl Report {
    pub(super) fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.add(about, Verdict::Ok, found, None);
    }

    pub(super) fn warning(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Warning, found, Some(help));
    }

    pub(super) fn missing(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Missing, found, Some(help));
    }

    fn add(
        &mut self,
        about: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        help: Option<&str>,
    ) {
        self.0.push(Check {
            about,
            verdict,
            found: found.into(),
            help: help.filter(|help| !help.is_empty()).map(str::to_owned),
        });
    }

    pub(super) fn write(&self, format: Format, out: &mut impl Write) -> anyhow::Result<Status> {
        let missing = self.0.iter().any(|check| check.verdict == Verdict::Missing);
        if format == Format::Json {
            write_json(&serde_json::json!({ "checks": self.0 }), out)?;
        } else {
            for check in &self.0 {
                let word = match check.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Warning => "warning",
                    Verdict::Missing => "MISSING",
                };
                writeln!(out, "{word:<8} {:<18} {}", check.about, check.found)?;
                if let Some(help) = &check.help {
                    writeln!(out, "{:27} help: {help}", "")?;
                }
            }
        }
        Ok(if missing { Status::No } else { Status::Yes })
    }
}
