//! Memory of what waits in all queues together: a bound in bytes for clients that do not keep up.
//!
//! A message has its bytes counted once, however many queues it waits in; each queue has its entries counted, in blocks. Queues that
//! are short count nothing, so that delivering to clients that keep up touches no memory that all share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The bytes of an entry of a queue, with what a growing queue keeps in reserve.
pub(crate) const ENTRY: usize = 64;

/// How many bytes may wait for a client without being counted among all.
pub(crate) const FREE: usize = 64 * 1024;

/// How many bytes a queue asks for at once.
const BLOCK: usize = 64 * 1024;

/// Bytes in all queues, and their bound.
#[derive(Debug)]
pub(crate) struct QueuedBytes {
    bytes: AtomicUsize,
    bound: usize,
}

impl QueuedBytes {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bound,
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.bound;
        if !fits {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// A part of the bytes, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    holdings: Arc<QueuedBytes>,
    bytes: usize,
}

impl HeldBytes {
    pub(crate) fn none(holdings: &Arc<QueuedBytes>) -> Self {
        Self {
            holdings: Arc::clone(holdings),
            bytes: 0,
        }
    }

    /// Takes as many more; false where there is no room for them.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.holdings.take(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Has at least so many entries counted; false where there is no room for them.
    pub(crate) fn reach(&mut self, entries: usize) -> bool {
        let missing = (entries * ENTRY).saturating_sub(self.bytes);
        missing == 0 || self.take(missing.max(BLOCK))
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.holdings.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A message's own bytes, counted from when it first waits in a long queue until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct MessageWeight(OnceLock<HeldBytes>);

impl MessageWeight {
    /// Has the message's bytes counted; false where there is no room for them.
    pub(crate) fn count(&self, bytes: usize, holdings: &Arc<QueuedBytes>) -> bool {
        if self.0.get().is_some() {
            return true;
        }
        let mut held = HeldBytes::none(holdings);
        let fits = held.take(bytes);
        if fits {
            // Of two that come at the same time one gives its bytes back.
            let _ = self.0.set(held);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_and_given_back() {
        let holdings = Arc::new(QueuedBytes::new(3 * BLOCK));
        let bytes = || holdings.bytes.load(Ordering::Relaxed);
        let mut queue = HeldBytes::none(&holdings);
        assert!(queue.reach(1) && queue.reach(BLOCK / ENTRY));
        assert_eq!(bytes(), BLOCK);
        assert!(queue.reach(BLOCK / ENTRY + 1));
        assert_eq!(bytes(), 2 * BLOCK);
        let message = MessageWeight::default();
        assert!(message.count(1_000, &holdings) && message.count(1_000, &holdings));
        assert_eq!(bytes(), 2 * BLOCK + 1_000);
        // There is no room for another block, and nothing is counted of it.
        assert!(!queue.reach(2 * BLOCK / ENTRY + 1));
        assert!(!MessageWeight::default().count(BLOCK, &holdings));
        assert_eq!(bytes(), 2 * BLOCK + 1_000);
        drop(message);
        assert!(queue.reach(2 * BLOCK / ENTRY + 1));
        drop(queue);
        assert_eq!(bytes(), 0);
    }
}
