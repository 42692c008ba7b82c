//! PUBLISH: the order of the checks, and the answer to the client for each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::ClientConnection;
use super::ending::DisconnectReason;
use super::incoming::{PacketRejection, breach};
use crate::dev::broker::excess::{excess, per_second, sizes};
use crate::dev::broker::hub::holdings::MessageWeight;
use crate::dev::broker::hub::message::PublishedMessage;
use crate::dev::broker::names::{self, PublishOrigin, TopicClass, TopicRejection};
use crate::dev::broker::observe::{BrokerEvent, count};
use crate::dev::faults::FaultKind;
use crate::port::ClientAction;
use crate::wire::ReasonCode;
use crate::wire::decode::{MessageProperties, PublishPacket};

/// Outcome of a PUBLISH.
enum PublishOutcome {
    /// The message is acknowledged with success, also where it has no subscribers.
    Yes(ReasonCode),
    /// The message is refused.
    No(PacketRejection),
    /// The message exceeds a rate and is discarded: only an MQTT 5 client receives an answer, if
    /// any.
    Throttled,
}

impl ClientConnection {
    pub(super) fn publish(
        &mut self,
        publish: &PublishPacket<'_>,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        if publish.qos == 2 {
            return Err(breach(
                ReasonCode::QosUnsupported,
                "QoS 2 is not spoken here",
            ));
        }
        let topic = self.resolve(publish)?;
        if publish.qos == 1 && !self.is_acceptable(publish.id)? {
            return Ok(());
        }
        let fault = self
            .hub
            .faults
            .strike_client("Publish", &self.session.client_id, &topic);
        let taken = match fault {
            Some((FaultKind::Disconnect, _)) => return Err(DisconnectReason::Fault),
            Some((FaultKind::Refuse, _)) => PublishOutcome::No(PacketRejection {
                reason: ReasonCode::Unspecified,
                why: "a fault that was asked for".into(),
            }),
            Some((FaultKind::Throttle, _)) => PublishOutcome::Throttled,
            _ => self.take(
                publish,
                topic,
                matches!(fault, Some((FaultKind::Duplicate, _))),
                now,
            )?,
        };
        match fault {
            Some((FaultKind::Drop, _)) => return Err(DisconnectReason::Fault),
            Some((FaultKind::Delay, time))
                if publish.qos == 1 && matches!(taken, PublishOutcome::Yes(_)) =>
            {
                self.unflushed = self.unflushed.saturating_sub(1);
                self.held.push_back((now + time, publish.id));
                return Ok(());
            }
            _ => {}
        }
        self.answer(publish, taken)
    }

    /// Returns `true` where another message of QoS 1 is accepted now, and `false` where it is
    /// ignored.
    fn is_acceptable(&mut self, id: u16) -> Result<bool, DisconnectReason> {
        // Only an MQTT 5 client knows its Receive Maximum, so that the count can be strict.
        let unflushed = if self.level.is_v5() {
            self.unflushed
        } else {
            0
        };
        let open = usize::from(unflushed) + self.held.len();
        if open >= usize::from(self.hub.limits.unacknowledged_in) {
            if self.level.is_v5() {
                let most = self.hub.limits.unacknowledged_in;
                let sent = "one more PUBLISH with QoS 1 than CONNACK's Receive Maximum";
                let why = excess(sent, "unacknowledged-in", most, "wait for PUBACK");
                return Err(DisconnectReason::Refused(ReasonCode::ReceiveMaximum, why));
            }
            // MQTT 3 has no negative PUBACK; the client sends again after it reconnects.
            return Ok(false);
        }
        if self.held.iter().any(|(_, other)| *other == id) {
            if self.level.is_v5() {
                self.acknowledge(id, ReasonCode::IdInUse, None);
            }
            return Ok(false);
        }
        self.unflushed += 1;
        Ok(true)
    }

    /// Returns the topic, resolved from its alias where it has one.
    fn resolve(&mut self, publish: &PublishPacket<'_>) -> Result<Box<str>, DisconnectReason> {
        let invalid = |what| breach(ReasonCode::AliasInvalid, what);
        let Some(alias) = publish.properties.alias else {
            return Ok(publish.topic.into());
        };
        let most = self.hub.limits.topic_aliases;
        if alias == 0 || alias > most {
            let sent = format!("topic alias {alias}");
            let why = excess(&sent, "topic-aliases", most, "the lowest alias is 1");
            return Err(DisconnectReason::Refused(ReasonCode::AliasInvalid, why));
        }
        let at = usize::from(alias) - 1;
        if self.aliases_in.len() <= at {
            self.aliases_in.resize(at + 1, None);
        }
        let Some(known) = self.aliases_in.get_mut(at) else {
            return Err(invalid("a topic alias that is above the maximum"));
        };
        if !publish.topic.is_empty() {
            *known = Some(publish.topic.into());
        }
        // An unknown alias is a protocol error, unlike an alias out of range (section 3.3.4).
        let unknown = || {
            breach(
                ReasonCode::Protocol,
                "a topic alias that stands for nothing yet",
            )
        };
        known.clone().ok_or_else(unknown)
    }

    /// Checks a message, and routes it to its subscribers.
    fn take(
        &mut self,
        publish: &PublishPacket<'_>,
        topic: Box<str>,
        is_twice: bool,
        now: Instant,
    ) -> Result<PublishOutcome, DisconnectReason> {
        let hub = Arc::clone(&self.hub);
        let limits = &hub.limits;
        if !self.pace.publishes.take(now, 1) {
            let why = per_second("publishes-per-second", limits.publishes_per_second);
            return Ok(self.throttled(&topic, why));
        }
        let reached = match names::topic(&topic, PublishOrigin::Mqtt, limits, &hub.rules) {
            Ok(reached) => reached,
            Err(TopicRejection::Beyond(why) | TopicRejection::Reserved(why))
                if self.level.is_v5() && publish.qos == 1 =>
            {
                return Ok(PublishOutcome::No(self.denied(
                    ReasonCode::TopicInvalid,
                    &topic,
                    why.into(),
                )));
            }
            Err(
                TopicRejection::Beyond(why)
                | TopicRejection::Refused(why)
                | TopicRejection::Reserved(why)
                | TopicRejection::Wrong(why),
            ) => {
                let no = self.denied(ReasonCode::TopicInvalid, &topic, why.into());
                return Err(DisconnectReason::Refused(no.reason, no.why));
            }
        };
        self.measure(publish.payload.len(), &publish.properties)?;
        if let Err(why) = self.may_publish(&topic, publish.retain) {
            count(&hub.counters.publish_denied);
            let no = self.denied(ReasonCode::NotAuthorized, &topic, why);
            let closes = !self.level.is_v5() || publish.qos == 0 || hub.rules.close_v5_refusals;
            return if closes {
                Err(DisconnectReason::Forbidden(no.why))
            } else {
                Ok(PublishOutcome::No(no))
            };
        }
        if !hub.account.publishes_in.take(now) {
            let why = per_second("account-publishes-in", limits.account_publishes_in);
            return Ok(self.throttled(&topic, why));
        }
        if publish.retain
            && let Err(why) = hub.may_retain(&topic, publish.payload.len(), now)
        {
            return Ok(self.throttled(&topic, why));
        }
        let found = self.pass_on(publish, topic, reached, is_twice, now);
        Ok(PublishOutcome::Yes(match found {
            0 => ReasonCode::NoMatchingSubscribers,
            _ => ReasonCode::Success,
        }))
    }

    fn pass_on(
        &mut self,
        publish: &PublishPacket<'_>,
        topic: Box<str>,
        reached: TopicClass,
        is_twice: bool,
        now: Instant,
    ) -> usize {
        let limits = &self.hub.limits;
        let expiry = publish.properties.expiry;
        let expiry = expiry.map(|seconds| limits.message_expiry(seconds));
        let message = Arc::new(PublishedMessage {
            topic,
            payload: Bytes::copy_from_slice(publish.payload),
            properties: publish.properties.forwarded().into(),
            qos: publish.qos,
            retain: publish.retain,
            expires: expiry.map(|seconds| now + Duration::from_secs(seconds.into())),
            publisher: self.session.number,
            at: SystemTime::now(),
            weight: MessageWeight::default(),
        });
        let times = match reached {
            TopicClass::Plain => 1 + usize::from(is_twice),
            TopicClass::Rule => 0,
        };
        let client_id = &self.session.client_id;
        self.hub.pass_on(client_id, &message, times, &mut self.room)
    }

    fn answer(
        &mut self,
        publish: &PublishPacket<'_>,
        taken: PublishOutcome,
    ) -> Result<(), DisconnectReason> {
        let is_v5 = self.level.is_v5();
        match taken {
            PublishOutcome::Yes(reason) if publish.qos == 1 => {
                self.acknowledge(publish.id, reason, None)
            }
            PublishOutcome::No(no) if publish.qos == 1 && is_v5 => {
                self.acknowledge(publish.id, no.reason, Some(&no.why));
            }
            // MQTT 3 has no negative PUBACK, so the connection ends.
            PublishOutcome::No(_) if !is_v5 => return Err(DisconnectReason::Fault),
            PublishOutcome::Throttled
                if publish.qos == 1 && is_v5 && self.hub.rules.answer_throttled =>
            {
                let why = "discarded: more than a quota";
                self.acknowledge(publish.id, ReasonCode::QuotaExceeded, Some(why));
            }
            // A message without an acknowledgement does not count as unacknowledged for ever: the
            // broker has forgotten it.
            PublishOutcome::Throttled if publish.qos == 1 => {
                self.unflushed = self.unflushed.saturating_sub(1);
            }
            _ => {}
        }
        Ok(())
    }

    fn throttled(&self, topic: &str, why: Box<str>) -> PublishOutcome {
        count(&self.hub.counters.throttled);
        self.denied(ReasonCode::QuotaExceeded, topic, why);
        PublishOutcome::Throttled
    }

    fn denied(&self, reason: ReasonCode, topic: &str, why: Box<str>) -> PacketRejection {
        self.hub
            .observers
            .tell(&self.session.client_id, || BrokerEvent::PublishDenied {
                topic: topic.into(),
                why: why.clone(),
            });
        PacketRejection { reason, why }
    }

    /// Checks the sizes; a size above a limit ends the connection (iot limits: the request is
    /// rejected).
    fn measure(
        &self,
        payload: usize,
        properties: &MessageProperties<'_>,
    ) -> Result<(), DisconnectReason> {
        let limits = &self.hub.limits;
        let content_type = properties.content_type.map_or(0, str::len);
        let correlation = properties.correlation_bytes;
        sizes(
            limits,
            payload,
            properties.user_bytes,
            correlation,
            content_type,
        )
        .map_err(|why| DisconnectReason::Refused(ReasonCode::TooLarge, why))
    }

    fn may_publish(&self, topic: &str, retain: bool) -> Result<(), Box<str>> {
        self.permissions.check(ClientAction::Publish(topic))?;
        if retain {
            self.permissions.check(ClientAction::RetainPublish(topic))?;
        }
        Ok(())
    }
}
