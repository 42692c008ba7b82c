//! One queue: messages, visibility timeouts, redelivery. Pure: the caller passes the time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::deduplication::DeduplicationWindow;
use super::fifo::FifoGroups;
use super::held::HeldMessages;
use super::message::{MessageContent, ReceivedMessage, RedrivenMessage, SequenceNumber};
use super::receipt::ReceiptHandle;
use super::settings::QueueSettings;

/// The longest that a message may be hidden, counted from its receive (SQS API reference,
/// ChangeMessageVisibility).
pub(super) const LONGEST_VISIBILITY: Duration = Duration::from_secs(43_200);

/// The most messages in flight of one queue (SQS quotas, "Message quotas").
const MOST_IN_FLIGHT: usize = 120_000;

/// The memory that a remembered deduplication id takes, roughly.
const DEDUPLICATION_ID_BYTES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueState {
    /// It may be handed out.
    Visible,
    /// It was sent with a delay.
    Delayed,
    /// It is hidden by a receive or by a change of its visibility.
    InFlight,
}

#[derive(Debug)]
struct StoredMessage {
    content: MessageContent,
    state: QueueState,
    /// Counts the receives from this queue; the receipt handle of an earlier one is old.
    lease: u32,
    /// Counts the timers; only the latest counts.
    timer: u32,
    /// Receives from queues before this one.
    receives_before: u32,
    first_received: i64,
    enqueued: Instant,
    /// The time of the latest receive.
    received: Instant,
}

/// Reason why a receipt handle is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiptFault {
    /// It is none of this queue's.
    Invalid,
    /// Its visibility timeout has ended, and the queue is a FIFO queue.
    Expired,
    /// Its message is gone, or is not in flight with it.
    Unavailable,
    /// The message would be hidden for longer than SQS allows.
    TooLong,
}

/// Numbers of messages in a queue, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QueueCounts {
    pub(super) visible: usize,
    pub(super) in_flight: usize,
    pub(super) delayed: usize,
}

impl QueueCounts {
    fn of(&mut self, state: QueueState) -> &mut usize {
        match state {
            QueueState::Visible => &mut self.visible,
            QueueState::Delayed => &mut self.delayed,
            QueueState::InFlight => &mut self.in_flight,
        }
    }
}

/// The outcome of a receive.
#[derive(Debug, Default)]
pub(super) struct ReceiveOutcome {
    pub(super) handed: Vec<ReceivedMessage>,
    /// Messages that were received too often: they are gone from this queue.
    pub(super) moved: Vec<RedrivenMessage>,
    /// `true` if no more messages may be in flight.
    pub(super) is_full: bool,
}

/// One queue.
#[derive(Debug)]
pub(super) struct QueueStore {
    settings: QueueSettings,
    /// A random number by which the queue knows its own receipt handles.
    id: u64,
    messages: HashMap<SequenceNumber, StoredMessage>,
    /// Visible messages of a standard queue; those that are not visible any more are passed over.
    ready: VecDeque<SequenceNumber>,
    /// Those that were received before: they come first, the oldest before the others (recorded).
    again: BinaryHeap<Reverse<SequenceNumber>>,
    groups: FifoGroups,
    /// Times at which a delay or a visibility timeout ends.
    timers: BinaryHeap<Reverse<(Instant, SequenceNumber, u32)>>,
    /// In the order of sending, to find expired messages.
    sent: VecDeque<(Instant, SequenceNumber)>,
    /// Dead-letter messages of standard queues: their retention counts from when they were first
    /// sent.
    moved: BinaryHeap<Reverse<(Instant, SequenceNumber)>>,
    deduplication: DeduplicationWindow,
    latest: SequenceNumber,
    counts: QueueCounts,
    bytes: usize,
    held: Arc<HeldMessages>,
}

