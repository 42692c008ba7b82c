//! What waits for one client, and what it has not acknowledged yet.
//!
//! Pure over the time that is handed in. Bounded: what is beyond the bound is dropped, newer before older, as AWS IoT Core does it
//! (developer guide, "MQTT", persistent sessions). Messages that were stored while the client was away come at a pace; newer ones do
//! not wait for them unless they are of the same topic, so that a topic keeps its order. What stays unacknowledged is sent again on the
//! same connection, where that is asked for; all of a topic were sent for the first time in their order then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::holdings::{FREE, HeldBytes, QueuedBytes};
use super::message::SubscriberDelivery;
use super::rate::WindowCounter;

/// Everything between the broker and one client.
#[derive(Debug)]
pub(crate) struct OutgoingQueue {
    /// For the client that is there, in order.
    live: VecDeque<SubscriberDelivery>,
    /// From the time it was away, and what it had left unacknowledged then.
    stored: VecDeque<SubscriberDelivery>,
    /// Sent with QoS 1 and not acknowledged, in the order of sending.
    in_flight: VecDeque<InFlight>,
    last_id: u16,
    /// How many may be in flight.
    window: u16,
    /// How many may wait.
    bound: usize,
    /// How many bytes wait or are in flight, and may.
    bytes: usize,
    bytes_bound: usize,
    /// The bytes of all clients together, and how many of them are this one's entries.
    holdings: Option<Arc<QueuedBytes>>,
    held: Option<HeldBytes>,
    /// How fast stored messages come.
    pace: WindowCounter,
    /// After how long an unacknowledged message is sent again.
    resend: Option<Duration>,
    /// Nothing in flight is due to be sent again before: none is looked at until then.
    due: Option<Instant>,
    /// How many of those in flight have been looked at, since some may be due.
    seen: usize,
    /// Whether what was sent on an earlier connection keeps its identifier.
    keeps_ids: bool,
    /// Whether identifiers may be in use in another order than that in which they are given out.
    is_mixed: bool,
}

#[derive(Debug)]
struct InFlight {
    id: u16,
    delivery: SubscriberDelivery,
    /// When it was sent first, and last.
    since: Instant,
    last: Instant,
}

/// Whether a message found a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueResult {
    /// It waits.
    Taken,
    /// There was no room: the limit by its name.
    Full(&'static str),
}

/// What there is to send.
#[derive(Debug)]
pub(crate) enum NextOutgoing {
    /// A message.
    Send(OutgoingPublish),
    /// Nothing before this time.
    At(Instant),
    /// Nothing until something comes: a message, or an acknowledgement.
    Nothing,
}

/// A message that leaves.
#[derive(Debug)]
pub(crate) struct OutgoingPublish {
    pub(crate) delivery: SubscriberDelivery,
    /// Its packet identifier; 0 with QoS 0.
    pub(crate) id: u16,
    /// Whether it was sent before, as far as its client is to know.
    pub(crate) again: bool,
}

impl OutgoingQueue {
    pub(crate) fn new(
        bound: usize,
        stored_per_second: Option<u32>,
        resend: Option<Duration>,
    ) -> Self {
        Self {
            live: VecDeque::new(),
            stored: VecDeque::new(),
            in_flight: VecDeque::new(),
            last_id: 0,
            window: u16::MAX,
            bound,
            bytes: 0,
            bytes_bound: usize::MAX,
            holdings: None,
            held: None,
            pace: WindowCounter::new(stored_per_second),
            resend,
            due: None,
            seen: 0,
            keeps_ids: false,
            is_mixed: false,
        }
    }

    /// What an earlier connection left unacknowledged comes with its identifier, as a duplicate (MQTT 5.0, section 4.4), or anew.
    pub(crate) fn keeping_ids(mut self, keeps_ids: bool) -> Self {
        self.keeps_ids = keeps_ids;
        self
    }

    /// Bytes are bounded too: of this client, and of all together.
    pub(crate) fn within(mut self, bytes: usize, holdings: &Arc<QueuedBytes>) -> Self {
        self.bytes_bound = bytes;
        self.holdings = Some(Arc::clone(holdings));
        self
    }

    /// How many messages wait or are in flight.
    pub(crate) fn len(&self) -> usize {
        self.live.len() + self.stored.len() + self.in_flight.len()
    }

