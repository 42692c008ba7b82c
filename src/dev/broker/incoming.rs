//! What a client's packets do, once it is connected: the order of checks is here, and what the client is told of each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::connection::Connection;
use super::ending::Ending;
use super::message::Message;
use super::names::{self, Unfit, Use};
use super::observe::{Happening, count};
use super::session::Options;
use super::wire::decode::{MessageProperties, Packet, Publish, Subscribe, Wish};
use super::wire::{Breach, Reason, encode};
use crate::dev::faults::Kind;
use crate::port::Action;

/// How a message was not taken: what MQTT 5 is told in PUBACK, and why.
struct No {
    reason: Reason,
    why: Box<str>,
}

/// What is done with a message that was taken in.
enum Taken {
    /// It is answered with yes, also where nobody had subscribed.
    Yes(Reason),
    /// It is answered with no.
    No(No),
    /// It was discarded for its rate: only MQTT 5 is told, if anybody is.
    Throttled,
}

impl Connection {
    /// # Errors
    /// How the connection ends, if it does.
    pub(super) fn handle(&mut self, packet: Packet<'_>, now: Instant) -> Result<(), Ending> {
        match packet {
            Packet::Publish(publish) => self.publish(&publish, now),
            Packet::PubAck { id, .. } => {
                // Also one that says no: the client has decided. One for a message that was given up means nothing.
                if self.session.state().outbox.acknowledge(id).is_some() {
                    count(&self.hub.counters.acknowledged);
                }
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe, now),
            Packet::Unsubscribe { id, filters } => self.unsubscribe(id, &filters),
            Packet::Ping => {
                encode::pong(self.output.packets());
                Ok(())
            }
            Packet::Disconnect {
                reason,
                session_expiry,
            } => self.disconnect(reason, session_expiry),
            Packet::Connect(_) => Err(Ending::Breach(Breach::protocol(
                "a second CONNECT on one connection",
            ))),
        }
    }

    fn disconnect(&mut self, reason: u8, expiry: Option<u32>) -> Result<(), Ending> {
        if let Some(expiry) = expiry {
            if expiry > 0 && self.terms.expiry == 0 {
                return Err(Ending::Breach(Breach::protocol(
                    "a session expiry in DISCONNECT where CONNECT had none",
                )));
            }
            self.expiry = Some(expiry.min(self.hub.limits.session_expiry_seconds));
        }
        // Any other reason than this one lets the will be published (MQTT 5.0, section 3.14.4).
        Err(if reason == Reason::Success.code() {
            Ending::Left
        } else {
            Ending::LeftWithWill
        })
    }

    pub(super) fn acknowledge(&mut self, id: u16, reason: Reason, why: Option<&str>) {
        let why = why.filter(|_| self.terms.problems && self.terms.packet_bytes > 512);
        let reason = self.listed(reason);
        encode::acknowledged(self.output.packets(), self.level, id, reason, why);
    }

    fn publish(&mut self, publish: &Publish<'_>, now: Instant) -> Result<(), Ending> {
        if publish.qos == 2 {
            return Err(breach(Reason::QosUnsupported, "QoS 2 is not spoken here"));
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
            Some((Kind::Disconnect, _)) => return Err(Ending::Fault),
            Some((Kind::Refuse, _)) => Taken::No(No {
                reason: Reason::Unspecified,
                why: "a fault that was asked for".into(),
            }),
            Some((Kind::Throttle, _)) => Taken::Throttled,
            _ => self.take(
                publish,
                topic,
                matches!(fault, Some((Kind::Duplicate, _))),
                now,
            )?,
        };
        match fault {
            Some((Kind::Drop, _)) => return Err(Ending::Fault),
            Some((Kind::Delay, time)) if publish.qos == 1 && matches!(taken, Taken::Yes(_)) => {
                self.unflushed = self.unflushed.saturating_sub(1);
                self.held.push_back((now + time, publish.id));
                return Ok(());
            }
            _ => {}
        }
        self.answer(publish, taken)
    }

    /// Whether another message of QoS 1 may come now, or is passed over.
    fn is_acceptable(&mut self, id: u16) -> Result<bool, Ending> {
        let held = self.held.len();
        let open = usize::from(self.unflushed) + held;
        if open >= usize::from(self.hub.limits.unacknowledged_in) {
            if self.level.is_v5() {
                return Err(breach(
                    Reason::ReceiveMaximum,
                    "more unacknowledged messages than the receive maximum",
                ));
            }
            // MQTT 3 has no way to be told; it sends again after it has come back.
            return Ok(false);
        }
        if self.held.iter().any(|(_, other)| *other == id) {
            if self.level.is_v5() {
                self.acknowledge(id, Reason::IdInUse, None);
            }
            return Ok(false);
        }
        self.unflushed += 1;
        Ok(true)
    }

