//! The contract of every queue with the daemon, tried on any of them (the texts of `port::Queue`
//! say it in words).

use std::time::Duration;

use bytes::Bytes;
use eventcast::port::{DeadLetter, Delivery, Queue, Receipt};
use tokio::time::{Instant, sleep, sleep_until};

/// Longest delay of a message beyond its promised time: a queue looks now and then.
const GRACE: Duration = Duration::from_secs(2);

/// One receive that waits for something for as long as it may take.
async fn next<Q: Queue>(queue: &Q, max: usize) -> Vec<Delivery> {
    queue.receive(max, Duration::from_secs(5)).await.unwrap()
}

async fn none<Q: Queue>(queue: &Q) {
    let more = queue.receive(10, Duration::ZERO).await.unwrap();
    assert!(more.is_empty(), "nothing is visible: {more:?}");
}

fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.body).unwrap()
}

/// Takes out whatever a part of the suite has left.
async fn delete_all<Q: Queue>(queue: &Q, deliveries: Vec<Delivery>) {
    let receipts: Vec<Receipt> = deliveries.into_iter().map(|one| one.receipt).collect();
    for outcome in queue.delete(&receipts).await {
        outcome.unwrap();
    }
}

/// The whole contract. `send` puts a body into the queue, into a message group where one is named;
/// the queue's visibility time-out is `visibility`.
pub(crate) async fn keep<Q: Queue>(
    queue: &Q,
    send: impl AsyncFn(&str, Option<&str>),
    visibility: Duration,
    fifo: bool,
) {
    let group = |name: &'static str| fifo.then_some(name);
    let facts = queue.describe().await.unwrap();
    assert_eq!((facts.visibility, facts.fifo), (visibility, fifo));

    // A poll waits, and is empty when nothing comes.
    let begin = Instant::now();
    let nothing = queue.receive(10, Duration::from_secs(1)).await.unwrap();
    assert!(nothing.is_empty() && begin.elapsed() >= Duration::from_millis(900));

    // A delivery is hidden until its visibility timeout ends; then it comes again.
    send("leased", group("a")).await;
    let first = next(queue, 10).await;
    assert_eq!(
        (first.len(), body(&first[0]), first[0].attempt),
        (1, "leased", 1)
    );
    assert_eq!(first[0].group.as_deref(), group("a"));
    none(queue).await;
    sleep_until(first[0].lease + Duration::from_millis(100)).await;
    let mut again = next(queue, 10).await;
    assert_eq!((again.len(), again[0].attempt), (1, 2));
    assert_eq!(again[0].id, first[0].id);

    // A visibility timeout that is extended ends later.
    let lease = visibility * 2;
    let changed = queue
        .change_visibility(&[(again[0].receipt.hold(), lease)])
        .await;
    assert!(changed.iter().all(Result::is_ok), "{changed:?}");
    sleep(visibility + Duration::from_millis(200)).await;
    none(queue).await;

    // Handed back, it comes at once.
    let changed = queue
        .change_visibility(&[(again.remove(0).receipt.hold(), Duration::ZERO)])
        .await;
    assert!(changed.iter().all(Result::is_ok), "{changed:?}");
    let begin = Instant::now();
    let third = next(queue, 10).await;
    assert!(begin.elapsed() < GRACE, "{:?}", begin.elapsed());
    assert_eq!((third.len(), third[0].attempt), (1, 3));

    // Deleted, it never comes again.
    delete_all(queue, third).await;
    sleep(visibility + GRACE).await;
    none(queue).await;

    // No receive brings more than was asked for, and all come.
    for n in 0..12 {
        send(&format!("n{n}"), group(["a", "b", "c"][n % 3])).await;
    }
    let mut bodies = Vec::new();
    while bodies.len() < 12 {
        let some = next(queue, 5).await;
        assert!((1..=5).contains(&some.len()), "{some:?}");
        bodies.extend(some.iter().map(|one| body(one).to_owned()));
        delete_all(queue, some).await;
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 12);
    if fifo {
        in_order(queue, send).await;
    }

    // A message that cannot be published is kept aside, or there is no place to keep it.
    let letter = DeadLetter {
        id: "m1".into(),
        body: Bytes::from_static(b"letter"),
        group: group("a").map(Into::into),
        reason: "too_large",
        detail: "why".into(),
        route: None,
        attempt: 1,
    };
    if let Some(outcomes) = queue.bury(&[letter]).await {
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

/// Seven messages of two groups: within a group nothing overtakes, whatever is handed back.
async fn in_order<Q: Queue>(queue: &Q, send: impl AsyncFn(&str, Option<&str>)) {
    for n in 0..7 {
        send(&format!("o{n}"), Some(["even", "odd"][n % 2])).await;
    }
    let mut seen: [Vec<String>; 2] = Default::default();
    let mut handed_back = 0;
    while seen[0].len() + seen[1].len() < 7 {
        let some = next(queue, 2).await;
        assert!(!some.is_empty(), "the rest does not come: {seen:?}");
        let hand_back = handed_back < 3;
        for delivery in some {
            let of = usize::from(delivery.group.as_deref() == Some("odd"));
            if hand_back {
                handed_back += 1;
                let hold = delivery.receipt.hold();
                queue.change_visibility(&[(hold, Duration::ZERO)]).await;
            } else {
                seen[of].push(body(&delivery).to_owned());
                delete_all(queue, vec![delivery]).await;
            }
        }
    }
    assert_eq!(seen[0], ["o0", "o2", "o4", "o6"]);
    assert_eq!(seen[1], ["o1", "o3", "o5"]);
}
