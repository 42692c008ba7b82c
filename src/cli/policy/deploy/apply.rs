//! `eventcast policy apply`: policies are made, changed where their permissions differ, and attached.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::bulk::{self, Asked, Change};
use super::list::Row;
use super::report::{Done, Outcome, cannot_answer};
use super::run::{fail, take};
use super::wanted::{COLUMNS, Item, from_list, one};
use super::{Access, Changes, list, look};
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::ControlError;
use crate::cli::Status;
use crate::cli::runtime::block_on;
use crate::policy::deploy::plan;
use crate::shutdown::Shutdown;

pub(in crate::cli::policy) const HELP: &str = "\
A policy that is not there is created. One whose document differs gets a new version, which is the default at once; when there \
are five already, the oldest that is not the default is deleted first. Documents that differ only in layout, order or the case of \
actions are the same. Nothing is detached without --prune-targets. What is as it should be costs one or two reading calls, or none \
with --journal: run it again after an interruption.

A list is a CSV file with the columns name,policy,targets (targets separated by spaces), or JSON lines with those keys (targets an \
array). A policy is a file, looked for beside the list, or the document itself. A bad line is told of and left out.

Calls stay below the API's default quotas, such as 10 CreatePolicy and 15 AttachPolicy a second: 10,000 new policies take about 20 \
minutes. A changed policy is in force after 6 to 8 minutes.

Examples:
  eventcast policy apply --name customer --policy customer.json --dry-run
  eventcast policy apply --name driver --policy driver.json --attach eu-west-1:5b0c7e0e-4f0b
  eventcast policy apply --from devices.csv --journal devices.journal

Exit status: 0 all is as asked for, 2 the question is not right (nothing was called), 3 some failed, or it was interrupted.";

/// The rounds of looking and acting while others change the same policy.
const ROUNDS: usize = 3;

#[derive(Debug, Args)]
pub(in crate::cli) struct Apply {
    /// The policy's name
    #[arg(
        long,
        value_name = "NAME",
        requires = "policy",
        required_unless_present = "from"
    )]
    name: Option<String>,
    /// The document: JSON text (beginning with `{`), a file, or - for standard input
    #[arg(long, value_name = "JSON|FILE", requires = "name")]
    policy: Option<String>,
    /// Attach it to a certificate, a thing group (ARNs) or a Cognito identity (id; repeatable)
    #[arg(long, value_name = "TARGET", requires = "name")]
    attach: Vec<String>,
    /// A list of policies instead: a file that ends with .csv or .jsonl
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "policy", "attach"])]
    from: Option<PathBuf>,
    /// Detach policies from all targets that are not asked for
    #[arg(long)]
    prune_targets: bool,
    #[command(flatten)]
    changes: Changes,
}

impl Apply {
    /// The policy of the command line, as a list would have it.
    fn one(&self) -> Row {
        Row {
            name: self.name.clone().unwrap_or_default(),
            policy: self.policy.clone(),
            targets: self.attach.clone(),
            ..Row::default()
        }
    }
}

/// Runs the command.
pub(in crate::cli::policy) fn run(
    command: &Apply,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let asked = match &command.from {
        Some(path) => match list::read(path, COLUMNS) {
            Ok(rows) => from_list(path, rows, command.prune_targets),
            Err(why) => return cannot_answer(&why, messages),
        },
        None => match one(&command.one(), command.prune_targets, messages)? {
            Some(item) => vec![Ok(item)],
            None => return Ok(Status::CannotAnswer),
        },
    };
    let listed = command.from.is_some();
    let told = (out, messages);
    block_on(bulk::run(command, &command.changes, asked, listed, told))?
}

impl Change for &Apply {
    type Item = Item;

    const COMMAND: &'static str = "policy apply";
    const EFFECT: Option<&'static str> = None;

    async fn prepare(&mut self, _: &Access, _: &Asked<Item>) -> Result<(), ControlError> {
        Ok(())
    }

    fn key(&self, item: &Item) -> String {
        item.key()
    }

    async fn make(&self, plane: &ControlPlane, shutdown: &Shutdown, item: Item) -> Outcome {
        apply(plane, shutdown, item, self.changes.dry_run).await
    }
}

/// Sees to one policy.
async fn apply(plane: &ControlPlane, shutdown: &Shutdown, item: Item, dry_run: bool) -> Outcome {
    let Item { place, wanted } = &item;
    let name = wanted.name.as_str();
    let mut outcome = Outcome {
        name: name.to_owned(),
        line: place.line,
        key: Some(item.key()),
        ..Outcome::default()
    };
    let mut round = 0;
    loop {
        round += 1;
        match once(plane, shutdown, &item, dry_run, &mut outcome).await {
            Ok(()) => return outcome,
            Err(ControlError::Outdated(_)) if round < ROUNDS => outcome.failures.clear(),
            Err(error) => {
                fail(error, name, name, place, &mut outcome);
                return outcome;
            }
        }
    }
}

/// Looks, plans and acts.
async fn once(
    plane: &ControlPlane,
    shutdown: &Shutdown,
    item: &Item,
    dry_run: bool,
    outcome: &mut Outcome,
) -> Result<(), ControlError> {
    let Item { place, wanted } = item;
    let current = look::before_apply(plane, wanted).await?;
    let steps = plan::apply(wanted, current.as_ref());
    if dry_run {
        outcome.steps = steps.iter().map(|step| Done::step(step, None)).collect();
        return Ok(());
    }
    let (name, document) = (wanted.name.as_str(), wanted.text.as_str());
    take(plane, shutdown, (name, document), &steps, place, outcome).await
}
