//! The daemon: receives events, routes them, publishes them, and settles them once every publication was acknowledged.
//!
//! `intake` keeps long polls open and hands what they bring, in order, to `dispatch`, which routes and publishes; what
//! waits for its acknowledgements is watched by a task of its own; `settle` deletes, releases and buries in batches. A
//! delivery occupies one of a bounded number of places from before it is received until it is settled.

mod dispatch;
mod dispose;
mod intake;
mod settle;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::port::{Delivery, Publisher, Queue, QueueFacts};
use crate::route::table::RouteTable;
use crate::shutdown::Shutdown;
use crate::telemetry::counters::Counters;

/// How hard the daemon works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The least and the most long polls at a time.
    pub pollers: (usize, usize),
    /// How long a poll waits for a message.
    pub wait: Duration,
    /// The most deliveries between receiving and settling.
    pub in_flight: usize,
    /// How long draining may take.
    pub drain: Duration,
}

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything received was settled or handed back.
    Drained,
    /// The deadline, or a second signal, cut it short: what was not settled comes again when its lease ends.
    Cut,
}

/// Deliveries of one receive, each with its place among those in flight.
type Batch = Vec<(Delivery, OwnedSemaphorePermit)>;

/// The part of the drain time that is kept for settling.
const SETTLE_RESERVE: Duration = Duration::from_secs(2);

/// How often a summary is logged while something happens.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// The daemon over any queue and any publisher.
pub struct Bridge<Q, P> {
    queue: Arc<Q>,
    publisher: Arc<P>,
    routes: Arc<RouteTable>,
    settings: Settings,
    facts: QueueFacts,
    counters: Arc<Counters>,
    shutdown: Shutdown,
}

impl<Q: Queue, P: Publisher> Bridge<Q, P> {
    /// Puts the parts together. `facts` are the queue's own, read at start.
    pub fn new(
        (queue, facts): (Arc<Q>, QueueFacts),
        publisher: Arc<P>,
        routes: Arc<RouteTable>,
        settings: Settings,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            queue,
            publisher,
            routes,
            settings,
            facts,
            counters: Arc::default(),
            shutdown,
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Works until it is told to shut down and everything in flight is settled.
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
        tracing::info!(
            ?ending,
            counts = self.counters.summary(),
            "the bridge ended"
        );
        ending
    }

    async fn work(&self) {
        // One batch may wait while another is being dispatched.
        let (received, batches) = mpsc::channel(1);
        let (settlements, to_settle) = mpsc::channel(self.settings.in_flight);
        tokio::join!(
            self.intake(received),
            self.dispatch(batches, settlements),
            self.settle(to_settle),
        );
    }

    /// Logs a summary now and then, for ever.
    async fn tell(&self) {
        let mut told = String::new();
        loop {
            sleep(SUMMARY_EVERY).await;
            let counts = self.counters.summary();
            if counts != told {
                tracing::info!(counts, "so far");
                told = counts;
            }
        }
    }

    /// Until when a delivery may be worked on: some time before its lease ends, so that it can still be settled.
    fn give_up_at(&self, delivery: &Delivery) -> Instant {
        let margin = (self.facts.visibility / 4).min(Duration::from_secs(3));
        delivery.lease.checked_sub(margin).unwrap_or(delivery.lease)
    }
}

/// Resolves when it is time to stop waiting for acknowledgements: the lease is about to end, or draining is.
async fn give_up(at: Instant, shutdown: Shutdown, drain: Duration) {
    let drained = async {
        let since = shutdown.draining().await;
        sleep_until(since + drain.saturating_sub(SETTLE_RESERVE).max(drain / 2)).await;
    };
    tokio::select! {
        () = sleep_until(at) => {}
        () = drained => {}
    }
}
