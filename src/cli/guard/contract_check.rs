//! `eventcast guard contract`: the rules of contracts alone.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::contract::{ContractArguments, FoundContract, read_contract};
use crate::cli::counted::counted;
use crate::cli::diagnostic::excerpt;
use crate::cli::input::read_text;
use crate::cli::json::write_json;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;
use crate::guard::contract::{ContractCheck, finished};
use crate::guard::manifest::MAX_MANIFEST_BYTES;
use crate::guard::redact::redacted_lines;

#[derive(Debug, Args)]
pub(in crate::cli) struct ContractProof {
    /// Folder of the repository
    #[arg(value_name = "PATH", default_value = ".")]
    root: PathBuf,
    #[command(flatten)]
    contract: ContractArguments,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) fn run(
    command: &ContractProof,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let found = read_contract(&command.root, &command.contract, messages)?;
    if let FoundContract::Absent = found {
        let root = command.root.display();
        write_error(
            messages,
            format_args!("there is no realtime.yaml in `{root}`"),
            "name the manifest with --manifest; eventcast guard init writes one",
        )?;
        return Ok(Status::CannotAnswer);
    }
    let Some(check) = found.check() else {
        return Ok(Status::CannotAnswer);
    };
    let check = finished(check);
    match command.format {
        OutputFormat::Json => write_json(&check, out)?,
        OutputFormat::Text => write_text(command, &check, out)?,
    }
    Ok(
        match (check.findings.as_slice(), check.unproved.as_slice()) {
            // A rule that could not run is no pass.
            (_, [_, ..]) => Status::CannotAnswer,
            ([], []) => Status::Yes,
            _ => Status::No,
        },
    )
}

fn write_text(
    command: &ContractProof,
    check: &ContractCheck,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for finding in &check.findings {
        let at = finding.region.start;
        let (severity, message) = (finding.severity.name(), &finding.message);
        write_line(out, format_args!("{severity}[{}]: {message}", finding.rule))?;
        let (line, column) = (at.line, at.column);
        write_line(out, format_args!("  --> {}:{line}:{column}", finding.path))?;
        if let Ok(text) = read_text(&command.root.join(&finding.path), MAX_MANIFEST_BYTES) {
            excerpt(&redacted_lines(&text), line, column, out)?;
        }
        if let Some(help) = &finding.help {
            write_line(out, format_args!("help: {help}"))?;
        }
        writeln!(out)?;
    }
    for part in &check.unproved {
        let (line, column) = (part.region.start.line, part.region.start.column);
        write_line(
            out,
            format_args!("not proved[{}]: {}", part.rule, part.detail),
        )?;
        write_line(out, format_args!("  --> {}:{line}:{column}", part.path))?;
        writeln!(out)?;
    }
    let findings = counted(check.findings.len(), "finding");
    match check.unproved.len() {
        0 => writeln!(out, "{findings}")?,
        parts => writeln!(out, "{findings}, {} not proved", counted(parts, "part"))?,
    }
    Ok(())
}
