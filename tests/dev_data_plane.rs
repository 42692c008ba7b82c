//! The HTTPS data plane of `eventcast dev`: AWS's own SDKs in front of the broker, and MQTT clients
//! behind it.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/publications.rs"]
mod publications;
#[path = "support/raw.rs"]
mod raw;

use std::process::Command;

use dev::Dev;
use eventcast::aws::client;
use eventcast::aws::data_plane::DataPlanePublisher;
use eventcast::port::{PublishError, Publisher};
use eventcast::route::publication::Publication;
use publications::publication;
use raw::{Got, Message, Raw, Will, v5};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Reason code for a client whose connection was ended on request.
const ADMINISTRATIVE_ACTION: u8 = 0x98;

async fn subscriber(dev: &Dev, id: &str, filters: &[&str]) -> Raw<TcpStream> {
    let mut client = Raw::join(dev.port("mqtt"), &v5(id)).await;
    for filter in filters {
        assert_eq!(client.subscribe(filter).await, 1);
    }
    client
}

/// Every call with boto3, and the messages that a subscriber receives.
#[tokio::test]
async fn boto3_is_content() {
    let dev = Dev::start(&["--limit", "connection-calls-per-second=off"]);
    Raw::join(dev.port("mqtt"), &v5("gone")).await.leave().await;
    let will = Will {
        topic: "order/will".into(),
        payload: "will".into(),
        ..Will::default()
    };
    let mut watch = subscriber(&dev, "watch", &["order/will", "order/end"]).await;
    let mut live = Raw::join(dev.port("mqtt"), &v5("live").will(will)).await;
    assert_eq!(live.subscribe("order/+").await, 1);
    assert_eq!(live.subscribe_with("answers/#", 0, &[]).await, 0);
    let output = tokio::process::Command::from(moto::python("iot_data.py"))
        .args(["live", "gone"])
        .envs(dev.environment())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "well\n",
        "{errors}"
    );
    let message = live.message().await;
    assert_eq!(
        (&*message.topic, &*message.payload, message.qos),
        ("order/é 1", "ü\n", 1)
    );
    let told = &message.properties;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        told.user(),
        [pair("a", "1"), pair("a", "2"), pair("é", "ü")]
    );
    assert_eq!(told.text(0x03).as_deref(), Some("application/cbor"));
    assert_eq!(told.text(0x08).as_deref(), Some("answers/1"));
    assert_eq!(told.text(0x09).as_deref(), Some("\u{1}\u{2}"));
    assert!((1..=90).contains(&told.number(0x02).unwrap()), "{told:?}");
    let plain = live.message().await;
    assert_eq!((&*plain.payload, plain.qos), ("plain", 0));
    // The script ends with the connection's end, and keeps the will back.
    live.expect_disconnect(ADMINISTRATIVE_ACTION).await;
    let mut other = Raw::join(dev.port("mqtt"), &v5("other")).await;
    assert_eq!(other.publish("order/end", "end").await, 0);
    assert_eq!(watch.message().await.payload, "end");
}

/// The daemon's publisher with `publish: https`.
async fn publisher(dev: &Dev) -> DataPlanePublisher {
    let config = client::stand_in(dev.endpoint(), "us-east-1").await;
    DataPlanePublisher::new(&config, dev.endpoint(), 16, None)
}

async fn fate(
    publisher: &DataPlanePublisher,
    publication: Publication,
) -> Result<(), PublishError> {
    let pending = publisher.publish(publication)?;
    timeout(raw::BOUND, pending).await.unwrap()
}

/// This publisher keeps the promises that the pool of MQTT connections makes to the daemon.
#[tokio::test]
async fn the_daemons_publisher_keeps_the_order_of_topics() {
    let dev = Dev::start(&["--limit", "publishes-per-second=off"]);
    let mut client = subscriber(&dev, "a", &["order/+"]).await;
    let publisher = publisher(&dev).await;
    let send = async {
        // They are under way once they are polled.
        let all = (0..300).map(async |number: usize| {
            let topic = format!("order/{}", number % 7);
            fate(&publisher, publication(&topic, &number.to_string())).await
        });
        for fate in futures_util::future::join_all(all).await {
            assert_eq!(fate, Ok(()));
        }
    };
    let hear = async {
        let mut last = [None; 7];
        for _ in 0..300 {
            let message = client.message().await;
            let lane = message.topic.strip_prefix("order/").unwrap();
            let lane: usize = lane.parse().unwrap();
            let number: usize = message.payload.parse().unwrap();
            assert!(last[lane] < Some(number), "{number} after {last:?}");
            last[lane] = Some(number);
            check_properties(&message);
        }
    };
    tokio::join!(send, hear);
    publisher.close(Instant::now() + raw::BOUND).await;
}

