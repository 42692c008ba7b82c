//! Session hub of the broker: the table of sessions, connects and disconnects, and sessions without
//! a connection.
//!
//! Lock order: the table of sessions, one session's state, the trie. No message is published and no
//! observer is notified while one of them is held.

mod calls;
pub(crate) mod group;
pub(crate) mod holdings;
mod ledger;
mod lifecycle;
pub(crate) mod message;
pub(crate) mod outbox;
pub(crate) mod rate;
mod retained;
pub(crate) mod routing;
pub(crate) mod session;
pub(crate) mod stir;
mod takeover;
pub(crate) mod timers;
mod trie;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use self::calls::ApiRateLimits;
use self::holdings::QueuedBytes;
use self::ledger::ClientHistory;
use self::message::SubscriberDelivery;
use self::outbox::OutgoingQueue;
use self::rate::SharedRate;
use self::retained::RetainedStore;
use self::routing::FilterSubscribers;
use self::session::{ClientSession, ConnectionHandle, FOR_EVER, SessionState, SessionWill};
use self::stir::Stir;
use self::timers::SessionTimers;
use self::trie::TopicTree;
use crate::dev::broker::connection::ending::DisconnectReason;
use crate::dev::broker::limits::{BrokerLimits, BrokerRules};
use crate::dev::broker::notices::BrokerNotices;
use crate::dev::broker::observe::{BrokerCounters, BrokerEvent, BrokerObservation, count, uncount};
use crate::dev::faults::PlannedFaults;
use crate::dev::observers::Observers;

#[derive(Debug)]
pub(crate) struct SessionHub {
    pub(crate) limits: BrokerLimits,
    pub(crate) rules: BrokerRules,
    pub(crate) observers: Observers<BrokerObservation>,
    pub(crate) counters: BrokerCounters,
    pub(crate) notices: BrokerNotices,
    pub(crate) faults: PlannedFaults,
    pub(crate) account: AccountRates,
    pub(crate) calls: ApiRateLimits,
    pub(crate) timers: SessionTimers,
    pub(crate) stir: Stir,
    pub(crate) trie: RwLock<TopicTree<FilterSubscribers>>,
    pub(crate) holdings: Arc<QueuedBytes>,
    retained: Mutex<RetainedStore>,
    ledger: Mutex<ClientHistory>,
    /// Number of subscriptions to life-cycle events: with none, no events are created.
    pub(crate) event_subscriptions: AtomicUsize,
    sessions: Mutex<SessionTable>,
    numbers: AtomicU64,
}

type SessionTable = FxHashMap<Arc<str>, Arc<ClientSession>>;

/// Rates of all connections together.
#[derive(Debug)]
pub(crate) struct AccountRates {
    pub(crate) publishes_in: SharedRate,
    pub(crate) publishes_out: SharedRate,
    pub(crate) connects: SharedRate,
    pub(crate) subscribes: SharedRate,
    pub(crate) queued: SharedRate,
    pub(crate) retained: SharedRate,
}

/// Client whose CONNECT was accepted.
pub(crate) struct AcceptedConnect {
    pub(crate) client_id: Arc<str>,
    pub(crate) is_v5: bool,
    /// `true` where an earlier session is discarded.
    pub(crate) clean: bool,
    /// Session Expiry Interval, in seconds.
    pub(crate) expiry: u32,
    /// Receive Maximum of the client: messages of QoS 1 in flight at once.
    pub(crate) window: u16,
    pub(crate) will: Option<SessionWill>,
    pub(crate) link: Arc<ConnectionHandle>,
}

/// Effects that are deferred until no lock is held.
#[derive(Default)]
struct DeferredEffects {
    wills: Vec<SessionWill>,
    /// Messages for other members of the session's groups.
    shared: Vec<SubscriberDelivery>,
    /// The connection that was taken over.
    taken: Option<Arc<ConnectionHandle>>,
}

impl SessionHub {
    pub(crate) fn new(limits: BrokerLimits, rules: BrokerRules) -> Self {
        Self {
            account: AccountRates {
                publishes_in: SharedRate::new(limits.account_publishes_in),
                publishes_out: SharedRate::new(limits.account_publishes_out),
                connects: SharedRate::new(limits.account_connects),
                subscribes: SharedRate::new(limits.account_subscribes),
                queued: SharedRate::new(limits.account_queued),
                retained: SharedRate::new(limits.account_retained),
            },
            calls: ApiRateLimits::new(&limits),
            observers: Observers::default(),
            counters: BrokerCounters::default(),
            notices: BrokerNotices::default(),
            faults: PlannedFaults::default(),
            timers: SessionTimers::default(),
            stir: Stir::default(),
            trie: RwLock::default(),
            holdings: Arc::new(QueuedBytes::new(limits.queued_bytes)),
            retained: Mutex::new(RetainedStore::new(
                limits.retained_per_second_per_topic,
                limits.retained_bytes,
            )),
            ledger: Mutex::new(ClientHistory::new(limits.connects_per_second_per_client_id)),
            event_subscriptions: AtomicUsize::new(0),
            sessions: Mutex::default(),
            // Zero means the broker itself.
            numbers: AtomicU64::new(1),
            limits,
            rules,
        }
    }

