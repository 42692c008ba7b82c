//! The store as SQS's documentation has it, example by example, and against a slow obvious model.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::deduplication::DeduplicationScope;
use super::message::{MessageContent, ReceivedMessage};
use super::redrive::RedrivePolicy;
use super::settings::QueueSettings;
use super::store::{QueueCounts, QueueStore, ReceiptFault};

const SECOND: Duration = Duration::from_secs(1);

fn settings(fifo: bool) -> QueueSettings {
    QueueSettings {
        visibility: Duration::from_secs(30),
        retention: Duration::from_secs(3_600),
        fifo,
        ..QueueSettings::default()
    }
}

fn store(fifo: bool) -> QueueStore {
    QueueStore::new(settings(fifo), Arc::default())
}

fn redrive(max_receive_count: u32) -> QueueSettings {
    QueueSettings {
        redrive: Some(RedrivePolicy {
            target: "arn:aws:sqs:us-east-1:000000000000:dead".into(),
            max_receive_count,
        }),
        ..settings(false)
    }
}

fn content(body: &str, group: Option<&str>) -> MessageContent {
    MessageContent {
        id: body.into(),
        body: body.into(),
        body_md5: "".into(),
        attributes: Arc::default(),
        trace_header: None,
        group: group.map(Into::into),
        deduplication: group.map(|_| body.into()),
        sent: 0,
        moved_from: None,
    }
}

/// Bodies and receipts of one receive.
fn receive(store: &mut QueueStore, most: usize, now: Instant) -> Vec<(String, String)> {
    let received = store.receive(most, None, true, 0, now);
    assert!(received.moved.is_empty());
    let both = |handed: ReceivedMessage| (handed.content.body.to_string(), handed.receipt);
    received.handed.into_iter().map(both).collect()
}

fn bodies(received: &[(String, String)]) -> Vec<&str> {
    received.iter().map(|(body, _)| body.as_str()).collect()
}

#[test]
fn a_lease_hides_and_ends() {
    let mut store = store(false);
    let now = Instant::now();
    store.send(content("a", None), None, now);
    let first = receive(&mut store, 10, now);
    assert_eq!(bodies(&first), ["a"]);
    assert!(receive(&mut store, 10, now + 29 * SECOND).is_empty());
    let again = receive(&mut store, 10, now + 30 * SECOND);
    assert_eq!(bodies(&again), ["a"]);
    assert_ne!(first[0].1, again[0].1);
    let now = now + 31 * SECOND;
    // Deleting with the first receipt handle is no error and does nothing.
    assert_eq!(store.delete(&first[0].1, now), Ok(false));
    assert_eq!(
        store.counts(now),
        QueueCounts {
            in_flight: 1,
            ..QueueCounts::default()
        }
    );
    assert_eq!(store.delete(&again[0].1, now), Ok(true));
    assert_eq!(store.delete(&again[0].1, now), Ok(false));
    assert_eq!(store.counts(now), QueueCounts::default());
    assert_eq!(store.delete("nonsense", now), Err(ReceiptFault::Invalid));
}

/// On a standard queue each receipt handle of a message changes its visibility, also one whose
/// visibility timeout has ended.
#[test]
fn old_receipt_handles_change_visibility() {
    let mut store = store(false);
    let now = Instant::now();
    store.send(content("a", None), None, now);
    let first = receive(&mut store, 1, now);
    // The visibility timeout ends; the message is hidden again without a receive.
    let now = now + 40 * SECOND;
    assert_eq!(store.counts(now).visible, 1);
    store
        .change_visibility(&first[0].1, 10 * SECOND, now)
        .unwrap();
    assert_eq!(store.counts(now).in_flight, 1);
    assert!(receive(&mut store, 1, now + 9 * SECOND).is_empty());
    let second = receive(&mut store, 1, now + 10 * SECOND);
    assert_eq!(bodies(&second), ["a"]);
    // The handle before the latest makes it visible, and extends it.
    let now = now + 11 * SECOND;
    store
        .change_visibility(&first[0].1, Duration::ZERO, now)
        .unwrap();
    let third = receive(&mut store, 1, now);
    store
        .change_visibility(&second[0].1, 60 * SECOND, now)
        .unwrap();
    assert!(receive(&mut store, 1, now + 59 * SECOND).is_empty());
    assert_eq!(store.delete(&third[0].1, now + 70 * SECOND), Ok(true));
    let gone = store.change_visibility(&third[0].1, SECOND, now + 70 * SECOND);
    assert_eq!(gone, Err(ReceiptFault::Unavailable));
}

