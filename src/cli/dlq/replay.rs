//! `eventcast dlq replay`: letters go back to the queue they came from.

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::signal::ctrl_c;
use tokio::time::{Instant, sleep_until};

use super::{Filter, HIDDEN, Held, Queues, progress};
use crate::aws::letters::{Letter, Letters};
use crate::cli::json::write_json;
use crate::cli::{Format, Status};

#[derive(Debug, Args)]
pub(in crate::cli) struct Replay {
    #[command(flatten)]
    pub(super) queues: Queues,
    /// URL of the queue to send to, instead of the configuration's
    #[arg(long, value_name = "URL")]
    pub(super) queue: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Letters a second at most
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Only tell what would be sent
    #[arg(long)]
    dry_run: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What replaying came to.
#[derive(Debug, Default, Serialize)]
struct Replayed {
    /// Taken by the queue and gone from the dead-letter queue; with --dry-run, those that would be.
    replayed: u64,
    /// Not asked for.
    left: u64,
    /// Not taken by the queue: they stay.
    failed: u64,
    /// Taken by the queue, but not deleted: they may come twice.
    possible_duplicates: u64,
    dry_run: bool,
    /// False when it was interrupted.
    complete: bool,
}

pub(super) async fn replay(
    command: &Replay,
    queue: &str,
    letters: &Letters,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let progress = progress(letters.count().await?, "replayed");
    let started = Timestamp::now();
    let mut held = Held::default();
    let mut seen = HashSet::new();
    let mut done = Replayed {
        dry_run: command.dry_run,
        ..Replayed::default()
    };
    let mut next = Instant::now();
    let mut failure = None;
    let interrupt = ctrl_c();
    tokio::pin!(interrupt);
    done.complete = loop {
        let taken = tokio::select! {
            // A letter that was handed out is not lost sight of.
            biased;
            taken = letters.take(HIDDEN) => taken,
            _ = &mut interrupt => break false,
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                failure = Some(error);
                break false;
            }
        };
        let before = seen.len();
        let (wanted, others): (Vec<_>, Vec<_>) = taken.into_iter().partition(|letter| {
            let first = seen.insert(letter.id.clone());
            let known = letter.sent.is_none_or(|sent| sent <= started);
            first && known && command.filter.takes(letter, started)
        });
        progress.inc((wanted.len() + others.len()) as u64);
        done.left += others.len() as u64;
        held.0.extend(others);
        if command.dry_run {
            done.replayed += wanted.len() as u64;
            held.0.extend(wanted);
        } else if !wanted.is_empty() {
            tokio::select! {
                () = sleep_until(next) => {}
                _ = &mut interrupt => {
                    held.0.extend(wanted);
                    break false;
                }
            }
            next = Instant::now() + Duration::from_secs(wanted.len() as u64) / command.rate;
            let stayed = hand_over(wanted, queue, letters, &mut done, messages).await?;
            held.0.extend(stayed);
        }
        if seen.len() == before {
            break true;
        }
    };
    progress.finish_and_clear();
    held.put_back(letters, messages).await?;
    write_replayed(&done, command.format, out)?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    if !done.complete {
        writeln!(messages, "interrupted: what was not replayed stays")?;
    }
    Ok(if done.complete && done.failed == 0 {
        Status::Yes
    } else {
        Status::Failed
    })
}

/// Sends letters, deletes those that were taken, and gives back those that were not.
async fn hand_over(
    wanted: Vec<Letter>,
    queue: &str,
    letters: &Letters,
    done: &mut Replayed,
    messages: &mut impl Write,
) -> anyhow::Result<Vec<Letter>> {
    let outcomes = letters.send_to(queue, &wanted).await;
    let (mut taken, mut stayed) = (Vec::new(), Vec::new());
    for (letter, outcome) in wanted.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => taken.push(letter),
            Err(error) => {
                done.failed += 1;
                writeln!(messages, "error: letter {}: {error}", letter.id)?;
                stayed.push(letter);
            }
        }
    }
    if !taken.is_empty() {
        for (letter, outcome) in taken.iter().zip(letters.delete(&taken).await) {
            done.replayed += 1;
            if let Err(error) = outcome {
                done.possible_duplicates += 1;
                writeln!(
                    messages,
                    "note: letter {} was sent, but {error}: it may come twice",
                    letter.id
                )?;
            }
        }
    }
    Ok(stayed)
}

fn write_replayed(done: &Replayed, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    if format == Format::Json {
        write_json(done, out)?;
        return Ok(());
    }
    let verb = if done.dry_run {
        "would be replayed"
    } else {
        "replayed"
    };
    write!(out, "{} letters {verb}, {} left", done.replayed, done.left)?;
    if done.failed > 0 {
        write!(out, ", {} not taken by the queue", done.failed)?;
    }
    if done.possible_duplicates > 0 {
        write!(out, ", {} may come twice", done.possible_duplicates)?;
    }
    writeln!(out)?;
    Ok(())
}
