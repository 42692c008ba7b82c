//! The store as SQS's documentation has it, example by example, and against a slow obvious model.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::store::{Content, Counts, Settings, Stale, Store};

fn store(fifo: bool) -> Store {
    Store::new(Settings {
        visibility: Duration::from_secs(30),
        delay: Duration::ZERO,
        retention: Duration::from_secs(3_600),
        redrive: None,
        fifo,
    })
}

fn content(body: &str, group: Option<&str>) -> Content {
    Content {
        id: body.into(),
        body: body.into(),
        body_md5: "".into(),
        attributes: Arc::default(),
        trace_header: None,
        group: group.map(Into::into),
        deduplication: group.map(|_| body.into()),
        sent: 0,
    }
}

/// Bodies and receipts of one receive.
fn receive(store: &mut Store, most: usize, now: Instant) -> Vec<(String, String)> {
    let (handed, dead) = store.receive(most, None, 0, now);
    assert!(dead.is_empty());
    let both = |handed: super::store::Handed| (handed.content.body.to_string(), handed.receipt);
    handed.into_iter().map(both).collect()
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
    let later = now + Duration::from_secs(29);
    assert!(receive(&mut store, 10, later).is_empty());
    let again = receive(&mut store, 10, now + Duration::from_secs(30));
    assert_eq!(bodies(&again), ["a"]);
    let now = now + Duration::from_secs(31);
    // The first receipt is stale; deleting with it is no error and does nothing.
    assert_eq!(store.delete(&first[0].1, now), Ok(()));
    assert_eq!(
        store.change_visibility(&first[0].1, Duration::ZERO, now),
        Err(Stale::Ended)
    );
    assert_eq!(
        store.counts(now),
        Counts {
            in_flight: 1,
            ..Counts::default()
        }
    );
    assert_eq!(store.delete(&again[0].1, now), Ok(()));
    assert_eq!(store.counts(now), Counts::default());
    assert_eq!(store.delete("nonsense", now), Err(Stale::Invalid));
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
fn what_was_handed_out_too_often_is_dead() {
    let mut store = store(false);
    store.settings.redrive = Some((2, "arn".into()));
    let mut now = Instant::now();
    store.send(content("a", None), None, now);
    for _ in 0..2 {
        assert_eq!(receive(&mut store, 1, now).len(), 1);
        now += Duration::from_secs(30);
    }
    let (handed, dead) = store.receive(1, None, 0, now);
    assert_eq!((handed.len(), dead.len()), (0, 1));
    assert_eq!(store.counts(now), Counts::default());
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
        Counts::default()
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
    // The group is locked, the other is not.
    assert_eq!(bodies(&receive(&mut store, 10, now)), ["1", "3", "5"]);
    assert!(receive(&mut store, 10, now).is_empty());
    // One of two in flight still locks it.
    store.delete(&first[0].1, now).unwrap();
    assert!(receive(&mut store, 10, now).is_empty());
    store
        .change_visibility(&first[1].1, Duration::ZERO, now)
        .unwrap();
    assert_eq!(bodies(&receive(&mut store, 10, now)), ["2", "4", "6"]);
    // After the time-out the order is the same again.
    let later = now + Duration::from_secs(30);
    let all = [receive(&mut store, 10, later), Vec::new()].concat();
    let rest = bodies(&all);
    assert!(
        rest == ["1", "3", "5", "2", "4", "6"] || rest == ["2", "4", "6", "1", "3", "5"],
        "{rest:?}"
    );
    // An ended lease does not delete.
    assert_eq!(store.delete(&first[1].1, later), Err(Stale::Ended));
}

#[test]
fn duplicates_are_known_for_five_minutes() {
    let mut store = store(true);
    let now = Instant::now();
    let (first, number) = store.send(content("a", Some("g")), None, now);
    assert_eq!(
        store.send(content("a", Some("g")), None, now),
        (first, number)
    );
    assert_eq!(store.counts(now).visible, 1);
    let later = now + Duration::from_secs(300);
    assert_ne!(store.send(content("a", Some("g")), None, later).1, number);
}

/// Random steps: every message of a group is handed out in order and only when no earlier receive's are in flight, nothing that
/// was deleted comes back, and nothing is lost.
#[test]
fn random_steps_keep_the_promises() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let fifo = random.bool();
        let mut store = store(fifo);
        let mut now = Instant::now();
        let mut sent: Vec<usize> = Vec::new();
        let mut deleted: Vec<usize> = Vec::new();
        // Body, group, receipt and the end of its lease.
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
                    let locked: Vec<usize> = held.iter().map(|(_, group, ..)| *group).collect();
                    for (body, receipt) in receive(&mut store, random.usize(1..=10), now) {
                        let body: usize = body.parse().unwrap();
                        let group = body % 3;
                        assert!(!deleted.contains(&body), "seed {seed}");
                        if fifo {
                            assert!(
                                !locked.contains(&group),
                                "seed {seed}: the group was locked"
                            );
                            let earlier =
                                sent.iter().filter(|one| **one % 3 == group && **one < body);
                            let waiting = earlier.filter(|one| {
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
