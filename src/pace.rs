//! Pacing: what a connection, and all of them together, may send in a second.
//!
//! IoT Core discards what exceeds 100 publishes a second on a connection without a word (QUOTA, "Publish requests per second per
//! connection"), so that keeping below is a matter of correctness. No window of one second ever holds more than the rate: a
//! bucket's burst and what flows into it within a second together make the rate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
#[cfg(any(feature = "admin", test))]
use tokio::time::sleep_until;

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

    /// The same with another rate, and no more in it than that allows.
    fn with_rate(self, rate: f64) -> Self {
        let bucket = Self::new(rate);
        Self {
            tokens: self.tokens.min(bucket.capacity),
            at: self.at,
            ..bucket
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

/// What holds a publication back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// What a connection may send in a second.
    Connection,
    /// What the account may send in a second.
    Account,
    /// What a topic takes at a time.
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
pub(crate) struct Pace {
    publishes: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        let bucket = |rate: u32| Bucket::new(rate.into());
        Self {
            publishes: limits.publishes.map(bucket),
            bytes: limits.bytes.map(bucket),
        }
    }

    /// The moment from which one more publication may be sent; `None` when it may be now. Bytes beyond the limit are delayed
    /// by IoT Core, not discarded: a large message may overdraw.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let publishes = self.publishes.as_mut();
        let publishes = publishes.and_then(|bucket| bucket.due(now, 1.0));
        let bytes = self.bytes.as_mut();
        publishes.max(bytes.and_then(|bucket| bucket.due(now, 0.0)))
    }

    /// The number of publications that may be sent at once, as far as their number is limited. As of the last [`due`](Self::due).
    pub(crate) fn room(&self) -> f64 {
        let publishes = self.publishes.as_ref();
        publishes.map_or(f64::INFINITY, |bucket| bucket.tokens)
    }

    /// Takes what one publication of so many bytes costs.
    pub(crate) fn take(&mut self, bytes: usize) {
        if let Some(bucket) = &mut self.publishes {
            bucket.take(1.0);
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(u32::try_from(bytes).unwrap_or(u32::MAX).into());
        }
    }
}

/// The part of its rate that a task keeps after the broker refused publications for the account's quota.
const DECREASE: f64 = 0.5;

/// The part of its share that a task's rate grows by in a second after that.
const INCREASE: f64 = 0.1;

/// Refusals within this time after a decrease were caused by the rate before it.
const BETWEEN_DECREASES: Duration = Duration::from_millis(500);

/// What this task may publish in a second: its share of the account's quota, less while the broker refuses publications for it.
///
/// The tasks of an account know nothing of each other. Each halves its rate when it is refused and lets it grow by the same
/// amount in each second (AIMD; Chiu and Jain, 1989, show that rates become equal), so that a wrong share does no harm.
#[derive(Debug)]
pub(crate) struct TaskRate {
    /// The share; `None` where none is configured.
    share: Option<f64>,
    /// What is in force: the share, or less after refusals.
    bucket: Option<Bucket>,
    /// The rate that growth ends at, while there is less than it.
    lowered: Option<Lowered>,
    /// Publications in this second and in the one before it, to know a rate that nothing limits.
    second: (Option<Instant>, u32, u32),
}

#[derive(Clone, Copy, Debug)]
struct Lowered {
    at: Instant,
    grown: Instant,
    rate: f64,
    /// The rate at which nothing needs to be held back any more.
    until: f64,
}

impl TaskRate {
    /// With a share of the account's quota, in publications a second, where one is known.
    pub(crate) fn new(share: Option<u32>) -> Self {
        let share = share.map(f64::from);
        Self {
            share,
            bucket: share.map(Bucket::new),
            lowered: None,
            second: (None, 0, 0),
        }
    }

    /// Changes the share, as when the number of tasks changes.
    pub(crate) fn set_share(&mut self, share: Option<u32>) {
        let share = share.map(f64::from);
        if self.share == share {
            return;
        }
        self.share = share;
        match (&mut self.lowered, share) {
            (Some(lowered), Some(share)) if lowered.rate < share => lowered.until = share,
            _ => {
                self.lowered = None;
                self.set_rate(share);
            }
        }
    }

    fn set_rate(&mut self, rate: Option<f64>) {
        self.bucket = match (self.bucket.take(), rate) {
            (Some(bucket), Some(rate)) => Some(bucket.with_rate(rate)),
            (None, rate) => rate.map(Bucket::new),
            (_, None) => None,
        };
    }