impl QueueStore {
    pub(super) fn new(settings: QueueSettings, held: Arc<HeldMessages>) -> Self {
        Self {
            id: fastrand::u64(..),
            messages: HashMap::new(),
            ready: VecDeque::new(),
            again: BinaryHeap::new(),
            groups: FifoGroups::default(),
            timers: BinaryHeap::new(),
            sent: VecDeque::new(),
            moved: BinaryHeap::new(),
            deduplication: DeduplicationWindow::new(settings.scope),
            latest: 0,
            counts: QueueCounts::default(),
            bytes: 0,
            held,
            settings,
        }
    }

    pub(super) fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    /// Changes the queue's settings. A FIFO queue's delay counts for the messages that it has, too;
    /// a standard queue's only for later ones (SQS API reference, SetQueueAttributes).
    pub(super) fn set(&mut self, settings: QueueSettings, now: Instant) {
        self.advance(now);
        self.deduplication.change_scope(settings.scope, now);
        let delay_changes = settings.fifo && settings.delay != self.settings.delay;
        self.settings = settings;
        if !delay_changes {
            return;
        }
        for (sequence, message) in &mut self.messages {
            if message.state == QueueState::Delayed {
                message.timer += 1;
                let until = message.enqueued + self.settings.delay;
                self.timers.push(Reverse((until, *sequence, message.timer)));
            }
        }
        self.advance(now);
    }

    /// Takes a message in; returns its id and number, which are those of an earlier one where it is
    /// a duplicate.
    pub(super) fn send(
        &mut self,
        content: MessageContent,
        delay: Option<Duration>,
        now: Instant,
    ) -> (Arc<str>, SequenceNumber) {
        self.advance(now);
        if let Some(id) = content
            .deduplication
            .as_ref()
            .filter(|_| self.settings.fifo)
        {
            let message = (Arc::clone(&content.id), self.latest + 1);
            let group = content.group.as_ref();
            if let Some(earlier) = self.deduplication.earlier(id, group, message, now) {
                return earlier;
            }
            self.bytes += DEDUPLICATION_ID_BYTES;
            self.held.add(0, DEDUPLICATION_ID_BYTES);
        }
        let delay = delay.unwrap_or(self.settings.delay);
        let id = Arc::clone(&content.id);
        let sequence = self.put(content, delay, now, now);
        self.sent.push_back((now, sequence));
        (id, sequence)
    }

    /// Takes a dead-letter message in. In a FIFO queue its retention begins anew (developer guide,
    /// "Using dead-letter queues").
    pub(super) fn take_moved(&mut self, moved: RedrivenMessage, now: Instant) {
        self.advance(now);
        let enqueued = if self.settings.fifo {
            now
        } else {
            moved.enqueued
        };
        let sequence = self.put(moved.content, self.settings.delay, enqueued, now);
        if let Some(message) = self.messages.get_mut(&sequence) {
            message.receives_before = moved.receives;
            message.first_received = moved.first_received;
        }
        self.moved.push(Reverse((enqueued, sequence)));
    }

    fn put(
        &mut self,
        content: MessageContent,
        delay: Duration,
        enqueued: Instant,
        now: Instant,
    ) -> SequenceNumber {
        self.latest += 1;
        let sequence = self.latest;
        let bytes = content.held_bytes();
        self.bytes += bytes;
        self.held.add(1, bytes);
        if !delay.is_zero()
            && let Some(group) = content.group.as_ref().filter(|_| self.settings.fifo)
        {
            self.groups.hide(group, sequence);
        }
        let message = StoredMessage {
            content,
            state: QueueState::Delayed,
            lease: 0,
            timer: 0,
            receives_before: 0,
            first_received: 0,
            enqueued,
            received: now,
        };
        self.messages.insert(sequence, message);
        self.counts.delayed += 1;
        if delay.is_zero() {
            self.show(sequence);
        } else {
            self.timers.push(Reverse((now + delay, sequence, 0)));
        }
        sequence
    }

