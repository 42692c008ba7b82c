//! Operations on the broker from inside the process: the HTTPS data plane, the inspector, faults.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::{BufMut as _, Bytes};
use tokio::time::{Instant, sleep, timeout};

use super::Broker;
use super::connection::ending::DisconnectReason;
use super::excess::{excess, per_second, sizes};
use super::hub::holdings::MessageWeight;
use super::hub::message::PublishedMessage;
use super::hub::routing::MatchBuffer;
use super::names::{self, PublishOrigin, TopicClass, TopicRejection};
use super::observe::{BrokerCounts, ClientRights, ObservationStream, count};
use crate::dev::faults::PlannedFaults;
use crate::wire::property::{PropertyValue, id, properties};

/// Poll interval while all connections are ending.
const LOOK: Duration = Duration::from_millis(5);

/// Message that enters by another way than MQTT, such as HTTPS `Publish`.
#[derive(Clone, Debug, Default)]
pub struct InboundPublish {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// 0 or 1.
    pub qos: u8,
    /// `true` where the message is also retained.
    pub retain: bool,
    /// Message Expiry Interval, in seconds.
    pub expiry: Option<u32>,
    /// Payload Format Indicator: `true` where the publisher declares UTF-8 text.
    pub is_text: bool,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Bytes>,
    /// User Properties: names and values.
    pub user_properties: Vec<(String, String)>,
}

/// Reason why a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The message can never be accepted.
    #[error("{0}")]
    Invalid(String),
    /// The message exceeds the limit of a size.
    #[error("{0}")]
    TooLarge(Box<str>),
    /// The message exceeds a rate; it may be accepted later.
    #[error("{0}")]
    Throttled(Box<str>),
}

/// A retained message.
#[derive(Clone, Debug)]
pub struct RetainedMessage {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// 0 or 1.
    pub qos: u8,
    /// Time of publication.
    pub modified: SystemTime,
    /// User Properties: names and values.
    pub user_properties: Vec<(String, String)>,
}

/// Current connection of a client id, or its last one.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// `true` while the client is connected.
    pub is_connected: bool,
    /// Time of the last connect or disconnect.
    pub since: Option<SystemTime>,
    /// Reason for the end of the last connection, as life-cycle events name it.
    pub disconnect_reason: Option<&'static str>,
    /// Reason in words.
    pub disconnect_why: Option<Box<str>>,
    /// `true` where the session ends with its connection.
    pub is_clean: bool,
    /// Session Expiry Interval, in seconds.
    pub session_expiry: u32,
    /// Keep Alive, in seconds; 0 for none.
    pub keep_alive: Option<u16>,
    /// Principal of the client.
    pub principal: Option<Arc<str>>,
    /// Remote address of the connection.
    pub source: Option<SocketAddr>,
    /// Number of messages that wait for the client or are not acknowledged.
    pub queued: usize,
}

impl Broker {
    /// Publishes a message and returns the number of sessions that it goes to. The caller decides
    /// who may publish. The limits of topics, sizes and the account apply; those of connections do
    /// not.
    ///
    /// # Errors
    /// [`PostError`] when the message is not accepted.
    pub fn publish(&self, post: &InboundPublish) -> Result<usize, PostError> {
        let hub = &self.hub;
        let now = Instant::now();
        let reached = names::topic(&post.topic, PublishOrigin::Https, &hub.limits, &hub.rules)
            .map_err(|unfit| match unfit {
                TopicRejection::Wrong(why)
                | TopicRejection::Refused(why)
                | TopicRejection::Reserved(why)
                | TopicRejection::Beyond(why) => PostError::Invalid(why),
            })?;
        if post.qos > 1 {
            return Err(PostError::Invalid("the QoS must be 0 or 1".into()));
        }
        self.measure(post)?;
        if !hub.account.publishes_in.take(now) {
            count(&hub.counters.throttled);
            let most = hub.limits.account_publishes_in;
            let why = per_second("account-publishes-in", most);
            return Err(PostError::Throttled(why));
        }
        if post.retain {
            hub.may_retain(&post.topic, post.payload.len(), now)
                .map_err(PostError::Throttled)?;
        }
        let expiry = post
            .expiry
            .map(|seconds| hub.limits.message_expiry(seconds));
        let message = Arc::new(PublishedMessage {
            topic: post.topic.as_str().into(),
            payload: post.payload.clone(),
            properties: post.properties().into(),
            qos: post.qos,
            retain: post.retain,
            expires: expiry.map(|seconds| now + Duration::from_secs(seconds.into())),
            publisher: 0,
            at: SystemTime::now(),
            weight: MessageWeight::default(),
        });
        let times = usize::from(reached == TopicClass::Plain);
        Ok(hub.pass_on(&"".into(), &message, times, &mut MatchBuffer::new()))
    }

