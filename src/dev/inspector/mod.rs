//! Inspector: activity of the platform for the browser, the command line and the demo.
//!
//! Endpoints report observations (`Sighting`, [`Observation`](super::broker::observe)). The
//! [`ledger`] joins them by the event's id, bounded and in memory. The inspector changes nothing
//! that it observes, and nothing waits for it. Ports decide the identity of clients and issue
//! tokens.

mod api;
mod channels;
mod hear;
pub mod ledger;
mod live;
mod load;
mod names;
mod page;
pub mod rates;
pub mod trail;
mod trails;
pub mod views;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use axum::Router;
use serde::Serialize;

use ledger::EventStore;
use ledger::pulse::LiveStatistics;
use trail::{EpochMicros, micros};
use views::PlatformAddresses;

use super::broker::Broker;
use super::observers::Observations;
use super::sighting::Sighting;
use crate::config::Config;
use crate::port::Issuer;
use crate::telemetry::metrics::Metrics;

/// Inspector of the platform: the event store and the services that it reads.
pub struct Inspector {
    ledger: Arc<EventStore>,
    config: RwLock<Arc<Config>>,
    broker: Broker,
    issuer: Option<Arc<dyn Issuer>>,
    addresses: PlatformAddresses,
    started: EpochMicros,
    /// Metrics of the bridge.
    bridge_metrics: Arc<Metrics>,
}

/// Count of a route's messages that a limit delayed.
#[derive(Debug, Serialize)]
struct HeldBack {
    limit: &'static str,
    route: Option<Arc<str>>,
    count: u64,
}

/// Number of clients, and one page of them.
#[derive(Debug, Serialize)]
struct ClientsPage {
    count: usize,
    clients: Vec<ClientSummary>,
}

/// Changing part of a client's state, for a list.
#[derive(Debug, Serialize)]
struct ClientSummary {
    id: Arc<str>,
    connected: bool,
    principal: Option<Arc<str>>,
    role: Option<Box<str>>,
    subscriptions: usize,
    queued: usize,
}

impl Inspector {
    /// Creates an inspector of a broker, and of the endpoints that serve it. Without an issuer, no
    /// tokens are issued.
    pub fn new(
        config: Arc<Config>,
        broker: Broker,
        issuer: Option<Arc<dyn Issuer>>,
        addresses: PlatformAddresses,
    ) -> Self {
        let routes = Arc::new(config.route_table());
        Self {
            ledger: Arc::new(EventStore::new(routes)),
            config: RwLock::new(config),
            broker,
            issuer,
            addresses,
            started: micros(SystemTime::now()),
            bridge_metrics: Arc::default(),
        }
    }

    /// Returns the metrics that the bridge writes and the page shows.
    pub fn bridge_metrics(&self) -> &Arc<Metrics> {
        &self.bridge_metrics
    }

    /// Returns the delayed messages, by limit and route.
    fn held_back(&self) -> Vec<HeldBack> {
        let counts = self.bridge_metrics.held_back_by_limit().into_iter();
        let row = |(limit, route, count)| HeldBack {
            limit,
            route,
            count,
        };
        counts.map(row).collect()
    }

    fn config(&self) -> Arc<Config> {
        let config = self.config.read();
        Arc::clone(&config.unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration, as after a reload.
    pub fn set_config(&self, config: Arc<Config>) {
        self.ledger.set_routes(Arc::new(config.route_table()));
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Returns the store of observed events.
    pub fn ledger(&self) -> &Arc<EventStore> {
        &self.ledger
    }

    /// Returns the live statistics.
    pub fn pulse(&self) -> LiveStatistics {
        self.ledger.pulse()
    }

    /// Builds the router of the page and its API.
    pub(super) fn router(self: Arc<Self>) -> Router {
        api::router(self)
    }

    /// Records the observations of the endpoints and the broker until one of them ends.
    pub(super) async fn follow(&self, mut endpoints: Observations<Sighting>) {
        let (ledger, mut broker) = (&self.ledger, self.broker.observe());
        loop {
            tokio::select! {
                seen = endpoints.next() => match seen {
                    Some(Ok(sighting)) => ledger.sight(sighting),
                    Some(Err(missed)) => ledger.miss(missed),
                    None => return,
                },
                seen = broker.next() => match seen {
                    Some(Ok(observation)) => ledger.observe(observation),
                    Some(Err(missed)) => ledger.miss(missed),
                    None => return,
                },
            }
        }
    }

    /// Returns the number of clients with a session.
    pub fn client_count(&self) -> usize {
        self.broker.clients(0, |_| true).1
    }

    fn websocket_port(&self) -> Option<u16> {
        let address = self.addresses.mqtt.get("ws")?;
        let rest = address.strip_prefix("ws://")?;
        let authority = rest.split('/').next()?;
        authority.rsplit(':').next()?.parse().ok()
    }

    fn clients(&self, most: usize) -> ClientsPage {
        let (ids, count) = self.broker.clients(most, |_| true);
        let seat = |id: Arc<str>| {
            let facts = self.broker.connection(&id);
            let facts = facts.as_ref();
            let rights = self.broker.rights(&id);
            let grounds = rights.and_then(|rights| rights.access.grounds(&rights.client));
            ClientSummary {
                connected: facts.is_some_and(|facts| facts.is_connected),
                principal: facts.and_then(|facts| facts.principal.clone()),
                role: grounds.and_then(|grounds| grounds.role),
                subscriptions: self.broker.subscriptions(&id).map_or(0, |all| all.len()),
                queued: facts.map_or(0, |facts| facts.queued),
                id,
            }
        };
        ClientsPage {
            count,
            clients: ids.into_iter().map(seat).collect(),
        }
    }
}
