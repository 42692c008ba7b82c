//! One connection, from CONNECT to its first error.

use std::time::Duration;

use rumqttc::mqttbytes::v5::{DisconnectReasonCode, Packet, PubAckReason, PublishProperties};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, NetworkOptions, PublishNotice,
    PublishNoticeError, PublishOptions,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Settings;
use crate::channel::limits::{MESSAGE_EXPIRY_SECONDS, PACKET_BYTES};
use crate::port::PublishError;
use crate::route::publication::{Publication, Qos};

/// The most publications that one write carries, as far as they are there already: nothing is waited for. A write of its own for
/// each costs more than all that the client does besides (`bench/peers`).
const WRITTEN_TOGETHER: usize = 64;

/// A live connection. Dropping it ends its event loop; what was not acknowledged then resolves with an error.
pub(super) struct Connection {
    client: AsyncClient,
    /// Turns true when the event loop has ended.
    lost: watch::Receiver<bool>,
    /// How many publications may be unacknowledged: ours or the broker's bound, whichever is lower.
    pub(super) in_flight: u16,
    /// The largest packet that the broker takes, in bytes.
    largest: Option<u32>,
    _event_loop: JoinSet<()>,
}

impl Connection {
    /// Connects and waits for the broker's CONNACK. The error is one line for a log.
    pub(super) async fn open(settings: &Settings, client_id: &str) -> Result<Self, String> {
        let mut options = settings.access.options(client_id).await?;
        options
            .set_clean_start(true)
            .set_keep_alive(settings.keep_alive.as_secs().try_into().unwrap_or(u16::MAX))
            .set_connect_timeout(settings.connect_timeout)
            .set_max_packet_size(Some(PACKET_BYTES))
            .set_max_request_batch(WRITTEN_TOGETHER)
            .set_outgoing_inflight_upper_limit(settings.in_flight);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, event_loop) = AsyncClient::builder(options)
            .capacity(usize::from(settings.in_flight))
            .try_build()
            .map_err(|error| error.to_string())?;
        let (connected, connack) = oneshot::channel();
        let (ended, lost) = watch::channel(false);
        let mut task = JoinSet::new();
        task.spawn(run(event_loop, connected, ended));
        let granted = match timeout(settings.connect_timeout, connack).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err("the connection ended before the broker answered".into()),
            Err(_) => return Err("the broker did not answer in time".into()),
        };
        Ok(Self {
            client,
            lost,
            in_flight: granted
                .receive_maximum
                .unwrap_or(u16::MAX)
                .min(settings.in_flight)
                .max(1),
            largest: granted.packet_bytes,
            _event_loop: task,
        })
    }

    /// Resolves when the connection is lost. Cancel safe.
    pub(super) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error means that the event loop's task is gone, which is the same.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Puts one publication on the wire's queue, after all that were put before it.
    pub(super) async fn publish(
        &self,
        publication: &Publication,
    ) -> Result<PublishNotice, PublishError> {
        let size = packet_bytes(publication);
        if let Some(largest) = self.largest.filter(|largest| size > *largest as usize) {
            return Err(PublishError::Permanent {
                reason: "too_large",
                what: format!("the packet has {size} bytes; the broker takes {largest}"),
            });
        }
        let options = match publication.qos {
            Qos::AtMostOnce => PublishOptions::at_most_once(),
            Qos::AtLeastOnce => PublishOptions::at_least_once(),
        };
        let options = options
            .retain(publication.retain)
            .properties(properties(publication));
        let topic = publication.topic.as_str();
        self.client
            .publish_tracked(topic, publication.payload.clone(), options)
            .await
            .map_err(|_| transient("the connection was lost before the message was sent"))
    }

    /// Says goodbye, so that the broker does not take the end for a failure.
    pub(super) async fn disconnect(self, within: Duration) {
        let goodbye = async {
            if self.client.disconnect().await.is_ok() {
                self.lost().await;
            }
        };
        // Whoever waits no longer drops the connection, which ends it as well.
        let _ = timeout(within, goodbye).await;
    }
}

/// What the broker's CONNACK says of its limits.
struct Granted {
    receive_maximum: Option<u16>,
    packet_bytes: Option<u32>,
}

