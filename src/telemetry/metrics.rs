//! One table of what is measured: names, kinds, meanings. The manual's page on metrics is made of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds several.
    pub fn add(&self, several: usize) {
        self.0.fetch_add(several as u64, Ordering::Relaxed);
    }

    /// The sum since the process began.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers that only grow, one for each word of a closed set.
#[derive(Debug, Default)]
pub struct ByReason(Mutex<BTreeMap<&'static str, u64>>);

impl ByReason {
    /// Adds one to a word's number.
    pub fn one(&self, reason: &'static str) {
        *self.lock().entry(reason).or_default() += 1;
    }

    /// All words that were counted.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        self.lock()
            .iter()
            .map(|(word, count)| (*word, *count))
            .collect()
    }

    /// The sum of all.
    pub fn get(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // Whoever panicked while counting left a number that is right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: usize) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds, or takes away.
    pub fn change(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a histogram's buckets, in seconds; above the last there is one without a bound.
pub const BOUNDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// How times are spread.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    /// Notes one time.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let at = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// What was noted so far.
    pub fn get(&self) -> Spread {
        Spread {
            counts: self
                .buckets
                .each_ref()
                .map(|bucket| bucket.load(Ordering::Relaxed)),
            seconds: Duration::from_micros(self.microseconds.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// How many fell into each bucket.
    pub counts: [u64; BOUNDS.len() + 1],
    /// The sum of all, in seconds.
    pub seconds: f64,
}

impl Spread {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What came since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count -= before;
        }
        Self {
            counts,
            seconds: self.seconds - earlier.seconds,
        }
    }

    /// The upper bound of the bucket that a part (0 to 1) of all lies in or below. Above the last bound, that bound.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = self.count() as f64 * part;
        let mut sum = 0;
        let mut bounds = self.counts.iter().zip(BOUNDS);
        let found = bounds.find(|(count, _)| {
            sum += **count;
            sum as f64 >= wanted
        });
        found.map_or(60.0, |(_, bound)| bound)
    }
}

/// A metric's value at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter.
    Count(u64),
    /// Of a counter for each reason.
    ByReason(Vec<(&'static str, u64)>),
    /// Of a gauge.
    Level(i64),
    /// Of a histogram of seconds.
    Times(Spread),
}

/// A metric with its place in the table.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The name in the table.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What it is now.
    pub value: Value,
}

macro_rules! metrics {
    ($(
        $kind:ident($value:ident) { $($name:ident: $about:literal,)* }
    )*) => {
        /// What the daemon measures.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[doc = $about] pub $name: $kind,)*)*
        }

        impl Metrics {
            /// All metrics, in the order of the table.
            pub fn all(&self) -> Vec<Measured> {
                vec![$($(Measured {
                    name: stringify!($name),
                    about: $about,
                    value: metrics!(@value self.$name.$value()),
                },)*)*]
            }
        }
    };
    (@value $self:ident.$name:ident.count()) => { Value::Count($self.$name.get()) };
    (@value $self:ident.$name:ident.by_reason()) => { Value::ByReason($self.$name.all()) };
    (@value $self:ident.$name:ident.level()) => { Value::Level($self.$name.get()) };
    (@value $self:ident.$name:ident.times()) => { Value::Times($self.$name.get()) };
}

metrics! {
    Counter(count) {
        received: "Deliveries that the queue handed out.",
        redelivered: "Those of them that it had handed out before.",
        decoded: "Deliveries whose body is an event.",
        routed: "Events that at least one route makes messages of.",
        unrouted: "Events that no route takes.",
        nothing_to_publish: "Events that routes take and have nothing to publish of: the lists under `[*]` have no elements.",
        replays_held_back: "Events replayed from an archive that routes take and hold back (`replay: false`).",
        skipped: "Routes left out for an event because it makes no right topic (`on_invalid_topic: skip`).",
        published: "Messages that the broker acknowledged.",
        conflated: "Messages that a newer one took the place of while both waited (`conflate`).",
        expired: "Messages not published because their event was too old (`expires`).",
        throttled: "Messages that were refused for now and tried again.",
        leases_extended: "Leases extended because the work on a delivery took long.",
        leases_lost: "Deliveries given up because their lease had ended.",
        postponed: "Deliveries handed back because publishing did not succeed in time.",
        handed_back: "Deliveries handed back untouched because the process is ending.",
        deleted: "Deliveries finished and deleted from the queue, dead letters included.",
        left_to_redrive: "Deliveries that can never be published, left to the queue's own redrive: there is no dead-letter queue.",
        possible_duplicates: "Finished deliveries that could not be deleted: they may come again.",
        receive_errors: "Failed calls of receive.",
    }
    ByReason(by_reason) {
        dead_lettered: "Deliveries sent to the dead-letter queue, by the reason that dead letters carry.",
    }
    Gauge(level) {
        in_flight: "Deliveries between receiving and settling.",
        connections: "Connections to the broker that are up.",
        queue_age_seconds: "How long the delivery received last had waited in the queue.",
    }
    Histogram(times) {
        publish_seconds: "From handing a message to the publisher to the broker's acknowledgement.",
        end_to_end_seconds: "From the event's own time to the broker's acknowledgement.",
    }
}

impl Metrics {
    /// All counters that are not zero, as one line for a log.
    pub fn summary(&self) -> String {
        let mut line = String::new();
        for Measured { name, value, .. } in self.all() {
            let count = match value {
                Value::Count(count) => count,
                Value::ByReason(counts) => counts.iter().map(|(_, count)| count).sum(),
                Value::Level(_) | Value::Times(_) => 0,
            };
            if count > 0 {
                let gap = if line.is_empty() { "" } else { " " };
                // Writing to a string does not fail.
                let _ = write!(line, "{gap}{name}={count}");
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_happened() {
        let metrics = Metrics::default();
        metrics.received.add(3);
        metrics.deleted.one();
        metrics.dead_lettered.one("too_large");
        assert_eq!(metrics.summary(), "received=3 deleted=1 dead_lettered=1");
    }

    #[test]
    fn times_fall_into_buckets() {
        let histogram = Histogram::default();
        for milliseconds in [1, 2, 3, 120_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let spread = histogram.get();
        assert_eq!(spread.counts[..4], [1, 1, 1, 0]);
        assert_eq!(spread.counts[BOUNDS.len()], 1);
        assert_eq!((spread.count(), spread.seconds), (4, 120.006));
        assert_eq!((spread.quantile(0.5), spread.quantile(1.0)), (0.0025, 60.0));
        let since = spread.since(&histogram.get());
        assert_eq!(since.count(), 0);
    }
}