    /// The limit that leaves no room for one more that waits, by its name.
    fn full(&mut self, delivery: &SubscriberDelivery) -> Option<&'static str> {
        if self.live.len() + self.stored.len() >= self.bound {
            return Some("queued-per-session");
        }
        let bytes = self.bytes + delivery.bytes();
        if bytes <= FREE {
            return None;
        }
        if self.bytes > 0 && bytes > self.bytes_bound {
            return Some("queued-bytes-per-session");
        }
        let entries = self.len() + 1;
        let holdings = self.holdings.as_ref()?;
        let held = self.held.get_or_insert_with(|| HeldBytes::none(holdings));
        let fits = held.reach(entries) && delivery.message.weigh(holdings);
        if !fits && entries == 1 {
            // What was just counted for this queue waits for nothing.
            self.held = None;
        }
        (!fits).then_some("queued-bytes")
    }

    /// Some bytes are gone. A queue that is empty counts nothing among all.
    fn free(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if self.held.is_some() && self.len() == 0 {
            self.held = None;
        }
    }

    /// Whether nothing is to be sent now.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.live.is_empty() && self.stored.is_empty() && self.due.is_none_or(|due| due > now)
    }

    /// A message for a client that is there.
    pub(crate) fn offer(&mut self, delivery: SubscriberDelivery) -> EnqueueResult {
        if let Some(limit) = self.full(&delivery) {
            return EnqueueResult::Full(limit);
        }
        self.bytes += delivery.bytes();
        let topic = &delivery.message.topic;
        let behind = self
            .stored
            .iter()
            .any(|other| other.message.topic == *topic);
        if behind {
            self.stored.push_back(delivery);
        } else {
            self.live.push_back(delivery);
        }
        EnqueueResult::Taken
    }

    /// A message for a client that is away.
    pub(crate) fn store(&mut self, delivery: SubscriberDelivery) -> EnqueueResult {
        if let Some(limit) = self.full(&delivery) {
            return EnqueueResult::Full(limit);
        }
        self.bytes += delivery.bytes();
        self.stored.push_back(delivery);
        EnqueueResult::Taken
    }

    /// The client is there, and takes so many messages of QoS 1 at once.
    pub(crate) fn open(&mut self, window: u16) {
        self.window = window;
    }

    /// The client is gone: what it has not acknowledged comes again, before all else; what was sent once at most is given up. Gives what
    /// was for its groups, in order.
    pub(crate) fn close(&mut self) -> Vec<SubscriberDelivery> {
        let keeps_ids = self.keeps_ids;
        let unacknowledged = self.in_flight.drain(..).map(|mut sent| {
            // What goes back to a group may come to another member, under an identifier of its own.
            let keeps = keeps_ids && sent.delivery.group.is_none();
            sent.delivery.sent_as = if keeps { sent.id } else { 0 };
            sent.delivery
        });
        let waiting = self.stored.drain(..).chain(self.live.drain(..));
        let (shared, stored): (Vec<SubscriberDelivery>, Vec<SubscriberDelivery>) = unacknowledged
            .chain(waiting)
            .filter(|delivery| delivery.qos > 0)
            .partition(|delivery| delivery.group.is_some());
        let bytes = stored.iter().map(SubscriberDelivery::bytes).sum();
        let holdings = self.holdings.take();
        let held = self.held.take().filter(|_| !stored.is_empty());
        *self = Self {
            bytes,
            bytes_bound: self.bytes_bound,
            holdings,
            held,
            last_id: if keeps_ids { self.last_id } else { 0 },
            is_mixed: stored.iter().any(|delivery| delivery.sent_as > 0),
            stored: stored.into(),
            pace: self.pace,
            ..Self::new(self.bound, None, self.resend).keeping_ids(keeps_ids)
        };
        shared
    }

    /// What is to be sent now.
    pub(crate) fn next(&mut self, now: Instant) -> NextOutgoing {
        if let Some(parcel) = self.again(now) {
            return NextOutgoing::Send(parcel);
        }
        let live = self.live.front().is_some_and(|first| self.fits(first));
        if !live
            && let Some(first) = self.stored.front()
            && self.fits(first)
        {
            return match self.pace.next(now) {
                Some(at) => NextOutgoing::At(at),
                None => {
                    self.pace.take(now, 1);
                    let delivery = self.stored.pop_front();
                    release(&mut self.stored);
                    self.send_next(delivery, now)
                }
            };
        }
        if !live {
            return NextOutgoing::Nothing;
        }
        // Live messages do not starve stored ones: both are due, and stored ones are few a second.
        if self.stored.front().is_some_and(|first| self.fits(first)) && self.pace.take(now, 1) {
            let delivery = self.stored.pop_front();
            release(&mut self.stored);
            return self.send_next(delivery, now);
        }
        let delivery = self.live.pop_front();
        release(&mut self.live);
        self.send_next(delivery, now)
    }

    fn fits(&self, delivery: &SubscriberDelivery) -> bool {
        delivery.qos == 0 || self.has_room_in_flight()
    }

    /// Whether one more may be unacknowledged.
    pub(crate) fn has_room_in_flight(&self) -> bool {
        self.in_flight.len() < usize::from(self.window)
    }

    /// What waited until now leaves.
    fn send_next(&mut self, delivery: Option<SubscriberDelivery>, now: Instant) -> NextOutgoing {
        let Some(delivery) = delivery else {
            return NextOutgoing::Nothing;
        };
        let bytes = delivery.bytes();
        let next = self.send(delivery, now);
        self.free(bytes);
        next
    }

    /// A message leaves now, whatever waits; the caller has looked whether it may.
    pub(crate) fn send(&mut self, delivery: SubscriberDelivery, now: Instant) -> NextOutgoing {
        let (mut id, again) = (delivery.sent_as, delivery.sent_as > 0);
        if delivery.qos > 0 {
            if !again {
                id = self.next_id();
            }
            self.bytes += delivery.bytes();
            self.in_flight.push_back(InFlight {
                id,
                delivery: delivery.clone(),
                since: now,
                last: now,
            });
            if self.due.is_none() {
                self.due = self.resend.map(|after| now + after);
            }
        }
        NextOutgoing::Send(OutgoingPublish {
            delivery,
            id,
            again,
        })
    }

    /// A message that was sent so long ago that it is due again. Those in flight are looked through once for each time that one may
    /// be due, not for each message.
    fn again(&mut self, now: Instant) -> Option<OutgoingPublish> {
        let after = self.resend?;
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        while let Some(sent) = self.in_flight.get_mut(self.seen) {
            self.seen += 1;
            if sent.last + after <= now {
                sent.last = now;
                return Some(OutgoingPublish {
                    delivery: sent.delivery.clone(),
                    id: sent.id,
                    again: true,
                });
            }
        }
        self.seen = 0;
        self.due = self.in_flight.iter().map(|sent| sent.last + after).min();
        None
    }

    /// When something that is in flight may be due to be sent again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.in_flight.is_empty())
    }

    /// An identifier that is not in flight. They are given out in turn, so that only the oldest ones can be in the way, unless some are
    /// those of an earlier connection.
    fn next_id(&mut self) -> u16 {
        let after = |id: u16| id.checked_add(1).unwrap_or(1);
        let mut id = after(self.last_id);
        self.is_mixed &= !self.in_flight.is_empty() || !self.stored.is_empty();
        while self.is_mixed && self.is_in_use(id) {
            id = after(id);
        }
        for sent in &self.in_flight {
            if sent.id != id {
                break;
            }
            id = after(id);
        }
        self.last_id = id;
        id
    }

    fn is_in_use(&self, id: u16) -> bool {
        self.in_flight.iter().any(|sent| sent.id == id)
            || self.stored.iter().any(|waits| waits.sent_as == id)
    }

    /// The client has a message; or it never will, so that nothing is in flight any more. `None` for an identifier that is not.
    pub(crate) fn acknowledge(&mut self, id: u16) -> Option<SubscriberDelivery> {
        let at = self.in_flight.iter().position(|sent| sent.id == id)?;
        let sent = self.in_flight.remove(at);
        if at < self.seen {
            self.seen -= 1;
        }
        release(&mut self.in_flight);
        let delivery = sent?.delivery;
        self.free(delivery.bytes());
        Some(delivery)
    }

    /// Gives up messages of QoS 0 that wait, as the connection's pace lets nothing through; says how many.
    pub(crate) fn discard_qos0(&mut self) -> usize {
        let (before, mut bytes) = (self.live.len(), 0);
        self.live.retain(|delivery| {
            if delivery.qos == 0 {
                bytes += delivery.bytes();
            }
            delivery.qos > 0
        });
        self.free(bytes);
        before - self.live.len()
    }

    /// Gives up what has been in flight since before a time; says how many.
    pub(crate) fn give_up(&mut self, before: Instant) -> usize {
        let count = self.in_flight.len();
        while self
            .in_flight
            .front()
            .is_some_and(|oldest| oldest.since <= before)
        {
            let sent = self.in_flight.pop_front();
            self.free(sent.map_or(0, |sent| sent.delivery.bytes()));
        }
        let given_up = count - self.in_flight.len();
        self.seen = self.seen.saturating_sub(given_up);
        given_up
    }

    /// Since when the oldest unacknowledged message is in flight.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.in_flight.front().map(|oldest| oldest.since)
    }
}

/// Gives memory back once a queue that was long is empty.
fn release<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > 32 {
        queue.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
