//! `eventcast bridge`: the daemon.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Status;
use super::configuration::Configuration;
use crate::aws::client;
use crate::aws::sqs::Sqs;
use crate::bridge::{Bridge, Ending, Settings};
use crate::config::Config;
use crate::config::bridge::Broker;
use crate::mqtt;
use crate::mqtt::pool::Pool;
use crate::port::{Publisher, Queue};
use crate::shutdown::Shutdown;
use crate::telemetry::logs;

/// How long the broker may take to be reached at start.
const BROKER_START: Duration = Duration::from_secs(10);

/// How long acknowledgements that nobody waits for are given when the process ends.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
The queue and credentials are found as every AWS SDK finds them: AWS_REGION, AWS_ENDPOINT_URL, keys, profile,
or the role of the task. SIGTERM or Ctrl-C finishes what is in flight and hands back the rest; a second one
stops at once. EVENTCAST_LOG sets what is logged, such as info or eventcast::mqtt=debug.

Examples:
  eventcast bridge
  eventcast bridge --config shop.yaml --set bridge.broker=mqtt://127.0.0.1:1883 --log-format json

Exit status: 0 told to end and drained, 2 the configuration is not right, 3 failed or cut short.")]
pub(super) struct Command {
    #[command(flatten)]
    configuration: Configuration,
    /// How log lines are written
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl From<LogFormat> for logs::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Runs the daemon until it is told to end.
pub(super) fn run(command: &Command, messages: &mut impl Write) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let (Some(queue), Some(broker)) = (config.bridge.queue.clone(), config.bridge.broker.clone())
    else {
        let file = command.configuration.file.display();
        for (key, set) in [
            ("queue", config.bridge.queue.is_some()),
            ("broker", config.bridge.broker.is_some()),
        ] {
            if !set {
                let variable = format!("EVENTCAST_BRIDGE_{}", key.to_uppercase());
                writeln!(
                    messages,
                    "error: {file}: `bridge.{key}` is not set\nhelp: set it there, by {variable}, or with --set bridge.{key}=…"
                )?;
            }
        }
        return Ok(Status::CannotAnswer);
    };
    let filter = std::env::var("EVENTCAST_LOG").unwrap_or_else(|_| "info".into());
    if let Err(error) = logs::start(command.log_format.into(), &filter) {
        writeln!(messages, "error: {error}\nhelp: correct EVENTCAST_LOG")?;
        return Ok(Status::CannotAnswer);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ending = runtime.block_on(serve(&config, queue, broker));
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(match ending? {
        Ending::Drained => Status::Yes,
        Ending::Cut => Status::Failed,
    })
}

async fn serve(config: &Config, queue: String, broker: Broker) -> anyhow::Result<Ending> {
    let shutdown = Shutdown::default();
    tokio::select! {
        ending = bridge(config, queue, broker, shutdown.clone()) => ending,
        failed = shutdown.on_signals() => {
            failed.context("listening to signals")?;
            Ok(Ending::Cut)
        }
    }
}

async fn bridge(
    config: &Config,
    queue: String,
    broker: Broker,
    shutdown: Shutdown,
) -> anyhow::Result<Ending> {
    let section = &config.bridge;
    let aws = client::environment().await;
    let sqs = Sqs::open(&aws, queue.clone(), section.dead_letter_queue.clone());
    let queue = tokio::select! {
        queue = sqs => Arc::new(queue.context("opening the queue")?),
        _ = shutdown.draining() => return Ok(Ending::Drained),
    };
    let facts = queue
        .describe()
        .await
        .context("reading the queue's settings")?;
    if section.dead_letter_queue.is_none() && facts.max_receives.is_none() {
        tracing::warn!(
            "neither bridge.dead_letter_queue nor a redrive policy on the queue: what can never be published comes again until it expires"
        );
    }
    let address = format!("{}:{}", broker.host, broker.port);
    let pool = Arc::new(Pool::start(mqtt::Settings {
        host: broker.host,
        port: broker.port,
        client_id: section.client_id.clone(),
        connections: section.connections,
        in_flight: section.pace.unacknowledged,
        limits: mqtt::pace::Limits {
            publishes: section.pace.publishes,
            bytes: section.pace.bytes,
            process: section.pace.task,
        },
        ..mqtt::Settings::default()
    }));
    tokio::select! {
        ready = timeout(BROKER_START, pool.ready()) => if ready.is_err() {
            let why = pool.last_error().unwrap_or_else(|| "it does not answer".into());
            anyhow::bail!("connecting to the broker {address}: {why}");
        },
        _ = shutdown.draining() => return Ok(Ending::Drained),
    }
    let (_, routes) = watch::channel(Arc::new(config.route_table()));
    tracing::info!(
        routes = routes.borrow().routes().len(),
        broker = address,
        visibility = ?facts.visibility,
        fifo = facts.fifo,
        dead_letter_queue = section.dead_letter_queue.is_some(),
        "the bridge is up"
    );
    let settings = Settings {
        pollers: section.pollers,
        wait: section.wait,
        in_flight: section.in_flight,
        hold: section.hold,
        drain: section.drain,
    };
    let bridge = Bridge::new(
        (queue, facts),
        Arc::clone(&pool),
        routes,
        settings,
        shutdown,
    );
    let ending = bridge.run().await;
    let goodbye = if ending == Ending::Drained {
        GOODBYE
    } else {
        Duration::ZERO
    };
    pool.close(Instant::now() + goodbye).await;
    Ok(ending)
}