#[test]
fn what_is_redelivered_comes_first() {
    let mut store = store(false);
    let now = Instant::now();
    for body in ["a", "b", "c"] {
        store.send(content(body, None), None, now);
    }
    let received = receive(&mut store, 2, now);
    store
        .change_visibility(&received[1].1, Duration::ZERO, now)
        .unwrap();
    store.send(content("d", None), None, now);
    store
        .change_visibility(&received[0].1, Duration::ZERO, now)
        .unwrap();
    assert_eq!(bodies(&receive(&mut store, 10, now)), ["a", "b", "c", "d"]);
}

#[test]
fn receipt_handles_belong_to_one_queue() {
    let (mut one, mut other) = (store(false), store(false));
    let now = Instant::now();
    for store in [&mut one, &mut other] {
        store.send(content("a", None), None, now);
    }
    let (a, b) = (receive(&mut one, 1, now), receive(&mut other, 1, now));
    assert_ne!(a[0].1, b[0].1);
    assert_eq!(one.delete(&b[0].1, now), Err(ReceiptFault::Invalid));
    let changed = other.change_visibility(&a[0].1, SECOND, now);
    assert_eq!(changed, Err(ReceiptFault::Invalid));
    // After a purge they are still its own, of a message that is gone.
    one.purge();
    assert_eq!(one.delete(&a[0].1, now), Ok(false));
    // A queue that takes its place knows none of them.
    assert_eq!(
        store(false).delete(&a[0].1, now),
        Err(ReceiptFault::Invalid)
    );
}

#[test]
fn a_message_is_hidden_for_twelve_hours_at_most() {
    let mut store = store(false);
    let now = Instant::now();
    store.send(content("a", None), None, now);
    let received = store.receive(1, Some(43_200 * SECOND), false, 0, now);
    let receipt = &received.handed[0].receipt;
    let change = |store: &mut QueueStore, seconds: u32, at| {
        store.change_visibility(receipt, seconds * SECOND, at)
    };
    assert_eq!(change(&mut store, 43_200, now), Ok(()));
    let later = now + SECOND;
    assert_eq!(
        change(&mut store, 43_200, later),
        Err(ReceiptFault::TooLong)
    );
    assert_eq!(change(&mut store, 43_199, later), Ok(()));
}

#[test]
fn visibility_is_counted_from_its_change() {
    let mut store = store(false);
    let now = Instant::now();
    store.send(content("a", None), None, now);
    let taken = receive(&mut store, 1, now);
    let half = now + Duration::from_secs(20);
    store
        .change_visibility(&taken[0].1, Duration::from_secs(30), half)
        .unwrap();
    assert!(receive(&mut store, 1, now + Duration::from_secs(49)).is_empty());
    assert_eq!(
        receive(&mut store, 1, now + Duration::from_secs(50)).len(),
        1
    );
}

