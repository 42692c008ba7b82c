//! The daemon: receives events, routes them, publishes them, and settles them once every
//! publication was acknowledged.
//!
//! `intake` keeps long polls open and hands what they bring, in order, to `dispatch`, which owns
//! everything that is under way: it routes, publishes in lanes (`lane`), ends what has its fate
//! (`fate`), keeps visibility timeouts (`lease`) and fair shares (`shares`); `settle` deletes,
//! releases and dead-letters in batches; `spans` describes it all in traces. A delivery occupies
//! one of a bounded number of places from before it is received until it is settled.

mod dispatch;
mod dispose;
mod fate;
mod intake;
mod lane;
mod lease;
mod log_limits;
mod route_counters;
mod settle;
mod shares;
mod spans;
mod work;

#[cfg(test)]
#[path = "../../tests/support/queue_contract.rs"]
mod queue_contract;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, sleep_until};

use self::lease::Leases;
use self::log_limits::LogLimits;
use self::spans::Spans;
use crate::port::{Delivery, Publisher, Queue, QueueFacts};
use crate::route::table::RouteTable;
use crate::shutdown::Shutdown;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// Limits on the daemon's work.
#[derive(Clone, Debug)]
pub struct BridgeSettings {
    /// The least and the most long polls at a time.
    pub pollers: (usize, usize),
    /// Time for which a poll waits for a message.
    pub wait: Duration,
    /// The most deliveries between receiving and settling.
    pub in_flight: usize,
    /// Nothing is received while the bodies of those have as many bytes.
    pub in_flight_bytes: usize,
    /// Time for which a delivery may be worked on before it is handed back. Its visibility timeout
    /// is extended meanwhile.
    pub hold: Duration,
    /// Maximum duration of draining.
    pub drain: Duration,
}

/// End of the daemon's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything received was settled or handed back.
    Drained,
    /// The deadline, or a second signal, cut it short: what was not settled comes again when its
    /// visibility timeout ends.
    Cut,
}

/// Deliveries of one receive, each with its place among those in flight.
type DeliveryBatch = Vec<(Delivery, InFlightPlace)>;

/// A delivery's place among those in flight and the bytes of its body, given up when it is dropped.
struct InFlightPlace {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

impl InFlightPlace {
    fn new(
        permit: OwnedSemaphorePermit,
        bytes: usize,
        room: &Arc<Room>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        metrics.in_flight.change(1);
        room.bytes.fetch_add(bytes, Ordering::Relaxed);
        Self {
            permit: Some(permit),
            bytes,
            room: Arc::clone(room),
            metrics: Arc::clone(metrics),
        }
    }

    /// Leaves the place to another delivery; the bytes go on counting.
    fn give_up_place(&mut self) {
        self.permit = None;
    }
}

impl Drop for InFlightPlace {
    fn drop(&mut self) {
        self.metrics.in_flight.change(-1);
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.freed.notify_one();
    }
}

/// Bounds of the deliveries in flight.
struct Room {
    places: Arc<Semaphore>,
    most: usize,
    most_bytes: usize,
    bytes: AtomicUsize,
    freed: Notify,
}

impl Room {
    fn new(places: usize, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places)),
            most: places,
            most_bytes,
            bytes: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Returns `true` while at least half of the places are free.
    fn is_half_free(&self) -> bool {
        self.places.available_permits() >= self.most / 2
    }

    /// Returns places for the messages of one receive, if there are some now.
    fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        if self.bytes.load(Ordering::Relaxed) >= self.most_bytes {
            return None;
        }
        let places = Arc::clone(&self.places);
        places
            .try_acquire_many_owned(intake::PER_RECEIVE as u32)
            .ok()
    }

    /// Returns places for the messages of one receive, once there are some. Cancel safe.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        while self.bytes.load(Ordering::Relaxed) >= self.most_bytes {
            self.freed.notified().await;
        }
        let places = Arc::clone(&self.places);
        places
            .acquire_many_owned(intake::PER_RECEIVE as u32)
            .await
            .ok()
    }
}

/// Interval between summaries in the log, while something happens.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// The daemon over any queue and any publisher.
pub struct Bridge<Q, P> {
    queue: Arc<Q>,
    publisher: Arc<P>,
    routes: watch::Receiver<Arc<RouteTable>>,
    settings: BridgeSettings,
    facts: QueueFacts,
    leases: Leases,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    spans: Spans,
    log_limits: Arc<LogLimits>,
    shutdown: Shutdown,
}

impl<Q: Queue, P: Publisher> Bridge<Q, P> {
    /// Puts the parts together. `facts` are the queue's own, read at start; each delivery is routed
    /// by the latest `routes`.
    pub fn new(
        (queue, facts): (Arc<Q>, QueueFacts),
        publisher: Arc<P>,
        routes: watch::Receiver<Arc<RouteTable>>,
        settings: BridgeSettings,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            queue,
            publisher,
            routes,
            leases: Leases::new(&facts, settings.hold),
            settings,
            facts,
            metrics: Arc::default(),
            health: Health::new(shutdown.clone()),
            spans: Spans::default(),
            log_limits: Arc::default(),
            shutdown,
        }
    }

    /// Traces the work on each delivery, from a queue's URL to a broker's.
    pub fn traced(self, traces: Traces, queue: &str, broker: &str) -> Self {
        Self {
            spans: Spans::new(traces, queue, broker),
            ..self
        }
    }

    /// Counts and gives its signs of life where others read them.
    pub fn reporting(self, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self {
            metrics,
            health,
            ..self
        }
    }

    /// Metrics that it counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// The signs of life that it gives.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Works until it is asked to shut down and everything in flight is settled.
    pub async fn run(self) -> Ending {
        let deadline = async {
            let since = self.shutdown.draining().await;
            sleep_until(since + self.settings.drain).await;
        };
        let ending = tokio::select! {
            () = self.work() => Ending::Drained,
            () = self.shutdown.stopped() => Ending::Cut,
            () = deadline => Ending::Cut,
            () = self.tell() => Ending::Cut,
        };
        self.log_summary();
        tracing::info!(?ending, "the bridge ended");
        ending
    }

    async fn work(&self) {
        // One batch may wait while another is being dispatched.
        let (received, batches) = mpsc::channel(1);
        // Room for all, so that handing a settlement on never waits.
        let room = self.places() + shares::MOST_WITHOUT_PLACE;
        let (settlements, to_settle) = mpsc::channel(room);
        tokio::join!(
            self.intake(received),
            self.dispatch(batches, settlements),
            self.settle(to_settle),
        );
    }

    /// Maximum number of deliveries in flight.
    fn places(&self) -> usize {
        self.settings.in_flight.max(intake::PER_RECEIVE)
    }

    fn log_summary(&self) {
        self.metrics.connections.set(self.health.connections());
        self.metrics.log("metrics summary");
    }

    /// Logs a summary now and then, for ever.
    async fn tell(&self) {
        let mut told = BTreeMap::new();
        loop {
            sleep(SUMMARY_EVERY).await;
            let counts = self.metrics.counts();
            if counts != told {
                self.log_summary();
                told = counts;
            }
            let suppressed = self.log_limits.take_suppressed();
            if suppressed > 0 {
                tracing::info!(suppressed, "log lines were held back by their rate limit");
            }
        }
    }
}
