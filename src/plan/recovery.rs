//! Recovery: the time until all clients are live after an outage, late messages, and lost messages.
//!
//! The outage is one of all connections, at the busiest time. CONNECT and SUBSCRIBE are separate
//! buckets, so that the slower of the two decides; the authorizer admits as many connections as its
//! concurrency allows; a client that was refused comes again no sooner than IoT Core takes another
//! CONNECT of its id. This is the shortest time: `eventcast simulate` has the clients' own waiting
//! times in it.

use serde::Serialize;

use super::demand::LoadDemand;
use super::fleet::FleetSize;
use super::quotas::{QuotaName, QuotaTable};
use crate::config::load_profile::LoadProfile;

/// Thing that recovery waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryBound {
    /// CONNECT packets a second of the account.
    Connects,
    /// Subscriptions a second of the account.
    Subscriptions,
    /// Concurrency of the authorizer.
    Authorizer,
}

/// Times and losses of an outage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecoveryTime {
    /// Clients that come back.
    pub clients: f64,
    /// Seconds of the outage.
    pub outage_seconds: f64,
    /// Seconds until all are connected, by the quota of CONNECT.
    pub connect_seconds: f64,
    /// Seconds until all filters are subscribed to, by the quota of subscriptions.
    pub subscribe_seconds: f64,
    /// Seconds until all are connected, by the authorizer's concurrency.
    pub authorizer_seconds: f64,
    /// Seconds that a refused client waits before it comes again; 0 where all fit in a second.
    pub client_id_seconds: f64,
    /// Seconds until all are live whose sessions the broker has kept: they need not subscribe.
    pub kept_sessions_seconds: f64,
    /// Seconds until all are live when no session was kept.
    pub live_seconds: f64,
    /// Thing that the last is bound by.
    pub bound: RecoveryBound,
    /// Seconds for a message to all clients.
    pub broadcast_seconds: f64,
    /// Messages that the broker stores during the outage.
    pub stored_messages: f64,
    /// Seconds until the last of them is delivered; `None` where they never are.
    pub stored_drain_seconds: Option<f64>,
    /// Deliveries that are lost, by the cause.
    pub lost: LostDeliveries,
    /// Events in the queue after an outage of the bridge or of IoT Core that lasts as long.
    pub backlog_events: f64,
    /// Seconds until that backlog is published; `None` where it never is at the peak.
    pub backlog_drain_seconds: Option<f64>,
}

/// Deliveries that clients miss in an outage of their connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LostDeliveries {
    /// Messages of QoS 0.
    pub qos0: f64,
    /// Messages of QoS 1 beyond the quota of stored messages a second.
    pub over_quota: f64,
    /// Messages of QoS 1 of sessions that expired before their clients came back.
    pub expired: f64,
}

impl LostDeliveries {
    /// All of them.
    pub fn total(&self) -> f64 {
        self.qos0 + self.over_quota + self.expired
    }
}

impl RecoveryTime {
    /// The recovery of a load.
    pub fn of(
        profile: &LoadProfile,
        demand: &LoadDemand,
        fleet: &FleetSize,
        quotas: &QuotaTable,
    ) -> Self {
        let value = |name| quotas.value(name);
        let clients = demand.connected.peak;
        let connects = value(QuotaName::ConnectsPerSecond);
        let connect_seconds = clients / connects;
        let subscribe_seconds =
            clients * profile.channels / value(QuotaName::SubscriptionsPerSecond);
        let authorizer_seconds =
            clients * profile.authorizer.as_secs_f64() / value(QuotaName::LambdaConcurrency);
        let admitted = connect_seconds.max(authorizer_seconds);
        let client_id_seconds = if admitted > 1.0 {
            value(QuotaName::SecondsBetweenConnectsPerClientId)
        } else {
            0.0
        };
        let bound = if subscribe_seconds > admitted {
            RecoveryBound::Subscriptions
        } else if authorizer_seconds > connect_seconds {
            RecoveryBound::Authorizer
        } else {
            RecoveryBound::Connects
        };
        let outbound = value(QuotaName::OutboundPublishesPerSecond);
        let outage = profile.outage.as_secs_f64();
        let stored = StoredMessages::of(profile, demand, quotas);
        let per_client = stored.messages / clients;
        let one_client = per_client / value(QuotaName::StoredPerSecondPerClient);
        let stored_drain = drain(stored.messages, outbound, demand.delivered.peak);
        let events = demand.events.peak * outage;
        // Events that make no message wait as well, and are gone as quickly as the others.
        let messages = demand.published.peak * outage;
        Self {
            clients,
            outage_seconds: outage,
            connect_seconds,
            subscribe_seconds,
            authorizer_seconds,
            client_id_seconds,
            kept_sessions_seconds: admitted + client_id_seconds,
            live_seconds: admitted.max(subscribe_seconds) + client_id_seconds,
            bound,
            broadcast_seconds: clients / outbound,
            stored_messages: stored.messages,
            stored_drain_seconds: stored_drain.map(|seconds| seconds.max(one_client)),
            lost: stored.lost,
            backlog_events: events,
            backlog_drain_seconds: drain(messages, fleet.capacity, demand.published.peak),
        }
    }
}

/// Seconds until so many messages are through beside a rate that goes on.
fn drain(messages: f64, capacity: f64, rate: f64) -> Option<f64> {
    if messages <= 0.0 {
        return Some(0.0);
    }
    (capacity > rate).then(|| messages / (capacity - rate))
}

struct StoredMessages {
    messages: f64,
    lost: LostDeliveries,
}

impl StoredMessages {
    fn of(profile: &LoadProfile, demand: &LoadDemand, quotas: &QuotaTable) -> Self {
        let outage = profile.outage.as_secs_f64();
        let qos1 = demand.delivered_qos1.peak * outage;
        let mut lost = LostDeliveries {
            qos0: (demand.delivered.peak * outage - qos1).max(0.0),
            ..LostDeliveries::default()
        };
        if profile.outage > profile.session_expiry {
            lost.expired = qos1;
            return Self {
                messages: 0.0,
                lost,
            };
        }
        let most = quotas.value(QuotaName::QueuedPerSecond) * outage;
        lost.over_quota = (qos1 - most).max(0.0);
        Self {
            messages: qos1.min(most),
            lost,
        }
    }
}
