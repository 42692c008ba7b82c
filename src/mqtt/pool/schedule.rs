//! The connection that each publication takes, and when: pure decisions, made under one lock.
//!
//! A topic's publications wait in its flow. A flow with an unacknowledged publication keeps to the
//! connection that carries it, so that order holds; one with nothing under way takes the connection
//! with the most room. A flow whose connection has no more room in this second waits until all that
//! was sent is acknowledged and then takes another: a busy topic is carried by several connections,
//! one after the other, and still in order. Flows that find no connection wait in a ring and are
//! served in turn, one publication each, so that a busy topic takes nothing from others.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::connections::{LinkId, Next, PooledConnections, Wait};
use super::demand::PoolDemand;
use super::flow::{Flow, Queued, QueuedPublish};
use crate::channel::topic::Topic;
use crate::pace::task_rate::TaskRate;
use crate::pace::{Limit, PaceBounds};
use crate::route::publication::{Publication, TopicOrder, whole_seconds};

/// All connections and all that waits for them.
pub(super) struct Scheduler {
    pub(super) connections: PooledConnections,
    flows: FxHashMap<Topic, Flow>,
    ring: VecDeque<Topic>,
    /// Time at which the ring is to be served, if nothing else serves it before.
    due: Option<Instant>,
    /// An acknowledgement gives room to the ring, too.
    wants_answer: bool,
    /// Limit that the first in the ring waits for, and the others after it.
    ring_waits_for: Limit,
    pub(super) task: TaskRate,
    pub(super) demand: PoolDemand,
    waiting: usize,
    closing: bool,
    closed: bool,
}

impl Scheduler {
    pub(super) fn new(limits: PaceBounds, now: Instant) -> Self {
        Self {
            task: TaskRate::new(limits.process),
            demand: PoolDemand::new(&limits, now),
            connections: PooledConnections::new(limits),
            flows: FxHashMap::default(),
            ring: VecDeque::new(),
            due: None,
            wants_answer: false,
            ring_waits_for: Limit::Connection,
            waiting: 0,
            closing: false,
            closed: false,
        }
    }

    /// The number of publications that no connection has taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The number of publications of the flows that find no connection with room.
    pub(super) fn pressing(&self) -> usize {
        let flows = self.ring.iter().filter_map(|topic| self.flows.get(topic));
        flows.map(|flow| flow.waiting.len()).sum()
    }

    /// Time at which [`serve`](Self::serve) is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Drops all publications that wait, and those that come later, so that their fates are known.
    pub(super) fn clear(&mut self) {
        self.closed = true;
        self.connections.clear();
        self.flows.clear();
        self.ring.clear();
        self.waiting = 0;
    }