fn check_properties(message: &Message) {
    let pairs = [("eb-id", "e1"), ("eb-source", "shop"), ("eb-route", "r")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(message.properties.user(), pairs);
    assert_eq!(
        message.properties.text(0x03).as_deref(),
        Some("application/json")
    );
    assert_eq!(message.properties.number(0x01), Some(1));
}

#[tokio::test]
async fn the_daemons_publisher_knows_what_faults_mean() {
    let dev = Dev::start(&["--limit", "topic-bytes=8"]);
    let mut client = subscriber(&dev, "a", &["order/+"]).await;
    let publisher = publisher(&dev).await;
    let fault = |kind: &str, topic: &str| {
        dev.fault(&json!({"action": "HttpPublish", "fault": kind, "times": 1, "topic": topic}));
    };
    // Another topic's fault, and an MQTT client's, are none of its business.
    fault("throttle", "order/9");
    dev.fault(&json!({"action": "Publish", "fault": "refuse"}));
    assert_eq!(fate(&publisher, publication("order/1", "1")).await, Ok(()));
    assert_eq!(client.message().await.payload, "1");
    let throttled = fate(&publisher, publication("order/9", "x")).await;
    assert!(
        matches!(throttled, Err(PublishError::Throttled { .. })),
        "{throttled:?}"
    );
    // Its fate is unknown, so it comes again: once where nothing was done, twice where only the
    // answer was lost.
    for (kind, copies) in [
        ("refuse", 1),
        ("disconnect", 1),
        ("drop", 2),
        ("duplicate", 2),
    ] {
        fault(kind, "order/2");
        let fate = fate(&publisher, publication("order/2", kind)).await;
        assert_eq!(fate, Ok(()), "{kind}");
        for _ in 0..copies {
            assert_eq!(client.message().await.payload, kind);
        }
    }
    let refused = fate(&publisher, publication("order/345", "x")).await;
    assert!(
        matches!(
            refused,
            Err(PublishError::Permanent {
                reason: "refused",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(fate(&publisher, publication("order/1", "z")).await, Ok(()));
    assert_eq!(client.message().await.payload, "z");
}

/// `eventcast policy revoke --disconnect` by `AWS_ENDPOINT_URL`.
#[cfg(feature = "admin")]
#[tokio::test]
async fn revoking_ends_a_live_client() {
    let dev = Dev::start(&["--limit", "connection-calls-per-second=off"]);
    let mut live = subscriber(&dev, "driver-17", &["order/1"]).await;
    let revoke = |client: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["policy", "revoke", "--disconnect", client])
            .args(["--clean-session", "--format", "json"])
            .envs(dev.environment())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{told}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let report = revoke("driver-17");
    assert_eq!(report["counts"], json!({"disconnected": 1}), "{report}");
    live.expect_disconnect(ADMINISTRATIVE_ACTION).await;
    let report = revoke("driver-17");
    assert_eq!(report["calls"], json!({"DeleteConnection": 1}), "{report}");
    assert!(report["counts"]["disconnected"].is_null(), "{report}");
}

/// Errors in AWS's shape, also where no SDK would come.
#[tokio::test]
async fn what_other_clients_are_told() {
    let dev = Dev::start(&[]);
    let mut client = subscriber(&dev, "a", &["order/1"]).await;
    // Slashes may stand as they are.
    let told = ask(&dev, "POST /topics/order/1?qos=1", "{}").await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains(r#"{"message":"OK","traceId":""#), "{told}");
    assert_eq!(client.next().await, {
        let mut message = Message::default();
        "order/1".clone_into(&mut message.topic);
        "{}".clone_into(&mut message.payload);
        (message.qos, message.id) = (1, 1);
        Got::Message(message)
    });
    for (call, status, kind) in [
        ("PUT /topics/order/1", "405", "MethodNotAllowedException"),
        (
            "POST /topics/order/1?qos=2",
            "400",
            "InvalidRequestException",
        ),
        (
            "POST /topics/order/1?qos=x",
            "400",
            "InvalidRequestException",
        ),
        ("POST /topics/%FF", "400", "InvalidRequestException"),
        (
            "GET /retainedMessage?maxResults=201",
            "400",
            "InvalidRequestException",
        ),
        ("GET /retainedMessage/a", "404", "ResourceNotFoundException"),
    ] {
        let told = ask(&dev, call, "").await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
        assert!(
            told.contains(&format!("x-amzn-errortype: {kind}\r\n")),
            "{told}"
        );
        let (_, body) = told.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(
            body["message"].is_string() && body["traceId"].is_string(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn calls_have_rates() {
    let dev = Dev::start(&[
        "--limit=connection-calls-per-second=0",
        "--limit=account-retained-lists=0",
    ]);
    for (call, status) in [
        ("GET /connections/a", "429"),
        ("GET /connections/a/subscriptions", "429"),
        ("DELETE /connections/a", "429"),
        ("GET /retainedMessage", "429"),
        ("GET /retainedMessage/a", "404"),
        ("POST /topics/a", "200"),
    ] {
        let told = ask(&dev, call, "").await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{told}");
        let kind = "x-amzn-errortype: ThrottlingException\r\n";
        assert_eq!(told.contains(kind), status == "429", "{told}");
    }
}

/// The whole answer to a call such as `GET /path`.
async fn ask(dev: &Dev, call: &str, body: &str) -> String {
    let address = dev.endpoint().strip_prefix("http://").unwrap();
    let mut http = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{call} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    http.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(raw::BOUND, http.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}
