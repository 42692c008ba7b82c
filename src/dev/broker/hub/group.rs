//! Shared subscription: each message goes to one member.
//!
//! While no member is connected, messages of QoS 1 wait for the group in one queue and go to the
//! first member that connects. Members that are connected at the same time each take from the queue
//! at their own rate. AWS IoT Core has such a queue (its quota is "queued messages per
//! shared-subscription group"); it does not document the messages that a member received and did
//! not acknowledge. Here such messages go to another member as soon as the first one disconnects,
//! which MQTT allows (5.0, section 4.8.2).
//!
//! Memory ordering: a publisher stores into the queue and then loads the presence of members; a
//! member stores its presence and then loads the queue. Both are `SeqCst`, so at least one of the
//! two sees the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::SessionHub;
use super::holdings::{HeldBytes, QueuedBytes};
use super::message::{PublishedMessage, SubscriberDelivery};
use super::outbox::EnqueueResult;
use super::rate::WindowCounter;
use super::routing::{SubscriberEntry, parts};
use super::session::{ClientSession, SessionState, SubscriptionOptions};
use crate::dev::broker::observe::count;

/// Members of a shared subscription: one filter and one share name.
#[derive(Debug)]
pub(crate) struct SharedSubscription {
    members: Vec<SubscriberEntry>,
    /// Index of the next member, if it is connected.
    turn: AtomicUsize,
    waiting: Arc<SharedQueue>,
}

/// Queue of a shared subscription.
#[derive(Debug)]
pub(crate) struct SharedQueue {
    /// Filter as its members wrote it, with the share name.
    pub(crate) filter: Arc<str>,
    queue: Mutex<VecDeque<Arc<PublishedMessage>>>,
    /// Length of the queue, readable without the lock.
    count: AtomicUsize,
    bound: usize,
    holdings: Arc<QueuedBytes>,
    /// Bytes of the queue's entries.
    held: Mutex<Option<HeldBytes>>,
}

/// Membership of a session in a group.
#[derive(Debug)]
pub(crate) struct SharedMember {
    pub(crate) waiting: Arc<SharedQueue>,
    pub(crate) options: SubscriptionOptions,
    /// Rate limit for messages from the queue.
    pace: WindowCounter,
}

impl SharedSubscription {
    pub(crate) fn new(filter: &str, bound: usize, holdings: &Arc<QueuedBytes>) -> Self {
        Self {
            members: Vec::new(),
            turn: AtomicUsize::new(0),
            waiting: Arc::new(SharedQueue {
                filter: filter.into(),
                queue: Mutex::default(),
                count: AtomicUsize::new(0),
                bound,
                holdings: Arc::clone(holdings),
                held: Mutex::default(),
            }),
        }
    }

    pub(crate) fn members(&mut self) -> &mut Vec<SubscriberEntry> {
        &mut self.members
    }

    pub(crate) fn waiting(&self) -> &Arc<SharedQueue> {
        &self.waiting
    }

    /// Picks the next connected member, round robin.
    pub(crate) fn pick(&self) -> Option<&SubscriberEntry> {
        let turn = self.turn.load(Ordering::Relaxed);
        let start = turn.checked_rem(self.members.len())?;
        let members = self.members.iter().enumerate();
        let mut in_turn = members.cycle().skip(start).take(self.members.len());
        let (at, member) = in_turn.find(|(_, member)| member.session.is_present())?;
        // Concurrent publishers may choose the same member.
        self.turn.store(at + 1, Ordering::Relaxed);
        Some(member)
    }

    /// Returns `true` where messages are queued for the group: it has a member with QoS 1. A
    /// disconnected member has a persistent session.
    pub(crate) fn keeps(&self) -> bool {
        self.members.iter().any(|member| member.options.qos > 0)
    }

    /// Drops the queue when the members change and none of them has QoS 1.
    pub(crate) fn tend(&self) {
        if !self.keeps() {
            self.waiting.clear();
        }
    }

    /// Returns the connected members while messages wait for them.
    pub(crate) fn come(&self) -> impl Iterator<Item = Arc<ClientSession>> {
        let members = self.members.iter();
        let there = members.filter(|member| member.options.qos > 0 && member.session.is_present());
        there.map(|member| Arc::clone(&member.session))
    }
}

impl SharedQueue {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<PublishedMessage>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lock order: after the queue.
    fn held(&self) -> MutexGuard<'_, Option<HeldBytes>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Appends a message.
    pub(crate) fn push(&self, message: &Arc<PublishedMessage>) -> EnqueueResult {
        self.put(message, VecDeque::push_back)
    }

    /// Prepends a message that was already on its way.
    pub(crate) fn put_back(&self, message: &Arc<PublishedMessage>) -> EnqueueResult {
        self.put(message, VecDeque::push_front)
    }

    fn put(
        &self,
        message: &Arc<PublishedMessage>,
        how: impl FnOnce(&mut VecDeque<Arc<PublishedMessage>>, Arc<PublishedMessage>),
    ) -> EnqueueResult {
        let mut queue = self.queue();
        if queue.len() >= self.bound {
            return EnqueueResult::Full("queued-per-group");
        }
        let entries = queue.len() + 1;
        let fits = self
            .held()
            .get_or_insert_with(|| HeldBytes::none(&self.holdings))
            .reach(entries);
        if !fits || !message.weigh(&self.holdings) {
            return EnqueueResult::Full("queued-bytes");
        }
        how(&mut queue, Arc::clone(message));
        self.count.store(queue.len(), Ordering::SeqCst);
        EnqueueResult::Taken
    }

