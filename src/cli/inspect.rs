//! `eventcast trace` and `eventcast inspect`: the fate of an event, and the state of a client, a
//! channel or a route.
//!
//! A running `eventcast dev` answers. On AWS itself, IoT Core's data plane answers, which knows
//! less: single clients and retained messages, and nothing of events or of a topic's subscribers.

mod account;
mod client;
pub(super) mod trace;

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::timeout;

use super::configuration::Configuration;
use super::json::write_json;
use super::runtime::block_on;
use super::{OutputFormat, Status, http};
use crate::cli::user_error::UserError;
use crate::config::Config;
use crate::escape::write_line;

/// Longest wait for an answer of a process on this machine.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  eventcast inspect client CLIENT_ID
  eventcast inspect channel announcements
  eventcast inspect route order-updates

`eventcast inspect COMMAND --help` says more of each.")]
pub(super) enum Command {
    /// Who a client is, what it has subscribed to, what it was refused, and why it was sent away
    #[command(after_help = "\
Examples:
  eventcast inspect client 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11-phone
  eventcast inspect client my-phone --receive announcements
  eventcast inspect client my-phone --aws --format json

A client that is refused before it says its id, such as one with a bad token in its address, is told of where an id is not known.
On AWS: GetConnection and ListSubscriptions of IoT Core's data plane. Roles and policies are not known there: \
`eventcast policy simulate` answers for policies what --receive answers here.

Exit status: 0 it is connected (with --receive: messages come to it), 1 it is not, 2 the question is not right, 3 nobody could be asked.")]
    Client {
        /// The MQTT client id
        id: String,
        /// Tells why messages of this channel, such as order:ID, or topic come to the client or do not, and what to change
        #[arg(long, value_name = "CHANNEL", conflicts_with = "aws")]
        receive: Option<String>,
        #[command(flatten)]
        place: DevAddress,
    },
    /// Who listens to a channel, how much goes on there, and what it retains
    #[command(after_help = "\
Examples:
  eventcast inspect channel order:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11
  eventcast inspect channel announcements --aws

On AWS: the retained message. IoT Core tells nobody who has subscribed to a topic.

Exit status: 0 something is there (a subscriber, a message), 1 nothing is, 2 the question or the configuration is not \
right, 3 nobody could be asked.")]
    Channel {
        /// A channel such as order:ID, or a topic
        channel: String,
        #[command(flatten)]
        place: DevAddress,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// What a route takes, where it sends, and how much it has sent
    #[command(after_help = "\
Examples:
  eventcast inspect route order-updates
  eventcast inspect route order-updates --aws --config shop.yaml

On AWS: from the configuration. How much a daemon has sent, its metrics say.

Exit status: 0 there is such a route, 1 there is none, 2 the configuration is not right, 3 nobody could be asked.")]
    Route {
        /// The route's name
        name: String,
        #[command(flatten)]
        place: DevAddress,
        #[command(flatten)]
        configuration: Configuration,
    },
}

#[derive(Debug, Args)]
pub(super) struct DevAddress {
    /// Where `eventcast dev` is reached
    #[arg(
        long,
        value_name = "URL",
        env = "AWS_ENDPOINT_URL",
        default_value = "http://127.0.0.1:4566"
    )]
    endpoint: String,
    /// Ask AWS itself, with the credentials that every SDK finds
    #[arg(long)]
    aws: bool,
    /// IoT Core's data plane, such as https://abc-ats.iot.eu-central-1.amazonaws.com; without it the control plane is asked for it
    #[arg(long, value_name = "URL", requires = "aws")]
    data_plane: Option<String>,
    /// Format of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

/// The answer of a running `eventcast dev` to the question.
enum InspectorAnswer {
    Found(Value),
    /// There is no such thing; why, in words.
    Nothing(String),
    /// The question is not right; why, in words.
    Wrong(String),
}

