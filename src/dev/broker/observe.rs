//! What the broker lets others see: a stream of what happens, and counters.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;

use super::super::observers::Observers;
use crate::port::{Access, Client};

/// Something that happened to a client.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerObservation {
    /// When.
    #[serde(skip)]
    pub at: SystemTime,
    /// To whom; empty for a publish over HTTPS.
    pub client_id: Arc<str>,
    /// What.
    #[serde(flatten)]
    pub what: BrokerEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BrokerEvent {
    /// It is connected.
    Connected {
        /// Its principal.
        principal: Arc<str>,
        /// The version of MQTT.
        mqtt: &'static str,
        /// Where from.
        source: SocketAddr,
        /// Whether an earlier session goes on.
        resumed: bool,
        /// What it may do.
        #[serde(skip)]
        rights: ClientRights,
    },
    /// It was not let in.
    Refused {
        /// Why.
        why: Box<str>,
    },
    /// It is gone.
    Disconnected {
        /// The reason's word, as in life-cycle events.
        reason: &'static str,
        /// Why, in words.
        why: Box<str>,
    },
    /// It has subscribed.
    Subscribed {
        /// The filter.
        filter: Box<str>,
        /// The QoS that was granted.
        qos: u8,
    },
    /// It may not subscribe.
    SubscribeDenied {
        /// The filter.
        filter: Box<str>,
        /// Why.
        why: Box<str>,
    },
    /// It has no such subscription any more.
    Unsubscribed {
        /// The filter.
        filter: Box<str>,
    },
    /// It published a message.
    Published {
        /// Where.
        topic: Box<str>,
        /// Bytes of the payload.
        bytes: usize,
        /// 0 or 1.
        qos: u8,
        /// Whether it is retained.
        retain: bool,
        /// How many sessions it goes to.
        sessions: usize,
        /// What it was made of.
        #[serde(skip_serializing_if = "Option::is_none")]
        mark: Option<Box<EventCorrelation>>,
    },
    /// It may not publish, or not this.
    PublishDenied {
        /// Where.
        topic: Box<str>,
        /// Why.
        why: Box<str>,
    },
    /// A message was written to its connection.
    Delivered {
        /// Where it was published.
        topic: Box<str>,
        /// Bytes of the payload.
        bytes: usize,
        /// 0 or 1.
        qos: u8,
        /// Whether the client sees its retain flag: it was kept as the topic's last message and comes to who subscribed later, unless
        /// the client asked for the flag as published.
        retained: bool,
        /// Whether its client was sent it before, and did not acknowledge it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// What it was made of.
        #[serde(skip_serializing_if = "Option::is_none")]
        mark: Option<Box<EventCorrelation>>,
    },
    /// A message does not come to it.
    Dropped {
        /// Where it was published.
        topic: Box<str>,
        /// Why.
        why: Box<str>,
        /// What it was made of.
        #[serde(skip_serializing_if = "Option::is_none")]
        mark: Option<Box<EventCorrelation>>,
    },
}

/// What the bridge tells in a message's user properties: which event it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventCorrelation {
    /// The event's id.
    pub event_id: Box<str>,
    /// The route that made it.
    pub route: Option<Box<str>>,
    /// When the broker took it.
    #[serde(skip)]
    pub published: SystemTime,
}

/// What the client of a connection may do, for who explains it.
#[derive(Clone)]
pub struct ClientRights {
    /// The client.
    pub client: Client,
    /// What it may do.
    pub access: Arc<dyn Access>,
}

impl PartialEq for ClientRights {
    /// Whether they are the same ones: what is behind a port cannot be compared.
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

/// What clients of the broker do, from now on.
pub type ObservationStream = super::super::observers::Observations<BrokerObservation>;

impl Observers<BrokerObservation> {
    /// Tells of something, if anybody looks.
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
        /// Counters from the broker's start on, but for those that say what there is now.
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
    /// Connections that there are now.
    connections,
    /// Sessions that there are now, with and without a connection.
    sessions,
    /// Subscriptions that there are now.
    subscriptions,
    /// Connections that were let in.
    connected,
    /// Connections that were not.
    refused,
    /// Messages that clients published and the broker took.
    published,
    /// Messages that clients may not publish.
    publish_denied,
    /// Messages that were discarded because of a rate.
    throttled,
    /// Messages that were written to clients.
    delivered,
    /// Messages that clients acknowledged.
    acknowledged,
    /// Messages that a policy kept from a subscriber.
    receive_denied,
    /// Messages that were kept for a client that was away.
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
