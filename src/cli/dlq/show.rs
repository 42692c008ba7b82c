//! `eventcast dlq show`: one dead-letter message whole.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::QueueArguments;
use super::walk::QueueWalk;
use crate::aws::dead_letter_queue::{DeadLetterMessage, DeadLetterQueue};
use crate::cli::json::write_json;
use crate::cli::{OutputFormat, Status};
use crate::escape::{escaped, write_line};

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowMessageCommand {
    /// Id of the message: its own, that of the original message, or the event's
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    pub(super) queues: QueueArguments,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

pub(super) async fn show(
    command: &ShowMessageCommand,
    queue: &DeadLetterQueue,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let mut walk = QueueWalk::begin(queue, "looked at", None).await?;
    let mut found = false;
    while !found && let Some(received) = walk.next().await {
        if let Some(message) = received.iter().find(|message| message.has_id(&command.id)) {
            write(message, command.format, out)?;
            found = true;
        }
        walk.hold(received);
    }
    let walked = walk.finish(messages).await?;
    if found {
        return Ok(Status::Yes);
    }
    let id = escaped(&command.id);
    if !walked.complete {
        walked.failure()?;
        write_line(
            messages,
            format_args!("interrupted: `{id}` was not among the messages so far"),
        )?;
        return Ok(Status::Failed);
    }
    write_line(
        messages,
        format_args!(
            "no dead-letter message in {} has the id `{id}`",
            queue.url()
        ),
    )?;
    writeln!(messages, "help: `eventcast dlq list` shows the ids")?;
    Ok(Status::No)
}

#[derive(Serialize)]
struct ShownMessage<'m> {
    id: &'m str,
    event_id: Option<String>,
    message_id: Option<&'m str>,
    sent: Option<Timestamp>,
    reason: &'m str,
    detail: Option<&'m str>,
    route: Option<&'m str>,
    attempt: Option<u32>,
    group: Option<&'m str>,
    body: &'m str,
}

fn write(
    message: &DeadLetterMessage,
    format: OutputFormat,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let shown = ShownMessage {
        id: &message.id,
        event_id: message.event_id(),
        message_id: message.message_id.as_deref(),
        sent: message.sent,
        reason: &message.reason,
        detail: message.detail.as_deref(),
        route: message.route.as_deref(),
        attempt: message.attempt,
        group: message.group.as_deref(),
        body: &message.body,
    };
    if format == OutputFormat::Json {
        write_json(&shown, out)?;
        return Ok(());
    }
    let sent = shown.sent.map(|sent| sent.to_string());
    let attempt = shown.attempt.map(|attempt| attempt.to_string());
    for (name, value) in [
        ("id", Some(shown.id)),
        ("event", shown.event_id.as_deref()),
        ("message", shown.message_id),
        ("sent", sent.as_deref()),
        ("reason", Some(shown.reason)),
        ("detail", shown.detail),
        ("route", shown.route),
        ("attempt", attempt.as_deref()),
        ("group", shown.group),
    ] {
        if let Some(value) = value {
            let name = format!("{name}:");
            write_line(out, format_args!("{name:<9}{value}"))?;
        }
    }
    writeln!(out)?;
    for line in shown.body.lines() {
        write_line(out, format_args!("{line}"))?;
    }
    Ok(())
}