#[test]
fn what_was_received_too_often_is_moved() {
    let mut store = QueueStore::new(redrive(2), Arc::default());
    let mut now = Instant::now();
    let begin = now;
    store.send(content("a", None), None, now);
    for _ in 0..2 {
        assert_eq!(receive(&mut store, 1, now).len(), 1);
        now += 30 * SECOND;
    }
    // Without a dead-letter queue it stays.
    let received = store.receive(1, Some(SECOND), false, 0, now);
    assert_eq!((received.handed.len(), received.moved.len()), (1, 0));
    now += SECOND;
    let received = store.receive(1, None, true, 0, now);
    assert_eq!((received.handed.len(), received.moved.len()), (0, 1));
    assert_eq!(store.counts(now), QueueCounts::default());
    let moved = received.moved.into_iter().next().unwrap();
    assert_eq!((moved.receives, moved.enqueued), (3, begin));

    // The receive count goes on; the next queue's own limit begins anew.
    let mut dead = QueueStore::new(redrive(1), Arc::default());
    dead.take_moved(moved.clone(), now);
    let received = dead.receive(1, None, true, 0, now);
    assert_eq!(received.handed[0].receives, 4);
    let received = dead.receive(1, None, true, 0, now + 30 * SECOND);
    assert_eq!((received.handed.len(), received.moved.len()), (0, 1));
    // Retention counts from the first queue, in a FIFO queue from now.
    let until = begin + 3_600 * SECOND;
    for (fifo, left) in [(false, 0), (true, 1)] {
        let mut dead = self::store(fifo);
        dead.take_moved(moved.clone(), now);
        assert_eq!(dead.counts(until).visible, left, "{fifo}");
        assert_eq!(dead.counts(now + 3_600 * SECOND), QueueCounts::default());
    }
}

#[test]
fn delays_and_retention() {
    let mut store = store(false);
    let now = Instant::now();
    store.send(content("late", None), Some(Duration::from_secs(5)), now);
    assert!(receive(&mut store, 1, now).is_empty());
    assert_eq!(store.next_timer(), Some(now + Duration::from_secs(5)));
    assert_eq!(store.counts(now + Duration::from_secs(5)).visible, 1);
    assert_eq!(
        store.counts(now + Duration::from_secs(3_600)),
        QueueCounts::default()
    );
}

#[test]
fn within_a_group_nothing_overtakes() {
    let mut store = store(true);
    let now = Instant::now();
    for n in 0..7 {
        let group = ["even", "odd"][n % 2];
        store.send(content(&n.to_string(), Some(group)), None, now);
    }
    let first = receive(&mut store, 2, now);
    assert_eq!(bodies(&first), ["0", "2"]);
    // The rest of that group waits, the other group does not.
    assert_eq!(bodies(&receive(&mut store, 10, now)), ["1", "3", "5"]);
    assert!(receive(&mut store, 10, now).is_empty());
    // One of two in flight still holds back what comes after it.
    store.delete(&first[0].1, now).unwrap();
    assert!(receive(&mut store, 10, now).is_empty());
    store
        .change_visibility(&first[1].1, Duration::ZERO, now)
        .unwrap();
    assert_eq!(bodies(&receive(&mut store, 10, now)), ["2", "4", "6"]);
    // After the time-out the order is the same again.
    let later = now + 30 * SECOND;
    let all = [receive(&mut store, 10, later), Vec::new()].concat();
    let rest = bodies(&all);
    assert!(
        rest == ["1", "3", "5", "2", "4", "6"] || rest == ["2", "4", "6", "1", "3", "5"],
        "{rest:?}"
    );
    // A receipt handle whose visibility timeout has ended neither deletes nor changes anything.
    assert_eq!(store.delete(&first[1].1, later), Err(ReceiptFault::Expired));
    let changed = store.change_visibility(&first[1].1, SECOND, later);
    assert_eq!(changed, Err(ReceiptFault::Unavailable));
}

