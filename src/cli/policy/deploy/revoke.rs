//! `eventcast policy revoke`: policies are detached and deleted, and live connections ended.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use super::bulk::{self, BulkChange, BulkItem as _, RequestedItems};
use super::list::{ListPosition, ListRow};
use super::report::{CompletedStep, ItemOutcome, cannot_answer};
use super::run::{fail, take};
use super::unwanted::{COLUMNS, RevocationItem, from_list, item};
use super::{AwsAccess, ChangeOptions, list, look};
use crate::aws::connections::LiveConnections;
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::{ControlError, ErrorText};
use crate::aws::endpoint;
use crate::cli::Status;
use crate::cli::runtime::block_on;
use crate::config::duration;
use crate::policy::deploy::plan::{self, PolicyRevocation};
use crate::shutdown::Shutdown;

pub(in crate::cli::policy) const HELP: &str = "\
A policy is detached from the given targets, or from all. With --delete it is deleted with all its versions; IoT Core may need five \
minutes after a detachment before it lets that happen, and --wait says for how long to try.

When it is in force: a change of attached policies after 6 to 8 minutes, for live connections and new ones. Documents of a custom \
authorizer are cached for as long as it said, 300 s at least. --disconnect ends live connections at once, but keeps nobody away: a \
client that may still connect comes back at once. So refuse it at connect first (detach its policy, or have the authorizer refuse \
its token), and end its connection once more when those times are over.

A list is a CSV file with the columns name,targets,disconnect (several separated by spaces), or JSON lines with those keys (arrays). \
No targets means all of them. A `policy` column is ignored, so that the list used for `apply` can be reused.

Examples:
  eventcast policy revoke --name driver --disconnect driver-17 \\
      --target eu-west-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11
  eventcast policy revoke --name driver --delete --dry-run
  eventcast policy revoke --disconnect driver-17 --clean-session
  eventcast policy revoke --from left.csv --delete --journal left.journal

Exit status: 0 all is as asked for, 2 the question is not right (nothing was called), 3 some failed, or it was interrupted.";

/// The time at which a revocation takes effect, as AWS documents it (developer guide, "AWS IoT Core
/// policies" and "Defining your Lambda function").
const EFFECT: &str = "changes of attached policies are in force after 6 to 8 minutes, documents of a custom authorizer for 300 s or as long as it said; until then a client may connect again: end its connection once more after that, or refuse it at connect";

/// The rounds of looking and acting while others change the same policy.
const ROUNDS: usize = 3;

/// First and longest pause between attempts to delete a policy that is held.
const HELD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeCommand {
    /// The policy's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Detach it from this certificate, thing group (ARNs) or Cognito identity (id) only (repeatable)
    #[arg(long, value_name = "TARGET", requires = "name")]
    target: Vec<String>,
    /// Delete policies as well, with all their versions
    #[arg(long)]
    delete: bool,
    /// End this client's live connection afterwards (repeatable)
    #[arg(long, value_name = "CLIENT_ID", required_unless_present_any = ["name", "from"])]
    disconnect: Vec<String>,
    /// Delete the sessions of ended connections, with subscriptions and what is queued
    #[arg(long)]
    clean_session: bool,
    /// Do not publish the wills of ended connections
    #[arg(long)]
    prevent_will: bool,
    /// The data plane's address, instead of asking IoT Core for it
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A list instead: a file that ends with .csv or .jsonl
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "target", "disconnect"])]
    from: Option<PathBuf>,
    /// For how long to try to delete a policy that was detached a moment ago
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    wait: Duration,
    #[command(flatten)]
    changes: ChangeOptions,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 30s, 5m is wanted".to_owned())
}

/// Runs the command.
pub(in crate::cli::policy) fn run(
    command: &RevokeCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let asked = match &command.from {
        Some(path) => match list::read(path, COLUMNS) {
            Ok(rows) => from_list(rows, command.delete),
            Err(why) => return cannot_answer(&why, messages),
        },
        None => {
            let row = ListRow {
                name: command.name.clone().unwrap_or_default(),
                targets: command.target.clone(),
                disconnect: command.disconnect.clone(),
                ..ListRow::default()
            };
            match item(&row, command.delete) {
                Ok(item) => vec![Ok(item)],
                Err(failure) => {
                    failure.write(messages)?;
                    return Ok(Status::CannotAnswer);
                }
            }
        }
    };
    let revoking = RevokeChange {
        command,
        connections: None,
    };
    let listed = command.from.is_some();
    let told = (out, messages);
    block_on(bulk::run(revoking, &command.changes, asked, listed, told))?
}

/// A revocation under way.
struct RevokeChange<'c> {
    command: &'c RevokeCommand,
    /// The API that ends connections, if any are to end.
    connections: Option<LiveConnections>,
}