    fn measure(&self, post: &InboundPublish) -> Result<(), PostError> {
        let limits = &self.hub.limits;
        let pairs = post.user_properties.iter();
        let user_bytes: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        let correlation = post.correlation_data.as_ref().map_or(0, Bytes::len);
        let content_type = post.content_type.as_ref().map_or(0, String::len);
        let short = |text: &str| text.len() <= usize::from(u16::MAX);
        let texts = post.user_properties.iter();
        let texts = texts.flat_map(|(name, value)| [name, value]);
        let mut texts = texts.chain(&post.content_type).chain(&post.response_topic);
        let payload = post.payload.len();
        let largest = limits.packet_bytes as usize;
        sizes(limits, payload, user_bytes, correlation, content_type)
            .map_err(PostError::TooLarge)?;
        if payload > largest {
            let sent = format!("a payload of {payload} bytes");
            return Err(PostError::TooLarge(excess(
                &sent,
                "packet-bytes",
                largest,
                "",
            )));
        }
        if correlation > usize::from(u16::MAX) || !texts.all(|text| short(text)) {
            let why = "a property of more than 65535 bytes, the most that MQTT has";
            return Err(PostError::TooLarge(why.into()));
        }
        Ok(())
    }

    /// Returns `true` where the rate limits admit a call of the data plane, by its name. A refused
    /// call may succeed later.
    pub(in crate::dev) fn may_call(&self, action: &str, client_id: Option<&str>) -> bool {
        self.hub.calls.take(action, client_id, Instant::now())
    }

    /// Returns the retained message of a topic.
    pub fn retained(&self, topic: &str) -> Option<RetainedMessage> {
        let message = self.hub.retained().message(topic, Instant::now())?;
        Some(RetainedMessage::from(&*message))
    }

    /// Returns up to `count` retained messages in the order of their topics, starting behind
    /// `topic`.
    pub fn retained_after(&self, topic: &str, count: usize) -> Vec<RetainedMessage> {
        let messages = self.hub.retained().after(topic, count, Instant::now());
        let messages = messages.iter();
        messages
            .map(|message| RetainedMessage::from(&**message))
            .collect()
    }

    /// Ends a client's connection, as `DeleteConnection` does; returns `false` when there is none.
    pub fn delete_connection(
        &self,
        client_id: &str,
        clean_session: bool,
        prevent_will: bool,
    ) -> bool {
        let Some(session) = self.hub.session(client_id) else {
            return false;
        };
        let mut state = session.state();
        let Some(link) = state.link.clone() else {
            return false;
        };
        if clean_session {
            state.expiry = 0;
        }
        drop(state);
        link.end(DisconnectReason::Deleted { prevent_will });
        session.wake();
        true
    }

    /// Makes the connections of some principals ask the authorizer again before they do anything
    /// else. Connections without a certificate are left out, since the other sources of an identity
    /// do not change from outside.
    pub fn ask_again(&self, principals: impl Fn(&str) -> bool) {
        for session in self.hub.all_sessions() {
            let link = session.state().link.clone();
            if let Some(link) = link.filter(|link| principals(&link.principal)) {
                link.ask();
                session.wake();
            }
        }
    }

    /// Returns the connection of a client id; `None` when the broker knows nothing of the id.
    pub fn connection(&self, client_id: &str) -> Option<ConnectionFacts> {
        let last = self.hub.ledger().last(client_id);
        let session = self.hub.session(client_id);
        let Some(session) = session else {
            return last.map(|last| ConnectionFacts {
                is_connected: false,
                since: Some(last.ended),
                disconnect_reason: Some(last.reason),
                disconnect_why: Some(last.why),
                is_clean: true,
                session_expiry: 0,
                keep_alive: None,
                principal: None,
                source: None,
                queued: 0,
            });
        };
        let state = session.state();
        let link = state.link.as_ref();
        let away = last.as_ref().filter(|_| link.is_none());
        Some(ConnectionFacts {
            is_connected: link.is_some(),
            since: link.map(|link| link.since).or(away.map(|last| last.ended)),
            disconnect_reason: away.map(|last| last.reason),
            disconnect_why: away.map(|last| last.why.clone()),
            is_clean: link.is_some_and(|link| link.is_clean),
            session_expiry: state.expiry,
            keep_alive: link.map(|link| link.keep_alive),
            principal: link.map(|link| Arc::clone(&link.principal)),
            source: link.map(|link| link.source),
            queued: state.outbox.len(),
        })
    }

