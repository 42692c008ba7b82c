//! Pacing: what a connection, and all of them together, may send in a second.
//!
//! IoT Core discards what exceeds 100 publishes a second on a connection without a word (QUOTA, "Publish requests per second per
//! connection"), so that keeping below is a matter of correctness. No window of one second ever holds more than the rate: a
//! bucket's burst and what flows into it within a second together make the rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The part of a rate that may be sent at once.
const BURST: f64 = 0.1;

/// The least that a timer tells apart.
const TICK: Duration = Duration::from_millis(1);

/// Tokens that flow in steadily, up to a bound. Taking may overdraw it; then it is empty for longer.
#[derive(Debug)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Lets through at most `rate` within any second.
    fn new(rate: f64) -> Self {
        let capacity = (rate * BURST).max(1.0).min(rate);
        Self {
            capacity,
            // A rate of one has no room for both: then a burst of one each second and a bit.
            per_second: (rate - capacity).max(rate / 2.0),
            tokens: capacity,
            at: Instant::now(),
        }
    }

    /// When there is something to take.
    fn due(&mut self, now: Instant, least: f64) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.capacity);
        self.at = now;
        let wait = (least - self.tokens) / self.per_second;
        // Rounded up to what the clock can tell apart: rounding down would ask again at once, for ever.
        (wait > 0.0).then(|| now + Duration::from_secs_f64(wait) + TICK)
    }

    fn take(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }
}

/// How much may be sent in a second; `None` where the broker has no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Publishes on one connection.
    pub publishes: Option<u32>,
    /// Bytes on one connection.
    pub bytes: Option<u32>,
    /// Publishes of this process, on all of its connections.
    pub process: Option<u32>,
}

impl Default for Limits {
    /// IoT Core's limits for a connection, and none for the process.
    fn default() -> Self {
        Self {
            publishes: Some(crate::channel::limits::PUBLISHES_PER_SECOND_PER_CONNECTION),
            bytes: Some(crate::channel::limits::BYTES_PER_SECOND_PER_CONNECTION),
            process: None,
        }
    }
}

/// What all connections of a process share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Option<Arc<Mutex<Bucket>>>);

impl Shared {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(
            limits
                .process
                .map(|rate| Arc::new(Mutex::new(Bucket::new(rate.into())))),
        )
    }
}

/// One connection's pace. A new connection has a new pace: the limits are the connection's.
#[derive(Debug)]
pub(crate) struct Pace {
    publishes: Option<Bucket>,
    bytes: Option<Bucket>,
    shared: Shared,
}

impl Pace {
    pub(crate) fn new(limits: &Limits, shared: &Shared) -> Self {
        let bucket = |rate: u32| Bucket::new(rate.into());
        Self {
            publishes: limits.publishes.map(bucket),
            bytes: limits.bytes.map(bucket),
            shared: shared.clone(),
        }
    }

    /// Takes what one publication of so many bytes costs, or says when to ask again.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Instant> {
        if self.publishes.is_none() && self.bytes.is_none() && self.shared.0.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        let mut shared = self
            .shared
            .0
            .as_ref()
            .map(|shared| shared.lock().unwrap_or_else(PoisonError::into_inner));
        let publishes = self
            .publishes
            .as_mut()
            .and_then(|bucket| bucket.due(now, 1.0));
        // Bytes beyond the limit are delayed, not discarded: a large message may overdraw.
        let size = self.bytes.as_mut().and_then(|bucket| bucket.due(now, 0.0));
        let process = shared.as_mut().and_then(|bucket| bucket.due(now, 1.0));
        if let Some(due) = [publishes, size, process].into_iter().flatten().max() {
            return Err(due);
        }
        if let Some(bucket) = &mut self.publishes {
            bucket.take(1.0);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(u32::try_from(bytes).unwrap_or(u32::MAX).into());
        }
        if let Some(bucket) = &mut shared {
            bucket.take(1.0);
        }
        Ok(())
    }
}

