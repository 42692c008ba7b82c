//! Routing of messages to sessions: adds and removes subscriptions, matches messages and hands them
//! over.
//!
//! The trie's lock is held while sessions are looked up, never while a message is handed to one.
//! Messages of one publisher reach each session in their order. So a topic with one publishing
//! connection keeps its order, though IoT Core promises none.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::SessionHub;
use super::group::{DeferredDeliveries, SharedQueue, SharedSubscription};
use super::message::{PublishedMessage, SubscriberDelivery};
use super::session::{
    ClientSession, ConnectionHandle, DeliveryResult, SessionWill, SubscriptionOptions,
};
use super::trie::TopicTree;
use crate::dev::broker::excess::{excess, per_second};
use crate::dev::broker::observe::{BrokerEvent, count, uncount};

/// Subscribers of one filter.
#[derive(Debug, Default)]
pub(crate) struct FilterSubscribers {
    each: Vec<SubscriberEntry>,
    pub(super) groups: BTreeMap<Box<str>, SharedSubscription>,
}

#[derive(Clone, Debug)]
pub(crate) struct SubscriberEntry {
    pub(crate) session: Arc<ClientSession>,
    pub(crate) options: SubscriptionOptions,
}

/// Splits a filter into its share name, if it is a shared subscription, and the filter that topics
/// are matched against.
pub(super) fn parts(filter: &str) -> (Option<&str>, &str) {
    let shared = filter.strip_prefix("$share/");
    match shared.and_then(|shared| shared.split_once('/')) {
        Some((name, filter)) => (Some(name), filter),
        None => (None, filter),
    }
}

/// Returns `true` where a filter matches life-cycle events.
fn is_for_events(filter: &str) -> bool {
    parts(filter).1.starts_with("$aws/")
}

/// Scratch buffer for the matches of one message, kept by the publisher to save allocations.
pub(crate) type MatchBuffer = Vec<MatchedSubscriber>;

/// Session that a message goes to.
#[derive(Debug)]
pub(crate) struct MatchedSubscriber {
    session: Arc<ClientSession>,
    options: SubscriptionOptions,
    /// Queue of the group, where the subscriber is a group's next member.
    group: Option<Arc<SharedQueue>>,
    /// Further identifiers of matching subscriptions.
    more_ids: SmallVec<[u32; 1]>,
}

impl SessionHub {
    pub(super) fn read(&self) -> std::sync::RwLockReadGuard<'_, TopicTree<FilterSubscribers>> {
        self.trie.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription to a session, or changes it; returns `true` where it is new. `None` when
    /// the connection was replaced, or has reached its limit of subscriptions.
    pub(crate) fn subscribe(
        &self,
        session: &Arc<ClientSession>,
        link: &Arc<ConnectionHandle>,
        filter: &str,
        options: SubscriptionOptions,
    ) -> Option<bool> {
        self.stir.stir(Instant::now());
        let mut state = session.state();
        let is_mine = state.link.as_ref();
        if !is_mine.is_some_and(|other| Arc::ptr_eq(other, link)) {
            return None;
        }
        let is_new = !state.subscriptions.contains_key(filter);
        let most = self.limits.subscriptions_per_connection;
        if is_new && most.is_some_and(|most| state.subscriptions.len() >= most) {
            return None;
        }
        state.subscriptions.insert(filter.into(), options);
        let (share, matched) = parts(filter);
        let mut trie = self.trie.write().unwrap_or_else(PoisonError::into_inner);
        let subscribers = trie.entry(matched);
        let entries = match share {
            None => &mut subscribers.each,
            Some(name) => {
                let groups = subscribers.groups.entry(name.into());
                let bound = self.limits.queued_per_group;
                let holdings = &self.holdings;
                let group =
                    groups.or_insert_with(|| SharedSubscription::new(filter, bound, holdings));
                self.share(&mut state, group, options);
                group.members()
            }
        };
        let known = entries
            .iter_mut()
            .find(|entry| !is_new && Arc::ptr_eq(&entry.session, session));
        match known {
            Some(entry) => entry.options = options,
            None => entries.push(SubscriberEntry {
                session: Arc::clone(session),
                options,
            }),
        }
        if let Some(group) = share.and_then(|name| subscribers.groups.get(name)) {
            group.tend();
        }
        drop(trie);
        if is_new {
            count(&self.counters.subscriptions);
            if is_for_events(filter) {
                self.event_subscriptions.fetch_add(1, Ordering::Relaxed);
            }
        }
        Some(is_new)
    }

    /// Removes a subscription; returns `true` where there was one.
    pub(crate) fn unsubscribe(&self, session: &Arc<ClientSession>, filter: &str) -> bool {
        let mut state = session.state();
        let was_there = state.subscriptions.remove(filter).is_some();
        if was_there {
            state
                .shares
                .retain(|share| *share.waiting.filter != *filter);
            self.remove(session, filter);
        }
        was_there
    }

