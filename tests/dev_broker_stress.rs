//! Many clients of the dev broker at once, doing anything in any order: nothing is lost that was
//! promised, and nothing is left over.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/raw.rs"]
mod raw;

use std::collections::HashMap;
use std::sync::Arc;

use broker::{general, start};
use eventcast::dev::broker::Broker;
use eventcast::dev::broker::control::{InboundPublish, PostError};
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use eventcast::dev::broker::observe::BrokerEvent;
use fastrand::Rng;
use raw::{Connect, Got, Raw, Will, publish, subscribe, unsubscribe, v3, v5};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const FILTERS: [&str; 8] = [
    "#",
    "+/a",
    "t/#",
    "t/a",
    "t/b",
    "$share/g/t/+",
    "$share/h/#",
    "x/y/z",
];
const TOPICS: [&str; 4] = ["t/a", "t/b", "x/y/z", "deep/er/still"];

fn connect(random: &mut Rng, id: &str) -> Connect {
    let mut connect = if random.bool() { v3(id) } else { v5(id) };
    connect.clean = random.bool();
    if connect.level == 5 && random.bool() {
        connect = connect.expiry(random.u32(0..3));
    }
    if random.bool() {
        connect = connect.will(Will {
            topic: "t/a".into(),
            payload: "will".into(),
            qos: random.u8(0..2),
            retain: random.bool(),
            ..Will::default()
        });
    }
    connect
}

/// One client that keeps coming and going with one of few client ids, so that clients take over
/// from each other.
async fn wild(port: u16, seed: u64) {
    let mut random = Rng::with_seed(seed);
    for _ in 0..15 {
        let id = format!("wild-{}", random.u8(0..10));
        let connect = connect(&mut random, &id);
        let is_v5 = connect.level == 5;
        let mut client = Raw::open(port).await;
        if client.try_send(&connect.bytes()).await.is_err() {
            continue;
        }
        for _ in 0..random.u32(0..20) {
            let filter = FILTERS[random.usize(..FILTERS.len())];
            let topic = TOPICS[random.usize(..TOPICS.len())];
            let bytes = match random.u8(0..10) {
                0..4 => subscribe(is_v5, 1, &[(filter, random.u8(0..3))], &[]),
                4 => unsubscribe(is_v5, 2, &[filter]),
                5..9 => {
                    let (qos, retain) = (random.u8(0..2), random.u8(0..8) == 0);
                    publish(is_v5, topic, "wild", qos, 3, retain, &[])
                }
                _ => vec![0xC0, 0],
            };
            // Another client may have taken over.
            if client.try_send(&bytes).await.is_err() {
                break;
            }
        }
        if random.bool() {
            let _ = client.try_send(&[0xE0, 0]).await;
        }
    }
}

/// Publishes numbered messages, each after the one before was acknowledged.
async fn steady(port: u16, name: &'static str, count: u32) {
    let mut client = Raw::join(port, &v5(name)).await;
    for n in 0..count {
        let code = client.publish("steady", &format!("{name} {n}")).await;
        assert_eq!(code, 0);
    }
    client.leave().await;
}

