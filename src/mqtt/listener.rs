//! Client like an application of the platform: it connects with a token, subscribes, and receives.
//!
//! It has one connection and no reconnect: the caller opens another one, with a fresh token.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{DisconnectReasonCode, Packet, SubscribeReasonCode};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, NetworkOptions, PublishOptions, StateError,
    SubscribeFilterInput,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::auth::BrokerAccess;
use crate::channel::limits::{PACKET_BYTES, SUBSCRIPTIONS_PER_SUBSCRIBE};

/// Time that the broker has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const KEEP_ALIVE: u16 = 60;

/// The most unacknowledged messages of its own.
const IN_FLIGHT: u16 = 16;

/// The most received messages that may wait for the caller.
const WAITING: usize = 256;

/// A live connection. Dropping it ends it.
pub struct Listener {
    client: AsyncClient,
    heard: mpsc::Receiver<Heard>,
    /// The error that ended the connection.
    ended: Arc<OnceLock<String>>,
    _event_loop: JoinSet<()>,
}

/// A message that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Topic of the message.
    pub topic: String,
    /// Payload of the message.
    pub payload: Bytes,
    /// Retain flag of the message: the broker had retained it.
    pub retain: bool,
    /// Its user properties.
    pub properties: Vec<(String, String)>,
}

/// A filter that the broker did not accept.
#[derive(Clone, Debug)]
pub struct RefusedFilter {
    /// The filter.
    pub filter: String,
    /// The reason code of SUBACK, in words.
    pub reason: String,
}

impl Listener {
    /// Connects.
    ///
    /// # Errors
    /// The broker's reason for refusing the client, in one line.
    pub async fn open(access: &BrokerAccess, client_id: &str) -> Result<Self, String> {
        let mut options = access.options(client_id).await?;
        options
            .set_clean_start(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_max_packet_size(Some(PACKET_BYTES))
            // The client library keeps a place for each: without a bound, megabytes.
            .set_outgoing_inflight_upper_limit(IN_FLIGHT);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, event_loop) = AsyncClient::builder(options)
            .capacity(16)
            .try_build()
            .map_err(|error| error.to_string())?;
        let (connected, connack) = oneshot::channel();
        let (sender, heard) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        let ended = Arc::new(OnceLock::new());
        task.spawn(turn(event_loop, connected, sender, Arc::clone(&ended)));
        match timeout(PATIENCE, connack).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err("the connection ended before the broker answered".into()),
            Err(_) => return Err("the broker did not answer in time".into()),
        }
        Ok(Self {
            client,
            heard,
            ended,
            _event_loop: task,
        })
    }

    /// Subscribes with QoS 1, with as many filters in one packet as IoT Core takes; gives the filters that were refused.
    ///
    /// # Errors
    /// One line, where the connection is lost.
    pub async fn subscribe(&self, filters: &[String]) -> Result<Vec<RefusedFilter>, String> {
        let mut refused = Vec::new();
        for some in filters.chunks(SUBSCRIPTIONS_PER_SUBSCRIBE) {
            let input = some
                .iter()
                .map(|filter| SubscribeFilterInput::new(filter.as_str(), QoS::AtLeastOnce));
            let notice = self.client.subscribe_many_tracked(input).await;
            let notice = notice.map_err(|error| error.to_string())?;
            let answer = timeout(PATIENCE, notice.wait_async()).await;
            let answer = answer.map_err(|_| "the broker did not answer in time".to_owned())?;
            let codes = answer.map_err(|error| error.to_string())?.return_codes;
            let denied = some.iter().zip(codes);
            let denied =
                denied.filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)));
            refused.extend(denied.map(|(filter, code)| RefusedFilter {
                filter: filter.clone(),
                reason: words(code).to_owned(),
            }));
        }
        Ok(refused)
    }

    /// Publishes with QoS 1, without waiting for the acknowledgement.
    ///
    /// # Errors
    /// One line, where the connection is lost.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<(), String> {
        let options = PublishOptions::at_least_once().retain(retain);
        let published = self.client.publish(topic, payload.into(), options).await;
        published.map_err(|error| error.to_string())
    }

    /// The next message; `None` once the connection has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// The error that ended the connection, once it has ended by one.
    pub fn why_ended(&self) -> Option<String> {
        self.ended.get().cloned()
    }

    /// Says goodbye, so that the broker does not take the end for a failure.
    pub async fn leave(mut self) {
        let goodbye = async {
            if self.client.disconnect().await.is_ok() {
                while self.heard.recv().await.is_some() {}
            }
        };
        // A timeout drops the connection, which ends it as well.
        let _ = timeout(Duration::from_secs(1), goodbye).await;
    }
}

/// Turns the event loop until its first error. It is the only one to poll: polling is not cancel safe.
async fn turn(
    mut event_loop: EventLoop,
    connected: oneshot::Sender<Result<(), String>>,
    heard: mpsc::Sender<Heard>,
    ended: Arc<OnceLock<String>>,
) {
    let mut connected = Some(connected);
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if let Some(connected) = connected.take() {
                    // The receiver may have given up.
                    let _ = connected.send(Ok(()));
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let message = Heard {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload,
                    retain: publish.retain,
                    properties: publish
                        .properties
                        .map(|properties| properties.user_properties)
                        .unwrap_or_default(),
                };
                if heard.send(message).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                let error = end_in_words(&error);
                if let Some(connected) = connected.take() {
                    let _ = connected.send(Err(error.clone()));
                }
                // It is set here alone.
                let _ = ended.set(error);
                return;
            }
        }
    }
}

/// The end of a connection in words (MQTT 5.0 §3.14.2).
fn end_in_words(error: &ConnectionError) -> String {
    use DisconnectReasonCode as Code;
    let ConnectionError::MqttState(StateError::ServerDisconnect {
        reason_code,
        reason_string,
    }) = error
    else {
        return error.to_string();
    };
    let why = match reason_code {
        Code::ServerShuttingDown => "it shuts down (0x8B)".to_owned(),
        Code::SessionTakenOver => {
            "another client connected with the same client id (0x8E)".to_owned()
        }
        Code::NotAuthorized => "not authorized (0x87)".to_owned(),
        Code::NormalDisconnection => "an end in good order (0x00)".to_owned(),
        Code::KeepAliveTimeout => "nothing came within the keep-alive time (0x8D)".to_owned(),
        Code::QuotaExceeded => "quota exceeded (0x97)".to_owned(),
        Code::AdministrativeAction => "administrative action (0x98)".to_owned(),
        code => format!("reason {code:?}"),
    };
    match reason_string {
        Some(reason) => format!("the broker ended it: {why}: {reason}"),
        None => format!("the broker ended it: {why}"),
    }
}

/// A reason code of SUBACK in words (MQTT 5.0 §3.9.3).
fn words(code: SubscribeReasonCode) -> &'static str {
    match code {
        SubscribeReasonCode::Success(_) => "granted",
        SubscribeReasonCode::NotAuthorized => "not authorized (0x87)",
        SubscribeReasonCode::TopicFilterInvalid => "topic filter invalid (0x8F)",
        SubscribeReasonCode::QuotaExceeded => "quota exceeded (0x97)",
        SubscribeReasonCode::SharedSubscriptionsNotSupported => {
            "shared subscriptions not supported (0x9E)"
        }
        SubscribeReasonCode::SubscriptionIdNotSupported => {
            "subscription identifiers not supported (0xA1)"
        }
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => {
            "wildcard subscriptions not supported (0xA2)"
        }
        _ => "unspecified error (0x80)",
    }
}
