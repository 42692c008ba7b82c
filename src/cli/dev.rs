//! `eventcast dev`: an event bus, queues and a broker on this machine, for development, tests and benchmarks.

mod broker;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

use super::{Format, Status};
use crate::config::duration;
use crate::dev::{Options, serve};
use crate::shutdown::Shutdown;
use crate::telemetry::logs;

#[derive(Debug, Args)]
#[command(after_help = "\
What it serves, all in memory:
  event buses, by EventBridge's JSON protocol, whose rules send to its own queues
  queues, by SQS's JSON protocol, standard and FIFO
  an MQTT broker with AWS IoT Core's behaviour and limits (MQTT 3.1, 3.1.1 and 5, QoS 0 and 1)
Any credentials are taken. The account in ARNs is 000000000000.

Examples:
  eventcast dev
  export AWS_ENDPOINT_URL=http://127.0.0.1:4566
  aws sqs create-queue --queue-name events
  aws events put-rule --name orders --event-pattern '{\"source\":[\"shop.orders\"]}'
  aws events put-targets --rule orders --targets Id=1,Arn=arn:aws:sqs:us-east-1:000000000000:events
  eventcast dev --port 0 --mqtt-port 0 --websocket-port 0 --delay 10ms --format json
  eventcast dev --limit filters-per-subscribe=20 --limit stored-per-second=off

Version 1 of aws overlooks AWS_ENDPOINT_URL for queues: give it --endpoint-url.
What a bus could not send is told on standard error (EVENTCAST_LOG=error silences it).

Faults, for tests of what uses it; DELETE removes all:
  FAULT='{\"action\": \"ReceiveMessage\", \"fault\": \"refuse\", \"rate\": 0.1}'
  curl -d \"$FAULT\" http://127.0.0.1:4566/_dev/faults
  fault is refuse, throttle, drop (done, but the answer is lost) or delay (\"milliseconds\");
  \"times\" bounds it. For MQTT clients action is Connect, Publish, Subscribe, Unsubscribe or
  Deliver, fault also duplicate or disconnect, and \"client\" and \"topic\" narrow it.

Exit status: 0 told to end, 2 a limit or a log filter that is none, 3 a port is taken.")]
pub(super) struct Command {
    /// The port to listen on; 0 for any that is free
    #[arg(long, default_value = "4566")]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The Region in ARNs and events
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// How long each call takes at least, such as 10ms
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    delay: Duration,
    /// How the addresses are written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    broker: broker::Options,
}

/// How long clients have to hear that the broker ends.
const GOODBYE: Duration = Duration::from_secs(1);

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 10ms or 1s is wanted".to_owned())
}

/// Runs the command until it is told to end.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if let Some(help) = command.broker.help() {
        out.write_all(help.as_bytes())?;
        return Ok(Status::Yes);
    }
    let limits = match command.broker.limits() {
        Ok(limits) => limits,
        Err(error) => {
            writeln!(messages, "error: {error}")?;
            return Ok(Status::CannotAnswer);
        }
    };
    let filter = std::env::var("EVENTCAST_LOG").unwrap_or_else(|_| "warn".into());
    if let Err(error) = logs::start(logs::Format::Text, &filter) {
        writeln!(messages, "error: {error}\nhelp: correct EVENTCAST_LOG")?;
        return Ok(Status::CannotAnswer);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let status = runtime.block_on(async {
        let address = SocketAddr::new(command.host, command.port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address}; choose another port with --port"))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let broker = command.broker.open(command.host, limits).await?;
        tell(command.format, &endpoint, &broker, out)?;
        let shutdown = Shutdown::default();
        let options = Options {
            region: command.region.clone(),
            delay: command.delay,
            broker: Some(broker.broker.clone()),
        };
        let handle = broker.broker.clone();
        let told_to_end = async {
            shutdown.draining().await;
            handle.close(GOODBYE).await;
        };
        tokio::select! {
            // Signals are listened to before anybody is served.
            biased;
            failed = shutdown.on_signals() => failed.context("listening to signals")?,
            () = told_to_end => {}
            failed = serve(listener, options) => failed.context("serving the bus and queues")?,
            failed = broker.serve() => failed.context("serving the broker")?,
        }
        anyhow::Ok(Status::Yes)
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    status
}

fn tell(
    format: Format,
    endpoint: &str,
    broker: &broker::Open,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let url = |(transport, address): &(_, _)| broker::Open::url(*transport, *address);
    match format {
        Format::Text => {
            writeln!(
                out,
                "event bus and queues at {endpoint} (AWS_ENDPOINT_URL={endpoint})"
            )?;
            for address in &broker.addresses {
                writeln!(out, "MQTT at {}", url(address))?;
            }
            writeln!(out, "Ctrl-C ends it")?;
        }
        Format::Json => {
            let mut told = serde_json::Map::new();
            told.insert("endpoint".into(), endpoint.into());
            for address in &broker.addresses {
                told.insert(address.0.scheme().into(), url(address).into());
            }
            writeln!(out, "{}", serde_json::Value::Object(told))?;
        }
    }
    out.flush()?;
    Ok(())
}
