//! One connection, from CONNECT to its first error.
//!
//! A publication is known by its place among all that the connection was given. The client sends
//! them in that order and reports the packet identifier of each once it is sent, so that its
//! acknowledgement is found by counting. The client's own way, a notice for each publication, costs
//! it a copy of the publication and a turn of its loop for each acknowledgement (`bench/peers`).

use std::io;
use std::time::Duration;

use rumqttc::mqttbytes::Error as MqttError;
use rumqttc::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Packet, PubAckReason, PublishProperties,
};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, NetworkOptions, Outgoing, PublishOptions,
    StateError,
};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::MqttSettings;
use super::granted::GrantedLimits;
use crate::channel::limits::{MESSAGE_EXPIRY_SECONDS, PACKET_BYTES};
use crate::port::PublishError;
use crate::route::publication::{Publication, Qos};

/// The most publications that one write carries, and acknowledgements that one read takes, as far
/// as they are there already: nothing is waited for. A write of its own for each costs more than
/// all that the client does besides (`bench/peers`). The client forgets acknowledgements that it
/// reads together with the end of the connection: those publications are sent twice.
const TOGETHER: usize = 64;

/// Outcome of a publication, which is identified by its place among all that the connection was
/// given.
pub(super) type PublishAck = (u64, Result<(), PublishError>);

/// A live connection. Dropping it ends its event loop.
pub(super) struct PublisherConnection {
    client: AsyncClient,
    answers: mpsc::Receiver<PublishAck>,
    /// The most unacknowledged publications: ours or the broker's bound, whichever is lower.
    pub(super) in_flight: u16,
    granted: GrantedLimits,
    _event_loop: JoinSet<()>,
}

impl PublisherConnection {
    /// Connects and waits for the broker's CONNACK. The error is one line for a log.
    pub(super) async fn open(settings: &MqttSettings, client_id: &str) -> Result<Self, String> {
        let mut options = settings.access.options(client_id).await?;
        options
            .set_clean_start(true)
            .set_keep_alive(settings.keep_alive.as_secs().try_into().unwrap_or(u16::MAX))
            .set_connect_timeout(settings.connect_timeout)
            .set_max_packet_size(Some(PACKET_BYTES))
            .set_max_request_batch(TOGETHER)
            .set_read_batch_size(TOGETHER)
            .set_outgoing_inflight_upper_limit(settings.in_flight);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, event_loop) = AsyncClient::builder(options)
            .capacity(usize::from(settings.in_flight))
            .try_build()
            .map_err(|error| error.to_string())?;
        let (connected, connack) = oneshot::channel();
        let (answered, answers) = mpsc::channel(usize::from(settings.in_flight.max(1)));
        let mut task = JoinSet::new();
        task.spawn(run(event_loop, connected, answered));
        let granted = match timeout(settings.connect_timeout, connack).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err("the connection ended before the broker answered".into()),
            Err(_) => return Err("the broker did not answer in time".into()),
        };
        Ok(Self {
            client,
            answers,
            in_flight: granted
                .receive_maximum
                .unwrap_or(u16::MAX)
                .min(settings.in_flight)
                .max(1),
            granted,
            _event_loop: task,
        })
    }

    /// Waits for answers and takes all that are there; none means that the connection is lost.
    /// Cancel safe.
    pub(super) async fn answers(&mut self, answers: &mut Vec<PublishAck>) {
        self.answers.recv_many(answers, TOGETHER).await;
    }

    /// The answers that came before the end of a connection that is lost or given up.
    pub(super) fn last_answers(mut self) -> impl Iterator<Item = PublishAck> {
        std::iter::from_fn(move || self.answers.try_recv().ok())
    }

    /// Puts one publication on the wire's queue, after all that were put before it. A refused
    /// publication has no place among those.
    pub(super) async fn publish(&self, publication: &Publication) -> Result<(), PublishError> {
        self.granted.allows(publication)?;
        let options = match publication.qos {
            Qos::AtMostOnce => PublishOptions::at_most_once(),
            Qos::AtLeastOnce => PublishOptions::at_least_once(),
        };
        let options = options
            .retain(publication.retain)
            .properties(properties(publication));
        let topic = publication.topic.as_str();
        self.client
            .publish(topic, publication.payload.clone(), options)
            .await
            .map_err(|_| transient("the connection was lost before the message was sent"))
    }

    /// Says goodbye, so that the broker does not take the end for a failure.
    pub(super) async fn disconnect(mut self, within: Duration) {
        let goodbye = async {
            if self.client.disconnect().await.is_ok() {
                while self.answers.recv().await.is_some() {}
            }
        };
        // A timeout drops the connection, which ends it as well.
        let _ = timeout(within, goodbye).await;
    }
}

