//! Connections that are lost: order holds, and nothing is stranded.

use super::*;

/// Random topics, losses, recoveries and round trips: everything is answered, and what a connection
/// did not lose leaves in order.
#[test]
fn order_holds_whatever_is_lost() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let connections = random.usize(1..6);
        let mut broker = SteadyBroker::new(IOT_CORE, connections, milliseconds(random.u64(1..60)));
        let mut down = Vec::new();
        for _ in 0..600 {
            for _ in 0..random.usize(0..3) {
                let order = [None, Some(TopicOrder::Unordered)][usize::from(random.u8(0..8) == 0)];
                let topic = if order.is_some() { "free" } else { "kept" };
                broker.publish(&format!("{topic}/{}", random.u8(0..4)), order);
            }
            if random.u8(0..50) == 0 && !down.contains(&0) {
                let id = random.usize(0..connections);
                if !down.contains(&id) {
                    broker.lose(id);
                    down.push(id);
                }
            }
            if random.u8(0..20) == 0
                && let Some(id) = down.pop()
            {
                broker.scheduler.up(id, random.usize(1..100), broker.now);
                broker.send();
            }
            broker.tick();
            // A topic's unacknowledged publications are on one connection.
            let mut on: BTreeMap<&str, LinkId> = BTreeMap::new();
            for (_, id, job) in &broker.sent {
                let topic = job.publication.topic.as_str();
                if topic.starts_with("kept/") {
                    assert_eq!(*on.entry(topic).or_insert(*id), *id, "seed {seed}: {topic}");
                }
            }
        }
        for id in down {
            broker.scheduler.up(id, 100, broker.now);
        }
        for _ in 0..20_000 {
            if broker.scheduler.is_idle() {
                break;
            }
            broker.tick();
        }
        assert!(broker.scheduler.is_idle(), "seed {seed}");
        assert!(broker.scheduler.flows.is_empty(), "seed {seed}");
        for fate in &mut broker.fates {
            assert_eq!(fate.try_recv(), Ok(Ok(())), "seed {seed}");
        }
        for topic in 0..4 {
            // Seen for the last time: a publication that was sent again takes the place of the lost
            // one.
            let numbers = broker.numbers(&format!("kept/{topic}"));
            let mut last: Vec<u32> = Vec::new();
            for number in numbers.iter().rev() {
                if !last.contains(number) {
                    last.push(*number);
                }
            }
            last.reverse();
            assert!(is_rising(&last), "seed {seed}: {last:?}");
        }
    }
}

/// A flow that waited for its connection's acknowledgements when the connection was lost, with
/// nothing of its own under way there.
#[test]
fn nothing_is_stranded_on_a_connection_that_is_lost() {
    let free = PaceBounds {
        publishes: None,
        bytes: None,
        process: None,
    };
    let mut broker = SteadyBroker::new(free, 0, milliseconds(10));
    broker.links.push(broker.scheduler.connections.open().0);
    broker.scheduler.up(0, 2, broker.now);
    for topic in ["a", "b", "b", "a"] {
        broker.publish(topic, None);
    }
    let (_, id, first) = broker.sent.pop_front().unwrap();
    broker.answer(id, first);
    broker.send();
    broker.lose(0);
    broker.scheduler.up(0, 2, broker.now);
    broker.send();
    for _ in 0..100 {
        broker.tick();
    }
    assert!(broker.scheduler.is_idle());
    assert_eq!(broker.numbers("a"), [0, 3]);
    for fate in &mut broker.fates {
        assert_eq!(fate.try_recv(), Ok(Ok(())));
    }
}

/// Full windows, losses and few topics without any other limit: everything is answered, and no
/// connection idles while one waits.
#[test]
fn full_windows_strand_nothing() {
    let free = PaceBounds {
        publishes: None,
        bytes: None,
        process: None,
    };
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut broker = SteadyBroker::new(free, 0, milliseconds(random.u64(1..20)));
        for _ in 0..random.usize(1..4) {
            let (id, _) = broker.scheduler.connections.open();
            broker.links.push(id);
            broker.scheduler.up(id, random.usize(1..4), broker.now);
        }
        for _ in 0..300 {
            for _ in 0..random.usize(0..3) {
                let order = [None, Some(TopicOrder::Unordered)][usize::from(random.u8(0..8) == 0)];
                broker.publish(&format!("t/{}", random.u8(0..5)), order);
            }
            if random.u8(0..20) == 0 {
                let id = random.usize(0..broker.links.len());
                broker.lose(id);
                broker.scheduler.up(id, random.usize(1..4), broker.now);
                broker.send();
            }
            broker.tick();
        }
        let mut ticks = 0;
        while !broker.scheduler.is_idle() {
            ticks += 1;
            assert!(ticks < 20_000, "seed {seed}: something is stranded");
            broker.tick();
        }
        for fate in &mut broker.fates {
            assert_eq!(fate.try_recv(), Ok(Ok(())), "seed {seed}");
        }
    }
}