impl DevAddress {
    /// Asks a running `eventcast dev`.
    fn ask(&self, path: &str, values: &[(&str, &str)]) -> anyhow::Result<InspectorAnswer> {
        let pairs = values.iter().map(|(name, value)| {
            format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
        });
        let path = format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"));
        let authority = self.endpoint.strip_prefix("http://");
        let authority = authority.unwrap_or(&self.endpoint);
        let endpoint = http::shown(&self.endpoint);
        let authority = authority.trim_end_matches('/');
        let asked = block_on(async {
            let answer = timeout(PATIENCE, http::get(authority, &path)).await;
            answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")))
        })?;
        let (status, body) = asked.map_err(|error| {
            UserError::new(format_args!("asking `{endpoint}`: {error:#}"), "start `eventcast dev`, name another address with --endpoint, or ask AWS with --aws")
        })?;
        let body: Value = serde_json::from_slice(&body).map_err(|error| {
            UserError::new(
                format_args!(
                    "`{endpoint}` does not answer as `eventcast dev` does (HTTP {status}): {error}"
                ),
                "run it without --bare, or name another address with --endpoint",
            )
        })?;
        let error = body.get("error").and_then(Value::as_str);
        Ok(match (status, error) {
            (200, _) => InspectorAnswer::Found(body),
            (404, Some(error)) => InspectorAnswer::Nothing(error.to_owned()),
            (_, error) => {
                InspectorAnswer::Wrong(error.unwrap_or("it was not understood").to_owned())
            }
        })
    }
}

/// Writes the answer that was found, or reports why there is none. `write` returns `true` where the
/// answer is yes.
fn answer(
    told: InspectorAnswer,
    format: OutputFormat,
    out: &mut impl Write,
    messages: &mut impl Write,
    write: impl FnOnce(&Value, &mut dyn Write) -> std::io::Result<bool>,
) -> anyhow::Result<Status> {
    match told {
        InspectorAnswer::Found(value) => {
            let mut text = Vec::new();
            let yes = write(&value, &mut text)?;
            match format {
                OutputFormat::Json => write_json(&value, out)?,
                OutputFormat::Text => out.write_all(&text)?,
            }
            Ok(if yes { Status::Yes } else { Status::No })
        }
        InspectorAnswer::Nothing(why) => {
            write_line(messages, format_args!("{why}"))?;
            Ok(Status::No)
        }
        InspectorAnswer::Wrong(why) => {
            write_line(messages, format_args!("error: {why}"))?;
            Ok(Status::CannotAnswer)
        }
    }
}

/// Runs a command of this file.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    match command {
        Command::Client { id, place, .. } if place.aws => account::client(id, place, out, messages),
        Command::Client {
            id,
            receive: Some(channel),
            place,
        } => {
            let told = place.ask("/_dev/hear", &[("client", id), ("topic", channel)])?;
            answer(told, place.format, out, messages, client::write_hearing)
        }
        Command::Client { id, place, .. } => {
            let told = place.ask("/_dev/client", &[("id", id)])?;
            answer(told, place.format, out, messages, client::write)
        }
        Command::Channel {
            channel,
            place,
            configuration,
        } if place.aws => match checked(configuration, messages)? {
            Some(config) => account::channel(channel, &config, place, out, messages),
            None => Ok(Status::CannotAnswer),
        },
        Command::Channel { channel, place, .. } => {
            let told = place.ask("/_dev/channel", &[("topic", channel)])?;
            answer(told, place.format, out, messages, client::write_channel)
        }
        Command::Route {
            name,
            place,
            configuration,
        } => {
            let told = if place.aws {
                let Some(config) = checked(configuration, messages)? else {
                    return Ok(Status::CannotAnswer);
                };
                route_of(name, &config)
            } else {
                place.ask("/_dev/route", &[("name", name)])?
            };
            answer(told, place.format, out, messages, client::write_route)
        }
    }
}

fn checked(
    configuration: &Configuration,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Config>> {
    configuration.read_checked(messages)
}

fn route_of(name: &str, config: &Config) -> InspectorAnswer {
    match crate::dev::inspector::views::RouteView::of(name, config) {
        Ok(route) => InspectorAnswer::Found(serde_json::json!({ "route": route })),
        Err(why) => InspectorAnswer::Nothing(why),
    }
}
