//! The queue and its tasks, step by step.

use super::*;

fn load() -> BridgeModel {
    BridgeModel {
        events_per_second: 1_000,
        fan_out: 1,
        tasks: 2,
        max_tasks: 6,
        events_per_task: 1_000,
        backlog_per_task: 1_000,
        max_age_ms: 30_000,
        task_start_ms: 45_000,
        scale_interval_ms: 60_000,
        scale_out_cooldown_ms: 30_000,
        scale_in_after_ms: 900_000,
        in_flight: 1_000,
        hold_ms: 600_000,
        visibility_ms: 30_000,
        max_receives: 5,
        settle_ms: 250,
    }
}

fn quotas(inbound_quota: u32) -> AccountQuotas {
    AccountQuotas {
        connect_quota: 0,
        subscribe_quota: 0,
        client_id_interval_ms: 0,
        inbound_quota,
        outbound_quota: 0,
        stored_quota: 0,
        stored_rate: 10,
        stored_per_session: 1_000,
        counting: super::super::scenario::QuotaCounting::Bucket,
    }
}

fn run(queue: &mut BridgeQueue, steps: std::ops::Range<u32>) {
    for step in steps {
        queue.step(step);
        assert!(queue.is_conserved(), "step {step}: {queue:?}");
    }
}

#[test]
fn events_pass_through_at_once() {
    let mut queue = BridgeQueue::new(&load(), &quotas(0));
    run(&mut queue, 0..600);
    assert_eq!(queue.totals.published, 60_000);
    assert!(queue.is_idle());
    assert_eq!(queue.peak_tasks, 2);
}

#[test]
fn a_backlog_brings_tasks_after_their_start() {
    let busy = BridgeModel {
        events_per_second: 5_000,
        ..load()
    };
    let mut queue = BridgeQueue::new(&busy, &quotas(0));
    run(&mut queue, 0..1_040);
    // The first decision after a minute, 45 seconds to start.
    assert_eq!((queue.running(), queue.backlog()), (2, 3_000 * 104));
    run(&mut queue, 1_040..1_060);
    assert_eq!(queue.running(), 6);
    run(&mut queue, 1_060..6_000);
    assert!(queue.is_idle(), "{}", queue.backlog());
}

#[test]
fn the_inbound_quota_bounds_all_tasks() {
    let mut queue = BridgeQueue::new(&load(), &quotas(400));
    run(&mut queue, 0..100);
    assert_eq!(queue.totals.published, 4_000);
}

#[test]
fn tasks_hold_what_they_have_places_for() {
    let mut queue = BridgeQueue::new(&load(), &quotas(0));
    queue.is_cut = true;
    run(&mut queue, 0..300);
    assert_eq!(count(&queue.held), 2_000);
    assert_eq!((queue.backlog(), queue.oldest_ms(299)), (30_000, 29_900));
    queue.is_cut = false;
    run(&mut queue, 300..700);
    assert_eq!(
        (queue.totals.redelivered, queue.totals.dead_lettered),
        (0, 0)
    );
}

#[test]
fn what_is_held_too_often_is_buried() {
    let short = BridgeModel {
        hold_ms: 1_000,
        max_receives: 2,
        ..load()
    };
    let mut queue = BridgeQueue::new(&short, &quotas(0));
    queue.is_cut = true;
    run(&mut queue, 0..300);
    assert!(queue.totals.redelivered > 0 && queue.totals.dead_lettered > 0);
}

#[test]
fn a_killed_task_publishes_twice_and_is_replaced() {
    let mut queue = BridgeQueue::new(&load(), &quotas(0));
    run(&mut queue, 0..100);
    queue.kill(1, 100);
    assert_eq!(queue.running(), 1);
    run(&mut queue, 100..399);
    assert_eq!(queue.totals.duplicates, 0);
    run(&mut queue, 399..560);
    // Half of the quarter of a second's events that were not deleted yet.
    assert_eq!(queue.totals.duplicates, 125);
    assert_eq!(queue.running(), 2);
    // Events that it held while the broker was away come back after the visibility timeout.
    queue.is_cut = true;
    run(&mut queue, 560..600);
    queue.kill(1, 600);
    assert_eq!(count(&queue.held), 1_000);
    run(&mut queue, 600..905);
    assert_eq!(queue.totals.redelivered, 125 + 1_000);
}
