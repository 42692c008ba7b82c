//! The broker of `eventcast dev` without IoT Core's limits: requirements of MQTT's specifications
//! on any broker, with QoS 0 and 1.

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

use broker::general;
use raw::{Got, Raw, Will, number2, number4, publish, string, subscribe, user_property, v3, v5};

#[tokio::test]
async fn messages_come_back_with_the_lower_qos() {
    let running = general().await;
    for connect in [v3("a"), v5("a")] {
        let mut client = Raw::join(running.port, &connect).await;
        // QoS 2 is granted as 1.
        assert_eq!(client.subscribe_with("a", 2, &[]).await, 1);
        assert_eq!(client.subscribe_with("b", 0, &[]).await, 0);
        client.fire("a", "0").await;
        assert_eq!(client.message().await.qos, 0);
        for (topic, qos) in [("a", 1), ("b", 0)] {
            let bytes = publish(connect.level == 5, topic, "x", 1, 5, false, &[]);
            client.send(&bytes).await;
            assert_eq!(client.next().await, Got::PubAck(5, 0));
            let message = client.message().await;
            assert_eq!((&*message.topic, message.qos), (topic, qos));
        }
        client.leave().await;
    }
}

#[tokio::test]
async fn who_leaves_gets_what_was_for_it_before() {
    let running = general().await;
    for connect in [v3("a"), v5("a")] {
        let is_v5 = connect.level == 5;
        let mut client = Raw::join(running.port, &connect).await;
        assert_eq!(client.subscribe("t").await, 1);
        // All in one go.
        let mut bytes: Vec<u8> = (0..100)
            .flat_map(|_| publish(is_v5, "t", "x", 0, 0, false, &[]))
            .collect();
        bytes.extend([0xE0, 0]);
        client.send(&bytes).await;
        for _ in 0..100 {
            assert_eq!(client.message().await.payload, "x");
        }
        client.expect_end().await;
    }
}

