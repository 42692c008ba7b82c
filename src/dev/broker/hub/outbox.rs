//! What waits for one client, and what it has not acknowledged yet.
//!
//! Pure over the time that is handed in. Bounded: what is beyond the bound is dropped, newer before older, as AWS IoT Core does it
//! (developer guide, "MQTT", persistent sessions). Messages that were stored while the client was away come at a pace; newer ones do
//! not wait for them unless they are of the same topic, so that a topic keeps its order. What stays unacknowledged is sent again on the
//! same connection, where that is asked for; all of a topic were sent for the first time in their order then.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::message::Delivery;
use super::rate::Rate;

/// Everything between the broker and one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// For the client that is there, in order.
    live: VecDeque<Delivery>,
    /// From the time it was away, and what it had left unacknowledged then.
    stored: VecDeque<Delivery>,
    /// Sent with QoS 1 and not acknowledged, in the order of sending.
    in_flight: VecDeque<InFlight>,
    last_id: u16,
    /// How many may be in flight.
    window: u16,
    /// How many may wait.
    bound: usize,
    /// How fast stored messages come.
    pace: Rate,
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
    delivery: Delivery,
    /// When it was sent first, and last.
    since: Instant,
    last: Instant,
}

/// Whether a message found a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It waits.
    Taken,
    /// There was no room.
    Full,
}

/// What there is to send.
#[derive(Debug)]
pub(crate) enum Next {
    /// A message.
    Send(Parcel),
    /// Nothing before this time.
    At(Instant),
    /// Nothing until something comes: a message, or an acknowledgement.
    Nothing,
}

/// A message that leaves.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) delivery: Delivery,
    /// Its packet identifier; 0 with QoS 0.
    pub(crate) id: u16,
    /// Whether it was sent before, as far as its client is to know.
    pub(crate) again: bool,
}

impl Outbox {
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
            pace: Rate::new(stored_per_second),
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

    /// How many messages wait or are in flight.
    pub(crate) fn len(&self) -> usize {
        self.live.len() + self.stored.len() + self.in_flight.len()
    }

    /// Whether no more may wait.
    fn is_full(&self) -> bool {
        self.live.len() + self.stored.len() >= self.bound
    }

