//! The MQTT adapter against the broker of `eventcast dev`: the same as against mosquitto, and
//! behaviour that only IoT Core has.

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
use eventcast::dev::broker::door::ListenerProtocol;
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use eventcast::mqtt::auth::BrokerAccess;
use eventcast::mqtt::{MqttSettings, pool::Pool};
use eventcast::port::{
    AccessDecision, Authentication, AuthenticationFuture, Authorizer, ClientAction, Identity,
    Presented, PublishError, Publisher, RequestingClient,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const BOUND: Duration = Duration::from_secs(30);

/// IoT Core's behaviour without its limits by the second.
async fn unlimited() -> Running {
    let limits = BrokerLimits {
        bytes_per_second: None,
        ..unhurried()
    };
    start(limits, BrokerRules::iot_core(), Arc::new(AllowAll)).await
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
        let broker = Broker::start(unhurried(), BrokerRules::iot_core(), Arc::new(AllowAll));
        let again = broker::listen_at(broker, port, ListenerProtocol::Plain, None).await;
        *running.borrow_mut() = Some(again);
    };
    contract::loses_nothing_silently(port, end, begin).await;
}

#[tokio::test]
async fn too_large_a_payload_is_not_sent() {
    let running = iot_core().await;
    contract::sends_nothing_too_large(running.port).await;
}

/// A pool that keeps to IoT Core's limits never has a message discarded by a broker that enforces
/// them.
#[tokio::test]
async fn a_pool_within_the_limits_loses_nothing() {
    let running = start(
        BrokerLimits::iot_core(),
        BrokerRules::iot_core(),
        Arc::new(AllowAll),
    )
    .await;
    let pool = Pool::start(MqttSettings {
        access: BrokerAccess::plain("127.0.0.1", running.port),
        connections: (3, 3),
        back_off: (Duration::from_secs(1), Duration::from_secs(2)),
        ..MqttSettings::default()
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

/// A network before a broker's port, which stalls for 1 s of each 1.8 s and then lets through at
/// once the bytes that came meanwhile, as TCP does after a loss. The connections end with the
/// returned tasks.
async fn stalling(broker: u16) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut ways = JoinSet::new();
        loop {
            let client = listener.accept().await.unwrap().0;
            let server = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            ways.spawn(async move {
                let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            });
            ways.spawn(async move {
                let begin = Instant::now();
                let mut buffer = vec![0; 1 << 20];
                while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                    let at = begin.elapsed().as_millis() % 1_800;
                    if at < 1_000 {
                        sleep(Duration::from_millis(u64::try_from(1_000 - at).unwrap())).await;
                    }
                    if to_server.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, tasks)
}

/// Messages that were sent within the limit can arrive at once. The broker counts the messages that
/// arrive.
#[tokio::test]
async fn a_network_that_stalls_makes_no_second_too_full() {
    let running = start(
        BrokerLimits::iot_core(),
        BrokerRules::iot_core(),
        Arc::new(AllowAll),
    )
    .await;
    let (port, _network) = stalling(running.port).await;
    let pool = Pool::start(MqttSettings {
        access: BrokerAccess::plain("127.0.0.1", port),
        connections: (1, 1),
        ..MqttSettings::default()
    });
    let mut pendings = Vec::new();
    for n in 0..400 {
        let publication = publication(&format!("order/{n}"), "{}");
        pendings.push(pool.publish(publication).unwrap());
    }
    for pending in pendings {
        let fate = timeout(BOUND, pending).await.expect("a fate");
        assert_eq!(fate, Ok(()));
    }
    pool.close(Instant::now() + BOUND).await;
    let counts = running.broker.counts();
    assert_eq!((counts.throttled, counts.published), (0, 400));
}

/// Lets everybody in but the daemon's connection of this number.
struct AllBut(&'static str);

impl eventcast::port::ClientAccess for AllBut {
    fn decide(&self, client: &RequestingClient, action: ClientAction<'_>) -> AccessDecision {
        match action {
            ClientAction::Connect { .. } if client.id.ends_with(self.0) => {
                AccessDecision::Denied("not this one".into())
            }
            _ => AccessDecision::Allowed,
        }
    }
}

impl Authorizer for AllBut {
    fn authenticate<'a>(&'a self, _: &'a Presented) -> AuthenticationFuture<'a> {
        let access = Arc::new(Self(self.0));
        Box::pin(async move {
            Ok(Authentication::Known(Identity {
                principal: "daemon".into(),
                access,
                refresh_after: None,
                disconnect_after: None,
            }))
        })
    }
}

#[tokio::test]
async fn one_connection_that_cannot_be_made_does_not_stop_growth() {
    let but_one = Arc::new(AllBut("-1"));
    let running = start(BrokerLimits::iot_core(), BrokerRules::iot_core(), but_one).await;
    let pool = Pool::start(MqttSettings {
        access: BrokerAccess::plain("127.0.0.1", running.port),
        connections: (2, 20),
        ..MqttSettings::default()
    });
    timeout(BOUND, pool.ready()).await.unwrap();
    while pool.last_error().is_none() {
        tokio::task::yield_now().await;
    }
    let begin = Instant::now();
    let mut pendings = Vec::new();
    for n in 0..900 {
        let publication = publication(&format!("order/{n}"), "{}");
        pendings.push(pool.publish(publication).unwrap());
    }
    for pending in pendings {
        assert_eq!(timeout(BOUND, pending).await.expect("a fate"), Ok(()));
    }
    // One connection alone takes ten seconds.
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert!(pool.connections() > 5, "{} connections", pool.connections());
    pool.close(Instant::now() + BOUND).await;
    assert_eq!(running.broker.counts().throttled, 0);
}
