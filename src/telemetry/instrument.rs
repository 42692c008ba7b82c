//! Instruments for numbers: counters, gauges and histograms, each shared by many threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

    /// Takes over a sum that is counted elsewhere.
    pub fn raise_to(&self, sum: u64) {
        self.0.fetch_max(sum, Ordering::Relaxed);
    }

    /// The sum since the process began.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers that only grow, one for each reason of a closed set and each route at fault.
#[derive(Debug, Default)]
pub struct ReasonCounter(Mutex<CountsByReason>);

type CountsByReason = BTreeMap<(&'static str, Option<Arc<str>>), u64>;

impl ReasonCounter {
    /// Adds one for a reason, and for the route at fault where there is one.
    pub fn one(&self, reason: &'static str, route: Option<Arc<str>>) {
        *self.lock().entry((reason, route)).or_default() += 1;
    }

    /// All that were counted: reason, route, number.
    pub fn all(&self) -> Vec<(&'static str, Option<Arc<str>>, u64)> {
        self.lock()
            .iter()
            .map(|((reason, route), count)| (*reason, route.clone(), *count))
            .collect()
    }

    /// The sum of all.
    pub fn get(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, CountsByReason> {
        // A panic while counting leaves a number that is right.
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

    /// Current value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a histogram's buckets, in seconds; above the last there is one without a bound.
pub const BOUNDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Distribution of times.
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

    /// State at this moment.
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
    /// Number of times in each bucket.
    pub counts: [u64; BOUNDS.len() + 1],
    /// The sum of all, in seconds.
    pub seconds: f64,
}

impl Spread {
    /// Number of times in all buckets.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Increase since an earlier moment.
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

    /// The upper bound of the bucket that a part (0 to 1) of all lies in or below. Above the last
    /// bound, that bound.
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn reasons_are_counted_by_route() {
        let counter = ReasonCounter::default();
        let route = Some(Arc::from("orders"));
        counter.one("too_large", route.clone());
        counter.one("too_large", route.clone());
        counter.one("too_large", None);
        assert_eq!(
            counter.all(),
            [("too_large", None, 1), ("too_large", route, 2)]
        );
        assert_eq!(counter.get(), 3);
    }
}