    /// Returns a client's filters with the granted QoS, sorted by filter; `None` when it has no
    /// session.
    pub fn subscriptions(&self, client_id: &str) -> Option<Vec<(String, u8)>> {
        let session = self.hub.session(client_id)?;
        let state = session.state();
        let subscriptions = state.subscriptions.iter();
        Some(
            subscriptions
                .map(|(filter, options)| (filter.to_string(), options.qos))
                .collect(),
        )
    }

    /// Returns the ids of clients with a connection or a session, sorted: up to `count` of those
    /// that `wanted` accepts. Also returns the total number that it accepts.
    pub fn clients(&self, count: usize, wanted: impl Fn(&str) -> bool) -> (Vec<Arc<str>>, usize) {
        let mut ids = self.hub.client_ids();
        ids.retain(|id| wanted(id));
        let found = ids.len();
        ids.sort_unstable();
        ids.truncate(count);
        (ids, found)
    }

    /// Returns the rights of a connected client; `None` when it is not connected.
    pub fn rights(&self, client_id: &str) -> Option<ClientRights> {
        let session = self.hub.session(client_id)?;
        let link = session.state().link.clone()?;
        Some(link.rights())
    }

    /// Subscribes to the broker's events from now on. A slow observer loses the oldest events.
    pub fn observe(&self) -> ObservationStream {
        self.hub.observers.observe()
    }

    /// Returns the current counters.
    pub fn counts(&self) -> BrokerCounts {
        self.hub.counters.read()
    }

    /// Adds a fault, written as for `/_dev/faults`.
    ///
    /// # Errors
    /// The JSON does not describe a fault.
    pub fn add_fault(&self, json: &[u8]) -> Result<(), serde_json::Error> {
        self.hub.faults.add(serde_json::from_slice(json)?);
        Ok(())
    }

    /// Returns the faults themselves, to be shared with other endpoints.
    pub(in crate::dev) fn faults(&self) -> PlannedFaults {
        self.hub.faults.clone()
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.hub.faults.clear();
    }

    /// Breaks all connections without DISCONNECT, as a network failure does.
    pub fn break_connections(&self) {
        self.hub.end_all(&DisconnectReason::Fault);
    }

    /// Sends DISCONNECT to all clients and waits until they have received it, at most for `within`.
    pub async fn close(&self, within: Duration) {
        self.hub.end_all(&DisconnectReason::ShuttingDown);
        let all_gone = async {
            while self.connections() > 0 {
                sleep(LOOK).await;
            }
        };
        // A client that has not read its DISCONNECT by then is cut off.
        let _ = timeout(within, all_gone).await;
    }

    /// Number of open connections.
    pub fn connections(&self) -> u64 {
        self.hub.counters.connections.load(Ordering::Relaxed)
    }
}

impl InboundPublish {
    /// Returns the properties as they are written to subscribers.
    fn properties(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let bytes = |out: &mut Vec<u8>, bytes: &[u8]| {
            // The length is already checked.
            out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
            out.put_slice(bytes);
        };
        if self.is_text {
            out.put_slice(&[id::PAYLOAD_FORMAT, 1]);
        }
        if let Some(content_type) = &self.content_type {
            out.put_u8(id::CONTENT_TYPE);
            bytes(&mut out, content_type.as_bytes());
        }
        if let Some(topic) = &self.response_topic {
            out.put_u8(id::RESPONSE_TOPIC);
            bytes(&mut out, topic.as_bytes());
        }
        if let Some(data) = &self.correlation_data {
            out.put_u8(id::CORRELATION_DATA);
            bytes(&mut out, data);
        }
        for (name, value) in &self.user_properties {
            out.put_u8(id::USER_PROPERTY);
            bytes(&mut out, name.as_bytes());
            bytes(&mut out, value.as_bytes());
        }
        out
    }
}

impl From<&PublishedMessage> for RetainedMessage {
    fn from(message: &PublishedMessage) -> Self {
        let properties = properties(&message.properties).map_while(Result::ok);
        let pair = |value| match value {
            PropertyValue::Pair(name, value) => Some((name.to_owned(), value.to_owned())),
            _ => None,
        };
        Self {
            topic: message.topic.to_string(),
            payload: message.payload.clone(),
            qos: message.qos,
            modified: message.at,
            user_properties: properties
                .filter_map(|property| pair(property.value))
                .collect(),
        }
    }
}
