//! `eventcast policy apply`: policies are made, changed where their permissions differ, and
//! attached.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;

use super::bulk::{self, BulkChange, RequestedItems};
use super::list::ListRow;
use super::report::{CompletedStep, ItemOutcome, cannot_answer};
use super::run::{fail, take};
use super::wanted::{COLUMNS, ReadOptions, WantedPolicy, from_list, one};
use super::{AwsAccess, ChangeOptions, list, look};
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::ControlError;
use crate::cli::Status;
use crate::cli::policy::diff::lines;
use crate::cli::runtime::block_on;
use crate::policy::deploy::plan::{self, DeployStep, WantedDocument};
use crate::policy::diff::diff;
use crate::policy::document::Document;
use crate::policy::lint::impossible::allows_anything;
use crate::shutdown::Shutdown;

pub(in crate::cli::policy) const HELP: &str = "\
A policy that is not there is created. One whose document differs gets a new version, which is the default at once; when there \
are five already, the oldest that is not the default is deleted first. Documents that differ only in layout, order or the case of \
actions are the same. Nothing is detached without --prune-targets. What is as it should be costs one or two reading calls, or none \
with --journal: run it again after an interruption.

Each document is linted first (docs/lints.md): with an error it is not applied, unless --no-lint says so. Before a policy is \
replaced, what its new document allows (+) and no longer allows (-) is written. A document that allows nothing does not replace one \
that does, unless --allow-empty says so.

A list is a CSV file with the columns name,policy,targets (targets separated by spaces), or JSON lines with those keys (targets an \
array). A policy is a file, looked for beside the list, or the document itself. Invalid lines are reported and skipped.

Calls stay below the API's default quotas, such as 10 CreatePolicy and 15 AttachPolicy a second: 10,000 new policies take about 20 \
minutes. A changed policy is in force after 6 to 8 minutes.

Examples:
  eventcast policy apply --name customer --policy customer.json --dry-run
  eventcast policy apply --name driver --policy driver.json \\
      --attach eu-west-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11
  eventcast policy apply --from devices.csv --journal devices.journal

Exit status: 0 all is as asked for, 2 the question is not right (nothing was called), 3 some failed, or it was interrupted.";

/// The rounds of looking and acting while others change the same policy.
const ROUNDS: usize = 3;

#[derive(Debug, Args)]
pub(in crate::cli) struct ApplyCommand {
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
    /// Apply documents in which the lints find errors
    #[arg(long)]
    no_lint: bool,
    /// Replace a policy by one that allows nothing
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    changes: ChangeOptions,
}

impl ApplyCommand {
    /// The policy of the command line, as a list would have it.
    fn one(&self) -> ListRow {
        ListRow {
            name: self.name.clone().unwrap_or_default(),
            policy: self.policy.clone(),
            targets: self.attach.clone(),
            ..ListRow::default()
        }
    }
}

/// Runs the command.
pub(in crate::cli::policy) fn run(
    command: &ApplyCommand,
    mut input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let how = ReadOptions {
        only_these: command.prune_targets,
        lint: !command.no_lint,
    };
    let asked = match &command.from {
        Some(path) => match list::read(path, COLUMNS) {
            Ok(rows) => from_list(path, rows, how),
            Err(why) => return cannot_answer(&why, messages),
        },
        None => match one(&command.one(), how, &mut input, messages)? {
            Some(item) => vec![Ok(item)],
            None => return Ok(Status::CannotAnswer),
        },
    };
    let listed = command.from.is_some();
    let told = (out, messages);
    block_on(bulk::run(command, &command.changes, asked, listed, told))?
}

impl BulkChange for &ApplyCommand {
    type Item = WantedPolicy;

    const COMMAND: &'static str = "policy apply";
    const EFFECT: Option<&'static str> = None;

    async fn prepare(
        &mut self,
        _: &AwsAccess,
        _: &RequestedItems<WantedPolicy>,
    ) -> Result<(), ControlError> {
        Ok(())
    }

