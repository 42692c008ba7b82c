//! How much goes on, in numbers.

use serde::Serialize;

use crate::dev::inspector::rates::{Latencies, Percentiles, Rate, SECONDS, second};
use crate::dev::inspector::trail::Micros;

#[derive(Default)]
pub(super) struct Totals {
    pub(super) events: Rate,
    pub(super) messages: Rate,
    pub(super) deliveries: Rate,
    pub(super) denied: Rate,
}

impl Totals {
    pub(super) fn pulse(&self, now: Micros, latencies: &Latencies, missed: u64) -> Pulse {
        Pulse {
            at: now,
            events: Flow::of(&self.events, now),
            messages: Flow::of(&self.messages, now),
            deliveries: Flow::of(&self.deliveries, now),
            denied: Flow::of(&self.denied, now),
            latency: latencies.percentiles(),
            missed,
        }
    }
}

/// How much is going on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pulse {
    /// When, in microseconds since 1970.
    pub at: Micros,
    /// Events that were seen.
    pub events: Flow,
    /// Messages that were published.
    pub messages: Flow,
    /// Messages that were written to clients.
    pub deliveries: Flow,
    /// What was refused: connections, subscriptions, publishes, deliveries.
    pub denied: Flow,
    /// From an event's first step to each client that got a message of it.
    pub latency: Option<Percentiles>,
    /// Observations that were missed.
    pub missed: u64,
}

/// How often something happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// Since the start.
    pub total: u64,
    /// A second.
    pub per_second: f64,
    /// Each second of the last minute, oldest first.
    #[serde(serialize_with = "as_list")]
    pub seconds: [u32; SECONDS],
}

fn as_list<S: serde::Serializer>(
    seconds: &[u32; SECONDS],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    seconds.as_slice().serialize(serializer)
}

impl Flow {
    fn of(rate: &Rate, now: Micros) -> Self {
        Self {
            total: rate.total(),
            per_second: rate.per_second(second(now)),
            seconds: rate.before(second(now)),
        }
    }
}
