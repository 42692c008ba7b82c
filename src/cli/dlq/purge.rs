//! `eventcast dlq purge`: dead-letter messages are deleted.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::filter::MessageFilter;
use super::pace::ReplayPace;
use super::walk::QueueWalk;
use super::{QueueArguments, TakenQueues};
use crate::aws::dead_letter_queue::DeadLetterMessage;
use crate::cli::counted::counted;
use crate::cli::json::write_json;
use crate::cli::user_error::write_error;
use crate::cli::{OutputFormat, Status};
use crate::escape::{escaped, write_line};

#[derive(Debug, Args)]
pub(in crate::cli) struct PurgeCommand {
    #[command(flatten)]
    pub(super) queues: QueueArguments,
    #[command(flatten)]
    filter: MessageFilter,
    /// Delete them: what is deleted does not come back
    #[arg(long)]
    yes: bool,
    /// Only report how many would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Messages a second at most
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// Numbers of messages.
#[derive(Debug, Default, Serialize)]
struct PurgeCounts {
    /// Deleted; with --dry-run, those that would be.
    purged: u64,
    /// Not asked for.
    left: u64,
    /// Asked for and not deleted: they stay.
    failed: u64,
    dry_run: bool,
    /// `false` when it was interrupted.
    complete: bool,
}

pub(super) async fn purge(
    command: &PurgeCommand,
    queues: &TakenQueues,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if !command.yes && !command.dry_run {
        write_error(
            messages,
            "nothing is purged without --yes",
            "--dry-run reports how many it would be; what is purged does not come back",
        )?;
        return Ok(Status::CannotAnswer);
    }
    let queue = &queues.dead_letter_queue;
    let mut walk = QueueWalk::begin(queue, "purged", Some(command.rate)).await?;
    let started = Timestamp::now();
    let mut pace = ReplayPace::new(command.rate);
    let mut purged = PurgeCounts {
        dry_run: command.dry_run,
        ..PurgeCounts::default()
    };
    while let Some(received) = walk.next().await {
        let (wanted, others): (Vec<_>, Vec<_>) = received.into_iter().partition(|message| {
            // Messages that arrive after the start are left.
            let known = message.sent.is_none_or(|sent| sent <= started);
            known && command.filter.takes(message, started)
        });
        purged.left += others.len() as u64;
        walk.hold(others);
        if command.dry_run {
            purged.purged += wanted.len() as u64;
            walk.hold(wanted);
        } else if !wanted.is_empty() {
            if !walk.pause_until(pace.next(wanted.len())).await {
                walk.hold(wanted);
                continue;
            }
            let stayed = delete(wanted, queues, &mut purged, messages).await?;
            walk.hold(stayed);
        }
    }
    let names = std::mem::take(&mut walk.names);
    let walked = walk.finish(messages).await?;
    purged.complete = walked.complete;
    write(&purged, command.format, out)?;
    walked.failure()?;
    if !purged.complete {
        writeln!(messages, "interrupted: what was not purged stays")?;
        return Ok(Status::Failed);
    }
    if (command.filter).report_unknown(&names, queues.config.as_ref(), messages)? {
        return Ok(Status::CannotAnswer);
    }
    Ok(if purged.failed == 0 {
        Status::Yes
    } else {
        Status::Failed
    })
}

/// Deletes messages, and returns those that stayed.
async fn delete(
    wanted: Vec<DeadLetterMessage>,
    queues: &TakenQueues,
    purged: &mut PurgeCounts,
    messages: &mut impl Write,
) -> anyhow::Result<Vec<DeadLetterMessage>> {
    let outcomes = queues.dead_letter_queue.delete(&wanted).await;
    let mut stayed = Vec::new();
    for (message, outcome) in wanted.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => purged.purged += 1,
            Err(error) => {
                purged.failed += 1;
                let id = escaped(&message.id);
                write_line(
                    messages,
                    format_args!("error: dead-letter message {id}: {error}"),
                )?;
                stayed.push(message);
            }
        }
    }
    Ok(stayed)
}

fn write(purged: &PurgeCounts, format: OutputFormat, out: &mut impl Write) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        write_json(purged, out)?;
        return Ok(());
    }
    let number = counted(purged.purged, "dead-letter message");
    let verb = if purged.dry_run {
        "would be purged"
    } else {
        "purged"
    };
    write!(out, "{number} {verb}, {} left", purged.left)?;
    if purged.failed > 0 {
        write!(out, ", {} not deleted", purged.failed)?;
    }
    writeln!(out)?;
    Ok(())
}
