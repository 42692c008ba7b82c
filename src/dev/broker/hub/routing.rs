//! From a message to the sessions that get it: subscriptions come and go, messages are matched and handed over.
//!
//! The trie's lock is held while sessions are looked up, never while a message is handed to one. Messages of one publisher reach
//! each session in their order; so a topic that one connection publishes to keeps its order, though IoT Core promises none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::Hub;
use super::message::{Delivery, Message};
use super::session::{Handed, Link, Options, Session, Will};
use super::trie::Trie;
use crate::dev::broker::observe::{Happening, count, uncount};

/// Who has subscribed to one filter.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    each: Vec<Entry>,
    groups: BTreeMap<Box<str>, Group>,
}

#[derive(Clone, Debug)]
struct Entry {
    session: Arc<Session>,
    options: Options,
}

/// A shared subscription: each message goes to one member.
#[derive(Debug, Default)]
struct Group {
    members: Vec<Entry>,
    turn: AtomicUsize,
}

impl Group {
    /// Whose turn it is: clients that are there, in turn; without any, those that come back.
    fn pick(&self) -> Option<&Entry> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let start = turn.checked_rem(self.members.len())?;
        let (before, from) = self.members.split_at_checked(start)?;
        let mut in_turn = from.iter().chain(before);
        in_turn
            .clone()
            .find(|member| member.session.is_present())
            .or_else(|| in_turn.next())
    }
}

/// What a filter says: the shared subscription's name, if it is one, and what topics are matched against.
fn parts(filter: &str) -> (Option<&str>, &str) {
    let shared = filter.strip_prefix("$share/");
    match shared.and_then(|shared| shared.split_once('/')) {
        Some((name, filter)) => (Some(name), filter),
        None => (None, filter),
    }
}

/// Whether a filter asks for life-cycle events.
fn is_for_events(filter: &str) -> bool {
    parts(filter).1.starts_with("$aws/")
}

/// Room that a publisher keeps for the sessions of one message, so that it is not asked for each time.
pub(crate) type Room = Vec<Hit>;

/// One session that a message goes to.
#[derive(Debug)]
pub(crate) struct Hit {
    session: Arc<Session>,
    options: Options,
    /// Further identifiers of subscriptions that match.
    more_ids: SmallVec<[u32; 1]>,
}

impl Hub {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Trie<Subscribers>> {
        self.trie.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription to a session, or changes it; says whether it is new. `None` when the connection has no say any more, or when
    /// it has as many as it may have.
    pub(crate) fn subscribe(
        &self,
        session: &Arc<Session>,
        link: &Arc<Link>,
        filter: &str,
        options: Options,
    ) -> Option<bool> {
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
            Some(name) => &mut subscribers.groups.entry(name.into()).or_default().members,
        };
        let known = entries
            .iter_mut()
            .find(|entry| !is_new && Arc::ptr_eq(&entry.session, session));
        match known {
            Some(entry) => entry.options = options,
            None => entries.push(Entry {
                session: Arc::clone(session),
                options,
            }),
        }
        if is_new {
            count(&self.counters.subscriptions);
            if is_for_events(filter) {
                self.event_subscriptions.fetch_add(1, Ordering::Relaxed);
            }
        }
        Some(is_new)
    }

    /// Takes a subscription away; says whether there was one.
    pub(crate) fn unsubscribe(&self, session: &Arc<Session>, filter: &str) -> bool {
        let mut state = session.state();
        let was_there = state.subscriptions.remove(filter).is_some();
        if was_there {
            self.remove(session, filter);
        }
        was_there
    }