    fn key(&self, item: &WantedPolicy) -> String {
        item.key()
    }

    async fn make(
        &self,
        plane: &ControlPlane,
        shutdown: &Shutdown,
        item: WantedPolicy,
    ) -> ItemOutcome {
        apply(plane, shutdown, item, self).await
    }
}

/// Sees to one policy.
async fn apply(
    plane: &ControlPlane,
    shutdown: &Shutdown,
    item: WantedPolicy,
    command: &ApplyCommand,
) -> ItemOutcome {
    let WantedPolicy { place, wanted } = &item;
    let name = wanted.name.as_str();
    let mut outcome = ItemOutcome {
        name: name.to_owned(),
        line: place.line,
        key: Some(item.key()),
        ..ItemOutcome::default()
    };
    let mut round = 0;
    loop {
        round += 1;
        match once(plane, shutdown, &item, command, &mut outcome).await {
            Ok(()) => return outcome,
            Err(ControlError::Outdated(_)) if round < ROUNDS => outcome.failures.clear(),
            Err(error) => {
                fail(error, name, name, place, &mut outcome);
                return outcome;
            }
        }
    }
}

/// The most lines of permissions that a new document adds and takes away.
const CHANGES: usize = 20;

/// Permissions that the new document adds (+) and takes away (-), in lines; some of them if there
/// are many.
fn differences(deployed: &str, wanted: &WantedDocument) -> Vec<String> {
    let (before, after) = match (
        Document::parse(deployed),
        Document::parse(wanted.text.as_str()),
    ) {
        (Ok(before), Ok(after)) => (before, after),
        _ => return vec!["the deployed document cannot be read, and is not compared".to_owned()],
    };
    let difference = diff(&[before], &[after]);
    let mut lines: Vec<String> = lines(&difference).collect();
    let more = lines.len().saturating_sub(CHANGES);
    lines.truncate(CHANGES);
    if more > 0 {
        lines.push(format!(
            "and {more} more; see policy diff --deployed {}",
            wanted.name.as_str()
        ));
    }
    if lines.is_empty() {
        lines.push("the same is allowed".to_owned());
    }
    lines
}

/// Returns `true` where a policy that allows something would be replaced by one that allows
/// nothing.
fn takes_all_away(deployed: &str, wanted: &WantedDocument) -> bool {
    let allows =
        |text: &str| Document::parse(text).is_ok_and(|document| allows_anything(&[document]));
    allows(deployed) && !allows(wanted.text.as_str())
}

/// Looks, plans and acts.
async fn once(
    plane: &ControlPlane,
    shutdown: &Shutdown,
    item: &WantedPolicy,
    command: &ApplyCommand,
    outcome: &mut ItemOutcome,
) -> Result<(), ControlError> {
    let WantedPolicy { place, wanted } = item;
    let (current, deployed) = look::before_apply(plane, wanted).await?.unzip();
    let steps = plan::apply(wanted, current.as_ref());
    if let Some(deployed) = deployed.filter(|_| steps.contains(&DeployStep::CreateVersion)) {
        outcome.changes = differences(&deployed, wanted);
        if !command.allow_empty && takes_all_away(&deployed, wanted) {
            let what = "the new document allows nothing, and the deployed one does";
            let help = "give --allow-empty where that is meant; to take permissions back, use policy revoke";
            let name = wanted.name.as_str();
            outcome
                .failures
                .push(*place.failure(name, name, what.to_owned(), help));
            return Ok(());
        }
    }
    if command.changes.dry_run {
        outcome.steps = steps
            .iter()
            .map(|step| CompletedStep::step(step, None))
            .collect();
        return Ok(());
    }
    let (name, document) = (wanted.name.as_str(), wanted.text.as_str());
    take(plane, shutdown, (name, document), &steps, place, outcome).await
}
