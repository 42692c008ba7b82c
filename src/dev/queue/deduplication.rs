//! The memory of a FIFO queue for deduplication ids (developer guide, "Exactly-once processing").

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::message::SequenceNumber;

/// The time for which SQS knows a deduplication id.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The time until a queue follows a change of its scope. AWS gives 60 seconds to changes of
/// attributes (SQS API reference, SetQueueAttributes), and was recorded not to follow this one at
/// once.
const SCOPE_CHANGE: Duration = Duration::from_secs(60);

/// The messages among which a deduplication id is unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DeduplicationScope {
    #[default]
    Queue,
    MessageGroup,
}

/// A deduplication id within its scope: with a group where the scope is a group.
type ScopedId = (Option<Arc<str>>, Arc<str>);

/// The deduplication ids of the last minutes.
#[derive(Debug, Default)]
pub(super) struct DeduplicationWindow {
    scope: DeduplicationScope,
    next_scope: Option<(Instant, DeduplicationScope)>,
    known: HashMap<ScopedId, (Arc<str>, SequenceNumber)>,
    until: VecDeque<(Instant, ScopedId)>,
}

impl DeduplicationWindow {
    pub(super) fn new(scope: DeduplicationScope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }

    /// Follows a changed attribute after a while.
    pub(super) fn change_scope(&mut self, scope: DeduplicationScope, now: Instant) {
        let latest = self.next_scope.map_or(self.scope, |(_, scope)| scope);
        if scope != latest {
            self.next_scope = Some((now + SCOPE_CHANGE, scope));
        }
    }

    /// The message id and number of an earlier message with this id; else remembers these.
    pub(super) fn earlier(
        &mut self,
        id: &Arc<str>,
        group: Option<&Arc<str>>,
        message: (Arc<str>, SequenceNumber),
        now: Instant,
    ) -> Option<(Arc<str>, SequenceNumber)> {
        let group = match self.scope {
            DeduplicationScope::Queue => None,
            DeduplicationScope::MessageGroup => group.cloned(),
        };
        let key = (group, Arc::clone(id));
        if let Some(earlier) = self.known.get(&key) {
            return Some(earlier.clone());
        }
        self.known.insert(key.clone(), message);
        self.until.push_back((now + REMEMBERED, key));
        None
    }

    /// Forgets expired entries.
    pub(super) fn advance(&mut self, now: Instant) {
        if let Some((at, scope)) = self.next_scope
            && at <= now
        {
            self.scope = scope;
            self.next_scope = None;
        }
        while let Some((until, _)) = self.until.front()
            && *until <= now
            && let Some((_, key)) = self.until.pop_front()
        {
            self.known.remove(&key);
        }
    }

    /// The number of ids that are remembered.
    pub(super) fn len(&self) -> usize {
        self.until.len()
    }
}