/// A message that is visible again is handed out while later ones of its group are in flight, up to
/// the first one that is hidden.
#[test]
fn groups_are_available_up_to_the_first_hidden_message() {
    for (extended, expected) in [(0, vec![]), (1, vec!["a"]), (2, vec!["a", "b"])] {
        let mut store = store(true);
        let now = Instant::now();
        for body in ["a", "b", "c"] {
            store.send(content(body, Some("g")), None, now);
        }
        let received = receive(&mut store, 10, now);
        store
            .change_visibility(&received[extended].1, 60 * SECOND, now)
            .unwrap();
        let again = receive(&mut store, 10, now + 30 * SECOND);
        assert_eq!(bodies(&again), expected, "{extended}");
    }
    let mut store = store(true);
    let now = Instant::now();
    for (body, group) in [("a", "g"), ("b", "g"), ("x", "h"), ("c", "g")] {
        store.send(content(body, Some(group)), None, now);
    }
    let received = receive(&mut store, 2, now);
    store
        .change_visibility(&received[0].1, Duration::ZERO, now)
        .unwrap();
    let again = receive(&mut store, 10, now);
    assert_eq!(bodies(&again), ["x", "a"]);
    // With the first one gone the second is next, and holds back the third.
    store.delete(&again[1].1, now).unwrap();
    assert!(receive(&mut store, 10, now).is_empty());
    store.delete(&received[1].1, now).unwrap();
    assert_eq!(bodies(&receive(&mut store, 10, now)), ["c"]);
}

/// Messages hidden by a delay are not overtaken, also when the delay changes meanwhile.
#[test]
fn delays_of_fifo_queues_keep_the_order_and_change_for_all() {
    let delayed = |seconds: u32| QueueSettings {
        delay: seconds * SECOND,
        ..settings(true)
    };
    let mut store = QueueStore::new(delayed(60), Arc::default());
    let now = Instant::now();
    store.send(content("a", Some("g")), None, now);
    store.set(delayed(0), now + SECOND);
    store.send(content("b", Some("g")), None, now + SECOND);
    assert_eq!(bodies(&receive(&mut store, 10, now + SECOND)), ["a", "b"]);

    let mut store = QueueStore::new(delayed(10), Arc::default());
    store.send(content("a", Some("g")), None, now);
    store.set(delayed(100), now);
    assert!(receive(&mut store, 10, now + 99 * SECOND).is_empty());
    assert_eq!(receive(&mut store, 10, now + 100 * SECOND).len(), 1);
}

#[test]
fn duplicates_are_known_for_five_minutes() {
    let mut store = store(true);
    let now = Instant::now();
    let (first, number) = store.send(content("a", Some("g")), None, now);
    assert_eq!(
        store.send(content("a", Some("h")), None, now),
        (first, number)
    );
    assert_eq!(store.counts(now).visible, 1);
    let later = now + 300 * SECOND;
    assert_ne!(store.send(content("a", Some("g")), None, later).1, number);
    // A purge forgets them.
    store.purge();
    let (_, again) = store.send(content("a", Some("g")), None, later);
    assert_eq!(store.counts(later).visible, 1);
    assert!(again > number);
}

#[test]
fn the_scope_of_duplicates_may_be_a_group() {
    let scoped = |scope| QueueSettings {
        scope,
        ..settings(true)
    };
    let mut store = QueueStore::new(scoped(DeduplicationScope::MessageGroup), Arc::default());
    let now = Instant::now();
    let send =
        |store: &mut QueueStore, group: &str, at| store.send(content("a", Some(group)), None, at).1;
    let number = send(&mut store, "g", now);
    assert_eq!(send(&mut store, "g", now), number);
    let other = send(&mut store, "h", now);
    assert_ne!(other, number);
    // Another scope is in force a minute later.
    store.set(scoped(DeduplicationScope::Queue), now);
    let third = send(&mut store, "i", now + 59 * SECOND);
    assert_ne!(third, other);
    let latest = send(&mut store, "j", now + 60 * SECOND);
    assert_eq!(send(&mut store, "k", now + 60 * SECOND), latest);
}