    /// Takes a session's entry out of the trie. The session's lock is held.
    pub(crate) fn remove(&self, session: &Arc<Session>, filter: &str) {
        let (share, matched) = parts(filter);
        let mut trie = self.trie.write().unwrap_or_else(PoisonError::into_inner);
        trie.change(matched, |subscribers| {
            let out = |entries: &mut Vec<Entry>| {
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
                        out(&mut group.members);
                        if group.members.is_empty() {
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

    /// Hands a message to everybody who gets it; says how many sessions those are.
    pub(crate) fn route(&self, message: &Arc<Message>, room: &mut Room) -> usize {
        self.find(message, room);
        let found = room.len();
        for hit in room.drain(..) {
            let own = hit.options.subscription_id;
            let ids: Box<[u32]> = match own {
                0 => hit.more_ids.into_boxed_slice(),
                own => std::iter::once(own).chain(hit.more_ids).collect(),
            };
            let delivery = Delivery {
                message: Arc::clone(message),
                qos: message.qos.min(hit.options.qos),
                retain: message.retain && hit.options.retain_as_published,
                subscription_ids: (!ids.is_empty()).then_some(ids),
                sent_as: 0,
            };
            self.hand(&hit.session, delivery);
        }
        // Room for a large audience is not kept for ever.
        if room.capacity() > 1_024 && found < 64 {
            room.shrink_to(64);
        }
        found
    }

    fn find(&self, message: &Message, room: &mut Room) {
        let mut lists = 0;
        let wanted =
            |entry: &Entry| !(entry.options.no_local && entry.session.number == message.publisher);
        let hit = |entry: &Entry| Hit {
            session: Arc::clone(&entry.session),
            options: entry.options,
            more_ids: SmallVec::new(),
        };
        // A member that also subscribed by itself gets the message twice: these are two subscriptions to it.
        let mut picked = SmallVec::<[Hit; 2]>::new();
        let parent = self.rules.hash_matches_parent;
        let with = &mut |subscribers: &Subscribers| {
            if !subscribers.each.is_empty() {
                lists += 1;
                let each = subscribers.each.iter();
                room.extend(each.filter(|entry| wanted(entry)).map(hit));
            }
            let groups = subscribers.groups.values();
            picked.extend(groups.filter_map(Group::pick).map(hit));
        };
        self.read().matching(&message.topic, parent, with);
        if lists > 1 {
            merge(room);
        }
        room.extend(picked);
    }

    /// Hands a message to one session.
    pub(crate) fn hand(&self, session: &Session, delivery: Delivery) {
        let message = Arc::clone(&delivery.message);
        let mut stores = false;
        let handed = session.hand(delivery, || {
            stores = self.account.queued.take(Instant::now());
            stores
        });
        match handed {
            Handed::Taken if stores => count(&self.counters.stored),
            Handed::Full => {
                count(&self.counters.dropped);
                self.tell_dropped(session, &message, "too many messages wait for it");
            }
            Handed::Taken | Handed::Away => {}
        }
    }

    pub(crate) fn tell_dropped(&self, session: &Session, message: &Message, why: &str) {
        self.observers
            .tell(&session.client_id, || Happening::Dropped {
                topic: message.topic.clone(),
                why: why.into(),
                mark: message.mark(),
            });
    }

    /// Keeps a message for later subscribers, where it is one to be kept. `$` topics keep none.
    pub(crate) fn retain(&self, message: &Arc<Message>) {
        if message.retain && !message.topic.starts_with('$') {
            self.retained().set(message);
        }
    }

    /// Publishes what the broker has to say, or what a client has left.
    pub(crate) fn publish(&self, message: Arc<Message>) -> usize {
        self.retain(&message);
        self.route(&message, &mut Room::new())
    }

    pub(crate) fn publish_will(&self, will: &Will) {
        self.publish(Arc::new(will.message.published_now(will.expiry)));
    }

    /// Hands the retained messages that a new subscription asks for to its session.
    pub(crate) fn hand_retained(&self, session: &Arc<Session>, filter: &str, options: Options) {
        // Shared subscriptions get none (MQTT 5.0, section 4.8.2).
        if filter.starts_with("$share/") {
            return;
        }
        let now = Instant::now();
        let found = {
            let mut retained = self.retained();
            if !filter.contains(['+', '#']) {
                retained.message(filter, now).into_iter().collect()
            } else if self.rules.retained_by_wildcard {
                let mut one = Trie::<()>::default();
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
            let delivery = Delivery {
                qos: message.qos.min(options.qos),
                message,
                retain: true,
                subscription_ids: (options.subscription_id > 0).then(|| ids.into()),
                sent_as: 0,
            };
            self.hand(session, delivery);
        }
    }
}

/// Makes one hit of several for the same session: with the highest QoS and all identifiers (MQTT 5.0, section 3.3.4).
fn merge(room: &mut Room) {
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
