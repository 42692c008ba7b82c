//! A limit on log lines that a peer or an event can cause at will.
//!
//! A broker that refuses every message, or a queue full of bodies that are not events, would
//! otherwise fill the log as fast as they come. The first lines of a kind in each window are
//! written, the others are counted, and the next line that is written carries the count.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines of one kind that are written in each window.
const BURST: u32 = 5;

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(10);

/// Decides which lines of some kinds are written. A key names a kind, and comes from a closed set.
#[derive(Debug)]
pub struct LogLimit<K>(Mutex<BTreeMap<K, Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    suppressed: u64,
}

impl<K: Ord> LogLimit<K> {
    /// A limit under which nothing was written yet.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Asks for one line. `Some` means that it is to be written, with the number of lines of its
    /// kind that were not written since the last one; it belongs into the line as `suppressed`.
    pub fn admit(&self, key: K) -> Option<u64> {
        let now = Instant::now();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(key).or_insert(Window {
            since: now,
            written: 0,
            suppressed: 0,
        });
        if now.saturating_duration_since(window.since) >= WINDOW {
            window.since = now;
            window.written = 0;
        }
        if window.written >= BURST {
            window.suppressed += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.suppressed))
    }

    /// Takes the number of lines of all kinds that were not written and that no later line has
    /// reported.
    pub fn take_suppressed(&self) -> u64 {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows
            .values_mut()
            .map(|window| std::mem::take(&mut window.suppressed))
            .sum()
    }
}

impl<K: Ord> Default for LogLimit<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_lines_of_a_window_are_written_and_the_others_counted() {
        let limit = LogLimit::new();
        let written = |count: usize| (0..count).filter_map(|_| limit.admit("refused")).collect();
        let first: Vec<u64> = written(100);
        assert_eq!(first, [0; BURST as usize]);
        assert_eq!(limit.admit("another kind"), Some(0), "kinds are separate");
        advance(WINDOW).await;
        let next: Vec<u64> = written(7);
        assert_eq!(next, [95, 0, 0, 0, 0]);
        assert_eq!(limit.take_suppressed(), 2);
        assert_eq!(limit.take_suppressed(), 0);
    }
}