/// All queues together know what they hold, whichever way it leaves.
#[test]
fn what_is_held_is_counted() {
    let held = Arc::default();
    let now = Instant::now();
    let mut store = QueueStore::new(settings(true), Arc::clone(&held));
    for n in 0..10 {
        store.send(content(&n.to_string(), Some("g")), None, now);
    }
    let received = receive(&mut store, 3, now);
    for (_, receipt) in &received {
        store.delete(receipt, now).unwrap();
    }
    assert_eq!(held.counted().0, 7);
    store.advance(now + 3_600 * SECOND);
    assert_eq!(held.counted(), (0, 0));
    store.send(content("purged", Some("g")), None, now + 3_600 * SECOND);
    store.purge();
    assert_eq!(held.counted(), (0, 0));
    store.send(content("dropped", Some("g")), None, now + 3_600 * SECOND);
    assert_eq!(held.counted().0, 1);
    drop(store);
    assert_eq!(held.counted(), (0, 0));
}

/// Random steps: no message of a group is handed out while an earlier one is in flight or waits,
/// nothing that was deleted comes back, and nothing is lost.
#[test]
fn random_steps_keep_the_promises() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let fifo = random.bool();
        let mut store = store(fifo);
        let mut now = Instant::now();
        let mut sent: Vec<usize> = Vec::new();
        let mut deleted: Vec<usize> = Vec::new();
        // Body, group, receipt and the end of its visibility timeout.
        let mut held: Vec<(usize, usize, String, Instant)> = Vec::new();
        for step in 0..200 {
            held.retain(|(.., until)| *until > now);
            match random.u8(0..6) {
                0 | 1 => {
                    let group = (step % 3).to_string();
                    store.send(content(&step.to_string(), Some(&group)), None, now);
                    sent.push(step);
                }
                2 => {
                    let hidden: Vec<usize> = held.iter().map(|(body, ..)| *body).collect();
                    for (body, receipt) in receive(&mut store, random.usize(1..=10), now) {
                        let body: usize = body.parse().unwrap();
                        let group = body % 3;
                        assert!(!deleted.contains(&body), "seed {seed}");
                        if fifo {
                            let is_earlier = |one: &&usize| **one % 3 == group && **one < body;
                            assert!(
                                !hidden.iter().any(|one| is_earlier(&one)),
                                "seed {seed}: {body} came before a hidden one"
                            );
                            let waiting = sent.iter().filter(is_earlier).filter(|one| {
                                !deleted.contains(one)
                                    && !held.iter().any(|(held, ..)| held == *one)
                            });
                            assert_eq!(waiting.count(), 0, "seed {seed}: {body} overtook");
                        }
                        held.push((body, group, receipt, now + Duration::from_secs(30)));
                    }
                }
                3 if !held.is_empty() => {
                    let (body, _, receipt, _) = held.swap_remove(random.usize(..held.len()));
                    store.delete(&receipt, now).unwrap();
                    deleted.push(body);
                }
                4 if !held.is_empty() => {
                    let (_, _, receipt, _) = held.swap_remove(random.usize(..held.len()));
                    store
                        .change_visibility(&receipt, Duration::ZERO, now)
                        .unwrap();
                }
                _ => now += Duration::from_secs(random.u64(0..20)),
            }
        }
        let counts = store.counts(now);
        held.retain(|(.., until)| *until > now);
        assert_eq!(counts.in_flight, held.len(), "seed {seed}");
        assert_eq!(
            counts.visible + counts.in_flight,
            sent.len() - deleted.len(),
            "seed {seed}"
        );
        // All the rest comes, in time.
        now += Duration::from_secs(30);
        let mut rest = 0;
        loop {
            let received = receive(&mut store, 10, now);
            if received.is_empty() {
                break;
            }
            rest += received.len();
            for (_, receipt) in received {
                store.delete(&receipt, now).unwrap();
            }
        }
        assert_eq!(rest, sent.len() - deleted.len(), "seed {seed}");
    }
}
