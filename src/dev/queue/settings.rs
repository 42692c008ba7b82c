//! The settings of a queue, as its attributes make them.

use std::time::Duration;

use super::deduplication::DeduplicationScope;
use super::redrive::RedrivePolicy;

/// Values that a queue is configured with.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueSettings {
    pub(super) visibility: Duration,
    pub(super) delay: Duration,
    pub(super) retention: Duration,
    pub(super) wait: Duration,
    /// The most bytes of one message.
    pub(super) largest: usize,
    pub(super) redrive: Option<RedrivePolicy>,
    pub(super) fifo: bool,
    pub(super) content_deduplication: bool,
    pub(super) scope: DeduplicationScope,
}
