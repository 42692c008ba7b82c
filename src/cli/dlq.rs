//! `eventcast dlq`: messages that could not be published. They are looked at, sent back once the
//! reason is gone, or deleted.

mod filter;
mod list;
mod pace;
mod purge;
mod replay;
mod show;
mod walk;

use std::io::Write;

use clap::{Args, Subcommand};

use self::list::{ListCommand, list};
use self::purge::{PurgeCommand, purge};
use self::replay::{ReplayCommand, replay};
use self::show::{ShowMessageCommand, show};
use super::Status;
use super::configuration::Configuration;
use super::endpoint_variables;
use super::runtime::block_on;
use crate::aws::client;
use crate::aws::dead_letter_queue::DeadLetterQueue;
use crate::cli::user_error::write_error;
use crate::config::Config;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
The permissions that these commands need: `eventcast policy generate --for dlq`, or `--for dlq-read` for list and show.

Examples:
  eventcast dlq list
  eventcast dlq show 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11
  eventcast dlq replay --route order-updates --dry-run
  eventcast dlq purge --reason not_an_event --older-than 7d --yes

`eventcast dlq COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Count dead-letter messages by reason and route, and list their ids
    #[command(after_help = "\
Messages are hidden from others while they are looked at, and made visible again at the end; a process that is killed \
leaves them hidden for two minutes, or longer where there are many. Messages without a reason of eventcast's were \
moved by a queue's own redrive: their reason is `redrive`. Those in the dead-letter queue of a rule's target have the \
reason `undelivered`: EventBridge could not send them to the queue. --dead-letter-queue names that queue.

Examples:
  eventcast dlq list
  eventcast dlq list --reason template_missing --limit 100
  eventcast dlq list --newer-than 1h --format json

Exit status: 0 answered, 2 the configuration is not right or there is no such reason or route, 3 failed or interrupted.")]
    List(ListCommand),
    /// Show one dead-letter message whole
    #[command(after_help = "\
Examples:
  eventcast dlq show 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11
  eventcast dlq show 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11 --format json

Exit status: 0 shown, 1 no message has the id, 2 the configuration is not right, 3 failed or interrupted.")]
    Show(ShowMessageCommand),
    /// Send dead-letter messages back to the queue they came from
    #[command(after_help = "\
A message leaves the dead-letter queue only after the queue has taken it; whatever interrupts this, none is lost, and at \
worst one comes twice. Messages that arrive after the start are left, so that what fails again does not go round for ever. \
Those that were replayed and are dead-lettered again within --watch are reported.

Examples:
  eventcast dlq replay --reason template_missing --dry-run
  eventcast dlq replay --route order-updates --newer-than 2h --rate 20
  eventcast dlq replay --id 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11

Exit status: 0 all that were asked for are sent and none came back, 2 the configuration is not right or there is no such \
reason or route, 3 some stayed or came back, or it was interrupted.")]
    Replay(ReplayCommand),
    /// Delete dead-letter messages
    #[command(after_help = "\
Messages that arrive after the start are left. An interruption leaves what is not deleted yet.

Examples:
  eventcast dlq purge --reason not_an_event --dry-run
  eventcast dlq purge --reason not_an_event --older-than 7d --yes

Exit status: 0 all that were asked for are deleted, 2 the configuration is not right or there is no such reason or route, \
3 some stayed, or it was interrupted.")]
    Purge(PurgeCommand),
}

#[derive(Debug, Args)]
struct QueueArguments {
    #[command(flatten)]
    configuration: Configuration,
    /// URL of the dead-letter queue, instead of the configuration's
    #[arg(long, value_name = "URL")]
    dead_letter_queue: Option<String>,
}

/// The queues of a command, and the configuration where one was read.
struct TakenQueues {
    dead_letter_queue: DeadLetterQueue,
    /// URL of the queue that messages are sent back to; empty for commands that send none.
    queue: String,
    config: Option<Config>,
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if !endpoint_variables::are_usable(messages)? {
        return Ok(Status::CannotAnswer);
    }
    let (Command::List(ListCommand { queues, .. })
    | Command::Show(ShowMessageCommand { queues, .. })
    | Command::Replay(ReplayCommand { queues, .. })
    | Command::Purge(PurgeCommand { queues, .. })) = command;
    let queue = match command {
        Command::Replay(replay) => Some(&replay.queue),
        Command::List(_) | Command::Show(_) | Command::Purge(_) => None,
    };
    let Some((dead_letter_queue, queue, config)) = urls(queues, queue, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    block_on(async {
        let aws = client::environment().await;
        let taken = TakenQueues {
            dead_letter_queue: DeadLetterQueue::new(&aws, dead_letter_queue),
            queue,
            config,
        };
        match command {
            Command::List(command) => list(command, &taken, out, messages).await,
            Command::Show(command) => show(command, &taken.dead_letter_queue, out, messages).await,
            Command::Replay(command) => replay(command, &taken, out, messages).await,
            Command::Purge(command) => purge(command, &taken, out, messages).await,
        }
    })?
}

/// The dead-letter queue's URL, the queue's where one is asked for, and the configuration. Flags
/// come before the configuration, which may be absent when they name all.
fn urls(
    queues: &QueueArguments,
    queue: Option<&Option<String>>,
    messages: &mut impl Write,
) -> anyhow::Result<Option<(String, String, Option<Config>)>> {
    let mut dead_letter_queue = queues.dead_letter_queue.clone();
    let mut target = queue.map_or_else(|| Some(String::new()), Clone::clone);
    let config;
    if dead_letter_queue.is_some() && target.is_some() {
        // Only names of routes are looked up in it: an absent or faulty one does not matter.
        config = queues.configuration.read_checked(&mut std::io::sink())?;
    } else {
        config = queues.configuration.read_checked(messages)?;
        let Some(config) = &config else {
            return Ok(None);
        };
        dead_letter_queue = dead_letter_queue.or_else(|| config.bridge.dead_letter_queue.clone());
        target = target.or_else(|| config.bridge.queue.clone());
    }
    let file = queues.configuration.file.display();
    for (key, flag, url) in [
        ("dead_letter_queue", "dead-letter-queue", &dead_letter_queue),
        ("queue", "queue", &target),
    ] {
        if url.is_none() {
            write_error(
                messages,
                format_args!("{file}: `bridge.{key}` is not set"),
                format_args!("set it there, or name the queue with --{flag}"),
            )?;
        }
    }
    let both = dead_letter_queue.zip(target);
    Ok(both.map(|(dead_letter_queue, queue)| (dead_letter_queue, queue, config)))
}
