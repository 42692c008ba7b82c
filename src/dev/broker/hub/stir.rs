//! Record of recent connects and subscriptions: another subscription may be on its way, so a
//! message that has just arrived waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Time for which a connect or a subscription counts as recent.
const MOMENT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Stir {
    begin: Instant,
    /// End of the current window, in milliseconds since `begin`.
    until: AtomicU64,
}

impl Default for Stir {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            until: AtomicU64::new(0),
        }
    }
}

impl Stir {
    /// Records a connect or a subscription.
    pub(crate) fn stir(&self, now: Instant) {
        let until = self.milliseconds(now + MOMENT);
        self.until.store(until, Ordering::Relaxed);
    }

    pub(crate) fn is_on(&self, now: Instant) -> bool {
        self.milliseconds(now) < self.until.load(Ordering::Relaxed)
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.begin).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_on_for_a_second() {
        let stir = Stir::default();
        let now = Instant::now();
        assert!(!stir.is_on(now));
        stir.stir(now);
        assert!(stir.is_on(now + Duration::from_millis(999)));
        assert!(!stir.is_on(now + MOMENT));
        stir.stir(now + MOMENT);
        assert!(stir.is_on(now + MOMENT));
    }
}
