//! The MQTT adapter against mosquitto.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/mosquitto.rs"]
mod mosquitto;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventcast::channel::topic::Topic;
use eventcast::mqtt::auth::Access;
use eventcast::mqtt::{Settings, pool::Pool};
use eventcast::pace::Limits;
use eventcast::port::{PublishError, Publisher};
use eventcast::route::publication::{Facts, Publication, Qos};
use mosquitto::Mosquitto;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// What mosquitto and the scripted broker limit.
const NO_LIMITS: Limits = Limits {
    publishes: None,
    bytes: None,
    process: None,
};

const BOUND: Duration = Duration::from_secs(20);

fn publication(topic: &str, payload: &str) -> Publication {
    Publication {
        topic: Topic::parse(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        route: Arc::from("r"),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires: Some(Duration::from_secs(60)),
        conflate: false,
        content_type: "application/json",
        oversize: None,
        facts: Arc::new(Facts::new("e1", [Some("shop"), None, None, None])),
    }
}

fn pool(broker: &Mosquitto) -> Pool {
    Pool::start(Settings {
        access: Access::plain("127.0.0.1", broker.mqtt_port()),
        connections: (3, 3),
        limits: NO_LIMITS,
        back_off: (Duration::from_millis(100), Duration::from_millis(400)),
        ..Settings::default()
    })
}

/// An independent subscriber; it is subscribed once its first line came.
async fn subscriber(broker: &Mosquitto, format: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &broker.mqtt_port().to_string()])
        .args(["-V", "mqttv5", "-q", "1", "-t", "#", "-F", format])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("mosquitto_sub is not installed; on Debian: apt-get install mosquitto-clients");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Publish until the subscription is seen to stand.
    let pool = pool(broker);
    pool.ready().await;
    let mut seen = false;
    while !seen {
        let pending = pool.publish(publication("probe", "probe")).await.unwrap();
        pending.await.unwrap();
        seen = timeout(Duration::from_millis(100), lines.next_line())
            .await
            .is_ok();
    }
    pool.close(Instant::now() + BOUND).await;
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    loop {
        let line = timeout(BOUND, lines.next_line())
            .await
            .expect("a message")
            .unwrap()
            .unwrap();
        if !line.starts_with("probe") {
            return line;
        }
    }
}

#[tokio::test]
async fn what_is_published_arrives_in_order_with_its_properties() {
    let broker = Mosquitto::start();
    let (_child, mut lines) = subscriber(&broker, "%t %p %C %F %P").await;
    let pool = pool(&broker);
    let mut pendings = Vec::new();
    for n in 0..1_000 {
        let topic = format!("order/{}", n % 7);
        pendings.push(
            pool.publish(publication(&topic, &n.to_string()))
                .await
                .unwrap(),
        );
    }
    for pending in pendings {
        assert_eq!(pending.await, Ok(()));
    }
    let mut last = [-1_i64; 7];
    for _ in 0..1_000 {
        let line = next(&mut lines).await;
        let words: Vec<&str> = line.split(' ').collect();
        let lane: usize = words[0].strip_prefix("order/").unwrap().parse().unwrap();
        let number: i64 = words[1].parse().unwrap();
        assert!(number > last[lane], "{line} after {}", last[lane]);
        last[lane] = number;
        assert_eq!(
            &words[2..],
            [
                "application/json",
                "1",
                "eb-id:e1",
                "eb-source:shop",
                "eb-route:r"
            ]
        );
    }
    pool.close(Instant::now() + BOUND).await;
}

#[tokio::test]
async fn a_lost_broker_loses_nothing_silently() {
    let mut broker = Mosquitto::start();
    let pool = Arc::new(pool(&broker));
    pool.ready().await;
    broker.kill();
    let queued = pool.publish(publication("a", "1")).await.unwrap();
    broker.restart();
    // Its fate is known: sent to the new broker, or an error that says to try again.
    match timeout(BOUND, queued).await.expect("a fate") {
        Ok(()) | Err(PublishError::Transient { .. }) => {}
        other => panic!("{other:?}"),
    }
    timeout(BOUND, pool.ready()).await.expect("it reconnects");
    let again = pool.publish(publication("a", "2")).await.unwrap();
    assert_eq!(timeout(BOUND, again).await.expect("a fate"), Ok(()));
    pool.close(Instant::now() + BOUND).await;
}

#[tokio::test]
async fn too_large_a_payload_is_not_sent() {
    let broker = Mosquitto::start();
    let pool = pool(&broker);
    let large = "x".repeat(128 * 1024 + 1);
    match pool.publish(publication("a", &large)).await {
        Err(PublishError::Permanent { reason, .. }) => assert_eq!(reason, "too_large"),
        _ => panic!("it was taken"),
    }
    let fits = pool.publish(publication("a", &large[1..])).await.unwrap();
    assert_eq!(timeout(BOUND, fits).await.expect("a fate"), Ok(()));
}
