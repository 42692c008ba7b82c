//! The MQTT adapter against a broker that misbehaves on command. Any replacement of the client
//! library must pass these tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/publications.rs"]
mod publications;
#[path = "support/scripted_broker.rs"]
mod scripted_broker;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventcast::mqtt::MqttSettings;
use eventcast::mqtt::auth::BrokerAccess;
use eventcast::mqtt::pool::{Pending, Pool};
use eventcast::pace::PaceBounds;
use eventcast::port::{PublishError, Publisher};
use eventcast::route::publication::Qos;
use publications::publication;
use scripted_broker::{PING, Published, ScriptedBroker, Session};
use tokio::time::{Instant, timeout};

/// The limits of mosquitto and the scripted broker: none.
const NO_LIMITS: PaceBounds = PaceBounds {
    publishes: None,
    bytes: None,
    process: None,
};

const BOUND: Duration = Duration::from_secs(20);

fn settings(broker: &ScriptedBroker) -> MqttSettings {
    MqttSettings {
        access: BrokerAccess::plain("127.0.0.1", broker.port()),
        connections: (1, 1),
        limits: NO_LIMITS,
        back_off: (Duration::from_millis(20), Duration::from_millis(100)),
        publish_timeout: Duration::from_secs(5),
        ..MqttSettings::default()
    }
}

fn pool(broker: &ScriptedBroker) -> Pool {
    Pool::start(settings(broker))
}

/// A broker, a pool, and the connection between them, which the broker has accepted with some
/// properties.
async fn connected(properties: &[u8]) -> (ScriptedBroker, Pool, Session) {
    let broker = ScriptedBroker::start().await;
    let pool = pool(&broker);
    let session = broker.accept(properties).await;
    (broker, pool, session)
}

fn publish(pool: &Pool, topics: impl IntoIterator<Item = usize>) -> Vec<Pending> {
    let mut pendings = Vec::new();
    for topic in topics {
        let handed_over = pool.publish(publication(&format!("t/{topic}"), "{}"));
        pendings.push(handed_over.unwrap());
    }
    pendings
}

async fn fate(pending: Pending) -> Result<(), PublishError> {
    timeout(BOUND, pending).await.expect("a fate")
}

fn topics(published: &[Published]) -> Vec<&str> {
    published.iter().map(|p| p.topic.as_str()).collect()
}

#[tokio::test]
async fn shuffled_acknowledgements_reach_their_own_publications() {
    let (_broker, pool, mut session) = connected(&[]).await;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..20 {
        let pendings = publish(&pool, 0..100);
        let mut taken = session.take(100).await;
        random.shuffle(&mut taken);
        // Every third is refused, by its topic's number: a fate that belongs to another would show.
        for published in &taken {
            let number: usize = published.topic[2..].parse().unwrap();
            let reason = if number.is_multiple_of(3) { 0x87 } else { 0 };
            session.acknowledge(published.id, reason).await;
        }
        for (number, pending) in pendings.into_iter().enumerate() {
            match fate(pending).await {
                Ok(()) => assert_ne!(number % 3, 0, "seed {seed}"),
                Err(PublishError::Permanent { reason, .. }) => {
                    assert_eq!((number % 3, reason), (0, "not_authorized"), "seed {seed}");
                }
                other => panic!("{other:?}, seed {seed}"),
            }
        }
    }
}

