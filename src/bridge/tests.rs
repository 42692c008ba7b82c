//! The daemon over a queue and a publisher in memory, on a paused clock.

mod order;

use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fakes::{FakePublisher, FakeQueue, VISIBILITY};
use super::*;
use crate::channel::Kinds;
use crate::event::envelope::Envelope;
use crate::event::pattern::Pattern;
use crate::port::PublishError;
use crate::route::oversize::Oversize;
use crate::route::payload::PayloadShape;
use crate::route::publication::{Qos, TopicOrder};
use crate::route::table::{OnInvalidTopic, Route};
use crate::route::target::TopicTarget;

pub(super) fn route(name: &str, pattern: &str, targets: &[&str]) -> Route {
    Route {
        name: Arc::from(name),
        pattern: Pattern::parse(pattern).unwrap(),
        targets: targets
            .iter()
            .map(|target| TopicTarget::parse(target, &Kinds::new()).unwrap())
            .collect(),
        oversize: Oversize::DeadLetter,
        payload: PayloadShape::default(),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires: None,
        conflate: false,
        order: None,
        replay: false,
        on_invalid_topic: OnInvalidTopic::default(),
    }
}

pub(super) fn table(routes: Vec<Route>) -> RouteTable {
    RouteTable::new(routes, Envelope::EventBridge, None)
}

/// Events of type `One` make one publication, of type `Two` three, others none.
pub(super) fn routes() -> RouteTable {
    let one = r#"{"source":["shop"],"detail-type":["One","Two"]}"#;
    let two = r#"{"detail-type":["Two"]}"#;
    table(vec![
        route("one", one, &["one/{detail.n}"]),
        route("two", two, &["two/{detail.n}", "also/{detail.n}"]),
    ])
}

/// The same with an order.
pub(super) fn ordered(order: TopicOrder) -> RouteTable {
    let routes = routes();
    let routes = routes.routes().cloned().map(|route| Route {
        order: Some(order),
        ..route
    });
    table(routes.collect())
}

/// An event with an id of its own, about the thing `n`.
pub(super) fn event(kind: &str, id: u32, n: u32) -> String {
    format!(r#"{{"id":"e{id}","source":"shop","detail-type":"{kind}","detail":{{"n":{n}}}}}"#)
}

/// Time for which a delivery may be worked on in these tests.
const HOLD: Duration = Duration::from_secs(60);

pub(super) struct Run {
    pub(super) queue: Arc<FakeQueue>,
    pub(super) publisher: Arc<FakePublisher>,
    shutdown: Shutdown,
    pub(super) metrics: Arc<Metrics>,
    bridge: JoinSet<Ending>,
}

pub(super) fn run(queue: FakeQueue, publisher: FakePublisher) -> Run {
    run_with(queue, publisher, routes(), Traces::default())
}

pub(super) fn run_with(
    queue: FakeQueue,
    publisher: FakePublisher,
    routes: RouteTable,
    traces: Traces,
) -> Run {
    let settings = BridgeSettings {
        pollers: (1, 8),
        wait: Duration::from_secs(20),
        in_flight: 100,
        in_flight_bytes: 1_000_000,
        hold: HOLD,
        drain: Duration::from_secs(10),
    };
    let (queue, publisher) = (Arc::new(queue), Arc::new(publisher));
    let shutdown = Shutdown::default();
    let bridge = Bridge::new(
        (Arc::clone(&queue), queue.facts()),
        Arc::clone(&publisher),
        watch::channel(Arc::new(routes)).1,
        settings,
        shutdown.clone(),
    )
    .traced(
        traces,
        "https://sqs.test/1/events",
        "mqtt://broker.test:1883",
    );
    let metrics = bridge.metrics();
    let mut task = JoinSet::new();
    task.spawn(bridge.run());
    Run {
        queue,
        publisher,
        shutdown,
        metrics,
        bridge: task,
    }
}

pub(super) fn count(metrics: &Metrics, name: &str) -> u64 {
    metrics.counts().get(name).copied().unwrap_or(0)
}

impl Run {
    pub(super) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..100_000 {
            if so(self) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "it did not come to be that {what}; {:?}",
            self.metrics.counts()
        );
    }

    pub(super) async fn end(mut self) -> Ending {
        self.shutdown.step();
        self.bridge.join_next().await.unwrap().unwrap()
    }
}

pub(super) fn transient() -> Result<(), PublishError> {
    Err(PublishError::Transient {
        what: "busy".into(),
    })
}