    /// The moment from which one more publication may be sent; `None` when it may be now.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        self.grow(now);
        self.bucket.as_mut()?.due(now, 1.0)
    }

    fn grow(&mut self, now: Instant) {
        let Some(lowered) = &mut self.lowered else {
            return;
        };
        let elapsed = now.saturating_duration_since(lowered.grown);
        // Often enough to be smooth; each time costs a division.
        if elapsed < Duration::from_millis(50) {
            return;
        }
        lowered.grown = now;
        lowered.rate += lowered.until * INCREASE * elapsed.as_secs_f64();
        let (rate, until) = (lowered.rate, lowered.until);
        if rate >= until {
            self.lowered = None;
            self.set_rate(self.share);
        } else {
            self.set_rate(Some(rate));
        }
    }

    /// Takes what one publication costs.
    pub(crate) fn take(&mut self, now: Instant) {
        match &mut self.second {
            (Some(since), count, _) if now.saturating_duration_since(*since).as_secs() == 0 => {
                *count += 1;
            }
            (since, count, before) => {
                *before = *count;
                *count = 1;
                *since = Some(now);
            }
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(1.0);
        }
    }

    /// Lowers the rate, because the broker refused a publication for the account's quota.
    pub(crate) fn throttled(&mut self, now: Instant) {
        self.grow(now);
        let lowered = self.lowered;
        if lowered.is_some_and(|lowered| now < lowered.at + BETWEEN_DECREASES) {
            return;
        }
        let (_, count, before) = self.second;
        let sent = f64::from(count.max(before).max(2));
        let rate = lowered.map_or(
            self.share.map_or(sent, |share| share.min(sent)),
            |lowered| lowered.rate,
        );
        let rate = (rate * DECREASE).max(1.0);
        self.lowered = Some(Lowered {
            at: now,
            grown: now,
            rate,
            // Without a share it is tried out how much more the broker takes.
            until: lowered.map_or(self.share.unwrap_or(2.0 * sent), |lowered| lowered.until),
        });
        self.set_rate(Some(rate));
    }

    /// The publications a second that are let through now; `None` without a limit.
    #[cfg(test)]
    pub(crate) fn rate(&self) -> Option<f64> {
        self.lowered.map(|lowered| lowered.rate).or(self.share)
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

    /// Takes a turn where there is one now.
    pub(crate) fn try_turn(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = bucket.due(Instant::now(), 1.0).is_none();
        if free {
            bucket.take(1.0);
        }
        free
    }

    /// Waits for the next turn. Cancel safe: a dropped call has taken none.
    #[cfg(any(feature = "admin", test))]
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

    /// Sends as fast as a pace lets, and gives the most publications and bytes of any second.
    async fn most(limits: Limits, bytes: usize) -> (usize, usize, usize) {
        let mut pace = Pace::new(&limits);
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
        let limits = Limits {
            publishes: Some(100),
            ..FREE
        };
        let (most, _, sent) = most(limits, 10).await;
        assert!(most <= 100, "{most}");
        assert!(sent >= 850, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_is_kept_too() {
        let limits = Limits {
            publishes: Some(1),
            ..FREE
        };
        let (most, _, sent) = most(limits, 10).await;
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
        let (_, bytes, sent) = most(limits, size).await;
        assert!(bytes <= 512_000 + size, "{bytes}");
        assert!(sent * size >= 4_500_000, "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let mut pace = Pace::new(&FREE);
        let now = Instant::now();
        for _ in 0..100_000 {
            assert_eq!(pace.due(now), None);
            pace.take(1_000);
        }
    }

    /// Tasks that publish as much as they may, to an account that refuses what is beyond its quota in a second; gives what each
    /// had accepted in each second.
    async fn accepted(shares: &[Option<u32>], quota: usize, seconds: usize) -> Vec<Vec<usize>> {
        let mut tasks: Vec<_> = shares.iter().map(|share| TaskRate::new(*share)).collect();
        let mut window: VecDeque<Instant> = VecDeque::new();
        let mut all = Vec::new();
        for _ in 0..seconds {
            let mut counts = vec![0; tasks.len()];
            for _ in 0..1_000 {
                sleep_until(Instant::now() + TICK).await;
                let now = Instant::now();
                while window
                    .front()
                    .is_some_and(|at| now - *at >= Duration::from_secs(1))
                {
                    window.pop_front();
                }
                for (task, count) in tasks.iter_mut().zip(&mut counts) {
                    // More than two in a millisecond are not asked for.
                    for _ in 0..2 {
                        if task.due(now).is_some() {
                            break;
                        }
                        task.take(now);
                        if window.len() < quota {
                            window.push_back(now);
                            *count += 1;
                        } else {
                            task.throttled(now);
                        }
                    }
                }
            }
            all.push(counts);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_kept() {
        let counts = accepted(&[Some(500)], 10_000, 10).await;
        assert!(
            counts.iter().all(|count| (400..=500).contains(&count[0])),
            "{counts:?}"
        );
    }

    /// Two tasks that each take the whole account for theirs, and two that know of no quota at all.
    #[tokio::test(start_paused = true)]
    async fn tasks_that_know_nothing_of_each_other_share_an_account() {
        for shares in [[Some(1_000), Some(1_000)], [None, None]] {
            let counts = accepted(&shares, 1_000, 40).await;
            let sum = |task: usize, seconds: &[Vec<usize>]| -> f64 {
                seconds.iter().map(|counts| counts[task] as f64).sum()
            };
            let late = &counts[10..];
            let (one, other) = (sum(0, late), sum(1, late));
            assert!((one / other - 1.0).abs() < 0.2, "{shares:?}: {one} {other}");
            let used = (one + other) / (late.len() * 1_000) as f64;
            assert!(used > 0.6, "{shares:?}: {used} of the quota");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_grows_back_to_its_share() {
        let mut task = TaskRate::new(Some(100));
        let now = Instant::now();
        task.take(now);
        task.throttled(now);
        assert!(task.rate().unwrap() < 60.0);
        for _ in 0..200 {
            sleep_until(Instant::now() + Duration::from_millis(100)).await;
            let _ = task.due(Instant::now());
        }
        assert_eq!(task.rate(), Some(100.0));
        task.set_share(Some(50));
        assert_eq!(task.rate(), Some(50.0));
        task.set_share(None);
        assert_eq!((task.rate(), task.due(Instant::now())), (None, None));
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
