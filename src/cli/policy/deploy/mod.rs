//! `eventcast policy apply`, `revoke`, `show` and `diff --deployed`: policies on IoT Core's control plane.
//!
//! Everything that can be known before a call is checked before the first: names, targets, documents. What is done is done under the
//! API's rates, a few policies at a time, and can be run again: it then does only what is missing.

pub(super) mod apply;
pub(super) mod fetch;
mod journal;
mod list;
mod look;
mod report;
pub(super) mod revoke;
mod run;
pub(super) mod show;
mod unwanted;
mod wanted;

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_config::SdkConfig;
use clap::Args;

use self::journal::{Heading, Journal};
use self::list::{Place, Unreadable};
use self::report::{Failure, Report, cannot_answer};
use crate::aws::control_plane::{ControlError, ControlPlane, Told};
use crate::aws::{caller, client};
use crate::cli::{Format, Status};
use crate::policy::deploy::target::{BadText, Target};

/// What all changes have in common.
#[derive(Debug, Args)]
struct Changes {
    /// A file that keeps what is done, so that a rerun skips it without a call
    #[arg(long, value_name = "FILE", requires = "from")]
    journal: Option<PathBuf>,
    /// How many times the default quotas are used: 2 where they were doubled, 0.5 to leave room for others
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = times)]
    rate: f64,
    /// Only tell what would be done; reads what is there
    #[arg(long)]
    dry_run: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn times(text: &str) -> Result<f64, String> {
    let times = text
        .parse()
        .ok()
        .filter(|times| (0.1..=100.0).contains(times));
    times.ok_or_else(|| "a number from 0.1 to 100 is wanted".to_owned())
}

/// The SDK's configuration and the control plane it names.
struct Access {
    aws: SdkConfig,
    plane: ControlPlane,
}

impl Access {
    async fn open(times: f64) -> Result<Self, ControlError> {
        let aws = client::environment().await;
        let plane = ControlPlane::open(&aws, times).await?;
        Ok(Self { aws, plane })
    }

    /// Sorts what is asked for: what the journal knows is skipped, what is not right is told. Without its journal nothing begins:
    /// then that is told, and how the command ends is given back.
    async fn begin<I>(
        &self,
        command: &str,
        changes: &Changes,
        asked: Vec<Result<I, Box<Failure>>>,
        key: impl Fn(&I) -> String,
        messages: &mut impl Write,
    ) -> anyhow::Result<Result<Begun<I>, Status>> {
        let journal = match &changes.journal {
            None => None,
            Some(path) => match caller::account(&self.aws, &self.plane).await {
                Err(error) => return Ok(Err(stop(&error, Status::Failed, messages)?)),
                Ok(account) => match self.journal(path, changes, command, account) {
                    Err(why) => return Ok(Err(cannot_answer(&why, messages)?)),
                    Ok(journal) => journal,
                },
            },
        };
        let mut report = Report {
            region: self.plane.region().to_owned(),
            dry_run: changes.dry_run,
            asked: asked.len() as u64,
            ..Report::default()
        };
        let mut items = Vec::new();
        let done = |item: &I| {
            let journal = journal.as_ref();
            journal.is_some_and(|journal| journal.has(&key(item)))
        };
        for item in asked {
            match item {
                Ok(item) if done(&item) => report.count("skipped", 1),
                Ok(item) => items.push(item),
                Err(failure) => {
                    report.count("failed", 1);
                    report.fail(*failure, messages)?;
                }
            }
        }
        Ok(Ok(Begun {
            items,
            journal,
            report,
        }))
    }

    fn journal(
        &self,
        path: &Path,
        changes: &Changes,
        command: &str,
        account: String,
    ) -> Result<Option<Journal>, Unreadable> {
        let heading = Heading {
            journal: command.to_owned(),
            account,
            region: self.plane.region().to_owned(),
        };
        Journal::open(path, &heading, changes.dry_run)
    }
}

/// A run about to begin: what is left to do, and what is known so far.
struct Begun<I> {
    items: Vec<I>,
    journal: Option<Journal>,
    report: Report,
}

/// Runs a command's calls.
fn block_on<T>(calls: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(calls)
}

/// Tells of an error that ends the command.
fn stop(error: &ControlError, status: Status, messages: &mut impl Write) -> anyhow::Result<Status> {
    let Told { what, help } = error.told();
    writeln!(messages, "error: {what}\nhelp: {help}")?;
    Ok(status)
}

/// A line's targets, checked.
fn targets(
    texts: &[String],
    name: &str,
    place: &Place,
) -> Result<std::collections::BTreeSet<Target>, Box<Failure>> {
    texts
        .iter()
        .map(|text| Target::parse(text).map_err(|bad| unfit(&bad, name, text, place)))
        .collect()
}

fn unfit(bad: &BadText, name: &str, value: &str, place: &Place) -> Box<Failure> {
    place.failure(name, value, bad.what.clone(), bad.help)
}

/// What is wrong with a target's Region: policies are attached within one.
fn elsewhere<'t>(
    mut targets: impl Iterator<Item = &'t Target>,
    name: &str,
    region: &str,
    place: &Place,
) -> Option<Box<Failure>> {
    let target = targets.find(|target| target.region() != region)?;
    let what = format!("the target `{target}` is not in the Region `{region}`");
    let help = "set AWS_REGION to the target's Region: a policy is attached within its own";
    Some(place.failure(name, target.as_str(), what, help))
}
