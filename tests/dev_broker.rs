//! The broker of `eventcast dev` as IoT Core: its differences from MQTT, its limits, and the
//! effects of policies on a client.

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

use std::sync::Arc;

use broker::{Book, Running, iot_core, start, unhurried};
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use eventcast::dev::broker::observe::BrokerEvent;
use raw::{
    Connect, Got, Raw, Will, number2, number4, publish, string, subscribe, unsubscribe,
    user_property, v3, v5,
};

async fn limited(change: impl FnOnce(&mut BrokerLimits)) -> Running {
    let mut limits = unhurried();
    change(&mut limits);
    start(limits, BrokerRules::iot_core(), Arc::new(AllowAll)).await
}

#[tokio::test]
async fn qos_2_is_refused() {
    let running = iot_core().await;
    let bytes = |v5| publish(v5, "t", "x", 2, 1, false, &[]);
    let mut client = Raw::join(running.port, &v5("a")).await;
    client.send(&bytes(true)).await;
    client.expect_disconnect(0x9B).await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    client.send(&bytes(false)).await;
    client.expect_end().await;
    let will = Will {
        topic: "t".into(),
        qos: 2,
        ..Will::default()
    };
    let mut client = Raw::open(running.port).await;
    match client.knock(&v5("a").will(will.clone())).await {
        Got::ConnAck { code: 0x9B, .. } => client.expect_end().await,
        other => panic!("{other:?}"),
    }
    let mut client = Raw::open(running.port).await;
    assert_eq!(client.knock(&v3("a").will(will)).await, Got::End);
    // A subscription with QoS 2 gets QoS 1.
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.subscribe_with("t", 2, &[]).await, 1);
}

#[tokio::test]
async fn what_connack_tells() {
    let running = iot_core().await;
    let mut client = Raw::open(running.port).await;
    let connect = v5("a").keep_alive(10).expiry(100_000);
    let (_, told) = client.login(&connect).await;
    let numbers = [
        // Receive maximum, maximum QoS, maximum packet size, topic aliases, keep-alive, session
        // expiry; no subscription identifiers.
        (0x21, 100),
        (0x24, 1),
        (0x27, 146 * 1024),
        (0x22, 8),
        (0x13, 30),
        (0x11, 3_600),
        (0x29, 0),
    ];
    for (id, value) in numbers {
        assert_eq!(told.number(id), Some(value), "{id:#x}");
    }
    for (asked, told) in [
        (0, Some(1_200)),
        (1_201, Some(1_200)),
        (29, Some(30)),
        (300, None),
    ] {
        let mut client = Raw::open(running.port).await;
        let (_, properties) = client.login(&v5("a").keep_alive(asked)).await;
        assert_eq!(properties.number(0x13), told, "{asked}");
    }
}

#[tokio::test]
async fn mqtt_3_1_is_spoken() {
    let running = iot_core().await;
    let connect = Connect {
        name: "MQIsdp",
        level: 3,
        ..v3("amplify")
    };
    let mut client = Raw::join(running.port, &connect).await;
    assert_eq!(client.subscribe("t").await, 1);
    client.publish("t", "x").await;
    assert_eq!(client.message().await.payload, "x");
}

