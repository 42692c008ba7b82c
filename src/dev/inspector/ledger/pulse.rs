//! How much goes on, in numbers.

use serde::Serialize;

use crate::dev::inspector::rates::{
    LatencyPercentiles, MinuteRate, RecentLatencies, SECONDS, second,
};
use crate::dev::inspector::trail::EpochMicros;

#[derive(Default)]
pub(super) struct LiveTotals {
    pub(super) events: MinuteRate,
    pub(super) messages: MinuteRate,
    pub(super) deliveries: MinuteRate,
    pub(super) denied: MinuteRate,
}

impl LiveTotals {
    /// Counts as they are now, of what began at a moment.
    pub(super) fn pulse(
        &self,
        (began, now): (EpochMicros, EpochMicros),
        latencies: &RecentLatencies,
        missed: u64,
    ) -> LiveStatistics {
        LiveStatistics {
            at: now,
            events: EventRates::of(&self.events, began, now),
            messages: EventRates::of(&self.messages, began, now),
            deliveries: EventRates::of(&self.deliveries, began, now),
            denied: EventRates::of(&self.denied, began, now),
            latency: latencies.percentiles(),
            missed,
        }
    }
}

/// How much is going on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveStatistics {
    /// When, in microseconds since 1970.
    pub at: EpochMicros,
    /// Events that were seen.
    pub events: EventRates,
    /// Messages that were published.
    pub messages: EventRates,
    /// Messages that were written to clients.
    pub deliveries: EventRates,
    /// What was refused: connections, subscriptions, publishes, deliveries.
    pub denied: EventRates,
    /// From an event's first step to each client that got a message of it.
    pub latency: Option<LatencyPercentiles>,
    /// Observations that were missed.
    pub missed: u64,
}

/// How often something happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRates {
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

/// The time after which the five whole seconds before now lie behind the beginning, in microseconds.
const AVERAGED: EpochMicros = 6_000_000;

impl EventRates {
    fn of(rate: &MinuteRate, began: EpochMicros, now: EpochMicros) -> Self {
        // Before that, the average is over the time that has passed, and one second at least.
        let passed = now - began;
        let per_second = if passed < AVERAGED {
            rate.total() as f64 * 1e6 / passed.max(1_000_000) as f64
        } else {
            rate.per_second(second(now))
        };
        Self {
            total: rate.total(),
            per_second,
            seconds: rate.before(second(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_right_from_the_first_second_on() {
        const BEGAN: EpochMicros = 1_000_300_000;
        let mut rate = MinuteRate::default();
        // Twenty-five a second, evenly.
        for step in 0..25 * 12 {
            let at = BEGAN + step * 40_000;
            rate.one(second(at));
            if step % 25 == 24 {
                let told = EventRates::of(&rate, BEGAN, at + 40_000).per_second;
                assert!((told - 25.0).abs() < 1.0, "after {step}: {told}");
            }
        }
        let mut first = MinuteRate::default();
        first.one(second(BEGAN));
        assert!((EventRates::of(&first, BEGAN, BEGAN + 1).per_second - 1.0).abs() < 1e-9);
        assert!((EventRates::of(&first, BEGAN, BEGAN + 4_000_000).per_second - 0.25).abs() < 1e-9);
    }
}
