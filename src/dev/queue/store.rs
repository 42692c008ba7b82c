//! One queue: messages, leases, redelivery. Pure: the clock is handed in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::fifo::Groups;
use super::wire::Attributes;

/// A message's number in its queue, in the order of sending.
pub(super) type Sequence = u64;

/// For how long SQS knows deduplication ids (developer guide, "Exactly-once processing").
const DEDUPLICATION: Duration = Duration::from_secs(300);

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) id: Arc<str>,
    /// The body as a JSON string, quotes included.
    pub(super) body: Arc<str>,
    pub(super) body_md5: Arc<str>,
    pub(super) attributes: Arc<Attributes>,
    pub(super) trace_header: Option<Arc<str>>,
    pub(super) group: Option<Arc<str>>,
    pub(super) deduplication: Option<Arc<str>>,
    /// Milliseconds since 1970.
    pub(super) sent: i64,
}

/// A message as it is handed out.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    pub(super) content: Content,
    pub(super) sequence: Sequence,
    pub(super) receipt: String,
    pub(super) receives: u32,
    /// Milliseconds since 1970.
    pub(super) first_received: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may be handed out.
    Visible,
    /// It was sent with a delay.
    Delayed,
    /// It was handed out.
    InFlight,
}

#[derive(Debug)]
struct Message {
    content: Content,
    state: State,
    /// Counts the leases; the receipt of an earlier one is stale.
    lease: u32,
    /// Counts the timers; only the latest counts.
    timer: u32,
    receives: u32,
    first_received: i64,
}

/// What a queue is set to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) visibility: Duration,
    pub(super) delay: Duration,
    pub(super) retention: Duration,
    /// How often a message is handed out before it goes to another queue, and that queue's ARN.
    pub(super) redrive: Option<(u32, String)>,
    pub(super) fifo: bool,
}

/// Why a receipt is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// It is none of this queue's.
    Invalid,
    /// Its lease has ended.
    Ended,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) delayed: usize,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) settings: Settings,
    messages: HashMap<Sequence, Message>,
    /// Visible messages of a standard queue; those that are not visible any more are passed over.
    ready: VecDeque<Sequence>,
    groups: Groups,
    /// When a delay or a lease ends.
    timers: BinaryHeap<Reverse<(Instant, Sequence, u32)>>,
    /// In the order of sending, for what is too old.
    sent: VecDeque<(Instant, Sequence)>,
    known: HashMap<Arc<str>, (Arc<str>, Sequence)>,
    known_until: VecDeque<(Instant, Arc<str>)>,
    latest: Sequence,
    counts: Counts,
}

