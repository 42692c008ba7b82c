//! Message of the broker: stored once for all its subscribers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::group::SharedQueue;
use super::holdings::{ENTRY, MessageWeight, QueuedBytes};
use super::session::SubscriptionOptions;
use crate::dev::broker::observe::EventCorrelation;
use crate::wire::ProtocolVersion;
use crate::wire::encode::SubscriberPublish;
use crate::wire::property::{PropertyValue, properties};

/// Published message. Its parts are stored as they are written to subscribers.
#[derive(Debug)]
pub(crate) struct PublishedMessage {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Bytes,
    /// MQTT 5 properties for subscribers, without expiry and alias, which each subscriber has of
    /// its own.
    pub(crate) properties: Box<[u8]>,
    /// 0 or 1.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Time after which the message is not delivered.
    pub(crate) expires: Option<Instant>,
    /// Number of the session that published the message; 0 for the broker itself and for HTTPS.
    pub(crate) publisher: u64,
    pub(crate) at: SystemTime,
    /// Bytes of the message, while it waits in a long queue.
    pub(crate) weight: MessageWeight,
}

impl PublishedMessage {
    /// Returns the bytes of the message's parts.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }

    /// Counts the message once in the total of all queues; returns `false` where there is no room.
    pub(crate) fn weigh(&self, holdings: &Arc<QueuedBytes>) -> bool {
        self.weight.count(self.bytes(), holdings)
    }

    /// Copies the message with the current time of publication, since a will is created long
    /// before.
    pub(crate) fn published_now(&self, expiry: Option<u32>) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            topic: self.topic.clone(),
            payload: self.payload.clone(),
            properties: self.properties.clone(),
            qos: self.qos,
            retain: self.retain,
            expires: expiry.map(|expiry| Instant::now() + seconds(expiry)),
            publisher: self.publisher,
            at: SystemTime::now(),
            weight: MessageWeight::default(),
        }
    }

    /// Returns the event that the message comes from, where its user properties name one.
    pub(crate) fn mark(&self) -> Option<Box<EventCorrelation>> {
        let (mut event_id, mut route) = (None, None);
        for property in properties(&self.properties).map_while(Result::ok) {
            match property.value {
                PropertyValue::Pair("eb-id", id) => event_id = Some(id.into()),
                PropertyValue::Pair("eb-route", name) => route = Some(name.into()),
                _ => {}
            }
        }
        Some(Box::new(EventCorrelation {
            event_id: event_id?,
            route,
            published: self.at,
        }))
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Returns the remaining seconds for the packet: at least one.
    fn expiry(&self, now: Instant) -> Option<u32> {
        self.expires.map(|expires| {
            let left = expires.saturating_duration_since(now);
            let seconds = (left + Duration::from_millis(999)).as_secs();
            u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
        })
    }
}

/// Delivery of a message to one session.
#[derive(Clone, Debug)]
pub(crate) struct SubscriberDelivery {
    pub(crate) message: Arc<PublishedMessage>,
    /// The lower QoS of the message and the subscription.
    pub(crate) qos: u8,
    /// RETAIN flag for the subscriber.
    pub(crate) retain: bool,
    /// Identifiers of the matching subscriptions; few clients have any.
    pub(crate) subscription_ids: Option<Box<[u32]>>,
    /// Group of the delivery, with QoS 1: another member may receive it instead.
    pub(crate) group: Option<Arc<SharedQueue>>,
    /// Packet identifier on an earlier connection, where the client must see it again; otherwise 0.
    pub(crate) sent_as: u16,
}

impl SubscriberDelivery {
    /// Returns the bytes that the delivery takes in a queue, its message included.
    pub(crate) fn bytes(&self) -> usize {
        ENTRY + self.message.bytes()
    }

    /// Creates the delivery of a group's message to one member.
    pub(crate) fn shared(
        message: Arc<PublishedMessage>,
        options: SubscriptionOptions,
        waiting: &Arc<SharedQueue>,
    ) -> Self {
        let qos = message.qos.min(options.qos);
        let id = options.subscription_id;
        Self {
            qos,
            retain: message.retain && options.retain_as_published,
            subscription_ids: (id > 0).then(|| [id].into()),
            group: (qos > 0).then(|| Arc::clone(waiting)),
            message,
            sent_as: 0,
        }
    }

    /// Returns the packet without its payload.
    pub(crate) fn packet<'a>(
        &'a self,
        level: ProtocolVersion,
        id: u16,
        now: Instant,
    ) -> SubscriberPublish<'a> {
        let message = &*self.message;
        let is_v5 = level.is_v5();
        SubscriberPublish {
            topic: &message.topic,
            qos: self.qos,
            retain: self.retain,
            again: false,
            id,
            expiry: if is_v5 { message.expiry(now) } else { None },
            alias: None,
            subscription_ids: self.subscription_ids.as_deref().unwrap_or_default(),
            properties: if is_v5 { &message.properties } else { &[] },
            payload_bytes: message.payload.len(),
        }
    }
}
