//! The number of connections that the publishing rate needs.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::pace::PaceBounds;

/// The time over which arrivals are measured: short, so that a rise is seen at once.
const WINDOW: Duration = Duration::from_millis(100);

/// The parts of the window.
const PARTS: u32 = 10;

/// The part of a connection's limit that is planned with. A connection's pace lets nine tenths
/// through steadily.
const USED: f64 = 0.8;

/// Time in seconds within which waiting publications are to be sent.
const CATCH_UP: f64 = 0.5;

/// Time for which the highest demand decides how many connections are kept.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The part of it that one of the remembered peaks covers.
const PEAK_OF: Duration = Duration::from_secs(10);

/// Demand: publications in a second, and the connections that this takes.
#[derive(Debug)]
pub(super) struct PoolDemand {
    /// Publications and bytes a second that one connection is planned to carry.
    capacity: (Option<f64>, Option<f64>),
    /// Publications and bytes of each part of the window, the latest last.
    parts: VecDeque<(Instant, u32, u64)>,
    /// The most connections that were wanted at a time, for each part of what is remembered, the
    /// latest last.
    peaks: VecDeque<(Instant, usize)>,
}

impl PoolDemand {
    pub(super) fn new(limits: &PaceBounds, now: Instant) -> Self {
        let planned = |limit: Option<u32>| limit.map(|limit| f64::from(limit) * USED);
        Self {
            capacity: (planned(limits.publishes), planned(limits.bytes)),
            parts: VecDeque::new(),
            peaks: VecDeque::from([(now, 0)]),
        }
    }

    /// Notes one publication.
    pub(super) fn note(&mut self, bytes: usize, now: Instant) {
        match self.parts.back_mut() {
            Some((since, count, sum)) if now.saturating_duration_since(*since) < WINDOW / PARTS => {
                *count += 1;
                *sum += bytes as u64;
            }
            _ => {
                self.parts.push_back((now, 1, bytes as u64));
                if self.parts.len() > PARTS as usize {
                    self.parts.pop_front();
                }
            }
        }
    }

    /// The connections that are wanted now, with so many publications waiting; `None` where
    /// connections have no limit.
    pub(super) fn wanted(&mut self, waiting: usize, now: Instant) -> Option<usize> {
        let recent = |part: &&(Instant, u32, u64)| now.saturating_duration_since(part.0) < WINDOW;
        let (mut count, mut bytes) = (0.0, 0.0);
        for (_, publications, sum) in self.parts.iter().filter(recent) {
            count += f64::from(*publications);
            bytes += *sum as f64;
        }
        let size = if count > 0.0 { bytes / count } else { 0.0 };
        let rate = count / WINDOW.as_secs_f64() + waiting as f64 / CATCH_UP;
        let (publications, bytes) = self.capacity;
        let needed = |rate: f64, capacity: Option<f64>| capacity.map(|capacity| rate / capacity);
        let needed = needed(rate, publications)
            .into_iter()
            .chain(needed(rate * size, bytes))
            .reduce(f64::max)?;
        let wanted = needed.ceil() as usize;
        self.remember(wanted, now);
        Some(wanted)
    }

    fn remember(&mut self, wanted: usize, now: Instant) {
        match self.peaks.back_mut() {
            Some((since, peak)) if now.saturating_duration_since(*since) < PEAK_OF => {
                *peak = wanted.max(*peak);
            }
            _ => self.peaks.push_back((now, wanted)),
        }
        while self
            .peaks
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) > REMEMBERED)
        {
            self.peaks.pop_front();
        }
    }

    /// The most connections that were wanted at any moment of the last five minutes.
    pub(super) fn peak(&self) -> usize {
        self.peaks.iter().map(|(_, peak)| *peak).max().unwrap_or(0)
    }

    /// The connections that carry so many publications a second.
    pub(super) fn for_rate(&self, rate: f64) -> Option<usize> {
        Some((rate / self.capacity.0?).ceil() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PaceBounds = PaceBounds {
        publishes: Some(100),
        bytes: Some(512_000),
        process: None,
    };

    #[tokio::test(start_paused = true)]
    async fn a_rise_is_seen_at_once_and_remembered() {
        let mut now = Instant::now();
        let mut demand = PoolDemand::new(&LIMITS, now);
        assert_eq!(demand.wanted(0, now), Some(0));
        // 2,000 a second of 1 KiB, for a tenth of a second.
        for _ in 0..200 {
            now += Duration::from_micros(500);
            demand.note(1_024, now);
        }
        let wanted = demand.wanted(0, now).unwrap();
        assert!((20..=26).contains(&wanted), "{wanted}");
        assert!(demand.wanted(400, now).unwrap() >= wanted + 10);
        now += Duration::from_secs(200);
        assert_eq!(demand.wanted(0, now), Some(0));
        assert!(demand.peak() >= wanted);
        now += Duration::from_secs(200);
        assert_eq!((demand.wanted(0, now), demand.peak()), (Some(0), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_ask_for_connections_too() {
        let mut now = Instant::now();
        let mut demand = PoolDemand::new(&LIMITS, now);
        // 100 a second of 100 KB are 10 MB a second.
        for _ in 0..10 {
            now += Duration::from_millis(10);
            demand.note(100_000, now);
        }
        let wanted = demand.wanted(0, now).unwrap();
        assert!((20..=26).contains(&wanted), "{wanted}");
        let mut free = PoolDemand::new(
            &PaceBounds {
                publishes: None,
                bytes: None,
                ..LIMITS
            },
            now,
        );
        free.note(1, now);
        assert_eq!(free.wanted(1_000, now), None);
    }
}
