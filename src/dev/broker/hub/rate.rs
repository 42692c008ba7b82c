//! Rate limits by windows of one second.
//!
//! A second begins with the first counted item. A client that keeps to the rate in every second,
//! wherever the second begins, never exceeds it here; one that exceeds it for long does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Count of the current second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowCounter {
    limit: Option<u32>,
    since: Option<Instant>,
    count: u32,
}

impl WindowCounter {
    /// Creates a counter with at most `limit` per second; `None` means no limit.
    pub(crate) fn new(limit: Option<u32>) -> Self {
        Self {
            limit,
            since: None,
            count: 0,
        }
    }

    /// Returns the room that is left in this second.
    pub(crate) fn left(&mut self, now: Instant) -> u32 {
        let Some(limit) = self.limit else {
            return u32::MAX;
        };
        if let Some(since) = self.since {
            let seconds = now.saturating_duration_since(since).as_secs();
            if seconds > 0 {
                // Later seconds pay for an excess over the limit.
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                self.count = self.count.saturating_sub(limit.saturating_mul(seconds));
                self.since = (self.count > 0).then_some(since + SECOND * seconds);
            }
        }
        limit.saturating_sub(self.count)
    }

    /// Counts `count` if there is room for at least one; it may then exceed the limit.
    pub(crate) fn take(&mut self, now: Instant, count: u32) -> bool {
        if self.left(now) == 0 {
            return false;
        }
        if self.limit.is_some() {
            self.since.get_or_insert(now);
            self.count = self.count.saturating_add(count);
        }
        true
    }

    /// Returns the start of the next second, where this one has no room.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Instant> {
        if self.left(now) > 0 {
            return None;
        }
        let limit = self.limit.unwrap_or(u32::MAX).max(1);
        let seconds = self.count / limit;
        self.since.map(|since| since + SECOND * seconds)
    }
}

/// Rate limit that all connections share.
#[derive(Debug)]
pub(crate) struct SharedRate(Option<Mutex<WindowCounter>>);

impl SharedRate {
    pub(crate) fn new(limit: Option<u32>) -> Self {
        Self(limit.map(|limit| Mutex::new(WindowCounter::new(Some(limit)))))
    }

    /// Counts one, if there is room.
    pub(crate) fn take(&self, now: Instant) -> bool {
        self.take_up_to(now, 1) > 0
    }

    /// Counts as many of `count` as there is room for, and returns the number.
    pub(crate) fn take_up_to(&self, now: Instant, count: u32) -> u32 {
        let Some(rate) = &self.0 else {
            return count;
        };
        let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = rate.left(now).min(count);
        if taken > 0 {
            rate.take(now, taken);
        }
        taken
    }

    /// Returns unused counts.
    pub(crate) fn give_back(&self, count: u32) {
        if let Some(rate) = &self.0 {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.count = rate.count.saturating_sub(count);
        }
    }

    /// Returns the start of the next second, where this one has no room.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let rate = self.0.as_ref()?;
        rate.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_room_for_so_many() {
        let now = Instant::now();
        let mut rate = WindowCounter::new(Some(3));
        assert!((0..3).all(|_| rate.take(now, 1)));
        assert!(!rate.take(now, 1));
        assert_eq!(rate.next(now), Some(now + SECOND));
        let later = now + SECOND;
        assert_eq!(rate.left(later), 3);
        assert!(rate.take(later, 1));
        assert_eq!(rate.next(later), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_one_is_made_up_for() {
        let now = Instant::now();
        let mut rate = WindowCounter::new(Some(10));
        assert!(rate.take(now, 35));
        assert_eq!(rate.next(now), Some(now + SECOND * 3));
        assert_eq!(rate.left(now + SECOND * 3), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_there_is_always_room() {
        let now = Instant::now();
        let shared = SharedRate::new(None);
        assert_eq!(shared.take_up_to(now, 1_000), 1_000);
        assert_eq!(shared.next(now), None);
        let shared = SharedRate::new(Some(5));
        assert_eq!(shared.take_up_to(now, 3), 3);
        assert_eq!(shared.take_up_to(now, 3), 2);
        assert!(!shared.take(now));
        assert_eq!(shared.next(now), Some(now + SECOND));
    }
}
