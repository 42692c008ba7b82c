//! The bound on the memory of all queues together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most messages that all queues hold together.
pub(super) const MOST_MESSAGES: usize = 2_000_000;

/// The most memory that the messages of all queues take together, with the deduplication ids that
/// are remembered.
pub(super) const MOST_BYTES: usize = 1 << 30;

/// The number of messages that all queues hold, and the memory that they take.
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl HeldMessages {
    /// Returns `true` if another message would be too many.
    pub(super) fn is_full(&self) -> bool {
        self.messages.load(Ordering::Relaxed) >= MOST_MESSAGES
            || self.bytes.load(Ordering::Relaxed) >= MOST_BYTES
    }

    /// The messages and bytes that are counted now.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.messages), count(&self.bytes))
    }

    pub(super) fn add(&self, messages: usize, bytes: usize) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Subtracts messages and bytes that were added.
    pub(super) fn remove(&self, messages: usize, bytes: usize) {
        self.messages.fetch_sub(messages, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
