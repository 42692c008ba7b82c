//! `eventcast bridge`: the daemon.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::configuration::Configuration;
use super::{Status, broker};
use crate::aws::client;
use crate::aws::sqs::Sqs;
use crate::bridge::{Bridge, Ending, Settings};
use crate::config::Config;
use crate::mqtt;
use crate::mqtt::pool::Pool;
use crate::port::{Publisher, Queue};
use crate::route::table::RouteTable;
use crate::shutdown::Shutdown;
use crate::telemetry::logs;

/// How long the broker may take to be reached at start.
const BROKER_START: Duration = Duration::from_secs(10);

/// How long acknowledgements that nobody waits for are given when the process ends.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
The queue and credentials are found as every AWS SDK finds them: AWS_REGION, AWS_ENDPOINT_URL, keys, profile,
or the role of the task. Without bridge.broker IoT Core is asked for the account's endpoint. SIGTERM or Ctrl-C
finishes what is in flight and hands back the rest; a second one stops at once. SIGHUP reads the routes anew: a
configuration with a fault changes nothing, and the log says what is wrong. EVENTCAST_LOG sets what is logged, such as info or eventcast::mqtt=debug.

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
    let Some(queue) = config.bridge.queue.clone() else {
        let file = command.configuration.file.display();
        writeln!(
            messages,
            "error: {file}: `bridge.queue` is not set\nhelp: set it there, by EVENTCAST_BRIDGE_QUEUE, or with --set bridge.queue=…"
        )?;
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
    let ending = runtime.block_on(serve(&command.configuration, config, queue));
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(match ending? {
        Ending::Drained => Status::Yes,
        Ending::Cut => Status::Failed,
    })
}

async fn serve(source: &Configuration, config: Config, queue: String) -> anyhow::Result<Ending> {
    let shutdown = Shutdown::default();
    let routes = watch::Sender::new(Arc::new(config.route_table()));
    tokio::select! {
        ending = bridge(&config, queue, routes.subscribe(), shutdown.clone()) => ending,
        failed = shutdown.on_signals() => {
            failed.context("listening to signals")?;
            Ok(Ending::Cut)
        }
        failed = reload_on_signals(source, &config, &routes) => Err(failed),
    }
}

/// Reads the configuration anew at each SIGHUP. Its routes take the place of the old ones all at once; with any fault the old
/// ones stay. Ends only when signals cannot be listened to.
async fn reload_on_signals(
    source: &Configuration,
    running: &Config,
    routes: &watch::Sender<Arc<RouteTable>>,
) -> anyhow::Error {
    let mut hang_up = match signal(SignalKind::hangup()) {
        Ok(signals) => signals,
        Err(error) => return anyhow::Error::new(error).context("listening to SIGHUP"),
    };
    loop {
        hang_up.recv().await;
        let mut faults = Vec::new();
        match source.read_checked(&mut faults) {
            Ok(Some(config)) => {
                let table = config.route_table();
                tracing::info!(routes = table.routes().len(), "the routes are reloaded");
                if config.bridge != running.bridge {
                    tracing::warn!("the `bridge` section has changed too: it takes a restart");
                }
                routes.send_replace(Arc::new(table));
            }
            Ok(None) => tracing::error!(
                faults = %String::from_utf8_lossy(&faults),
                "the configuration has faults: the old routes stay"
            ),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the configuration cannot be read: the old routes stay"
            ),
        }
    }
}

async fn bridge(
    config: &Config,
    queue: String,
    routes: watch::Receiver<Arc<RouteTable>>,
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
    let access = tokio::select! {
        access = broker::access(section, &aws) => access?,
        _ = shutdown.draining() => return Ok(Ending::Drained),
    };
    let address = access.broker.to_string();
    let pool = Arc::new(Pool::start(mqtt::Settings {
        access,
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