    /// Removes a session's entry from the trie. The caller holds the session's lock.
    pub(crate) fn remove(&self, session: &Arc<ClientSession>, filter: &str) {
        let (share, matched) = parts(filter);
        let mut trie = self.trie.write().unwrap_or_else(PoisonError::into_inner);
        trie.change(matched, |subscribers| {
            let out = |entries: &mut Vec<SubscriberEntry>| {
                let at = entries
                    .iter()
                    .position(|entry| Arc::ptr_eq(&entry.session, session));
                if let Some(at) = at {
                    entries.swap_remove(at);
                }
            };
            match share {
                None => out(&mut subscribers.each),
                Some(name) => {
                    if let Some(group) = subscribers.groups.get_mut(name) {
                        out(group.members());
                        group.tend();
                        if group.members().is_empty() {
                            subscribers.groups.remove(name);
                        }
                    }
                }
            }
            subscribers.each.is_empty() && subscribers.groups.is_empty()
        });
        drop(trie);
        uncount(&self.counters.subscriptions, 1);
        if is_for_events(filter) {
            self.event_subscriptions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Hands a message to its subscribers; returns the number of sessions, and of groups that queue
    /// it.
    pub(crate) fn route(&self, message: &Arc<PublishedMessage>, room: &mut MatchBuffer) -> usize {
        let kept = self.find(message, room);
        let found = room.len() + kept;
        for hit in room.drain(..) {
            let own = hit.options.subscription_id;
            let ids: Box<[u32]> = match own {
                0 => hit.more_ids.into_boxed_slice(),
                own => std::iter::once(own).chain(hit.more_ids).collect(),
            };
            let qos = message.qos.min(hit.options.qos);
            let delivery = SubscriberDelivery {
                message: Arc::clone(message),
                qos,
                retain: message.retain && hit.options.retain_as_published,
                subscription_ids: (!ids.is_empty()).then_some(ids),
                group: hit.group.filter(|_| qos > 0),
                sent_as: 0,
            };
            self.hand(&hit.session, delivery);
        }
        // The buffer for a large audience is not kept for ever.
        if room.capacity() > 1_024 && found < 64 {
            room.shrink_to(64);
        }
        found
    }

    /// Finds the sessions that a message goes to; returns the number of groups that queue it.
    fn find(&self, message: &Arc<PublishedMessage>, room: &mut MatchBuffer) -> usize {
        let mut lists = 0;
        let wanted = |entry: &SubscriberEntry| {
            !(entry.options.no_local && entry.session.number == message.publisher)
        };
        let hit = |entry: &SubscriberEntry| MatchedSubscriber {
            session: Arc::clone(&entry.session),
            options: entry.options,
            group: None,
            more_ids: SmallVec::new(),
        };
        // A member that also has a subscription of its own gets the message twice: MQTT counts two
        // subscriptions.
        let mut picked = SmallVec::<[MatchedSubscriber; 2]>::new();
        let mut late = DeferredDeliveries::default();
        let parent = self.rules.hash_matches_parent;
        let with = &mut |subscribers: &FilterSubscribers| {
            if !subscribers.each.is_empty() {
                lists += 1;
                let each = subscribers.each.iter();
                room.extend(each.filter(|entry| wanted(entry)).map(hit));
            }
            for group in subscribers.groups.values() {
                match group.pick() {
                    Some(member) => picked.push(MatchedSubscriber {
                        group: Some(Arc::clone(group.waiting())),
                        ..hit(member)
                    }),
                    None => self.keep(group, message, &mut late),
                }
            }
        };
        self.read().matching(&message.topic, parent, with);
        if lists > 1 {
            merge(room);
        }
        room.extend(picked);
        let kept = late.kept;
        self.after(late);
        kept
    }

    /// Hands a message to one session.
    pub(crate) fn hand(&self, session: &ClientSession, delivery: SubscriberDelivery) {
        let message = Arc::clone(&delivery.message);
        let mut stores = false;
        let handed = session.hand(delivery, || {
            stores = self.account.queued.take(Instant::now());
            stores
        });
        match handed {
            DeliveryResult::Taken if stores => count(&self.counters.stored),
            DeliveryResult::Full(limit) => {
                count(&self.counters.dropped);
                self.tell_full(&session.client_id, &message, limit);
            }
            // The session was disconnected after it was chosen.
            DeliveryResult::Away(delivery) if delivery.group.is_some() => {
                self.hand_on(vec![delivery])
            }
            DeliveryResult::Taken | DeliveryResult::Away(_) => {}
        }
    }

    /// Reports a message that found no room in a queue. `who` is a client, or a group.
    pub(crate) fn tell_full(&self, who: &Arc<str>, message: &PublishedMessage, limit: &str) {
        self.observers.tell(who, || {
            let limits = &self.limits;
            let most = match limit {
                "queued-per-session" => limits.queued_per_session,
                "queued-per-group" => limits.queued_per_group,
                "queued-bytes-per-session" => limits.queued_bytes_per_session,
                _ => limits.queued_bytes,
            };
            BrokerEvent::Dropped {
                topic: message.topic.clone(),
                why: excess("too much waits already", limit, most, ""),
                mark: message.mark(),
            }
        });
    }

    /// Reports a dropped message. `who` is a client, or a group.
    pub(crate) fn tell_dropped(&self, who: &Arc<str>, message: &PublishedMessage, why: &str) {
        self.observers.tell(who, || BrokerEvent::Dropped {
            topic: message.topic.clone(),
            why: why.into(),
            mark: message.mark(),
        });
    }

    /// Retains a message that has the RETAIN flag. `$` topics retain nothing.
    pub(crate) fn retain(&self, message: &Arc<PublishedMessage>) {
        if message.retain && !message.topic.starts_with('$') && !self.retained().set(message) {
            // The message is a will; messages of clients were checked before.
            let most = self.limits.retained_bytes;
            let why = excess("not kept for later subscribers", "retained-bytes", most, "");
            self.tell_dropped(&"".into(), message, &why);
        }
    }

    /// Checks the size and the rates for one more retained message, and counts it. Topics that
    /// retain nothing have neither limit.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) fn may_retain(
        &self,
        topic: &str,
        bytes: usize,
        now: Instant,
    ) -> Result<(), Box<str>> {
        let limits = &self.limits;
        if topic.starts_with('$') {
            Ok(())
        } else if !self.retained().has_room(topic, bytes, now) {
            let sent = format!("one more retained message, of {bytes} bytes");
            let advice = "an empty retained message takes away what its topic keeps";
            let most = limits.retained_bytes;
            Err(excess(&sent, "retained-bytes", most, advice))
        } else if !self.retained().may_set(topic, now) {
            let most = limits.retained_per_second_per_topic;
            Err(per_second("retained-per-second", most))
        } else if !self.account.retained.take(now) {
            Err(per_second("account-retained", limits.account_retained))
        } else {
            Ok(())
        }
    }

    /// Routes a client's message and reports it; 0 times where the topic has no subscribers.
    /// Returns the number of sessions.
    pub(crate) fn pass_on(
        &self,
        client_id: &Arc<str>,
        message: &Arc<PublishedMessage>,
        times: usize,
        room: &mut MatchBuffer,
    ) -> usize {
        let mut found = 0;
        if times > 0 {
            self.retain(message);
        }
        for _ in 0..times {
            found = self.route(message, room);
        }
        count(&self.counters.published);
        self.observers.tell(client_id, || BrokerEvent::Published {
            topic: message.topic.clone(),
            bytes: message.payload.len(),
            qos: message.qos,
            retain: message.retain,
            sessions: found,
            mark: message.mark(),
        });
        found
    }

    /// Publishes a message of the broker itself, or a will.
    pub(crate) fn publish(&self, message: Arc<PublishedMessage>) -> usize {
        self.retain(&message);
        self.route(&message, &mut MatchBuffer::new())
    }

    pub(crate) fn publish_will(&self, will: &SessionWill) {
        self.publish(Arc::new(will.message.published_now(will.expiry)));
    }

    /// Hands the retained messages that a new subscription requests to its session.
    pub(crate) fn hand_retained(
        &self,
        session: &Arc<ClientSession>,
        filter: &str,
        options: SubscriptionOptions,
    ) {
        // Shared subscriptions receive none (MQTT 5.0, section 4.8.2).
        if filter.starts_with("$share/") {
            return;
        }
        let now = Instant::now();
        let found = {
            let mut retained = self.retained();
            if !filter.contains(['+', '#']) {
                retained.message(filter, now).into_iter().collect()
            } else if self.rules.retained_by_wildcard {
                let mut one = TopicTree::<()>::default();
                one.entry(filter);
                let matches = |topic: &str| {
                    let mut matches = false;
                    let parent = self.rules.hash_matches_parent;
                    one.matching(topic, parent, &mut |()| matches = true);
                    matches
                };
                retained.matching(now, matches)
            } else {
                Vec::new()
            }
        };
        for message in found {
            let ids = [options.subscription_id];
            let delivery = SubscriberDelivery {
                qos: message.qos.min(options.qos),
                message,
                retain: true,
                subscription_ids: (options.subscription_id > 0).then(|| ids.into()),
                group: None,
                sent_as: 0,
            };
            self.hand(session, delivery);
        }
    }
}

/// Merges several matches of the same session: takes the highest QoS and all identifiers (MQTT 5.0,
/// section 3.3.4).
fn merge(room: &mut MatchBuffer) {
    room.sort_by_key(|hit| hit.session.number);
    room.dedup_by(|other, kept| {
        let same = other.session.number == kept.session.number;
        if same {
            kept.options.qos = kept.options.qos.max(other.options.qos);
            kept.options.retain_as_published |= other.options.retain_as_published;
            match (kept.options.subscription_id, other.options.subscription_id) {
                (_, 0) => {}
                (0, id) => kept.options.subscription_id = id,
                (_, id) => kept.more_ids.push(id),
            }
            kept.more_ids.append(&mut other.more_ids);
        }
        same
    });
}
