//! Health of the process: liveness and readiness.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::shutdown::Shutdown;

/// The loop turns at least every ten seconds; this leaves it time for a slow machine.
const LIVE: Duration = Duration::from_secs(60);

/// A long poll takes twenty seconds, and there is at least one a minute while there is room for
/// what it may bring.
const LATELY: Duration = Duration::from_secs(60);

/// The signs of life that the daemon gives, from the moment when it starts.
#[derive(Debug)]
pub struct Health {
    since: Instant,
    /// Milliseconds from `since`, plus one; 0 for never.
    turned: AtomicU64,
    queue_answered: AtomicU64,
    /// The number of connections to the broker that are up, once there may be any.
    connections: OnceLock<watch::Receiver<usize>>,
    /// Reason why the work has not begun yet, as far as that is known.
    start_failure: Mutex<Option<String>>,
    shutdown: Shutdown,
}

impl Health {
    /// Nothing has happened yet.
    pub fn new(shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            turned: AtomicU64::new(0),
            queue_answered: AtomicU64::new(0),
            connections: OnceLock::new(),
            start_failure: Mutex::new(None),
            shutdown,
        })
    }

    /// Notes why the latest attempt to reach queue and broker failed, in one line.
    pub fn start_failed(&self, why: String) {
        *self.start_failure() = Some(why);
    }

    /// Notes that the queue and the broker were reached, and where the number of live connections
    /// to the broker is read. From now on the loop has to turn.
    pub fn started(&self, connections: watch::Receiver<usize>) {
        // A process starts once.
        let _ = self.connections.set(connections);
        *self.start_failure() = None;
        self.turned();
    }

    /// Notes that the loop turns.
    pub fn turned(&self) {
        self.turned.store(self.now(), Ordering::Relaxed);
    }

    /// Notes that the queue answered a call.
    pub fn queue_answered(&self) {
        self.queue_answered.store(self.now(), Ordering::Relaxed);
    }

    /// The number of connections to the broker that are up.
    pub fn connections(&self) -> usize {
        self.connections.get().map_or(0, |up| *up.borrow())
    }

    /// Reason why the process should be ended, if it should: it hangs. AWS has no part in this, and
    /// a process that waits for its queue or broker does not hang.
    pub fn hangs(&self) -> Option<String> {
        let still = self.age(&self.turned)?;
        (still > LIVE).then(|| format!("the loop has not turned for {}s", still.as_secs()))
    }

    /// Obstacles that keep the process from working, in words; empty when it is ready.
    pub fn lacks(&self) -> Vec<String> {
        let draining = self.shutdown.is_draining();
        let draining = draining.then(|| "the process is draining".to_owned());
        if self.connections.get().is_none() {
            let why = self.start_failure().clone();
            let why = match why {
                Some(why) => format!("starting: {why}"),
                None => "starting: queue and broker have not answered yet".to_owned(),
            };
            return [why].into_iter().chain(draining).collect();
        }
        let queue = match self.age(&self.queue_answered) {
            None => Some("the queue has not answered yet".to_owned()),
            Some(age) if age > LATELY => {
                Some(format!("the queue has not answered for {}s", age.as_secs()))
            }
            Some(_) => None,
        };
        let broker = self.connections() == 0;
        let broker = broker.then(|| "no connection to the broker is up".to_owned());
        queue.into_iter().chain(broker).chain(draining).collect()
    }

    fn start_failure(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // It is replaced as a whole.
        self.start_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        advance(10 * LIVE).await;
        assert_eq!(health.hangs(), None, "it waits for queue and broker");
        health.started(watch::Sender::new(1).subscribe());
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
        assert_eq!(
            health.lacks(),
            ["starting: queue and broker have not answered yet"]
        );
        health.start_failed("no route to the queue".into());
        assert_eq!(health.lacks(), ["starting: no route to the queue"]);
        let up = watch::Sender::new(0);
        health.started(up.subscribe());
        assert_eq!(health.lacks().len(), 2);
        // Any answer counts, and the queue's attributes are read at the start: no poll has to come
        // back.
        health.queue_answered();
        assert_eq!(health.lacks(), ["no connection to the broker is up"]);
        up.send_replace(2);
        assert_eq!(health.lacks(), [""; 0]);
        advance(LATELY + Duration::from_secs(1)).await;
        assert_eq!(health.lacks(), ["the queue has not answered for 61s"]);
        health.queue_answered();
        shutdown.step();
        assert_eq!(health.lacks(), ["the process is draining"]);
    }
}
