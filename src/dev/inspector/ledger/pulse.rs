//! Live statistics.

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
    /// Returns the current statistics of a period that began at a moment.
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

/// Statistics of the platform's activity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveStatistics {
    /// Time, in microseconds since 1970.
    pub at: EpochMicros,
    /// Observed events.
    pub events: EventRates,
    /// Published messages.
    pub messages: EventRates,
    /// Messages that were written to clients.
    pub deliveries: EventRates,
    /// Denials: connections, subscriptions, publishes, deliveries.
    pub denied: EventRates,
    /// Time from an event's first step to each delivery of its messages to a client.
    pub latency: Option<LatencyPercentiles>,
    /// Missed observations.
    pub missed: u64,
}

/// Total and rate of one kind of event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRates {
    /// Total since the start.
    pub total: u64,
    /// Rate per second.
    pub per_second: f64,
    /// Counts of each second of the last minute, oldest first.
    #[serde(serialize_with = "as_list")]
    pub seconds: [u32; SECONDS],
}

fn as_list<S: serde::Serializer>(
    seconds: &[u32; SECONDS],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    seconds.as_slice().serialize(serializer)
}

/// Age of the store, in microseconds, from which the average covers five whole seconds.
const AVERAGED: EpochMicros = 6_000_000;

impl EventRates {
    fn of(rate: &MinuteRate, began: EpochMicros, now: EpochMicros) -> Self {
        // Before that, the average is over the time that has passed, at least one second.
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
        // Twenty-five events per second, evenly spaced.
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
