//! Observability of the broker: a stream of events, and counters.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;

use super::super::observers::Observers;
use crate::port::{ClientAccess, RequestingClient};

/// Event of one client.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerObservation {
    /// Time of the event.
    #[serde(skip)]
    pub at: SystemTime,
    /// Client id; empty for a publish over HTTPS.
    pub client_id: Arc<str>,
    /// The event.
    #[serde(flatten)]
    pub what: BrokerEvent,
}

/// Event of the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BrokerEvent {
    /// The client connected.
    Connected {
        /// Principal of the client.
        principal: Arc<str>,
        /// MQTT version.
        mqtt: &'static str,
        /// Remote address.
        source: SocketAddr,
        /// `true` where an earlier session is resumed.
        resumed: bool,
        /// Rights of the client.
        #[serde(skip)]
        rights: ClientRights,
    },
    /// The client was refused.
    Refused {
        /// Reason.
        why: Box<str>,
    },
    /// The client disconnected.
    Disconnected {
        /// Reason's name, as in life-cycle events.
        reason: &'static str,
        /// Reason in words.
        why: Box<str>,
    },
    /// The client subscribed.
    Subscribed {
        /// The filter.
        filter: Box<str>,
        /// The QoS that was granted.
        qos: u8,
    },
    /// A subscription was denied, or refused.
    SubscribeDenied {
        /// The filter.
        filter: Box<str>,
        /// Reason.
        why: Box<str>,
    },
    /// The client ended a subscription.
    Unsubscribed {
        /// The filter.
        filter: Box<str>,
    },
    /// The client published a message.
    Published {
        /// Topic.
        topic: Box<str>,
        /// Bytes of the payload.
        bytes: usize,
        /// 0 or 1.
        qos: u8,
        /// `true` where the message is retained.
        retain: bool,
        /// Number of sessions that the message goes to.
        sessions: usize,
        /// Source event of the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        mark: Option<Box<EventCorrelation>>,
    },
    /// A publish was denied, or refused.
    PublishDenied {
        /// Topic.
        topic: Box<str>,
        /// Reason.
        why: Box<str>,
    },
    /// A message was written to the client's connection.
    Delivered {
        /// Topic of the message.
        topic: Box<str>,
        /// Bytes of the payload.
        bytes: usize,
        /// 0 or 1.
        qos: u8,
        /// RETAIN flag as the client sees it: `true` for a retained message that a later subscriber
        /// receives, or where the client asked for Retain As Published.
        retained: bool,
        /// `true` for a redelivery: the message was sent to this client before and is not
        /// acknowledged.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// Source event of the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        mark: Option<Box<EventCorrelation>>,
    },
    /// A message was dropped for the client.
    Dropped {
        /// Topic of the message.
        topic: Box<str>,
        /// Reason.
        why: Box<str>,
        /// Source event of the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        mark: Option<Box<EventCorrelation>>,
    },
}

/// Event and route of a message, from the user properties that the bridge sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventCorrelation {
    /// The event's id.
    pub event_id: Box<str>,
    /// The route that created the message.
    pub route: Option<Box<str>>,
    /// Time at which the broker accepted the message.
    #[serde(skip)]
    pub published: SystemTime,
}

/// Rights of a connected client, for diagnosis.
#[derive(Clone)]
pub struct ClientRights {
    /// The client.
    pub client: RequestingClient,
    /// Policy of the client.
    pub access: Arc<dyn ClientAccess>,
}

impl PartialEq for ClientRights {
    /// Compares by identity: the trait object itself has no equality.
    fn eq(&self, other: &Self) -> bool {
        self.client.id == other.client.id && Arc::ptr_eq(&self.access, &other.access)
    }
}

impl Eq for ClientRights {}

impl fmt::Debug for ClientRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rights")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Stream of the broker's events from now on.
pub type ObservationStream = super::super::observers::Observations<BrokerObservation>;

impl Observers<BrokerObservation> {
    /// Sends an event to the observers; builds it only if there are any.
    pub(crate) fn tell(&self, client_id: &Arc<str>, what: impl FnOnce() -> BrokerEvent) {
        self.show(|| BrokerObservation {
            at: SystemTime::now(),
            client_id: Arc::clone(client_id),
            what: what(),
        });
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the broker's start, except for those of the current state.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct BrokerCounts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct BrokerCounters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl BrokerCounters {
            pub(crate) fn read(&self) -> BrokerCounts {
                BrokerCounts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Current connections.
    connections,
    /// Current sessions, with and without a connection.
    sessions,
    /// Current subscriptions.
    subscriptions,
    /// Connections that were admitted.
    connected,
    /// Connections that were refused.
    refused,
    /// Messages that clients published and the broker accepted.
    published,
    /// Publishes that a policy denied, or the broker refused.
    publish_denied,
    /// Messages that were discarded because of a rate.
    throttled,
    /// Messages that were written to clients.
    delivered,
    /// Messages that clients acknowledged.
    acknowledged,
    /// Messages that a policy withheld from a subscriber.
    receive_denied,
    /// Messages that were stored for a disconnected client.
    stored,
    /// Messages that found no room, or were too large or too old for their subscriber.
    dropped,
    /// Subscriptions that a policy refused.
    subscribe_denied,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn uncount(counter: &AtomicU64, by: usize) {
    counter.fetch_sub(by as u64, Ordering::Relaxed);
}
