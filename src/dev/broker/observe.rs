//! What the broker lets others see: a stream of what happens, and counters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::broadcast;

/// How many observations are kept for a slow observer; it then misses the oldest ones, and is told how many.
const KEPT: usize = 4_096;

/// Something that happened to a client.
#[derive(Clone, Debug, Serialize)]
pub struct Observation {
    /// When.
    #[serde(skip)]
    pub at: SystemTime,
    /// To whom; empty for a publish over HTTPS.
    pub client_id: Arc<str>,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
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
    },
    /// A message does not come to it.
    Dropped {
        /// Where it was published.
        topic: Box<str>,
        /// Why.
        why: Box<str>,
    },
}

/// Where observations are sent.
#[derive(Debug)]
pub(crate) struct Observers {
    sender: broadcast::Sender<Observation>,
    /// How many look: asking the channel would take its lock.
    count: Arc<AtomicUsize>,
}

impl Default for Observers {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(KEPT).0,
            count: Arc::default(),
        }
    }
}

impl Observers {
    pub(crate) fn observe(&self) -> Observations {
        self.count.fetch_add(1, Ordering::Relaxed);
        Observations {
            receiver: self.sender.subscribe(),
            count: Arc::clone(&self.count),
        }
    }

    /// Tells of something, if anybody looks.
    pub(crate) fn tell(&self, client_id: &Arc<str>, what: impl FnOnce() -> Happening) {
        if self.count.load(Ordering::Relaxed) > 0 {
            // Nobody may be left to hear it.
            let _ = self.sender.send(Observation {
                at: SystemTime::now(),
                client_id: Arc::clone(client_id),
                what: what(),
            });
        }
    }
}

/// What happens from now on.
#[derive(Debug)]
pub struct Observations {
    receiver: broadcast::Receiver<Observation>,
    count: Arc<AtomicUsize>,
}

impl Observations {
    /// Waits for what happens next; `Err` with how many were missed by who was too slow, `None` once the broker is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Observation, u64>> {
        match self.receiver.recv().await {
            Ok(observation) => Some(Ok(observation)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Observations {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters from the broker's start on, but for those that say what there is now.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
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
