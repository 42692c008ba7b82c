//! `eventcast guard test`: the rules of a team, on the code of their tests.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::repository::explain;
use crate::cli::counted::counted;
use crate::cli::user_error::UserError;
use crate::cli::{Status, input};
use crate::escape::write_line;
use crate::guard::code::TeamRules;

/// The most bytes of one file of rules.
const MAX_BYTES: usize = 4 << 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct TeamTest {
    /// Folder with rules and tests, in YAML
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(
    command: &TeamTest,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let team = match read(&command.folder) {
        Ok(team) => team,
        Err(error) if explain(&error, messages)? => return Ok(Status::CannotAnswer),
        Err(error) => return Err(error),
    };
    let outcomes = team.test();
    let mut failed = 0;
    for outcome in &outcomes {
        if let Some(fault) = &outcome.fault {
            failed += 1;
            let (id, code) = (&outcome.id, &outcome.code);
            write_line(out, format_args!("failed: {id}: {fault}: {code}"))?;
        }
    }
    let (rules, tests) = (
        counted(team.count(), "rule"),
        counted(outcomes.len(), "test"),
    );
    writeln!(out, "{rules}, {tests}, {failed} failed")?;
    Ok(if failed > 0 { Status::No } else { Status::Yes })
}

/// Reads the rules of a folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<TeamRules> {
    let fail = |error: &std::io::Error, path: &Path| {
        let name = path.display();
        UserError::new(
            format!("reading `{name}`: {error}"),
            "name a folder of ast-grep's rules",
        )
    };
    let entries = std::fs::read_dir(folder).map_err(|error| fail(&error, folder))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_yaml = |path: &PathBuf| {
        let extension = path.extension().and_then(|one| one.to_str());
        matches!(extension, Some("yml" | "yaml"))
    };
    let mut files = Vec::new();
    for path in paths.into_iter().filter(is_yaml) {
        let text = input::read_text(&path, MAX_BYTES).map_err(|error| fail(&error, &path))?;
        files.push((path.display().to_string(), text));
    }
    let help = "see https://ast-grep.github.io/reference/yaml.html";
    TeamRules::read(&files).map_err(|faults| match UserError::of_all(faults) {
        Some(error) => error.help(help).into(),
        None => anyhow::anyhow!("the rules cannot be read"),
    })
}