impl BulkChange for RevokeChange<'_> {
    type Item = RevocationItem;

    const COMMAND: &'static str = "policy revoke";
    const EFFECT: Option<&'static str> = Some(EFFECT);

    async fn prepare(
        &mut self,
        access: &AwsAccess,
        asked: &RequestedItems<RevocationItem>,
    ) -> Result<(), ControlError> {
        let mut items = asked.iter().flatten();
        if !self.command.changes.dry_run && items.any(|item| !item.disconnect.is_empty()) {
            self.connections = Some(connections(self.command, access).await?);
        }
        Ok(())
    }

    fn key(&self, item: &RevocationItem) -> String {
        let command = self.command;
        let sessions = (command.clean_session, command.prevent_will);
        item.key(command.delete, sessions)
    }

    async fn make(
        &self,
        plane: &ControlPlane,
        shutdown: &Shutdown,
        item: RevocationItem,
    ) -> ItemOutcome {
        let mut outcome = ItemOutcome {
            name: item.name().to_owned(),
            line: item.place.line,
            key: Some(self.key(&item)),
            ..ItemOutcome::default()
        };
        if let Some(revocation) = &item.revocation {
            let asked = (revocation, &item.place);
            take_back(self.command, plane, shutdown, asked, &mut outcome).await;
        }
        // A client that is still allowed to connect would be back at once.
        if outcome.failures.is_empty() && outcome.hopeless.is_none() && !outcome.interrupted {
            self.disconnect(&item, &mut outcome).await;
        }
        outcome
    }
}

impl RevokeChange<'_> {
    /// Ends the connections of an item's clients, or reports that they would be ended.
    async fn disconnect(&self, item: &RevocationItem, outcome: &mut ItemOutcome) {
        let (clean, quiet) = (self.command.clean_session, self.command.prevent_will);
        for client in &item.disconnect {
            let done = CompletedStep::Disconnect {
                client: client.clone(),
            };
            let Some(connections) = &self.connections else {
                outcome.steps.push(done);
                continue;
            };
            match connections.end(client, clean, quiet).await {
                Ok(true) => outcome.steps.push(done),
                Ok(false) => {
                    let note = format!("client `{client}` was not connected");
                    outcome.notes.push(note);
                }
                Err(error) => fail(error, item.name(), client, &item.place, outcome),
            }
        }
    }
}

/// Opens the API that ends connections.
async fn connections(
    command: &RevokeCommand,
    access: &AwsAccess,
) -> Result<LiveConnections, ControlError> {
    let endpoint = match command.endpoint.as_deref().or(access.aws.endpoint_url()) {
        Some(endpoint) => endpoint.to_owned(),
        None => {
            let host = endpoint::describe(&access.aws).await.map_err(|error| {
                ControlError::Unavailable(ErrorText {
                    what: error.to_string(),
                    help: "give the data plane's address with --endpoint".into(),
                })
            })?;
            format!("https://{host}")
        }
    };
    Ok(LiveConnections::new(&access.aws, &endpoint, &access.plane))
}

/// Detaches and deletes, and waits where IoT Core says that it is too early.
async fn take_back(
    command: &RevokeCommand,
    plane: &ControlPlane,
    shutdown: &Shutdown,
    (revocation, place): (&PolicyRevocation, &ListPosition),
    outcome: &mut ItemOutcome,
) {
    let name = revocation.name.as_str();
    let deadline = Instant::now() + command.wait;
    let (mut round, mut held) = (0, HELD.0);
    loop {
        round += 1;
        let error = match once(command, plane, shutdown, (revocation, place), outcome).await {
            Ok(()) => return,
            Err(error) => error,
        };
        outcome.failures.clear();
        match error {
            ControlError::Outdated(_) if round < ROUNDS => {}
            ControlError::Held(_) if Instant::now() + held <= deadline => {
                tokio::select! {
                    () = sleep(held) => held = (held * 2).min(HELD.1),
                    _ = shutdown.draining() => {
                        outcome.interrupted = true;
                        return;
                    }
                }
            }
            error => return fail(error, name, name, place, outcome),
        }
    }
}

/// Looks, plans and acts.
async fn once(
    command: &RevokeCommand,
    plane: &ControlPlane,
    shutdown: &Shutdown,
    (revocation, place): (&PolicyRevocation, &ListPosition),
    outcome: &mut ItemOutcome,
) -> Result<(), ControlError> {
    let name = revocation.name.as_str();
    let current = look::before_revoke(plane, revocation).await?;
    if current.is_none() && outcome.steps.is_empty() {
        outcome.notes.push(format!("there is no policy `{name}`"));
    }
    let steps = match plan::revoke(revocation, current.as_ref()) {
        Ok(steps) => steps,
        Err(stays) => {
            let help = "leave out the targets to detach it from all, or do not delete it";
            let failure = place.failure(name, name, stays.to_string(), help);
            outcome.failures.push(*failure);
            return Ok(());
        }
    };
    if command.changes.dry_run {
        outcome.steps = steps
            .iter()
            .map(|step| CompletedStep::step(step, None))
            .collect();
        return Ok(());
    }
    take(plane, shutdown, (name, ""), &steps, place, outcome).await
}
