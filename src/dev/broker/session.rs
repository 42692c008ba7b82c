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

use tokio::time::Instant;

use super::ending::Ending;
use super::message::{Delivery, Message};
use super::outbox::{Offer, Outbox};

/// Never: a session that does not expire.
pub(super) const FOR_EVER: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Session {
    /// Unlike client ids, never used again.
    pub(super) number: u64,
    pub(super) client_id: Arc<str>,
    /// AWS keeps sessions of MQTT 3 and 5 apart.
    pub(super) is_v5: bool,
    /// Whether it has a connection, for who does not want the lock.
    present: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) outbox: Outbox,
    pub(super) subscriptions: BTreeMap<Arc<str>, Options>,
    /// The connection, while there is one.
    pub(super) link: Option<Arc<Link>>,
    /// The connection's task, while it has nothing to do.
    pub(super) waker: Option<Waker>,
    /// How long the session outlives its connection, in seconds.
    pub(super) expiry: u32,
    /// Since when it has no connection.
    pub(super) away_since: Option<Instant>,
    pub(super) will: Option<Will>,
    /// Nobody will ever come for it.
    pub(super) is_over: bool,
}

/// A subscription's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    /// 0 for none.
    pub(super) subscription_id: u32,
}

/// What is published when the client is lost.
#[derive(Clone, Debug)]
pub(super) struct Will {
    pub(super) message: Arc<Message>,
    /// The message's expiry, which begins when it is published; in seconds.
    pub(super) expiry: Option<u32>,
    /// How long after the loss, in seconds.
    pub(super) delay: u32,
}

/// One connection of a session, as others see it.
#[derive(Debug)]
pub(super) struct Link {
    /// What life-cycle events call the session identifier: one for each connection.
    pub(super) id: Box<str>,
    pub(super) principal: Arc<str>,
    pub(super) source: SocketAddr,
    pub(super) is_clean: bool,
    pub(super) keep_alive: u16,
    pub(super) since: SystemTime,
    end: OnceLock<Ending>,
}

impl Link {
    pub(super) fn new(
        id: Box<str>,
        principal: Arc<str>,
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
            end: OnceLock::new(),
        }
    }

    /// Tells the connection's task to end, and why; the first one to say so is heard.
    pub(super) fn end(&self, ending: Ending) {
        let _ = self.end.set(ending);
    }

    /// Why it is to end, once it is.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.end.get()
    }
}

/// What became of a message that was handed to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// It is on its way, or waits for its client to come back.
    Taken,
    /// There was no room.
    Full,
    /// The client is away, and the message is not kept.
    Away,
}

impl Session {
    pub(super) fn new(number: u64, client_id: Arc<str>, is_v5: bool, outbox: Outbox) -> Self {
        Self {
            number,
            client_id,
            is_v5,
            present: AtomicBool::new(false),
            state: Mutex::new(State {
                outbox,
                subscriptions: BTreeMap::new(),
                link: None,
                waker: None,
                expiry: 0,
                away_since: None,
                will: None,
                is_over: false,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_present(&self) -> bool {
        self.present.load(Ordering::Relaxed)
    }

    pub(super) fn set_present(&self, present: bool) {
        self.present.store(present, Ordering::Relaxed);
    }

    /// Hands a message over. `may_store` is asked before it is kept for a client that is away.
    pub(super) fn hand(&self, delivery: Delivery, may_store: impl FnOnce() -> bool) -> Handed {
        let mut state = self.state();
        if state.is_over {
            return Handed::Away;
        }
        let offer = if state.link.is_some() {
            state.outbox.offer(delivery)
        } else if delivery.qos > 0 && may_store() {
            state.outbox.store(delivery)
        } else {
            return Handed::Away;
        };
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        match offer {
            Offer::Taken => Handed::Taken,
            Offer::Full => Handed::Full,
        }
    }

    /// Wakes the connection's task, if it sleeps.
    pub(super) fn wake(&self) {
        let waker = self.state().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
