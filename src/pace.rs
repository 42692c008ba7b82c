//! Pacing: the rate at which a connection, and all of them together, may send.
//!
//! IoT Core silently discards publishes beyond 100 a second on a connection (QUOTA, "Publish
//! requests per second per connection"), so that keeping below is a matter of correctness. No
//! window of one second ever holds more than the rate: a bucket's burst and its refill within a
//! second together make the rate.

pub(crate) mod task_rate;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The part of a rate that may be sent at once.
const BURST: f64 = 0.1;

/// The resolution of a timer.
const TICK: Duration = Duration::from_millis(1);

/// Tokens that flow in steadily, up to a bound. Taking may overdraw it; then it is empty for
/// longer.
#[derive(Debug)]
struct TokenBucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
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

    /// The same with another rate, and no more in it than that allows.
    fn with_rate(self, rate: f64) -> Self {
        let bucket = Self::new(rate);
        Self {
            tokens: self.tokens.min(bucket.capacity),
            at: self.at,
            ..bucket
        }
    }

    /// Time at which there are tokens to take; `None` when there are enough now.
    fn due(&mut self, now: Instant, least: f64) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.capacity);
        self.at = now;
        let wait = (least - self.tokens) / self.per_second;
        // Rounded up to the clock's resolution: rounding down would ask again at once, for ever.
        (wait > 0.0).then(|| now + Duration::from_secs_f64(wait) + TICK)
    }

    fn take(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }

    /// Takes one where there is one now, or says when to ask again.
    fn try_take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due(now, 1.0);
        if due.is_none() {
            self.take(1.0);
        }
        due
    }
}

/// Waits until `take` has taken a turn; it returns when to ask again while there is none. Cancel
/// safe.
pub(crate) async fn turn(mut take: impl FnMut(Instant) -> Option<Instant>) {
    while let Some(due) = take(Instant::now()) {
        sleep_until(due).await;
    }
}

/// Limits of sending, by the second; `None` where the broker has no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceBounds {
    /// Publishes on one connection.
    pub publishes: Option<u32>,
    /// Bytes on one connection.
    pub bytes: Option<u32>,
    /// Publishes of this process, on all of its connections.
    pub process: Option<u32>,
}

impl Default for PaceBounds {
    /// IoT Core's limits for a connection, and none for the process.
    fn default() -> Self {
        Self {
            publishes: Some(crate::channel::limits::PUBLISHES_PER_SECOND_PER_CONNECTION),
            bytes: Some(crate::channel::limits::BYTES_PER_SECOND_PER_CONNECTION),
            process: None,
        }
    }
}

/// A limit that holds a publication back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Rate of a connection.
    Connection,
    /// Rate of the account.
    Account,
    /// Room of a topic.
    Topic,
    /// The broker is away, or slow to acknowledge.
    Broker,
    /// The queue hands out less than could be published.
    Queue,
}

impl Limit {
    /// The word for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Account => "account",
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::Queue => "queue",
        }
    }
}

/// One connection's pace. A new connection has a new pace: the limits are the connection's.
#[derive(Debug)]
pub(crate) struct ConnectionPace {
    publishes: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
}

impl ConnectionPace {
    pub(crate) fn new(limits: &PaceBounds) -> Self {
        let bucket = |rate: u32| TokenBucket::new(rate.into());
        Self {
            publishes: limits.publishes.map(bucket),
            bytes: limits.bytes.map(bucket),
        }
    }

    /// The moment from which one more publication may be sent; `None` when it may be now. Bytes
    /// beyond the limit are delayed by IoT Core, not discarded: a large message may overdraw.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let publishes = self.publishes.as_mut();
        let publishes = publishes.and_then(|bucket| bucket.due(now, 1.0));
        let bytes = self.bytes.as_mut();
        publishes.max(bytes.and_then(|bucket| bucket.due(now, 0.0)))
    }

    /// The number of publications that may be sent at once, as far as their number is limited. As
    /// of the last [`due`](Self::due).
    pub(crate) fn room(&self) -> f64 {
        let publishes = self.publishes.as_ref();
        publishes.map_or(f64::INFINITY, |bucket| bucket.tokens)
    }

    /// Takes the tokens that one publication of so many bytes costs.
    pub(crate) fn take(&mut self, bytes: usize) {
        if let Some(bucket) = &mut self.publishes {
            bucket.take(1.0);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(u32::try_from(bytes).unwrap_or(u32::MAX).into());
        }
    }
}

/// A rate of calls that all callers share.
#[derive(Debug)]
pub(crate) struct Rate(Mutex<TokenBucket>);

impl Rate {
    /// At most so many calls within any second: one or more.
    pub(crate) fn new(per_second: f64) -> Self {
        Self(Mutex::new(TokenBucket::new(per_second)))
    }

    /// Takes a turn where there is one now.
    pub(crate) fn try_turn(&self) -> bool {
        self.bucket().try_take(Instant::now()).is_none()
    }

    /// Waits for the next turn. Cancel safe: a dropped call has taken none.
    #[cfg(any(feature = "admin", test))]
    pub(crate) async fn turn(&self) {
        turn(|now| self.bucket().try_take(now)).await;
    }

    fn bucket(&self) -> MutexGuard<'_, TokenBucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives nobody a turn for a while.
    #[cfg(any(feature = "admin", test))]
    pub(crate) fn pause(&self, wait: Duration) {
        let mut bucket = self.bucket();
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

    const FREE: PaceBounds = PaceBounds {
        publishes: None,
        bytes: None,
        process: None,
    };

    /// Sends as fast as a pace lets, and gives the most publications and bytes of any second.
    async fn most(limits: PaceBounds, bytes: usize) -> (usize, usize, usize) {
        let mut pace = ConnectionPace::new(&limits);
        let (mut window, mut most, mut sent) = (VecDeque::new(), 0, 0);
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let now = Instant::now();
            while window
                .front()
                .is_some_and(|at| now - *at >= Duration::from_secs(1))
            {
                window.pop_front();
            }
            match pace.due(now) {
                None => {
                    pace.take(bytes);
                    sent += 1;
                    window.push_back(now);
                }
                Some(due) => sleep_until(due).await,
            }
            most = most.max(window.len());
        }
        (most, most * bytes, sent)
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_a_connection_may_send() {
        let limits = PaceBounds {
            publishes: Some(100),
            ..FREE
        };
        let (most, _, sent) = most(limits, 10).await;
        assert!(most <= 100, "{most}");
        assert!(sent >= 850, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_is_kept_too() {
        let limits = PaceBounds {
            publishes: Some(1),
            ..FREE
        };
        let (most, _, sent) = most(limits, 10).await;
        assert_eq!(most, 1);
        assert!(sent >= 5, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count() {
        let limits = PaceBounds {
            bytes: Some(512_000),
            ..FREE
        };
        let size = 20_000;
        let (_, bytes, sent) = most(limits, size).await;
        assert!(bytes <= 512_000 + size, "{bytes}");
        assert!(sent * size >= 4_500_000, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let mut pace = ConnectionPace::new(&FREE);
        let now = Instant::now();
        for _ in 0..100_000 {
            assert_eq!(pace.due(now), None);
            pace.take(1_000);
        }
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
