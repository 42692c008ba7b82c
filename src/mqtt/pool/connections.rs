//! The pool's connections as far as decisions need them: the state and the room of each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::flow::QueuedPublish;
use crate::channel::topic::Topic;
use crate::pace::{ConnectionPace, Limit, PaceBounds};

/// A connection of the pool, by its number.
pub(super) type LinkId = usize;

/// The most connections that are looked at for one publication while some have room.
const LOOKED_AT: usize = 8;

/// The time over which the broker counts a connection's publications.
const COUNTED: Duration = Duration::from_secs(1);

/// The overflow is given nothing for as long after it gave no answer.
const OVERFLOW_REST: Duration = Duration::from_secs(5);

/// The resolution of a timer.
const TICK: Duration = Duration::from_millis(1);

/// State of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PooledState {
    Closed,
    /// It is being made for the first time.
    Opening,
    Up,
    /// It was lost, or could not be made.
    Down,
    /// It ends once nothing of it is under way.
    Ending,
}

/// One connection.
#[derive(Debug)]
pub(super) struct PooledLink {
    state: PooledState,
    pace: ConnectionPace,
    /// Times of the acknowledgements of the last second. A publication reaches the broker at some
    /// time between its sending and its acknowledgement, and later than it was sent where the
    /// network stalls: as long as those without an acknowledgement and these together are no more
    /// than the broker takes in a second, no second at the broker has more.
    acknowledged: VecDeque<Instant>,
    /// The most that the broker takes in a second, where it has such a limit.
    most: Option<usize>,
    /// The number of publications that may be unacknowledged, and how many more may be now.
    window: usize,
    slots: usize,
    pub(super) outbox: VecDeque<QueuedPublish>,
    wake: Arc<Notify>,
    /// Flows of this connection that wait for an acknowledgement of any of its publications.
    pub(super) waiting: VecDeque<Topic>,
}

impl PooledLink {
    /// Everything that it was given has its answer.
    fn is_quiet(&self) -> bool {
        self.outbox.is_empty() && self.slots == self.window
    }

    /// One of its publications has its answer.
    pub(super) fn answered(&mut self, now: Instant) {
        self.slots += 1;
        if self.most.is_some() {
            self.acknowledged.push_back(now);
        }
    }

    /// The publications that it may carry now, one at least, or the limit to wait for.
    fn room(&mut self, now: Instant) -> Result<usize, Wait> {
        if self.slots == 0 {
            return Err(Wait::Room);
        }
        let Some(most) = self.most else {
            return Ok(self.slots);
        };
        while self
            .acknowledged
            .front()
            .is_some_and(|at| *at + COUNTED <= now)
        {
            self.acknowledged.pop_front();
        }
        let counted = self.window.saturating_sub(self.slots) + self.acknowledged.len();
        match (most.saturating_sub(counted), self.acknowledged.front()) {
            (0, Some(oldest)) => Err(Wait::Until(*oldest + COUNTED + TICK)),
            (0, None) => Err(Wait::Room),
            (left, _) => Ok(left.min(self.slots)),
        }
    }
}

/// The next step of a connection.
pub(super) enum Next {
    /// Send the publications that were given, which may be none.
    Send,
    /// Say goodbye.
    End,
}

/// Reason why the next publication of a flow is not sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
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
    /// The limit that it counts for.
    pub(super) fn limit(self) -> Limit {
        match self {
            Self::Turn | Self::Until(_) => Limit::Connection,
            Self::Account(_) => Limit::Account,
            Self::Room => Limit::Broker,
            Self::Answer => Limit::Topic,
        }
    }
}

/// All connections.
pub(super) struct PooledConnections {
    limits: PaceBounds,
    links: Vec<PooledLink>,
    /// The place where the look for room begins.
    cursor: usize,
    /// Link for publications for which no connection has room. A topic has one unacknowledged
    /// publication there: the link keeps no order of its own.
    overflow: Option<LinkId>,
    /// Since the overflow failed: until when it is given nothing. Then it is given one at a time.
    distrusted: Option<Instant>,
    /// A publication found no connection with room since [`take_pressed`](Self::take_pressed).
    pressed: bool,
}