/// Turns the event loop until its first error. It is the only one to poll: polling is not cancel
/// safe.
async fn run(
    mut event_loop: EventLoop,
    connected: oneshot::Sender<Result<GrantedLimits, String>>,
    answered: mpsc::Sender<PublishAck>,
) {
    let mut connected = Some(connected);
    let mut sent = SentPublish::default();
    loop {
        let answer = match event_loop.poll().await {
            Ok(Event::Outgoing(Outgoing::Publish(packet))) => sent.one_more(packet),
            Ok(Event::Incoming(Packet::PubAck(ack))) => sent.acknowledged(ack.pkid, ack.reason),
            Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                let granted = GrantedLimits::of(&connack);
                let refused = granted.is_err();
                if let Some(connected) = connected.take() {
                    // The receiver may have given up.
                    let _ = connected.send(granted);
                }
                if refused {
                    return;
                }
                None
            }
            Ok(_) => None,
            Err(error) => {
                match connected {
                    Some(connected) => {
                        let _ = connected.send(Err(not_connected(&error)));
                    }
                    None => tell_why(&error),
                }
                return;
            }
        };
        if let Some(answer) = answer {
            // The receiver may have given the connection up, which ends this task as well.
            let _ = answered.send(answer).await;
        }
    }
}

/// Publications sent.
#[derive(Default)]
struct SentPublish {
    count: u64,
    /// The places of those that are not acknowledged, by packet identifier.
    places: FxHashMap<u16, u64>,
}

impl SentPublish {
    /// Counts one with its packet identifier. Without one (0, QoS 0) it is not acknowledged: that
    /// it was sent is the answer.
    fn one_more(&mut self, packet: u16) -> Option<PublishAck> {
        let place = self.count;
        self.count += 1;
        if packet == 0 {
            return Some((place, Ok(())));
        }
        self.places.insert(packet, place);
        None
    }

    fn acknowledged(&mut self, packet: u16, reason: PubAckReason) -> Option<PublishAck> {
        Some((self.places.remove(&packet)?, outcome(reason)))
    }
}

/// The meaning of a connection that ends before CONNACK.
const SILENT: &str = "the broker closed the connection without an answer in MQTT 5: MQTT 5 is not spoken there, or it turns the client away without a word";

/// Reason why a connection could not be made, in one line. A broker that speaks MQTT 3.1.1 only
/// answers an MQTT 5 CONNECT with a CONNACK of its own version, return code 1 (MQTT 3.1.1, section
/// 3.2.2.3), which is no packet of MQTT 5: the library leaves it unread and sees the connection's
/// end, as it does when the broker answers nothing.
fn not_connected(error: &ConnectionError) -> String {
    use ConnectReturnCode::UnsupportedProtocolVersion;
    match error {
        ConnectionError::ConnectionRefused(UnsupportedProtocolVersion) => {
            "MQTT 5 is not spoken there: the broker refuses the protocol version (0x84)".into()
        }
        ConnectionError::MqttState(StateError::Deserialization(
            MqttError::InvalidConnectReturnCode(1),
        )) => {
            "MQTT 5 is not spoken there: the broker answers with MQTT 3.1.1's return code 1".into()
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => SILENT.into(),
        // A TLS alert comes as an input error too, and says more.
        ConnectionError::MqttState(StateError::Deserialization(MqttError::Io(error)))
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
            ) =>
        {
            SILENT.into()
        }
        // The library's words would show the whole packet.
        ConnectionError::NotConnAck(_) => {
            "the broker answered CONNECT with another packet than CONNACK".into()
        }
        error => error.to_string(),
    }
}