    fn sessions(&self) -> MutexGuard<'_, SessionTable> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn retained(&self) -> MutexGuard<'_, RetainedStore> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, ClientHistory> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the session of a client id.
    pub(crate) fn session(&self, client_id: &str) -> Option<Arc<ClientSession>> {
        self.sessions().get(client_id).map(Arc::clone)
    }

    /// Returns the client ids that have a session, unsorted.
    pub(crate) fn client_ids(&self) -> Vec<Arc<str>> {
        self.sessions().keys().map(Arc::clone).collect()
    }

    /// Begins a connection: takes over the session of its client id, or creates one. Also returns
    /// `true` where an earlier session is resumed.
    pub(crate) fn arrive(&self, arrival: AcceptedConnect) -> (Arc<ClientSession>, bool) {
        self.stir.stir(Instant::now());
        let mut aftermath = DeferredEffects::default();
        let client_id = Arc::clone(&arrival.client_id);
        let link = Arc::clone(&arrival.link);
        let (session, resumed) = self.seat(arrival, &mut aftermath);
        count(&self.counters.connections);
        count(&self.counters.connected);
        if let Some(taken) = &aftermath.taken {
            uncount(&self.counters.connections, 1);
            self.gone(&client_id, taken, &DisconnectReason::TakenOver);
        }
        self.hand_on(aftermath.shared);
        for will in aftermath.wills {
            self.publish_will(&will);
        }
        self.tell_connected(&session, &link, resumed);
        (session, resumed)
    }

    fn seat(
        &self,
        arrival: AcceptedConnect,
        aftermath: &mut DeferredEffects,
    ) -> (Arc<ClientSession>, bool) {
        let mut sessions = self.sessions();
        let earlier = sessions.get(&arrival.client_id).map(Arc::clone);
        if let Some(session) = earlier {
            let mut state = session.state();
            aftermath.taken = state.link.take();
            if let Some(link) = &aftermath.taken {
                link.end(DisconnectReason::TakenOver);
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            }
            let kept = aftermath.taken.is_none() || state.expiry > 0;
            let resumes = !arrival.clean && kept && session.is_v5 == arrival.is_v5;
            if let Some(will) = state.will.take() {
                // A delayed will is dropped when its client resumes its session in time.
                if !resumes || (aftermath.taken.is_some() && will.delay == 0) {
                    aftermath.wills.push(will);
                }
            }
            if resumes {
                aftermath.shared = state.outbox.close();
                occupy(&session, &mut state, arrival);
                drop(state);
                return (session, true);
            }
            aftermath.shared = self.finish(&session, &mut state);
        }
        let outbox = OutgoingQueue::new(
            self.limits.queued_per_session,
            self.limits.stored_per_second,
            self.limits.resend,
        )
        .keeping_ids(self.rules.original_ids)
        .within(self.limits.queued_bytes_per_session, &self.holdings);
        let session = Arc::new(ClientSession::new(
            self.numbers.fetch_add(1, Ordering::Relaxed),
            Arc::clone(&arrival.client_id),
            arrival.is_v5,
            outbox,
        ));
        sessions.insert(Arc::clone(&arrival.client_id), Arc::clone(&session));
        count(&self.counters.sessions);
        occupy(&session, &mut session.state(), arrival);
        (session, false)
    }

    /// Ends a connection. `expiry` is the latest Session Expiry Interval of its client.
    pub(crate) fn leave(
        &self,
        session: &Arc<ClientSession>,
        link: &Arc<ConnectionHandle>,
        ending: &DisconnectReason,
        expiry: Option<u32>,
    ) {
        let mut will = None;
        let shared;
        {
            let mut sessions = self.sessions();
            let mut state = session.state();
            let is_mine = state
                .link
                .as_ref()
                .is_some_and(|other| Arc::ptr_eq(other, link));
            // The connection that took over has reported it.
            if !is_mine {
                return;
            }
            state.link = None;
            state.waker = None;
            session.set_present(false);
            state.away_since = Some(Instant::now());
            if let Some(expiry) = expiry {
                state.expiry = expiry;
            }
            if !ending.publishes_will() {
                state.will = None;
            }
            let delay = state.will.as_ref().map(|will| will.delay);
            if delay.is_some_and(|delay| delay == 0 || state.expiry == 0) {
                will = state.will.take();
            }
            if state.expiry == 0 {
                shared = self.finish(session, &mut state);
                forget(&mut sessions, session);
            } else {
                shared = state.outbox.close();
                self.set_timer(session, &state);
            }
        }
        uncount(&self.counters.connections, 1);
        self.gone(&session.client_id, link, ending);
        self.hand_on(shared);
        if let Some(will) = will {
            self.publish_will(&will);
        }
    }