impl PooledConnections {
    pub(super) fn new(limits: PaceBounds) -> Self {
        Self {
            limits,
            links: Vec::new(),
            cursor: 0,
            overflow: None,
            distrusted: None,
            pressed: false,
        }
    }

    /// Adds a connection that is being made.
    pub(super) fn open(&mut self) -> (LinkId, Arc<Notify>) {
        let link = PooledLink {
            state: PooledState::Opening,
            pace: ConnectionPace::new(&self.limits),
            acknowledged: VecDeque::new(),
            most: self.limits.publishes.map(|most| most as usize),
            slots: 0,
            window: 0,
            outbox: VecDeque::new(),
            wake: Arc::default(),
            waiting: VecDeque::new(),
        };
        let wake = Arc::clone(&link.wake);
        let closed = |link: &PooledLink| link.state == PooledState::Closed;
        if let Some(id) = self.links.iter().position(closed) {
            if let Some(place) = self.links.get_mut(id) {
                *place = link;
            }
            return (id, wake);
        }
        self.links.push(link);
        (self.links.len() - 1, wake)
    }

    /// Adds what carries publications for which no connection has room: as many at a time as
    /// `window`, one of a topic.
    pub(super) fn open_overflow(&mut self, window: usize) -> (LinkId, Arc<Notify>) {
        let (id, wake) = self.open();
        let free = PaceBounds {
            publishes: None,
            bytes: None,
            ..self.limits
        };
        if let Some(link) = self.links.get_mut(id) {
            link.state = PooledState::Up;
            link.pace = ConnectionPace::new(&free);
            link.most = None;
            (link.slots, link.window) = (window, window);
        }
        self.overflow = Some(id);
        (id, wake)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut PooledLink> {
        self.links.get_mut(id)
    }

    fn count(&self, states: &[PooledState]) -> usize {
        let links = self.links.iter().enumerate();
        let counted =
            links.filter(|(id, link)| Some(*id) != self.overflow && states.contains(&link.state));
        counted.count()
    }

    /// The number of connections that are up or on their way.
    pub(super) fn opened(&self) -> usize {
        self.count(&[PooledState::Opening, PooledState::Up, PooledState::Down])
    }

    /// Returns `true` when more connections were lost, or could not be made, than are up: more of
    /// them would not help.
    pub(super) fn are_failing(&self) -> bool {
        let down = self.count(&[PooledState::Down]);
        down > self.count(&[PooledState::Up])
    }

    /// Returns `true` when nothing is without an answer.
    pub(super) fn are_quiet(&self) -> bool {
        self.links.iter().all(PooledLink::is_quiet)
    }

    pub(super) fn has_overflow(&self) -> bool {
        self.overflow.is_some()
    }

    /// Returns `true` when a publication found no connection with room since
    /// [`take_pressed`](Self::take_pressed).
    pub(super) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// The same, for the last time.
    pub(super) fn take_pressed(&mut self) -> bool {
        std::mem::take(&mut self.pressed)
    }

    pub(super) fn wake_all(&self) {
        for link in &self.links {
            link.wake.notify_one();
        }
    }

    /// Drops the publications that were given to connections and not sent.
    pub(super) fn clear(&mut self) {
        for link in &mut self.links {
            link.outbox.clear();
        }
    }

    /// A connection is up, for so many unacknowledged publications. Its pace is new.
    pub(super) fn up(&mut self, id: LinkId, window: usize) {
        if let Some(link) = self.links.get_mut(id) {
            link.pace = ConnectionPace::new(&self.limits);
            link.acknowledged.clear();
            (link.slots, link.window) = (window, window);
            if link.state != PooledState::Ending {
                link.state = PooledState::Up;
            }
        }
    }

    /// A connection is lost, or could not be made. Gives what it was to send, and the flows that
    /// waited for its acknowledgements.
    pub(super) fn down(&mut self, id: LinkId) -> (VecDeque<QueuedPublish>, VecDeque<Topic>) {
        let Some(link) = self.links.get_mut(id) else {
            return Default::default();
        };
        if link.state != PooledState::Ending {
            link.state = PooledState::Down;
        }
        (link.slots, link.window) = (0, 0);
        let outbox = std::mem::take(&mut link.outbox);
        (outbox, std::mem::take(&mut link.waiting))
    }

    /// Lets one connection end, where there is one that is down, or idle.
    pub(super) fn end_one(&mut self) -> bool {
        let overflow = self.overflow;
        let is_down = |(_, link): &(LinkId, &mut PooledLink)| link.state == PooledState::Down;
        let is_idle = |(id, link): &(LinkId, &mut PooledLink)| {
            Some(*id) != overflow && link.state == PooledState::Up && link.slots == link.window
        };
        let down = self.links.iter_mut().enumerate().rev().find(is_down);
        let id = match down {
            Some((id, _)) => Some(id),
            None => {
                let mut links = self.links.iter_mut().enumerate().rev();
                links.find(is_idle).map(|(id, _)| id)
            }
        };
        let Some(link) = id.and_then(|id| self.links.get_mut(id)) else {
            return false;
        };
        link.state = PooledState::Ending;
        link.wake.notify_one();
        true
    }

    /// Returns `true` for a connection that is to end.
    pub(super) fn is_ending(&self, id: LinkId) -> bool {
        let link = self.links.get(id);
        link.is_some_and(|link| link.state == PooledState::Ending)
    }

    /// A connection has ended, and its number may be given to another.
    pub(super) fn ended(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.state = PooledState::Closed;
        }
    }

