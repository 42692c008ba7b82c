//! Reserved topics of the dev broker: topics that clients may publish to and subscribe to, the
//! refusal in each version of MQTT, and other parts of MQTT that IoT Core leaves out.

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

use broker::{Book, Running, general, iot_core, start, unhurried};
use eventcast::dev::broker::control::{InboundPublish, PostError};
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::BrokerRules;
use eventcast::dev::broker::observe::BrokerEvent;
use raw::{Connect, Got, Raw, Will, publish, subscribe, v3, v5};

fn will(topic: &str) -> Will {
    Will {
        topic: topic.into(),
        payload: r#"{"state":{"reported":{"connected":false}}}"#.into(),
        qos: 1,
        ..Will::default()
    }
}

/// Topics that devices publish to, below each reserved prefix.
const OPEN: [&str; 6] = [
    "$aws/things/hub-7/shadow/update",
    "$aws/things/hub-7/shadow/name/light/get",
    "$aws/things/hub-7/jobs/start-next",
    "$aws/certificates/create/json",
    "$aws/provisioning-templates/fleet/provision/cbor",
    "$aws/commands/things/hub-7/executions/1/response/json",
];

/// Topics that they do not: AWS's own, and those that there are not.
const CLOSED: [&str; 7] = [
    "$aws/things/hub-7/shadow/update/accepted",
    "$aws/things/hub-7/jobs/notify",
    "$aws/events/presence/connected/hub-7",
    "$aws/nothing",
    "$SYS/broker/uptime",
    "$share/g/a",
    "$foo",
];

#[tokio::test]
async fn wills_on_reserved_topics() {
    let running = iot_core().await;
    for connect in [v3("hub-7"), v5("hub-7")] {
        let mut watcher = Raw::join(running.port, &v5("watcher")).await;
        let filter = "$aws/things/hub-7/#";
        assert_eq!(watcher.subscribe(filter).await, 1);
        for topic in OPEN {
            let mut client = Raw::open(running.port).await;
            let got = client.knock(&connect.clone().will(will(topic))).await;
            assert!(
                matches!(got, Got::ConnAck { code: 0, .. }),
                "{topic}: {got:?}"
            );
            // The will comes to subscribers.
            drop(client);
            if topic.starts_with("$aws/things/") {
                assert_eq!(watcher.message().await.topic, topic);
            }
        }
        for topic in CLOSED {
            let mut client = Raw::open(running.port).await;
            let got = client.knock(&connect.clone().will(will(topic))).await;
            if connect.level == 5 {
                assert!(matches!(got, Got::ConnAck { code: 0x90, .. }), "{topic}");
                client.expect_end().await;
            } else {
                assert_eq!(got, Got::End, "{topic}");
            }
        }
    }
}

#[tokio::test]
async fn publishing_to_reserved_topics() {
    let running = iot_core().await;
    for connect in [v3("a"), v5("a")] {
        let is_v5 = connect.level == 5;
        let mut client = Raw::join(running.port, &connect).await;
        assert_eq!(client.subscribe("$aws/things/+/#").await, 1);
        assert_eq!(client.subscribe("#").await, 1);
        for topic in OPEN {
            assert_eq!(client.publish(topic, "x").await, 0, "{topic}");
            if topic.starts_with("$aws/things/") {
                assert_eq!(client.message().await.topic, topic);
            }
            client.expect_silence().await;
        }
        // Retained, it comes to those that are there, and is not kept.
        let topic = OPEN[0];
        assert_eq!(client.publish_with(topic, "x", true, &[]).await, 0);
        assert_eq!(client.message().await.topic, topic);
        assert!(running.broker.retained(topic).is_none());
        for topic in CLOSED {
            for retain in [false, true] {
                let mut client = Raw::join(running.port, &connect).await;
                if is_v5 {
                    let code = client.publish_with(topic, "x", retain, &[]).await;
                    assert_eq!(code, 0x90, "{topic}");
                    // The connection stays.
                    assert_eq!(client.publish("plain", "x").await, 0);
                    client.fire(topic, "x").await;
                    client.expect_disconnect(0x90).await;
                } else {
                    let packet = publish(false, topic, "x", 1, 1, retain, &[]);
                    client.send(&packet).await;
                    client.expect_end().await;
                }
            }
        }
    }
}

#[tokio::test]
async fn subscribing_to_reserved_filters() {
    let running = iot_core().await;
    let open = [
        "$aws/things/hub-7/shadow/update/delta",
        "$aws/events/presence/+/+",
        "$aws/certificates/create/json/accepted",
        "$aws/commands/things/hub-7/executions/+/request/json",
        "$share/g/$aws/things/+/shadow/update",
    ];
    let closed = [
        "$SYS/#",
        "$aws/#",
        "$aws/rules/r/a",
        "$foo/+",
        "$share/only",
        "$share//a",
        "$share/g+/a",
        "$share/g/$SYS/#",
    ];
    for connect in [v3("a"), v5("a")] {
        let is_v5 = connect.level == 5;
        let mut client = Raw::join(running.port, &connect).await;
        for filter in open {
            assert_eq!(client.subscribe(filter).await, 1, "{filter}");
        }
        for filter in closed {
            let mut client = Raw::join(running.port, &connect).await;
            let filters = [("before", 1), (filter, 1), ("behind", 0)];
            client.send(&subscribe(is_v5, 1, &filters, &[])).await;
            if is_v5 {
                // This filter alone is refused.
                let codes = vec![1, 0x8F, 0];
                assert_eq!(client.next().await, Got::SubAck(1, codes), "{filter}");
                assert_eq!(client.publish("before", "x").await, 0);
                assert_eq!(client.message().await.topic, "before");
            } else {
                client.expect_end().await;
            }
        }
    }
}

