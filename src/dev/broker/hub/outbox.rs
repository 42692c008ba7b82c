//! Outgoing queue of one client: waiting messages, and messages that are not acknowledged.
//!
//! Pure: the caller passes the time. Bounded: messages above the bound are dropped, newer before
//! older, as in AWS IoT Core (developer guide, "MQTT", persistent sessions). Messages that were
//! stored while the client was away have a rate limit; newer ones do not wait for them unless they
//! have the same topic, so that a topic keeps its order. An unacknowledged message is sent again on
//! the same connection, where that is requested; by then all messages of its topic were sent for
//! the first time in their order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::holdings::{FREE, HeldBytes, QueuedBytes};
use super::message::SubscriberDelivery;
use super::rate::WindowCounter;

/// Messages between the broker and one client.
#[derive(Debug)]
pub(crate) struct OutgoingQueue {
    /// Messages for the connected client, in order.
    live: VecDeque<SubscriberDelivery>,
    /// Messages from the time of its absence, and those that were unacknowledged then.
    stored: VecDeque<SubscriberDelivery>,
    /// Messages of QoS 1 that were sent and are not acknowledged, in the order of sending.
    in_flight: VecDeque<InFlight>,
    last_id: u16,
    /// Receive Maximum: messages in flight at once.
    window: u16,
    /// Maximum number of waiting messages.
    bound: usize,
    /// Bytes that wait or are in flight, and their maximum.
    bytes: usize,
    bytes_bound: usize,
    /// Total of all clients, and the share of this client's entries.
    holdings: Option<Arc<QueuedBytes>>,
    held: Option<HeldBytes>,
    /// Rate limit of stored messages.
    pace: WindowCounter,
    /// Time after which an unacknowledged message is sent again.
    resend: Option<Duration>,
    /// Time before which no message in flight is due for retransmission, so that none is examined.
    due: Option<Instant>,
    /// Number of messages in flight that were examined since some may be due.
    seen: usize,
    /// `true` where messages sent on an earlier connection keep their packet identifier.
    keeps_ids: bool,
    /// `true` where the identifiers in use may be out of the order of assignment.
    is_mixed: bool,
}

#[derive(Debug)]
struct InFlight {
    id: u16,
    delivery: SubscriberDelivery,
    /// Times of the first and the last transmission.
    since: Instant,
    last: Instant,
}

/// Result of enqueueing a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueResult {
    /// The message waits.
    Taken,
    /// The queue has no room; the value names the limit.
    Full(&'static str),
}

/// Next item to send.
#[derive(Debug)]
pub(crate) enum NextOutgoing {
    /// A message.
    Send(OutgoingPublish),
    /// There is nothing to send before this time.
    At(Instant),
    /// There is nothing to send until a message or an acknowledgement arrives.
    Nothing,
}

/// PUBLISH to send.
#[derive(Debug)]
pub(crate) struct OutgoingPublish {
    pub(crate) delivery: SubscriberDelivery,
    /// Packet identifier; 0 with QoS 0.
    pub(crate) id: u16,
    /// DUP flag: `true` where the client is to know that the message was sent before.
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

    /// Chooses the packet identifier of messages that an earlier connection left unacknowledged:
    /// the same one, as a duplicate (MQTT 5.0, section 4.4), or a new one.
    pub(crate) fn keeping_ids(mut self, keeps_ids: bool) -> Self {
        self.keeps_ids = keeps_ids;
        self
    }

    /// Adds bounds in bytes: for this client, and for all clients together.
    pub(crate) fn within(mut self, bytes: usize, holdings: &Arc<QueuedBytes>) -> Self {
        self.bytes_bound = bytes;
        self.holdings = Some(Arc::clone(holdings));
        self
    }

    /// Number of messages that wait or are in flight.
    pub(crate) fn len(&self) -> usize {
        self.live.len() + self.stored.len() + self.in_flight.len()
    }

    /// Returns the name of the limit that leaves no room for one more waiting message.
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
            // Bytes just reserved for this queue have no waiting message.
            self.held = None;
        }
        (!fits).then_some("queued-bytes")
    }

    /// Frees bytes. An empty queue counts nothing in the total.
    fn free(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if self.held.is_some() && self.len() == 0 {
            self.held = None;
        }
    }

    /// Returns `true` where there is nothing to send now.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.live.is_empty() && self.stored.is_empty() && self.due.is_none_or(|due| due > now)
    }

    /// Enqueues a message for a connected client.
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

    /// Stores a message for a disconnected client.
    pub(crate) fn store(&mut self, delivery: SubscriberDelivery) -> EnqueueResult {
        if let Some(limit) = self.full(&delivery) {
            return EnqueueResult::Full(limit);
        }
        self.bytes += delivery.bytes();
        self.stored.push_back(delivery);
        EnqueueResult::Taken
    }

    /// Records that the client is connected, with its Receive Maximum.
    pub(crate) fn open(&mut self, window: u16) {
        self.window = window;
    }

    /// Records that the client is disconnected. Unacknowledged messages are sent again first;
    /// messages of QoS 0 are given up. Returns the deliveries for its groups, in order.
    pub(crate) fn close(&mut self) -> Vec<SubscriberDelivery> {
        let keeps_ids = self.keeps_ids;
        let unacknowledged = self.in_flight.drain(..).map(|mut sent| {
            // A message that returns to its group may go to another member, under a different
            // identifier.
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

    /// Returns the next item to send now.
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
        // Live messages do not starve stored ones: both are due, and stored ones are few per
        // second.
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

    /// Returns `true` where one more message may be in flight.
    pub(crate) fn has_room_in_flight(&self) -> bool {
        self.in_flight.len() < usize::from(self.window)
    }

    /// Sends the next waiting message.
    fn send_next(&mut self, delivery: Option<SubscriberDelivery>, now: Instant) -> NextOutgoing {
        let Some(delivery) = delivery else {
            return NextOutgoing::Nothing;
        };
        let bytes = delivery.bytes();
        let next = self.send(delivery, now);
        self.free(bytes);
        next
    }

    /// Sends a message now, before all waiting ones; the caller has checked that it may.
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

    /// Returns a message that is due for retransmission. The messages in flight are examined once
    /// for each due time, not for each message.
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

    /// Returns the time at which a message in flight may be due for retransmission.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.in_flight.is_empty())
    }

    /// Returns a free packet identifier. They are assigned in turn, so that only the oldest ones
    /// can be in use, unless some belong to an earlier connection.
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

    /// Removes a message from the messages in flight, acknowledged or given up. `None` for an
    /// unknown identifier.
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

    /// Gives up waiting messages of QoS 0 when the connection's rate is exhausted; returns their
    /// number.
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

    /// Gives up messages in flight that were sent before a time; returns their number.
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

    /// Returns the time since which the oldest unacknowledged message is in flight.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.in_flight.front().map(|oldest| oldest.since)
    }
}

/// Frees memory once a long queue is empty.
fn release<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > 32 {
        queue.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests;
