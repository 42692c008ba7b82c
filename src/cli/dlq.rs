//! `eventcast dlq`: what can never be published, and sending it back once the reason is gone.

mod list;
mod replay;

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use jiff::Timestamp;

use self::list::{List, list};
use self::replay::{Replay, replay};
use super::Status;
use super::configuration::Configuration;
use super::progress::bar;
use super::runtime::block_on;
use crate::aws::client;
use crate::aws::letters::{Letter, Letters};
use crate::config::duration;
use crate::port::QueueError;

/// For how long letters are hidden from others while they are looked at.
const HIDDEN: Duration = Duration::from_secs(120);

/// The most entries of one batch (SQS API reference).
const PER_BATCH: usize = 10;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast dlq list
  eventcast dlq replay --route order-updates --dry-run

`eventcast dlq COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Count letters by reason and route, or show one in full
    #[command(after_help = "\
Letters are hidden from others while they are counted, and put back. Letters without a reason of eventcast's were \
moved by a queue's own redrive: their reason is `redrive`.

Examples:
  eventcast dlq list
  eventcast dlq list --reason template_missing --format json
  eventcast dlq list --event 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11

Exit status: 0 answered, 1 no letter is of that event, 2 the configuration is not right, 3 failed or interrupted.")]
    List(List),
    /// Send letters back to the queue they came from
    #[command(after_help = "\
A letter leaves the dead-letter queue only after the queue has taken it; whatever interrupts this, none is lost, and at \
worst one comes twice. Letters that arrive after the start are left: what fails again does not go round for ever.

Examples:
  eventcast dlq replay --reason template_missing --dry-run
  eventcast dlq replay --route order-updates --newer-than 2h --rate 20

Exit status: 0 all that were asked for are sent, 2 the configuration is not right, 3 some stayed, or it was interrupted.")]
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Queues {
    #[command(flatten)]
    configuration: Configuration,
    /// URL of the dead-letter queue, instead of the configuration's
    #[arg(long, value_name = "URL")]
    dead_letter_queue: Option<String>,
}

#[derive(Debug, Args)]
struct Filter {
    /// Only letters with this reason (repeatable)
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only letters of this route (repeatable)
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// Only letters sent longer ago than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
    /// Only letters sent since then, such as 2d
    #[arg(long, value_name = "TIME", value_parser = time)]
    newer_than: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 30s, 5m, 1h, 2d is wanted".to_owned())
}

impl Filter {
    fn takes(&self, letter: &Letter, now: Timestamp) -> bool {
        let named = |wanted: &[String], value: Option<&String>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.contains(value))
        };
        let age = letter
            .sent
            .and_then(|sent| Duration::try_from(now.duration_since(sent)).ok())
            .unwrap_or_default();
        named(&self.reason, Some(&letter.reason))
            && named(&self.route, letter.route.as_ref())
            && self.older_than.is_none_or(|bound| age > bound)
            && self.newer_than.is_none_or(|bound| age <= bound)
    }
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let (Command::List(List { queues, .. }) | Command::Replay(Replay { queues, .. })) = command;
    let queue = match command {
        Command::Replay(replay) => Some(&replay.queue),
        Command::List(_) => None,
    };
    let Some((dead_letter_queue, queue)) = urls(queues, queue, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    block_on(async {
        let aws = client::environment().await;
        let letters = Letters::new(&aws, dead_letter_queue.clone());
        match command {
            Command::List(command) => {
                list(command, &dead_letter_queue, &letters, out, messages).await
            }
            Command::Replay(command) => replay(command, &queue, &letters, out, messages).await,
        }
    })?
}

/// The dead-letter queue's URL, and the queue's where one is asked for. Flags come before the configuration, which is not read when
/// they say all.
fn urls(
    queues: &Queues,
    queue: Option<&Option<String>>,
    messages: &mut impl Write,
) -> anyhow::Result<Option<(String, String)>> {
    let mut dead_letter_queue = queues.dead_letter_queue.clone();
    let mut target = queue.map_or_else(|| Some(String::new()), Clone::clone);
    if dead_letter_queue.is_none() || target.is_none() {
        let Some(config) = queues.configuration.read_checked(messages)? else {
            return Ok(None);
        };
        dead_letter_queue = dead_letter_queue.or(config.bridge.dead_letter_queue);
        target = target.or(config.bridge.queue);
    }
    let file = queues.configuration.file.display();
    for (key, flag, url) in [
        ("dead_letter_queue", "dead-letter-queue", &dead_letter_queue),
        ("queue", "queue", &target),
    ] {
        if url.is_none() {
            writeln!(
                messages,
                "error: {file}: `bridge.{key}` is not set\nhelp: set it there, or name the queue with --{flag}"
            )?;
        }
    }
    Ok(dead_letter_queue.zip(target))
}

/// Letters that are hidden and are to be put back.
#[derive(Default)]
struct Held(Vec<Letter>);

impl Held {
    async fn put_back(self, letters: &Letters, messages: &mut impl Write) -> anyhow::Result<()> {
        for batch in self.0.chunks(PER_BATCH) {
            for outcome in letters.put_back(batch).await {
                // Whose time is over is visible already.
                if let Err(error @ (QueueError::Transient { .. } | QueueError::Permanent { .. })) =
                    outcome
                {
                    let seconds = HIDDEN.as_secs();
                    writeln!(
                        messages,
                        "note: {error}; the letter is seen again within {seconds}s"
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// How far one has come among letters, whose number nobody knows exactly.
fn progress(total: u64, doing: &'static str) -> ProgressBar {
    bar(
        total,
        "{wide_bar} {pos} of about {len} {msg}, {eta} to go",
        doing,
    )
}
