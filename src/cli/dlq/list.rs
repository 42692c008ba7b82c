//! `eventcast dlq list`: letters counted by reason and route, or one in full.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::signal::ctrl_c;

use super::{Filter, HIDDEN, Held, Queues, progress};
use crate::aws::letters::{Letter, Letters};
use crate::cli::json::write_json;
use crate::cli::{Format, Status};

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    pub(super) queues: Queues,
    #[command(flatten)]
    filter: Filter,
    /// Show one letter in full: by the event's id, the message's, or the letter's own
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Default, Serialize)]
struct Group {
    reason: String,
    route: Option<String>,
    count: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

impl Group {
    fn add(&mut self, letter: &Letter) {
        self.reason.clone_from(&letter.reason);
        self.route.clone_from(&letter.route);
        self.count += 1;
        let both = |known: Option<Timestamp>, pick: fn(Timestamp, Timestamp) -> Timestamp| {
            known
                .zip(letter.sent)
                .map(|(a, b)| pick(a, b))
                .or(letter.sent)
        };
        self.oldest = both(self.oldest, Timestamp::min);
        self.newest = both(self.newest, Timestamp::max);
    }
}

#[derive(Serialize)]
struct Summary<'s> {
    queue: &'s str,
    letters: u64,
    groups: Vec<Group>,
    /// False when it was interrupted.
    complete: bool,
}

pub(super) async fn list(
    command: &List,
    queue: &str,
    letters: &Letters,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let progress = progress(letters.count().await?, "looked at");
    let mut held = Held::default();
    let mut seen = HashSet::new();
    let mut groups: BTreeMap<(String, Option<String>), Group> = BTreeMap::new();
    let mut found = None;
    let now = Timestamp::now();
    let mut failure = None;
    let interrupt = ctrl_c();
    tokio::pin!(interrupt);
    let complete = loop {
        let taken = tokio::select! {
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
        for letter in taken {
            if seen.insert(letter.id.clone()) && command.filter.takes(&letter, now) {
                let key = (letter.reason.clone(), letter.route.clone());
                groups.entry(key).or_default().add(&letter);
            }
            progress.inc(1);
            held.0.push(letter);
        }
        if let Some(id) = &command.event {
            found = held.0.iter().position(|letter| is_of(letter, id));
        }
        // None is left, or those of the beginning come again.
        if seen.len() == before || found.is_some() {
            break true;
        }
    };
    progress.finish_and_clear();
    let status = match (&command.event, found.and_then(|at| held.0.get(at))) {
        (Some(_), Some(letter)) => {
            show(letter, command.format, out)?;
            Status::Yes
        }
        (Some(id), None) => {
            writeln!(messages, "no letter in {queue} is of `{id}`")?;
            Status::No
        }
        (None, _) => {
            let groups: Vec<Group> = groups.into_values().collect();
            let summary = Summary {
                queue,
                letters: groups.iter().map(|group| group.count).sum(),
                groups,
                complete,
            };
            write_summary(&summary, command.format, now, out)?;
            Status::Yes
        }
    };
    held.put_back(letters, messages).await?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    if !complete {
        writeln!(messages, "interrupted: not all letters were looked at")?;
        return Ok(Status::Failed);
    }
    Ok(status)
}

/// Whether a letter is meant by an id: its own, its message's, or its event's.
fn is_of(letter: &Letter, id: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Event<'e> {
        #[serde(borrow)]
        id: std::borrow::Cow<'e, str>,
    }
    letter.id == id
        || letter.message_id.as_deref() == Some(id)
        || serde_json::from_str::<Event<'_>>(&letter.body).is_ok_and(|event| event.id == id)
}

#[derive(Serialize)]
struct Shown<'l> {
    id: &'l str,
    message_id: Option<&'l str>,
    sent: Option<Timestamp>,
    reason: &'l str,
    detail: Option<&'l str>,
    route: Option<&'l str>,
    attempt: Option<u32>,
    group: Option<&'l str>,
    body: &'l str,
}

fn show(letter: &Letter, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    let shown = Shown {
        id: &letter.id,
        message_id: letter.message_id.as_deref(),
        sent: letter.sent,
        reason: &letter.reason,
        detail: letter.detail.as_deref(),
        route: letter.route.as_deref(),
        attempt: letter.attempt,
        group: letter.group.as_deref(),
        body: &letter.body,
    };
    if format == Format::Json {
        write_json(&shown, out)?;
        return Ok(());
    }
    let sent = shown.sent.map(|sent| sent.to_string());
    let attempt = shown.attempt.map(|attempt| attempt.to_string());
    for (name, value) in [
        ("letter", Some(shown.id)),
        ("message", shown.message_id),
        ("sent", sent.as_deref()),
        ("reason", Some(shown.reason)),
        ("detail", shown.detail),
        ("route", shown.route),
        ("attempt", attempt.as_deref()),
        ("group", shown.group),
    ] {
        if let Some(value) = value {
            writeln!(out, "{:<9}{value}", format!("{name}:"))?;
        }
    }
    writeln!(out, "\n{}", shown.body)?;
    Ok(())
}

fn write_summary(
    summary: &Summary<'_>,
    format: Format,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if format == Format::Json {
        write_json(summary, out)?;
        return Ok(());
    }
    let age = |time: Option<Timestamp>| {
        let age = time.and_then(|time| Duration::try_from(now.duration_since(time)).ok());
        age.map_or_else(|| "-".into(), |age| in_words(age.as_secs()))
    };
    let mut rows = vec![["REASON", "ROUTE", "COUNT", "OLDEST", "NEWEST"].map(str::to_owned)];
    rows.extend(summary.groups.iter().map(|group| {
        [
            group.reason.clone(),
            group.route.clone().unwrap_or_else(|| "-".into()),
            group.count.to_string(),
            age(group.oldest),
            age(group.newest),
        ]
    }));
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    if summary.letters > 0 {
        for row in &rows {
            let cells = row.iter().zip(widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
    }
    writeln!(out, "{} letters in {}", summary.letters, summary.queue)?;
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
