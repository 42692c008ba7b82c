//! Memory of all queues together: a bound in bytes for clients that do not keep up.
//!
//! A message's bytes count once, in however many queues it waits. A queue's entries count in
//! blocks. Short queues count nothing, so that delivery to clients that keep up touches no shared
//! memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes of a queue's entry, with the reserve of a growing queue.
pub(crate) const ENTRY: usize = 64;

/// Bytes that a client's queue may hold without being counted in the total.
pub(crate) const FREE: usize = 64 * 1024;

/// Bytes that a queue reserves at once.
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

/// Share of the bytes, returned on drop.
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

    /// Takes more bytes; returns `false` where there is no room.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.holdings.take(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Counts at least this number of entries; returns `false` where there is no room.
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

/// Bytes of a message, counted from its first wait in a long queue until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct MessageWeight(OnceLock<HeldBytes>);

impl MessageWeight {
    /// Counts the message's bytes; returns `false` where there is no room.
    pub(crate) fn count(&self, bytes: usize, holdings: &Arc<QueuedBytes>) -> bool {
        if self.0.get().is_some() {
            return true;
        }
        let mut held = HeldBytes::none(holdings);
        let fits = held.take(bytes);
        if fits {
            // Of two concurrent calls, one returns its bytes.
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
        // No block is counted where there is no room for it.
        assert!(!queue.reach(2 * BLOCK / ENTRY + 1));
        assert!(!MessageWeight::default().count(BLOCK, &holdings));
        assert_eq!(bytes(), 2 * BLOCK + 1_000);
        drop(message);
        assert!(queue.reach(2 * BLOCK / ENTRY + 1));
        drop(queue);
        assert_eq!(bytes(), 0);
    }
}