/// Each answer is matched by counting the messages that were sent: those without acknowledgement
/// count as well.
#[tokio::test]
async fn both_qualities_of_service_find_their_answers() {
    let (_broker, pool, mut session) = connected(&[]).await;
    let mut pendings = Vec::new();
    for number in 0..90 {
        let mut one = publication(&format!("t/{number}"), "{}");
        if number % 3 == 1 {
            one.qos = Qos::AtMostOnce;
        }
        pendings.push(pool.publish(one).unwrap());
    }
    let taken = session.take(90).await;
    for published in taken.iter().rev().filter(|published| published.id != 0) {
        let number: usize = published.topic[2..].parse().unwrap();
        let reason = if number % 3 == 2 { 0x87 } else { 0 };
        session.acknowledge(published.id, reason).await;
    }
    for (number, pending) in pendings.into_iter().enumerate() {
        let refused = number % 3 == 2;
        assert_eq!(fate(pending).await.is_err(), refused, "{number}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_loss_is_not_sent_again() {
    let (broker, pool, mut session) = connected(&[]).await;
    let mut pendings = publish(&pool, 0..20);
    for published in session.take(20).await.iter().step_by(2) {
        session.acknowledge(published.id, 0).await;
        // Nobody waits for it any more; those after it move up by one.
        let place = usize::from(published.id / 2);
        assert_eq!(fate(pendings.remove(place)).await, Ok(()));
    }
    drop(session);
    let mut session = broker.accept(&[]).await;
    let again = session.take(10).await;
    let odd: Vec<String> = (1..20).step_by(2).map(|n| format!("t/{n}")).collect();
    assert_eq!(topics(&again), odd);
    for published in again {
        session.acknowledge(published.id, 0).await;
    }
    for pending in pendings {
        assert_eq!(fate(pending).await, Ok(()));
    }
}

#[tokio::test]
async fn one_late_acknowledgement_stalls_nobody() {
    let (_broker, pool, mut session) = connected(&[]).await;
    let mut late = publish(&pool, [0]);
    let held = session.next().await.unwrap();
    // More than the window of 100, so that packet identifiers go round.
    for number in 1..=400 {
        let pending = publish(&pool, [number]).remove(0);
        let published = session.next().await.unwrap();
        assert_ne!(published.id, held.id);
        session.acknowledge(published.id, 0).await;
        assert_eq!(fate(pending).await, Ok(()));
    }
    session.acknowledge(held.id, 0).await;
    assert_eq!(fate(late.remove(0)).await, Ok(()));
}

#[tokio::test]
async fn what_a_dropped_connection_left_unacknowledged_is_sent_again_in_order() {
    let (broker, pool, mut session) = connected(&[]).await;
    let mut pendings = publish(&pool, 0..100);
    let first = session.take(100).await;
    session.acknowledge(first[0].id, 0).await;
    assert_eq!(fate(pendings.remove(0)).await, Ok(()));
    // Nobody waits for the second any more: it is not sent again.
    drop(pendings.remove(0));
    drop(session);
    let mut session = timeout(BOUND, broker.accept(&[]))
        .await
        .expect("a connection");
    let later = publish(&pool, [100]);
    let again = session.take(99).await;
    let wanted: Vec<String> = (2..=100).map(|number| format!("t/{number}")).collect();
    assert_eq!(topics(&again), wanted);
    for published in &again {
        session.acknowledge(published.id, 0).await;
    }
    for pending in pendings.into_iter().chain(later) {
        assert_eq!(fate(pending).await, Ok(()));
    }
}

#[tokio::test]
async fn closing_without_a_connection_gives_every_publication_a_fate() {
    let (broker, pool, mut session) = connected(&[]).await;
    let pendings = publish(&pool, 0..100);
    session.take(100).await;
    drop((session, broker));
    pool.close(Instant::now() + Duration::from_millis(500))
        .await;
    for pending in pendings {
        assert!(matches!(
            fate(pending).await,
            Err(PublishError::Transient { .. })
        ));
    }
}

#[tokio::test]
async fn refusals_are_told_apart_by_whether_they_may_pass() {
    let (_broker, pool, mut session) = connected(&[]).await;
    for (code, permanent) in [
        (0x87, Some("not_authorized")),
        (0x90, Some("topic_invalid")),
        (0x99, Some("payload_invalid")),
        (0x97, None),
        (0x80, None),
        (0x83, None),
    ] {
        let pending = publish(&pool, [1]).remove(0);
        let published = session.next().await.unwrap();
        session.acknowledge(published.id, code).await;
        match (fate(pending).await, permanent) {
            (Err(PublishError::Permanent { reason, .. }), Some(wanted)) => {
                assert_eq!(reason, wanted);
            }
            (Err(PublishError::Transient { .. }), None) => assert_ne!(code, 0x97),
            (Err(PublishError::Throttled { .. }), None) => assert_eq!(code, 0x97),
            (other, _) => panic!("{code:#x}: {other:?}"),
        }
    }
    // 0x10, no matching subscribers, is a success.
    let pending = publish(&pool, [1]).remove(0);
    let published = session.next().await.unwrap();
    session.acknowledge(published.id, 0x10).await;
    assert_eq!(fate(pending).await, Ok(()));
}

#[tokio::test]
async fn the_brokers_receive_maximum_is_honoured() {
    // Property 0x21: receive maximum 7.
    let (_broker, pool, mut session) = connected(&[0x21, 0, 7]).await;
    let pendings = publish(&pool, 0..20);
    let mut outstanding = session.take(7).await;
    let more = timeout(Duration::from_millis(200), session.next()).await;
    assert!(more.is_err(), "an eighth came: {more:?}");
    for _ in 0..13 {
        session.acknowledge(outstanding.remove(0).id, 0).await;
        outstanding.extend(session.take(1).await);
    }
    for published in outstanding {
        session.acknowledge(published.id, 0).await;
    }
    for pending in pendings {
        assert_eq!(fate(pending).await, Ok(()));
    }
}

#[tokio::test]
async fn a_broker_that_never_acknowledges_loses_its_connection() {
    let broker = ScriptedBroker::start().await;
    let pool = Pool::start(MqttSettings {
        publish_timeout: Duration::from_millis(200),
        ..settings(&broker)
    });
    let mut silent = broker.accept(&[]).await;
    let pending = publish(&pool, [1]).remove(0);
    silent.next().await.unwrap();
    let mut session = timeout(BOUND, broker.accept(&[]))
        .await
        .expect("a connection");
    let published = session.next().await.unwrap();
    session.acknowledge(published.id, 0).await;
    assert_eq!(fate(pending).await, Ok(()));
}

#[tokio::test]
async fn a_refused_connection_says_why_and_is_tried_again() {
    let broker = ScriptedBroker::start().await;
    let pool = pool(&broker);
    broker.refuse(0x87).await;
    let mut session = timeout(BOUND, broker.accept(&[]))
        .await
        .expect("a connection");
    let why = pool.last_error().expect("a reason");
    assert!(why.contains("NotAuthorized"), "{why}");
    let pending = publish(&pool, [1]).remove(0);
    let published = session.next().await.unwrap();
    session.acknowledge(published.id, 0).await;
    assert_eq!(fate(pending).await, Ok(()));
}

#[tokio::test]
async fn the_brokers_largest_packet_is_honoured() {
    // Property 0x27: a maximum packet size of 200 bytes.
    let (_broker, pool, mut session) = connected(&[0x27, 0, 0, 0, 200]).await;
    let mut large = publication("t/1", "{}");
    large.payload = Bytes::from(vec![b' '; 190]);
    let large = pool.publish(large).unwrap();
    let small = publish(&pool, [2]).remove(0);
    let Err(PublishError::Permanent { reason, what }) = fate(large).await else {
        panic!("it was sent");
    };
    assert_eq!(reason, "too_large");
    assert!(what.contains("the broker takes 200"), "{what}");
    // The connection is the same, and goes on.
    let published = session.next().await.unwrap();
    assert_eq!(published.topic, "t/2");
    session.acknowledge(published.id, 0).await;
    assert_eq!(fate(small).await, Ok(()));
}

#[tokio::test]
async fn a_broker_that_retains_nothing_is_not_asked_to() {
    // Property 0x25: retain available, 0.
    let (_broker, pool, mut session) = connected(&[0x25, 0]).await;
    let mut retained = publication("t/1", "{}");
    retained.retain = true;
    let retained = pool.publish(retained).unwrap();
    let other = publish(&pool, [2]).remove(0);
    let Err(PublishError::Permanent { reason, .. }) = fate(retained).await else {
        panic!("it was sent");
    };
    assert_eq!(reason, "retain_unavailable");
    // The connection is the same, and answers find their own.
    let published = session.next().await.unwrap();
    assert_eq!(published.topic, "t/2");
    session.acknowledge(published.id, 0).await;
    assert_eq!(fate(other).await, Ok(()));
}

#[tokio::test]
async fn the_brokers_keep_alive_is_kept() {
    // Property 0x13: a keep-alive of one second, where 30 were asked for.
    let (_broker, _pool, mut session) = connected(&[0x13, 0, 1]).await;
    let kind = timeout(Duration::from_secs(10), session.next_kind()).await;
    assert_eq!(kind.expect("a ping"), Some(PING));
}

#[tokio::test]
async fn a_connection_that_was_taken_over_is_made_again_and_nothing_is_lost() {
    let (broker, pool, mut session) = connected(&[]).await;
    let pending = publish(&pool, [1]).remove(0);
    session.next().await.unwrap();
    session.disconnect(0x8e).await;
    let mut session = timeout(BOUND, broker.accept(&[]))
        .await
        .expect("a connection");
    let published = session.next().await.unwrap();
    session.acknowledge(published.id, 0).await;
    assert_eq!(fate(pending).await, Ok(()));
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_sent() {
    let (_broker, pool, mut session) = connected(&[]).await;
    let mut pendings = publish(&pool, 0..110);
    let first = session.take(100).await;
    // Those beyond the hundredth wait for room; one of them is taken back.
    drop(pendings.remove(104));
    for published in first {
        session.acknowledge(published.id, 0).await;
    }
    let rest = session.take(9).await;
    assert!(!topics(&rest).contains(&"t/104"), "{rest:?}");
    for published in rest {
        session.acknowledge(published.id, 0).await;
    }
    for pending in pendings {
        assert_eq!(fate(pending).await, Ok(()));
    }
}

#[tokio::test]
async fn a_connection_keeps_its_pace() {
    let broker = ScriptedBroker::start().await;
    let pool = Pool::start(MqttSettings {
        limits: PaceBounds {
            publishes: Some(20),
            ..NO_LIMITS
        },
        ..settings(&broker)
    });
    let mut session = broker.accept(&[]).await;
    let _pendings = publish(&pool, 0..100);
    let mut sent = Vec::new();
    while sent.len() < 60 {
        for published in session.take(1).await {
            sent.push(Instant::now());
            session.acknowledge(published.id, 0).await;
        }
    }
    // Messages 20 apart are a second apart, less the time that the way here may compress.
    for (before, after) in sent.iter().zip(&sent[20..]) {
        assert!(*after - *before > Duration::from_millis(900));
    }
}

#[tokio::test]
async fn the_pool_grows_while_publications_wait_and_a_topic_keeps_its_order() {
    let broker = ScriptedBroker::start().await;
    let pool = Arc::new(Pool::start(MqttSettings {
        connections: (1, 2),
        in_flight: 5,
        ..settings(&broker)
    }));
    let mut first = broker.accept(&[]).await;
    // Each of forty topics twice, the second time retained, which distinguishes them.
    let mut publishing = tokio::task::JoinSet::new();
    let publisher = Arc::clone(&pool);
    publishing.spawn(async move {
        let mut pendings = Vec::new();
        for n in 0..80 {
            let mut publication = publication(&format!("t/{}", n / 2), "{}");
            publication.retain = n % 2 == 1;
            pendings.push(publisher.publish(publication).unwrap());
        }
        pendings
    });
    let mut second = timeout(BOUND, broker.accept(&[]))
        .await
        .expect("another connection");
    let (mut seen, mut on_second) = (Vec::new(), 0);
    for _ in 0..80 {
        let (session, published) = tokio::select! {
            published = first.next() => (&mut first, published.unwrap()),
            published = second.next() => {
                on_second += 1;
                (&mut second, published.unwrap())
            }
        };
        session.acknowledge(published.id, 0).await;
        seen.push((published.topic, published.retain));
    }
    assert!(on_second > 0, "all took the first connection");
    for n in 0..40 {
        let topic = format!("t/{n}");
        let of_topic = seen.iter().filter(|(name, _)| *name == topic);
        let order: Vec<bool> = of_topic.map(|(_, retain)| *retain).collect();
        assert_eq!(order, [false, true], "{topic}");
    }
}

/// Waits until the pool has reported why it cannot connect.
async fn not_connected(pool: &Pool) -> String {
    let told = async {
        loop {
            if let Some(why) = pool.last_error() {
                return why;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, told).await.expect("an error")
}

#[tokio::test]
async fn a_connack_that_the_specification_forbids_is_refused() {
    for (properties, told) in [
        (&[0x27, 0, 0, 0, 0][..], "Maximum Packet Size must not be 0"),
        (&[0x24, 2], "Maximum QoS must not be 2"),
        (&[0x28, 2], "Wildcard Subscription Available must not be 2"),
        (
            &[0x29, 9],
            "Subscription Identifiers Available must not be 9",
        ),
        (
            &[0x2a, 255],
            "Shared Subscription Available must not be 255",
        ),
        // These are refused by the library, in its own words.
        (&[0x21, 0, 0], "rotocol"),
        (&[0x25, 2], "rotocol"),
        (&[0x12, 0, 1, b'x'], "rotocol"),
    ] {
        let (broker, pool, session) = connected(properties).await;
        let why = not_connected(&pool).await;
        assert!(why.contains(told), "{properties:x?}: {why}");
        assert_eq!(pool.connections(), 0);
        drop(session);
        // It is tried again, and a broker that has come to its senses is taken.
        let _session = broker.accept(&[]).await;
        timeout(BOUND, pool.ready()).await.expect("a connection");
    }
}

#[tokio::test]
async fn a_broker_without_mqtt_5_is_named() {
    // As amqtt and aedes answer; with the properties' length that MQTT 5 wants; in MQTT 5's own
    // words; not at all.
    for answer in [
        &[0x20, 2, 0, 1][..],
        &[0x20, 3, 0, 1, 0],
        &[0x20, 3, 0, 0x84, 0],
        &[],
    ] {
        let broker = ScriptedBroker::start().await;
        let pool = pool(&broker);
        broker.answer(answer).await;
        let why = not_connected(&pool).await;
        assert!(
            why.contains("MQTT 5 is not spoken there"),
            "{answer:x?}: {why}"
        );
    }
}

#[tokio::test]
async fn each_connection_has_a_client_id_of_its_own() {
    let broker = ScriptedBroker::start().await;
    let _pool = Pool::start(MqttSettings {
        client_id: "shop".into(),
        connections: (2, 2),
        ..settings(&broker)
    });
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..6 {
        let (id, session) = broker.accept_and_name().await;
        let (digits, number) = id.strip_prefix("shop-").unwrap().split_once('-').unwrap();
        assert_eq!(digits.len(), 16, "{id}");
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(["0", "1"].contains(&number), "{id}");
        assert!(ids.insert(digits.to_owned()), "{id} is used twice");
        drop(session);
    }
}