#[tokio::test]
async fn the_parent_level_is_not_matched() {
    let running = iot_core().await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    assert_eq!(client.subscribe("a/#").await, 1);
    for topic in ["a", "b", "a/", "a/b/c"] {
        client.fire(topic, topic).await;
    }
    for topic in ["a/", "a/b/c"] {
        assert_eq!(client.message().await.payload, topic);
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn retained_messages_come_on_exact_filters_only() {
    let running = iot_core().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.publish_with("r/1", "kept", true, &[]).await, 0);
    for filter in ["r/+", "r/#", "#", "$share/g/r/1"] {
        assert_eq!(client.subscribe(filter).await, 1);
        client.expect_silence().await;
    }
    assert_eq!(client.subscribe("r/1").await, 1);
    let message = client.message().await;
    assert_eq!((&*message.payload, message.retain), ("kept", true));
}

#[tokio::test]
async fn subscribing_is_limited() {
    let running = iot_core().await;
    let filters: Vec<String> = (0..60).map(|n| format!("f/{n}")).collect();
    let eight = |from: usize| -> Vec<(&str, u8)> {
        filters[from..from + 8]
            .iter()
            .map(|filter| (&**filter, 1))
            .collect()
    };
    // Nine in one SUBSCRIBE end the connection.
    let nine: Vec<(&str, u8)> = filters[..9].iter().map(|filter| (&**filter, 1)).collect();
    let mut client = Raw::join(running.port, &v5("a")).await;
    client.send(&subscribe(true, 1, &nine, &[])).await;
    client.expect_disconnect(0x97).await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    client.send(&subscribe(false, 1, &nine, &[])).await;
    client.expect_end().await;
    // The fifty-first subscription is refused, and the connection goes on.
    for (connect, refused) in [(v5("a"), 0x97), (v3("a"), 0x80)] {
        let is_v5 = connect.level == 5;
        let mut client = Raw::join(running.port, &connect).await;
        for from in (0..48).step_by(8) {
            client.send(&subscribe(is_v5, 1, &eight(from), &[])).await;
            assert_eq!(client.next().await, Got::SubAck(1, vec![1; 8]));
        }
        client
            .send(&subscribe(is_v5, 2, &eight(48)[..4], &[]))
            .await;
        let codes = vec![1, 1, refused, refused];
        assert_eq!(client.next().await, Got::SubAck(2, codes));
        // One that exists may be asked for again, and one that is given up makes room.
        assert_eq!(client.subscribe("f/0").await, 1);
        client.send(&unsubscribe(is_v5, 3, &["f/0"])).await;
        assert!(matches!(client.next().await, Got::UnsubAck(3, _)));
        assert_eq!(client.subscribe("f/50").await, 1);
    }
}

#[tokio::test]
async fn unacknowledged_messages_come_to_a_new_connection_without_a_mark() {
    let running = iot_core().await;
    for connect in [v3("a").dirty(), v5("b").dirty().expiry(100)] {
        let mut client = Raw::join(running.port, &connect).await;
        assert_eq!(client.subscribe("t").await, 1);
        for payload in ["0", "1"] {
            publish_once(running.port, payload).await;
        }
        // The first is acknowledged, the second is not.
        assert_eq!(client.message().await.id, 1);
        assert!(matches!(client.next().await, Got::Message(_)));
        client.expect_silence().await;
        drop(client);
        let mut client = Raw::join(running.port, &connect).await;
        let message = client.message().await;
        assert_eq!((&*message.payload, message.id), ("1", 1));
        assert!(!message.dup);
        client.expect_silence().await;
    }
}

async fn publish_once(port: u16, payload: &str) {
    let mut publisher = Raw::join(port, &v3("publisher")).await;
    publisher.publish("t", payload).await;
}

#[tokio::test]
async fn filters_are_limited() {
    let running = iot_core().await;
    let deep = "1/2/3/4/5/6/7/8/9";
    let long = "x".repeat(257);
    for (connect, refused) in [(v5("a"), 0x8F), (v3("a"), 0x80)] {
        let mut client = Raw::join(running.port, &connect).await;
        for filter in [deep, &long] {
            assert_eq!(client.subscribe(filter).await, refused, "{filter}");
        }
        // The name of a shared subscription does not count.
        assert_eq!(
            client.subscribe("$share/some-name/1/2/3/4/5/6/7/8").await,
            1
        );
        assert_eq!(client.subscribe("$aws/events/#").await, 1);
    }
    let unfit = [("a/#/b", 0x81), ("a+", 0x81), ("", 0x81), ("a\u{7}", 0x8F)];
    for (filter, reason) in unfit {
        let mut client = Raw::join(running.port, &v5("a")).await;
        client.send(&subscribe(true, 1, &[(filter, 1)], &[])).await;
        client.expect_disconnect(reason).await;
        let mut client = Raw::join(running.port, &v3("a")).await;
        client.send(&subscribe(false, 1, &[(filter, 1)], &[])).await;
        client.expect_end().await;
    }
    let mut client = Raw::join(running.port, &v5("a")).await;
    client
        .send(&subscribe(true, 1, &[("t", 1)], &[0x0B, 7]))
        .await;
    client.expect_disconnect(0xA1).await;
}

#[tokio::test]
async fn publishing_is_limited() {
    let running = iot_core().await;
    let deep = "1/2/3/4/5/6/7/8/9";
    let long = "x".repeat(257);
    let mut client = Raw::join(running.port, &v5("a")).await;
    for topic in [deep, &long] {
        assert_eq!(client.publish(topic, "x").await, 0x90);
    }
    // Basic Ingest reaches a rule and nobody else; its prefix does not count.
    assert_eq!(client.subscribe("#").await, 1);
    let ingest = format!("$aws/rules/some_rule/{}", "x".repeat(256));
    assert_eq!(client.publish(&ingest, "x").await, 0);
    client.expect_silence().await;
    assert_eq!(client.publish("t", &"x".repeat(128 * 1024)).await, 0);
    assert_eq!(client.message().await.payload.len(), 128 * 1024);
    client
        .send(&publish(
            true,
            "t",
            &"x".repeat(128 * 1024 + 1),
            1,
            1,
            false,
            &[],
        ))
        .await;
    client.expect_disconnect(0x97).await;
    for topic in [deep, &long, "$aws/events/x", "$SYS/x"] {
        let mut client = Raw::join(running.port, &v3("a")).await;
        client
            .send(&publish(false, topic, "x", 1, 1, false, &[]))
            .await;
        client.expect_end().await;
        let mut client = Raw::join(running.port, &v5("a")).await;
        client.fire(topic, "x").await;
        client.expect_disconnect(0x90).await;
    }
}

#[tokio::test]
async fn properties_are_limited() {
    let running = iot_core().await;
    let kib = "x".repeat(1024);
    let of = |count: usize| -> Vec<u8> {
        (0..count)
            .flat_map(|_| user_property(&kib[..24], &kib[..1_000]))
            .collect()
    };
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.publish_with("t", "x", false, &of(8)).await, 0);
    for properties in [
        of(9),
        string(0x03, &"x".repeat(257)),
        string(0x09, &"x".repeat(8 * 1024 + 1)),
    ] {
        let mut client = Raw::join(running.port, &v5("a")).await;
        client
            .send(&publish(true, "t", "x", 1, 1, false, &properties))
            .await;
        client.expect_disconnect(0x97).await;
    }
    // A message expiry of 0 is raised to 1, and of more than a week is lowered.
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.subscribe("t").await, 1);
    for (asked, told) in [(0, 1), (700_000, 604_800)] {
        client
            .publish_with("t", "x", false, &number4(0x02, asked))
            .await;
        assert_eq!(client.message().await.properties.number(0x02), Some(told));
    }
}