#[tokio::test]
async fn a_second_connect_and_another_protocol_end_the_connection() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    client.send(&v3("a").bytes()).await;
    client.expect_end().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    client.send(&v5("a").bytes()).await;
    client.expect_disconnect(0x82).await;
    let mut client = Raw::open(running.port).await;
    let mut connect = v3("a");
    connect.name = "hj";
    client.send(&connect.bytes()).await;
    client.expect_end().await;
    // An unknown version is refused by CONNACK.
    let mut client = Raw::open(running.port).await;
    connect.name = "MQTT";
    connect.level = 6;
    match client.knock(&connect).await {
        Got::ConnAck { code: 1, .. } => client.expect_end().await,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn retained_messages_come_to_later_subscribers() {
    let running = general().await;
    let mut publisher = Raw::join(running.port, &v5("publisher")).await;
    let properties = [user_property("a", "2"), user_property("c", "3")].concat();
    for (topic, qos) in [("r/0", 0), ("r/1", 1), ("$r/2", 1)] {
        let bytes = publish(true, topic, "kept", qos, 9, true, &properties);
        publisher.send(&bytes).await;
        if qos == 1 {
            // Nobody has subscribed, as the reason code says.
            assert_eq!(publisher.next().await, Got::PubAck(9, 0x10));
        }
    }
    let mut later = Raw::join(running.port, &v5("later")).await;
    assert_eq!(later.subscribe("+/+").await, 1);
    for (topic, qos) in [("r/0", 0), ("r/1", 1)] {
        let message = later.message().await;
        assert_eq!((&*message.topic, message.qos), (topic, qos));
        assert!(message.retain);
        let pairs = [("a", "2"), ("c", "3")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(message.properties.user(), pairs);
    }
    later.expect_silence().await;
    // Live ones are not marked as retained, and an empty one removes the retained message.
    publisher.publish_with("r/0", "live", true, &[]).await;
    assert!(!later.message().await.retain);
    for topic in ["r/0", "r/1"] {
        publisher.publish_with(topic, "", true, &[]).await;
        assert_eq!(later.message().await.payload, "");
    }
    let mut last = Raw::join(running.port, &v3("last")).await;
    assert_eq!(last.subscribe("#").await, 1);
    last.expect_silence().await;
}

#[tokio::test]
async fn retain_handling_and_retain_as_published() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    client.publish_with("t", "kept", true, &[]).await;
    // 2: never.
    assert_eq!(client.subscribe_with("t", 0x21, &[]).await, 1);
    client.expect_silence().await;
    // 1: to a new subscription only.
    assert_eq!(client.subscribe_with("t", 0x11, &[]).await, 1);
    client.expect_silence().await;
    assert_eq!(client.subscribe_with("+", 0x11, &[]).await, 1);
    assert_eq!(client.message().await.payload, "kept");
    // 0: always.
    for _ in 0..2 {
        assert_eq!(client.subscribe_with("t", 0x01, &[]).await, 1);
        assert!(client.message().await.retain);
    }
    let mut other = Raw::join(running.port, &v5("b")).await;
    assert_eq!(other.subscribe_with("u/v", 0x09, &[]).await, 1);
    for retain in [false, true] {
        client.publish_with("u/v", "x", retain, &[]).await;
        assert_eq!(other.message().await.retain, retain);
    }
}

#[tokio::test]
async fn a_client_without_an_id_is_given_one() {
    let running = general().await;
    let mut client = Raw::open(running.port).await;
    let (_, told) = client.login(&v5("")).await;
    assert_eq!(told.text(0x12).unwrap().len(), 36);
    let mut client = Raw::open(running.port).await;
    let (_, told) = client.login(&v5("").dirty()).await;
    assert!(told.text(0x12).is_some());
    Raw::join(running.port, &v3("")).await;
    let mut client = Raw::open(running.port).await;
    match client.knock(&v3("").dirty()).await {
        Got::ConnAck { code: 2, .. } => client.expect_end().await,
        other => panic!("{other:?}"),
    }
    // A client that has a client id is assigned no other.
    let mut client = Raw::open(running.port).await;
    assert_eq!(client.login(&v5("own")).await.1.text(0x12), None);
}

#[tokio::test]
async fn mqtt_3_1_knows_no_empty_client_id() {
    let running = general().await;
    let mut connect = v3("");
    (connect.name, connect.level) = ("MQIsdp", 3);
    let mut client = Raw::open(running.port).await;
    assert!(matches!(
        client.knock(&connect).await,
        Got::ConnAck { code: 2, .. }
    ));
    client.expect_end().await;
}

#[tokio::test]
async fn extended_authentication_is_refused_by_its_name() {
    let running = general().await;
    let mut client = Raw::open(running.port).await;
    let connect = v5("a").with(&string(0x15, "SCRAM-SHA-1"));
    assert!(matches!(
        client.knock(&connect).await,
        Got::ConnAck { code: 0x8C, .. }
    ));
    client.expect_end().await;
    // Data without a method is no CONNECT.
    let mut client = Raw::open(running.port).await;
    client.send(&v5("a").with(&string(0x16, "x")).bytes()).await;
    client.expect_end().await;
}

#[tokio::test]
async fn messages_wait_for_a_client_that_is_away() {
    let running = general().await;
    let mut publisher = Raw::join(running.port, &v5("publisher")).await;
    for connect in [v3("away").dirty(), v5("away5").dirty().expiry(100)] {
        let mut client = Raw::open(running.port).await;
        assert!(!client.login(&connect).await.0, "there was no session");
        assert_eq!(client.subscribe("+/C").await, 1);
        client.leave().await;
        publisher.fire("T/C", "not kept").await;
        for n in 0..30 {
            publisher.publish("T/C", &n.to_string()).await;
        }
        let mut client = Raw::open(running.port).await;
        assert!(client.login(&connect).await.0, "there was a session");
        for n in 0..30 {
            let message = client.message().await;
            assert_eq!(message.payload, n.to_string());
            assert!(!message.dup);
        }
        client.expect_silence().await;
        client.leave().await;
        // A clean start forgets all.
        let mut clean = connect;
        clean.clean = true;
        let mut client = Raw::open(running.port).await;
        assert!(!client.login(&clean).await.0);
        publisher.publish("T/C", "gone").await;
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again() {
    let running = general().await;
    for connect in [v3("a").dirty(), v5("b").dirty().expiry(100)] {
        let mut client = Raw::join(running.port, &connect).await;
        assert_eq!(client.subscribe("t").await, 1);
        let mut publisher = Raw::join(running.port, &v3("publisher")).await;
        for n in 0..3 {
            publisher.publish("t", &n.to_string()).await;
        }
        let mut ids = Vec::new();
        for n in 0..3 {
            let Got::Message(message) = client.next().await else {
                panic!("a message");
            };
            assert_eq!(message.payload, n.to_string());
            ids.push(message.id);
        }
        client.send(&raw::puback(ids[1])).await;
        client.expect_silence().await;
        drop(client);
        let mut client = Raw::join(running.port, &connect).await;
        for n in [0, 2] {
            let message = client.message().await;
            assert_eq!(message.payload, n.to_string());
            assert_eq!((message.id, message.dup), (ids[n], true));
        }
        client.expect_silence().await;
        // A new message is no duplicate, and has none of the identifiers that were in use.
        publisher.publish("t", "new").await;
        let message = client.message().await;
        assert!(!message.dup && message.id > ids[2]);
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn overlapping_subscriptions_bring_one_message_with_the_highest_qos() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    let filters = [("a/#", 2), ("a/+", 0), ("+/b", 1)];
    client.send(&subscribe(false, 3, &filters, &[])).await;
    assert_eq!(client.next().await, Got::SubAck(3, vec![1, 0, 1]));
    let mut publisher = Raw::join(running.port, &v3("p")).await;
    publisher.publish("a/b", "x").await;
    assert_eq!(client.message().await.qos, 1);
    client.expect_silence().await;
    // `a/#` matches `a`, as MQTT has it.
    publisher.publish("a", "parent").await;
    assert_eq!(client.message().await.payload, "parent");
}

#[tokio::test]
async fn subscription_identifiers_are_told_together() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    for (filter, id) in [("t", vec![0x0B, 2]), ("t/#", vec![0x0B, 0xC8, 0xF0, 0x1B])] {
        assert_eq!(client.subscribe_with(filter, 1, &id).await, 1);
    }
    assert_eq!(client.subscribe("#").await, 1);
    let mut publisher = Raw::join(running.port, &v5("p")).await;
    publisher.publish("t", "x").await;
    let message = client.message().await;
    assert_eq!(message.properties.subscriptions(), [2, 456_776]);
    client.expect_silence().await;
}

#[tokio::test]
async fn reserved_topics_are_not_reached_by_wildcards() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    for filter in ["#", "+/x", "$x/#"] {
        assert_eq!(client.subscribe(filter).await, 1);
    }
    let mut publisher = Raw::join(running.port, &v3("p")).await;
    publisher.publish("$y/x", "no").await;
    publisher.publish("$x/x", "yes").await;
    assert_eq!(client.message().await.payload, "yes");
    client.expect_silence().await;
}

#[tokio::test]
async fn unsubscribed_means_no_more() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    for filter in ["x", "y"] {
        assert_eq!(client.subscribe(filter).await, 1);
    }
    client.send(&raw::unsubscribe(true, 6, &["x", "z"])).await;
    assert_eq!(client.next().await, Got::UnsubAck(6, vec![0, 0x11]));
    let mut publisher = Raw::join(running.port, &v3("p")).await;
    publisher.publish("x", "no").await;
    publisher.publish("y", "yes").await;
    assert_eq!(client.message().await.payload, "yes");
    let mut old = Raw::join(running.port, &v3("old")).await;
    old.send(&raw::unsubscribe(false, 6, &["x"])).await;
    assert_eq!(old.next().await, Got::UnsubAck(6, vec![]));
}

#[tokio::test]
async fn no_local_keeps_a_clients_own_messages_away() {
    let running = general().await;
    let mut a = Raw::join(running.port, &v5("a")).await;
    let mut b = Raw::join(running.port, &v5("b")).await;
    for client in [&mut a, &mut b] {
        assert_eq!(client.subscribe_with("t", 0x05, &[]).await, 1);
    }
    a.publish("t", "from a").await;
    assert_eq!(b.message().await.payload, "from a");
    a.expect_silence().await;
    // It is a mistake on a shared subscription.
    a.send(&subscribe(true, 9, &[("$share/g/t", 0x05)], &[]))
        .await;
    a.expect_disconnect(0x82).await;
}

#[tokio::test]
async fn properties_go_on_as_they_were_sent() {
    let running = general().await;
    let mut a = Raw::join(running.port, &v5("a")).await;
    let mut b = Raw::join(running.port, &v5("b")).await;
    let mut old = Raw::join(running.port, &v3("old")).await;
    assert_eq!(b.subscribe("t").await, 1);
    assert_eq!(old.subscribe("t").await, 1);
    let properties = [
        &[0x01, 1][..],
        &string(0x03, "text/plain"),
        &string(0x08, "answers/here"),
        &string(0x09, "334"),
        &user_property("a", "2"),
        &user_property("a", "3"),
        &number4(0x02, 100),
    ]
    .concat();
    a.publish_with("t", "request", false, &properties).await;
    let message = b.message().await;
    let told = &message.properties;
    assert_eq!(told.number(0x01), Some(1));
    assert_eq!(told.text(0x03).as_deref(), Some("text/plain"));
    assert_eq!(told.text(0x08).as_deref(), Some("answers/here"));
    assert_eq!(told.text(0x09).as_deref(), Some("334"));
    assert_eq!(told.user().len(), 2);
    assert!(
        told.number(0x02)
            .is_some_and(|left| (90..=100).contains(&left))
    );
    assert_eq!(old.message().await.payload, "request");
}

#[tokio::test]
async fn topic_aliases_of_clients() {
    let running = general().await;
    let mut client = Raw::open(running.port).await;
    let (_, told) = client.login(&v5("a")).await;
    assert_eq!(told.number(0x22), Some(8));
    assert_eq!(client.subscribe("t").await, 1);
    let alias = number2(0x23, 8);
    for topic in ["t", ""] {
        let bytes = publish(true, topic, topic, 0, 0, false, &alias);
        client.send(&bytes).await;
        let message = client.message().await;
        assert_eq!((&*message.topic, &*message.payload), ("t", topic));
        assert_eq!(message.properties.number(0x23), None);
    }
    for (alias, topic, reason) in [(0, "t", 0x94), (9, "t", 0x94), (1, "", 0x82)] {
        let mut client = Raw::join(running.port, &v5("a")).await;
        let bytes = publish(true, topic, "x", 0, 0, false, &number2(0x23, alias));
        client.send(&bytes).await;
        client.expect_disconnect(reason).await;
    }
    // Aliases end with their connection.
    let mut client = Raw::join(running.port, &v5("a").dirty()).await;
    let bytes = publish(true, "", "x", 0, 0, false, &number2(0x23, 8));
    client.send(&bytes).await;
    client.expect_disconnect(0x82).await;
}

#[tokio::test]
async fn topic_aliases_of_the_broker() {
    let running = general().await;
    let connect = v5("a").with(&number2(0x22, 1));
    let mut client = Raw::join(running.port, &connect).await;
    assert_eq!(client.subscribe("#").await, 1);
    let mut publisher = Raw::join(running.port, &v5("p")).await;
    for (topic, told, alias) in [
        ("t", "t", Some(1)),
        ("t", "", Some(1)),
        ("u", "u", None),
        ("t", "", Some(1)),
    ] {
        publisher.publish(topic, "x").await;
        let message = client.message().await;
        assert_eq!(message.topic, told);
        assert_eq!(message.properties.number(0x23), alias);
    }
}

#[tokio::test]
async fn a_client_gets_no_packet_that_is_too_large_for_it() {
    let running = general().await;
    let connect = v5("a").with(&number4(0x27, 64));
    let mut client = Raw::join(running.port, &connect).await;
    assert_eq!(client.subscribe("t").await, 1);
    for payload in ["x".repeat(50), "y".repeat(64), "z".repeat(50)] {
        client.fire("t", &payload).await;
    }
    assert_eq!(client.message().await.payload, "x".repeat(50));
    assert_eq!(client.message().await.payload, "z".repeat(50));
    assert_eq!(running.broker.counts().dropped, 1);
}

#[tokio::test]
async fn a_client_that_takes_no_packet_like_connack_gets_none() {
    let running = general().await;
    for most in [1, 17] {
        let mut client = Raw::open(running.port).await;
        client
            .send(&v5("a").keep_alive(10).with(&number4(0x27, most)).bytes())
            .await;
        client.expect_end().await;
    }
    let mut client = Raw::open(running.port).await;
    let connect = v5("a").keep_alive(10).with(&number4(0x27, 18));
    client.login(&connect).await;
    // A no without a reason in words, which would be too large.
    let mut client = Raw::open(running.port).await;
    let connect = connect.with(&string(0x15, "SCRAM"));
    match client.knock(&connect).await {
        Got::ConnAck {
            code: 0x8C,
            properties,
            ..
        } => assert_eq!(properties.text(0x1F), None),
        other => panic!("{other:?}"),
    }
    client.expect_end().await;
}

#[tokio::test]
async fn a_packet_that_is_too_large_ends_the_connection_before_it_has_come() {
    let running = general().await;
    let mut client = Raw::open(running.port).await;
    let (_, told) = client.login(&v5("a")).await;
    let largest = told.number(0x27).unwrap();
    assert_eq!(largest, 1024 * 1024);
    client.send(&[0x30, 0xFF, 0xFF, 0xFF, 0x01]).await;
    client.expect_disconnect(0x95).await;
}

#[tokio::test]
async fn the_keep_alive_is_told() {
    let running = general().await;
    for (asked, told) in [(120, Some(60)), (60, None), (5, None), (0, Some(60))] {
        let mut client = Raw::open(running.port).await;
        let (_, properties) = client.login(&v5("a").keep_alive(asked)).await;
        assert_eq!(properties.number(0x13), told, "{asked}");
    }
}

#[tokio::test]
async fn a_client_has_no_more_in_flight_than_it_takes() {
    let running = general().await;
    let connect = v5("a").with(&number2(0x21, 2));
    let mut client = Raw::join(running.port, &connect).await;
    assert_eq!(client.subscribe("t").await, 1);
    let mut publisher = Raw::join(running.port, &v5("p")).await;
    for n in 0..4 {
        publisher.publish("t", &n.to_string()).await;
    }
    let mut ids = Vec::new();
    for n in 0..2 {
        let Got::Message(message) = client.next().await else {
            panic!("a message");
        };
        assert_eq!(message.payload, n.to_string());
        ids.push(message.id);
    }
    client.expect_silence().await;
    for (n, id) in ids.into_iter().enumerate() {
        client.send(&raw::puback(id)).await;
        let Got::Message(message) = client.next().await else {
            panic!("a message");
        };
        assert_eq!(message.payload, (n + 2).to_string());
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn a_client_that_sends_more_than_the_receive_maximum_is_told() {
    let running = general().await;
    let mut client = Raw::open(running.port).await;
    let (_, told) = client.login(&v5("a")).await;
    let maximum = u16::try_from(told.number(0x21).unwrap()).unwrap();
    // In one go: none of them can have been acknowledged when the last one comes.
    let slow = br#"{"action": "Publish", "fault": "delay", "milliseconds": 60000}"#;
    running.broker.add_fault(slow).unwrap();
    for id in 1..=maximum + 1 {
        client
            .send(&publish(true, "t", "x", 1, id, false, &[]))
            .await;
    }
    client.expect_disconnect(0x93).await;
}

#[tokio::test]
async fn a_will_is_published_for_who_is_lost() {
    let running = general().await;
    let mut watcher = Raw::join(running.port, &v5("watcher")).await;
    assert_eq!(watcher.subscribe("will/#").await, 1);
    let will = Will {
        topic: "will/a".into(),
        payload: "gone".into(),
        qos: 1,
        properties: [user_property("a", "2"), user_property("c", "3")].concat(),
        ..Will::default()
    };
    for connect in [v5("a"), v3("a")] {
        let connect = connect.will(will.clone());
        drop(Raw::join(running.port, &connect).await);
        let message = watcher.message().await;
        assert_eq!((&*message.payload, message.qos), ("gone", 1));
        if connect.level == 5 {
            assert_eq!(message.properties.user().len(), 2);
        }
        // No will for a client that sends DISCONNECT.
        Raw::join(running.port, &connect).await.leave().await;
        watcher.expect_silence().await;
    }
    // A will for a client that sends DISCONNECT and asks for it (reason code 0x04).
    let connect = v5("a").will(will);
    let mut client = Raw::join(running.port, &connect).await;
    client.send(&[0xE0, 1, 4]).await;
    client.expect_end().await;
    assert_eq!(watcher.message().await.payload, "gone");
}

#[tokio::test]
async fn a_retained_will_is_kept() {
    let running = general().await;
    let will = Will {
        topic: "status/a".into(),
        payload: "offline".into(),
        retain: true,
        ..Will::default()
    };
    drop(Raw::join(running.port, &v3("a").will(will)).await);
    running
        .until(|broker| broker.retained("status/a").is_some())
        .await;
    let mut later = Raw::join(running.port, &v3("later")).await;
    assert_eq!(later.subscribe("status/+").await, 1);
    assert_eq!(later.message().await.payload, "offline");
}

#[tokio::test]
async fn a_new_connection_takes_over() {
    let running = general().await;
    let mut first = Raw::join(running.port, &v5("a").expiry(100)).await;
    assert_eq!(first.subscribe("t").await, 1);
    let mut second = Raw::open(running.port).await;
    let (present, _) = second.login(&v5("a").dirty().expiry(100)).await;
    assert!(present);
    first.expect_disconnect(0x8E).await;
    let mut old = Raw::join(running.port, &v3("b")).await;
    let _new = Raw::join(running.port, &v3("b")).await;
    old.expect_end().await;
    // The session goes on.
    second.publish("t", "x").await;
    assert_eq!(second.message().await.payload, "x");
    assert_eq!(running.broker.connections(), 2);
}

/// As a page does that is loaded again: its goodbye and its next CONNECT arrive together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_goodbye_and_comes_back_at_once_leaves_no_will() {
    let running = general().await;
    let mut watcher = Raw::join(running.port, &v3("watcher")).await;
    assert_eq!(watcher.subscribe("will").await, 1);
    let will = Will {
        topic: "will".to_owned(),
        payload: "lost".to_owned(),
        ..Will::default()
    };
    for connect in [v3("a").dirty(), v5("b")] {
        let connect = connect.will(will.clone());
        let mut client = Raw::join(running.port, &connect).await;
        for _ in 0..200 {
            client.send(&[0xE0, 0]).await;
            client = Raw::join(running.port, &connect).await;
            watcher.expect_silence().await;
        }
        // A client that is only taken over leaves its will to be published, before anything that
        // the new connection does.
        let mut next = Raw::join(running.port, &connect).await;
        next.fire("will", "back").await;
        for payload in ["lost", "back"] {
            assert_eq!(watcher.message().await.payload, payload);
        }
        next.leave().await;
    }
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_member() {
    let running = general().await;
    let mut members = Vec::new();
    for n in 0..3 {
        let mut member = Raw::join(running.port, &v5(&format!("m{n}"))).await;
        assert_eq!(member.subscribe("$share/g/t/+").await, 1);
        members.push(member);
    }
    let mut alone = Raw::join(running.port, &v3("alone")).await;
    assert_eq!(alone.subscribe("t/#").await, 1);
    let mut publisher = Raw::join(running.port, &v5("p")).await;
    for n in 0..9 {
        publisher.publish("t/1", &n.to_string()).await;
    }
    let mut seen = Vec::new();
    for member in &mut members {
        for _ in 0..3 {
            seen.push(member.message().await.payload);
        }
        member.expect_silence().await;
    }
    seen.sort();
    let all: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    assert_eq!(seen, all);
    for n in &all {
        assert_eq!(alone.message().await.payload, *n);
    }
    // A client that is gone has no turn.
    members.pop().unwrap().leave().await;
    for n in 0..4 {
        publisher.publish("t/1", &n.to_string()).await;
    }
    for member in &mut members {
        member.message().await;
        member.message().await;
    }
}

#[tokio::test]
async fn malformed_packets_end_the_connection() {
    let running = general().await;
    let malformed: [(&[u8], u8); 17] = [
        // Flags that must not be set.
        (&[0xC1, 0], 0x81),
        (&[0x80, 5, 0, 1, 0, 0, 0], 0x81),
        // QoS 3.
        (&[0x36, 5, 0, 1, b'a', 0, 1], 0x81),
        // A topic with a wildcard.
        (&[0x30, 4, 0, 1, b'#', 0], 0x82),
        // A topic that is not UTF-8, and one with the null character.
        (&[0x30, 4, 0, 1, 0xFF, 0], 0x81),
        (&[0x30, 4, 0, 1, 0, 0], 0x81),
        // No topic and no alias.
        (&[0x30, 3, 0, 0, 0], 0x82),
        // A packet identifier of zero.
        (&[0x32, 6, 0, 1, b'a', 0, 0, 0], 0x82),
        // A SUBSCRIBE without a filter.
        (&[0x82, 3, 0, 1, 0], 0x82),
        // An empty filter, and ones with wildcards or a group out of place.
        (&[0x82, 6, 0, 1, 0, 0, 0, 1], 0x81),
        (&[0xA2, 5, 0, 1, 0, 0, 0], 0x81),
        (&[0x82, 8, 0, 1, 0, 0, 2, b'#', b'#', 1], 0x81),
        (&[0xA2, 7, 0, 1, 0, 0, 2, b'#', b'#'], 0x81),
        (
            &[
                0x82, 14, 0, 1, 0, 0, 8, b'$', b's', b'h', b'a', b'r', b'e', b'/', b'g', 1,
            ],
            0x81,
        ),
        // A property that does not exist, and one twice.
        (&[0x30, 6, 0, 1, b'a', 2, 0x7E, 0], 0x81),
        (&[0x30, 8, 0, 1, b'a', 4, 1, 0, 1, 0], 0x82),
        // A packet that only a broker sends.
        (&[0xD0, 0], 0x82),
    ];
    for (bytes, reason) in malformed {
        let mut client = Raw::join(running.port, &v5("a")).await;
        client.send(bytes).await;
        let got = client.next().await;
        assert_eq!(got, Got::Disconnect(reason), "{bytes:02x?}");
        client.expect_end().await;
    }
    // MQTT 3 has no DISCONNECT from the broker.
    let mut client = Raw::join(running.port, &v3("a")).await;
    client.send(&[0xC1, 0]).await;
    client.expect_end().await;
}

#[tokio::test]
async fn packets_may_come_in_pieces() {
    let running = general().await;
    let mut client = Raw::open(running.port).await;
    let bytes = [
        v5("a").bytes(),
        subscribe(true, 1, &[("t", 1)], &[]),
        publish(true, "t", &"x".repeat(300), 1, 2, false, &[]),
    ]
    .concat();
    for byte in bytes.chunks(7) {
        client.send(byte).await;
        tokio::task::yield_now().await;
    }
    assert!(matches!(client.next().await, Got::ConnAck { code: 0, .. }));
    assert_eq!(client.next().await, Got::SubAck(1, vec![1]));
    assert_eq!(client.next().await, Got::PubAck(2, 0));
    assert_eq!(client.message().await.payload.len(), 300);
}

#[tokio::test]
async fn large_messages_arrive_whole_among_small_ones() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v3("a")).await;
    assert_eq!(client.subscribe("t").await, 1);
    let mut publisher = Raw::join(running.port, &v3("p")).await;
    let large = "l".repeat(200_000);
    for n in 0..20 {
        let payload = if n % 3 == 0 { &*large } else { "small" };
        publisher.publish("t", payload).await;
        client
            .send(&publish(false, "elsewhere", "x", 1, 7, false, &[]))
            .await;
    }
    let (mut messages, mut acknowledged) = (0, 0);
    while messages < 20 || acknowledged < 20 {
        match client.next().await {
            Got::Message(message) => {
                let expected = if messages % 3 == 0 { 200_000 } else { 5 };
                assert_eq!(message.payload.len(), expected);
                messages += 1;
                client.send(&raw::puback(message.id)).await;
            }
            Got::PubAck(7, 0) => acknowledged += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn session_expiry_is_what_was_named_last() {
    let running = general().await;
    // Named in DISCONNECT, it holds; but it cannot come back from zero.
    let mut client = Raw::join(running.port, &v5("a").expiry(1)).await;
    assert_eq!(client.subscribe("t").await, 1);
    client
        .send(&raw::packet(0xE0, &[0, 5, 0x11, 0, 0, 0, 0]))
        .await;
    client.expect_end().await;
    let mut client = Raw::open(running.port).await;
    assert!(!client.login(&v5("a").dirty()).await.0);
    client
        .send(&raw::packet(0xE0, &[0, 5, 0x11, 0, 0, 0, 9]))
        .await;
    client.expect_disconnect(0x82).await;
}
