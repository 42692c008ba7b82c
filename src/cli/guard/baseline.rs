//! `eventcast guard baseline`: findings that were there when the guard came.

use std::io::Write;

use clap::{Args, Subcommand};

use super::repository::{Repository, explain};
use crate::cli::Status;
use crate::cli::counted::counted;
use crate::cli::user_error::write_error;
use crate::guard::baseline::FindingBaseline;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BaselineCommand {
    /// Write all open findings into the baseline
    #[command(after_help = "\
Examples:
  eventcast guard baseline write
  eventcast guard baseline write services/orders

Exit status: 0 written, 2 the repository cannot be read, or the file cannot be written.")]
    Write(BaselineTarget),
    /// Remove entries that have no finding any more
    #[command(after_help = "\
Examples:
  eventcast guard baseline prune

Exit status: 0 pruned, 2 there is no baseline, or it cannot be read or written.")]
    Prune(BaselineTarget),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BaselineTarget {
    #[command(flatten)]
    repository: Repository,
}

pub(super) fn run(
    command: &BaselineCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match answer(command) {
        Ok(Some(line)) => writeln!(out, "{line}")?,
        Ok(None) => {
            write_error(
                messages,
                "there is no baseline",
                "write one with `eventcast guard baseline write`",
            )?;
            return Ok(Status::CannotAnswer);
        }
        Err(error) if explain(&error, messages)? => return Ok(Status::CannotAnswer),
        Err(error) => return Err(error),
    }
    Ok(Status::Yes)
}

fn answer(command: &BaselineCommand) -> anyhow::Result<Option<String>> {
    match command {
        BaselineCommand::Write(target) => {
            let report = target.repository.report(None)?;
            let baseline = FindingBaseline::of(&report);
            save(&target.repository, &baseline)?;
            Ok(Some(format!(
                "{} in the baseline",
                counted(baseline.count(), "finding")
            )))
        }
        BaselineCommand::Prune(target) => {
            let Some((_, baseline)) = target.repository.baseline()? else {
                return Ok(None);
            };
            let report = target.repository.report(None)?;
            let (baseline, gone) = baseline.pruned(&report);
            save(&target.repository, &baseline)?;
            let left = counted(baseline.count(), "finding");
            Ok(Some(format!("{gone} removed, {left} in the baseline")))
        }
    }
}

/// Writes a file beside the baseline and puts it in its place, so that no half of one is left.
fn save(repository: &Repository, baseline: &FindingBaseline) -> anyhow::Result<()> {
    let path = repository.baseline_path();
    let text = serde_json::to_string_pretty(baseline)? + "\n";
    let new = path.with_extension("json.new");
    let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path));
    written.map_err(|error| {
        let name = path.display();
        let fault = format!("writing `{name}`: {error}");
        crate::cli::user_error::UserError::new(fault, "name another file with --baseline").into()
    })
}