    /// Whether nothing is to be sent now.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.live.is_empty() && self.stored.is_empty() && self.due.is_none_or(|due| due > now)
    }

    /// A message for a client that is there.
    pub(crate) fn offer(&mut self, delivery: Delivery) -> Offer {
        if self.is_full() {
            return Offer::Full;
        }
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
        Offer::Taken
    }

    /// A message for a client that is away.
    pub(crate) fn store(&mut self, delivery: Delivery) -> Offer {
        if self.is_full() {
            return Offer::Full;
        }
        self.stored.push_back(delivery);
        Offer::Taken
    }

    /// The client is there, and takes so many messages of QoS 1 at once.
    pub(crate) fn open(&mut self, window: u16) {
        self.window = window;
    }

    /// The client is gone: what it has not acknowledged comes again, before all else; what was sent once at most is given up.
    pub(crate) fn close(&mut self) {
        let keeps_ids = self.keeps_ids;
        let unacknowledged = self.in_flight.drain(..).map(|mut sent| {
            sent.delivery.sent_as = if keeps_ids { sent.id } else { 0 };
            sent.delivery
        });
        let waiting = self.stored.drain(..).chain(self.live.drain(..));
        let stored: VecDeque<Delivery> = unacknowledged
            .chain(waiting)
            .filter(|delivery| delivery.qos > 0)
            .collect();
        *self = Self {
            last_id: if keeps_ids { self.last_id } else { 0 },
            is_mixed: stored.iter().any(|delivery| delivery.sent_as > 0),
            stored,
            pace: self.pace,
            ..Self::new(self.bound, None, self.resend).keeping_ids(keeps_ids)
        };
    }

    /// What is to be sent now.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        if let Some(parcel) = self.again(now) {
            return Next::Send(parcel);
        }
        let live = self.live.front().is_some_and(|first| self.fits(first));
        if !live
            && let Some(first) = self.stored.front()
            && self.fits(first)
        {
            return match self.pace.next(now) {
                Some(at) => Next::At(at),
                None => {
                    self.pace.take(now, 1);
                    let delivery = self.stored.pop_front();
                    release(&mut self.stored);
                    self.send(delivery, now)
                }
            };
        }
        if !live {
            return Next::Nothing;
        }
        // Live messages do not starve stored ones: both are due, and stored ones are few a second.
        if self.stored.front().is_some_and(|first| self.fits(first)) && self.pace.take(now, 1) {
            let delivery = self.stored.pop_front();
            release(&mut self.stored);
            return self.send(delivery, now);
        }
        let delivery = self.live.pop_front();
        release(&mut self.live);
        self.send(delivery, now)
    }

    fn fits(&self, delivery: &Delivery) -> bool {
        delivery.qos == 0 || self.in_flight.len() < usize::from(self.window)
    }

    fn send(&mut self, delivery: Option<Delivery>, now: Instant) -> Next {
        let Some(delivery) = delivery else {
            return Next::Nothing;
        };
        let (mut id, again) = (delivery.sent_as, delivery.sent_as > 0);
        if delivery.qos > 0 {
            if !again {
                id = self.next_id();
            }
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
        Next::Send(Parcel {
            delivery,
            id,
            again,
        })
    }

    /// A message that was sent so long ago that it is due again. Those in flight are looked through once for each time that one may
    /// be due, not for each message.
    fn again(&mut self, now: Instant) -> Option<Parcel> {
        let after = self.resend?;
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        while let Some(sent) = self.in_flight.get_mut(self.seen) {
            self.seen += 1;
            if sent.last + after <= now {
                sent.last = now;
                return Some(Parcel {
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
    pub(crate) fn acknowledge(&mut self, id: u16) -> Option<Delivery> {
        let at = self.in_flight.iter().position(|sent| sent.id == id)?;
        let sent = self.in_flight.remove(at);
        if at < self.seen {
            self.seen -= 1;
        }
        release(&mut self.in_flight);
        sent.map(|sent| sent.delivery)
    }

    /// Gives up messages of QoS 0 that wait, as the connection's pace lets nothing through; says how many.
    pub(crate) fn discard_qos0(&mut self) -> usize {
        let before = self.live.len();
        self.live.retain(|delivery| delivery.qos > 0);
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
            self.in_flight.pop_front();
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
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::dev::broker::hub::message::Message;

    fn delivery(topic: &str, text: &str, qos: u8) -> Delivery {
        let message = Message {
            topic: topic.into(),
            payload: Bytes::copy_from_slice(text.as_bytes()),
            properties: Box::default(),
            qos,
            retain: false,
            expires: None,
            publisher: 0,
            at: SystemTime::UNIX_EPOCH,
        };
        Delivery {
            message: Arc::new(message),
            qos,
            retain: false,
            subscription_ids: None,
            sent_as: 0,
        }
    }

    fn sent(outbox: &mut Outbox, now: Instant) -> Vec<(String, u16)> {
        let mut sent = Vec::new();
        while let Next::Send(parcel) = outbox.next(now) {
            let payload = &parcel.delivery.message.payload;
            let mut text = String::from_utf8_lossy(payload).into_owned();
            if parcel.again {
                text.push_str(" again");
            }
            sent.push((text, parcel.id));
        }
        sent
    }

    #[track_caller]
    fn check(outbox: &mut Outbox, now: Instant, expected: &[(&str, u16)]) {
        let sent = sent(outbox, now);
        let sent: Vec<(&str, u16)> = sent.iter().map(|(text, id)| (&**text, *id)).collect();
        assert_eq!(sent, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_holds_messages_back() {
        let now = Instant::now();
        let mut outbox = Outbox::new(100, None, None);
        outbox.open(2);
        for n in 1..=4 {
            outbox.offer(delivery("t", &n.to_string(), 1));
        }
        check(&mut outbox, now, &[("1", 1), ("2", 2)]);
        assert!(outbox.acknowledge(7).is_none());
        assert!(outbox.acknowledge(2).is_some());
        check(&mut outbox, now, &[("3", 3)]);
        assert!(outbox.acknowledge(1).is_some());
        check(&mut outbox, now, &[("4", 4)]);
        assert_eq!(outbox.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_acknowledged_comes_again_first() {
        let now = Instant::now();
        let mut outbox = Outbox::new(100, None, None);
        outbox.open(2);
        for (text, qos) in [("1", 1), ("2", 1), ("3", 1), ("4", 0)] {
            outbox.offer(delivery("t", text, qos));
        }
        check(&mut outbox, now, &[("1", 1), ("2", 2)]);
        outbox.acknowledge(1);
        outbox.close();
        outbox.store(delivery("t", "5", 1));
        outbox.open(100);
        check(&mut outbox, now, &[("2", 1), ("3", 2), ("5", 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_acknowledged_keeps_its_identifier_where_that_is_asked_for() {
        let now = Instant::now();
        let mut outbox = Outbox::new(100, Some(1), None).keeping_ids(true);
        outbox.open(3);
        for n in 1..=4 {
            outbox.offer(delivery("t", &n.to_string(), 1));
        }
        check(&mut outbox, now, &[("1", 1), ("2", 2), ("3", 3)]);
        outbox.acknowledge(2);
        outbox.close();
        // Those of an earlier connection are not given to others that pass by, however many these are.
        outbox.open(100);
        check(&mut outbox, now, &[("1 again", 1)]);
        for _ in 0..65_533 {
            outbox.offer(delivery("other", "x", 1));
            let Next::Send(parcel) = outbox.next(now) else {
                panic!("it passes by");
            };
            assert!(parcel.id != 1 && parcel.id != 3 && !parcel.again);
            outbox.acknowledge(parcel.id);
        }
        let later = now + Duration::from_secs(1);
        check(&mut outbox, later, &[("3 again", 3)]);
        // What was never sent is no duplicate.
        let last = sent(&mut outbox, later + Duration::from_secs(1));
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].0, "4");
        assert!(outbox.acknowledge(last[0].1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn stored_messages_come_at_a_pace_and_others_do_not_wait() {
        let now = Instant::now();
        let mut outbox = Outbox::new(100, Some(2), None);
        for n in 1..=3 {
            outbox.store(delivery("stored", &n.to_string(), 1));
        }
        outbox.open(100);
        outbox.offer(delivery("other", "live", 1));
        outbox.offer(delivery("stored", "4", 1));
        check(&mut outbox, now, &[("1", 1), ("2", 2), ("live", 3)]);
        let Next::At(at) = outbox.next(now) else {
            panic!("it waits for the next second");
        };
        assert_eq!(at, now + Duration::from_secs(1));
        check(&mut outbox, at, &[("3", 4), ("4", 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_beyond_the_bound_is_dropped() {
        let mut outbox = Outbox::new(2, None, None);
        let offered = [1, 2, 3].map(|n| outbox.store(delivery("t", &n.to_string(), 1)));
        assert_eq!(offered, [Offer::Taken, Offer::Taken, Offer::Full]);
        outbox.open(10);
        check(&mut outbox, Instant::now(), &[("1", 1), ("2", 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn identifiers_in_flight_are_not_given_out_again() {
        let now = Instant::now();
        let mut outbox = Outbox::new(10, None, None);
        outbox.open(3);
        outbox.offer(delivery("t", "held", 1));
        outbox.offer(delivery("t", "held", 1));
        check(&mut outbox, now, &[("held", 1), ("held", 2)]);
        for _ in 0..65_533 {
            outbox.offer(delivery("t", "x", 1));
            let Next::Send(Parcel { id, .. }) = outbox.next(now) else {
                panic!("there is room");
            };
            outbox.acknowledge(id);
        }
        outbox.offer(delivery("t", "after the turn", 1));
        check(&mut outbox, now, &[("after the turn", 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_unacknowledged_is_sent_again() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        let mut outbox = Outbox::new(100, None, Some(seconds(30)));
        outbox.open(3);
        for n in 1..=4 {
            outbox.offer(delivery("t", &n.to_string(), 1));
        }
        check(&mut outbox, now, &[("1", 1), ("2", 2), ("3", 3)]);
        assert_eq!(outbox.due(), Some(now + seconds(30)));
        outbox.acknowledge(2);
        check(&mut outbox, now + seconds(10), &[("4", 4)]);
        // Each in its own time, with its identifier, however often.
        check(&mut outbox, now + seconds(29), &[]);
        let first = [("1 again", 1), ("3 again", 3)];
        check(&mut outbox, now + seconds(30), &first);
        assert_eq!(outbox.due(), Some(now + seconds(40)));
        check(&mut outbox, now + seconds(40), &[("4 again", 4)]);
        check(&mut outbox, now + seconds(60), &first);
        // An acknowledgement is one for all copies.
        for id in [1, 4] {
            assert!(outbox.acknowledge(id).is_some());
            assert!(outbox.acknowledge(id).is_none());
        }
        check(&mut outbox, now + seconds(95), &[("3 again", 3)]);
        outbox.acknowledge(3);
        assert_eq!(outbox.due(), None);
        check(&mut outbox, now + seconds(200), &[]);
    }

    #[tokio::test(start_paused = true)]
    async fn acknowledgements_while_messages_are_sent_again_pass_none_over() {
        let now = Instant::now();
        let mut outbox = Outbox::new(100, None, Some(Duration::from_secs(30)));
        outbox.open(100);
        for n in 1..=6 {
            outbox.offer(delivery("t", &n.to_string(), 1));
        }
        assert_eq!(sent(&mut outbox, now).len(), 6);
        let later = now + Duration::from_secs(30);
        let mut seen = Vec::new();
        while let Next::Send(parcel) = outbox.next(later) {
            assert!(parcel.again);
            seen.push(parcel.id);
            match parcel.id {
                // One behind and one ahead of it.
                2 => assert!(outbox.acknowledge(1).is_some() && outbox.acknowledge(4).is_some()),
                5 => assert!(outbox.acknowledge(5).is_some()),
                _ => {}
            }
        }
        assert_eq!(seen, [1, 2, 3, 5, 6]);
        assert_eq!(outbox.due(), Some(later + Duration::from_secs(30)));
    }

    proptest! {
        /// Whatever is sent and acknowledged: what is due is what has not been sent for so long, and nothing else.
        #[test]
        fn due_is_what_a_look_at_everything_finds(
            steps in prop::collection::vec((0..4u8, 0..9u64, any::<prop::sample::Index>()), 1..60),
        ) {
            const AFTER: Duration = Duration::from_secs(10);
            let mut now = Instant::now();
            let mut outbox = Outbox::new(100, None, Some(AFTER));
            outbox.open(20);
            let mut known: Vec<(u16, Instant)> = Vec::new();
            for (step, seconds, which) in steps {
                match step {
                    0 | 1 => {
                        outbox.offer(delivery("t", "x", 1));
                    }
                    2 if !known.is_empty() => {
                        let (id, _) = known.remove(which.index(known.len()));
                        prop_assert!(outbox.acknowledge(id).is_some());
                    }
                    _ => now += Duration::from_secs(seconds),
                }
                let mut due: Vec<u16> = known
                    .iter()
                    .filter(|(_, last)| *last + AFTER <= now)
                    .map(|(id, _)| *id)
                    .collect();
                due.sort_unstable();
                let mut again = Vec::new();
                while let Next::Send(parcel) = outbox.next(now) {
                    if parcel.again {
                        again.push(parcel.id);
                        known.retain(|(id, _)| *id != parcel.id);
                    }
                    known.push((parcel.id, now));
                }
                again.sort_unstable();
                prop_assert_eq!(again, due);
                let next = known.iter().map(|(_, last)| *last + AFTER).min();
                // It may be too early, as an acknowledgement does not make it later.
                prop_assert_eq!(outbox.due().is_some(), next.is_some());
                prop_assert!(outbox.due() <= next);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_in_flight_for_ever() {
        let now = Instant::now();
        let mut outbox = Outbox::new(10, None, None);
        outbox.open(1);
        outbox.offer(delivery("t", "1", 1));
        outbox.offer(delivery("t", "2", 1));
        check(&mut outbox, now, &[("1", 1)]);
        assert_eq!(outbox.oldest(), Some(now));
        assert_eq!(outbox.give_up(now - Duration::from_secs(1)), 0);
        assert_eq!(outbox.give_up(now), 1);
        check(&mut outbox, now, &[("2", 2)]);
    }
}
