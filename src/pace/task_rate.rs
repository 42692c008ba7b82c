//! Publications that one task may send in a second, of those of the account.

use std::time::Duration;

use tokio::time::Instant;

use super::TokenBucket;

/// The part of its rate that a task keeps after the broker refused publications for the account's
/// quota.
const DECREASE: f64 = 0.5;

/// The part of its share that a task's rate grows by in a second after that.
const INCREASE: f64 = 0.1;

/// The part of the rate that growth ends at which a task keeps however often it is refused: a
/// broker that refuses for other reasons than this task's rate must not stop it.
const LEAST: f64 = 0.05;

/// The rate that a task without a share tries out after a refusal, at the least. Its rate before
/// the first refusal may happen to be next to nothing.
const LEAST_TRIED: f64 = 200.0;

/// Refusals within this time after a decrease were caused by the rate before it.
const BETWEEN_DECREASES: Duration = Duration::from_millis(500);

/// Rate of this task's publications: its share of the account's quota, less while the broker
/// refuses publications for it.
///
/// The tasks of an account know nothing of each other. Each halves its rate when it is refused and
/// lets it grow by the same amount in each second (AIMD; Chiu and Jain, 1989, show that rates
/// become equal), so that a wrong share does no harm.
#[derive(Debug)]
pub(crate) struct TaskRate {
    /// The share; `None` where none is configured.
    share: Option<f64>,
    /// The rate in force: the share, or less after refusals.
    bucket: Option<TokenBucket>,
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
    /// A rate with a share of the account's quota, in publications a second, where one is known.
    pub(crate) fn new(share: Option<u32>) -> Self {
        let share = share.map(f64::from);
        Self {
            share,
            bucket: share.map(TokenBucket::new),
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
            (None, rate) => rate.map(TokenBucket::new),
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

    /// Takes the cost of one publication.
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

    /// Takes the cost of one publication where it may be sent now, or returns the moment to ask
    /// again.
    pub(crate) fn try_take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due(now);
        if due.is_none() {
            self.take(now);
        }
        due
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
        // Without a share it is tried out how much more the broker takes.
        let tried = (2.0 * sent).max(LEAST_TRIED);
        let until = lowered.map_or(self.share.unwrap_or(tried), |lowered| lowered.until);
        let rate = (rate * DECREASE).max(until * LEAST).max(1.0);
        self.lowered = Some(Lowered {
            at: now,
            grown: now,
            rate,
            until,
        });
        self.set_rate(Some(rate));
    }

    /// The publications a second that are let through now; `None` without a limit.
    #[cfg(test)]
    pub(crate) fn rate(&self) -> Option<f64> {
        self.lowered.map(|lowered| lowered.rate).or(self.share)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::time::sleep_until;

    use super::*;
    use crate::pace::TICK;

    /// Tasks that publish as much as they may, to an account that refuses publications beyond its
    /// quota in a second. Returns the accepted publications of each task in each second.
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

    /// A task goes on when other tasks, or clients, use the account's quota up.
    #[tokio::test(start_paused = true)]
    async fn refusals_at_random_do_not_stop_a_task() {
        for share in [None, Some(200)] {
            let mut task = TaskRate::new(share);
            let mut random = fastrand::Rng::with_seed(14);
            let mut accepted = 0;
            for _ in 0..30_000 {
                sleep_until(Instant::now() + TICK).await;
                let now = Instant::now();
                if task.due(now).is_none() {
                    task.take(now);
                    if random.f64() < 0.2 {
                        task.throttled(now);
                    } else {
                        accepted += 1;
                    }
                }
            }
            assert!(accepted > 300, "{share:?}: {accepted} in half a minute");
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
}
