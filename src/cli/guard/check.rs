//! `eventcast guard check`: all rules over a repository.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::repository::{Repository, explain};
use super::{annotations, junit, sarif, text};
use crate::cli::Status;
use crate::cli::json::write_json;
use crate::guard::report::{GuardReport, SkipReason};
use crate::guard::rule::GuardSeverity;

/// Format of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people, with the lines of the sources.
    Text,
    /// For programs: one JSON document (docs/guard-report.schema.json).
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Annotations of GitHub's workflows.
    Github,
    /// For CI systems: JUnit XML.
    Junit,
}

/// Reader of the SARIF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SarifProfile {
    /// GitHub's code scanning: open findings alone, within its limits.
    Github,
    /// Everything, with suppressions.
    Full,
}

/// The least severity that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailLevel {
    /// Errors.
    Error,
    /// Errors and warnings.
    Warning,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GuardCheckCommand {
    #[command(flatten)]
    repository: Repository,
    /// Look at files alone that differ from a revision of git
    #[arg(long, value_name = "REVISION")]
    changed_since: Option<String>,
    /// Fail where a file in scope has no verdict
    #[arg(long)]
    strict: bool,
    /// The least severity that fails
    #[arg(long, value_enum, default_value = "warning")]
    fail_on: FailLevel,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: CheckFormat,
    /// Reader of SARIF
    #[arg(long, value_enum, default_value = "github")]
    sarif_for: SarifProfile,
}

pub(super) fn run(
    command: &GuardCheckCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let report = match whole(command) {
        Ok(report) => report,
        Err(error) if explain(&error, messages)? => return Ok(Status::CannotAnswer),
        Err(error) => return Err(error),
    };
    match command.format {
        CheckFormat::Text => text::write(&report, &command.repository.sources(&report), out)?,
        CheckFormat::Json => write_json(&report.document(), out)?,
        CheckFormat::Sarif => write_json(&sarif::document(&report, command.sarif_for), out)?,
        CheckFormat::Github => annotations::write(&report, out)?,
        CheckFormat::Junit => junit::write(&report, out)?,
    }
    Ok(status(command, &report))
}

fn whole(command: &GuardCheckCommand) -> anyhow::Result<GuardReport> {
    let mut report = command
        .repository
        .report(command.changed_since.as_deref())?;
    if let Some((name, baseline)) = command.repository.baseline()? {
        baseline.apply(&mut report, &name, command.changed_since.is_none());
    }
    Ok(report)
}

fn status(command: &GuardCheckCommand, report: &GuardReport) -> Status {
    // A rule that could not run is no pass.
    let is_unreadable = |reason| matches!(reason, SkipReason::Unreadable | SkipReason::Unproved);
    let fails = |severity| match command.fail_on {
        FailLevel::Error => severity == GuardSeverity::Error,
        FailLevel::Warning => severity >= GuardSeverity::Warning,
    };
    if command.strict && !report.skipped.is_empty()
        || report.skipped.iter().any(|one| is_unreadable(one.reason))
    {
        Status::CannotAnswer
    } else if report.open().any(|finding| fails(finding.severity)) {
        Status::No
    } else {
        Status::Yes
    }
}