/// Turns the event loop until its first error. It is the only one to poll: polling is not cancel safe.
async fn run(
    mut event_loop: EventLoop,
    connected: oneshot::Sender<Result<Granted, String>>,
    ended: watch::Sender<bool>,
) {
    let mut connected = Some(connected);
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                if let Some(connected) = connected.take() {
                    let properties = connack.properties.as_ref();
                    let granted = Granted {
                        receive_maximum: properties.and_then(|known| known.receive_max),
                        packet_bytes: properties.and_then(|known| known.max_packet_size),
                    };
                    // Who asked may have given up.
                    let _ = connected.send(Ok(granted));
                }
            }
            Ok(Event::Incoming(Packet::Disconnect(disconnect))) => {
                tell_why(disconnect.reason_code);
            }
            Ok(_) => {}
            Err(error) => {
                match connected.take() {
                    Some(connected) => {
                        let _ = connected.send(Err(error.to_string()));
                    }
                    None if matches!(error, ConnectionError::RequestsDone) => {}
                    None => tracing::warn!(%error, "the connection to the broker was lost"),
                }
                break;
            }
        }
    }
    // The notices of what was not acknowledged resolve before anybody hears of the loss.
    drop(event_loop);
    let _ = ended.send(true);
}

/// Says what a broker's DISCONNECT means for whoever operates this (MQTT 5.0, section 3.14.2.1).
fn tell_why(reason: DisconnectReasonCode) {
    match reason {
        DisconnectReasonCode::SessionTakenOver => tracing::error!(
            "the broker ended the connection: another client connected with the same client id; give each program a bridge.client_id of its own"
        ),
        DisconnectReasonCode::NotAuthorized => tracing::error!(
            "the broker ended the connection: not authorized; the policy must allow iot:Connect for the client id and iot:Publish for the topic"
        ),
        reason => tracing::warn!(?reason, "the broker ended the connection"),
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

/// How large a publication's packet is at most (MQTT 5.0, section 3.3): lengths are of two bytes, those of packet and properties of
/// up to four, fixed properties and the packet's identifier take less than 32.
fn packet_bytes(publication: &Publication) -> usize {
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

/// What became of a publication on its connection.
pub(super) enum Answer {
    /// The broker has it.
    Acknowledged,
    /// The broker, or the client library for it, said no.
    Refused(PublishError),
    /// The connection ended first: the broker may have it or not.
    Lost,
}

/// Waits for a publication's own acknowledgement.
pub(super) async fn acknowledged(notice: PublishNotice) -> Answer {
    match notice.wait_completion_async().await {
        Ok(()) => Answer::Acknowledged,
        Err(error) => refusal(&error).map_or(Answer::Lost, Answer::Refused),
    }
}

/// What a refused publication means (MQTT 5.0, section 3.4.2.1); `None` when it was not refused but lost.
fn refusal(error: &PublishNoticeError) -> Option<PublishError> {
    let permanent = |reason, what: &str| PublishError::Permanent {
        reason,
        what: what.to_owned(),
    };
    Some(match error {
        PublishNoticeError::V5PubAck(PubAckReason::NotAuthorized) => permanent(
            "not_authorized",
            "the broker refused the message: not authorized (0x87)",
        ),
        PublishNoticeError::V5PubAck(PubAckReason::TopicNameInvalid) => permanent(
            "topic_invalid",
            "the broker refused the topic's name (0x90)",
        ),
        PublishNoticeError::V5PubAck(PubAckReason::PayloadFormatInvalid) => permanent(
            "payload_invalid",
            "the broker refused the payload's format (0x99)",
        ),
        PublishNoticeError::RetainNotSupported => permanent(
            "retain_unavailable",
            "the broker keeps no retained messages",
        ),
        PublishNoticeError::V5PubAck(reason) => PublishError::Transient {
            what: format!("the broker refused the message for now: {reason:?}"),
        },
        _ => return None,
    })
}

pub(super) fn transient(what: &str) -> PublishError {
    PublishError::Transient {
        what: what.to_owned(),
    }
}
