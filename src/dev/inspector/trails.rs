//! Latest events, by their ids and by the ids of the messages that carry them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::trail::{EpochMicros, EventTimeline, TimelineStep};
use crate::route::table::RouteTable;

/// Number of events that are kept.
const TRAILS: usize = 1_000;

/// Maximum size of a stored body, and of all stored bodies.
const BODY_BYTES: usize = 64 * 1024;
const BODIES_BYTES: usize = 4 * 1024 * 1024;

/// Sequence number of an event.
type EventNumber = u64;

#[derive(Default)]
pub(super) struct EventTimelines {
    kept: VecDeque<StoredTimeline>,
    /// Number of the oldest stored event.
    oldest: EventNumber,
    by_id: FxHashMap<Arc<str>, EventNumber>,
    by_message: FxHashMap<Arc<str>, EventNumber>,
    body_bytes: usize,
}

struct StoredTimeline {
    trail: EventTimeline,
    body: Option<Bytes>,
    messages: SmallVec<[Arc<str>; 2]>,
    /// Version of the last change.
    changed: u64,
}

/// Result of recording a step.
pub(super) struct StepOutcome {
    /// `true` where the event was unknown before.
    pub(super) is_new: bool,
    /// Time of the event's first observation.
    pub(super) began: EpochMicros,
}

impl EventTimelines {
    fn at(&self, number: EventNumber) -> Option<&StoredTimeline> {
        let index = number.checked_sub(self.oldest)?;
        self.kept.get(usize::try_from(index).ok()?)
    }

    fn at_mut(&mut self, number: EventNumber) -> Option<&mut StoredTimeline> {
        let index = number.checked_sub(self.oldest)?;
        self.kept.get_mut(usize::try_from(index).ok()?)
    }

    /// Adds a step to an event.
    pub(super) fn add(
        &mut self,
        id: &Arc<str>,
        at: EpochMicros,
        step: TimelineStep,
        version: u64,
    ) -> StepOutcome {
        let known = self.by_id.get(id).copied();
        let number = known.unwrap_or_else(|| self.open(id, at));
        let mut began = at;
        if let Some(kept) = self.at_mut(number) {
            kept.trail.add(at, step);
            kept.changed = version;
            began = kept.trail.began;
        }
        StepOutcome {
            is_new: known.is_none(),
            began,
        }
    }

    fn open(&mut self, id: &Arc<str>, at: EpochMicros) -> EventNumber {
        if self.kept.len() >= TRAILS {
            self.close_oldest();
        }
        let number = self.oldest + self.kept.len() as EventNumber;
        self.kept.push_back(StoredTimeline {
            trail: EventTimeline::new(Arc::clone(id), at),
            body: None,
            messages: SmallVec::new(),
            changed: 0,
        });
        self.by_id.insert(Arc::clone(id), number);
        number
    }

    fn close_oldest(&mut self) {
        let Some(kept) = self.kept.pop_front() else {
            return;
        };
        self.oldest += 1;
        self.by_id.remove(&kept.trail.id);
        for message in &kept.messages {
            self.by_message.remove(message);
        }
        self.body_bytes -= kept.body.map_or(0, |body| body.len());
    }

    /// Adds the description of an event, unless it is known. `message_id` is its id in a queue.
    pub(super) fn describe(
        &mut self,
        id: &str,
        body: &Bytes,
        message_id: &str,
        routes: &RouteTable,
    ) {
        let room = BODIES_BYTES.saturating_sub(self.body_bytes);
        let Some(kept) = self.by_id.get(id).copied().and_then(|at| self.at_mut(at)) else {
            return;
        };
        if kept.trail.bytes > 0 {
            return;
        }
        kept.trail.bytes = body.len();
        if let Ok(event) = routes.decode(body, message_id) {
            kept.trail.source = event.source().map(Into::into);
            kept.trail.detail_type = event.detail_type().map(Into::into);
        }
        if body.len() <= BODY_BYTES.min(room) {
            kept.body = Some(body.clone());
            self.body_bytes += body.len();
        }
    }

    /// Records that a message carries an event.
    pub(super) fn tie(&mut self, message_id: &Arc<str>, id: &str) {
        let Some(number) = self.by_id.get(id).copied() else {
            return;
        };
        if let Some(kept) = self.at_mut(number) {
            kept.messages.push(Arc::clone(message_id));
            self.by_message.insert(Arc::clone(message_id), number);
        }
    }

    /// Returns the event that a message carries.
    pub(super) fn tied(&self, message_id: &str) -> Option<Arc<str>> {
        let kept = self.at(*self.by_message.get(message_id)?)?;
        Some(Arc::clone(&kept.trail.id))
    }

    /// Returns an event, and its body where it is kept.
    pub(super) fn find(&self, id: &str) -> Option<(EventTimeline, Option<Bytes>)> {
        let kept = self.at(*self.by_id.get(id)?)?;
        Some((kept.trail.clone(), kept.body.clone()))
    }

    /// Returns the total bytes of the bodies.
    #[cfg(test)]
    pub(super) fn bodies(&self) -> usize {
        self.body_bytes
    }

    /// Returns the events that have changed since a version, the newest first; without their
    /// entries.
    pub(super) fn since(&self, version: u64, count: usize) -> Vec<EventTimeline> {
        let newest = self.kept.iter().rev();
        let changed = newest.filter(|kept| kept.changed > version).take(count);
        let short = |kept: &StoredTimeline| EventTimeline {
            hops: Vec::new(),
            ..kept.trail.clone()
        };
        changed.map(short).collect()
    }
}
