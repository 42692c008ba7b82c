//! `eventcast dev`: a queue on this machine, for development, tests and benchmarks.

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

#[derive(Debug, Args)]
#[command(after_help = "\
What it serves today: queues, by SQS's JSON protocol, standard and FIFO, in memory. Any credentials are taken.

Examples:
  eventcast dev
  AWS_ENDPOINT_URL=http://127.0.0.1:4566 aws sqs create-queue --queue-name events
  eventcast dev --port 0 --delay 10ms --format json

Faults, for tests of what uses it; DELETE removes all:
  curl -d '{\"action\": \"ReceiveMessage\", \"fault\": \"refuse\", \"rate\": 0.1}' http://127.0.0.1:4566/_dev/faults
  fault is refuse, throttle, drop (done, but the answer is lost) or delay (with \"milliseconds\"); \"times\" bounds it.

Exit status: 0 told to end, 3 the port is taken.")]
pub(super) struct Command {
    /// The port to listen on; 0 for any that is free
    #[arg(long, default_value = "4566")]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// How long each call takes at least, such as 10ms
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    delay: Duration,
    /// How the address is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 10ms or 1s is wanted".to_owned())
}

/// Runs the command until it is told to end.
pub(super) fn run(command: &Command, out: &mut impl Write) -> anyhow::Result<Status> {
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
        match command.format {
            Format::Text => writeln!(
                out,
                "queues at {endpoint} (AWS_ENDPOINT_URL={endpoint}); Ctrl-C ends it"
            )?,
            Format::Json => writeln!(out, "{}", serde_json::json!({ "endpoint": endpoint }))?,
        }
        out.flush()?;
        let shutdown = Shutdown::default();
        let options = Options {
            delay: command.delay,
            ..Options::default()
        };
        tokio::select! {
            failed = serve(listener, options) => failed.context("serving queues")?,
            failed = shutdown.on_signals() => failed.context("listening to signals")?,
            _ = shutdown.draining() => {}
        }
        anyhow::Ok(Status::Yes)
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    status
}
