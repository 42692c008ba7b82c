//! The contract between the pool of MQTT connections and any broker, tried on one broker or another
//! (the texts of `port::Publisher` say it in words).

#[path = "publications.rs"]
pub(crate) mod publications;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use eventcast::mqtt::auth::BrokerAccess;
use eventcast::mqtt::{MqttSettings, pool::Pool};
use eventcast::pace::PaceBounds;
use eventcast::port::{PublishError, Publisher};
use publications::publication;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// The brokers here are asked to limit nothing.
const NO_LIMITS: PaceBounds = PaceBounds {
    publishes: None,
    bytes: None,
    process: None,
};

const BOUND: Duration = Duration::from_secs(20);

fn pool(port: u16) -> Pool {
    Pool::start(MqttSettings {
        access: BrokerAccess::plain("127.0.0.1", port),
        connections: (3, 3),
        limits: NO_LIMITS,
        back_off: (Duration::from_millis(100), Duration::from_millis(400)),
        ..MqttSettings::default()
    })
}

/// An independent subscriber; it is subscribed once its first line came.
async fn subscriber(port: u16, format: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-V", "mqttv5", "-q", "1", "-t", "#", "-F", format])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("mosquitto_sub is not installed; on Debian: apt-get install mosquitto-clients");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Publish until the subscription is seen to stand.
    let pool = pool(port);
    pool.ready().await;
    let mut seen = false;
    while !seen {
        let pending = pool.publish(publication("probe", "probe")).unwrap();
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

/// Publications arrive in order, with their properties.
pub(crate) async fn arrives_in_order(port: u16) {
    let (_child, mut lines) = subscriber(port, "%t %p %C %F %P").await;
    let pool = pool(port);
    let mut pendings = Vec::new();
    for n in 0..1_000 {
        let topic = format!("order/{}", n % 7);
        pendings.push(pool.publish(publication(&topic, &n.to_string())).unwrap());
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

/// A broker that ends and comes back on its port loses nothing silently.
pub(crate) async fn loses_nothing_silently(
    port: u16,
    end: impl AsyncFnOnce(),
    begin: impl AsyncFnOnce(),
) {
    let pool = Arc::new(pool(port));
    pool.ready().await;
    end().await;
    let queued = pool.publish(publication("a", "1")).unwrap();
    begin().await;
    // Its fate is known: sent to the new broker, or an error that says to try again.
    match timeout(BOUND, queued).await.expect("a fate") {
        Ok(()) | Err(PublishError::Transient { .. }) => {}
        other => panic!("{other:?}"),
    }
    timeout(BOUND, pool.ready()).await.expect("it reconnects");
    let again = pool.publish(publication("a", "2")).unwrap();
    assert_eq!(timeout(BOUND, again).await.expect("a fate"), Ok(()));
    pool.close(Instant::now() + BOUND).await;
}

/// The largest payload is taken, and a larger one is not sent.
pub(crate) async fn sends_nothing_too_large(port: u16) {
    let pool = pool(port);
    let large = "x".repeat(128 * 1024 + 1);
    match pool.publish(publication("a", &large)) {
        Err(PublishError::Permanent { reason, .. }) => assert_eq!(reason, "too_large"),
        _ => panic!("it was taken"),
    }
    let fits = pool.publish(publication("a", &large[1..])).unwrap();
    assert_eq!(timeout(BOUND, fits).await.expect("a fate"), Ok(()));
}
