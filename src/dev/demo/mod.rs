//! The demo: a small shop in full operation. It puts events on the bus at a lively rate. Customers,
//! couriers and support have tokens of their own, connect to the broker as any client would, and
//! receive what they may.
//!
//! A customer whose orders are all delivered orders again and comes back with a token that names
//! the new ones. One client keeps trying to subscribe to an order that is not its own, so that a
//! denial can be seen and explained.

mod shop;

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::shop::{COURIERS, Shop};
use super::Platform;
use crate::broker::BrokerAddress;
use crate::mqtt::auth::{BrokerAccess, ConnectCredentials, Token};
use crate::mqtt::listener::Listener;
use crate::port::Issuer;

/// Interval at which a courier reports its position: IoT Core takes one retained message a second
/// on a topic.
const POSITION_EVERY: Duration = Duration::from_millis(1_200);

/// Interval at which a client tries what it may not do.
const TRY_EVERY: Duration = Duration::from_secs(4);

/// Delay before a client that lost its connection reconnects: IoT Core takes one CONNECT a second
/// for a client id.
const COME_BACK: Duration = Duration::from_millis(1_500);

/// The demo, ready to be run.
pub struct Demo {
    stage: Arc<Stage>,
    platform: Arc<Platform>,
    /// Events a second.
    rate: u32,
}

/// State that all tasks of the demo share.
struct Stage {
    shop: Mutex<Shop>,
    issuer: Arc<dyn Issuer>,
    broker: BrokerAddress,
    heard: AtomicU64,
}

impl Demo {
    /// A shop whose clients connect to a broker, and whose events go on the platform's bus, `rate` of them a second.
    pub fn new(
        platform: Arc<Platform>,
        issuer: Arc<dyn Issuer>,
        broker: BrokerAddress,
        rate: u32,
    ) -> Self {
        let stage = Stage {
            shop: Mutex::new(Shop::open(rate)),
            issuer,
            broker,
            heard: AtomicU64::new(0),
        };
        Self {
            stage: Arc::new(stage),
            platform,
            rate: rate.max(1),
        }
    }

    /// Plays for ever.
    ///
    /// # Errors
    /// Fails with one line of text when the bus does not take an event.
    pub async fn play(&self) -> Result<(), String> {
        let mut cast = JoinSet::new();
        let customers = self.stage.shop().customers();
        let (mut renew, renewals): (Vec<_>, Vec<_>) =
            (0..customers).map(|_| mpsc::channel(1)).unzip();
        for (index, renewals) in renewals.into_iter().enumerate() {
            cast.spawn(customer(Arc::clone(&self.stage), index, renewals));
        }
        for index in 0..COURIERS {
            cast.spawn(courier(Arc::clone(&self.stage), index));
        }
        cast.spawn(support(Arc::clone(&self.stage)));
        cast.spawn(curious(Arc::clone(&self.stage)));
        let mut clock = interval(Duration::from_secs(1) / self.rate);
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            clock.tick().await;
            let put = self.stage.shop().next();
            self.platform
                .put_event(put.source, put.detail_type, &put.detail)?;
            if let Some(index) = put.renews {
                self.stage.shop().renew(index);
                if let Some(customer) = renew.get_mut(index) {
                    // A customer that has not reconnected yet takes the newest orders when it does.
                    let _ = customer.try_send(());
                }
            }
        }
    }

    /// Number of messages that the clients have received.
    pub fn heard(&self) -> u64 {
        self.stage.heard.load(Ordering::Relaxed)
    }
}

