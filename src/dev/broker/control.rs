//! What others do with the broker from the inside: the HTTPS data plane, the inspector, faults.

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
use crate::dev::faults::Faults;
use crate::wire::property::{PropertyValue, id, properties};

/// How often it is looked whether all connections have ended.
const LOOK: Duration = Duration::from_millis(5);

/// A message that comes in by another way than MQTT, such as HTTPS `Publish`.
#[derive(Clone, Debug, Default)]
pub struct InboundPublish {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// 0 or 1.
    pub qos: u8,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
    /// How long it is worth delivering, in seconds.
    pub expiry: Option<u32>,
    /// Whether the payload is said to be UTF-8.
    pub is_text: bool,
    /// What kind of content it is.
    pub content_type: Option<String>,
    /// Where an answer is wanted.
    pub response_topic: Option<String>,
    /// What an answer is to carry.
    pub correlation_data: Option<Bytes>,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// It can never be taken.
    #[error("{0}")]
    Invalid(String),
    /// It is larger than a limit.
    #[error("{0}")]
    TooLarge(Box<str>),
    /// It is beyond a rate: it may be taken later.
    #[error("{0}")]
    Throttled(Box<str>),
}

/// A retained message.
#[derive(Clone, Debug)]
pub struct RetainedMessage {
    /// Where it was published.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// 0 or 1.
    pub qos: u8,
    /// When it was published.
    pub modified: SystemTime,
    /// Names and values.
    pub user_properties: Vec<(String, String)>,
}

/// What is known of a client id's connection.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Whether it is connected.
    pub is_connected: bool,
    /// Since when it is connected, or is not.
    pub since: Option<SystemTime>,
    /// Why the last connection ended, as life-cycle events have it.
    pub disconnect_reason: Option<&'static str>,
    /// The same in words.
    pub disconnect_why: Option<Box<str>>,
    /// Whether its session ends with its connection.
    pub is_clean: bool,
    /// How long its session outlives its connection, in seconds.
    pub session_expiry: u32,
    /// In seconds; 0 for none.
    pub keep_alive: Option<u16>,
    /// Who it is.
    pub principal: Option<Arc<str>>,
    /// Where it connects from.
    pub source: Option<SocketAddr>,
    /// Messages that wait for it or are not acknowledged.
    pub queued: usize,
}

impl Broker {
    /// Publishes a message; says how many sessions it goes to. Who may publish is the caller's to decide. The limits of topics,
    /// sizes and the account hold; those of connections do not.
    ///
    /// # Errors
    /// [`PostError`] when the message is not taken.
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

    /// Whether a call of the data plane may be done now, by its name; where not, it may be later.
    pub(in crate::dev) fn may_call(&self, action: &str, client_id: Option<&str>) -> bool {
        self.hub.calls.take(action, client_id, Instant::now())
    }

    /// The retained message of a topic.
    pub fn retained(&self, topic: &str) -> Option<RetainedMessage> {
        let message = self.hub.retained().message(topic, Instant::now())?;
        Some(RetainedMessage::from(&*message))
    }

    /// Up to `count` retained messages in the order of their topics, from the first one behind `topic` on.
    pub fn retained_after(&self, topic: &str, count: usize) -> Vec<RetainedMessage> {
        let messages = self.hub.retained().after(topic, count, Instant::now());
        let messages = messages.iter();
        messages
            .map(|message| RetainedMessage::from(&**message))
            .collect()
    }

    /// Ends a client's connection, as `DeleteConnection` does; false when it has none.
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

    /// Connections of some principals ask the authorizer again before they do anything else. Those that have shown no certificate are
    /// left as they are: what else an identity rests on does not change from outside.
    pub fn ask_again(&self, principals: impl Fn(&str) -> bool) {
        for session in self.hub.all_sessions() {
            let link = session.state().link.clone();
            if let Some(link) = link.filter(|link| principals(&link.principal)) {
                link.ask();
                session.wake();
            }
        }
    }

    /// What is known of a client id's connection; `None` when nothing is.
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

    /// A client's filters with the QoS that was granted, in the filters' order; `None` when it has no session.
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

    /// The ids of clients that have a connection or a session, in order: up to `count` of those that `wanted` takes. Also how many
    /// there are that it takes.
    pub fn clients(&self, count: usize, wanted: impl Fn(&str) -> bool) -> (Vec<Arc<str>>, usize) {
        let mut ids = self.hub.client_ids();
        ids.retain(|id| wanted(id));
        let found = ids.len();
        ids.sort_unstable();
        ids.truncate(count);
        (ids, found)
    }

    /// What a client that is connected may do; `None` when it is not.
    pub fn rights(&self, client_id: &str) -> Option<ClientRights> {
        let session = self.hub.session(client_id)?;
        let link = session.state().link.clone()?;
        Some(link.rights())
    }

    /// What happens from now on. Who does not keep up misses the oldest.
    pub fn observe(&self) -> ObservationStream {
        self.hub.observers.observe()
    }

    /// Counters as they are now.
    pub fn counts(&self) -> BrokerCounts {
        self.hub.counters.read()
    }

    /// Adds a fault, written as for `/_dev/faults`.
    ///
    /// # Errors
    /// When it is no fault.
    pub fn add_fault(&self, json: &[u8]) -> Result<(), serde_json::Error> {
        self.hub.faults.add(serde_json::from_slice(json)?);
        Ok(())
    }

    /// The faults themselves, to be shared with other endpoints.
    pub(in crate::dev) fn faults(&self) -> Faults {
        self.hub.faults.clone()
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.hub.faults.clear();
    }

    /// Breaks all connections, without a word, as a network does.
    pub fn break_connections(&self) {
        self.hub.end_all(&DisconnectReason::Fault);
    }

    /// Tells all clients that the broker ends, and waits until they have heard it, but not for longer than `within`.
    pub async fn close(&self, within: Duration) {
        self.hub.end_all(&DisconnectReason::ShuttingDown);
        let all_gone = async {
            while self.connections() > 0 {
                sleep(LOOK).await;
            }
        };
        // Who has not heard it by then is cut off.
        let _ = timeout(within, all_gone).await;
    }

    /// How many connections there are.
    pub fn connections(&self) -> u64 {
        self.hub.counters.connections.load(Ordering::Relaxed)
    }
}

impl InboundPublish {
    /// Its properties as they are written to subscribers.
    fn properties(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let bytes = |out: &mut Vec<u8>, bytes: &[u8]| {
            // Measured before.
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
