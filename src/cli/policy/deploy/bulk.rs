//! The frame of every change: requests are checked, sorted by the journal, worked on, reported, and
//! become an exit status.
//!
//! It knows no step of any change: [`BulkChange`] says what is done to an item. Nothing is written
//! before the journal, where there is one, could be opened.

use std::io::Write;
use std::path::Path;

use super::journal::{Journal, JournalHeading};
use super::list::{ListPosition, UnreadableList};
use super::report::{DeployReport, ItemFailure, ItemOutcome, cannot_answer};
use super::{AwsAccess, ChangeOptions, run, stop};
use crate::aws::caller;
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::ControlError;
use crate::cli::Status;
use crate::cli::endpoint_variables;
use crate::escape::write_line;
use crate::policy::deploy::target::AttachmentTarget;
use crate::shutdown::Shutdown;

/// The items that a command was asked for: for each line, an item or what is wrong with it.
pub(super) type RequestedItems<I> = Vec<Result<I, Box<ItemFailure>>>;

/// One unit of a change: the work on one policy.
pub(super) trait BulkItem {
    /// The policy's name; empty where there is none.
    fn name(&self) -> &str;

    /// The place where it was asked for.
    fn place(&self) -> &ListPosition;

    /// The targets that it names.
    fn targets(&self) -> impl Iterator<Item = &AttachmentTarget>;
}

/// One kind of change.
pub(super) trait BulkChange {
    /// The unit that it works on.
    type Item: BulkItem;

    /// The command, as a journal knows it.
    const COMMAND: &'static str;

    /// The time at which it takes effect, for commands that report it.
    const EFFECT: Option<&'static str>;

    /// Opens the other things that it needs, given the requests.
    async fn prepare(
        &mut self,
        access: &AwsAccess,
        asked: &RequestedItems<Self::Item>,
    ) -> Result<(), ControlError>;

    /// The key by which a journal identifies an item.
    fn key(&self, item: &Self::Item) -> String;

    /// Sees to one item.
    async fn make(
        &self,
        plane: &ControlPlane,
        shutdown: &Shutdown,
        item: Self::Item,
    ) -> ItemOutcome;
}

/// Makes a change of every item asked for. With `listed`, a bad line is reported and left out. A
/// command line with a fault ends the command.
pub(super) async fn run<C: BulkChange>(
    mut change: C,
    changes: &ChangeOptions,
    asked: RequestedItems<C::Item>,
    listed: bool,
    (out, messages): (&mut impl Write, &mut impl Write),
) -> anyhow::Result<Status> {
    if !endpoint_variables::are_usable(messages)? {
        return Ok(Status::CannotAnswer);
    }
    let access = match AwsAccess::open(changes.rate).await {
        Ok(access) => access,
        Err(error) => return stop(&error, Status::CannotAnswer, messages),
    };
    let region = access.plane.region();
    let asked: RequestedItems<C::Item> = asked
        .into_iter()
        .map(|item| item.and_then(|item| here(item, region)))
        .collect();
    if let (false, Some(Err(failure))) = (listed, asked.first()) {
        failure.write(messages)?;
        return Ok(Status::CannotAnswer);
    }
    if let Err(error) = change.prepare(&access, &asked).await {
        return stop(&error, Status::Failed, messages);
    }
    carry_out(&change, changes, &access, asked, (out, messages)).await
}

/// Works on the items that are left, and reports.
async fn carry_out<C: BulkChange>(
    change: &C,
    changes: &ChangeOptions,
    access: &AwsAccess,
    asked: RequestedItems<C::Item>,
    (out, messages): (&mut impl Write, &mut impl Write),
) -> anyhow::Result<Status> {
    let region = access.plane.region();
    let journal = match &changes.journal {
        None => None,
        Some(path) => match caller::account(&access.aws, &access.plane).await {
            Err(error) => return stop(&error, Status::Failed, messages),
            Ok(account) => match open(path, changes.dry_run, C::COMMAND, account, region) {
                Err(why) => return cannot_answer(&why, messages),
                Ok(journal) => journal,
            },
        },
    };
    let mut report = DeployReport {
        region: region.to_owned(),
        dry_run: changes.dry_run,
        asked: asked.len() as u64,
        ..DeployReport::default()
    };
    let known = |item: &C::Item| {
        let journal = journal.as_ref();
        journal.is_some_and(|journal| journal.has(&change.key(item)))
    };
    let items = sort(asked, known, &mut report, messages)?;
    let shutdown = Shutdown::default();
    let work = |item| change.make(&access.plane, &shutdown, item);
    let told = (changes.format, &mut *out, &mut *messages);
    run::all(items, &shutdown, work, journal, &mut report, told).await?;
    report.calls = access.plane.calls_made().into_iter().collect();
    // Nothing takes effect where nothing was changed.
    report.effect = C::EFFECT.filter(|_| report.has_changed());
    let status = report.finish(changes.format, out)?;
    if let Some(effect) = report.effect {
        write_line(messages, format_args!("note: {effect}"))?;
    }
    Ok(status)
}

/// An item whose targets are in the Region: policies are attached within one.
fn here<I: BulkItem>(item: I, region: &str) -> Result<I, Box<ItemFailure>> {
    let elsewhere = item.targets().find(|target| target.region() != region);
    let Some(target) = elsewhere else {
        return Ok(item);
    };
    let what = format!("the target `{target}` is not in the Region `{region}`");
    let help = "set AWS_REGION to the target's Region: a policy is attached within its own";
    Err(item
        .place()
        .failure(item.name(), target.as_str(), what, help))
}

fn open(
    path: &Path,
    dry_run: bool,
    command: &str,
    account: String,
    region: &str,
) -> Result<Option<Journal>, UnreadableList> {
    let heading = JournalHeading {
        journal: command.to_owned(),
        account,
        region: region.to_owned(),
    };
    Journal::open(path, &heading, dry_run)
}

/// The work that is left: items that the journal has are skipped, faults are reported.
fn sort<I>(
    asked: RequestedItems<I>,
    known: impl Fn(&I) -> bool,
    report: &mut DeployReport,
    messages: &mut impl Write,
) -> anyhow::Result<Vec<I>> {
    let mut items = Vec::new();
    for item in asked {
        match item {
            Ok(item) if known(&item) => report.count("skipped", 1),
            Ok(item) => items.push(item),
            Err(failure) => {
                report.count("failed", 1);
                report.fail(*failure, messages)?;
            }
        }
    }
    Ok(items)
}