impl Stage {
    fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects with a fresh token, and subscribes to all that it grants.
    async fn enter(
        &self,
        role: &str,
        name: &str,
        claims: &Map<String, Value>,
    ) -> Result<Listener, String> {
        let issued = self.issuer.issue(role, claims)?;
        let access = BrokerAccess {
            broker: self.broker.clone(),
            tls: None,
            credentials: ConnectCredentials::Token(Token {
                authorizer: None,
                key: issued.key,
                token: issued.token,
                signature: None,
            }),
        };
        let client_id = format!("{}-{name}", issued.principal);
        let listener = Listener::open(&access, &client_id).await?;
        let filters = issued.subscribe.into_iter();
        let filters: Vec<String> = filters
            .map(|filter| match filter.strip_suffix('*') {
                Some(under) => format!("{under}#"),
                None => filter,
            })
            .collect();
        listener.subscribe(&filters).await?;
        Ok(listener)
    }

    /// Connects, again and again until it works.
    async fn come(
        &self,
        role: &str,
        name: &str,
        claims: impl Fn(&Shop) -> Map<String, Value>,
    ) -> Listener {
        loop {
            let claims = claims(&self.shop());
            match self.enter(role, name, &claims).await {
                Ok(listener) => return listener,
                Err(why) => {
                    tracing::warn!(role, why, "a client of the demo could not connect");
                    sleep(COME_BACK).await;
                }
            }
        }
    }

    fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }
}

async fn customer(stage: Arc<Stage>, index: usize, mut renewals: mpsc::Receiver<()>) {
    loop {
        let claims = |shop: &Shop| shop.customer(index);
        let mut listener = stage.come("customer", "phone", claims).await;
        loop {
            tokio::select! {
                message = listener.next() => match message {
                    Some(_) => stage.hear(),
                    None => break,
                },
                renewal = renewals.recv() => {
                    if renewal.is_none() {
                        return;
                    }
                    listener.leave().await;
                    break;
                }
            }
        }
        sleep(COME_BACK).await;
    }
}

async fn courier(stage: Arc<Stage>, index: usize) {
    let Some(topic) = stage.shop().position(index) else {
        return;
    };
    let mut clock = interval(POSITION_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut east, mut north) = (13.40_f64, 52.52_f64);
    loop {
        let claims = |shop: &Shop| shop.courier(index);
        let mut listener = stage.come("courier", "van", claims).await;
        loop {
            tokio::select! {
                message = listener.next() => match message {
                    Some(_) => stage.hear(),
                    None => break,
                },
                _ = clock.tick() => {
                    east += (fastrand::f64() - 0.5) / 500.0;
                    north += (fastrand::f64() - 0.5) / 500.0;
                    let place = json!({ "east": east, "north": north }).to_string();
                    if listener.publish(&topic, place, true).await.is_err() {
                        break;
                    }
                }
            }
        }
        sleep(COME_BACK).await;
    }
}

async fn support(stage: Arc<Stage>) {
    let desk = crate::dev::uuid::uuid();
    let claims = |_: &Shop| {
        let mut claims = Map::new();
        claims.insert("sub".into(), desk.as_str().into());
        claims
    };
    loop {
        let mut listener = stage.come("support", "desk", claims).await;
        while listener.next().await.is_some() {
            stage.hear();
        }
        sleep(COME_BACK).await;
    }
}

/// A customer who tries to read the orders of others.
async fn curious(stage: Arc<Stage>) {
    let somebody = crate::dev::uuid::uuid();
    let claims = |_: &Shop| {
        let mut claims = Map::new();
        claims.insert("sub".into(), somebody.as_str().into());
        claims.insert("orders".into(), Value::Array(Vec::new()));
        claims
    };
    let mut clock = interval(TRY_EVERY);
    loop {
        let mut listener = stage.come("customer", "curious", claims).await;
        loop {
            let turn = tokio::select! {
                message = listener.next() => message.is_some(),
                _ = clock.tick() => {
                    let order = {
                        let shop = stage.shop();
                        shop.order_of(fastrand::usize(..shop.customers()))
                    };
                    match order {
                        Some(order) => listener.subscribe(&[order]).await.is_ok(),
                        None => pending().await,
                    }
                }
            };
            if !turn {
                break;
            }
        }
        sleep(COME_BACK).await;
    }
}
