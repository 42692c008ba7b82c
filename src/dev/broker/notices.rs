//! Log lines on clients that were refused or sent away, at `info`: a bounded number of them in a time, and a count of the others.
//!
//! A client that is sent away comes back at once, and many do so together; the log says it a few times, not a thousand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, enabled, info};

/// How many lines there are in each window.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// The lines of one broker.
#[derive(Debug, Default)]
pub(crate) struct BrokerNotices(Mutex<NoticeWindow>);

#[derive(Debug, Default)]
struct NoticeWindow {
    since: Option<Instant>,
    lines: u32,
    held_back: u64,
}

impl BrokerNotices {
    /// A client was not let in; its id may be empty, where it is not known.
    pub(crate) fn refused(&self, client_id: &str, source: &str, why: &str, now: Instant) {
        if !enabled!(Level::INFO) {
            return;
        }
        if let Some(held_back) = self.take(now) {
            info!(?client_id, source, why, held_back, "client not let in");
        }
    }

    /// The broker closed a client's connection.
    pub(crate) fn closed(&self, client_id: &str, reason: &str, why: &str, now: Instant) {
        if !enabled!(Level::INFO) {
            return;
        }
        if let Some(held_back) = self.take(now) {
            info!(?client_id, reason, why, held_back, "connection closed");
        }
    }

    /// Whether a line may be written now: the count of those that were held back before it.
    fn take(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.is_none_or(|since| since + WINDOW <= now) {
            window.since = Some(now);
            window.lines = 0;
        }
        if window.lines >= LINES {
            window.held_back += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_lines_in_ten_seconds() {
        let notices = BrokerNotices::default();
        let now = Instant::now();
        let lines = (0..1_000).filter_map(|_| notices.take(now));
        assert_eq!(lines.collect::<Vec<_>>(), [0; 10]);
        assert_eq!(notices.take(now + WINDOW / 2), None);
        // The next line says how many were held back, once.
        assert_eq!(notices.take(now + WINDOW), Some(991));
        assert_eq!(notices.take(now + WINDOW), Some(0));
    }
}
