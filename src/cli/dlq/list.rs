//! `eventcast dlq list`: dead-letter messages counted by reason and route, and one by one.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::filter::MessageFilter;
use super::walk::QueueWalk;
use super::{QueueArguments, TakenQueues};
use crate::aws::dead_letter_queue::DeadLetterMessage;
use crate::cli::counted::counted;
use crate::cli::json::write_json;
use crate::cli::{OutputFormat, Status};
use crate::escape::write_line;

/// Messages that the text lists one by one, unless --limit says otherwise.
const TEXT_LIMIT: usize = 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListCommand {
    #[command(flatten)]
    pub(super) queues: QueueArguments,
    #[command(flatten)]
    filter: MessageFilter,
    /// Messages that are listed one by one [default: 20; all with --format json]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

#[derive(Debug, Default, Serialize)]
struct MessageGroup {
    reason: String,
    route: Option<String>,
    count: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

impl MessageGroup {
    fn add(&mut self, message: &DeadLetterMessage) {
        self.reason.clone_from(&message.reason);
        self.route.clone_from(&message.route);
        self.count += 1;
        let both = |known: Option<Timestamp>, pick: fn(Timestamp, Timestamp) -> Timestamp| {
            known
                .zip(message.sent)
                .map(|(a, b)| pick(a, b))
                .or(message.sent)
        };
        self.oldest = both(self.oldest, Timestamp::min);
        self.newest = both(self.newest, Timestamp::max);
    }
}

/// A message in one line: `eventcast dlq show` takes any of its ids.
#[derive(Debug, Serialize)]
struct ListedMessage {
    id: String,
    event_id: Option<String>,
    message_id: Option<String>,
    reason: String,
    route: Option<String>,
    detail: Option<String>,
    attempt: Option<u32>,
    sent: Option<Timestamp>,
}

impl ListedMessage {
    fn new(message: &DeadLetterMessage) -> Self {
        Self {
            id: message.id.clone(),
            event_id: message.event_id(),
            message_id: message.message_id.clone(),
            reason: message.reason.clone(),
            route: message.route.clone(),
            detail: message.detail.clone(),
            attempt: message.attempt,
            sent: message.sent,
        }
    }
}

#[derive(Serialize)]
struct MessageListing<'s> {
    queue: &'s str,
    /// All that the filter takes, listed or not.
    count: u64,
    groups: Vec<MessageGroup>,
    messages: Vec<ListedMessage>,
    /// `false` when it was interrupted.
    complete: bool,
}

pub(super) async fn list(
    command: &ListCommand,
    queues: &TakenQueues,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let queue = &queues.dead_letter_queue;
    let mut walk = QueueWalk::begin(queue, "looked at", None).await?;
    let now = Timestamp::now();
    let limit = command.limit.unwrap_or(match command.format {
        OutputFormat::Text => TEXT_LIMIT,
        OutputFormat::Json => usize::MAX,
    });
    let mut groups: BTreeMap<(String, Option<String>), MessageGroup> = BTreeMap::new();
    let mut listed = Vec::new();
    while let Some(received) = walk.next().await {
        for message in &received {
            if command.filter.takes(message, now) {
                let key = (message.reason.clone(), message.route.clone());
                groups.entry(key).or_default().add(message);
                if listed.len() < limit {
                    listed.push(ListedMessage::new(message));
                }
            }
        }
        walk.hold(received);
    }
    let names = std::mem::take(&mut walk.names);
    let walked = walk.finish(messages).await?;
    let groups: Vec<MessageGroup> = groups.into_values().collect();
    let listing = MessageListing {
        queue: queue.url(),
        count: groups.iter().map(|group| group.count).sum(),
        groups,
        messages: listed,
        complete: walked.complete,
    };
    // An absent name cannot be listed: an unknown name is an error, not an empty list.
    let unknown = walked.complete
        && (command.filter).report_unknown(&names, queues.config.as_ref(), messages)?;
    if unknown && listing.count == 0 {
        return Ok(Status::CannotAnswer);
    }
    if command.format == OutputFormat::Json {
        write_json(&listing, out)?;
    } else {
        write_text(&listing, now, out)?;
    }
    if !walked.complete {
        walked.failure()?;
        writeln!(messages, "interrupted: not all messages were looked at")?;
        return Ok(Status::Failed);
    }
    Ok(if unknown {
        Status::CannotAnswer
    } else {
        Status::Yes
    })
}

fn write_text(
    listing: &MessageListing<'_>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let age = |time: Option<Timestamp>| {
        let age = time.and_then(|time| Duration::try_from(now.duration_since(time)).ok());
        age.map_or_else(|| "-".into(), |age| in_words(age.as_secs()))
    };
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    if listing.count > 0 {
        let header = ["REASON", "ROUTE", "COUNT", "OLDEST", "NEWEST"].map(str::to_owned);
        let rows = listing.groups.iter().map(|group| {
            [
                group.reason.clone(),
                or_dash(&group.route),
                group.count.to_string(),
                age(group.oldest),
                age(group.newest),
            ]
        });
        table(&[header].into_iter().chain(rows).collect::<Vec<_>>(), out)?;
        writeln!(out)?;
    }
    if !listing.messages.is_empty() {
        let header = ["ID", "EVENT", "REASON", "ROUTE", "AGE"].map(str::to_owned);
        let rows = listing.messages.iter().map(|message| {
            [
                message.id.clone(),
                or_dash(&message.event_id),
                message.reason.clone(),
                or_dash(&message.route),
                age(message.sent),
            ]
        });
        table(&[header].into_iter().chain(rows).collect::<Vec<_>>(), out)?;
        let more = listing.count - listing.messages.len() as u64;
        if more > 0 {
            write_line(
                out,
                format_args!("and {more} more; --limit {} shows them", listing.count),
            )?;
        }
        writeln!(out)?;
    }
    let number = counted(listing.count, "dead-letter message");
    write_line(out, format_args!("{number} in {}", listing.queue))?;
    Ok(())
}

/// Writes rows with their columns one below the other.
fn table<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        write_line(out, format_args!("{}", cells.join("  ").trim_end()))?;
    }
    Ok(())
}

/// A time in its two largest units.
fn in_words(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        assert_eq!(in_words(9), "9s");
        assert_eq!(in_words(65), "1m 5s");
        assert_eq!(in_words(3_700), "1h 1m");
        assert_eq!(in_words(90_000), "1d 1h");
    }
}
