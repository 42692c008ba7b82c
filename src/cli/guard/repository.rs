//! The checks of a repository: its files, its waivers, its baseline.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::contract::{ContractArguments, read_contract};
use super::team;
use super::walk::{WalkSettings, scan};
use crate::cli::input;
use crate::cli::revision::{RevisionError, changed_since};
use crate::cli::user_error::UserError;
use crate::guard::baseline::FindingBaseline;
use crate::guard::contract;
use crate::guard::report::GuardReport;
use crate::guard::waiver::{LONGEST_LIFE_DAYS, apply_waivers, read_waivers};

/// The file of waivers, at the root of the repository.
const WAIVERS: &str = "realtime-waivers.toml";

/// The baseline, at the root of the repository.
const BASELINE: &str = ".rt-baseline.json";

/// The most bytes of waivers, and of a baseline.
const MAX_BYTES: usize = 16 << 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct Repository {
    /// Folder of the repository
    #[arg(value_name = "PATH", default_value = ".")]
    pub(super) root: PathBuf,
    #[command(flatten)]
    contract: ContractArguments,
    /// Waivers, instead of realtime-waivers.toml at the root of the repository
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Findings to pass over, instead of .rt-baseline.json at the root of the repository
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Folder with rules of the team's own, of ast-grep
    #[arg(long, value_name = "FOLDER")]
    rules: Option<PathBuf>,
    /// The longest life of a waiver, in days
    #[arg(long, value_name = "DAYS", default_value_t = LONGEST_LIFE_DAYS)]
    longest_waiver: i32,
    /// Look at tests too
    #[arg(long)]
    with_tests: bool,
    /// Time for parsing one file, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    file_budget: u64,
}

impl Repository {
    /// The report with waivers, and without the baseline.
    pub(super) fn report(&self, changed_since: Option<&str>) -> anyhow::Result<GuardReport> {
        let mut said = Vec::new();
        let contract = read_contract(&self.root, &self.contract, &mut said)?;
        let Some(contract) = contract.check() else {
            return Err(UnreadableContract(said).into());
        };
        let only = changed_since
            .map(|revision| changed(&self.root, revision))
            .transpose()?;
        let rules = self.rules.as_deref().map(team::read).transpose()?;
        let settings = WalkSettings {
            root: &self.root,
            team: rules.as_ref(),
            only: only.as_deref(),
            with_tests: self.with_tests,
            file_budget: Duration::from_millis(self.file_budget),
        };
        let scanned = scan(&settings).map_err(|error| {
            let name = self.root.display();
            UserError::new(
                format!("reading `{name}`: {error}"),
                "name the folder of a repository",
            )
        })?;
        let (mut report, mut waivers) = scanned.finish();
        report.extend(contract::report(contract));
        report.finish();
        if let Some((name, text)) = self.read(self.waivers.as_deref(), WAIVERS)? {
            let read = read_waivers(&name, &text).map_err(|error| {
                UserError::new(
                    format!("`{name}`: {error}"),
                    "each [[waiver]] has rule, path, owner, reason and until",
                )
            })?;
            // Of a part of the files nothing can be said of the others' waivers.
            if only.is_none() {
                waivers.extend(read);
            } else {
                let only = only.as_deref().unwrap_or_default();
                waivers.extend(read.into_iter().filter(|waiver| waiver.concerns(only)));
            }
        }
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        apply_waivers(&mut report, &waivers, today, self.longest_waiver);
        Ok(report)
    }

    /// The baseline and its name, if there is one.
    pub(super) fn baseline(&self) -> anyhow::Result<Option<(String, FindingBaseline)>> {
        let Some((name, text)) = self.read(self.baseline.as_deref(), BASELINE)? else {
            return Ok(None);
        };
        let baseline = FindingBaseline::parse(&text).map_err(|error| {
            UserError::new(
                format!("`{name}`: {error}"),
                "write it anew with `eventcast guard baseline write`",
            )
        })?;
        Ok(Some((name, baseline)))
    }

    /// The place where the baseline is written.
    pub(super) fn baseline_path(&self) -> PathBuf {
        self.baseline
            .clone()
            .unwrap_or_else(|| self.root.join(BASELINE))
    }

    /// A file that is named, or the usual one where it is there.
    fn read(&self, named: Option<&Path>, usual: &str) -> anyhow::Result<Option<(String, String)>> {
        let path = named.map_or_else(|| self.root.join(usual), Path::to_owned);
        if named.is_none() && !path.exists() {
            return Ok(None);
        }
        let name = named.map_or_else(|| usual.to_owned(), |path| path.display().to_string());
        match input::read_text(&path, MAX_BYTES) {
            Ok(text) => Ok(Some((name, text))),
            Err(error) => {
                let fault = format!("reading `{name}`: {error}");
                Err(UserError::new(fault, "name a file that can be read").into())
            }
        }
    }

    /// Source lines of findings, for excerpts.
    pub(super) fn sources(&self, report: &GuardReport) -> BTreeMap<String, String> {
        let mut sources = BTreeMap::new();
        for finding in report.open() {
            if !sources.contains_key(&finding.path)
                && let Ok(text) = input::read_text(&self.root.join(&finding.path), MAX_BYTES)
            {
                sources.insert(finding.path.clone(), text);
            }
        }
        sources
    }
}

/// Paths that differ from a revision; untracked ones too.
fn changed(root: &Path, revision: &str) -> anyhow::Result<Vec<String>> {
    changed_since(root, revision).map_err(|error| {
        let help = match error {
            RevisionError::NoGit(_) => "--changed-since needs git",
            _ => "name a revision of the repository, such as origin/main; a shallow clone may lack it",
        };
        UserError::new(error.to_string(), help).into()
    })
}

/// Something that a contract is proved with cannot be read; the messages about it, as they are
/// written.
#[derive(Debug, thiserror::Error)]
#[error("the contract cannot be read")]
struct UnreadableContract(Vec<u8>);

/// Writes an error of the user, and returns `true` where it was one.
pub(super) fn explain(error: &anyhow::Error, messages: &mut impl Write) -> anyhow::Result<bool> {
    if let Some(UnreadableContract(said)) = error.downcast_ref() {
        messages.write_all(said)?;
        return Ok(true);
    }
    match error.downcast_ref::<UserError>() {
        Some(fault) => {
            fault.write(messages)?;
            Ok(true)
        }
        None => Ok(false),
    }
}
