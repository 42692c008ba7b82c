//! `eventcast bridge`: the daemon.

mod export;
#[cfg(feature = "dev")]
pub(super) mod inside;
mod reach;
mod tasks;

use std::future::pending;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::export::SpanExport;
use self::reach::{Parts, begin, over_https, over_mqtt};
use super::configuration::Configuration;
use super::endpoint_variables;
use super::{Status, terminal};
use crate::aws::client;
use crate::bridge::{Bridge, BridgeSettings, Ending};
use crate::cli::user_error::write_error;
use crate::config::Config;
use crate::config::bridge::Publish;
use crate::config::fault::Fault;
use crate::port::Publisher;
use crate::route::table::RouteTable;
use crate::shutdown::Shutdown;
use crate::telemetry::embedded::Embedded;
use crate::telemetry::health::Health;
use crate::telemetry::http::{self, Vitals};
use crate::telemetry::logs;
use crate::telemetry::traces::Traces;
use crate::version::{COMMIT, VERSION};

/// Interval between two writes of embedded metrics.
const EMBEDDED_EVERY: Duration = Duration::from_secs(60);

/// Time for acknowledgements that nobody waits for, when the process ends.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
The queue and credentials are found as every AWS SDK finds them: AWS_REGION, AWS_ENDPOINT_URL, keys, profile, \
or the role of the task. Without bridge.broker IoT Core is asked for the account's endpoint. SIGTERM or Ctrl-C \
finishes what is in flight and hands back the rest; a second one, a second later or more, stops at once. With \
bridge.listen, /livez, /readyz and /metrics are served from the start, before queue and broker are reached. SIGHUP reads the routes anew: a \
configuration with a fault changes nothing, and the log says what is wrong. EVENTCAST_LOG sets what is logged, such as info or eventcast::mqtt=debug. \
OTEL_EXPORTER_OTLP_ENDPOINT exports traces, in a build with the Cargo feature otlp (docs/traces.md).

Examples:
  eventcast bridge
  eventcast bridge --wait
  eventcast bridge --config shop.yaml --set bridge.broker=mqtt://127.0.0.1:1883 --log-format json

Exit status: 0 told to end and drained, 2 the configuration is not right, 3 failed or cut short.")]
pub(super) struct Command {
    #[command(flatten)]
    configuration: Configuration,
    /// Keep trying until queue and broker can be reached, instead of failing after 10 seconds
    #[arg(long)]
    wait: bool,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
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

/// Runs the daemon until it receives a signal to end.
pub(super) fn run(command: &Command, messages: &mut impl Write) -> anyhow::Result<Status> {
    let Some((config, warnings)) = command.configuration.read_with_warnings(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let Some(queue) = config.bridge.queue.clone() else {
        let file = command.configuration.file.display();
        write_error(
            messages,
            format_args!("{file}: `bridge.queue` is not set"),
            "set it there, by EVENTCAST_BRIDGE_QUEUE, or with --set bridge.queue=…",
        )?;
        return Ok(Status::CannotAnswer);
    };
    if !endpoint_variables::are_usable(messages)? {
        return Ok(Status::CannotAnswer);
    }
    if !super::region::agrees(&config, messages)? {
        return Ok(Status::CannotAnswer);
    }
    let filter = terminal::log_filter("info");
    if let Err(error) = logs::start(command.log_format.into(), &filter) {
        write_error(messages, format_args!("{error}"), "correct EVENTCAST_LOG")?;
        return Ok(Status::CannotAnswer);
    }
    log_warnings(&warnings);
    let Some(export) = SpanExport::start(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let traces = export.traces.clone();
    let ending = runtime.block_on(serve(command, config, queue, traces));
    runtime.shutdown_timeout(Duration::from_millis(100));
    export.end(ending.as_ref().ok().copied());
    Ok(match ending? {
        Ending::Drained => Status::Yes,
        Ending::Cut => Status::Failed,
    })
}

/// The most warnings of a configuration that are logged one by one.
const LOGGED_WARNINGS: usize = 20;

/// Logs the warnings of a configuration that is right all the same.
fn log_warnings(warnings: &[Fault]) {
    for warning in warnings.iter().take(LOGGED_WARNINGS) {
        tracing::warn!(
            code = warning.code,
            place = %warning.place,
            help = warning.help.as_deref(),
            warning = warning.message,
            "configuration warning"
        );
    }
    if let Some(more) = warnings
        .len()
        .checked_sub(LOGGED_WARNINGS)
        .filter(|more| *more > 0)
    {
        tracing::warn!(
            more,
            "further configuration warnings: eventcast routes check shows them"
        );
    }
}

/// Number of threads beside the one that dispatches. One thread more than there are cores costs a
/// tenth of the daemon's time (`bench/peers`, on two cores).
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores - 1).max(1)
}

async fn serve(
    command: &Command,
    config: Config,
    queue: String,
    traces: Traces,
) -> anyhow::Result<Ending> {
    let shutdown = Shutdown::default();
    let signals = shutdown.on_signals();
    let routes = watch::Sender::new(Arc::new(config.route_table()));
    tokio::select! {
        ending = bridge(command, &config, queue, routes.subscribe(), traces, shutdown.clone()) => ending,
        failed = signals => {
            failed.context("listening to signals")?;
            Ok(Ending::Cut)
        }
        failed = reload_on_signals(&command.configuration, &config, &routes) => Err(failed),
    }
}

/// Reads the configuration anew at each SIGHUP. Its routes take the place of the old ones all at
/// once; with any fault the old ones stay. Ends only when signals cannot be listened to.
async fn reload_on_signals(
    source: &Configuration,
    running: &Config,
    routes: &watch::Sender<Arc<RouteTable>>,
) -> anyhow::Error {
    let apply = |config: Config, warnings: &[Fault]| {
        log_warnings(warnings);
        let table = config.route_table();
        tracing::info!(routes = table.routes().len(), "the routes are reloaded");
        if config.bridge != running.bridge {
            tracing::warn!("the `bridge` section has changed too: it takes a restart");
        }
        routes.send_replace(Arc::new(table));
    };
    source.reload_at_signals("the old routes stay", apply).await
}

async fn bridge(
    command: &Command,
    config: &Config,
    queue: String,
    routes: watch::Receiver<Arc<RouteTable>>,
    traces: Traces,
    shutdown: Shutdown,
) -> anyhow::Result<Ending> {
    let section = &config.bridge;
    let listener = match section.listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("listening on {address} (bridge.listen)"))?,
        ),
        None => None,
    };
    if let Some(listener) = &listener {
        // With port 0 the system chooses one.
        let address = listener.local_addr().context("reading bridge.listen")?;
        tracing::info!(%address, "health and metrics are served");
    }
    let vitals = Vitals {
        metrics: Arc::default(),
        health: Health::new(shutdown.clone()),
    };
    let traced = (traces, &*queue);
    let health = &vitals.health;
    // One future for each kind of publisher: they are types, not objects.
    let ended = async {
        match &section.publish {
            Publish::Mqtt | Publish::Auto(_) => {
                let reach = async || {
                    over_mqtt(
                        section,
                        &queue,
                        &client::environment().await,
                        &vitals.metrics,
                    )
                    .await
                };
                match begin(command.wait, reach, health, &shutdown).await? {
                    Some(parts) => work(config, parts, traced, routes, &shutdown, &vitals).await,
                    None => Ok(Ending::Drained),
                }
            }
            Publish::Https(calls) => {
                let reach = async || over_https(section, &queue, calls).await;
                match begin(command.wait, reach, health, &shutdown).await? {
                    Some(parts) => work(config, parts, traced, routes, &shutdown, &vitals).await,
                    None => Ok(Ending::Drained),
                }
            }
        }
    };
    // Health is answered from the first moment, while queue and broker are still being reached.
    tokio::select! {
        ended = ended => ended,
        failed = answer(listener, vitals.clone()) => Err(failed),
    }
}

