//! The messages of one session on one connection: those that nobody has asked for yet, those that
//! the client was given and has not confirmed, and those that it has confirmed on another
//! connection and the broker may send again. Pure.
//!
//! A message that the client was given stays here, and unacknowledged at the broker, until the
//! client shows a cursor that was made with it or after it. A cursor of this connection names
//! messages by their numbers; one of another names them by their keys (`cursor`).

use std::collections::VecDeque;

use bytes::Bytes;

use super::cursor::{Cursor, MAX_KEYS, MessageKey};
use super::message::Message;

/// The packet identifier that a message is acknowledged by.
pub(super) type PacketId = u16;

#[derive(Debug)]
struct Held {
    message: Message,
    /// `None` for QoS 0.
    packet: Option<PacketId>,
}

/// A cursor that names a place before the last one that the client has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StaleCursor;

/// Messages of one session on one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    epoch: u64,
    /// The number of the last message that was given.
    given: u64,
    /// The number of the last message that was confirmed.
    confirmed: u64,
    /// Messages that were given, in the order of their numbers, which end with `given`.
    returned: VecDeque<Held>,
    pending: VecDeque<Held>,
    /// Bytes of `pending`.
    bytes: usize,
    /// Messages that the client has, and the broker may send again.
    known: Vec<MessageKey>,
    /// Keys of the messages that were confirmed last: their acknowledgements may be lost with the
    /// connection.
    last: Vec<MessageKey>,
}

impl Inbox {
    /// Nothing yet. `epoch` is of this connection alone.
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            given: 0,
            confirmed: 0,
            returned: VecDeque::new(),
            pending: VecDeque::new(),
            bytes: 0,
            known: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Takes in a message. Returns the packet that is to be acknowledged at once.
    pub(super) fn arrive(
        &mut self,
        message: Message,
        packet: Option<PacketId>,
    ) -> Option<PacketId> {
        if let (Some(key), Some(packet)) = (message.key, packet) {
            if let Some(at) = self.known.iter().position(|known| *known == key) {
                self.known.swap_remove(at);
                return Some(packet);
            }
            // The broker has sent it again on the same connection.
            let mut held = self.returned.iter().chain(&self.pending);
            if held.any(|held| held.packet == Some(packet) && held.message.key == Some(key)) {
                return None;
            }
        }
        self.bytes += message.json.len();
        self.pending.push_back(Held { message, packet });
        None
    }

    /// Returns `true` where there is something to give.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Bytes of the messages that wait to be given.
    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a client's cursor. Returns the packets that it confirms.
    ///
    /// # Errors
    /// [`StaleCursor`] where the client has shown a later one: messages between the two cannot be
    /// given again.
    pub(super) fn confirm(&mut self, cursor: &Cursor) -> Result<Vec<PacketId>, StaleCursor> {
        if cursor.epoch != self.epoch || cursor.number > self.given {
            return Ok(self.confirm_by_keys(&cursor.keys));
        }
        let count = cursor
            .number
            .checked_sub(self.confirmed)
            .ok_or(StaleCursor)?;
        self.confirmed = cursor.number;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let confirmed: Vec<Held> = self
            .returned
            .drain(..count.min(self.returned.len()))
            .collect();
        if !confirmed.is_empty() {
            self.last = confirmed
                .iter()
                .filter_map(|held| held.message.key)
                .collect();
        }
        Ok(confirmed
            .into_iter()
            .filter_map(|held| held.packet)
            .collect())
    }

    /// Takes a cursor of another connection: messages that the client has are acknowledged, the
    /// rest is to be given.
    fn confirm_by_keys(&mut self, keys: &[MessageKey]) -> Vec<PacketId> {
        let mut unseen: Vec<MessageKey> = keys.to_vec();
        let mut packets = Vec::new();
        let all: Vec<Held> = self
            .returned
            .drain(..)
            .chain(self.pending.drain(..))
            .collect();
        self.bytes = 0;
        self.confirmed = self.given;
        for held in all {
            let key = held.message.key.filter(|_| held.packet.is_some());
            match key.and_then(|key| unseen.iter().position(|unseen| *unseen == key)) {
                Some(at) => {
                    unseen.swap_remove(at);
                    packets.extend(held.packet);
                }
                None => {
                    self.bytes += held.message.json.len();
                    self.pending.push_back(held);
                }
            }
        }
        self.known = unseen;
        self.last = keys.to_vec();
        packets
    }

    /// The messages that the client was given and has not confirmed: a response was lost.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = &Message> {
        self.returned.iter().map(|held| &held.message)
    }

    /// Gives the next message.
    pub(super) fn give(&mut self) -> Option<&Message> {
        let held = self.pending.pop_front()?;
        self.bytes -= held.message.json.len();
        self.given += 1;
        self.returned.push_back(held);
        self.returned.back().map(|held| &held.message)
    }

    /// The first message after a number, with its own number and the cursor that confirms it; one
    /// that waits is given for it.
    pub(super) fn give_after(&mut self, number: u64) -> Option<(u64, Bytes, Cursor)> {
        let first = self.given - self.returned.len() as u64;
        let at = usize::try_from(number.max(first) - first).unwrap_or(usize::MAX);
        if at >= self.returned.len() {
            self.give()?;
        }
        let json = self.returned.get(at)?.message.json.clone();
        Some((first + at as u64 + 1, json, self.cursor(at + 1)))
    }

    /// The size of the next message, as JSON.
    pub(super) fn next_bytes(&self) -> Option<usize> {
        self.pending.front().map(|held| held.message.json.len())
    }

    /// Number of messages that the client was given and has not confirmed.
    pub(super) fn unconfirmed_count(&self) -> usize {
        self.returned.len()
    }

    /// The cursor after the first `count` unconfirmed messages. Without the times, which the
    /// session knows.
    pub(super) fn cursor(&self, count: usize) -> Cursor {
        let behind = self.returned.len().saturating_sub(count) as u64;
        let returned = self.returned.iter().take(count);
        let mut keys: Vec<MessageKey> = returned.filter_map(|held| held.message.key).collect();
        if count == 0 {
            keys.clone_from(&self.last);
        }
        let excess = keys.len().saturating_sub(MAX_KEYS);
        keys.drain(..excess);
        Cursor {
            epoch: self.epoch,
            number: self.given - behind,
            keys,
            ..Cursor::default()
        }
    }
}

#[cfg(test)]
mod tests;