pub(super) fn permanent() -> Result<(), PublishError> {
    Err(PublishError::Permanent {
        reason: "not_authorized",
        what: "no".into(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_delivery_stays_until_its_last_publication_is_acknowledged() {
    let run = run(FakeQueue::default(), FakePublisher::new(false));
    run.queue.send(event("Two", 1, 1));
    run.until("three are handed over", |run| run.publisher.count() == 3)
        .await;
    run.publisher.decide(Ok(()));
    run.publisher.decide(Ok(()));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(run.queue.left(), 1);
    run.publisher.decide(Ok(()));
    run.until("it is deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(count(&run.metrics, "published"), 3);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn what_may_succeed_later_is_tried_again_without_a_new_attempt() {
    let queue = FakeQueue {
        buries: true,
        ..FakeQueue::default()
    };
    let run = run(queue, FakePublisher::new(false));
    run.queue.send(event("Two", 1, 1));
    run.until("three are handed over", |run| run.publisher.count() == 3)
        .await;
    // One that never can be published does not take it from the queue while another may.
    for fate in [Ok(()), permanent(), transient()] {
        run.publisher.decide(fate);
    }
    for tries in 4..9 {
        run.until("one is tried again", |run| run.publisher.count() == tries)
            .await;
        assert_eq!(run.queue.left(), 1);
        let last = run.publisher.handed_over.lock().unwrap().pop().unwrap();
        assert_eq!(last.topic.as_str(), "also/1");
        run.publisher.handed_over.lock().unwrap().push(last);
        run.publisher
            .decide(if tries == 8 { Ok(()) } else { transient() });
    }
    run.until("it is gone", |run| run.queue.left() == 0).await;
    assert_eq!(run.queue.letters().len(), 1);
    assert_eq!(run.metrics.redelivered.get(), 0);
    assert_eq!(count(&run.metrics, "throttled"), 5);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn what_never_can_be_published_is_buried() {
    let queue = FakeQueue {
        buries: true,
        ..FakeQueue::default()
    };
    let run = run(queue, FakePublisher::new(false));
    run.queue.send("nonsense".into());
    run.queue.send(event("One", 2, 2));
    run.until("one is handed over", |run| run.publisher.count() == 1)
        .await;
    run.publisher.decide(permanent());
    run.until("both are gone", |run| run.queue.left() == 0)
        .await;
    let letters = run.queue.letters();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert!(letters.contains(&("1".into(), "not_an_event")));
    assert!(letters.contains(&("2".into(), "not_authorized")));
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn without_a_dead_letter_queue_nothing_is_deleted() {
    let run = run(FakeQueue::default(), FakePublisher::new(true));
    run.queue.send("nonsense".into());
    run.until("it came three times", |run| {
        run.metrics.left_to_redrive.get() == 3
    })
    .await;
    assert_eq!(run.queue.left(), 1);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_no_route_is_deleted_and_counted() {
    let run = run(FakeQueue::default(), FakePublisher::new(true));
    run.queue.send(event("Three", 1, 1));
    run.until("it is deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.metrics.unrouted.get(), 1);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_extended_while_there_is_work_but_not_for_ever() {
    let run = run(FakeQueue::default(), FakePublisher::new(false));
    run.queue.send(event("One", 1, 1));
    run.until("it is handed over", |run| run.publisher.count() == 1)
        .await;
    let handed_over = Instant::now();
    run.until("it is given up", |run| run.metrics.postponed.get() == 1)
        .await;
    assert!(handed_over.elapsed() >= HOLD);
    assert!(handed_over.elapsed() < HOLD + VISIBILITY / 2);
    assert!(run.metrics.leases_extended.get() >= 3);
    assert_eq!(run.metrics.redelivered.get(), 0, "it was hidden until then");
    run.until("it came again", |run| run.publisher.count() == 2)
        .await;
    assert_eq!(run.metrics.redelivered.get(), 1);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_before_redrive_is_held_for_longer() {
    let queue = FakeQueue {
        max_receives: Some(1),
        ..FakeQueue::default()
    };
    let run = run(queue, FakePublisher::new(false));
    run.queue.send(event("One", 1, 1));
    run.until("it is handed over", |run| run.publisher.count() == 1)
        .await;
    sleep(10 * HOLD).await;
    run.publisher.decide(Ok(()));
    run.until("it is deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.metrics.postponed.get(), 0);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_publishes_nothing_new() {
    let strict = ordered(TopicOrder::Strict);
    let run = run_with(
        FakeQueue::default(),
        FakePublisher::new(false),
        strict,
        Traces::default(),
    );
    // Four events for one topic: the first is with the broker, the others wait for it.
    for _ in 0..4 {
        run.queue.send(event("One", 1, 1));
    }
    run.until("one is handed over", |run| run.publisher.count() == 1)
        .await;
    run.until("all were received", |run| run.metrics.received.get() == 4)
        .await;
    run.queue.refusing_changes.store(true, Ordering::SeqCst);
    run.until("the leases are lost", |run| {
        run.metrics.leases_lost.get() == 4
    })
    .await;
    run.publisher.decide(Ok(()));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(run.publisher.count(), 1);
    run.queue.refusing_changes.store(false, Ordering::SeqCst);
    for n in 2..=5 {
        run.until("the next is handed over", |run| run.publisher.count() == n)
            .await;
        run.publisher.decide(Ok(()));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.metrics.redelivered.get(), 4);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn part_of_a_batch_that_was_not_deleted_is_deleted_later() {
    let queue = FakeQueue::default();
    queue.failing_deletes.store(2, Ordering::SeqCst);
    let run = run(queue, FakePublisher::new(true));
    for n in 0..10 {
        run.queue.send(event("One", n, n));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.publisher.count(), 10, "none came again");
    assert_eq!(run.metrics.possible_duplicates.get(), 0);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_keeps_failing_is_a_possible_duplicate() {
    let queue = FakeQueue::default();
    queue.failing_deletes.store(4, Ordering::SeqCst);
    let run = run(queue, FakePublisher::new(true));
    run.queue.send(event("One", 1, 1));
    run.until("it came again and is gone", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.metrics.possible_duplicates.get(), 1);
    assert_eq!(run.publisher.count(), 2);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn polls_grow_with_load_and_shrink_when_idle() {
    let run = run(FakeQueue::default(), FakePublisher::new(true));
    run.until("one poll is open", |run| {
        run.queue.polling.load(Ordering::SeqCst) == 1
    })
    .await;
    for n in 0..2_000 {
        run.queue.send(event("One", n, n));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.queue.most_polling.load(Ordering::SeqCst), 8);
    run.until("one poll is open", |run| {
        run.queue.polling.load(Ordering::SeqCst) == 1
    })
    .await;
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_received_than_there_is_room_for() {
    let run = run(FakeQueue::default(), FakePublisher::new(false));
    for n in 0..500 {
        run.queue.send(event("One", n, n));
    }
    run.until("the room is taken", |run| run.publisher.count() == 100)
        .await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!((run.publisher.count(), run.queue.visible()), (100, 400));
    run.shutdown.step();
    assert_eq!(run.end().await, Ending::Cut);
}

#[tokio::test(start_paused = true)]
async fn publications_leave_in_the_order_of_the_queue() {
    let run = run(FakeQueue::default(), FakePublisher::new(true));
    for n in 0..30 {
        run.queue.send(event("One", n, n));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    let handed_over = run.publisher.handed_over.lock().unwrap();
    let topics = handed_over.iter().map(|p| p.topic.as_str().to_owned());
    assert!(topics.eq((0..30).map(|n| format!("one/{n}"))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_received_while_the_broker_is_away() {
    let publisher = FakePublisher::new(true);
    publisher.up.send_replace(false);
    let run = run(FakeQueue::default(), publisher);
    run.queue.send(event("One", 1, 1));
    sleep(Duration::from_secs(100)).await;
    assert_eq!(run.metrics.received.get(), 0);
    run.publisher.up.send_replace(true);
    run.until("it is deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_it_can_and_hands_back_the_rest() {
    let run = run(FakeQueue::default(), FakePublisher::new(false));
    for n in 0..3 {
        run.queue.send(event("One", n, n));
    }
    run.until("three are handed over", |run| run.publisher.count() == 3)
        .await;
    let began = Instant::now();
    run.shutdown.step();
    sleep(Duration::from_millis(100)).await;
    // New ones are not taken any more, or handed back at once when an open poll brings them.
    run.queue.send(event("One", 3, 3));
    run.publisher.decide(Ok(()));
    let queue = Arc::clone(&run.queue);
    let mut bridge = run.bridge;
    assert_eq!(bridge.join_next().await.unwrap().unwrap(), Ending::Drained);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(run.publisher.count(), 3);
    assert_eq!(queue.left(), 3);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(queue.visible(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_fake_queue_keeps_the_contract() {
    for fifo in [false, true] {
        let queue = FakeQueue {
            buries: true,
            fifo,
            ..FakeQueue::default()
        };
        let send = async |body: &str, group: Option<&str>| {
            queue.send_to(group, body.to_owned());
        };
        queue_contract::keep(&queue, send, VISIBILITY, fifo).await;
    }
}
