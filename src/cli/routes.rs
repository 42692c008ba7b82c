//! `eventcast routes check` and `routes explain`: a check of the configuration, and its effect on
//! one event.

#[cfg(feature = "guard")]
mod description;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};
use jiff::Timestamp;

#[cfg(feature = "guard")]
use self::description::{AsyncApi, Types, run_asyncapi, run_types};
use super::configuration::Configuration;
use super::diagnostic::render_in;
use super::input::{INPUT_BYTES, bounded, read, shown};
use super::json::write_json;
use super::terminal::{Palette, is_quiet};
use super::{OutputFormat, Status, counted};
use crate::config::Config;
use crate::config::fault::Severity;
use crate::escape::write_line;
use crate::route::explain::{
    self, EventExplanation, EventFacts, EventOutcome, PublicationFacts, RouteExplanation,
};
use crate::route::table::RouteRefusal;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast routes check
  eventcast routes explain --event event.json

`eventcast routes COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Check the configuration; every fault is reported, with its place
    #[command(after_help = "\
Examples:
  eventcast routes check
  eventcast routes check shop.yaml --format json
  eventcast routes check - < shop.yaml

Exit status: 0 nothing found, 1 findings, 2 the file cannot be read.")]
    Check {
        /// The configuration file, in place of --config; `-` is standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        input: Input,
    },
    /// Explain for one event what every route does with it
    #[command(after_help = "\
Examples:
  eventcast routes explain --event event.json
  aws sqs receive-message --queue-url \"$QUEUE\" --query 'Messages[0].Body' --output text |
    eventcast routes explain --event -
  eventcast routes explain --event event.json --at event --format json

Exit status: 0 something would be published, 1 nothing would, 2 the configuration cannot be read, or \
the body is no event.")]
    Explain {
        #[command(flatten)]
        input: Input,
        /// The event as it is in the queue: JSON text (beginning with `{` or `[`), a file, or `-`
        #[arg(long, value_name = "JSON|FILE|-")]
        event: String,
        /// The moment at which the daemon has the event, for routes with `expires`: `now`, `event`
        /// (the event's own time), or a time such as 2026-11-27T10:00:00Z
        #[arg(long, value_name = "TIME", default_value = "now")]
        at: ExplainTime,
    },
    /// Print what clients may rely on as an AsyncAPI 3.0.0 document
    #[cfg(feature = "guard")]
    #[command(
        name = "asyncapi",
        after_help = "\
Examples:
  eventcast routes asyncapi > asyncapi.json
  eventcast routes asyncapi --manifest realtime.yaml --title \"Shop\" --endpoint HOST
  eventcast routes asyncapi --against origin/main

Exit status: 0 printed, or no change harms subscribers; 1 changes do; 2 the configuration, a manifest \
or the revision cannot be read."
    )]
    AsyncApi(AsyncApi),
    /// Print types of TypeScript for the messages of channels
    #[cfg(feature = "guard")]
    #[command(after_help = "\
Messages are typed by the schemas of manifests; without one, `detail` is unknown.

Examples:
  eventcast routes types --manifest realtime.yaml > channels.d.ts
  eventcast routes types --manifest realtime.yaml --against origin/main --format json

Exit status: 0 printed, or no change harms subscribers; 1 changes do; 2 the configuration, a manifest \
or the revision cannot be read.")]
    Types(Types),
}

/// The moment for which an event is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExplainTime {
    /// The moment of the call.
    Now,
    /// The event's own time, at which nothing is too old.
    Event,
    /// A given time.
    Time(Timestamp),
}

impl std::str::FromStr for ExplainTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "now" => Ok(Self::Now),
            "event" => Ok(Self::Event),
            time => time.parse().map(Self::Time).map_err(|_| {
                "a moment is now, event, or a time such as 2026-11-27T10:00:00Z".into()
            }),
        }
    }
}

impl ExplainTime {
    fn time(self) -> Option<Timestamp> {
        match self {
            Self::Now => Some(Timestamp::now()),
            Self::Event => None,
            Self::Time(time) => Some(time),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Input {
    #[command(flatten)]
    configuration: Configuration,
    /// Format of results
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// Runs a command of this file. `stdin` is standard input unless it is a terminal.
pub(super) fn run(
    command: Command,
    stdin: Option<impl Read>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Check { file, input } => check(file.as_deref(), &input, out, messages),
        Command::Explain { input, event, at } => {
            let body = event_body(&event, stdin);
            explain(&input, body, at, out, messages)
        }
        #[cfg(feature = "guard")]
        Command::AsyncApi(command) => run_asyncapi(&command, out, messages),
        #[cfg(feature = "guard")]
        Command::Types(command) => run_types(&command, out, messages),
    }
}

fn check(
    file: Option<&Path>,
    input: &Input,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(configuration) = input.configuration.with_argument(file, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some((text, loaded)) = configuration.read(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    if input.format == OutputFormat::Json {
        write_json(&loaded.faults, out)?;
    } else {
        for fault in &loaded.faults {
            render_in(Palette::of_output(), fault, &text, out)?;
        }
        let file = shown(&configuration.file);
        let errors = loaded
            .faults
            .iter()
            .filter(|fault| fault.severity == Severity::Error);
        let errors = errors.count();
        let warnings = loaded.faults.len() - errors;
        match &loaded.config {
            Some(_) if warnings == 0 && is_quiet() => {}
            Some(config) if warnings == 0 => {
                let routes = counted(config.routes.len(), "route");
                write_line(out, format_args!("{file}: {routes}, nothing found"))?;
            }
            _ => {
                let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
                write_line(out, format_args!("{file}: {errors}, {warnings}"))?;
            }
        }
    }
    Ok(match loaded.faults.as_slice() {
        [] => Status::Yes,
        _ if loaded.is_unreadable() => Status::CannotAnswer,
        _ => Status::No,
    })
}

/// The message id in place of the queue's.
const MESSAGE_ID: &str = "message-id-of-the-queue";

fn explain(
    input: &Input,
    body: anyhow::Result<Bytes>,
    at: ExplainTime,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = input.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            write_line(messages, format_args!("error: {error:#}"))?;
            writeln!(
                messages,
                "help: give JSON text that begins with `{{`, a file, or - for standard input"
            )?;
            return Ok(Status::CannotAnswer);
        }
    };
    let explanation = match explained(&config, &body, at.time()) {
        Ok(explanation) => explanation,
        Err(refusal) => {
            let reason = refusal.reason;
            write_line(messages, format_args!("error: {refusal}"))?;
            write_line(
                messages,
                format_args!(
                    "help: the daemon sends such a body to the dead-letter queue, with the reason {reason}"
                ),
            )?;
            return Ok(Status::CannotAnswer);
        }
    };
    match input.format {
        OutputFormat::Json => {
            write_json(&explanation, out)?;
        }
        OutputFormat::Text => write_text(&explanation, out)?,
    }
    Ok(if explanation.publishes() {
        Status::Yes
    } else {
        Status::No
    })
}

fn explained(
    config: &Config,
    body: &Bytes,
    at: Option<Timestamp>,
) -> Result<EventExplanation, RouteRefusal> {
    explain::explain(&config.route_table(), body, MESSAGE_ID, at)
}

fn event_body(argument: &str, stdin: Option<impl Read>) -> anyhow::Result<Bytes> {
    if argument == "-" {
        let stdin = stdin.context("standard input is a terminal: no event comes from it")?;
        let body = bounded(stdin, INPUT_BYTES).context("reading the event from standard input")?;
        return Ok(body.into());
    }
    if argument.trim_start().starts_with(['{', '[']) {
        return Ok(Bytes::copy_from_slice(argument.as_bytes()));
    }
    let bytes = read(Path::new(argument), INPUT_BYTES)
        .with_context(|| format!("reading the event `{argument}`"))?;
    Ok(bytes.into())
}

fn write_text(explanation: &EventExplanation, out: &mut impl Write) -> anyhow::Result<()> {
    let EventFacts {
        id,
        source,
        detail_type,
        size_bytes,
        replay,
    } = &explanation.event;
    write_line(
        out,
        format_args!(
            "event {id}: {} from {}, {size_bytes} bytes{}",
            detail_type.as_deref().unwrap_or("(no detail-type)"),
            source.as_deref().unwrap_or("(no source)"),
            if *replay { ", replayed" } else { "" },
        ),
    )?;
    for route in &explanation.routes {
        writeln!(out)?;
        write_route(route, explanation.refused.is_some(), out)?;
    }
    let end = match (&explanation.refused, explanation.outcome) {
        (Some(reason), _) => format!(
            "dead letter: nothing of the event is published: {}: {}",
            reason.reason, reason.detail
        ),
        (None, EventOutcome::Published | EventOutcome::DeadLetter) => return Ok(()),
        (None, EventOutcome::Unrouted) => "deleted: no route takes the event".into(),
        (None, EventOutcome::HeldBack) => {
            "deleted: routes hold back an event that is replayed from an archive".into()
        }
        (None, EventOutcome::NothingToPublish) => "deleted: nothing to publish".into(),
        (None, EventOutcome::Skipped) => {
            "deleted: the routes that take the event are left out (`on_invalid_topic: skip`)".into()
        }
        (None, EventOutcome::Expired) => {
            "deleted: every message is too old now; `--at event` asks as of the event's own time"
                .into()
        }
    };
    writeln!(out)?;
    write_line(out, format_args!("{end}"))?;
    Ok(())
}

/// One route. `withheld` says that the event goes to the dead-letter queue as a whole.
fn write_route(
    route: &RouteExplanation,
    withheld: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let name = &route.route;
    if !route.matches {
        write_line(out, format_args!("{name}: no match"))?;
        for mismatch in &route.mismatches {
            write_line(out, format_args!("  {mismatch}"))?;
        }
        return Ok(());
    }
    let publishes = !route.publications.is_empty();
    let but = if publishes {
        ""
    } else {
        ", but publishes nothing"
    };
    write_line(out, format_args!("{name}: matches{but}"))?;
    for publication in &route.publications {
        write_publication(publication, out)?;
    }
    for target in &route.targets {
        let name = &target.target;
        if let Some(why) = &target.nothing {
            write_line(out, format_args!("  {name}: no message: {why}"))?;
        }
        if let Some(reason) = &target.refused {
            let (word, detail) = (reason.reason, &reason.detail);
            write_line(out, format_args!("  {name}: {word}: {detail}"))?;
        }
        if !publishes && (withheld || route.refused.is_some()) {
            for topic in &target.topics {
                write_line(out, format_args!("  {name}: {topic} is withheld"))?;
            }
        }
    }
    let of_target = route.targets.iter().any(|target| target.refused.is_some());
    if let Some(reason) = route.refused.as_ref().filter(|_| !of_target) {
        write_line(out, format_args!("  {}: {}", reason.reason, reason.detail))?;
    }
    Ok(())
}

fn write_publication(publication: &PublicationFacts, out: &mut impl Write) -> anyhow::Result<()> {
    let retain = if publication.retain { ", retained" } else { "" };
    let expires = match publication.expires_seconds {
        None => String::new(),
        Some(seconds) if publication.expired => {
            format!(", expired: it was worth delivering for {seconds}s")
        }
        Some(seconds) => format!(", expires after {seconds}s"),
    };
    let oversize = publication
        .oversize
        .map_or_else(String::new, |how| format!(", too large: sent as {how}"));
    write_line(
        out,
        format_args!(
            "  -> {}  {} bytes, qos {}{retain}{expires}{oversize}, {}",
            publication.topic, publication.size_bytes, publication.qos, publication.content_type
        ),
    )?;
    let order = match publication.order {
        None => return Ok(()),
        Some("strict") => "order strict: one is unacknowledged at a time, nothing overtakes it",
        Some("pipelined") => {
            "order pipelined: what follows a message that failed may be out already"
        }
        Some(_) => "order none: the topic's messages take any connection",
    };
    write_line(out, format_args!("     {order}"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
