//! `eventcast routes check` and `routes explain`: is the configuration right, and what does it do with one event.

use std::fs;
use std::io::Write;

use anyhow::Context as _;
use bytes::Bytes;
use clap::{Args, Subcommand};

use super::configuration::Configuration;
use super::diagnostic::render;
use super::json::write_json;
use super::{Format, Status};
use crate::config::Config;
use crate::config::fault::Severity;
use crate::route::explain::{self, EventFacts, Explanation};
use crate::route::table::Refusal;

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
  eventcast routes check --config shop.yaml --format json

Exit status: 0 nothing found, 1 findings, 2 the file cannot be read.")]
    Check(Input),
    /// Explain for one event what every route does with it
    #[command(after_help = "\
Examples:
  eventcast routes explain --event event.json
  eventcast routes explain --event '{\"id\":\"1\",\"source\":\"shop.orders\",…}' --format json

Exit status: 0 something would be published, 1 nothing would, 2 the configuration or the event cannot \
be read.")]
    Explain {
        #[command(flatten)]
        input: Input,
        /// The event as it stands in the queue: JSON text (beginning with `{`) or a file
        #[arg(long, value_name = "JSON|FILE")]
        event: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Input {
    #[command(flatten)]
    configuration: Configuration,
    /// How results are written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs a command of this file.
pub(super) fn run(
    command: Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Check(input) => check(&input, out, messages),
        Command::Explain { input, event } => explain(&input, &event, out, messages),
    }
}

fn check(input: &Input, out: &mut impl Write, messages: &mut impl Write) -> anyhow::Result<Status> {
    let Some((text, loaded)) = input.configuration.read(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    if input.format == Format::Json {
        write_json(&loaded.faults, out)?;
    } else {
        for fault in &loaded.faults {
            render(fault, &text, out)?;
        }
        let file = input.configuration.file.display();
        let errors = loaded
            .faults
            .iter()
            .filter(|fault| fault.severity == Severity::Error);
        let errors = errors.count();
        let warnings = loaded.faults.len() - errors;
        match &loaded.config {
            Some(config) if warnings == 0 => {
                writeln!(out, "{file}: {} routes, nothing found", config.routes.len())?;
            }
            _ => writeln!(out, "{file}: {errors} errors, {warnings} warnings")?,
        }
    }
    Ok(if loaded.faults.is_empty() {
        Status::Yes
    } else {
        Status::No
    })
}

/// The message id that stands in for the queue's.
const MESSAGE_ID: &str = "message-id-of-the-queue";

fn explain(
    input: &Input,
    event: &str,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = input.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let body = match event_body(event) {
        Ok(body) => body,
        Err(error) => {
            writeln!(
                messages,
                "error: {error:#}\nhelp: give JSON text that begins with `{{`, or a file"
            )?;
            return Ok(Status::CannotAnswer);
        }
    };
    let explanation = match explained(&config, &body) {
        Ok(explanation) => explanation,
        Err(refusal) => {
            writeln!(messages, "error: {refusal}")?;
            return Ok(Status::CannotAnswer);
        }
    };
    let publishes = explanation.publishes();
    match input.format {
        Format::Json => {
            write_json(&explanation, out)?;
        }
        Format::Text => write_text(&explanation, out)?,
    }
    Ok(if publishes { Status::Yes } else { Status::No })
}

fn explained(config: &Config, body: &Bytes) -> Result<Explanation, Refusal> {
    explain::explain(&config.route_table(), body, MESSAGE_ID)
}

fn event_body(argument: &str) -> anyhow::Result<Bytes> {
    if argument.trim_start().starts_with('{') {
        return Ok(Bytes::copy_from_slice(argument.as_bytes()));
    }
    let bytes = fs::read(argument).with_context(|| format!("reading the event `{argument}`"))?;
    Ok(bytes.into())
}

fn write_text(explanation: &Explanation, out: &mut impl Write) -> anyhow::Result<()> {
    let EventFacts {
        id,
        source,
        detail_type,
        size_bytes,
        ..
    } = &explanation.event;
    writeln!(
        out,
        "event {id}: {} from {}, {size_bytes} bytes",
        detail_type.as_deref().unwrap_or("(no detail-type)"),
        source.as_deref().unwrap_or("(no source)"),
    )?;
    for route in &explanation.routes {
        match &route.refused {
            _ if !route.matches => {
                writeln!(out, "\n{}: no match", route.route)?;
                for mismatch in &route.mismatches {
                    writeln!(out, "  {mismatch}")?;
                }
            }
            Some(reason) => {
                writeln!(out, "\n{}: matches, but publishes nothing", route.route)?;
                writeln!(out, "  {}: {}", reason.reason, reason.detail)?;
            }
            None => writeln!(out, "\n{}: matches", route.route)?,
        }
        for publication in &route.publications {
            let retain = if publication.retain { ", retained" } else { "" };
            let expires = publication
                .expires_seconds
                .map_or_else(String::new, |seconds| format!(", expires after {seconds}s"));
            writeln!(
                out,
                "  -> {}  {} bytes, qos {}{retain}{expires}, {}",
                publication.topic,
                publication.size_bytes,
                publication.qos,
                publication.content_type
            )?;
        }
    }
    if let Some(reason) = &explanation.refused {
        writeln!(
            out,
            "\nnothing is published: {}: {}",
            reason.reason, reason.detail
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    const CONFIG: &str = r#"
channels:
  order: { id: uuid }
routes:
  - name: orders
    match: { source: [shop.orders], detail-type: [OrderPlaced] }
    to: ["order:{detail.orderId}", "status/{detail.state|default:none}"]
    expires: 5m
  - name: strict
    match: { source: [shop.orders] }
    to: ["courier/{detail.courierId}"]
  - name: payments
    match: { source: [{ prefix: shop.pay }] }
    to: [payments]
"#;
    const EVENT: &str = r#"{"id":"e1","source":"shop.orders","detail-type":"OrderPlaced","time":"2026-11-24T10:00:00Z","detail":{"orderId":"5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11"}}"#;

    fn config() -> Config {
        let source = Source {
            file: "eventcast.yaml",
            text: CONFIG,
            ..Source::default()
        };
        load(&source).config.unwrap()
    }

    #[test]
    fn explained_as_text() {
        let explanation = explained(&config(), &Bytes::from(EVENT)).unwrap();
        let mut out = Vec::new();
        write_text(&explanation, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn explained_as_json() {
        let explanation = explained(&config(), &Bytes::from(EVENT)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&explanation).unwrap());
    }

    #[test]
    fn what_is_no_event_is_said() {
        let refusal = explained(&config(), &Bytes::from("{}")).unwrap_err();
        assert_eq!(refusal.reason, "not_an_event");
    }

    #[test]
    fn faults_are_shown_with_their_line() {
        let text = CONFIG.replace("expires: 5m", "expries: 5m");
        let source = Source {
            file: "eventcast.yaml",
            text: &text,
            ..Source::default()
        };
        let mut out = Vec::new();
        for fault in load(&source).faults {
            render(&fault, &text, &mut out).unwrap();
        }
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
