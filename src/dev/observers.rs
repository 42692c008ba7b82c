//! Observers of an endpoint: a bounded broadcast that costs next to nothing without observers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;

/// Number of observations kept for a slow observer, which then loses the oldest ones and learns
/// their number.
const KEPT: usize = 4_096;

/// Sender of observations.
#[derive(Debug)]
pub(crate) struct Observers<T> {
    /// Shared values, since the channel allocates all its slots at the start.
    sender: broadcast::Sender<Arc<T>>,
    /// Number of observers: the channel's own count would take its lock.
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

    /// Returns `true` where there are observers.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Sends an observation; builds it only if there are observers.
    pub(crate) fn show(&self, what: impl FnOnce() -> T) {
        if self.any() {
            // The last observer may have gone.
            let _ = self.sender.send(Arc::new(what()));
        }
    }
}

/// Stream of observations from now on.
#[derive(Debug)]
pub struct Observations<T> {
    receiver: broadcast::Receiver<Arc<T>>,
    count: Arc<AtomicUsize>,
}

impl<T: Clone> Observations<T> {
    /// Waits for the next observation. `Err` is the number that a slow observer lost; `None` means
    /// that the endpoint is gone. Cancel safe.
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
