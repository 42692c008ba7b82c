//! Outgoing queue of one client, with a given time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::dev::broker::hub::holdings::MessageWeight;
use crate::dev::broker::hub::message::PublishedMessage;

fn delivery(topic: &str, text: &str, qos: u8) -> SubscriberDelivery {
    let message = PublishedMessage {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        properties: Box::default(),
        qos,
        retain: false,
        expires: None,
        publisher: 0,
        at: SystemTime::UNIX_EPOCH,
        weight: MessageWeight::default(),
    };
    SubscriberDelivery {
        message: Arc::new(message),
        qos,
        retain: false,
        subscription_ids: None,
        sent_as: 0,
        group: None,
    }
}

fn sent(outbox: &mut OutgoingQueue, now: Instant) -> Vec<(String, u16)> {
    let mut sent = Vec::new();
    while let NextOutgoing::Send(parcel) = outbox.next(now) {
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
fn check(outbox: &mut OutgoingQueue, now: Instant, expected: &[(&str, u16)]) {
    let sent = sent(outbox, now);
    let sent: Vec<(&str, u16)> = sent.iter().map(|(text, id)| (&**text, *id)).collect();
    assert_eq!(sent, expected);
}

#[tokio::test(start_paused = true)]
async fn the_window_holds_messages_back() {
    let now = Instant::now();
    let mut outbox = OutgoingQueue::new(100, None, None);
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
    let mut outbox = OutgoingQueue::new(100, None, None);
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
    let mut outbox = OutgoingQueue::new(100, Some(1), None).keeping_ids(true);
    outbox.open(3);
    for n in 1..=4 {
        outbox.offer(delivery("t", &n.to_string(), 1));
    }
    check(&mut outbox, now, &[("1", 1), ("2", 2), ("3", 3)]);
    outbox.acknowledge(2);
    outbox.close();
    // Identifiers of an earlier connection are not assigned to other messages, however many there
    // are.
    outbox.open(100);
    check(&mut outbox, now, &[("1 again", 1)]);
    for _ in 0..65_533 {
        outbox.offer(delivery("other", "x", 1));
        let NextOutgoing::Send(parcel) = outbox.next(now) else {
            panic!("it passes by");
        };
        assert!(parcel.id != 1 && parcel.id != 3 && !parcel.again);
        outbox.acknowledge(parcel.id);
    }
    let later = now + Duration::from_secs(1);
    check(&mut outbox, later, &[("3 again", 3)]);
    // A message that was never sent is no duplicate.
    let last = sent(&mut outbox, later + Duration::from_secs(1));
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].0, "4");
    assert!(outbox.acknowledge(last[0].1).is_some());
}

