//! Fair shares of the places in flight: deliveries that wait for one topic, or for one message
//! group of a standard queue, take no places from others.
//!
//! While half of the places are free, every topic and group may have as many as there are. Once
//! they are not, a topic or a group that holds more than a fair part of the other half gets no
//! more: its deliveries go back to the queue with growing delay, and come again when there is room.
//! The last attempt before the queue's redrive is kept here all the same, without a place, so that
//! waiting never sends an event to the dead-letter queue; bytes bound how many of those there may
//! be.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::dispatch::Desk;
use super::work::WorkId;
use crate::channel::topic::Topic;
use crate::pace::Limit;
use crate::port::{Publisher, Queue};
use crate::route::publication::Publication;

/// The number of places that any topic or group may hold, however many others there are, but no
/// more than a quarter of the places.
const LEAST_SHARE: usize = 20;

/// The most deliveries that are kept without a place.
pub(super) const MOST_WITHOUT_PLACE: usize = 100_000;

/// Holders of places, and how many each has.
pub(super) struct Shares {
    places: usize,
    /// Deliveries under way of each message group of a standard queue.
    groups: FxHashMap<Arc<str>, usize>,
    /// Topics that were refused more, until they are below their share.
    over: FxHashSet<Topic>,
}

impl Shares {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places,
            groups: FxHashMap::default(),
            over: FxHashSet::default(),
        }
    }

    /// Counts a delivery of a message group.
    pub(super) fn enter(&mut self, group: Option<&Arc<str>>) {
        if let Some(group) = group {
            *self.groups.entry(Arc::clone(group)).or_default() += 1;
        }
    }

    /// Counts it no more.
    pub(super) fn leave(&mut self, group: Option<&Arc<str>>) {
        let Some(group) = group else { return };
        if let Some(count) = self.groups.get_mut(group) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(group);
            }
        }
    }

    /// The places that one of so many may hold while they are scarce.
    fn fair(&self, sharers: usize) -> usize {
        (self.places / 2 / sharers.max(1)).max(LEAST_SHARE.min(self.places / 4))
    }
}

impl<Q: Queue, P: Publisher> Desk<'_, Q, P> {
    /// Returns `true` for a delivery that goes back to the queue because others need the places.
    pub(super) fn is_over_share(&mut self, id: WorkId, publications: &[Publication]) -> bool {
        if self.works.len() < self.shares.places / 2 {
            return false;
        }
        let topics = self.shares.fair(self.topics.busy());
        let is_over = |publication: &&Publication| {
            self.topics.len(&publication.topic) >= topics && self.conflated(publication).is_none()
        };
        let over = publications.iter().find(is_over);
        let Some(work) = self.works.get(&id) else {
            return false;
        };
        let groups = self.shares.fair(self.shares.groups.len());
        let of_group = |group: &Arc<str>| self.shares.groups.get(group).copied();
        let in_group = work.delivery.group.as_ref().and_then(of_group);
        let group_is_over = in_group.is_some_and(|count| count > groups);
        let Some(blamed) = over.or(publications.first().filter(|_| group_is_over)) else {
            return false;
        };
        let last = |most| work.delivery.attempt >= most;
        if self.bridge.facts.max_receives.is_some_and(last) {
            // One more receive, and the queue would take it for one that cannot be published.
            if self.works.len() < self.shares.places + MOST_WITHOUT_PLACE
                && let Some(work) = self.works.get_mut(&id)
            {
                work.place.give_up_place();
            }
            return false;
        }
        self.report_over_share(blamed, over.is_some());
        true
    }

    /// Counts and logs a topic, or a message group, that has more than its share.
    fn report_over_share(&mut self, publication: &Publication, is_topic: bool) {
        let route = &publication.route;
        self.counters.of(route).over_share.one();
        self.held_back(publication, Limit::Topic);
        if is_topic && self.shares.over.insert(publication.topic.clone()) {
            self.count_over();
        }
        if let Some(suppressed) = self.bridge.log_limits.over_share.admit(Arc::clone(route)) {
            let by = if is_topic { "topic" } else { "message group" };
            let table = self.bridge.routes.borrow();
            let kind = table.kind_of(&publication.topic);
            tracing::info!(
                %route,
                kind,
                suppressed,
                "a {by} has more waiting than its share: what comes for it goes back to the queue for a while"
            );
        }
    }

    /// Forgets the topics that are below their share again.
    pub(super) fn look_at_shares(&mut self) {
        let fair = self.shares.fair(self.topics.busy());
        let mut over = std::mem::take(&mut self.shares.over);
        over.retain(|topic| self.topics.len(topic) >= fair);
        self.shares.over = over;
        self.count_over();
    }

    fn count_over(&self) {
        let over = self.shares.over.len();
        self.bridge.metrics.topics_over_share.set(over);
    }

    /// Counts a publication that has to wait, by the limit that it waits for.
    pub(super) fn held_back(&self, publication: &Publication, limit: Limit) {
        let route = Some(Arc::clone(&publication.route));
        self.bridge.metrics.held_back.one(limit.name(), route);
    }
}