#[tokio::test]
async fn client_ids_are_limited() {
    let running = iot_core().await;
    Raw::join(running.port, &v5(&"x".repeat(128))).await;
    for id in ["x".repeat(129), "$x".to_owned()] {
        for (connect, code) in [(v5(&id), 0x85), (v3(&id), 2)] {
            let mut client = Raw::open(running.port).await;
            match client.knock(&connect).await {
                Got::ConnAck { code: told, .. } => assert_eq!(told, code),
                other => panic!("{other:?}"),
            }
            client.expect_end().await;
        }
    }
    // The smallest maximum packet size.
    for (asked, is_let_in) in [(512, true), (511, false)] {
        let mut client = Raw::open(running.port).await;
        let got = client.knock(&v5("a").with(&number4(0x27, asked))).await;
        assert_eq!(matches!(got, Got::ConnAck { code: 0, .. }), is_let_in);
    }
    // Extended authentication is not spoken.
    let mut client = Raw::open(running.port).await;
    match client.knock(&v5("a").with(&string(0x15, "method"))).await {
        Got::ConnAck { code: 0x80, .. } => client.expect_end().await,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_connect_a_second() {
    let running = limited(|limits| limits.connects_per_second_per_client_id = Some(1)).await;
    Raw::join(running.port, &v5("a")).await.leave().await;
    for (connect, code) in [(v5("a"), 0x97), (v3("a"), 3)] {
        let mut client = Raw::open(running.port).await;
        match client.knock(&connect).await {
            Got::ConnAck { code: told, .. } => assert_eq!(told, code),
            other => panic!("{other:?}"),
        }
    }
    Raw::join(running.port, &v5("b")).await;
    let running = limited(|limits| limits.account_connects = Some(2)).await;
    Raw::join(running.port, &v5("a")).await;
    Raw::join(running.port, &v5("b")).await;
    let mut client = Raw::open(running.port).await;
    assert!(matches!(
        client.knock(&v5("c")).await,
        Got::ConnAck { code: 0x97, .. }
    ));
}

#[tokio::test]
async fn more_than_the_publishes_a_second_are_discarded() {
    let running = limited(|limits| limits.publishes_per_second = Some(10)).await;
    let mut watcher = Raw::join(running.port, &v5("w")).await;
    assert_eq!(watcher.subscribe("t").await, 1);
    let mut client = Raw::join(running.port, &v5("a")).await;
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(client.publish("t", "x").await);
    }
    let yes = codes.iter().filter(|code| **code == 0).count();
    assert!((10..=11).contains(&yes), "{codes:?}");
    assert!(codes.contains(&0x97));
    // An MQTT 3 client gets no PUBACK beyond the limit.
    let mut client = Raw::join(running.port, &v3("b")).await;
    for id in 1..=15 {
        client
            .send(&publish(false, "u", "x", 1, id, false, &[]))
            .await;
    }
    for id in 1..=10 {
        assert_eq!(client.next().await, Got::PubAck(id, 0));
    }
    client.expect_silence().await;
    assert!(running.broker.counts().throttled >= 6);
}

#[tokio::test]
async fn rates_of_the_account() {
    let running = limited(|limits| {
        limits.account_publishes_in = Some(3);
        limits.account_subscribes = Some(2);
        limits.account_queued = Some(1);
    })
    .await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    client
        .send(&subscribe(true, 1, &[("t", 1), ("u", 1), ("v", 1)], &[]))
        .await;
    assert_eq!(client.next().await, Got::SubAck(1, vec![1, 1, 0x97]));
    // MQTT 3 gets no SUBACK at all.
    let mut old = Raw::join(running.port, &v3("old")).await;
    old.send(&subscribe(false, 1, &[("v", 1)], &[])).await;
    old.expect_silence().await;
    for code in [0, 0, 0, 0x97] {
        assert_eq!(client.publish("nobody", "x").await, code);
    }
}

#[tokio::test]
async fn retained_messages_of_a_topic_are_limited() {
    let running = limited(|limits| limits.retained_per_second_per_topic = Some(1)).await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.publish_with("t", "1", true, &[]).await, 0);
    assert_eq!(client.publish_with("t", "2", true, &[]).await, 0x97);
    assert_eq!(client.publish_with("u", "3", true, &[]).await, 0);
    assert_eq!(client.publish("t", "live").await, 0);
    let kept = running.broker.retained("t").unwrap();
    assert_eq!(&kept.payload[..], b"1");
}

