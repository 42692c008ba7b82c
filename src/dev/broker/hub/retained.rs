//! Retained messages: the last one of each topic, for later subscribers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::message::PublishedMessage;
use super::rate::WindowCounter;

/// Bytes of a topic's entry, without its name and its message.
const PLACE: usize = 256;

/// Number of topics above which expired rate windows are removed.
const RATES: usize = 1_024;

#[derive(Debug)]
pub(crate) struct RetainedStore {
    by_topic: BTreeMap<Box<str>, Arc<PublishedMessage>>,
    rates: FxHashMap<Box<str>, WindowCounter>,
    per_second: Option<u32>,
    /// Bytes in use, and their maximum.
    bytes: usize,
    bound: usize,
}

/// Returns the bytes that a message takes here.
fn weight(topic: &str, message_bytes: usize) -> usize {
    PLACE + topic.len() + message_bytes
}

impl RetainedStore {
    pub(crate) fn new(per_second_per_topic: Option<u32>, bound: usize) -> Self {
        Self {
            by_topic: BTreeMap::new(),
            rates: FxHashMap::default(),
            per_second: per_second_per_topic,
            bytes: 0,
            bound,
        }
    }

    /// Returns `true` where the rate limit admits another retained message of a topic.
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
            .or_insert_with(|| WindowCounter::new(per_second));
        rate.take(now, 1)
    }

    /// Returns `true` where a message of a topic fits, given the bytes of its payload. An empty
    /// message, or one no larger than the message that it replaces, always fits.
    pub(crate) fn has_room(&mut self, topic: &str, payload: usize, now: Instant) -> bool {
        if payload == 0 {
            return true;
        }
        let mut fits = self.fits(topic, topic.len() + payload);
        if !fits {
            self.forget_expired(now);
            fits = self.fits(topic, topic.len() + payload);
        }
        fits
    }

    fn fits(&self, topic: &str, message_bytes: usize) -> bool {
        let before = self.by_topic.get(topic);
        let before = before.map_or(0, |message| weight(topic, message.bytes()));
        let bytes = weight(topic, message_bytes);
        bytes <= before || self.bytes - before + bytes <= self.bound
    }

    /// Stores a message; an empty one removes the topic's message. Returns `false` where it does
    /// not fit.
    pub(crate) fn set(&mut self, message: &Arc<PublishedMessage>) -> bool {
        let topic = &message.topic;
        if message.payload.is_empty() {
            self.remove(topic);
            return true;
        }
        if !self.fits(topic, message.bytes()) {
            return false;
        }
        self.remove(topic);
        self.bytes += weight(topic, message.bytes());
        self.by_topic.insert(topic.clone(), Arc::clone(message));
        true
    }

    fn remove(&mut self, topic: &str) {
        if let Some(message) = self.by_topic.remove(topic) {
            self.bytes -= weight(topic, message.bytes());
        }
    }

    fn forget_expired(&mut self, now: Instant) {
        let mut bytes = 0;
        self.by_topic.retain(|topic, message| {
            let is_expired = message.is_expired(now);
            if is_expired {
                bytes += weight(topic, message.bytes());
            }
            !is_expired
        });
        self.bytes -= bytes;
    }

    /// Returns the retained message of a topic.
    pub(crate) fn message(&mut self, topic: &str, now: Instant) -> Option<Arc<PublishedMessage>> {
        let message = self.by_topic.get(topic)?;
        if message.is_expired(now) {
            self.remove(topic);
            return None;
        }
        Some(Arc::clone(message))
    }

    /// Returns the messages whose topics match a filter, sorted by topic.
    pub(crate) fn matching(
        &mut self,
        now: Instant,
        matches: impl Fn(&str) -> bool,
    ) -> Vec<Arc<PublishedMessage>> {
        self.forget_expired(now);
        let matching = self.by_topic.values();
        let matching = matching.filter(|message| matches(&message.topic));
        matching.map(Arc::clone).collect()
    }

    /// Returns up to `count` messages behind a topic, sorted by topic.
    pub(crate) fn after(
        &mut self,
        topic: &str,
        count: usize,
        now: Instant,
    ) -> Vec<Arc<PublishedMessage>> {
        self.forget_expired(now);
        let after = (Bound::Excluded(topic), Bound::Unbounded);
        let messages = self.by_topic.range::<str, _>(after);
        messages
            .take(count)
            .map(|(_, message)| Arc::clone(message))
            .collect()
    }
}