    /// The topic, from its alias where it has one.
    fn resolve(&mut self, publish: &Publish<'_>) -> Result<Box<str>, Ending> {
        let invalid = |what| breach(Reason::AliasInvalid, what);
        let Some(alias) = publish.properties.alias else {
            return Ok(publish.topic.into());
        };
        if alias == 0 || alias > self.hub.limits.topic_aliases {
            return Err(invalid("a topic alias that is zero or above the maximum"));
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
        known
            .clone()
            .ok_or_else(|| invalid("a topic alias that stands for nothing yet"))
    }

    /// Checks a message, and hands it to who gets it.
    fn take(
        &mut self,
        publish: &Publish<'_>,
        topic: Box<str>,
        is_twice: bool,
        now: Instant,
    ) -> Result<Taken, Ending> {
        if !self.pace.publishes.take(now, 1) {
            return Ok(self.throttled(&topic, "more than the connection's publishes a second"));
        }
        let hub = Arc::clone(&self.hub);
        let reached = match names::topic(&topic, &hub.limits, &hub.rules) {
            Ok(reached) => reached,
            Err(Unfit::Beyond(why)) if self.level.is_v5() && publish.qos == 1 => {
                return Ok(Taken::No(self.denied(
                    Reason::TopicInvalid,
                    &topic,
                    why.into(),
                )));
            }
            Err(Unfit::Beyond(why) | Unfit::Wrong(why)) => {
                self.denied(Reason::TopicInvalid, &topic, why.into());
                return Err(breach(
                    Reason::TopicInvalid,
                    "a topic that is not taken: reserved, too long or too deep",
                ));
            }
        };
        self.measure(publish.payload.len(), &publish.properties)?;
        if let Err(why) = self.may_publish(&topic, publish.retain) {
            count(&hub.counters.publish_denied);
            let no = self.denied(Reason::NotAuthorized, &topic, why);
            let closes = !self.level.is_v5() || publish.qos == 0 || hub.rules.close_v5_refusals;
            return if closes {
                Err(Ending::Forbidden(no.why))
            } else {
                Ok(Taken::No(no))
            };
        }
        if !hub.account.publishes_in.take(now) {
            return Ok(self.throttled(&topic, "more than the account's publishes a second"));
        }
        let is_kept = publish.retain && !topic.starts_with('$');
        if is_kept {
            let mut retained = hub.retained();
            if !retained.may_set(&topic, now) || !hub.account.retained.take(now) {
                drop(retained);
                return Ok(self.throttled(&topic, "more than the retained messages a second"));
            }
        }
        let found = self.pass_on(publish, topic, reached, is_twice, now);
        Ok(Taken::Yes(match found {
            0 => Reason::NoMatchingSubscribers,
            _ => Reason::Success,
        }))
    }

    fn pass_on(
        &mut self,
        publish: &Publish<'_>,
        topic: Box<str>,
        reached: Use,
        is_twice: bool,
        now: Instant,
    ) -> usize {
        let range = &self.hub.limits.message_expiry_seconds;
        let expiry = publish.properties.expiry.map(|seconds| {
            let range = range.as_ref();
            range.map_or(seconds, |range| seconds.clamp(*range.start(), *range.end()))
        });
        let message = Arc::new(Message {
            topic,
            payload: Bytes::copy_from_slice(publish.payload),
            properties: publish.properties.forwarded().into(),
            qos: publish.qos,
            retain: publish.retain,
            expires: expiry.map(|seconds| now + Duration::from_secs(seconds.into())),
            publisher: self.session.number,
            at: SystemTime::now(),
        });
        let mut found = 0;
        if reached == Use::Plain {
            self.hub.retain(&message);
            for _ in 0..=usize::from(is_twice) {
                found = self.hub.route(&message, &mut self.room);
            }
        }
        count(&self.hub.counters.published);
        self.hub
            .observers
            .tell(&self.session.client_id, || Happening::Published {
                topic: message.topic.clone(),
                bytes: message.payload.len(),
                qos: message.qos,
                retain: message.retain,
                sessions: found,
            });
        found
    }

    fn answer(&mut self, publish: &Publish<'_>, taken: Taken) -> Result<(), Ending> {
        let is_v5 = self.level.is_v5();
        match taken {
            Taken::Yes(reason) if publish.qos == 1 => self.acknowledge(publish.id, reason, None),
            Taken::No(no) if publish.qos == 1 && is_v5 => {
                self.acknowledge(publish.id, no.reason, Some(&no.why));
            }
            // MQTT 3 can be told in no other way.
            Taken::No(_) if !is_v5 => return Err(Ending::Fault),
            Taken::Throttled if publish.qos == 1 && is_v5 && self.hub.rules.answer_throttled => {
                let why = "discarded: more than a quota";
                self.acknowledge(publish.id, Reason::QuotaExceeded, Some(why));
            }
            // Without an acknowledgement the message is not unacknowledged for ever: the broker has forgotten it.
            Taken::Throttled if publish.qos == 1 => {
                self.unflushed = self.unflushed.saturating_sub(1);
            }
            _ => {}
        }
        Ok(())
    }

    fn throttled(&self, topic: &str, why: &str) -> Taken {
        count(&self.hub.counters.throttled);
        self.denied(Reason::QuotaExceeded, topic, why.into());
        Taken::Throttled
    }

    fn denied(&self, reason: Reason, topic: &str, why: Box<str>) -> No {
        self.hub
            .observers
            .tell(&self.session.client_id, || Happening::PublishDenied {
                topic: topic.into(),
                why: why.clone(),
            });
        No { reason, why }
    }

    /// Sizes beyond a limit end the connection (iot limits: the request is rejected).
    fn measure(&self, payload: usize, properties: &MessageProperties<'_>) -> Result<(), Ending> {
        let limits = &self.hub.limits;
        let beyond = |size: usize, most: Option<usize>| most.is_some_and(|most| size > most);
        let content_type = properties.content_type.map_or(0, str::len);
        let what = if beyond(payload, limits.payload_bytes) {
            "the payload is larger than the broker takes"
        } else if beyond(properties.user_bytes, limits.user_properties_bytes) {
            "the user properties are larger than the broker takes"
        } else if beyond(properties.correlation_bytes, limits.correlation_data_bytes) {
            "the correlation data is larger than the broker takes"
        } else if beyond(content_type, limits.content_type_bytes) {
            "the content type is longer than the broker takes"
        } else {
            return Ok(());
        };
        Err(breach(Reason::TooLarge, what))
    }

    fn may_publish(&self, topic: &str, retain: bool) -> Result<(), Box<str>> {
        self.permissions.check(Action::Publish(topic))?;
        if retain {
            self.permissions.check(Action::RetainPublish(topic))?;
        }
        Ok(())
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>, now: Instant) -> Result<(), Ending> {
        let hub = Arc::clone(&self.hub);
        if subscribe.subscription_id.is_some() && !hub.rules.subscription_ids {
            return Err(breach(
                Reason::SubscriptionIdsUnsupported,
                "subscription identifiers are not spoken here",
            ));
        }
        let most = hub.limits.filters_per_subscribe;
        if most.is_some_and(|most| subscribe.wishes.len() > most) {
            return Err(breach(
                Reason::QuotaExceeded,
                "more filters in one SUBSCRIBE than the broker takes",
            ));
        }
        let mut answers = SmallVec::<[Reason; 8]>::new();
        let mut granted = SmallVec::<[(&str, Options); 8]>::new();
        let mut retained = SmallVec::<[(&str, Options); 8]>::new();
        let mut why = None;
        for wish in &subscribe.wishes {
            let options = Options {
                qos: wish.qos.min(1),
                no_local: wish.no_local,
                retain_as_published: wish.retain_as_published,
                subscription_id: subscribe.subscription_id.unwrap_or(0),
            };
            match self.grant(wish, options, now)? {
                Ok(is_new) => {
                    answers.push(if options.qos == 0 {
                        Reason::Success
                    } else {
                        Reason::GrantedQos1
                    });
                    granted.push((wish.filter, options));
                    if wish.retain_handling == 0 || (wish.retain_handling == 1 && is_new) {
                        retained.push((wish.filter, options));
                    }
                }
                Err(None) => return Ok(()),
                Err(Some(no)) => {
                    self.tell_refused(wish.filter, &no);
                    answers.push(no.reason);
                    why.get_or_insert(no.why);
                }
            }
        }
        let why = why.filter(|_| self.terms.problems && self.terms.packet_bytes > 512);
        let out = self.output.packets();
        encode::subscribed(out, self.level, subscribe.id, &answers, why.as_deref());
        for (filter, options) in retained {
            hub.hand_retained(&self.session, filter, options);
        }
        self.tell_subscribed(&granted);
        let is_denied = answers.contains(&Reason::NotAuthorized);
        if is_denied && self.level.is_v5() && hub.rules.close_v5_refusals {
            return Err(Ending::Forbidden(why.unwrap_or_default()));
        }
        Ok(())
    }

    fn tell_refused(&self, filter: &str, no: &No) {
        self.hub
            .observers
            .tell(&self.session.client_id, || Happening::SubscribeDenied {
                filter: filter.into(),
                why: no.why.clone(),
            });
    }

    fn tell_subscribed(&self, granted: &[(&str, Options)]) {
        if granted.is_empty() {
            return;
        }
        let client_id = &self.session.client_id;
        for (filter, options) in granted {
            self.hub
                .observers
                .tell(client_id, || Happening::Subscribed {
                    filter: (*filter).into(),
                    qos: options.qos,
                });
        }
        let filters: SmallVec<[&str; 8]> = granted.iter().map(|(filter, _)| *filter).collect();
        self.hub.tell_subscribed(client_id, &self.link, &filters);
    }

    /// Grants one subscription, and says whether it is new. The inner error is the answer to it, and `None` is no answer at all.
    fn grant(
        &mut self,
        wish: &Wish<'_>,
        options: Options,
        now: Instant,
    ) -> Result<Result<bool, Option<No>>, Ending> {
        let hub = Arc::clone(&self.hub);
        let no = |reason, why: Box<str>| Ok(Err(Some(No { reason, why })));
        match names::filter(wish.filter, &hub.limits, &hub.rules) {
            Ok(()) => {}
            Err(Unfit::Beyond(why)) => return no(Reason::FilterInvalid, why.into()),
            Err(Unfit::Wrong(why)) => {
                self.tell_refused(
                    wish.filter,
                    &No {
                        reason: Reason::FilterInvalid,
                        why: why.into(),
                    },
                );
                return Err(breach(
                    Reason::FilterInvalid,
                    "a filter that is not taken: reserved, or its wildcards are out of place",
                ));
            }
        }
        let client_id = &self.session.client_id;
        match hub
            .faults
            .strike_client("Subscribe", client_id, wish.filter)
        {
            Some((Kind::Disconnect | Kind::Drop, _)) => return Err(Ending::Fault),
            Some((Kind::Refuse, _)) => {
                return no(Reason::Unspecified, "a fault that was asked for".into());
            }
            Some((Kind::Throttle, _)) => return self.subscribe_throttled(),
            Some((Kind::Delay | Kind::Duplicate, _)) | None => {}
        }
        if let Err(why) = self.permissions.check(Action::Subscribe(wish.filter)) {
            count(&hub.counters.subscribe_denied);
            if self.level.is_v5() || hub.rules.answer_v3_refusals {
                return no(Reason::NotAuthorized, why);
            }
            let refusal = No {
                reason: Reason::NotAuthorized,
                why,
            };
            self.tell_refused(wish.filter, &refusal);
            return Err(Ending::Forbidden(refusal.why));
        }
        if !hub.account.subscribes.take(now) {
            return self.subscribe_throttled();
        }
        match hub.subscribe(&self.session, &self.link, wish.filter, options) {
            Some(is_new) => Ok(Ok(is_new)),
            None => no(
                Reason::QuotaExceeded,
                "more subscriptions than a connection may have".into(),
            ),
        }
    }

    /// MQTT 5 is told; with MQTT 3 IoT Core says nothing at all.
    fn subscribe_throttled(&self) -> Result<Result<bool, Option<No>>, Ending> {
        count(&self.hub.counters.throttled);
        let no = No {
            reason: Reason::QuotaExceeded,
            why: "more subscriptions a second than the account may have".into(),
        };
        Ok(Err(self.level.is_v5().then_some(no)))
    }

    fn unsubscribe(&mut self, id: u16, filters: &[&str]) -> Result<(), Ending> {
        let hub = Arc::clone(&self.hub);
        let client_id = Arc::clone(&self.session.client_id);
        let mut answers = SmallVec::<[Reason; 8]>::new();
        for filter in filters {
            match hub.faults.strike_client("Unsubscribe", &client_id, filter) {
                Some((Kind::Disconnect | Kind::Drop, _)) => return Err(Ending::Fault),
                Some((Kind::Throttle, _)) => return Ok(()),
                Some((Kind::Refuse, _)) => {
                    answers.push(Reason::Unspecified);
                    continue;
                }
                _ => {}
            }
            let was_there = hub.unsubscribe(&self.session, filter);
            answers.push(self.listed(if was_there {
                Reason::Success
            } else {
                Reason::NoSubscription
            }));
            if was_there {
                hub.observers.tell(&client_id, || Happening::Unsubscribed {
                    filter: (*filter).into(),
                });
            }
        }
        encode::unsubscribed(self.output.packets(), self.level, id, &answers);
        hub.tell_unsubscribed(&client_id, &self.link, filters);
        Ok(())
    }
}

fn breach(reason: Reason, what: &'static str) -> Ending {
    Ending::Breach(Breach { reason, what })
}