/// Reads until all numbered messages have come, and checks that each name's come in order and once.
async fn collect(mut client: Raw<TcpStream>, names: usize, count: u32) {
    let mut next: HashMap<String, u32> = HashMap::new();
    while next.len() < names || next.values().any(|next| *next < count) {
        match client.next().await {
            Got::Message(message) => {
                if message.qos == 1 {
                    client.send(&raw::puback(message.id)).await;
                }
                let (name, number) = message.payload.split_once(' ').unwrap();
                let next = next.entry(name.to_owned()).or_default();
                assert_eq!(number, next.to_string(), "of {name}");
                *next += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    client.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_is_left() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let running = general().await;
    let names = ["ann", "bob", "cai"];
    let mut tasks = JoinSet::new();
    for id in ["collector-3", "collector-5"] {
        let connect = if id.ends_with('3') { v3(id) } else { v5(id) };
        let mut collector = Raw::join(running.port, &connect).await;
        assert_eq!(collector.subscribe("steady").await, 1);
        tasks.spawn(collect(collector, names.len(), 400));
    }
    for name in names {
        tasks.spawn(steady(running.port, name, 400));
    }
    for n in 0..30 {
        tasks.spawn(wild(running.port, seed.wrapping_add(n)));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    // Clients that are still there are disconnected, and the state that is left of them is dropped.
    running.until(|broker| broker.connections() == 0).await;
    for n in 0..10 {
        let id = format!("wild-{n}");
        for connect in [v3(&id), v5(&id)] {
            Raw::join(running.port, &connect).await.leave().await;
        }
    }
    running.until(|broker| broker.connections() == 0).await;
    let counts = running.broker.counts();
    assert_eq!(
        (counts.sessions, counts.subscriptions),
        (0, 0),
        "seed {seed}"
    );
}

/// Retained messages have a bound in bytes; stored ones stay, and make room when they are taken
/// away.
#[tokio::test]
async fn retained_messages_have_a_bound() {
    let limits = BrokerLimits {
        retained_bytes: 20_000,
        ..BrokerLimits::general()
    };
    let running = start(limits, BrokerRules::general(), Arc::new(AllowAll)).await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    let text = "x".repeat(4_000);
    let mut codes = Vec::new();
    for n in 0..6 {
        let topic = format!("r/{n}");
        codes.push(client.publish_with(&topic, &text, true, &[]).await);
    }
    // Nobody has subscribed: 0x10.
    assert_eq!(codes, [0x10, 0x10, 0x10, 0x10, 0x97, 0x97]);
    let post = |topic: &str, payload: &str| {
        running.broker.publish(&InboundPublish {
            topic: topic.into(),
            payload: payload.to_owned().into(),
            retain: true,
            ..InboundPublish::default()
        })
    };
    let Err(PostError::Throttled(why)) = post("r/6", &text) else {
        panic!("it is taken");
    };
    assert!(why.contains("the limit retained-bytes is 20000"), "{why}");
    // As large as the stored one; not retained; and after another one is gone.
    assert_eq!(client.publish_with("r/0", &text, true, &[]).await, 0x10);
    assert_eq!(client.publish_with("r/6", &text, false, &[]).await, 0x10);
    let mut seen = running.broker.observe();
    let will = Will {
        topic: "r/7".into(),
        payload: text.clone(),
        retain: true,
        ..Will::default()
    };
    drop(Raw::join(running.port, &v5("b").will(will)).await);
    let dropped = async {
        loop {
            match seen.next().await.unwrap().unwrap().what {
                BrokerEvent::Dropped { why, .. } => break why,
                _ => continue,
            }
        }
    };
    assert!(dropped.await.contains("retained-bytes"));
    assert!(running.broker.retained("r/7").is_none());
    assert_eq!(client.publish_with("r/1", "", true, &[]).await, 0x10);
    assert_eq!(client.publish_with("r/7", &text, true, &[]).await, 0x10);
    assert_eq!(running.broker.retained_after("", 10).len(), 4);
}

/// Clients that are away or do not read hold no more than there is room for, and the others receive
/// everything.
#[tokio::test]
async fn queues_have_a_bound_in_bytes() {
    let limits = BrokerLimits {
        queued_bytes: 2_500_000,
        ..BrokerLimits::general()
    };
    let running = start(limits, BrokerRules::general(), Arc::new(AllowAll)).await;
    for n in 0..20 {
        let away = v5(&format!("away{n}")).dirty().expiry(100);
        let mut client = Raw::join(running.port, &away).await;
        assert_eq!(client.subscribe("t").await, 1);
    }
    let mut awake = Raw::join(running.port, &v5("awake")).await;
    assert_eq!(awake.subscribe("t").await, 1);
    let mut publisher = Raw::join(running.port, &v5("p")).await;
    for n in 0..600 {
        let payload = format!("{n:04}{}", "x".repeat(3_996));
        publisher.publish("t", &payload).await;
        assert_eq!(awake.message().await.payload, payload);
    }
    let queued = |id: &str| running.broker.connection(id).unwrap().queued;
    // 64 KiB of each are not counted, and a message counts once, not twenty times.
    for n in 0..20 {
        let queued = queued(&format!("away{n}"));
        assert!((250..350).contains(&queued), "{queued}");
    }
    assert!(running.broker.counts().dropped > 20 * 250);
    // The oldest ones have stayed, and once they are fetched there is room again.
    let connect = v5("away0").dirty().expiry(100);
    let mut back = Raw::join(running.port, &connect).await;
    for n in 0..queued("away0") {
        assert!(back.message().await.payload.starts_with(&format!("{n:04}")));
    }
    let is_empty = |broker: &Broker| broker.connection("away0").unwrap().queued == 0;
    running.until(is_empty).await;
    publisher.publish("t", "new").await;
    assert_eq!(back.message().await.payload, "new");
}
