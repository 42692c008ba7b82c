//! Log lines on refused and disconnected clients, at `info`: a bounded number per window, and a
//! count of the others.
//!
//! A disconnected client reconnects at once, and many do so together. The log reports it a few
//! times, not a thousand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, enabled, info};

/// Maximum number of lines in each window.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// Log lines of one broker.
#[derive(Debug, Default)]
pub(crate) struct BrokerNotices(Mutex<NoticeWindow>);

#[derive(Debug, Default)]
struct NoticeWindow {
    since: Option<Instant>,
    lines: u32,
    held_back: u64,
}

impl BrokerNotices {
    /// Reports a refused client; its id is empty where it is unknown.
    pub(crate) fn refused(&self, client_id: &str, source: &str, why: &str, now: Instant) {
        if !enabled!(Level::INFO) {
            return;
        }
        if let Some(held_back) = self.take(now) {
            info!(?client_id, source, why, held_back, "client not let in");
        }
    }

    /// Reports a connection that the broker closed.
    pub(crate) fn closed(&self, client_id: &str, reason: &str, why: &str, now: Instant) {
        if !enabled!(Level::INFO) {
            return;
        }
        if let Some(held_back) = self.take(now) {
            info!(?client_id, reason, why, held_back, "connection closed");
        }
    }

    /// Admits a line now and returns the number of lines suppressed before it; `None` suppresses
    /// the line.
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
        // The next line reports the number of suppressed lines, once.
        assert_eq!(notices.take(now + WINDOW), Some(991));
        assert_eq!(notices.take(now + WINDOW), Some(0));
    }
}