#[tokio::test(start_paused = true)]
async fn stored_messages_come_at_a_pace_and_others_do_not_wait() {
    let now = Instant::now();
    let mut outbox = OutgoingQueue::new(100, Some(2), None);
    for n in 1..=3 {
        outbox.store(delivery("stored", &n.to_string(), 1));
    }
    outbox.open(100);
    outbox.offer(delivery("other", "live", 1));
    outbox.offer(delivery("stored", "4", 1));
    check(&mut outbox, now, &[("1", 1), ("2", 2), ("live", 3)]);
    let NextOutgoing::At(at) = outbox.next(now) else {
        panic!("it waits for the next second");
    };
    assert_eq!(at, now + Duration::from_secs(1));
    check(&mut outbox, at, &[("3", 4), ("4", 5)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_bound_is_dropped() {
    let mut outbox = OutgoingQueue::new(2, None, None);
    let offered = [1, 2, 3].map(|n| outbox.store(delivery("t", &n.to_string(), 1)));
    assert_eq!(
        offered,
        [
            EnqueueResult::Taken,
            EnqueueResult::Taken,
            EnqueueResult::Full("queued-per-session")
        ]
    );
    outbox.open(10);
    check(&mut outbox, Instant::now(), &[("1", 1), ("2", 2)]);
}

#[tokio::test(start_paused = true)]
async fn identifiers_in_flight_are_not_given_out_again() {
    let now = Instant::now();
    let mut outbox = OutgoingQueue::new(10, None, None);
    outbox.open(3);
    outbox.offer(delivery("t", "held", 1));
    outbox.offer(delivery("t", "held", 1));
    check(&mut outbox, now, &[("held", 1), ("held", 2)]);
    for _ in 0..65_533 {
        outbox.offer(delivery("t", "x", 1));
        let NextOutgoing::Send(OutgoingPublish { id, .. }) = outbox.next(now) else {
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
    let mut outbox = OutgoingQueue::new(100, None, Some(seconds(30)));
    outbox.open(3);
    for n in 1..=4 {
        outbox.offer(delivery("t", &n.to_string(), 1));
    }
    check(&mut outbox, now, &[("1", 1), ("2", 2), ("3", 3)]);
    assert_eq!(outbox.due(), Some(now + seconds(30)));
    outbox.acknowledge(2);
    check(&mut outbox, now + seconds(10), &[("4", 4)]);
    // Each message is due at its own time, with its identifier, any number of times.
    check(&mut outbox, now + seconds(29), &[]);
    let first = [("1 again", 1), ("3 again", 3)];
    check(&mut outbox, now + seconds(30), &first);
    assert_eq!(outbox.due(), Some(now + seconds(40)));
    check(&mut outbox, now + seconds(40), &[("4 again", 4)]);
    check(&mut outbox, now + seconds(60), &first);
    // One acknowledgement counts for all copies.
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
    let mut outbox = OutgoingQueue::new(100, None, Some(Duration::from_secs(30)));
    outbox.open(100);
    for n in 1..=6 {
        outbox.offer(delivery("t", &n.to_string(), 1));
    }
    assert_eq!(sent(&mut outbox, now).len(), 6);
    let later = now + Duration::from_secs(30);
    let mut seen = Vec::new();
    while let NextOutgoing::Send(parcel) = outbox.next(later) {
        assert!(parcel.again);
        seen.push(parcel.id);
        match parcel.id {
            // One acknowledged message was sent before it, the other one after it.
            2 => assert!(outbox.acknowledge(1).is_some() && outbox.acknowledge(4).is_some()),
            5 => assert!(outbox.acknowledge(5).is_some()),
            _ => {}
        }
    }
    assert_eq!(seen, [1, 2, 3, 5, 6]);
    assert_eq!(outbox.due(), Some(later + Duration::from_secs(30)));
}

proptest! {
    /// Under any order of sends and acknowledgements, exactly those messages are due that were not
    /// sent for the given time.
    #[test]
    fn due_is_what_a_look_at_everything_finds(
        steps in prop::collection::vec((0..4u8, 0..9u64, any::<prop::sample::Index>()), 1..60),
    ) {
        const AFTER: Duration = Duration::from_secs(10);
        let mut now = Instant::now();
        let mut outbox = OutgoingQueue::new(100, None, Some(AFTER));
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
            while let NextOutgoing::Send(parcel) = outbox.next(now) {
                if parcel.again {
                    again.push(parcel.id);
                    known.retain(|(id, _)| *id != parcel.id);
                }
                known.push((parcel.id, now));
            }
            again.sort_unstable();
            prop_assert_eq!(again, due);
            let next = known.iter().map(|(_, last)| *last + AFTER).min();
            // The time may be too early, since an acknowledgement does not move it.
            prop_assert_eq!(outbox.due().is_some(), next.is_some());
            prop_assert!(outbox.due() <= next);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_flight_for_ever() {
    let now = Instant::now();
    let mut outbox = OutgoingQueue::new(10, None, None);
    outbox.open(1);
    outbox.offer(delivery("t", "1", 1));
    outbox.offer(delivery("t", "2", 1));
    check(&mut outbox, now, &[("1", 1)]);
    assert_eq!(outbox.oldest(), Some(now));
    assert_eq!(outbox.give_up(now - Duration::from_secs(1)), 0);
    assert_eq!(outbox.give_up(now), 1);
    check(&mut outbox, now, &[("2", 2)]);
}

/// Counts the bytes of all messages again.
fn counted(outbox: &OutgoingQueue) -> usize {
    let waiting = outbox
        .live
        .iter()
        .chain(&outbox.stored)
        .map(SubscriberDelivery::bytes);
    let in_flight = outbox.in_flight.iter().map(|sent| sent.delivery.bytes());
    waiting.chain(in_flight).sum()
}

proptest! {
    /// Under any operations, the byte count equals the sum of the messages that are held.
    #[test]
    fn bytes_are_those_of_what_is_there(
        steps in prop::collection::vec((0..9u8, 0..40usize, any::<prop::sample::Index>()), 1..80),
    ) {
        let holdings = Arc::new(QueuedBytes::new(usize::MAX));
        let mut now = Instant::now();
        let mut outbox = OutgoingQueue::new(40, Some(3), Some(Duration::from_secs(7)))
            .within(usize::MAX, &holdings);
        outbox.open(5);
        let mut ids = Vec::new();
        for (step, size, which) in steps {
            let text = "x".repeat(size * 300);
            match step {
                0 | 1 => drop(outbox.offer(delivery("t", &text, 1))),
                2 => drop(outbox.offer(delivery("other", &text, 0))),
                3 => drop(outbox.store(delivery("t", &text, 1))),
                4 if !ids.is_empty() => {
                    let id = ids.swap_remove(which.index(ids.len()));
                    outbox.acknowledge(id);
                }
                5 => drop(outbox.discard_qos0()),
                6 => drop(outbox.give_up(now - Duration::from_secs(3))),
                7 => {
                    outbox.close();
                    outbox.open(5);
                    ids.clear();
                }
                _ => now += Duration::from_millis(size as u64 * 50),
            }
            if step % 2 == 0 {
                while let NextOutgoing::Send(parcel) = outbox.next(now) {
                    if parcel.id > 0 && !parcel.again {
                        ids.push(parcel.id);
                    }
                }
            }
            prop_assert_eq!(outbox.bytes, counted(&outbox));
            prop_assert!(outbox.len() > 0 || outbox.held.is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded() {
    let text = "x".repeat(10_000);
    let limit = |outbox: &mut OutgoingQueue| {
        (0..100).find_map(|n| match outbox.store(delivery("t", &text, 1)) {
            EnqueueResult::Taken => None,
            EnqueueResult::Full(limit) => Some((n, limit)),
        })
    };
    let holdings = Arc::new(QueuedBytes::new(300_000));
    let mut one = OutgoingQueue::new(1_000, None, None).within(100_000, &holdings);
    assert_eq!(limit(&mut one), Some((9, "queued-bytes-per-session")));
    // Bytes of one queue leave less for the other, until they are released.
    let mut other = OutgoingQueue::new(1_000, None, None).within(usize::MAX, &holdings);
    let (while_one_is_there, by) = limit(&mut other).unwrap();
    assert_eq!(by, "queued-bytes");
    drop((one, other));
    let mut other = OutgoingQueue::new(1_000, None, None).within(usize::MAX, &holdings);
    let (alone, by) = limit(&mut other).unwrap();
    assert_eq!(by, "queued-bytes");
    assert!(alone > while_one_is_there, "{alone} {while_one_is_there}");
    // One message always has room.
    let mut narrow =
        OutgoingQueue::new(1_000, None, None).within(10, &Arc::new(QueuedBytes::new(usize::MAX)));
    assert_eq!(
        narrow.store(delivery("t", &"x".repeat(100_000), 1)),
        EnqueueResult::Taken
    );
}