/// Logs the meaning of a connection's end for the operator (MQTT 5.0, section 3.14.2.1).
fn tell_why(error: &ConnectionError) {
    use DisconnectReasonCode::{NotAuthorized, SessionTakenOver};
    match error {
        ConnectionError::RequestsDone => {}
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            match reason_code {
                SessionTakenOver => tracing::error!(
                    "the broker ended the connection: another client connected with the same client id, which is random; look for who may connect with it"
                ),
                NotAuthorized => tracing::error!(
                    "the broker ended the connection: not authorized; the policy must allow iot:Connect for the client id and iot:Publish for the topic"
                ),
                reason => tracing::warn!(?reason, "the broker ended the connection"),
            }
        }
        error => tracing::warn!(%error, "the connection to the broker was lost"),
    }
}

fn properties(publication: &Publication) -> PublishProperties {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let expiry = |expires: Duration| {
        let (least, most) = (
            *MESSAGE_EXPIRY_SECONDS.start(),
            *MESSAGE_EXPIRY_SECONDS.end(),
        );
        u32::try_from(expires.as_secs())
            .unwrap_or(most)
            .clamp(least, most)
    };
    PublishProperties {
        // Payloads are JSON, which is UTF-8.
        payload_format_indicator: Some(1),
        message_expiry_interval: publication.expires.map(expiry),
        user_properties: publication.user_properties().map(owned).collect(),
        content_type: Some(publication.content_type.to_owned()),
        ..PublishProperties::default()
    }
}

/// Upper bound of the size of a publication's packet (MQTT 5.0, section 3.3): lengths are of two
/// bytes, those of packet and properties of up to four, fixed properties and the packet's
/// identifier take less than 32.
pub(super) fn packet_bytes(publication: &Publication) -> usize {
    let properties = publication.user_properties();
    let properties: usize = properties
        .map(|(name, value)| 5 + name.len() + value.len())
        .sum();
    let fixed = 1 + 4 + 4 + 2 + 32;
    fixed
        + publication.topic.as_str().len()
        + publication.content_type.len()
        + properties
        + publication.payload.len()
}

/// Outcome that an acknowledgement reports (MQTT 5.0, section 3.4.2.1).
fn outcome(reason: PubAckReason) -> Result<(), PublishError> {
    Err(match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return Ok(()),
        PubAckReason::NotAuthorized => permanent(
            "not_authorized",
            "the broker refused the message: not authorized (0x87)",
        ),
        PubAckReason::TopicNameInvalid => permanent(
            "topic_invalid",
            "the broker refused the topic's name (0x90)",
        ),
        PubAckReason::PayloadFormatInvalid => permanent(
            "payload_invalid",
            "the broker refused the payload's format (0x99)",
        ),
        PubAckReason::QuotaExceeded => PublishError::Throttled {
            what: "the broker refused the message for now: quota exceeded (0x97)".into(),
        },
        reason => PublishError::Transient {
            what: format!("the broker refused the message for now: {reason:?}"),
        },
    })
}

pub(super) fn permanent(reason: &'static str, what: impl Into<String>) -> PublishError {
    PublishError::Permanent {
        reason,
        what: what.into(),
    }
}

pub(super) fn transient(what: &str) -> PublishError {
    PublishError::Transient {
        what: what.to_owned(),
    }
}
