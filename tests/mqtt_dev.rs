//! The MQTT adapter against the broker of `eventcast dev`: the same as against mosquitto, and what only IoT Core does.

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
#[path = "support/publisher_contract.rs"]
mod contract;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use broker::{Running, iot_core, start, unhurried};
use contract::publications::publication;
use eventcast::dev::broker::Broker;
use eventcast::dev::broker::door::Carrier;
use eventcast::dev::broker::everybody::Everybody;
use eventcast::dev::broker::limits::{Limits, Rules};
use eventcast::mqtt::auth::Access;
use eventcast::mqtt::{Settings, pool::Pool};
use eventcast::port::{PublishError, Publisher};
use tokio::time::{Instant, timeout};

const BOUND: Duration = Duration::from_secs(30);

/// IoT Core's behaviour without what it limits by the second.
async fn unlimited() -> Running {
    let limits = Limits {
        bytes_per_second: None,
        ..unhurried()
    };
    start(limits, Rules::iot_core(), Arc::new(Everybody)).await
}

#[tokio::test]
async fn what_is_published_arrives_in_order_with_its_properties() {
    let running = unlimited().await;
    contract::arrives_in_order(running.port).await;
}

#[tokio::test]
async fn a_lost_broker_loses_nothing_silently() {
    let running = unlimited().await;
    let port = running.port;
    let running = RefCell::new(Some(running));
    let end = async || {
        running.borrow_mut().take();
        // The port is free once its task is gone.
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    };
    let begin = async || {
        let broker = Broker::start(unhurried(), Rules::iot_core(), Arc::new(Everybody));
        let again = broker::listen_at(broker, port, Carrier::Plain, None).await;
        *running.borrow_mut() = Some(again);
    };
    contract::loses_nothing_silently(port, end, begin).await;
}

#[tokio::test]
async fn too_large_a_payload_is_not_sent() {
    let running = iot_core().await;
    contract::sends_nothing_too_large(running.port).await;
}

/// A pool that keeps to IoT Core's limits never has a message discarded by a broker that enforces them.
#[tokio::test]
async fn a_pool_within_the_limits_loses_nothing() {
    let running = start(Limits::iot_core(), Rules::iot_core(), Arc::new(Everybody)).await;
    let pool = Pool::start(Settings {
        access: Access::plain("127.0.0.1", running.port),
        connections: (3, 3),
        back_off: (Duration::from_secs(1), Duration::from_secs(2)),
        ..Settings::default()
    });
    let mut pendings = Vec::new();
    for n in 0..600 {
        let publication = publication(&format!("order/{n}"), "{}");
        pendings.push(pool.publish(publication).unwrap());
    }
    for pending in pendings {
        let fate = timeout(BOUND, pending).await.expect("a fate");
        assert!(
            matches!(fate, Ok(()) | Err(PublishError::Transient { .. })),
            "{fate:?}"
        );
    }
    pool.close(Instant::now() + BOUND).await;
    let counts = running.broker.counts();
    assert_eq!((counts.throttled, counts.published), (0, 600));
}