    /// Returns `true` when nothing waits and nothing is without an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.connections.are_quiet()
    }

    /// Lets all connections end once they are idle.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.connections.wake_all();
    }

    /// A connection is up, for so many unacknowledged publications. Its pace is new.
    pub(super) fn up(&mut self, id: LinkId, window: usize, now: Instant) {
        self.connections.up(id, window);
        self.serve(now);
    }

    /// A connection is lost, or could not be made. `unanswered` is what it carried, in the order of
    /// sending.
    pub(super) fn down(&mut self, id: LinkId, unanswered: Vec<QueuedPublish>, now: Instant) {
        let (outbox, waiting) = self.connections.down(id);
        for topic in waiting {
            if let Some(flow) = self.flows.get_mut(&topic) {
                flow.queued = Queued::Ring;
                self.ring.push_back(topic);
            }
        }
        if self.closed {
            // Dropped, so that their fate is known.
            return;
        }
        let jobs: Vec<QueuedPublish> = unanswered.into_iter().chain(outbox).collect();
        // Before anything newer, in the same order: from the last to the first, each to the front.
        for job in jobs.into_iter().rev() {
            let topic = job.publication.topic.clone();
            let flow = self.flows.entry(topic.clone()).or_default();
            if flow.link == Some(id) {
                (flow.link, flow.out, flow.leaving) = (None, 0, false);
            }
            flow.waiting.push_front(job);
            self.waiting += 1;
            if flow.queued == Queued::Nowhere {
                flow.queued = Queued::Ring;
                self.ring.push_front(topic);
            }
        }
        self.serve(now);
    }

    /// Next step of a connection: see [`PooledConnections::next`].
    pub(super) fn next(&mut self, id: LinkId, sent: &mut VecDeque<QueuedPublish>) -> Next {
        let over = self.closing && self.is_idle();
        self.connections.next(id, sent, over)
    }

    /// Takes a publication on. Returns the limit that holds it back, if any does.
    pub(super) fn enter(&mut self, job: QueuedPublish, now: Instant) -> Option<Limit> {
        if self.closed {
            return None;
        }
        self.demand.note(job.publication.payload.len(), now);
        let unordered = job.is_unordered();
        let flow = self.flows.get(&job.publication.topic);
        let is_first = flow.is_none_or(|flow| flow.waiting.is_empty());
        let bound = flow.and_then(|flow| flow.link).filter(|_| !unordered);
        // As a rule there is room, and nothing has to be queued.
        if is_first
            && (bound.is_some() || self.ring.is_empty())
            && !flow.is_some_and(|flow| flow.leaving)
            && let Ok(id) = self.place(bound, now)
        {
            if !unordered {
                let topic = job.publication.topic.clone();
                self.flows.entry(topic).or_default().carry(id);
            }
            self.assign(job, id, now);
            return None;
        }
        self.waiting += 1;
        let topic = job.publication.topic.clone();
        let flow = self.flows.entry(topic.clone()).or_default();
        flow.waiting.push_back(job);
        if flow.waiting.len() > 1 {
            return flow.limit;
        }
        if flow.link.is_some() || self.ring.is_empty() {
            return self.advance(&topic, usize::MAX, now);
        }
        // Others have waited for longer.
        flow.limit = Some(self.ring_waits_for);
        flow.queued = Queued::Ring;
        self.ring.push_back(topic.clone());
        if self.due.is_none_or(|due| due <= now) {
            self.serve(now);
        }
        self.flows.get(&topic)?.limit
    }

    /// One publication on a connection has its answer.
    pub(super) fn answered(&mut self, id: LinkId, job: &Publication, now: Instant) {
        let Some(link) = self.connections.get_mut(id) else {
            return;
        };
        link.answered(now);
        if let Some(flow) = self.flows.get_mut(&job.topic)
            && flow.link == Some(id)
            && job.order != Some(TopicOrder::Unordered)
        {
            flow.out = flow.out.saturating_sub(1);
            if flow.out == 0 {
                (flow.link, flow.leaving) = (None, false);
                // Only flows with something under way there wait for a connection.
                if flow.queued == Queued::Link {
                    flow.queued = Queued::Nowhere;
                    link.waiting.retain(|topic| *topic != job.topic);
                }
                if flow.queued == Queued::Nowhere {
                    self.queue(&job.topic);
                }
            }
        }
        let link = self.connections.get_mut(id);
        if let Some(topic) = link.and_then(|link| link.waiting.pop_front()) {
            if let Some(flow) = self.flows.get_mut(&topic) {
                flow.queued = Queued::Nowhere;
            }
            self.advance(&topic, 1, now);
        }
        // Otherwise it is a matter of time.
        let can_serve = self.wants_answer || self.due.is_none_or(|due| due <= now);
        if can_serve && !self.ring.is_empty() {
            self.serve(now);
        }
        if self.closing && self.is_idle() {
            self.close();
        }
    }

    /// Puts a flow with something to send into the ring, or forgets it.
    fn queue(&mut self, topic: &Topic) {
        let Some(flow) = self.flows.get_mut(topic) else {
            return;
        };
        if !flow.waiting.is_empty() {
            flow.queued = Queued::Ring;
            if self.ring.is_empty() {
                // It may find room at once.
                self.due = None;
            }
            self.ring.push_back(topic.clone());
        } else if flow.out == 0 {
            self.flows.remove(topic);
        }
    }

    /// Serves the flows in the ring in turn, for as long as there is room.
    pub(super) fn serve(&mut self, now: Instant) {
        (self.due, self.wants_answer) = (None, false);
        loop {
            let before = self.waiting;
            // One publication of each flow in a round; rounds go on while any was sent.
            for _ in 0..self.ring.len() {
                let Some(topic) = self.ring.pop_front() else {
                    break;
                };
                if let Some(flow) = self.flows.get_mut(&topic) {
                    flow.queued = Queued::Nowhere;
                }
                self.advance(&topic, 1, now);
                if self.due.is_some() {
                    // Its turn had come: it stays the first.
                    if self.ring.back() == Some(&topic) {
                        self.ring.rotate_right(1);
                    }
                    return;
                }
            }
            if self.waiting == before {
                break;
            }
        }
        if self.closing && self.is_idle() {
            self.close();
        }
    }

    /// Sends up to `most` publications of a flow, and queues what is left. Returns what holds it
    /// back.
    fn advance(&mut self, topic: &Topic, most: usize, now: Instant) -> Option<Limit> {
        for sent in 0.. {
            let flow = self.flows.get_mut(topic)?;
            let before = flow.waiting.len();
            flow.drop_stale(now);
            self.waiting -= before - flow.waiting.len();
            let Some(job) = flow.waiting.front() else {
                flow.limit = None;
                if flow.out == 0 {
                    self.flows.remove(topic);
                }
                return None;
            };
            let unordered = job.is_unordered();
            let bound = flow.link.filter(|_| !unordered);
            let place = if sent < most {
                self.place(bound, now)
            } else {
                Err(Wait::Turn)
            };
            let limit = match place {
                Ok(id) => {
                    let flow = self.flows.get_mut(topic)?;
                    let job = flow.waiting.pop_front()?;
                    if !unordered {
                        flow.carry(id);
                    }
                    self.waiting -= 1;
                    self.assign(job, id, now);
                    continue;
                }
                Err(limit) => limit,
            };
            let goes_to_ring = bound.is_none() || matches!(limit, Wait::Account(_));
            if goes_to_ring && limit != Wait::Turn {
                self.ring_waits_for = limit.limit();
            }
            let flow = self.flows.get_mut(topic)?;
            flow.limit = Some(match limit {
                Wait::Turn => self.ring_waits_for,
                limit => limit.limit(),
            });
            match (limit, bound) {
                // It is its turn again, after all others.
                (Wait::Turn, _) | (Wait::Until(..) | Wait::Room, None) | (Wait::Account(_), _) => {
                    flow.queued = Queued::Ring;
                    self.ring.push_back(topic.clone());
                    match limit {
                        Wait::Until(due) | Wait::Account(due) => self.due = Some(due),
                        // A connection serves it too.
                        Wait::Room => self.due = Some(now + LONGEST_WAIT),
                        Wait::Turn | Wait::Answer => {}
                    }
                    self.wants_answer |= limit == Wait::Room || self.connections.has_overflow();
                }
                (Wait::Room, Some(id)) => {
                    flow.queued = Queued::Link;
                    if let Some(link) = self.connections.get_mut(id) {
                        link.waiting.push_back(topic.clone());
                    }
                }
                // Another connection may have room, once this one has nothing of the flow any more.
                (Wait::Until(_), Some(_)) => flow.leaving = true,
                (Wait::Answer, _) => {}
            }
            return self.flows.get(topic)?.limit;
        }
        None
    }

    /// The connection for the next publication of a flow, which is bound to one or not.
    fn place(&mut self, bound: Option<LinkId>, now: Instant) -> Result<LinkId, Wait> {
        if let Some(due) = self.task.due(now) {
            return Err(Wait::Account(due));
        }
        match bound {
            Some(id) => self.connections.room_on(id, now).map(|_| id),
            None => self.connections.most_room(now),
        }
    }

    fn assign(&mut self, mut job: QueuedPublish, id: LinkId, now: Instant) {
        if let Some(expires) = &mut job.publication.expires {
            let waited = whole_seconds(now.saturating_duration_since(job.since));
            *expires = expires.saturating_sub(waited);
            job.since += waited;
        }
        self.task.take(now);
        self.connections.assign(job, id);
    }
}

/// After this the ring is served whatever happens.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
