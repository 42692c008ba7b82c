//! Whether the process lives, and whether it can work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::shutdown::Shutdown;

/// The loop turns at least every ten seconds; this leaves it time for a slow machine.
const LIVE: Duration = Duration::from_secs(60);

/// A long poll takes twenty seconds, and there is at least one a minute while there is room for what it may bring.
const LATELY: Duration = Duration::from_secs(60);

/// The signs of life that the daemon gives.
#[derive(Debug)]
pub struct Health {
    since: Instant,
    /// Milliseconds from `since`, plus one; 0 for never.
    turned: AtomicU64,
    queue_answered: AtomicU64,
    shutdown: Shutdown,
}

impl Health {
    /// Nothing has happened yet.
    pub fn new(shutdown: Shutdown) -> Arc<Self> {
        let health = Self {
            since: Instant::now(),
            turned: AtomicU64::new(0),
            queue_answered: AtomicU64::new(0),
            shutdown,
        };
        health.turned();
        Arc::new(health)
    }

    /// The loop turns.
    pub fn turned(&self) {
        self.turned.store(self.now(), Ordering::Relaxed);
    }

    /// The queue did what it was asked.
    pub fn queue_answered(&self) {
        self.queue_answered.store(self.now(), Ordering::Relaxed);
    }

    /// Why the process should be ended, if it should: it hangs. AWS has no part in this.
    pub fn hangs(&self) -> Option<String> {
        let still = self.age(&self.turned)?;
        (still > LIVE).then(|| format!("the loop has not turned for {}s", still.as_secs()))
    }

    /// What keeps the process from working, in words; empty when it is ready.
    pub fn lacks(&self, connections: usize) -> Vec<String> {
        let queue = match self.age(&self.queue_answered) {
            None => Some("the queue has not answered yet".to_owned()),
            Some(age) if age > LATELY => {
                Some(format!("the queue has not answered for {}s", age.as_secs()))
            }
            Some(_) => None,
        };
        let broker = (connections == 0).then(|| "no connection to the broker is up".to_owned());
        let draining = self.shutdown.is_draining();
        let draining = draining.then(|| "it is draining".to_owned());
        queue.into_iter().chain(broker).chain(draining).collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis())
            .map_or(u64::MAX, |milliseconds| milliseconds + 1)
    }

    fn age(&self, moment: &AtomicU64) -> Option<Duration> {
        let moment = moment.load(Ordering::Relaxed);
        (moment > 0).then(|| Duration::from_millis(self.now().saturating_sub(moment)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_seen() {
        let health = Health::new(Shutdown::default());
        advance(LIVE).await;
        assert_eq!(health.hangs(), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!(health.hangs().unwrap(), "the loop has not turned for 61s");
        health.turned();
        assert_eq!(health.hangs(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn ready_needs_queue_and_broker() {
        let shutdown = Shutdown::default();
        let health = Health::new(shutdown.clone());
        assert_eq!(health.lacks(0).len(), 2);
        health.queue_answered();
        assert_eq!(health.lacks(1), [""; 0]);
        advance(LATELY + Duration::from_secs(1)).await;
        assert_eq!(health.lacks(1), ["the queue has not answered for 61s"]);
        health.queue_answered();
        shutdown.step();
        assert_eq!(health.lacks(1), ["it is draining"]);
    }
}
