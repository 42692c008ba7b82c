//! What the event bus and the queues let others see of events and messages that pass through them.

use std::sync::Arc;
use std::time::SystemTime;

use super::observers::Observers;

/// Something that was seen.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) at: SystemTime,
    pub(super) what: Seen,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// An event was put on a bus.
    Put {
        event_id: Arc<str>,
        bus: Box<str>,
        /// The envelope as JSON.
        envelope: Arc<str>,
        /// How many rules take it; none where there is no such bus.
        rules: Option<usize>,
    },
    /// A rule took an event that could not be sent to its target.
    Unsent {
        event_id: Arc<str>,
        rule: Box<str>,
        target: Box<str>,
        why: Box<str>,
    },
    /// A message came to a queue.
    Queued {
        queue: Arc<str>,
        message_id: Arc<str>,
        /// The body as a JSON string, quotes included.
        body: Arc<str>,
        /// The event and the rule it comes from, when it comes from a bus.
        from: Option<(Arc<str>, Box<str>)>,
        dead_letter: Option<Letter>,
    },
    /// A message was handed out.
    Received {
        queue: Arc<str>,
        message_id: Arc<str>,
        /// How often it has been, counted from 1.
        attempt: u32,
    },
    /// A message is to be handed out again after a while, counted from now.
    Hidden {
        queue: Arc<str>,
        message_id: Arc<str>,
        seconds: u64,
    },
    /// A message left the queue.
    Deleted {
        queue: Arc<str>,
        message_id: Arc<str>,
    },
    /// A message was handed out too often, and moved to another queue.
    Redriven {
        queue: Arc<str>,
        message_id: Arc<str>,
        to: Box<str>,
    },
}

/// What a dead letter says of itself.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// Why it is one.
    pub(super) why: Box<str>,
    /// The id that the message had in the queue that it comes from.
    pub(super) was: Option<Box<str>>,
}

impl Observers<Sighting> {
    /// Shows something, if anybody looks.
    pub(super) fn tell(&self, what: impl FnOnce() -> Seen) {
        self.show(|| Sighting {
            at: SystemTime::now(),
            what: what(),
        });
    }
}