#[tokio::test]
async fn a_slow_subscriber_is_bounded() {
    let running = limited(|limits| {
        limits.unacknowledged_out = 2;
        limits.queued_per_session = 3;
    })
    .await;
    let mut slow = Raw::join(running.port, &v5("slow")).await;
    assert_eq!(slow.subscribe("t").await, 1);
    let mut publisher = Raw::join(running.port, &v5("p")).await;
    for n in 0..8 {
        publisher.publish("t", &n.to_string()).await;
        if n < 2 {
            // These two are in flight when the others come.
            assert!(matches!(slow.next().await, Got::Message(_)));
        }
    }
    assert_eq!(running.broker.counts().dropped, 3);
    assert_eq!(running.broker.connection("slow").unwrap().queued, 5);
    slow.send(&raw::puback(1)).await;
    slow.send(&raw::puback(2)).await;
    for n in 2..5 {
        assert_eq!(slow.message().await.payload, n.to_string());
    }
    slow.expect_silence().await;
}

fn book() -> Book {
    Book::default()
        .with(
            "ann",
            &[
                "connect ann*",
                "publish ann/*",
                "publish shared",
                "subscribe ann/*",
                "subscribe all/#",
                "receive ann/*",
                "receive all/ann",
                "retain ann/status",
            ],
        )
        .with(
            "root",
            &[
                "connect *",
                "publish *",
                "subscribe *",
                "receive *",
                "retain *",
            ],
        )
}

fn as_user(connect: Connect, user: &str) -> Connect {
    Connect {
        user_name: Some(user.to_owned()),
        ..connect
    }
}

async fn with_book() -> Running {
    start(unhurried(), BrokerRules::iot_core(), Arc::new(book())).await
}

