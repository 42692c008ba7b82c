//! Retained messages: the last one of each topic, kept for who subscribes later.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::message::Message;
use super::rate::Rate;

/// How many topics' rates are remembered before those that are over are looked for.
const RATES: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Retained {
    by_topic: BTreeMap<Box<str>, Arc<Message>>,
    rates: FxHashMap<Box<str>, Rate>,
    per_second: Option<u32>,
}

impl Retained {
    pub(crate) fn new(per_second_per_topic: Option<u32>) -> Self {
        Self {
            by_topic: BTreeMap::new(),
            rates: FxHashMap::default(),
            per_second: per_second_per_topic,
        }
    }

    /// Whether a topic may have another retained message now.
    pub(crate) fn may_set(&mut self, topic: &str, now: Instant) -> bool {
        if self.per_second.is_none() {
            return true;
        }
        if self.rates.len() > RATES {
            self.rates.retain(|_, rate| rate.next(now).is_some());
        }
        let per_second = self.per_second;
        let rate = self
            .rates
            .entry(topic.into())
            .or_insert_with(|| Rate::new(per_second));
        rate.take(now, 1)
    }

    /// Keeps a message; an empty one takes away what was kept.
    pub(crate) fn set(&mut self, message: &Arc<Message>) {
        if message.payload.is_empty() {
            self.by_topic.remove(&message.topic);
        } else {
            self.by_topic
                .insert(message.topic.clone(), Arc::clone(message));
        }
    }

    /// The message that is kept for a topic.
    pub(crate) fn message(&mut self, topic: &str, now: Instant) -> Option<Arc<Message>> {
        let message = self.by_topic.get(topic)?;
        if message.is_expired(now) {
            self.by_topic.remove(topic);
            return None;
        }
        Some(Arc::clone(message))
    }

    /// The messages whose topics a filter matches, by topic.
    pub(crate) fn matching(
        &mut self,
        now: Instant,
        matches: impl Fn(&str) -> bool,
    ) -> Vec<Arc<Message>> {
        self.by_topic.retain(|_, message| !message.is_expired(now));
        let matching = self.by_topic.values();
        let matching = matching.filter(|message| matches(&message.topic));
        matching.map(Arc::clone).collect()
    }

    /// Up to `count` messages whose topics come after one, by topic.
    pub(crate) fn after(&mut self, topic: &str, count: usize, now: Instant) -> Vec<Arc<Message>> {
        self.by_topic.retain(|_, message| !message.is_expired(now));
        let after = (Bound::Excluded(topic), Bound::Unbounded);
        let messages = self.by_topic.range::<str, _>(after);
        messages
            .take(count)
            .map(|(_, message)| Arc::clone(message))
            .collect()
    }
}
