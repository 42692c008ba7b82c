//! A message as the broker holds it: once, however many subscribers it has.

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

/// A message that was published. Its parts are kept as they are written to subscribers.
#[derive(Debug)]
pub(crate) struct PublishedMessage {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Bytes,
    /// MQTT 5 properties as they go on: without expiry and alias, which are written for each subscriber.
    pub(crate) properties: Box<[u8]>,
    /// 0 or 1.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// From when on it is not worth delivering.
    pub(crate) expires: Option<Instant>,
    /// The session that published it, by its number; 0 for the broker itself and for HTTPS.
    pub(crate) publisher: u64,
    pub(crate) at: SystemTime,
    /// Its bytes, while it waits in a queue that is long.
    pub(crate) weight: MessageWeight,
}

impl PublishedMessage {
    /// Bytes of its parts.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }

    /// Has its bytes counted among those of all queues, once; false where there is no room for them.
    pub(crate) fn weigh(&self, holdings: &Arc<QueuedBytes>) -> bool {
        self.weight.count(self.bytes(), holdings)
    }

    /// The same message, published now: a will is made long before.
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

    /// The event that it was made of, where its user properties tell.
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

    /// The seconds left, as they are written into a packet: at least one.
    fn expiry(&self, now: Instant) -> Option<u32> {
        self.expires.map(|expires| {
            let left = expires.saturating_duration_since(now);
            let seconds = (left + Duration::from_millis(999)).as_secs();
            u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
        })
    }
}

/// A message on its way to one session.
#[derive(Clone, Debug)]
pub(crate) struct SubscriberDelivery {
    pub(crate) message: Arc<PublishedMessage>,
    /// The lower of the message's and the subscription's.
    pub(crate) qos: u8,
    /// The retain flag that the subscriber sees.
    pub(crate) retain: bool,
    /// Identifiers of the subscriptions that match; few clients have any.
    pub(crate) subscription_ids: Option<Box<[u32]>>,
    /// The group that it is for, with QoS 1: another member may get it in this one's place.
    pub(crate) group: Option<Arc<SharedQueue>>,
    /// The packet identifier under which an earlier connection was sent it, where it is to have it again; otherwise 0.
    pub(crate) sent_as: u16,
}

impl SubscriberDelivery {
    /// Bytes that it takes in a queue, its message included.
    pub(crate) fn bytes(&self) -> usize {
        ENTRY + self.message.bytes()
    }

    /// A message for a group as one member gets it.
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

    /// The packet, but for its payload.
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
