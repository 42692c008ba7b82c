//! Session of one client: its subscriptions, its outgoing messages, and its current connection.
//!
//! A session that outlives its connection is the same object before and after. Its state is behind
//! one lock that is held for single steps only; a connection and a routing publisher meet nowhere
//! else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::SystemTime;

use tokio::sync::SetOnce;
use tokio::time::Instant;

use super::group::SharedMember;
use super::message::{PublishedMessage, SubscriberDelivery};
use super::outbox::{EnqueueResult, NextOutgoing, OutgoingQueue};
use crate::dev::broker::connection::ending::DisconnectReason;
use crate::dev::broker::observe::ClientRights;
use crate::port::ClientAccess;

/// Session Expiry Interval of a session that never expires.
pub(crate) const FOR_EVER: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct ClientSession {
    /// Number of the session, which is never reused, unlike client ids.
    pub(crate) number: u64,
    pub(crate) client_id: Arc<str>,
    /// AWS has separate sessions for MQTT 3 and 5.
    pub(crate) is_v5: bool,
    /// `true` while the session has a connection; readable without the lock.
    present: AtomicBool,
    state: Mutex<SessionState>,
}

#[derive(Debug)]
pub(crate) struct SessionState {
    pub(crate) outbox: OutgoingQueue,
    pub(crate) subscriptions: BTreeMap<Arc<str>, SubscriptionOptions>,
    /// Memberships in shared subscriptions: few clients have any.
    pub(crate) shares: Vec<SharedMember>,
    /// The connection, if there is one.
    pub(crate) link: Option<Arc<ConnectionHandle>>,
    /// Waker of the connection's task, while it has nothing to do.
    pub(crate) waker: Option<Waker>,
    /// Session Expiry Interval, in seconds.
    pub(crate) expiry: u32,
    /// Time since which the session has no connection.
    pub(crate) away_since: Option<Instant>,
    pub(crate) will: Option<SessionWill>,
    /// `true` for a session that has ended.
    pub(crate) is_over: bool,
}

/// Options of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionOptions {
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifier; 0 for none.
    pub(crate) subscription_id: u32,
}

/// Will message of a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionWill {
    pub(crate) message: Arc<PublishedMessage>,
    /// Message Expiry Interval, in seconds; it begins with the publication.
    pub(crate) expiry: Option<u32>,
    /// Will Delay Interval, in seconds.
    pub(crate) delay: u32,
}

/// Handle of a session's connection, for other tasks.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    /// Session identifier of life-cycle events: one for each connection.
    pub(crate) id: Box<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) source: SocketAddr,
    pub(crate) is_clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) since: SystemTime,
    rights: Mutex<ClientRights>,
    /// Request to ask the authorizer again, since something has changed.
    asks: AtomicBool,
    end: OnceLock<DisconnectReason>,
    left: SetOnce<()>,
}

impl ConnectionHandle {
    pub(crate) fn new(
        id: Box<str>,
        principal: Arc<str>,
        rights: ClientRights,
        source: SocketAddr,
        is_clean: bool,
        keep_alive: u16,
    ) -> Self {
        Self {
            id,
            principal,
            source,
            is_clean,
            keep_alive,
            since: SystemTime::now(),
            rights: Mutex::new(rights),
            asks: AtomicBool::new(false),
            end: OnceLock::new(),
            left: SetOnce::new(),
        }
    }

    /// Returns the client's current rights.
    pub(crate) fn rights(&self) -> ClientRights {
        self.rights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the client's permissions from now on.
    pub(crate) fn renew(&self, access: Arc<dyn ClientAccess>) {
        self.rights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .access = access;
    }

    /// Requests that the connection's task asks the authorizer again.
    pub(crate) fn ask(&self) {
        self.asks.store(true, Ordering::Release);
    }

    /// Takes the request for a new authorization; `true` where there is one.
    pub(crate) fn take_ask(&self) -> bool {
        self.asks.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_to_ask(&self) -> bool {
        self.asks.load(Ordering::Acquire)
    }

    /// Records that the connection's task has finished its work for the session.
    pub(crate) fn leave(&self) {
        let _ = self.left.set(());
    }

    /// Waits until the connection has left its session.
    pub(crate) async fn left(&self) {
        self.left.wait().await;
    }

    /// Requests that the connection's task ends, with a reason; the first request wins.
    pub(crate) fn end(&self, ending: DisconnectReason) {
        let _ = self.end.set(ending);
    }

    /// Returns the reason why the connection is to end, once there is one.
    pub(crate) fn ending(&self) -> Option<&DisconnectReason> {
        self.end.get()
    }
}

/// Result of handing a message to a session.
#[derive(Debug)]
pub(crate) enum DeliveryResult {
    /// The message is being sent, or waits for its client.
    Taken,
    /// The queue has no room; the value names the limit.
    Full(&'static str),
    /// The client is disconnected, and the message is not stored here.
    Away(SubscriberDelivery),
}

impl SessionState {
    /// Returns `true` where there is nothing to send now.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.outbox.is_idle(now) && !self.shares.iter().any(SharedMember::has_some)
    }

    /// Returns the next item to send now: first from its groups, at their rate, then from its own
    /// queue.
    pub(crate) fn next(&mut self, now: Instant) -> NextOutgoing {
        let mut at = None;
        if self.outbox.has_room_in_flight() {
            for share in &mut self.shares {
                if let Some(delivery) = share.take(now) {
                    return self.outbox.send(delivery, now);
                }
                at = at.into_iter().chain(share.next(now)).min();
            }
        }
        match (self.outbox.next(now), at) {
            (NextOutgoing::At(own), Some(at)) => NextOutgoing::At(own.min(at)),
            (NextOutgoing::Nothing, Some(at)) => NextOutgoing::At(at),
            (next, _) => next,
        }
    }

    /// Stores the waker of the connection's task.
    pub(crate) fn listen(&mut self, waker: &Waker) {
        let known = self.waker.as_ref();
        if !known.is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }
}

impl ClientSession {
    pub(crate) fn new(
        number: u64,
        client_id: Arc<str>,
        is_v5: bool,
        outbox: OutgoingQueue,
    ) -> Self {
        Self {
            number,
            client_id,
            is_v5,
            present: AtomicBool::new(false),
            state: Mutex::new(SessionState {
                outbox,
                subscriptions: BTreeMap::new(),
                shares: Vec::new(),
                link: None,
                waker: None,
                expiry: 0,
                away_since: None,
                will: None,
                is_over: false,
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_present(&self) -> bool {
        // The order relative to a group's queue matters: see `group`.
        self.present.load(Ordering::SeqCst)
    }

    pub(crate) fn set_present(&self, present: bool) {
        self.present.store(present, Ordering::SeqCst);
    }

    /// Hands a message over. `may_store` is called before a message is stored for a disconnected
    /// client; a group's message is never stored.
    pub(crate) fn hand(
        &self,
        delivery: SubscriberDelivery,
        may_store: impl FnOnce() -> bool,
    ) -> DeliveryResult {
        let mut state = self.state();
        if state.is_over {
            return DeliveryResult::Away(delivery);
        }
        let offer = if state.link.is_some() {
            state.outbox.offer(delivery)
        } else if delivery.qos > 0 && delivery.group.is_none() && may_store() {
            state.outbox.store(delivery)
        } else {
            return DeliveryResult::Away(delivery);
        };
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        match offer {
            EnqueueResult::Taken => DeliveryResult::Taken,
            EnqueueResult::Full(limit) => DeliveryResult::Full(limit),
        }
    }

    /// Wakes the connection's task, if it sleeps.
    pub(crate) fn wake(&self) {
        let waker = self.state().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