#[tokio::test]
async fn who_is_not_known_is_not_let_in() {
    let running = with_book().await;
    for (connect, code) in [
        (v5("ann"), 0x86),
        (v3("ann"), 4),
        (as_user(v5("ann"), "eve"), 0x86),
        // Known, but with a client id of another.
        (as_user(v5("root"), "ann"), 0x87),
        // A session that is kept is not allowed.
        (as_user(v5("ann-1").expiry(1), "ann"), 0),
    ] {
        let mut client = Raw::open(running.port).await;
        match client.knock(&connect).await {
            Got::ConnAck { code: told, .. } => assert_eq!(told, code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(running.broker.counts().refused, 4);
}

#[tokio::test]
async fn publishing_without_permission() {
    let running = with_book().await;
    let mut client = Raw::join(running.port, &as_user(v5("ann"), "ann")).await;
    assert_eq!(client.publish("root/x", "x").await, 0x87);
    assert_eq!(client.publish("ann/x", "x").await, 0);
    // Retained ones ask for more.
    assert_eq!(client.publish_with("ann/x", "x", true, &[]).await, 0x87);
    assert_eq!(client.publish_with("ann/status", "x", true, &[]).await, 0);
    // With QoS 0 there is no other way to report it.
    client.fire("root/x", "x").await;
    client.expect_disconnect(0x87).await;
    for qos in [0, 1] {
        let mut client = Raw::join(running.port, &as_user(v3("ann"), "ann")).await;
        client
            .send(&publish(false, "root/x", "x", qos, 1, false, &[]))
            .await;
        client.expect_end().await;
    }
    assert_eq!(running.broker.counts().publish_denied, 5);
}

#[tokio::test]
async fn subscribing_without_permission() {
    let running = with_book().await;
    let filters = [("ann/x", 1), ("root/x", 1), ("ann/#", 0)];
    let mut client = Raw::join(running.port, &as_user(v5("ann"), "ann")).await;
    client.send(&subscribe(true, 1, &filters, &[])).await;
    assert_eq!(client.next().await, Got::SubAck(1, vec![1, 0x87, 0]));
    let mut client = Raw::join(running.port, &as_user(v3("ann"), "ann")).await;
    client.send(&subscribe(false, 1, &filters, &[])).await;
    client.expect_end().await;
}

#[tokio::test]
async fn what_happens_on_a_refusal_can_be_switched() {
    let rules = BrokerRules {
        close_v5_refusals: true,
        answer_v3_refusals: true,
        ..BrokerRules::iot_core()
    };
    let running = start(unhurried(), rules, Arc::new(book())).await;
    let mut client = Raw::join(running.port, &as_user(v5("ann"), "ann")).await;
    client
        .send(&subscribe(true, 1, &[("root/x", 1)], &[]))
        .await;
    assert_eq!(client.next().await, Got::SubAck(1, vec![0x87]));
    client.expect_disconnect(0x87).await;
    let mut client = Raw::join(running.port, &as_user(v5("ann"), "ann")).await;
    client
        .send(&publish(true, "root/x", "x", 1, 1, false, &[]))
        .await;
    client.expect_disconnect(0x87).await;
    let mut client = Raw::join(running.port, &as_user(v3("ann"), "ann")).await;
    assert_eq!(client.subscribe("root/x").await, 0x80);
}

#[tokio::test]
async fn deliveries_ask_for_permission_each() {
    let running = with_book().await;
    let mut ann = Raw::join(running.port, &as_user(v5("ann"), "ann")).await;
    assert_eq!(ann.subscribe("all/#").await, 1);
    let mut root = Raw::join(running.port, &as_user(v5("root"), "root")).await;
    for (topic, payload) in [
        ("all/bob", "secret"),
        ("all/ann", "for ann"),
        ("all/bob", "secret"),
    ] {
        root.publish(topic, payload).await;
    }
    assert_eq!(ann.message().await.payload, "for ann");
    ann.expect_silence().await;
    assert_eq!(running.broker.counts().receive_denied, 2);
    // A denied message is not in flight for ever.
    assert_eq!(running.broker.connection("ann").unwrap().queued, 0);
}

#[tokio::test]
async fn a_will_is_authorized_when_it_is_left() {
    let running = with_book().await;
    let will = |topic: &str, retain| Will {
        topic: topic.into(),
        payload: "gone".into(),
        retain,
        ..Will::default()
    };
    for (will, code) in [
        (will("root/x", false), 0x87),
        (will("ann/x", true), 0x87),
        (will("ann/status", true), 0),
        (will("$aws/x", false), 0x90),
    ] {
        let mut client = Raw::open(running.port).await;
        match client.knock(&as_user(v5("ann"), "ann").will(will)).await {
            Got::ConnAck { code: told, .. } => assert_eq!(told, code),
            other => panic!("{other:?}"),
        }
    }
}

/// The events that a watcher sees, as JSON, without the parts that change from run to run.
async fn event(watcher: &mut Raw<tokio::net::TcpStream>) -> (String, serde_json::Value) {
    let message = watcher.message().await;
    let mut event: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
    let fields = event.as_object_mut().unwrap();
    assert!(fields.remove("timestamp").unwrap().as_u64() > Some(1_600_000_000_000));
    let session = fields.remove("sessionIdentifier").unwrap();
    assert!(matches!(session.as_str().unwrap().len(), 0 | 36));
    (message.topic, event)
}

#[tokio::test]
async fn life_cycle_events() {
    let running = with_book().await;
    let mut watcher = Raw::join(running.port, &as_user(v5("watcher"), "root")).await;
    assert_eq!(watcher.subscribe("$aws/events/#").await, 1);
    // Its own.
    watcher.message().await;
    let mut client = Raw::join(running.port, &as_user(v3("ann"), "ann")).await;
    assert_eq!(client.subscribe("ann/x").await, 1);
    client.send(&unsubscribe(false, 1, &["ann/x"])).await;
    assert!(matches!(client.next().await, Got::UnsubAck(1, _)));
    client.leave().await;
    let mut client = Raw::join(running.port, &as_user(v3("ann"), "ann")).await;
    client
        .send(&publish(false, "root/x", "x", 0, 0, false, &[]))
        .await;
    client.expect_end().await;
    let mut client = Raw::open(running.port).await;
    client.knock(&as_user(v3("bob"), "ann")).await;
    let mut seen = Vec::new();
    for _ in 0..7 {
        let (topic, event) = event(&mut watcher).await;
        seen.push(format!("{topic}\n{event}"));
    }
    insta::assert_snapshot!(seen.join("\n"));
    // There are none for ids that would be wildcards.
    let mut odd = Raw::join(running.port, &as_user(v3("a+"), "root")).await;
    assert_eq!(odd.subscribe("x").await, 1);
    odd.leave().await;
    watcher.expect_silence().await;
}

#[tokio::test]
async fn reasons_of_disconnections() {
    let running = iot_core().await;
    let mut watcher = Raw::join(running.port, &v5("watcher")).await;
    assert_eq!(
        watcher
            .subscribe("$aws/events/presence/disconnected/+")
            .await,
        1
    );
    let mut reason = async || {
        let (_, event) = event(&mut watcher).await;
        let reason = event["disconnectReason"].as_str().unwrap().to_owned();
        (
            reason,
            event["clientInitiatedDisconnect"].as_bool().unwrap(),
        )
    };
    Raw::join(running.port, &v5("a")).await.leave().await;
    assert_eq!(reason().await, ("CLIENT_INITIATED_DISCONNECT".into(), true));
    drop(Raw::join(running.port, &v5("a")).await);
    assert_eq!(reason().await, ("CONNECTION_LOST".into(), false));
    let mut client = Raw::join(running.port, &v5("a")).await;
    client.send(&[0xC1, 0]).await;
    assert_eq!(reason().await, ("CLIENT_ERROR".into(), false));
    let first = Raw::join(running.port, &v5("a")).await;
    let _second = Raw::join(running.port, &v5("a")).await;
    assert_eq!(reason().await, ("DUPLICATE_CLIENTID".into(), false));
    drop(first);
    assert!(running.broker.delete_connection("a", false, false));
    assert_eq!(reason().await, ("API_INITIATED_DISCONNECT".into(), false));
    let facts = running.broker.connection("a").unwrap();
    assert_eq!(facts.disconnect_reason, Some("API_INITIATED_DISCONNECT"));
    assert!(!facts.is_connected);
}

#[tokio::test]
async fn deleting_connections() {
    let running = iot_core().await;
    let mut watcher = Raw::join(running.port, &v5("w")).await;
    assert_eq!(watcher.subscribe("will").await, 1);
    let will = Will {
        topic: "will".into(),
        payload: "gone".into(),
        ..Will::default()
    };
    for (clean, prevent) in [(false, false), (true, true)] {
        let connect = v5("a").dirty().expiry(1_000).will(will.clone());
        let mut client = Raw::join(running.port, &connect).await;
        assert_eq!(client.subscribe("t").await, 1);
        let known = running.broker.subscriptions("a").unwrap();
        assert_eq!(known, [("t".to_owned(), 1)]);
        assert!(running.broker.delete_connection("a", clean, prevent));
        client.expect_disconnect(0x98).await;
        assert!(!running.broker.delete_connection("a", clean, prevent));
        assert_eq!(running.broker.subscriptions("a").is_none(), clean);
        if !prevent {
            assert_eq!(watcher.message().await.payload, "gone");
        }
    }
    watcher.expect_silence().await;
}

#[tokio::test]
async fn what_happens_can_be_observed() {
    let running = with_book().await;
    let mut observations = running.broker.observe();
    let mut ann = Raw::join(running.port, &as_user(v5("ann"), "ann")).await;
    ann.subscribe("all/#").await;
    ann.subscribe("root/x").await;
    ann.publish("root/x", "x").await;
    let mut root = Raw::join(running.port, &as_user(v5("root"), "root")).await;
    root.publish("all/ann", "yes").await;
    ann.message().await;
    root.publish("all/bob", "no").await;
    ann.expect_silence().await;
    ann.leave().await;
    let mut seen = Vec::new();
    loop {
        let observation = observations.next().await.unwrap().unwrap();
        let mut what = observation.what.clone();
        if let BrokerEvent::Connected { source, .. } = &mut what {
            source.set_port(1);
        }
        seen.push(format!("{} {what:?}", observation.client_id));
        if matches!(what, BrokerEvent::Disconnected { .. }) {
            break;
        }
    }
    insta::assert_snapshot!(seen.join("\n"));
}

#[tokio::test]
async fn faults_on_request() {
    let running = iot_core().await;
    let fault = |json: &str| running.broker.add_fault(json.as_bytes()).unwrap();
    let mut watcher = Raw::join(running.port, &v5("w")).await;
    assert_eq!(watcher.subscribe("t").await, 1);
    let mut client = Raw::join(running.port, &v5("a")).await;
    fault(r#"{"action": "Publish", "client": "a", "fault": "refuse", "times": 1}"#);
    assert_eq!(client.publish("t", "refused").await, 0x80);
    fault(r#"{"action": "Publish", "client": "a", "fault": "throttle", "times": 1}"#);
    assert_eq!(client.publish("t", "throttled").await, 0x97);
    fault(r#"{"action": "Publish", "client": "a", "fault": "duplicate", "times": 1}"#);
    assert_eq!(client.publish("t", "twice").await, 0);
    for _ in 0..2 {
        assert_eq!(watcher.message().await.payload, "twice");
    }
    // Its message arrives, its acknowledgement does not.
    fault(r#"{"action": "Publish", "client": "a", "fault": "drop", "times": 1}"#);
    client
        .send(&publish(true, "t", "unanswered", 1, 1, false, &[]))
        .await;
    client.expect_end().await;
    assert_eq!(watcher.message().await.payload, "unanswered");
    let mut client = Raw::join(running.port, &v5("a")).await;
    fault(r#"{"action": "Publish", "client": "a", "fault": "disconnect", "times": 1}"#);
    client.fire("t", "never").await;
    client.expect_end().await;
    watcher.expect_silence().await;
    // An acknowledgement that is late does not hold others up.
    let mut client = Raw::join(running.port, &v5("a")).await;
    fault(
        r#"{"action": "Publish", "topic": "t", "fault": "delay", "milliseconds": 50, "times": 1}"#,
    );
    client
        .send(&publish(true, "t", "late", 1, 1, false, &[]))
        .await;
    assert_eq!(client.publish("u", "x").await, 0);
    assert_eq!(client.next().await, Got::PubAck(1, 0));
    assert_eq!(watcher.message().await.payload, "late");
    // Deliveries.
    fault(r#"{"action": "Deliver", "client": "w", "fault": "duplicate", "times": 1}"#);
    client.publish("t", "twice").await;
    for _ in 0..2 {
        assert_eq!(watcher.message().await.payload, "twice");
    }
    fault(r#"{"action": "Deliver", "client": "w", "fault": "drop", "times": 1}"#);
    client.publish("t", "lost").await;
    watcher.expect_silence().await;
    // Subscriptions, and connections.
    fault(r#"{"action": "Subscribe", "topic": "test/nosubscribe", "fault": "refuse"}"#);
    assert_eq!(client.subscribe("test/nosubscribe").await, 0x80);
    let mut old = Raw::join(running.port, &v3("old")).await;
    assert_eq!(old.subscribe("test/nosubscribe").await, 0x80);
    fault(r#"{"action": "Connect", "client": "b", "fault": "refuse"}"#);
    let mut refused = Raw::open(running.port).await;
    assert!(matches!(
        refused.knock(&v3("b")).await,
        Got::ConnAck { code: 3, .. }
    ));
    running.broker.clear_faults();
    Raw::join(running.port, &v3("b")).await;
    // Everybody at once.
    running.broker.break_connections();
    client.expect_end().await;
    old.expect_end().await;
    assert!(running.broker.add_fault(b"{}").is_err());
}

#[tokio::test]
async fn a_held_acknowledgement_counts() {
    let running = limited(|limits| limits.unacknowledged_in = 2).await;
    let slow = br#"{"action": "Publish", "fault": "delay", "milliseconds": 600000}"#;
    running.broker.add_fault(slow).unwrap();
    let mut client = Raw::join(running.port, &v5("a")).await;
    client
        .send(&publish(true, "t", "x", 1, 1, false, &[]))
        .await;
    // An identifier that is in use.
    assert_eq!(
        {
            client
                .send(&publish(true, "t", "x", 1, 1, false, &[]))
                .await;
            client.next().await
        },
        Got::PubAck(1, 0x91)
    );
    for id in 2..=3 {
        client
            .send(&publish(true, "t", "x", 1, id, false, &[]))
            .await;
    }
    client.expect_disconnect(0x93).await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    for id in 1..=5 {
        client
            .send(&publish(false, "t", "x", 1, id, false, &[]))
            .await;
    }
    client.expect_silence().await;
    assert_eq!(running.broker.counts().published, 4);
}

#[tokio::test]
async fn sessions_of_mqtt_3_and_5_are_not_interchangeable() {
    let running = iot_core().await;
    let mut client = Raw::join(running.port, &v3("a").dirty()).await;
    assert_eq!(client.subscribe("t").await, 1);
    client.leave().await;
    let mut client = Raw::open(running.port).await;
    assert!(!client.login(&v5("a").dirty().expiry(100)).await.0);
    assert_eq!(running.broker.subscriptions("a").unwrap(), []);
}

#[tokio::test]
async fn from_the_inside() {
    use bytes::Bytes;
    use eventcast::dev::broker::control::{InboundPublish, PostError};

    let running = iot_core().await;
    let mut client = Raw::join(running.port, &v5("a").with(&number2(0x21, 5))).await;
    assert_eq!(client.subscribe("t/1").await, 1);
    let post = InboundPublish {
        topic: "t/1".into(),
        payload: Bytes::from_static(b"x"),
        qos: 1,
        retain: true,
        expiry: Some(50),
        is_text: true,
        content_type: Some("text/plain".into()),
        response_topic: Some("answers".into()),
        correlation_data: Some(Bytes::from_static(b"c")),
        user_properties: vec![("n".into(), "v".into())],
    };
    assert_eq!(running.broker.publish(&post), Ok(1));
    let told = client.message().await.properties;
    assert_eq!(told.number(0x01), Some(1));
    assert_eq!(told.number(0x02), Some(50));
    assert_eq!(told.text(0x03).as_deref(), Some("text/plain"));
    assert_eq!(told.text(0x08).as_deref(), Some("answers"));
    assert_eq!(told.text(0x09).as_deref(), Some("c"));
    assert_eq!(told.user(), [("n".to_owned(), "v".to_owned())]);
    let kept = running.broker.retained("t/1").unwrap();
    assert_eq!(kept.user_properties, [("n".to_owned(), "v".to_owned())]);
    for n in 2..5 {
        let topic = format!("t/{n}");
        let post = InboundPublish {
            topic,
            ..post.clone()
        };
        running.broker.publish(&post).unwrap();
    }
    let page = |after| -> Vec<String> {
        let page = running.broker.retained_after(after, 3);
        page.into_iter().map(|message| message.topic).collect()
    };
    assert_eq!(page(""), ["t/1", "t/2", "t/3"]);
    assert_eq!(page("t/3"), ["t/4"]);
    let wrong = |change: &dyn Fn(&mut InboundPublish)| {
        let mut post = post.clone();
        change(&mut post);
        running.broker.publish(&post).unwrap_err()
    };
    assert!(matches!(
        wrong(&|post| post.topic = "a/+".into()),
        PostError::Invalid(_)
    ));
    assert!(matches!(wrong(&|post| post.qos = 2), PostError::Invalid(_)));
    let large = Bytes::from(vec![0; 128 * 1024 + 1]);
    assert!(matches!(
        wrong(&|post| post.payload = large.clone()),
        PostError::TooLarge(_)
    ));
    let long = "x".repeat(9_000);
    assert!(matches!(
        wrong(&|post| post.user_properties = vec![("n".into(), long.clone())]),
        PostError::TooLarge(_)
    ));
}
