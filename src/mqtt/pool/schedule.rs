//! The connection that each publication takes, and when: pure decisions, made under one lock.
//!
//! A topic's publications wait in its flow. A flow with something unacknowledged keeps to the connection that carries it, so
//! that order holds; one with nothing under way takes the connection with the most room. Where its connection has no room
//! for more in this second, a flow waits until what is out is acknowledged and then takes another: a busy topic is carried by
//! several connections, one after the other, and still in order. Flows that find no connection wait in a ring and are served
//! in turn, one publication each, so that a busy topic takes nothing from others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::demand::Demand;
use crate::channel::topic::Topic;
use crate::pace::{Limit, Limits, Pace, TaskRate};
use crate::port::PublishError;
use crate::route::explain::SHORTEST_EXPIRY;
use crate::route::publication::{Publication, TopicOrder, whole_seconds};

/// A publication's fate.
pub(super) type Outcome = Result<(), PublishError>;

/// A connection of the pool, by its number.
pub(super) type LinkId = usize;

/// A publication on its way to a connection, and who waits for its fate.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) publication: Publication,
    pub(super) fate: oneshot::Sender<Outcome>,
    /// When it was handed over; what is left of its time counts from then.
    pub(super) since: Instant,
}

impl Job {
    fn is_unordered(&self) -> bool {
        self.publication.order == Some(TopicOrder::Unordered)
    }
}

/// The publications of one topic.
#[derive(Debug, Default)]
struct Flow {
    waiting: VecDeque<Job>,
    /// The number of those on `link` without an answer.
    out: usize,
    /// The connection that carries them.
    link: Option<LinkId>,
    /// Nothing more is sent on `link`: the next takes another, once all there are answered.
    leaving: bool,
    queued: Queued,
    /// What its publications wait for.
    limit: Option<Limit>,
}

impl Flow {
    /// A connection carries one more of its publications.
    fn carry(&mut self, id: LinkId) {
        self.out += 1;
        self.link = Some(id);
    }
}

/// Where a flow waits to be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queued {
    #[default]
    Nowhere,
    Ring,
    Link,
}

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// It is being made for the first time.
    Opening,
    Up,
    /// It was lost, or could not be made.
    Down,
    /// It ends once nothing of it is under way.
    Ending,
}

/// A connection as far as decisions need it.
#[derive(Debug)]
struct Link {
    state: State,
    pace: Pace,
    /// The number of publications that may be unacknowledged, and how many more may be now.
    window: usize,
    slots: usize,
    /// A topic has one unacknowledged publication here: what carries it keeps no order of its own.
    one_by_one: bool,
    outbox: VecDeque<Job>,
    wake: Arc<Notify>,
    /// Flows of this connection that wait for an acknowledgement of any of its publications.
    waiting: VecDeque<Topic>,
}

/// What a connection is to do next.
pub(super) enum Next {
    /// Send what was given, which may be nothing.
    Send,
    /// Say goodbye.
    End,
}

/// All connections and all that waits for them.
pub(super) struct Scheduler {
    limits: Limits,
    links: Vec<Link>,
    /// Where the look for room begins.
    cursor: usize,
    /// What takes publications for which no connection has room.
    overflow: Option<LinkId>,
    flows: FxHashMap<Topic, Flow>,
    ring: VecDeque<Topic>,
    /// When the ring is to be served, if nothing else serves it before.
    due: Option<Instant>,
    /// An acknowledgement gives room to the ring, too.
    wants_answer: bool,
    pub(super) task: TaskRate,
    pub(super) demand: Demand,
    waiting: usize,
    /// A publication found no connection with room since [`take_pressed`](Self::take_pressed).
    pressed: bool,
    closing: bool,
    closed: bool,
}

/// The most connections that are looked at for one publication while some have room.
const LOOKED_AT: usize = 8;