    fn pop(&self) -> Option<Arc<PublishedMessage>> {
        let mut queue = self.queue();
        let message = queue.pop_front();
        if queue.is_empty() {
            *queue = VecDeque::new();
            *self.held() = None;
        }
        self.count.store(queue.len(), Ordering::SeqCst);
        message
    }

    fn clear(&self) {
        let mut queue = self.queue();
        *queue = VecDeque::new();
        *self.held() = None;
        self.count.store(0, Ordering::SeqCst);
    }
}

impl SharedMember {
    pub(crate) fn new(
        waiting: Arc<SharedQueue>,
        options: SubscriptionOptions,
        per_second: Option<u32>,
    ) -> Self {
        Self {
            waiting,
            options,
            pace: WindowCounter::new(per_second),
        }
    }

    pub(crate) fn is_of(&self, waiting: &Arc<SharedQueue>) -> bool {
        Arc::ptr_eq(&self.waiting, waiting)
    }

    /// Returns `true` where a message waits for this member.
    pub(crate) fn has_some(&self) -> bool {
        self.options.qos > 0 && !self.waiting.is_empty()
    }

    /// Takes one message from the queue, if the rate limit allows it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<SubscriberDelivery> {
        if !self.has_some() || self.pace.left(now) == 0 {
            return None;
        }
        let message = self.waiting.pop()?;
        self.pace.take(now, 1);
        Some(SubscriberDelivery::shared(
            message,
            self.options,
            &self.waiting,
        ))
    }

    /// Returns the time of the next attempt, where messages wait.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Instant> {
        self.has_some().then(|| self.pace.next(now)).flatten()
    }
}

/// Work on groups that is deferred until no lock is held.
#[derive(Default)]
pub(super) struct DeferredDeliveries {
    /// Number of groups that queued the message.
    pub(super) kept: usize,
    /// Members that connected while a message was put into a queue.
    come: Vec<Arc<ClientSession>>,
    /// Messages that did not fit, with the queue's filter and the limit that was reached.
    full: Vec<(Arc<str>, Arc<PublishedMessage>, &'static str)>,
}

impl SessionHub {
    /// Adds a session to a group, or changes its options.
    pub(super) fn share(
        &self,
        state: &mut SessionState,
        group: &SharedSubscription,
        options: SubscriptionOptions,
    ) {
        let waiting = group.waiting();
        let shares = &mut state.shares;
        match shares.iter_mut().find(|share| share.is_of(waiting)) {
            Some(share) => share.options = options,
            None => shares.push(SharedMember::new(
                Arc::clone(waiting),
                options,
                self.limits.stored_per_second_shared,
            )),
        }
    }

    /// Queues a message for a group without a connected member.
    pub(super) fn keep(
        &self,
        group: &SharedSubscription,
        message: &Arc<PublishedMessage>,
        late: &mut DeferredDeliveries,
    ) {
        let may = message.qos > 0 && group.keeps() && self.account.queued.take(Instant::now());
        if may && self.put(group, message, late, SharedQueue::push) {
            count(&self.counters.stored);
            late.kept += 1;
        }
    }

    fn put(
        &self,
        group: &SharedSubscription,
        message: &Arc<PublishedMessage>,
        late: &mut DeferredDeliveries,
        how: fn(&SharedQueue, &Arc<PublishedMessage>) -> EnqueueResult,
    ) -> bool {
        let offer = how(group.waiting(), message);
        if let EnqueueResult::Full(limit) = offer {
            let filter = Arc::clone(&group.waiting().filter);
            late.full.push((filter, Arc::clone(message), limit));
        }
        late.come.extend(group.come());
        offer == EnqueueResult::Taken
    }

    pub(super) fn after(&self, late: DeferredDeliveries) {
        for session in late.come {
            session.wake();
        }
        for (filter, message, limit) in late.full {
            count(&self.counters.dropped);
            self.tell_full(&filter, &message, limit);
        }
    }

    /// Hands the undelivered messages of a group's member to another member, or queues them.
    pub(crate) fn hand_on(&self, shared: Vec<SubscriberDelivery>) {
        if shared.is_empty() {
            return;
        }
        let mut late = DeferredDeliveries::default();
        let mut handed = Vec::new();
        let trie = self.read();
        // In reverse order, since each waiting message is prepended.
        for delivery in shared.into_iter().rev() {
            let group = delivery.group.as_ref().and_then(|waiting| {
                let (name, matched) = parts(&waiting.filter);
                trie.get(matched)?.groups.get(name?)
            });
            let Some(group) = group else {
                // The group has no members any more.
                count(&self.counters.dropped);
                continue;
            };
            match group.pick() {
                Some(member) => {
                    let waiting = group.waiting();
                    let delivery =
                        SubscriberDelivery::shared(delivery.message, member.options, waiting);
                    handed.push((Arc::clone(&member.session), delivery));
                }
                None if group.keeps() => {
                    self.put(group, &delivery.message, &mut late, SharedQueue::put_back);
                }
                None => count(&self.counters.dropped),
            }
        }
        drop(trie);
        for (session, delivery) in handed.into_iter().rev() {
            self.hand(&session, delivery);
        }
        self.after(late);
    }
}

#[cfg(test)]
mod tests;
