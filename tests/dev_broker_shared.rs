//! Shared subscriptions of the broker of `eventcast dev`: messages wait for a group whose members
//! are away, and messages that one member leaves go to another.

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
#[path = "support/paused.rs"]
mod paused;
#[path = "support/raw.rs"]
mod raw;

use std::collections::BTreeMap;

use broker::start;
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use fastrand::Rng;
use paused::{Paused, seconds};
use raw::{Connect, Got, Raw, v3, v5};
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const FILTER: &str = "$share/g/t/+";

type Member = Raw<DuplexStream>;

fn limits() -> BrokerLimits {
    BrokerLimits {
        connects_per_second_per_client_id: None,
        ..BrokerLimits::iot_core()
    }
}

fn kept(id: &str) -> Connect {
    v5(id).dirty().expiry(1_000)
}

async fn join(paused: &mut Paused, connect: &Connect) -> Member {
    let mut member = paused.join(connect).await;
    assert_eq!(member.subscribe(FILTER).await, 1);
    member
}

async fn publish(paused: &mut Paused, payloads: std::ops::Range<usize>) {
    let mut publisher = paused.join(&v5("p")).await;
    for n in payloads {
        publisher.publish("t/1", &n.to_string()).await;
    }
    publisher.leave().await;
}

async fn expect(member: &mut Member, payloads: std::ops::Range<usize>) {
    for n in payloads {
        assert_eq!(member.message().await.payload, n.to_string());
    }
    member.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_to_whoever_comes_back_first() {
    let mut paused = Paused::start(limits());
    for first in ["a", "b"] {
        for id in ["a", "b"] {
            join(&mut paused, &kept(id)).await.leave().await;
        }
        publish(&mut paused, 0..5).await;
        let mut member = paused.join(&kept(first)).await;
        expect(&mut member, 0..5).await;
        let mut other = paused
            .join(&kept(["b", "a"][usize::from(first == "b")]))
            .await;
        other.expect_silence().await;
        member.leave().await;
        other.leave().await;
    }
    assert_eq!(paused.broker.counts().stored, 10);
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_to_a_new_member() {
    let mut paused = Paused::start(limits());
    join(&mut paused, &kept("a")).await.leave().await;
    publish(&mut paused, 0..3).await;
    // One that could lose it does not get it.
    let mut careless = paused.join(&v5("careless")).await;
    assert_eq!(careless.subscribe_with(FILTER, 0, &[]).await, 0);
    careless.expect_silence().await;
    // MQTT 3 and MQTT 5 share.
    let mut new = paused.join(&v3("new")).await;
    assert_eq!(new.subscribe(FILTER).await, 1);
    expect(&mut new, 0..3).await;
    // While somebody is there nothing waits.
    publish(&mut paused, 3..5).await;
    let mut seen = vec![
        new.message().await.payload,
        careless.message().await.payload,
    ];
    seen.sort();
    assert_eq!(seen, ["3", "4"]);
    assert_eq!(paused.broker.counts().stored, 3);
}

#[tokio::test(start_paused = true)]
async fn each_member_gets_twenty_a_second_of_what_waits() {
    let mut paused = Paused::start(BrokerLimits {
        account_queued: None,
        publishes_per_second: None,
        ..limits()
    });
    let mut live = paused.join(&kept("a")).await;
    for filter in [FILTER, "live"] {
        assert_eq!(live.subscribe(filter).await, 1);
    }
    live.leave().await;
    join(&mut paused, &kept("b")).await.leave().await;
    publish(&mut paused, 0..150).await;
    let begin = Instant::now();
    let mut members = [paused.join(&kept("a")).await, paused.join(&kept("b")).await];
    let mut publisher = paused.join(&v5("p")).await;
    publisher.publish("live", "live").await;
    let mut at = BTreeMap::<(usize, u64), usize>::new();
    let (mut seen, mut live) = (Vec::new(), None);
    while seen.len() < 150 {
        for (n, member) in members.iter_mut().enumerate() {
            member.send(&[0xC0, 0]).await;
            while let Got::Message(message) = member.next().await {
                member.send(&raw::puback(message.id)).await;
                let second = begin.elapsed().as_secs();
                if message.topic == "live" {
                    live = Some(second);
                } else {
                    seen.push(message.payload.parse::<usize>().unwrap());
                    *at.entry((n, second)).or_default() += 1;
                }
            }
        }
        sleep(seconds(1) / 10).await;
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..150).collect::<Vec<_>>());
    assert_eq!(live, Some(0));
    for second in 0..3 {
        for member in 0..2 {
            assert_eq!(at.get(&(member, second)), Some(&20), "{at:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_without_qos_1_on_both_sides_and_a_session() {
    let mut paused = Paused::start(limits());
    // A message with QoS 0.
    join(&mut paused, &kept("a")).await.leave().await;
    let mut publisher = paused.join(&v5("p")).await;
    publisher.fire("t/1", "x").await;
    publisher.expect_silence().await;
    // A subscription with QoS 0.
    let mut careless = paused.join(&kept("careless")).await;
    assert_eq!(careless.subscribe_with("$share/h/t/+", 0, &[]).await, 0);
    careless.leave().await;
    // A session that is not kept.
    let mut clean = paused.join(&v5("clean")).await;
    assert_eq!(clean.subscribe("$share/i/t/+").await, 1);
    clean.leave().await;
    paused.join(&kept("a")).await.expect_silence().await;
    assert_eq!(paused.broker.counts().stored, 0);
    publisher.publish("t/2", "x").await;
    // For the first group alone, whose member has just been lost.
    assert_eq!(paused.broker.counts().stored, 1);
    for (id, filter) in [("c", "$share/h/t/+"), ("d", "$share/i/t/+")] {
        let mut member = paused.join(&v5(id)).await;
        assert_eq!(member.subscribe(filter).await, 1);
        member.expect_silence().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded() {
    let mut paused = Paused::start(BrokerLimits {
        queued_per_group: 3,
        account_queued: Some(2),
        ..limits()
    });
    join(&mut paused, &kept("a")).await.leave().await;
    let mut publisher = paused.join(&v5("p")).await;
    // Two a second for the account, three in all: older ones are kept.
    for second in 0..3 {
        for n in 0..3 {
            publisher.publish("t/1", &format!("{second}-{n}")).await;
        }
        sleep(seconds(1)).await;
    }
    let mut member = paused.join(&kept("a")).await;
    for wanted in ["0-0", "0-1", "1-0"] {
        assert_eq!(member.message().await.payload, wanted);
    }
    member.expect_silence().await;
    let counts = paused.broker.counts();
    assert_eq!((counts.stored, counts.dropped), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_gone_with_its_last_member() {
    let mut paused = Paused::start(limits());
    // With the session of an absent member.
    join(&mut paused, &v5("a").dirty().expiry(5))
        .await
        .leave()
        .await;
    publish(&mut paused, 0..3).await;
    sleep(seconds(6)).await;
    join(&mut paused, &v5("new")).await.expect_silence().await;
    // With the last subscription that has QoS 1, though not with that of another session.
    for id in ["b", "c"] {
        join(&mut paused, &kept(id)).await.leave().await;
    }
    publish(&mut paused, 0..50).await;
    let mut careless = paused.join(&v5("careless")).await;
    assert_eq!(careless.subscribe_with(FILTER, 0, &[]).await, 0);
    // A clean start ends a session.
    paused.join(&v5("b")).await.leave().await;
    let mut member = paused.join(&kept("c")).await;
    for n in 0..20 {
        assert_eq!(member.message().await.payload, n.to_string());
    }
    member.expect_silence().await;
    assert_eq!(member.subscribe_with(FILTER, 0, &[]).await, 0);
    join(&mut paused, &v5("new")).await.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_member_leaves_unacknowledged_goes_to_another() {
    let mut paused = Paused::start(limits());
    for connect in [kept("a"), v5("a")] {
        let mut member = join(&mut paused, &connect).await;
        publish(&mut paused, 0..4).await;
        for n in 0..4 {
            let Got::Message(message) = member.next().await else {
                panic!("a message");
            };
            assert_eq!(message.payload, n.to_string());
            if n == 1 {
                member.send(&raw::puback(message.id)).await;
            }
        }
        member.expect_silence().await;
        // To one that is there, at once and in their order.
        let mut other = join(&mut paused, &kept("b")).await;
        other.expect_silence().await;
        drop(member);
        for n in [0, 2, 3] {
            let Got::Message(message) = other.next().await else {
                panic!("a message");
            };
            assert_eq!((message.payload, message.dup), (n.to_string(), false));
        }
        // Without one, before all that comes later, to the next member that comes.
        other.leave().await;
        publish(&mut paused, 4..6).await;
        let mut third = join(&mut paused, &v3("c")).await;
        for n in [0, 2, 3, 4, 5] {
            assert_eq!(third.message().await.payload, n.to_string());
        }
        third.expect_silence().await;
        third.leave().await;
        let mut first = paused.join(&connect).await;
        first.expect_silence().await;
        for id in ["a", "b"] {
            paused.join(&v5(id)).await.leave().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_gets_what_was_not_acknowledged() {
    let mut paused = Paused::start(limits());
    let mut old = join(&mut paused, &kept("a")).await;
    publish(&mut paused, 0..3).await;
    for _ in 0..3 {
        assert!(matches!(old.next().await, Got::Message(_)));
    }
    let mut new = paused.join(&kept("a")).await;
    old.expect_disconnect(0x8E).await;
    expect(&mut new, 0..3).await;
    // Also where the session begins anew, and another member is there.
    publish(&mut paused, 3..5).await;
    for _ in 0..2 {
        assert!(matches!(new.next().await, Got::Message(_)));
    }
    let mut other = join(&mut paused, &kept("b")).await;
    let mut anew = paused.join(&v5("a")).await;
    new.expect_disconnect(0x8E).await;
    expect(&mut other, 3..5).await;
    anew.expect_silence().await;
}

/// Members that come and go while messages are published, some without an acknowledgement: as one
/// session is always kept, everything comes to somebody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_while_members_come_and_go() {
    const MESSAGES: usize = 3_000;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let running = start(
        BrokerLimits::general(),
        BrokerRules::general(),
        std::sync::Arc::new(AllowAll),
    )
    .await;
    let port = running.port;
    let mut keeper = Raw::join(port, &kept("keeper")).await;
    assert_eq!(keeper.subscribe(FILTER).await, 1);
    keeper.leave().await;
    let mut publishers = JoinSet::new();
    publishers.spawn(async move {
        let mut client = Raw::join(port, &v5("p")).await;
        for n in 0..MESSAGES {
            assert_eq!(client.publish("t/1", &n.to_string()).await, 0);
        }
    });
    let mut members = JoinSet::new();
    for member in 0..3 {
        members.spawn(async move {
            let mut random = Rng::with_seed(seed.wrapping_add(member));
            let mut seen = Vec::new();
            // Until there are no more messages than those that wait.
            for _ in 0..60 {
                let id = format!("m{member}");
                let connect = if random.bool() { kept(&id) } else { v5(&id) };
                let mut client = Raw::join(port, &connect).await;
                // A session that goes on may be sent messages before the answer.
                client
                    .send(&raw::subscribe(true, 1, &[(FILTER, 1)], &[]))
                    .await;
                let mut left = random.u32(1..40);
                while left > 0 {
                    match client.next().await {
                        Got::SubAck(1, codes) => {
                            assert_eq!(codes, [1]);
                            client.send(&[0xC0, 0]).await;
                        }
                        Got::Message(message) if random.u8(0..8) > 0 => {
                            client.send(&raw::puback(message.id)).await;
                            seen.push(message.payload.parse::<usize>().unwrap());
                        }
                        Got::Message(_) => {}
                        Got::Pong => break,
                        other => panic!("{other:?}"),
                    }
                    left -= 1;
                }
                if random.bool() {
                    client.send(&[0xE0, 0]).await;
                }
            }
            seen
        });
    }
    let mut seen: Vec<usize> = members.join_all().await.into_iter().flatten().collect();
    publishers.join_all().await;
    running.until(|broker| broker.connections() == 0).await;
    let mut keeper = Raw::join(port, &kept("keeper")).await;
    seen.sort_unstable();
    seen.dedup();
    let alone = seen.len();
    while seen.len() < MESSAGES {
        let message = keeper.message().await;
        let number = message.payload.parse().unwrap();
        if let Err(at) = seen.binary_search(&number) {
            seen.insert(at, number);
        }
    }
    assert!(alone > 0, "seed {seed}: members got nothing");
    assert_eq!(running.broker.counts().dropped, 0, "seed {seed}");
}

/// A message that is published while a member comes back is not overlooked by both. The worst
/// moment is met by a test in the hub.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_while_something_is_kept_hears_of_it() {
    let running = start(
        BrokerLimits::general(),
        BrokerRules::general(),
        std::sync::Arc::new(AllowAll),
    )
    .await;
    let port = running.port;
    let mut publisher = Raw::join(port, &v5("p")).await;
    let mut member = Raw::join(port, &kept("a")).await;
    assert_eq!(member.subscribe(FILTER).await, 1);
    member.leave().await;
    for n in 0..500 {
        let payload = n.to_string();
        // Both are on their way at once; nothing else wakes the member.
        let mut member = Raw::open(port).await;
        let connect = kept("a").bytes();
        let publish = raw::publish(true, "t/1", &payload, 1, 1, false, &[]);
        let (_, ()) = tokio::join!(member.try_send(&connect), publisher.send(&publish));
        assert!(matches!(member.next().await, Got::ConnAck { .. }));
        assert_eq!(publisher.next().await, Got::PubAck(1, 0));
        assert_eq!(member.message().await.payload, payload);
        member.leave().await;
    }
    assert!(running.broker.counts().stored > 0);
}