    /// Hands out up to `most` messages, each hidden for a while. With `redrive`, those that were
    /// received too often are moved.
    pub(super) fn receive(
        &mut self,
        most: usize,
        visibility: Option<Duration>,
        redrive: bool,
        milliseconds: i64,
        now: Instant,
    ) -> ReceiveOutcome {
        self.advance(now);
        let visibility = visibility.unwrap_or(self.settings.visibility);
        let limit = self.settings.redrive.as_ref().filter(|_| redrive);
        let limit = limit.map(|redrive| redrive.max_receive_count);
        let mut receive = ReceiveOutcome {
            is_full: self.counts.in_flight >= MOST_IN_FLIGHT,
            ..ReceiveOutcome::default()
        };
        while receive.handed.len() < most && !receive.is_full {
            let taken = if self.settings.fifo {
                self.groups.take(most - receive.handed.len())
            } else {
                let again = self.again.pop().map(|Reverse(sequence)| sequence);
                let next = again.or_else(|| self.ready.pop_front());
                next.into_iter().collect()
            };
            if taken.is_empty() {
                break;
            }
            for sequence in taken {
                let Some(message) = self.messages.get_mut(&sequence) else {
                    continue;
                };
                if message.state != QueueState::Visible {
                    continue;
                }
                if limit.is_some_and(|limit| message.lease >= limit) {
                    receive.moved.extend(self.dead_letter(sequence));
                    continue;
                }
                message.lease += 1;
                message.received = now;
                if message.receives_before + message.lease == 1 {
                    message.first_received = milliseconds;
                }
                let handed = ReceivedMessage {
                    content: message.content.clone(),
                    sequence,
                    receipt: ReceiptHandle {
                        queue: self.id,
                        sequence,
                        lease: message.lease,
                    }
                    .encode(),
                    receives: message.receives_before + message.lease,
                    first_received: message.first_received,
                };
                self.hide(sequence, now + visibility);
                receive.handed.push(handed);
            }
        }
        receive
    }

    fn dead_letter(&mut self, sequence: SequenceNumber) -> Option<RedrivenMessage> {
        let message = self.remove(sequence)?;
        Some(RedrivenMessage {
            content: message.content,
            receives: message.receives_before + message.lease,
            first_received: message.first_received,
            enqueued: message.enqueued,
        })
    }

    /// The id of the message that a receipt handle is for.
    pub(super) fn message_id(&self, receipt: &str) -> Option<Arc<str>> {
        let receipt = self.own(receipt).ok()?;
        let message = self.messages.get(&receipt.sequence)?;
        Some(Arc::clone(&message.content.id))
    }

    /// Deletes a message that was received. Returns `true` if there was one to delete: deleting
    /// twice is no error. A standard queue takes the latest receipt handle even after its
    /// visibility timeout has ended, and does nothing for an older one; a FIFO queue refuses both
    /// (SQS API reference, DeleteMessage; recorded).
    pub(super) fn delete(&mut self, receipt: &str, now: Instant) -> Result<bool, ReceiptFault> {
        self.advance(now);
        let receipt = self.own(receipt)?;
        let Some(message) = self.messages.get(&receipt.sequence) else {
            return Ok(false);
        };
        let is_latest = message.lease == receipt.lease;
        if self.settings.fifo && !(is_latest && message.state == QueueState::InFlight) {
            return Err(ReceiptFault::Expired);
        }
        if is_latest {
            self.remove(receipt.sequence);
        }
        Ok(is_latest)
    }

    /// Hides a message that was received for another while, counted from now. A standard queue
    /// takes every receipt handle of a message. A FIFO queue takes only one whose visibility
    /// timeout has not ended.
    pub(super) fn change_visibility(
        &mut self,
        receipt: &str,
        visibility: Duration,
        now: Instant,
    ) -> Result<(), ReceiptFault> {
        self.advance(now);
        let receipt = self.own(receipt)?;
        let message = self.messages.get(&receipt.sequence);
        let message = message.ok_or(ReceiptFault::Unavailable)?;
        let is_leased = message.lease == receipt.lease && message.state == QueueState::InFlight;
        if self.settings.fifo && !is_leased {
            return Err(ReceiptFault::Unavailable);
        }
        let is_in_flight = message.state == QueueState::InFlight;
        if is_in_flight && now + visibility > message.received + LONGEST_VISIBILITY {
            return Err(ReceiptFault::TooLong);
        }
        if !visibility.is_zero() {
            self.hide(receipt.sequence, now + visibility);
        } else if is_in_flight {
            self.show(receipt.sequence);
        }
        Ok(())
    }