/// A rate of calls that everybody who makes them shares.
#[derive(Debug)]
pub(crate) struct Rate(Mutex<Bucket>);

impl Rate {
    /// At most so many calls within any second: one or more.
    pub(crate) fn new(per_second: f64) -> Self {
        Self(Mutex::new(Bucket::new(per_second)))
    }

    /// Waits for the next turn. Cancel safe: a dropped call has taken none.
    pub(crate) async fn turn(&self) {
        loop {
            let due = {
                let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let due = bucket.due(Instant::now(), 1.0);
                if due.is_none() {
                    bucket.take(1.0);
                }
                due
            };
            match due {
                None => return,
                Some(due) => sleep_until(due).await,
            }
        }
    }

    /// Gives nobody a turn for a while.
    #[cfg(any(feature = "admin", test))]
    pub(crate) fn pause(&self, wait: Duration) {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Brings it up to now.
        let _ = bucket.due(Instant::now(), 1.0);
        let missing = 1.0 - bucket.per_second * wait.as_secs_f64();
        bucket.tokens = bucket.tokens.min(missing);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const FREE: Limits = Limits {
        publishes: None,
        bytes: None,
        process: None,
    };

    /// Sends as fast as the pace lets, and gives the most publications and bytes of any second.
    async fn most(limits: Limits, connections: usize, bytes: usize) -> (usize, usize, usize) {
        let shared = Shared::new(&limits);
        let mut paces: Vec<_> = (0..connections)
            .map(|_| Pace::new(&limits, &shared))
            .collect();
        let (mut window, mut most, mut sent) = (VecDeque::new(), 0, 0);
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let mut next = None;
            for pace in &mut paces {
                match pace.take(bytes) {
                    Ok(()) => {
                        sent += 1;
                        window.push_back(Instant::now());
                        next = Some(Instant::now());
                    }
                    Err(due) => next = Some(next.map_or(due, |known: Instant| known.min(due))),
                }
            }
            while window
                .front()
                .is_some_and(|at| at.elapsed() >= Duration::from_secs(1))
            {
                window.pop_front();
            }
            most = most.max(window.len());
            sleep_until(next.unwrap()).await;
        }
        (most, most * bytes, sent)
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_a_connection_may_send() {
        let limits = Limits {
            publishes: Some(100),
            ..FREE
        };
        let (most, _, sent) = most(limits, 1, 10).await;
        assert!(most <= 100, "{most}");
        assert!(sent >= 850, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_is_kept_too() {
        let limits = Limits {
            publishes: Some(1),
            ..FREE
        };
        let (most, _, sent) = most(limits, 1, 10).await;
        assert_eq!(most, 1);
        assert!(sent >= 5, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count() {
        let limits = Limits {
            bytes: Some(512_000),
            ..FREE
        };
        let size = 20_000;
        let (_, bytes, sent) = most(limits, 1, size).await;
        assert!(bytes <= 512_000 + size, "{bytes}");
        assert!(sent * size >= 4_500_000, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_what_the_process_may_send() {
        let limits = Limits {
            process: Some(50),
            ..FREE
        };
        let (most, _, sent) = most(limits, 4, 10).await;
        assert!(most <= 50, "{most}");
        assert!(sent >= 420, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let mut pace = Pace::new(&FREE, &Shared::new(&FREE));
        assert!((0..100_000).all(|_| pace.take(1_000).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_shared_and_can_be_paused() {
        let rate = Rate::new(10.0);
        let mut turns = VecDeque::new();
        for turn in 0..100 {
            if turn == 50 {
                let paused = Instant::now();
                rate.pause(Duration::from_secs(5));
                rate.turn().await;
                let waited = paused.elapsed();
                assert!((5.0..5.2).contains(&waited.as_secs_f64()), "{waited:?}");
            }
            rate.turn().await;
            turns.push_back(Instant::now());
            while turns.front().unwrap().elapsed() >= Duration::from_secs(1) {
                turns.pop_front();
            }
            assert!(turns.len() <= 10);
        }
    }
}
