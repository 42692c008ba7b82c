//! One client's session: its subscriptions, what waits for it, and the connection that it has at the moment.
//!
//! A session that outlives its connection is the same object before and after. Its state is behind one lock that is held for
//! single steps only; a connection and a routing publisher meet here and nowhere else.

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
use crate::port::Access;

/// Never: a session that does not expire.
pub(crate) const FOR_EVER: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct ClientSession {
    /// Unlike client ids, never used again.
    pub(crate) number: u64,
    pub(crate) client_id: Arc<str>,
    /// AWS keeps sessions of MQTT 3 and 5 apart.
    pub(crate) is_v5: bool,
    /// Whether it has a connection, for who does not want the lock.
    present: AtomicBool,
    state: Mutex<SessionState>,
}

#[derive(Debug)]
pub(crate) struct SessionState {
    pub(crate) outbox: OutgoingQueue,
    pub(crate) subscriptions: BTreeMap<Arc<str>, SubscriptionOptions>,
    /// Those of its subscriptions that are shared: few clients have any.
    pub(crate) shares: Vec<SharedMember>,
    /// The connection, while there is one.
    pub(crate) link: Option<Arc<ConnectionHandle>>,
    /// The connection's task, while it has nothing to do.
    pub(crate) waker: Option<Waker>,
    /// How long the session outlives its connection, in seconds.
    pub(crate) expiry: u32,
    /// Since when it has no connection.
    pub(crate) away_since: Option<Instant>,
    pub(crate) will: Option<SessionWill>,
    /// Nobody will ever come for it.
    pub(crate) is_over: bool,
}

/// A subscription's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionOptions {
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0 for none.
    pub(crate) subscription_id: u32,
}

/// What is published when the client is lost.
#[derive(Clone, Debug)]
pub(crate) struct SessionWill {
    pub(crate) message: Arc<PublishedMessage>,
    /// The message's expiry, which begins when it is published; in seconds.
    pub(crate) expiry: Option<u32>,
    /// How long after the loss, in seconds.
    pub(crate) delay: u32,
}

/// One connection of a session, as others see it.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    /// What life-cycle events call the session identifier: one for each connection.
    pub(crate) id: Box<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) source: SocketAddr,
    pub(crate) is_clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) since: SystemTime,
    rights: Mutex<ClientRights>,
    /// Whether the authorizer is to be asked again, since something has changed.
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

    /// What the client may do now.
    pub(crate) fn rights(&self) -> ClientRights {
        self.rights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The client may do something else from now on.
    pub(crate) fn renew(&self, access: Arc<dyn Access>) {
        self.rights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .access = access;
    }

    /// Tells the connection's task to ask the authorizer again.
    pub(crate) fn ask(&self) {
        self.asks.store(true, Ordering::Release);
    }

    /// Whether it is to ask, and has not been told so before.
    pub(crate) fn take_ask(&self) -> bool {
        self.asks.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_to_ask(&self) -> bool {
        self.asks.load(Ordering::Acquire)
    }

    /// The connection's task has done all that it had to do for its session.
    pub(crate) fn leave(&self) {
        let _ = self.left.set(());
    }

    /// Waits until the connection has left its session.
    pub(crate) async fn left(&self) {
        self.left.wait().await;
    }

    /// Tells the connection's task to end, and why; the first one to say so is heard.
    pub(crate) fn end(&self, ending: DisconnectReason) {
        let _ = self.end.set(ending);
    }

    /// Why it is to end, once it is.
    pub(crate) fn ending(&self) -> Option<&DisconnectReason> {
        self.end.get()
    }
}

/// What became of a message that was handed to a session.
#[derive(Debug)]
pub(crate) enum DeliveryResult {
    /// It is on its way, or waits for its client to come back.
    Taken,
    /// There was no room: the limit by its name.
    Full(&'static str),
    /// The client is away, and the message is not kept here.
    Away(SubscriberDelivery),
}

impl SessionState {
    /// Whether nothing is to be sent now.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.outbox.is_idle(now) && !self.shares.iter().any(SharedMember::has_some)
    }

    /// What is to be sent now: what waits for its groups, which comes at a pace, and what waits for itself.
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

    /// Remembers whom to wake.
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
        // Ordered with what waits for groups: see there.
        self.present.load(Ordering::SeqCst)
    }

    pub(crate) fn set_present(&self, present: bool) {
        self.present.store(present, Ordering::SeqCst);
    }

    /// Hands a message over. `may_store` is asked before it is kept for a client that is away; what is for a group never is.
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
