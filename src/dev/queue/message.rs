//! Messages as a queue holds them and hands them out.

use std::sync::Arc;

use tokio::time::Instant;

use super::wire::MessageAttributes;

/// A message's number in its queue, in the order of sending.
pub(super) type SequenceNumber = u64;

/// The bytes that a message takes beside its texts, for the bound on memory.
const OVERHEAD: usize = 256;

/// The part of a message that never changes.
#[derive(Clone, Debug)]
pub(super) struct MessageContent {
    pub(super) id: Arc<str>,
    /// The body as a JSON string, quotes included.
    pub(super) body: Arc<str>,
    pub(super) body_md5: Arc<str>,
    pub(super) attributes: Arc<MessageAttributes>,
    pub(super) trace_header: Option<Arc<str>>,
    pub(super) group: Option<Arc<str>>,
    pub(super) deduplication: Option<Arc<str>>,
    /// Milliseconds since 1970.
    pub(super) sent: i64,
    /// The ARN of the queue that this message was moved from as a dead-letter message.
    pub(super) moved_from: Option<Arc<str>>,
}

impl MessageContent {
    /// The memory that the message takes, roughly.
    pub(super) fn held_bytes(&self) -> usize {
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let attributes = self.attributes.iter().map(|(name, value)| {
            let values = [&value.string_value, &value.binary_value];
            let values = values.into_iter().flatten().map(String::len);
            name.len() + value.data_type.len() + values.sum::<usize>()
        });
        let texts = text(&self.group) + text(&self.deduplication) + text(&self.trace_header);
        OVERHEAD + self.body.len() + texts + attributes.sum::<usize>()
    }
}

/// A message as it is handed out.
#[derive(Clone, Debug)]
pub(super) struct ReceivedMessage {
    pub(super) content: MessageContent,
    pub(super) sequence: SequenceNumber,
    pub(super) receipt: String,
    /// Receives so far, this one and those of queues before this one included.
    pub(super) receives: u32,
    /// Milliseconds since 1970.
    pub(super) first_received: i64,
}

/// A message that was received too often, on its way to a dead-letter queue.
#[derive(Clone, Debug)]
pub(super) struct RedrivenMessage {
    pub(super) content: MessageContent,
    pub(super) receives: u32,
    pub(super) first_received: i64,
    /// The time from which its retention counts.
    pub(super) enqueued: Instant,
}