    /// The next step of a connection. The publications that it is to send replace `sent`, which is
    /// empty. With `over` it ends as soon as it is quiet.
    pub(super) fn next(
        &mut self,
        id: LinkId,
        sent: &mut VecDeque<QueuedPublish>,
        over: bool,
    ) -> Next {
        let Some(link) = self.links.get_mut(id) else {
            return Next::End;
        };
        if link.is_quiet() && (link.state == PooledState::Ending || over) {
            return Next::End;
        }
        std::mem::swap(&mut link.outbox, sent);
        Next::Send
    }

    /// The room of a connection, in publications, for a flow that is bound to it.
    pub(super) fn room_on(&mut self, id: LinkId, now: Instant) -> Result<f64, Wait> {
        if Some(id) == self.overflow {
            // Publications on the overflow are the flow's own.
            return Err(Wait::Answer);
        }
        let link = self.links.get_mut(id).ok_or(Wait::Answer)?;
        let room = link.room(now)?;
        match link.pace.due(now) {
            None => Ok(link.pace.room().min(room as f64)),
            Some(due) => Err(Wait::Until(due)),
        }
    }

    /// The connection with the most room among some that have any, or the overflow where none has.
    pub(super) fn most_room(&mut self, now: Instant) -> Result<LinkId, Wait> {
        let count = self.links.len();
        let mut best: Option<(LinkId, f64)> = None;
        let mut due: Option<Instant> = None;
        for looked in 0..count {
            if looked >= LOOKED_AT && best.is_some() {
                break;
            }
            let id = (self.cursor + looked) % count;
            let up = |link: &PooledLink| link.state == PooledState::Up;
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
        let overflow = self.overflow.filter(|id| self.overflow_has_room(*id, now));
        overflow.ok_or(due.map_or(Wait::Room, Wait::Until))
    }

    fn overflow_has_room(&self, id: LinkId, now: Instant) -> bool {
        let Some(link) = self.links.get(id) else {
            return false;
        };
        match self.distrusted {
            None => link.slots > 0,
            Some(until) => now >= until && link.is_quiet(),
        }
    }

    /// The overflow gave no answer: for a while it is given nothing.
    pub(super) fn overflow_failed(&mut self, now: Instant) {
        self.distrusted = Some(now + OVERFLOW_REST);
    }

    /// The overflow gave an answer.
    pub(super) fn overflow_answered(&mut self) {
        self.distrusted = None;
    }

    /// Gives a publication to a connection.
    pub(super) fn assign(&mut self, job: QueuedPublish, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.pace.take(job.publication.payload.len());
            link.slots -= 1;
            link.outbox.push_back(job);
            link.wake.notify_one();
        }
    }
}
