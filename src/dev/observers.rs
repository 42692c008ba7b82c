//! Who looks at what an endpoint does: a bounded broadcast that costs next to nothing while nobody looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;

/// How many observations are kept for a slow observer; it then misses the oldest ones, and is told how many.
const KEPT: usize = 4_096;

/// Where observations are sent.
#[derive(Debug)]
pub(crate) struct Observers<T> {
    /// Shared, since the channel has room for all that it may keep from its beginning on.
    sender: broadcast::Sender<Arc<T>>,
    /// How many look: asking the channel would take its lock.
    count: Arc<AtomicUsize>,
}

impl<T: Clone> Default for Observers<T> {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(KEPT).0,
            count: Arc::default(),
        }
    }
}

impl<T: Clone> Observers<T> {
    pub(crate) fn observe(&self) -> Observations<T> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Observations {
            receiver: self.sender.subscribe(),
            count: Arc::clone(&self.count),
        }
    }

    /// Whether anybody looks.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Shows something, if anybody looks.
    pub(crate) fn show(&self, what: impl FnOnce() -> T) {
        if self.any() {
            // Nobody may be left to see it.
            let _ = self.sender.send(Arc::new(what()));
        }
    }
}

/// What happens from now on.
#[derive(Debug)]
pub struct Observations<T> {
    receiver: broadcast::Receiver<Arc<T>>,
    count: Arc<AtomicUsize>,
}

impl<T: Clone> Observations<T> {
    /// Waits for what happens next; `Err` with how many were missed by who was too slow, `None` once the endpoint is gone. Cancel
    /// safe.
    pub async fn next(&mut self) -> Option<Result<T, u64>> {
        match self.receiver.recv().await {
            Ok(observation) => Some(Ok(Arc::unwrap_or_clone(observation))),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl<T> Drop for Observations<T> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