#[tokio::test]
async fn https_takes_fewer_topics() {
    let running = iot_core().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.subscribe("$aws/things/#").await, 1);
    let post = |topic: &str| {
        running.broker.publish(&InboundPublish {
            topic: topic.into(),
            ..InboundPublish::default()
        })
    };
    assert_eq!(post("$aws/things/hub-7/shadow/update"), Ok(1));
    assert_eq!(post("$aws/rules/store/a"), Ok(0));
    assert_eq!(post("$aws/certificates/create-from-csr/json"), Ok(0));
    let mqtt_only = [OPEN[2], OPEN[5], "$aws/things/t/defender/metrics/cbor"];
    for topic in mqtt_only.into_iter().chain(CLOSED) {
        assert!(matches!(post(topic), Err(PostError::Invalid(_))), "{topic}");
    }
}

/// Other brokers know no topics of AWS.
#[tokio::test]
async fn a_general_broker_reserves_nothing() {
    let running = general().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    for filter in ["$SYS/#", "$share/g/$foo/a"] {
        assert_eq!(client.subscribe(filter).await, 1, "{filter}");
    }
    for topic in ["$SYS/x", "$foo/a"] {
        assert_eq!(client.publish(topic, "x").await, 0);
        assert_eq!(client.message().await.topic, topic);
    }
}

#[tokio::test]
async fn no_local_is_ignored() {
    let running = iot_core().await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.subscribe_with("t", 0x05, &[]).await, 1);
    client.publish("t", "mine").await;
    assert_eq!(client.message().await.payload, "mine");
    let rules = BrokerRules {
        no_local: true,
        ..BrokerRules::iot_core()
    };
    let running = start(unhurried(), rules, Arc::new(AllowAll)).await;
    let mut client = Raw::join(running.port, &v5("a")).await;
    assert_eq!(client.subscribe_with("t", 0x05, &[]).await, 1);
    client.publish("t", "mine").await;
    client.expect_silence().await;
}

/// A client that may not connect is refused as IoT Core refuses it: a policy's no closes an MQTT 3
/// connection without CONNACK.
#[tokio::test]
async fn a_denied_connect() {
    let grants = ["connect ann*", "publish ann/*", "subscribe *", "receive *"];
    let book = Book::default().with("ann", &grants);
    let running = start(unhurried(), BrokerRules::iot_core(), Arc::new(book.clone())).await;
    let user = |connect: Connect| Connect {
        user_name: Some("ann".into()),
        ..connect
    };
    let knock = async |running: &Running, connect: Connect| {
        let mut client = Raw::open(running.port).await;
        client.knock(&user(connect)).await
    };
    for (connect, is_let_in) in [
        (v3("ann"), true),
        (v3("other"), false),
        (v3("ann").will(will("bob/x")), false),
        (v3("ann").dirty(), true),
    ] {
        let got = knock(&running, connect).await;
        match is_let_in {
            true => assert!(matches!(got, Got::ConnAck { code: 0, .. }), "{got:?}"),
            false => assert_eq!(got, Got::End),
        }
    }
    for connect in [v5("other"), v5("ann").will(will("bob/x"))] {
        let got = knock(&running, connect).await;
        assert!(matches!(got, Got::ConnAck { code: 0x87, .. }), "{got:?}");
    }
    // As MQTT has it, by a rule.
    let rules = BrokerRules {
        answer_v3_refusals: true,
        ..BrokerRules::iot_core()
    };
    let running = start(unhurried(), rules, Arc::new(book)).await;
    let got = knock(&running, v3("other")).await;
    assert!(matches!(got, Got::ConnAck { code: 5, .. }), "{got:?}");
}

/// mosquitto as a bridge asks with a bit in the protocol's level, and then leaves a will on a topic
/// that is reserved.
#[tokio::test]
async fn a_bridge_of_mosquitto() {
    let running = iot_core().await;
    let mut seen = running.broker.observe();
    let bridge = Connect {
        level: 0x84,
        ..v3("edge")
    };
    let mut client = Raw::open(running.port).await;
    let got = client.knock(&bridge).await;
    assert!(matches!(got, Got::ConnAck { code: 1, .. }), "{got:?}");
    let state = "$SYS/broker/connection/edge/state";
    let mut client = Raw::open(running.port).await;
    assert_eq!(client.knock(&v3("edge").will(will(state))).await, Got::End);
    let mut why = async || match seen.next().await.unwrap().unwrap().what {
        BrokerEvent::Refused { why } => why,
        other => panic!("{other:?}"),
    };
    assert!(why().await.contains("try_private false"));
    assert!(why().await.contains("notifications false"));
}
