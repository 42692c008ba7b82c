//! SUBSCRIBE and UNSUBSCRIBE: the order of the checks, and the answer to the client for each.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::ClientConnection;
use super::ending::DisconnectReason;
use super::incoming::{PacketRejection, breach};
use crate::dev::broker::excess::{excess, quoted};
use crate::dev::broker::hub::session::SubscriptionOptions;
use crate::dev::broker::names::{self, TopicRejection};
use crate::dev::broker::observe::{BrokerEvent, count};
use crate::dev::faults::FaultKind;
use crate::port::ClientAction;
use crate::wire::decode::{SubscribeFilter, SubscribePacket};
use crate::wire::{ReasonCode, encode};

impl ClientConnection {
    pub(super) fn subscribe(
        &mut self,
        subscribe: &SubscribePacket<'_>,
        now: Instant,
    ) -> Result<(), DisconnectReason> {
        let hub = Arc::clone(&self.hub);
        if subscribe.subscription_id.is_some() && !hub.rules.subscription_ids {
            return Err(breach(
                ReasonCode::SubscriptionIdsUnsupported,
                "subscription identifiers are not spoken here",
            ));
        }
        let (count, most) = (subscribe.wishes.len(), hub.limits.filters_per_subscribe);
        if let Some(most) = most.filter(|most| count > *most) {
            let sent = format!("SUBSCRIBE with {count} filters");
            let advice = format!(
                "send several packets; MQTT.js does with `subscribeBatchSize: {most}`, also when it connects again"
            );
            let why = excess(&sent, "filters-per-subscribe", most, &advice);
            return Err(DisconnectReason::Refused(ReasonCode::QuotaExceeded, why));
        }
        let mut answers = SmallVec::<[ReasonCode; 8]>::new();
        let mut granted = SmallVec::<[(&str, SubscriptionOptions); 8]>::new();
        let mut retained = SmallVec::<[(&str, SubscriptionOptions); 8]>::new();
        let mut why = None;
        for wish in &subscribe.wishes {
            let options = SubscriptionOptions {
                qos: wish.qos.min(1),
                no_local: wish.no_local && hub.rules.no_local,
                retain_as_published: wish.retain_as_published,
                subscription_id: subscribe.subscription_id.unwrap_or(0),
            };
            match self.grant(wish, options, now)? {
                Ok(is_new) => {
                    answers.push(if options.qos == 0 {
                        ReasonCode::Success
                    } else {
                        ReasonCode::GrantedQos1
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
        let is_denied = answers.contains(&ReasonCode::NotAuthorized);
        if is_denied && self.level.is_v5() && hub.rules.close_v5_refusals {
            return Err(DisconnectReason::Forbidden(why.unwrap_or_default()));
        }
        Ok(())
    }

    fn tell_refused(&self, filter: &str, no: &PacketRejection) {
        self.hub
            .observers
            .tell(&self.session.client_id, || BrokerEvent::SubscribeDenied {
                filter: filter.into(),
                why: no.why.clone(),
            });
    }

    /// Returns the reason for the end of a connection with an invalid filter.
    fn bad_filter(&self, filter: &str, reason: ReasonCode, why: &str) -> DisconnectReason {
        let why: Box<str> = format!("the filter {}: {why}", quoted(filter)).into();
        let no = PacketRejection { reason, why };
        self.tell_refused(filter, &no);
        DisconnectReason::Refused(reason, no.why)
    }

    fn tell_subscribed(&self, granted: &[(&str, SubscriptionOptions)]) {
        if granted.is_empty() {
            return;
        }
        let client_id = &self.session.client_id;
        for (filter, options) in granted {
            self.hub
                .observers
                .tell(client_id, || BrokerEvent::Subscribed {
                    filter: (*filter).into(),
                    qos: options.qos,
                });
        }
        let filters: SmallVec<[&str; 8]> = granted.iter().map(|(filter, _)| *filter).collect();
        self.hub.tell_subscribed(client_id, &self.link, &filters);
    }

    /// Grants one subscription; returns `true` where it is new. The inner error is the refusal; its
    /// `None` means that no answer is sent.
    fn grant(
        &mut self,
        wish: &SubscribeFilter<'_>,
        options: SubscriptionOptions,
        now: Instant,
    ) -> Result<Result<bool, Option<PacketRejection>>, DisconnectReason> {
        let hub = Arc::clone(&self.hub);
        let no = |reason, why: Box<str>| Ok(Err(Some(PacketRejection { reason, why })));
        match names::filter(wish.filter, &hub.limits, &hub.rules) {
            Ok(()) => {}
            Err(TopicRejection::Beyond(why)) => return no(ReasonCode::FilterInvalid, why.into()),
            Err(TopicRejection::Reserved(why)) => {
                if self.level.is_v5() {
                    return no(ReasonCode::FilterInvalid, why.into());
                }
                let (reason, why) = (ReasonCode::FilterInvalid, why.into());
                let no = PacketRejection { reason, why };
                self.tell_refused(wish.filter, &no);
                return Err(DisconnectReason::Refused(reason, no.why));
            }
            Err(TopicRejection::Refused(why)) => {
                return Err(self.bad_filter(wish.filter, ReasonCode::FilterInvalid, &why));
            }
            Err(TopicRejection::Wrong(why)) => {
                return Err(self.bad_filter(wish.filter, ReasonCode::Malformed, &why));
            }
        }
        let client_id = &self.session.client_id;
        match hub
            .faults
            .strike_client("Subscribe", client_id, wish.filter)
        {
            Some((FaultKind::Disconnect | FaultKind::Drop, _)) => {
                return Err(DisconnectReason::Fault);
            }
            Some((FaultKind::Refuse, _)) => {
                return no(ReasonCode::Unspecified, "a fault that was asked for".into());
            }
            Some((FaultKind::Throttle, _)) => return self.subscribe_throttled(),
            Some((FaultKind::Delay | FaultKind::Duplicate | FaultKind::Linger, _)) | None => {}
        }
        if let Err(why) = self.permissions.check(ClientAction::Subscribe(wish.filter)) {
            count(&hub.counters.subscribe_denied);
            if self.level.is_v5() || hub.rules.answer_v3_refusals {
                return no(ReasonCode::NotAuthorized, why);
            }
            let refusal = PacketRejection {
                reason: ReasonCode::NotAuthorized,
                why,
            };
            self.tell_refused(wish.filter, &refusal);
            return Err(DisconnectReason::Forbidden(refusal.why));
        }
        if !hub.account.subscribes.take(now) {
            return self.subscribe_throttled();
        }
        match hub.subscribe(&self.session, &self.link, wish.filter, options) {
            Some(is_new) => Ok(Ok(is_new)),
            None => no(ReasonCode::QuotaExceeded, self.too_many_subscriptions()),
        }
    }

    fn too_many_subscriptions(&self) -> Box<str> {
        match self.hub.limits.subscriptions_per_connection {
            Some(most) => excess(
                "one more subscription",
                "subscriptions-per-connection",
                most,
                "use fewer filters, or filters with wildcards",
            ),
            None => "the connection has ended".into(),
        }
    }

    /// Answers a throttled SUBSCRIBE: MQTT 5 gets a reason code; MQTT 3 gets no answer from IoT
    /// Core.
    fn subscribe_throttled(
        &self,
    ) -> Result<Result<bool, Option<PacketRejection>>, DisconnectReason> {
        count(&self.hub.counters.throttled);
        let most = self.hub.limits.account_subscribes.unwrap_or_default();
        let no = PacketRejection {
            reason: ReasonCode::QuotaExceeded,
            why: excess(
                "one more subscription in this second",
                "account-subscribes",
                most,
                "",
            ),
        };
        Ok(Err(self.level.is_v5().then_some(no)))
    }

    pub(super) fn unsubscribe(
        &mut self,
        id: u16,
        filters: &[&str],
    ) -> Result<(), DisconnectReason> {
        let hub = Arc::clone(&self.hub);
        let client_id = Arc::clone(&self.session.client_id);
        let mut answers = SmallVec::<[ReasonCode; 8]>::new();
        for filter in filters {
            if let Err(TopicRejection::Wrong(why)) = names::filter(filter, &hub.limits, &hub.rules)
            {
                return Err(self.bad_filter(filter, ReasonCode::Malformed, &why));
            }
            match hub.faults.strike_client("Unsubscribe", &client_id, filter) {
                Some((FaultKind::Disconnect | FaultKind::Drop, _)) => {
                    return Err(DisconnectReason::Fault);
                }
                Some((FaultKind::Throttle, _)) => return Ok(()),
                Some((FaultKind::Refuse, _)) => {
                    answers.push(ReasonCode::Unspecified);
                    continue;
                }
                _ => {}
            }
            let was_there = hub.unsubscribe(&self.session, filter);
            answers.push(self.listed(if was_there {
                ReasonCode::Success
            } else {
                ReasonCode::NoSubscription
            }));
            if was_there {
                hub.observers
                    .tell(&client_id, || BrokerEvent::Unsubscribed {
                        filter: (*filter).into(),
                    });
            }
        }
        encode::unsubscribed(self.output.packets(), self.level, id, &answers);
        hub.tell_unsubscribed(&client_id, &self.link, filters);
        Ok(())
    }
}
