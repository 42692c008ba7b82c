//! The pace at which dead-letter messages are sent or deleted.

use std::time::Duration;

use tokio::time::Instant;

/// Times for batches, so that no more than some messages are handled in a second.
pub(super) struct ReplayPace {
    rate: u32,
    next: Instant,
}

impl ReplayPace {
    /// A pace in messages a second, at least 1.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            next: Instant::now(),
        }
    }

    /// The time for a batch of some messages; the time for the one behind it is later by as much as
    /// these take.
    pub(super) fn next(&mut self, messages: usize) -> Instant {
        let time = self.next.max(Instant::now());
        self.next = time + Duration::from_secs(messages as u64) / self.rate;
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_keep_their_distance() {
        let mut pace = ReplayPace::new(4);
        let start = Instant::now();
        assert_eq!(pace.next(10), start);
        assert_eq!(pace.next(2), start + Duration::from_millis(2_500));
        assert_eq!(pace.next(1), start + Duration::from_millis(3_000));
        // Time that was not used is not made up for.
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.next(1), start + Duration::from_secs(60));
    }
}