impl Scheduler {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            task: TaskRate::new(limits.process),
            demand: Demand::new(&limits, now),
            limits,
            links: Vec::new(),
            cursor: 0,
            overflow: None,
            flows: FxHashMap::default(),
            ring: VecDeque::new(),
            due: None,
            wants_answer: false,
            waiting: 0,
            pressed: false,
            closing: false,
            closed: false,
        }
    }

    /// Adds a connection that is being made.
    pub(super) fn open(&mut self) -> (LinkId, Arc<Notify>) {
        let link = Link {
            state: State::Opening,
            pace: Pace::new(&self.limits),
            slots: 0,
            window: 0,
            one_by_one: false,
            outbox: VecDeque::new(),
            wake: Arc::default(),
            waiting: VecDeque::new(),
        };
        let wake = Arc::clone(&link.wake);
        let closed = |link: &Link| link.state == State::Closed;
        if let Some(id) = self.links.iter().position(closed) {
            if let Some(place) = self.links.get_mut(id) {
                *place = link;
            }
            return (id, wake);
        }
        self.links.push(link);
        (self.links.len() - 1, wake)
    }

    /// Adds what carries publications for which no connection has room: as many at a time as `window`, one of a topic.
    pub(super) fn open_overflow(&mut self, window: usize) -> (LinkId, Arc<Notify>) {
        let (id, wake) = self.open();
        let free = Limits {
            publishes: None,
            bytes: None,
            ..self.limits
        };
        if let Some(link) = self.links.get_mut(id) {
            link.state = State::Up;
            link.pace = Pace::new(&free);
            (link.slots, link.window) = (window, window);
            link.one_by_one = true;
        }
        self.overflow = Some(id);
        (id, wake)
    }

    fn count(&self, states: &[State]) -> usize {
        let links = self.links.iter().enumerate();
        let counted =
            links.filter(|(id, link)| Some(*id) != self.overflow && states.contains(&link.state));
        counted.count()
    }

    /// The number of connections that are up or on their way.
    pub(super) fn opened(&self) -> usize {
        self.count(&[State::Opening, State::Up, State::Down])
    }

    /// Whether a connection was lost, or could not be made: more of them would not help.
    pub(super) fn any_down(&self) -> bool {
        self.count(&[State::Down]) > 0
    }

    /// The number of publications that no connection has taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a publication found no connection with room since [`take_pressed`](Self::take_pressed).
    pub(super) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// The same, for the last time.
    pub(super) fn take_pressed(&mut self) -> bool {
        std::mem::take(&mut self.pressed)
    }

    /// The number of publications of the flows that find no connection with room.
    pub(super) fn pressing(&self) -> usize {
        let flows = self.ring.iter().filter_map(|topic| self.flows.get(topic));
        flows.map(|flow| flow.waiting.len()).sum()
    }

    /// When [`serve`](Self::serve) is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Drops all that waits, and what comes later, so that its fate is known.
    pub(super) fn clear(&mut self) {
        self.closed = true;
        for link in &mut self.links {
            link.outbox.clear();
        }
        self.flows.clear();
        self.ring.clear();
        self.waiting = 0;
    }

    /// Whether nothing waits and nothing is without an answer.
    pub(super) fn is_idle(&self) -> bool {
        let links = self.links.iter();
        let busy = |link: &Link| link.slots < link.window || !link.outbox.is_empty();
        self.waiting == 0 && !links.into_iter().any(busy)
    }

    /// Lets all connections end once they are idle.
    pub(super) fn close(&mut self) {
        self.closing = true;
        for link in &self.links {
            link.wake.notify_one();
        }
    }

    /// A connection is up, for so many unacknowledged publications. Its pace is new.
    pub(super) fn up(&mut self, id: LinkId, window: usize, now: Instant) {
        if let Some(link) = self.links.get_mut(id) {
            link.pace = Pace::new(&self.limits);
            (link.slots, link.window) = (window, window);
            if link.state != State::Ending {
                link.state = State::Up;
            }
        }
        self.serve(now);
    }

    /// A connection is lost, or could not be made. `unanswered` is what it carried, in the order of sending.
    pub(super) fn down(&mut self, id: LinkId, unanswered: Vec<Job>, now: Instant) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        if link.state != State::Ending {
            link.state = State::Down;
        }
        (link.slots, link.window) = (0, 0);
        let outbox = std::mem::take(&mut link.outbox);
        for topic in std::mem::take(&mut link.waiting) {
            if let Some(flow) = self.flows.get_mut(&topic) {
                flow.queued = Queued::Ring;
                self.ring.push_back(topic);
            }
        }
        if self.closed {
            // Dropped, so that their fate is known.
            return;
        }
        let jobs: Vec<Job> = unanswered.into_iter().chain(outbox).collect();
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

    /// Lets one idle connection end, where there is one.
    pub(super) fn end_one(&mut self) -> bool {
        let overflow = self.overflow;
        let mut links = self.links.iter_mut().enumerate().rev();
        let idle = links.find(|(id, link)| {
            Some(*id) != overflow && link.state == State::Up && link.slots == link.window
        });
        let Some((_, link)) = idle else {
            return false;
        };
        link.state = State::Ending;
        link.wake.notify_one();
        true
    }

    /// A connection has ended, and its number may be given to another.
    pub(super) fn ended(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.state = State::Closed;
        }
    }

    /// What a connection is to do next. What it is to send takes the place of `sent`, which is empty.
    pub(super) fn next(&mut self, id: LinkId, sent: &mut VecDeque<Job>) -> Next {
        let over = self.closing && self.is_idle();
        let Some(link) = self.links.get_mut(id) else {
            return Next::End;
        };
        let quiet = link.outbox.is_empty() && link.slots == link.window;
        if quiet && (link.state == State::Ending || over) {
            return Next::End;
        }
        std::mem::swap(&mut link.outbox, sent);
        Next::Send
    }

    /// Takes a publication on. Returns what holds it back, if anything does.
    pub(super) fn enter(&mut self, job: Job, now: Instant) -> Option<Limit> {
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
            && let Ok(id) = self.place(bound, false, now)
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
        flow.limit = Some(Limit::Connection);
        flow.queued = Queued::Ring;
        self.ring.push_back(topic.clone());
        if self.due.is_none_or(|due| due <= now) {
            self.serve(now);
        }
        self.flows.get(&topic)?.limit
    }

    /// One publication on a connection has its answer.
    pub(super) fn answered(&mut self, id: LinkId, job: &Publication, now: Instant) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        link.slots += 1;
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
        let link = self.links.get_mut(id);
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

    /// Sends up to `most` publications of a flow, and queues what is left. Returns what holds it back.
    fn advance(&mut self, topic: &Topic, most: usize, now: Instant) -> Option<Limit> {
        for sent in 0.. {
            let flow = self.flows.get_mut(topic)?;
            let before = flow.waiting.len();
            drop_stale(&mut flow.waiting, now);
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
            let limit = match self.place(bound, sent >= most, now) {
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
            let flow = self.flows.get_mut(topic)?;
            flow.limit = Some(limit.held());
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
                    self.wants_answer |= limit == Wait::Room || self.overflow.is_some();
                }
                (Wait::Room, Some(id)) => {
                    flow.queued = Queued::Link;
                    if let Some(link) = self.links.get_mut(id) {
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
    fn place(
        &mut self,
        bound: Option<LinkId>,
        is_enough: bool,
        now: Instant,
    ) -> Result<LinkId, Wait> {
        if is_enough {
            return Err(Wait::Turn);
        }
        if let Some(due) = self.task.due(now) {
            return Err(Wait::Account(due));
        }
        match bound {
            Some(id) => self.room_on(id, now).map(|_| id),
            None => self.most_room(now),
        }
    }

    fn room_on(&mut self, id: LinkId, now: Instant) -> Result<f64, Wait> {
        let link = self.links.get_mut(id).ok_or(Wait::Answer)?;
        if link.one_by_one {
            // What is out there is the flow's own.
            return Err(Wait::Answer);
        }
        if link.slots == 0 {
            return Err(Wait::Room);
        }
        match link.pace.due(now) {
            None => Ok(link.pace.room().min(link.slots as f64)),
            Some(due) => Err(Wait::Until(due)),
        }
    }

    /// The connection with the most room among some that have any.
    fn most_room(&mut self, now: Instant) -> Result<LinkId, Wait> {
        let count = self.links.len();
        let mut best: Option<(LinkId, f64)> = None;
        let mut due: Option<Instant> = None;
        for looked in 0..count {
            if looked >= LOOKED_AT && best.is_some() {
                break;
            }
            let id = (self.cursor + looked) % count;
            let up = |link: &Link| link.state == State::Up;
            if Some(id) == self.overflow || !self.links.get(id).is_some_and(up) {
                continue;
            }
            match self.room_on(id, now) {
                Ok(room) if best.is_none_or(|(_, most)| room > most) => best = Some((id, room)),
                Ok(_) => {}
                Err(Wait::Until(at)) => due = Some(due.map_or(at, |due| due.min(at))),
                Err(_) => {}
            }
        }
        self.cursor = best.map_or(0, |(id, _)| id + 1);
        if let Some((id, _)) = best {
            return Ok(id);
        }
        self.pressed = true;
        if let Some(id) = self.overflow
            && self.links.get(id).is_some_and(|link| link.slots > 0)
        {
            return Ok(id);
        }
        Err(due.map_or(Wait::Room, Wait::Until))
    }

    fn assign(&mut self, mut job: Job, id: LinkId, now: Instant) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        if let Some(expires) = &mut job.publication.expires {
            let waited = whole_seconds(now.saturating_duration_since(job.since));
            *expires = expires.saturating_sub(waited);
            job.since += waited;
        }
        link.pace.take(job.publication.payload.len());
        self.task.take(now);
        link.slots -= 1;
        link.outbox.push_back(job);
        link.wake.notify_one();
    }
}

/// After this the ring is served whatever happens.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Why the next publication of a flow is not sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Others have their turn first.
    Turn,
    /// No connection, or not the one that the flow is bound to, may send more before then.
    Until(Instant),
    /// The account, as far as this task has a share in it, takes no more before then.
    Account(Instant),
    /// Acknowledgements are missing, or connections.
    Room,
    /// The flow's own acknowledgement is missing.
    Answer,
}

impl Wait {
    fn held(self) -> Limit {
        match self {
            Self::Turn | Self::Until(_) => Limit::Connection,
            Self::Account(_) => Limit::Account,
            Self::Room => Limit::Broker,
            Self::Answer => Limit::Topic,
        }
    }
}

/// Takes away, from the front, what nobody waits for any more and what has expired.
fn drop_stale(waiting: &mut VecDeque<Job>, now: Instant) {
    while let Some(job) = waiting.front() {
        let waited = whole_seconds(now.saturating_duration_since(job.since));
        let expires = job.publication.expires;
        let expired = expires.is_some_and(|expires| expires < SHORTEST_EXPIRY + waited);
        if !expired && !job.fate.is_closed() {
            return;
        }
        if let Some(job) = waiting.pop_front() {
            // Who waited may have gone.
            let _ = job.fate.send(Err(PublishError::Expired));
        }
    }
}

#[cfg(test)]
mod tests;
