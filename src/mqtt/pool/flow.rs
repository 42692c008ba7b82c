//! The publications of one topic, on their way to a connection.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connections::LinkId;
use crate::pace::Limit;
use crate::port::PublishError;
use crate::route::explain::SHORTEST_EXPIRY;
use crate::route::publication::{Publication, TopicOrder, whole_seconds};

/// A publication's fate.
pub(super) type PublishResult = Result<(), PublishError>;

/// A publication on its way to a connection, and the receiver of its fate.
#[derive(Debug)]
pub(super) struct QueuedPublish {
    pub(super) publication: Publication,
    pub(super) fate: oneshot::Sender<PublishResult>,
    /// Moment when it was handed over; the rest of its time counts from then.
    pub(super) since: Instant,
}

impl QueuedPublish {
    pub(super) fn is_unordered(&self) -> bool {
        self.publication.order == Some(TopicOrder::Unordered)
    }
}

/// The publications of one topic.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) waiting: VecDeque<QueuedPublish>,
    /// The number of those on `link` without an answer.
    pub(super) out: usize,
    /// The connection that carries them.
    pub(super) link: Option<LinkId>,
    /// Nothing more is sent on `link`: the next takes another, once all there are answered.
    pub(super) leaving: bool,
    pub(super) queued: Queued,
    /// Reason why its publications wait.
    pub(super) limit: Option<Limit>,
}

impl Flow {
    /// Removes from the front the publications whose receiver has gone and those that have expired.
    pub(super) fn drop_stale(&mut self, now: Instant) {
        while let Some(job) = self.waiting.front() {
            let waited = whole_seconds(now.saturating_duration_since(job.since));
            let expires = job.publication.expires;
            let expired = expires.is_some_and(|expires| expires < SHORTEST_EXPIRY + waited);
            if !expired && !job.fate.is_closed() {
                return;
            }
            if let Some(job) = self.waiting.pop_front() {
                // The receiver may have gone.
                let _ = job.fate.send(Err(PublishError::Expired));
            }
        }
    }

    /// A connection carries one more of its publications.
    pub(super) fn carry(&mut self, id: LinkId) {
        self.out += 1;
        self.link = Some(id);
    }
}

/// The place where a flow waits to be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Queued {
    #[default]
    Nowhere,
    Ring,
    Link,
}
