//! Observations of events and messages on the event bus and in the queues.

use std::sync::Arc;
use std::time::SystemTime;

use super::observers::Observers;

/// Observation of an event or a message.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) at: SystemTime,
    pub(super) what: Seen,
}

/// Step of an event or a message.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// An event was put on a bus.
    Put {
        event_id: Arc<str>,
        bus: Box<str>,
        /// The envelope as JSON.
        envelope: Arc<str>,
        /// Number of rules that match; `None` where the bus does not exist.
        rules: Option<usize>,
    },
    /// A rule took an event that could not be sent to its target.
    Unsent {
        event_id: Arc<str>,
        rule: Box<str>,
        target: Box<str>,
        why: Box<str>,
    },
    /// A message was added to a queue.
    Queued {
        queue: Arc<str>,
        message_id: Arc<str>,
        /// The body as a JSON string, quotes included.
        body: Arc<str>,
        /// Event and rule of the message, where it comes from a bus.
        from: Option<(Arc<str>, Box<str>)>,
        dead_letter: Option<Letter>,
    },
    /// A consumer received a message.
    Received {
        queue: Arc<str>,
        message_id: Arc<str>,
        /// Number of receives, counted from 1.
        attempt: u32,
    },
    /// The visibility timeout of a message changed; it counts from now.
    Hidden {
        queue: Arc<str>,
        message_id: Arc<str>,
        seconds: u64,
    },
    /// A message was deleted from its queue.
    Deleted {
        queue: Arc<str>,
        message_id: Arc<str>,
    },
    /// A message exceeded its maximum receive count and moved to another queue.
    Redriven {
        queue: Arc<str>,
        message_id: Arc<str>,
        to: Box<str>,
    },
}

/// Attributes of a dead-letter message.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// Reason for the dead-lettering.
    pub(super) why: Box<str>,
    /// Message id in the source queue.
    pub(super) was: Option<Box<str>>,
}

impl Observers<Sighting> {
    /// Sends an observation; builds it only if there are observers.
    pub(super) fn tell(&self, what: impl FnOnce() -> Seen) {
        self.show(|| Sighting {
            at: SystemTime::now(),
            what: what(),
        });
    }
}