impl Store {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            messages: HashMap::new(),
            ready: VecDeque::new(),
            groups: Groups::default(),
            timers: BinaryHeap::new(),
            sent: VecDeque::new(),
            known: HashMap::new(),
            known_until: VecDeque::new(),
            latest: 0,
            counts: Counts::default(),
        }
    }

    /// Takes a message in; gives its id and number, which are those of an earlier one where it is a duplicate.
    pub(super) fn send(
        &mut self,
        content: Content,
        delay: Option<Duration>,
        now: Instant,
    ) -> (Arc<str>, Sequence) {
        self.advance(now);
        if let Some(deduplication) = content
            .deduplication
            .as_ref()
            .filter(|_| self.settings.fifo)
        {
            if let Some((id, sequence)) = self.known.get(deduplication) {
                return (Arc::clone(id), *sequence);
            }
            let known = (Arc::clone(&content.id), self.latest + 1);
            self.known.insert(Arc::clone(deduplication), known);
            self.known_until
                .push_back((now + DEDUPLICATION, Arc::clone(deduplication)));
        }
        self.put(content, delay, now)
    }

    /// Takes a message in as it is, as a redrive does.
    pub(super) fn put(
        &mut self,
        content: Content,
        delay: Option<Duration>,
        now: Instant,
    ) -> (Arc<str>, Sequence) {
        self.latest += 1;
        let sequence = self.latest;
        let id = Arc::clone(&content.id);
        let delay = delay.unwrap_or(self.settings.delay);
        let message = Message {
            content,
            state: State::Delayed,
            lease: 0,
            timer: 0,
            receives: 0,
            first_received: 0,
        };
        self.messages.insert(sequence, message);
        self.sent.push_back((now, sequence));
        self.counts.delayed += 1;
        if delay.is_zero() {
            self.show(sequence);
        } else {
            self.timers.push(Reverse((now + delay, sequence, 0)));
        }
        (id, sequence)
    }

    /// Hands out up to `most` messages, each hidden for a while. Those that were handed out too often come second: they are gone
    /// from here and go to where the redrive says.
    pub(super) fn receive(
        &mut self,
        most: usize,
        visibility: Option<Duration>,
        milliseconds: i64,
        now: Instant,
    ) -> (Vec<Handed>, Vec<Content>) {
        self.advance(now);
        let visibility = visibility.unwrap_or(self.settings.visibility);
        let mut handed = Vec::new();
        let mut dead = Vec::new();
        while handed.len() < most {
            let taken = if self.settings.fifo {
                self.groups.take(most - handed.len())
            } else {
                self.ready.pop_front().into_iter().collect()
            };
            if taken.is_empty() {
                break;
            }
            for sequence in taken {
                match self.hand_out(sequence, visibility, milliseconds, now) {
                    Out::Handed(message) => handed.push(message),
                    Out::Dead(content) => dead.push(content),
                    Out::Gone => {}
                }
            }
        }
        (handed, dead)
    }

    fn hand_out(
        &mut self,
        sequence: Sequence,
        visibility: Duration,
        milliseconds: i64,
        now: Instant,
    ) -> Out {
        let most = self.settings.redrive.as_ref().map(|(most, _)| *most);
        let Some(message) = self.messages.get_mut(&sequence) else {
            return Out::Gone;
        };
        if message.state != State::Visible {
            return Out::Gone;
        }
        message.state = State::InFlight;
        self.counts.visible -= 1;
        self.counts.in_flight += 1;
        if most.is_some_and(|most| message.receives >= most) {
            return self.remove(sequence).map_or(Out::Gone, Out::Dead);
        }
        message.lease += 1;
        message.timer += 1;
        message.receives += 1;
        if message.receives == 1 {
            message.first_received = milliseconds;
        }
        self.timers
            .push(Reverse((now + visibility, sequence, message.timer)));
        Out::Handed(Handed {
            content: message.content.clone(),
            sequence,
            receipt: format!("{sequence}-{}", message.lease),
            receives: message.receives,
            first_received: message.first_received,
        })
    }

    /// The id of the message that a receipt is for.
    pub(super) fn id(&self, receipt: &str) -> Option<Arc<str>> {
        let (sequence, _) = read(receipt)?;
        let message = self.messages.get(&sequence)?;
        Some(Arc::clone(&message.content.id))
    }

    /// Deletes a message that was handed out. Deleting twice is no error.
    pub(super) fn delete(&mut self, receipt: &str, now: Instant) -> Result<(), Stale> {
        self.advance(now);
        let (sequence, lease) = read(receipt).ok_or(Stale::Invalid)?;
        match self.messages.get(&sequence) {
            // A standard queue takes the latest receipt even after its lease has ended.
            Some(message)
                if message.lease == lease
                    && (message.state == State::InFlight || !self.settings.fifo) =>
            {
                self.remove(sequence);
                Ok(())
            }
            Some(_) if self.settings.fifo => Err(Stale::Ended),
            _ => Ok(()),
        }
    }

    /// Says for how long a message that was handed out stays hidden from now on.
    pub(super) fn change_visibility(
        &mut self,
        receipt: &str,
        visibility: Duration,
        now: Instant,
    ) -> Result<(), Stale> {
        self.advance(now);
        let (sequence, lease) = read(receipt).ok_or(Stale::Invalid)?;
        let message = self.messages.get_mut(&sequence).ok_or(Stale::Ended)?;
        if message.lease != lease || message.state != State::InFlight {
            return Err(Stale::Ended);
        }
        if visibility.is_zero() {
            self.show(sequence);
        } else {
            message.timer += 1;
            self.timers
                .push(Reverse((now + visibility, sequence, message.timer)));
        }
        Ok(())
    }

    /// Forgets all messages.
    pub(super) fn purge(&mut self) {
        let settings = self.settings.clone();
        let latest = self.latest;
        *self = Self::new(settings);
        self.latest = latest;
    }

    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        self.advance(now);
        self.counts
    }

    /// When something may become visible by itself.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets time do its work: what is hidden becomes visible, what is too old is forgotten.
    fn advance(&mut self, now: Instant) {
        while let Some(Reverse((at, sequence, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let message = self.messages.get(&sequence);
            if message
                .is_some_and(|message| message.timer == timer && message.state != State::Visible)
            {
                self.show(sequence);
            }
        }
        let retention = self.settings.retention;
        while let Some((at, sequence)) = self.sent.front().copied()
            && (at + retention <= now || !self.messages.contains_key(&sequence))
        {
            self.sent.pop_front();
            self.remove(sequence);
        }
        while self
            .known_until
            .front()
            .is_some_and(|(until, _)| *until <= now)
        {
            if let Some((_, deduplication)) = self.known_until.pop_front() {
                self.known.remove(&deduplication);
            }
        }
    }

    fn show(&mut self, sequence: Sequence) {
        let Some(message) = self.messages.get_mut(&sequence) else {
            return;
        };
        let was = std::mem::replace(&mut message.state, State::Visible);
        self.counts.visible += 1;
        match was {
            State::Delayed => self.counts.delayed -= 1,
            State::InFlight => self.counts.in_flight -= 1,
            State::Visible => self.counts.visible -= 1,
        }
        match message.content.group.clone().filter(|_| self.settings.fifo) {
            Some(group) => {
                self.groups.wait(&group, sequence);
                if was == State::InFlight {
                    self.groups.landed(&group);
                }
            }
            None => self.ready.push_back(sequence),
        }
    }

    fn remove(&mut self, sequence: Sequence) -> Option<Content> {
        let message = self.messages.remove(&sequence)?;
        match message.state {
            State::Visible => self.counts.visible -= 1,
            State::Delayed => self.counts.delayed -= 1,
            State::InFlight => self.counts.in_flight -= 1,
        }
        if let Some(group) = message
            .content
            .group
            .as_ref()
            .filter(|_| self.settings.fifo)
        {
            if message.state == State::InFlight {
                self.groups.landed(group);
            } else {
                self.groups.forget(group, sequence);
            }
        }
        Some(message.content)
    }
}

enum Out {
    Handed(Handed),
    Dead(Content),
    /// It was deleted, or is hidden again.
    Gone,
}

fn read(receipt: &str) -> Option<(Sequence, u32)> {
    let (sequence, lease) = receipt.split_once('-')?;
    Some((sequence.parse().ok()?, lease.parse().ok()?))
}