/// Works until the end.
async fn work<P: Publisher>(
    config: &Config,
    parts: Parts<P>,
    traced: (Traces, &str),
    routes: watch::Receiver<Arc<RouteTable>>,
    shutdown: &Shutdown,
    vitals: &Vitals,
) -> anyhow::Result<Ending> {
    let section = &config.bridge;
    let Parts {
        queue,
        facts,
        publisher,
        up,
        broker,
    } = parts;
    let (traces, queue_url) = traced;
    if section.dead_letter_queue.is_none() && facts.max_receives.is_none() {
        tracing::warn!(
            "neither bridge.dead_letter_queue nor a redrive policy on the queue: what can never be published comes again until it expires"
        );
    }
    tracing::info!(
        version = VERSION,
        commit = COMMIT,
        environment = config.environment.as_deref(),
        queue = queue_url,
        routes = routes.borrow().routes().len(),
        broker = &*broker,
        visibility = ?facts.visibility,
        fifo = facts.fifo,
        dead_letter_queue = section.dead_letter_queue.is_some(),
        "the bridge is up"
    );
    let settings = BridgeSettings {
        pollers: section.pollers,
        wait: section.wait,
        in_flight: section.in_flight,
        in_flight_bytes: section.in_flight_bytes,
        hold: section.hold,
        drain: section.drain,
    };
    let bridge = Bridge::new(
        (queue, facts),
        Arc::clone(&publisher),
        routes,
        settings,
        shutdown.clone(),
    )
    .traced(traces, queue_url, &broker)
    .reporting(Arc::clone(&vitals.metrics), Arc::clone(&vitals.health));
    // The queue's settings were read a moment ago: it has answered.
    vitals.health.queue_answered();
    vitals.health.started(up);
    let embedded = section.embedded_metrics.clone();
    let embedded = embedded.map(|namespace| Embedded::new(namespace, Arc::clone(&vitals.metrics)));
    let ending = tokio::select! {
        ending = bridge.run() => ending,
        never = Box::pin(tasks::follow(&section.pace, &*publisher)) => match never {},
        failed = write_embedded(embedded, vitals) => return Err(failed),
    };
    let goodbye = if ending == Ending::Drained {
        GOODBYE
    } else {
        Duration::ZERO
    };
    publisher.close(Instant::now() + goodbye).await;
    Ok(ending)
}

/// Serves health and metrics for ever.
async fn answer(listener: Option<TcpListener>, vitals: Vitals) -> anyhow::Error {
    let Some(listener) = listener else {
        return pending().await;
    };
    match http::serve(listener, vitals).await {
        Ok(()) => anyhow::anyhow!("the server of health and metrics ended"),
        Err(error) => anyhow::Error::new(error).context("serving health and metrics"),
    }
}

/// Writes embedded metrics for ever.
async fn write_embedded(embedded: Option<Embedded>, vitals: &Vitals) -> anyhow::Error {
    let Some(mut embedded) = embedded else {
        return pending().await;
    };
    loop {
        sleep(EMBEDDED_EVERY).await;
        vitals.metrics.connections.set(vitals.health.connections());
        for line in embedded.lines(Timestamp::now().as_millisecond()) {
            // A closed pipe means that nobody reads them.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
}
