//! A shared subscription: each message goes to one member.
//!
//! While no member is there, messages of QoS 1 wait for the group, in one queue, and go to whichever member comes first; members that
//! are there together each take from it at their own pace. AWS IoT Core has such a queue (its quota is "queued messages per
//! shared-subscription group"); what becomes of messages that a member had and did not acknowledge it does not say. Here they go
//! to another member as soon as the first one is gone, which MQTT allows (5.0, section 4.8.2).
//!
//! Who puts something into the queue looks afterwards whether a member has come, and who comes looks into the queue afterwards, both
//! in one order for all threads: one of them sees the other.

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

/// Who has subscribed to one filter under one name.
#[derive(Debug)]
pub(crate) struct SharedSubscription {
    members: Vec<SubscriberEntry>,
    /// Whose turn is next, if it is there.
    turn: AtomicUsize,
    waiting: Arc<SharedQueue>,
}

/// What waits for a group.
#[derive(Debug)]
pub(crate) struct SharedQueue {
    /// As its members named it, with its name before the filter.
    pub(crate) filter: Arc<str>,
    queue: Mutex<VecDeque<Arc<PublishedMessage>>>,
    /// How many there are, for who does not want the lock.
    count: AtomicUsize,
    bound: usize,
    holdings: Arc<QueuedBytes>,
    /// The bytes of its entries.
    held: Mutex<Option<HeldBytes>>,
}

/// A session's part in a group.
#[derive(Debug)]
pub(crate) struct SharedMember {
    pub(crate) waiting: Arc<SharedQueue>,
    pub(crate) options: SubscriptionOptions,
    /// How fast it takes what waits.
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

    /// Whose turn it is, of those that are there.
    pub(crate) fn pick(&self) -> Option<&SubscriberEntry> {
        let turn = self.turn.load(Ordering::Relaxed);
        let start = turn.checked_rem(self.members.len())?;
        let members = self.members.iter().enumerate();
        let mut in_turn = members.cycle().skip(start).take(self.members.len());
        let (at, member) = in_turn.find(|(_, member)| member.session.is_present())?;
        // Publishers that come at the same time may choose the same one.
        self.turn.store(at + 1, Ordering::Relaxed);
        Some(member)
    }

    /// Whether anything is kept for it: for members whose subscription has QoS 1. Who is away has a session that is kept.
    pub(crate) fn keeps(&self) -> bool {
        self.members.iter().any(|member| member.options.qos > 0)
    }

    /// Members have changed: without one that is to get it, nothing waits.
    pub(crate) fn tend(&self) {
        if !self.keeps() {
            self.waiting.clear();
        }
    }

    /// Those that have come, for whom something waits now.
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

    /// Locked after the queue.
    fn held(&self) -> MutexGuard<'_, Option<HeldBytes>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Behind all others.
    pub(crate) fn push(&self, message: &Arc<PublishedMessage>) -> EnqueueResult {
        self.put(message, VecDeque::push_back)
    }

    /// Before all others: it was on its way already.
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

    /// Whether something waits that this member is to get.
    pub(crate) fn has_some(&self) -> bool {
        self.options.qos > 0 && !self.waiting.is_empty()
    }

    /// Takes one of what waits, if its time has come.
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

    /// When to look again, where something waits.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Instant> {
        self.has_some().then(|| self.pace.next(now)).flatten()
    }
}

/// What is to be done about groups once no lock is held.
#[derive(Default)]
pub(super) struct DeferredDeliveries {
    /// How many keep the message.
    pub(super) kept: usize,
    /// Who has come while something was put into a queue.
    come: Vec<Arc<ClientSession>>,
    /// What had no room, whose queue had none, and by which limit.
    full: Vec<(Arc<str>, Arc<PublishedMessage>, &'static str)>,
}

impl SessionHub {
    /// A session has its part in a group.
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

    /// Keeps a message for a group without a member that is there.
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

    /// What a member of a group was to get, and will not, goes to another one, or waits for one.
    pub(crate) fn hand_on(&self, shared: Vec<SubscriberDelivery>) {
        if shared.is_empty() {
            return;
        }
        let mut late = DeferredDeliveries::default();
        let mut handed = Vec::new();
        let trie = self.read();
        // From the end on, as each that waits is put before all others.
        for delivery in shared.into_iter().rev() {
            let group = delivery.group.as_ref().and_then(|waiting| {
                let (name, matched) = parts(&waiting.filter);
                trie.get(matched)?.groups.get(name?)
            });
            let Some(group) = group else {
                // Its last member is gone.
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
