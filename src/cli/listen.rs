//! `eventcast listen`: a client on the command line, as a browser or phone would be one.
//!
//! It connects once, by MQTT 5, and does not reconnect: a lost connection is an answer here.

mod arguments;
mod client;
mod output;
pub(super) mod platform;

use std::io::{BufRead, Write};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::client::{ListenClient, ListenFailure};
use self::output::{ListenTotals, MessageWriter};
use super::policy::generate::arguments::claim;
use super::reader;
use super::runtime::block_on;
use super::{OutputFormat, Status};
use crate::broker::BrokerAddress;
use crate::config::duration;
use crate::escape::{escaped, write_line};
use crate::mqtt::listener::Listener;

#[derive(Debug, Args)]
#[command(after_help = "\
Connects by MQTT 5 over WebSocket to a running `eventcast dev`, subscribes with QoS 1, and prints a line for each message. A role's \
token is made by the running platform, with its configuration and the development key; without claims the role's example claims are \
taken. With --role and without a channel everything is subscribed to that the role grants; a token of --token needs channels. --url connects to another broker, such as IoT Core with a \
custom authorizer; channels are topics there.

Examples:
  eventcast listen --role customer
  eventcast listen --role customer --claims claims.json announcements
  eventcast listen --role customer --count 1 --duration 30s --format json announcements
  eventcast token mint --dev --role customer --claims claims.json > token
  eventcast listen --token - announcements < token
  eventcast listen --url wss://ENDPOINT/mqtt --token TOKEN --client-id ID order/1

Exit status: 0 ended by Ctrl-C, SIGTERM, --duration or --count, 1 refused (not let in, no channel that may be subscribed to) or fewer \
messages than --count came in --duration, 2 the question is not right, 3 nobody answers or the connection was lost.")]
pub(super) struct Command {
    /// Channels such as order:ID, topics or topic filters; without one, all that --role grants
    #[arg(value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Mint a development token for this role at the running `eventcast dev`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token", "url"])]
    role: Option<String>,
    /// The claim `sub`: the identity of the client
    #[arg(long, value_name = "TEXT", requires = "role")]
    sub: Option<String>,
    /// A claim; values with commas between them are a list, none are an empty list (repeatable)
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = claim, requires = "role")]
    claim: Vec<(String, Value)>,
    /// Further claims: JSON text (beginning with `{`), a file, or `-` for standard input; --claim and --sub take precedence
    #[arg(long, value_name = "JSON|FILE", requires = "role")]
    claims: Option<String>,
    /// A token that is there already; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The name under which the broker looks for the token
    #[arg(long, value_name = "NAME", default_value = "token", requires = "token")]
    token_key: String,
    /// The MQTT client id; without it the token's principal and a random part
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The address at which `eventcast dev` is reached
    #[arg(
        long,
        value_name = "URL",
        env = "AWS_ENDPOINT_URL",
        default_value = "http://127.0.0.1:4566"
    )]
    endpoint: String,
    /// A broker's address instead, such as wss://HOST/mqtt, ws://, mqtts:// or mqtt://
    #[arg(long, value_name = "URL", value_parser = broker_url)]
    url: Option<BrokerAddress>,
    /// Certificates of the authorities to trust with wss:// and mqtts://, as PEM; without it those of the system
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<String>,
    /// End after this many messages
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 30s
    #[arg(long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// Text is topic and payload, json one object a line
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 30s or 5m is expected".to_owned())
}

fn broker_url(text: &str) -> Result<BrokerAddress, String> {
    BrokerAddress::parse(text).ok_or_else(|| {
        "mqtt://, mqtts://, ws:// or wss://, a host, and perhaps a port is expected".to_owned()
    })
}

/// Runs the command. `input` is standard input, if it is piped.
pub(super) fn run(
    command: &Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let typed = command.typed(input);
    let ended = block_on(async {
        let typed = match typed {
            Ok(typed) => typed,
            Err(failure) => return Ok(Err(failure)),
        };
        let client = match command.client(typed, messages).await {
            Ok(client) => client,
            Err(failure) => return Ok(Err(failure)),
        };
        command.listen(client, out, messages).await
    })??;
    match ended {
        Ok(status) => Ok(status),
        Err(failure) => {
            failure.write(messages)?;
            Ok(failure.status)
        }
    }
}

impl Command {
    async fn listen(
        &self,
        client: ListenClient,
        out: &mut impl Write,
        messages: &mut impl Write,
    ) -> anyhow::Result<Result<Status, ListenFailure>> {
        let begin = Instant::now();
        let mut terminate = signal(SignalKind::terminate())?;
        let interrupt = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::pin!(interrupt);
        let opened = tokio::select! {
            opened = Listener::open(&client.access, &client.id) => opened,
            () = &mut interrupt => return Ok(Ok(Status::Yes)),
        };
        let mut listener = match opened {
            Ok(listener) => listener,
            Err(error) => return Ok(Err(client.not_let_in(&error).await)),
        };
        let refused = match listener.subscribe(&client.filters).await {
            Ok(refused) => refused,
            Err(error) => {
                let why = listener.why_ended().unwrap_or(error);
                return Ok(Err(client.lost_while_subscribing(&why).await));
            }
        };
        for filter in &refused {
            client.explain(filter, messages).await?;
        }
        if refused.len() == client.filters.len() {
            listener.leave().await;
            return Ok(Ok(Status::No));
        }
        let heard: Vec<&str> = client
            .filters
            .iter()
            .filter(|filter| !refused.iter().any(|other| other.filter == **filter))
            .map(String::as_str)
            .collect();
        write_line(
            messages,
            format_args!(
                "listening to {} at {} as client {}; Ctrl-C ends it",
                escaped(&heard.join(", ")),
                client.access.broker,
                escaped(&client.id)
            ),
        )?;
        let end = self.duration.map(|duration| begin + duration);
        let mut writer = MessageWriter::new(out, self.format);
        let mut totals = ListenTotals::default();
        let reader_gone = reader::has_gone();
        tokio::pin!(reader_gone);
        let status = loop {
            let over = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = listener.next() => match message {
                    Some(message) => {
                        writer.write(&message)?;
                        totals.messages += 1;
                        if self.count.is_some_and(|count| totals.messages >= count) {
                            break Status::Yes;
                        }
                    }
                    None => {
                        let why = listener.why_ended();
                        let why = why.unwrap_or_else(|| "the broker closed it".to_owned());
                        return Ok(Err(ListenFailure::new(Status::Failed, format!("error: the connection was lost: {why}"))));
                    }
                },
                () = over => break if self.count.is_some() { Status::No } else { Status::Yes },
                () = &mut interrupt => break Status::Yes,
                () = &mut reader_gone => break Status::Yes,
            }
        };
        listener.leave().await;
        if let (Status::No, Some(count)) = (status, self.count) {
            write_line(
                messages,
                format_args!("{} of {count} messages came", totals.messages),
            )?;
        }
        Ok(Ok(status))
    }
}
