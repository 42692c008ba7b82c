//! Topics in order, and the places that they take from others.

use super::*;

/// The topics and event ids that were handed over, in that order.
fn handed_over(run: &Run) -> Vec<String> {
    let handed_over = run.publisher.handed_over.lock().unwrap();
    let each = handed_over.iter().map(|publication| {
        let (_, id) = publication.user_properties().next().unwrap();
        format!("{} {id}", publication.topic.as_str())
    });
    each.collect()
}

fn run_ordered(queue: FakeQueue, order: TopicOrder) -> Run {
    run_with(
        queue,
        FakePublisher::new(false),
        ordered(order),
        Traces::default(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_standard_queues_topics_have_many_unacknowledged() {
    let run = run(FakeQueue::default(), FakePublisher::new(false));
    for n in 1..=4 {
        run.queue.send(event("One", n, 7));
    }
    run.until("all are handed over", |run| run.publisher.count() == 4)
        .await;
    // The first is refused for now: the three others are out already, and newer ones wait for it.
    run.publisher.decide(transient());
    sleep(Duration::from_millis(20)).await;
    run.queue.send(event("One", 5, 7));
    run.until("the newer one was received", |run| {
        run.metrics.received.get() == 5
    })
    .await;
    run.until("both are handed over", |run| run.publisher.count() == 6)
        .await;
    let wanted = ["e1", "e2", "e3", "e4", "e1", "e5"].map(|id| format!("one/7 {id}"));
    assert_eq!(handed_over(&run), wanted);
    for _ in 0..5 {
        run.publisher.decide(Ok(()));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queues_topics_have_one_unacknowledged() {
    let queue = FakeQueue {
        fifo: true,
        ..FakeQueue::default()
    };
    let run = run(queue, FakePublisher::new(false));
    for n in 1..=4 {
        run.queue
            .send_to(Some(&format!("group {n}")), event("One", n, 7));
    }
    run.until("all were received", |run| run.metrics.received.get() == 4)
        .await;
    for n in 1..=4 {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(run.publisher.count(), n);
        run.publisher.decide(Ok(()));
    }
    assert!(run.metrics.held_back.get() >= 3);
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.end().await, Ending::Drained);
}

/// A message group whose routes are pipelined does not wait for acknowledgements either; with one
/// route that is strict it does.
#[tokio::test(start_paused = true)]
async fn the_groups_of_a_fifo_queue_are_pipelined_where_their_routes_are() {
    for (order, at_once) in [(TopicOrder::Pipelined, 4), (TopicOrder::Strict, 1)] {
        let queue = FakeQueue {
            fifo: true,
            ..FakeQueue::default()
        };
        let run = run_ordered(queue, order);
        for n in 1..=4 {
            run.queue.send_to(Some("a"), event("One", n, n));
        }
        run.until("all were received", |run| run.metrics.received.get() == 4)
            .await;
        sleep(Duration::from_millis(100)).await;
        assert_eq!(run.publisher.count(), at_once, "{order:?}");
        for handed_over in 1..=4 {
            run.until("there is one to decide on", |run| {
                run.publisher.count() >= handed_over
            })
            .await;
            run.publisher.decide(Ok(()));
        }
        run.until("all are deleted", |run| run.queue.left() == 0)
            .await;
        assert_eq!(run.end().await, Ending::Drained);
    }
}

/// A topic that is never acknowledged takes half of the places; the others go on, and its events
/// wait in the queue.
#[tokio::test(start_paused = true)]
async fn what_waits_for_one_topic_takes_no_places_from_others() {
    let queue = FakeQueue::default();
    for n in 0..300 {
        queue.send(event("One", n, 7));
    }
    let run = run(queue, FakePublisher::new(false));
    run.until("its share is taken", |run| {
        run.metrics.topics_over_share.get() == 1
    })
    .await;
    let share = run.publisher.count();
    assert_eq!(share, 50);
    assert!(count(&run.metrics, "over_share") > 0);
    // Others come through, while nothing of it is acknowledged.
    for n in 1_000..1_010 {
        run.queue.send(event("One", n, n));
    }
    run.until("the others are handed over", |run| {
        run.publisher.count() == share + 10
    })
    .await;
    for _ in 0..share + 10 {
        run.publisher.decide(Ok(()));
    }
    run.until("more of it is handed over", |run| {
        run.publisher.count() > share + 10
    })
    .await;
    let mut decided = share + 10;
    while run.queue.left() > 0 {
        while decided < run.publisher.count() {
            decided += 1;
            run.publisher.decide(Ok(()));
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(decided, 310);
    assert_eq!(run.end().await, Ending::Drained);
}

/// Waiting for a share never is the last attempt before the queue's redrive.
#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_kept_without_a_place() {
    let queue = FakeQueue {
        max_receives: Some(1),
        ..FakeQueue::default()
    };
    for n in 0..300 {
        queue.send(event("One", n, 7));
    }
    let run = run(queue, FakePublisher::new(false));
    run.until("all are handed over", |run| run.publisher.count() == 300)
        .await;
    assert_eq!(count(&run.metrics, "over_share"), 0);
    assert_eq!(run.metrics.postponed.get(), 0);
    for _ in 0..300 {
        run.publisher.decide(Ok(()));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.metrics.redelivered.get(), 0);
    assert_eq!(run.end().await, Ending::Drained);
}

#[tokio::test(start_paused = true)]
async fn bytes_in_flight_are_bounded() {
    let queue = FakeQueue::default();
    let large = " ".repeat(100_000);
    for n in 0..60 {
        queue.send(event("One", n, n) + &large);
    }
    let run = run(queue, FakePublisher::new(false));
    run.until("the room is taken", |run| run.publisher.count() >= 5)
        .await;
    sleep(Duration::from_secs(10)).await;
    // A million bytes, and what one receive brings beyond them for each poll that was open.
    let taken = run.publisher.count();
    assert!(taken < 60, "{taken}");
    for decided in 0..60 {
        run.until("there is one to decide on", |run| {
            run.publisher.count() > decided
        })
        .await;
        run.publisher.decide(Ok(()));
    }
    run.until("all are deleted", |run| run.queue.left() == 0)
        .await;
    assert_eq!(run.end().await, Ending::Drained);
}
