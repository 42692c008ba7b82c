//! `eventcast dlq replay`: dead-letter messages go back to the queue they came from.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::filter::{MessageFilter, time};
use super::pace::ReplayPace;
use super::walk::QueueWalk;
use super::{QueueArguments, TakenQueues};
use crate::aws::dead_letter_queue::DeadLetterMessage;
use crate::cli::counted::counted;
use crate::cli::json::write_json;
use crate::cli::{OutputFormat, Status};
use crate::escape::{escaped, write_line};

/// Distance between two looks at the queue while messages may come back.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayCommand {
    #[command(flatten)]
    pub(super) queues: QueueArguments,
    /// URL of the queue to send to, instead of the configuration's
    #[arg(long, value_name = "URL")]
    pub(super) queue: Option<String>,
    #[command(flatten)]
    filter: MessageFilter,
    /// Messages a second at most
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Time for which the dead-letter queue is watched afterwards for messages that come back
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time)]
    watch: Duration,
    /// Only report how many would be sent
    #[arg(long)]
    dry_run: bool,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// Numbers of messages.
#[derive(Debug, Default, Serialize)]
struct ReplayCounts {
    /// Taken by the queue and gone from the dead-letter queue; with --dry-run, those that would be.
    replayed: u64,
    /// Replayed, and dead-lettered again until the end, by reason.
    came_back: BTreeMap<String, u64>,
    /// Not asked for.
    left: u64,
    /// Not taken by the queue: they stay.
    failed: u64,
    /// Taken by the queue, but not deleted: they may come twice.
    possible_duplicates: u64,
    dry_run: bool,
    /// `false` when it was interrupted.
    complete: bool,
}

/// Bodies of replayed messages, by their hashes: a message that dies again has its body and another
/// id.
#[derive(Default)]
struct ReplayedBodies {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl ReplayedBodies {
    fn add(&mut self, message: &DeadLetterMessage) {
        self.hashes.insert(self.hasher.hash_one(&message.body));
    }

    fn has(&self, message: &DeadLetterMessage) -> bool {
        self.hashes.contains(&self.hasher.hash_one(&message.body))
    }
}

pub(super) async fn replay(
    command: &ReplayCommand,
    queues: &TakenQueues,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let queue = &queues.dead_letter_queue;
    let mut walk = QueueWalk::begin(queue, "replayed", Some(command.rate)).await?;
    let started = Timestamp::now();
    let mut pace = ReplayPace::new(command.rate);
    let mut bodies = ReplayedBodies::default();
    let mut done = ReplayCounts {
        dry_run: command.dry_run,
        ..ReplayCounts::default()
    };
    let mut watched_until = None;
    loop {
        let Some(received) = walk.next().await else {
            // At the end of the queue, those that were sent last may still come back.
            let Some(until) = watched_until.filter(|until| Instant::now() < *until) else {
                break;
            };
            let look = (Instant::now() + WATCH_INTERVAL).min(until);
            if walk.go_on() && walk.pause_until(look).await {
                continue;
            }
            break;
        };
        let mut wanted = Vec::new();
        for message in received {
            let known = message.sent.is_none_or(|sent| sent <= started);
            if known && command.filter.takes(&message, started) {
                wanted.push(message);
            } else {
                if !known && bodies.has(&message) {
                    *done.came_back.entry(message.reason.clone()).or_default() += 1;
                } else {
                    done.left += 1;
                }
                walk.hold([message]);
            }
        }
        if command.dry_run {
            done.replayed += wanted.len() as u64;
            walk.hold(wanted);
        } else if !wanted.is_empty() {
            if !walk.pause_until(pace.next(wanted.len())).await {
                walk.hold(wanted);
                continue;
            }
            wanted.iter().for_each(|message| bodies.add(message));
            let stayed = hand_over(wanted, queues, &mut done, messages).await?;
            walk.hold(stayed);
            watched_until = Some(Instant::now() + command.watch);
        }
    }
    let names = std::mem::take(&mut walk.names);
    let walked = walk.finish(messages).await?;
    done.complete = walked.complete;
    write(&done, command.format, out)?;
    walked.failure()?;
    if !done.complete {
        writeln!(messages, "interrupted: what was not replayed stays")?;
        return Ok(Status::Failed);
    }
    if (command.filter).report_unknown(&names, queues.config.as_ref(), messages)? {
        return Ok(Status::CannotAnswer);
    }
    if !done.came_back.is_empty() {
        writeln!(
            messages,
            "help: their cause is still there: `eventcast dlq show ID` has it, and `eventcast routes explain --event FILE` tries the event"
        )?;
    }
    Ok(if done.failed == 0 && done.came_back.is_empty() {
        Status::Yes
    } else {
        Status::Failed
    })
}

/// Sends messages, deletes those that were taken, and returns those that were not.
async fn hand_over(
    wanted: Vec<DeadLetterMessage>,
    queues: &TakenQueues,
    done: &mut ReplayCounts,
    messages: &mut impl Write,
) -> anyhow::Result<Vec<DeadLetterMessage>> {
    let queue = &queues.dead_letter_queue;
    let outcomes = queue.send_to(&queues.queue, &wanted).await;
    let (mut taken, mut stayed) = (Vec::new(), Vec::new());
    for (message, outcome) in wanted.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => taken.push(message),
            Err(error) => {
                done.failed += 1;
                let id = escaped(&message.id);
                write_line(
                    messages,
                    format_args!("error: dead-letter message {id}: {error}"),
                )?;
                stayed.push(message);
            }
        }
    }
    if !taken.is_empty() {
        for (message, outcome) in taken.iter().zip(queue.delete(&taken).await) {
            done.replayed += 1;
            if let Err(error) = outcome {
                done.possible_duplicates += 1;
                let id = escaped(&message.id);
                write_line(
                    messages,
                    format_args!(
                        "note: dead-letter message {id} was sent, but {error}: it may come twice"
                    ),
                )?;
            }
        }
    }
    Ok(stayed)
}

fn write(done: &ReplayCounts, format: OutputFormat, out: &mut impl Write) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        write_json(done, out)?;
        return Ok(());
    }
    let verb = if done.dry_run {
        "would be replayed"
    } else {
        "replayed"
    };
    let number = counted(done.replayed, "dead-letter message");
    write!(out, "{number} {verb}, {} left", done.left)?;
    if !done.came_back.is_empty() {
        let total: u64 = done.came_back.values().sum();
        let reasons = done.came_back.iter();
        let reasons: Vec<String> = reasons
            .map(|(reason, count)| format!("{} {count}", escaped(reason)))
            .collect();
        write!(
            out,
            ", {total} dead-lettered again ({})",
            reasons.join(", ")
        )?;
    }
    if done.failed > 0 {
        write!(out, ", {} not taken by the queue", done.failed)?;
    }
    if done.possible_duplicates > 0 {
        write!(out, ", {} may come twice", done.possible_duplicates)?;
    }
    writeln!(out)?;
    Ok(())
}