    /// Forgets all messages and deduplication ids. Receipt handles stay those of this queue.
    pub(super) fn purge(&mut self) {
        let mut purged = Self::new(self.settings.clone(), Arc::clone(&self.held));
        purged.latest = self.latest;
        purged.id = self.id;
        *self = purged;
    }

    pub(super) fn counts(&mut self, now: Instant) -> QueueCounts {
        self.advance(now);
        self.counts
    }

    /// Time at which something may become visible by itself.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Advances the time: hidden messages become visible, expired messages are forgotten.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(Reverse((at, sequence, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let message = self.messages.get(&sequence);
            if message.is_some_and(|message| {
                message.timer == timer && message.state != QueueState::Visible
            }) {
                self.show(sequence);
            }
        }
        let retention = self.settings.retention;
        while let Some((at, sequence)) = self.sent.front().copied()
            && (at + retention <= now || !self.messages.contains_key(&sequence))
        {
            self.sent.pop_front();
            self.remove(sequence);
        }
        while let Some(Reverse((at, sequence))) = self.moved.peek().copied()
            && (at + retention <= now || !self.messages.contains_key(&sequence))
        {
            self.moved.pop();
            self.remove(sequence);
        }
        let known = self.deduplication.len();
        self.deduplication.advance(now);
        let forgotten = (known - self.deduplication.len()) * DEDUPLICATION_ID_BYTES;
        self.bytes -= forgotten;
        self.held.remove(0, forgotten);
    }

    /// The handle in a text, if it is one of this queue's.
    fn own(&self, receipt: &str) -> Result<ReceiptHandle, ReceiptFault> {
        ReceiptHandle::decode(receipt)
            .filter(|receipt| receipt.queue == self.id)
            .ok_or(ReceiptFault::Invalid)
    }

    fn show(&mut self, sequence: SequenceNumber) {
        let Some(message) = self.messages.get_mut(&sequence) else {
            return;
        };
        let was = std::mem::replace(&mut message.state, QueueState::Visible);
        *self.counts.of(was) -= 1;
        self.counts.visible += 1;
        match message
            .content
            .group
            .as_ref()
            .filter(|_| self.settings.fifo)
        {
            Some(group) => self.groups.show(group, sequence),
            None if was == QueueState::InFlight => self.again.push(Reverse(sequence)),
            None => self.ready.push_back(sequence),
        }
    }

    /// Hides a message that was received until a time. Its group knows already.
    fn hide(&mut self, sequence: SequenceNumber, until: Instant) {
        let Some(message) = self.messages.get_mut(&sequence) else {
            return;
        };
        let was = std::mem::replace(&mut message.state, QueueState::InFlight);
        *self.counts.of(was) -= 1;
        self.counts.in_flight += 1;
        message.timer += 1;
        self.timers.push(Reverse((until, sequence, message.timer)));
    }

    fn remove(&mut self, sequence: SequenceNumber) -> Option<StoredMessage> {
        let message = self.messages.remove(&sequence)?;
        *self.counts.of(message.state) -= 1;
        let bytes = message.content.held_bytes();
        self.bytes -= bytes;
        self.held.remove(1, bytes);
        if let Some(group) = message
            .content
            .group
            .as_ref()
            .filter(|_| self.settings.fifo)
        {
            self.groups.forget(group, sequence);
        }
        Some(message)
    }
}

impl Drop for QueueStore {
    fn drop(&mut self) {
        self.held.remove(self.messages.len(), self.bytes);
    }
}
