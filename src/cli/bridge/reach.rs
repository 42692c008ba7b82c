//! Reaching the daemon's queue and broker, before it works.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::aws::data_plane::DataPlanePublisher;
use crate::aws::sqs::Sqs;
use crate::aws::{client, endpoint};
use crate::cli::broker;
use crate::config::bridge as config;
use crate::mqtt;
use crate::mqtt::pool::Pool;
use crate::pace::PaceBounds;
use crate::port::{Publisher as _, Queue as _, QueueFacts};
use crate::shutdown::Shutdown;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Longest time to reach the broker at start.
const BROKER_START: Duration = Duration::from_secs(10);

/// First and longest pause between attempts with `--wait`.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The parts that the daemon works with, each of them tried.
pub(super) struct Parts<P> {
    pub(super) queue: Arc<Sqs>,
    pub(super) facts: QueueFacts,
    pub(super) publisher: Arc<P>,
    /// Number of the publisher's connections that are up.
    pub(super) up: watch::Receiver<usize>,
    /// The broker that it publishes to.
    pub(super) broker: String,
}

/// Reaches queue and broker: once, or until it succeeds. Returns `None` when the process is asked
/// to end meanwhile.
pub(super) async fn begin<P>(
    wait: bool,
    reach: impl AsyncFn() -> anyhow::Result<Parts<P>>,
    health: &Health,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Parts<P>>> {
    let mut pause = PAUSES.0;
    loop {
        let error = tokio::select! {
            parts = reach() => match parts {
                Ok(parts) => return Ok(Some(parts)),
                Err(error) => error,
            },
            _ = shutdown.draining() => return Ok(None),
        };
        if !wait {
            return Err(error);
        }
        let error = format!("{error:#}");
        tracing::warn!(error, again_in = ?pause, "bridge cannot start yet");
        health.start_failed(error);
        tokio::select! {
            () = sleep(pause) => {}
            _ = shutdown.draining() => return Ok(None),
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn open_queue(
    section: &config::BridgeConfig,
    aws: &SdkConfig,
    queue: &str,
) -> anyhow::Result<(Arc<Sqs>, QueueFacts)> {
    let queue = Sqs::open(aws, queue.to_owned(), section.dead_letter_queue.clone()).await;
    let queue = Arc::new(queue.context("opening the queue")?);
    let facts = queue
        .describe()
        .await
        .context("reading the queue's settings")?;
    if facts.visibility.is_zero() {
        anyhow::bail!(
            "the queue's VisibilityTimeout is 0: every event would be handed out again while it is published; set it to 30 seconds"
        );
    }
    Ok((queue, facts))
}

/// Within this time the events that wait in the queue at start are to be published, as far as
/// connections decide it.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Reaches queue and an MQTT broker.
pub(super) async fn over_mqtt(
    section: &config::BridgeConfig,
    queue: &str,
    aws: &SdkConfig,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Parts<Pool>> {
    let (queue, facts) = open_queue(section, aws, queue).await?;
    let access = broker::access(section, aws).await?;
    let broker = access.broker.to_string();
    let settings = mqtt::MqttSettings {
        access,
        client_id: section.client_id.clone(),
        connections: section.connections,
        expected_rate: facts.backlog as f64 / CATCH_UP.as_secs_f64(),
        in_flight: section.pace.unacknowledged,
        publish_timeout: section.publish_timeout,
        limits: PaceBounds {
            publishes: section.pace.publishes,
            bytes: section.pace.bytes,
            process: section.pace.task,
        },
        ..mqtt::MqttSettings::default()
    };
    let pool = Pool::measured(settings, Arc::clone(metrics));
    let pool = Arc::new(match section.publish.data_plane() {
        Some(calls) => {
            let publisher = data_plane(calls, aws, None).await?.0;
            pool.with_overflow(publisher.as_overflow(), calls.most)
        }
        None => pool,
    });
    if timeout(BROKER_START, pool.ready()).await.is_err() {
        let why = pool.last_error();
        pool.close(Instant::now()).await;
        let why = why.unwrap_or_else(|| "it does not answer".into());
        anyhow::bail!("connecting to the broker {broker}: {why}");
    }
    Ok(Parts {
        queue,
        facts,
        up: pool.up(),
        publisher: pool,
        broker,
    })
}

/// The data plane, with this task's share of the account's quota, and where it is.
async fn data_plane(
    calls: &config::DataPlaneCalls,
    aws: &SdkConfig,
    share: Option<u32>,
) -> anyhow::Result<(DataPlanePublisher, String)> {
    let endpoint = endpoint::of_data_plane(calls.endpoint.as_deref(), aws);
    let endpoint = endpoint.await.context(
        "asking IoT Core for the account's endpoint, because bridge.endpoint is not set",
    )?;
    let publisher = DataPlanePublisher::new(aws, &endpoint, calls.most, share);
    Ok((publisher, endpoint))
}

/// Reaches the queue, and finds IoT Core's data plane.
pub(super) async fn over_https(
    section: &config::BridgeConfig,
    queue: &str,
    calls: &config::DataPlaneCalls,
) -> anyhow::Result<Parts<DataPlanePublisher>> {
    let aws = client::environment().await;
    let (queue, facts) = open_queue(section, &aws, queue).await?;
    let (publisher, endpoint) = data_plane(calls, &aws, section.pace.task).await?;
    Ok(Parts {
        queue,
        facts,
        up: publisher.up(),
        publisher: Arc::new(publisher),
        broker: endpoint,
    })
}
