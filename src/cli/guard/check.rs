//! `eventcast guard check`: all rules over a repository.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::walk::walk;
use crate::cli::counted::counted;
use crate::cli::json::write_json;
use crate::cli::user_error::write_error;
use crate::cli::{Format, Status};
use crate::escape::write_line;
use crate::guard::report::GuardReport;
use crate::guard::rule::GuardSeverity;
use crate::guard::scan::scan_file;

#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// Folder of the repository
    #[arg(value_name = "PATH", default_value = ".")]
    root: PathBuf,
    /// Fail where a file in scope has no verdict
    #[arg(long)]
    strict: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) fn run(
    command: &Check,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let mut report = GuardReport::default();
    let mut unread = Vec::new();
    let walked = walk(&command.root, &mut unread, |file| {
        let scan = scan_file(&file.path, &file.bytes);
        report.findings.extend(scan.findings);
        report.skipped.extend(scan.skipped);
        report.files += 1;
    });
    if let Err(error) = walked {
        let name = command.root.display();
        write_error(
            messages,
            format_args!("reading `{name}`: {error}"),
            "name the folder of a repository",
        )?;
        return Ok(Status::CannotAnswer);
    }
    report.skipped.extend(unread);
    report.finish();
    if command.format == Format::Json {
        write_json(&report, out)?;
    } else {
        write_text(&report, out)?;
    }
    Ok(if command.strict && !report.skipped.is_empty() {
        Status::CannotAnswer
    } else if report.open().next().is_some() {
        Status::No
    } else {
        Status::Yes
    })
}

fn write_text(report: &GuardReport, out: &mut impl Write) -> anyhow::Result<()> {
    for finding in report.open() {
        let (severity, at) = (finding.severity.name(), finding.region.start);
        let message = &finding.message;
        write_line(out, format_args!("{severity}[{}]: {message}", finding.rule))?;
        let (line, column) = (at.line, at.column);
        write_line(out, format_args!("  --> {}:{line}:{column}", finding.path))?;
    }
    for skipped in &report.skipped {
        let (reason, detail) = (skipped.reason.text(), &skipped.detail);
        write_line(
            out,
            format_args!("skipped: {} {reason} {detail}", skipped.path),
        )?;
    }
    let files = counted(report.files, "file");
    let errors = counted(report.count(GuardSeverity::Error), "error");
    let warnings = counted(report.count(GuardSeverity::Warning), "warning");
    writeln!(out, "{files}, {errors}, {warnings}")?;
    Ok(())
}