    /// Records the refusal of a client. The client id is empty where it is unknown.
    pub(crate) fn turn_away(&self, client_id: &Arc<str>, source: SocketAddr, why: &str) {
        count(&self.counters.refused);
        self.observers
            .tell(client_id, || BrokerEvent::Refused { why: why.into() });
        let source = source.to_string();
        self.notices
            .refused(client_id, &source, why, Instant::now());
    }

    /// Runs the timer of a session: publishes its will, or ends it, where that is due.
    pub(crate) fn look_after(&self, session: &Arc<ClientSession>) {
        let mut will = None;
        {
            let mut sessions = self.sessions();
            let mut state = session.state();
            let Some(away_since) = state.away_since.filter(|_| !state.is_over) else {
                return;
            };
            let now = Instant::now();
            let is_over = ends(&state, away_since).is_some_and(|end| end <= now);
            let delay = state.will.as_ref().map(|will| seconds(will.delay));
            if delay.is_some_and(|delay| is_over || away_since + delay <= now) {
                will = state.will.take();
            }
            if is_over {
                // A disconnected client holds no messages of its groups.
                self.finish(session, &mut state);
                forget(&mut sessions, session);
            } else {
                self.set_timer(session, &state);
            }
        }
        if let Some(will) = will {
            self.publish_will(&will);
        }
    }

    fn set_timer(&self, session: &Arc<ClientSession>, state: &SessionState) {
        let Some(away_since) = state.away_since else {
            return;
        };
        let will = state.will.as_ref();
        let will = will.map(|will| away_since + seconds(will.delay));
        let next = [will, ends(state, away_since)].into_iter().flatten().min();
        if let Some(next) = next {
            self.timers.set(next, session);
        }
    }

    /// Ends a session: it has no subscriptions and no waiting messages any more. Returns the
    /// deliveries for its groups.
    fn finish(
        &self,
        session: &Arc<ClientSession>,
        state: &mut SessionState,
    ) -> Vec<SubscriberDelivery> {
        state.is_over = true;
        session.set_present(false);
        let subscriptions = std::mem::take(&mut state.subscriptions);
        for filter in subscriptions.into_keys() {
            self.remove(session, &filter);
        }
        state.shares = Vec::new();
        let shared = state.outbox.close();
        state.outbox = OutgoingQueue::new(0, None, None);
        uncount(&self.counters.sessions, 1);
        shared
    }

    /// Returns all sessions, without blocking connects and disconnects.
    pub(crate) fn all_sessions(&self) -> Vec<Arc<ClientSession>> {
        self.sessions().values().map(Arc::clone).collect()
    }

    /// Ends all connections.
    pub(crate) fn end_all(&self, ending: &DisconnectReason) {
        for session in self.all_sessions() {
            let link = session.state().link.clone();
            if let Some(link) = link {
                link.end(ending.clone());
                session.wake();
            }
        }
    }

    fn gone(&self, client_id: &Arc<str>, link: &ConnectionHandle, ending: &DisconnectReason) {
        let now = Instant::now();
        self.ledger().ended(client_id, now, ending);
        if ending.is_remarkable() {
            self.notices
                .closed(client_id, ending.word(), ending.why(), now);
        }
        self.observers
            .tell(client_id, || BrokerEvent::Disconnected {
                reason: ending.word(),
                why: ending.why().into(),
            });
        self.tell_disconnected(client_id, link, ending);
    }
}

/// Attaches a connection to a session.
fn occupy(session: &ClientSession, state: &mut SessionState, arrival: AcceptedConnect) {
    state.outbox.open(arrival.window);
    state.link = Some(arrival.link);
    state.expiry = arrival.expiry;
    state.will = arrival.will;
    state.away_since = None;
    session.set_present(true);
}

/// Removes a session from the table, unless another session has replaced it.
fn forget(sessions: &mut SessionTable, session: &Arc<ClientSession>) {
    let is_there = sessions
        .get(&session.client_id)
        .is_some_and(|other| Arc::ptr_eq(other, session));
    if is_there {
        sessions.remove(&session.client_id);
    }
}

/// Returns the expiry time of a session without a connection; `None` for never.
fn ends(state: &SessionState, away_since: Instant) -> Option<Instant> {
    (state.expiry != FOR_EVER).then(|| away_since + seconds(state.expiry))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
