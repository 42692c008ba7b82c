//! Counts per second over the last minute.

use std::time::Duration;

use serde::Serialize;

use super::trail::EpochMicros;

/// Number of seconds that are kept.
pub(super) const SECONDS: usize = 60;

/// Returns the second of a time, counted from 1970.
pub(super) fn second(at: EpochMicros) -> i64 {
    at.div_euclid(1_000_000)
}

/// Counts per second of the last minute; older counts are removed.
#[derive(Clone, Debug)]
pub(super) struct MinuteRate {
    /// Count of each second, at its number modulo the length.
    counts: [u32; SECONDS],
    /// Latest second with a count.
    latest: i64,
    total: u64,
}

impl Default for MinuteRate {
    fn default() -> Self {
        Self {
            counts: [0; SECONDS],
            latest: i64::MIN / 2,
            total: 0,
        }
    }
}

impl MinuteRate {
    fn place(second: i64) -> usize {
        usize::try_from(second.rem_euclid(SECONDS as i64)).unwrap_or_default()
    }

    /// Counts one item.
    pub(super) fn one(&mut self, second: i64) {
        self.total += 1;
        self.advance(second);
        if second > self.latest - SECONDS as i64
            && let Some(count) = self.counts.get_mut(Self::place(second))
        {
            *count += 1;
        }
    }

    /// Removes old counts.
    fn advance(&mut self, second: i64) {
        if second - self.latest >= SECONDS as i64 {
            self.counts = [0; SECONDS];
        } else {
            for passed in self.latest + 1..=second {
                if let Some(count) = self.counts.get_mut(Self::place(passed)) {
                    *count = 0;
                }
            }
        }
        self.latest = self.latest.max(second);
    }

    /// Returns the total of all time.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the latest second with a count.
    pub(super) fn latest(&self) -> i64 {
        self.latest
    }

    /// Returns the counts of the `N` seconds before this one, oldest first. This second is
    /// incomplete.
    pub(super) fn before<const N: usize>(&self, now: i64) -> [u32; N] {
        std::array::from_fn(|index| {
            let second = now - (N - index) as i64;
            let known = second <= self.latest && second > self.latest - SECONDS as i64;
            let count = self.counts.get(Self::place(second)).copied();
            count.filter(|_| known).unwrap_or_default()
        })
    }

    /// Returns the rate per second, over the last five complete seconds.
    pub(super) fn per_second(&self, now: i64) -> f64 {
        let counts = self.before::<5>(now);
        f64::from(counts.iter().sum::<u32>()) / 5.0
    }
}

/// Latencies of the latest events.
#[derive(Debug, Default)]
pub(super) struct RecentLatencies {
    /// In microseconds, in the order of their reports.
    latest: std::collections::VecDeque<u64>,
}

/// Number of latencies that are kept.
const LATENCIES: usize = 4_096;

/// Percentiles of the latencies: the median and the 99th.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyPercentiles {
    /// In milliseconds.
    pub p50_ms: f64,
    /// In milliseconds.
    pub p99_ms: f64,
}

impl RecentLatencies {
    pub(super) fn add(&mut self, took: Duration) {
        if self.latest.len() >= LATENCIES {
            self.latest.pop_front();
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latest.push_back(micros);
    }

    /// Returns the percentiles; `None` without a latency.
    pub(super) fn percentiles(&self) -> Option<LatencyPercentiles> {
        let mut sorted: Vec<u64> = self.latest.iter().copied().collect();
        sorted.sort_unstable();
        let at = |part: usize| {
            let index = (sorted.len() * part / 100).min(sorted.len().checked_sub(1)?);
            sorted.get(index).map(|micros| *micros as f64 / 1_000.0)
        };
        Some(LatencyPercentiles {
            p50_ms: at(50)?,
            p99_ms: at(99)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Comparison with a list of all counted items.
        #[test]
        fn counts_are_those_of_their_seconds(steps in prop::collection::vec(-3_i64..70, 0..80)) {
            let (mut rate, mut all, mut now) = (MinuteRate::default(), Vec::new(), 1_000_i64);
            for step in steps {
                now = (now + step).max(0);
                rate.one(now);
                all.push(now);
            }
            let latest = all.iter().copied().max().unwrap_or(0);
            let count = |second: i64| {
                let counted = all.iter().filter(|other| **other == second).count();
                u32::try_from(counted).unwrap()
            };
            prop_assert_eq!(rate.total(), all.len() as u64);
            let told = rate.before::<50>(latest + 1);
            for (index, told) in told.into_iter().enumerate() {
                let second = latest + 1 - (50 - index as i64);
                prop_assert_eq!(told, count(second), "{}", second);
            }
        }
    }

    #[test]
    fn a_minute_is_remembered() {
        let mut rate = MinuteRate::default();
        for second in [100, 100, 101, 103] {
            rate.one(second);
        }
        assert_eq!(rate.before::<5>(104), [0, 2, 1, 0, 1]);
        assert!((rate.per_second(104) - 0.8).abs() < 1e-9);
        assert_eq!(rate.before::<5>(200), [0; 5]);
        rate.one(159);
        assert_eq!(rate.before::<60>(160)[0], 2);
        rate.one(160);
        assert_eq!(rate.before::<60>(161)[0], 1);
        rate.one(500);
        assert_eq!(rate.before::<3>(501), [0, 0, 1]);
        assert_eq!(rate.total(), 7);
    }

    #[test]
    fn percentiles() {
        let mut latencies = RecentLatencies::default();
        assert_eq!(latencies.percentiles(), None);
        for micros in (0..100).rev() {
            latencies.add(Duration::from_micros(micros * 1_000));
        }
        let told = latencies.percentiles().unwrap();
        assert_eq!((told.p50_ms, told.p99_ms), (50.0, 99.0));
    }
}
