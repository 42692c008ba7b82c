//! One connection to the broker, for one session.
//!
//! A link lives as long as its connection: a lost connection is followed by another link, which the
//! client's cursor brings up to date. Requests meet it in its shared state; its task (`drive`)
//! alone reads and writes the socket. A link that another connection has taken over never connects
//! again.

mod connect;
mod drive;
mod transport;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use self::connect::{BrokerSettings, LABEL};
pub(super) use self::drive::LinkBeginning;
use super::bearer::TokenHash;
use super::cursor::Cursor;
use super::inbox::{Inbox, PacketId, StaleCursor};
use super::metrics::GatewayMetrics;
use super::session::{GatewaySession, SessionSerial};

/// Reason why a link is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The broker's authorizer does not believe the token.
    Unauthorized(Box<str>),
    /// The broker does not allow the connection: its authorizer does not believe the token, or
    /// grants another client id.
    NotAllowed(Box<str>),
    /// A channel of the session is granted no more.
    Forbidden(Box<str>),
    /// The broker does not have the session any more.
    Gone,
    /// The broker asks for patience.
    Busy(Box<str>),
    /// The connection could not be opened.
    Unreachable(Box<str>),
    /// The connection is lost.
    Lost(Box<str>),
    /// Another connection has the client id now.
    TakenOver,
    /// It was closed here: nobody asked for it, the session ended, or the task drains.
    Closed,
}

/// Phase of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkPhase {
    Opening,
    Live,
    Over(LinkEnd),
}

/// A filter that the broker has decided on: `Err` with the reason code and its words.
pub(super) type FilterAnswer = Result<(), (u8, Box<str>)>;

/// Request of a client to the broker.
pub(super) struct FilterRequest {
    pub(super) filters: Vec<Box<str>>,
    pub(super) subscribe: bool,
    pub(super) reply: oneshot::Sender<Vec<FilterAnswer>>,
}

/// Time that the broker is to keep the session of a link that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// As agreed at CONNECT: another task may go on.
    KeepSession,
    EndSession,
}

struct LinkState {
    phase: LinkPhase,
    session_present: bool,
    inbox: Inbox,
    acknowledge: Vec<PacketId>,
    filters: Vec<FilterRequest>,
    closing: Closing,
    /// The number of the newest request that reads messages.
    reader: u64,
    /// Number of requests that are at it.
    requests: usize,
    idle_since: Instant,
}

/// A connection to the broker, shared by its task and by requests.
pub struct BrokerLink {
    pub(super) client_id: Arc<str>,
    pub(super) principal: Arc<str>,
    pub(super) serial: SessionSerial,
    pub(super) token: TokenHash,
    /// Moment when it connects, in seconds since 1970.
    pub(super) connected: u64,
    /// `true` where the broker's session is the client's own, and outlives this one.
    adopts: bool,
    metrics: Arc<GatewayMetrics>,
    state: Mutex<LinkState>,
    /// For its task.
    work: Notify,
    /// For requests.
    news: Notify,
}

/// A reader that a newer one has superseded, or why there is nothing to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotReadable {
    Superseded,
    Over(LinkEnd),
}

/// A request at a link; while there is one, the connection stays.
pub(super) struct LinkGuard(Arc<BrokerLink>);

impl Drop for LinkGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
        drop(state);
        self.0.work.notify_one();
    }
}

impl BrokerLink {
    pub(super) fn new(
        session: &GatewaySession,
        token: TokenHash,
        connected: u64,
        inbox: Inbox,
        metrics: Arc<GatewayMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            client_id: (&*session.client_id).into(),
            principal: (&*session.principal).into(),
            serial: session.serial,
            token,
            connected,
            adopts: session.adopts,
            metrics,
            state: Mutex::new(LinkState {
                phase: LinkPhase::Opening,
                session_present: false,
                inbox,
                acknowledge: Vec::new(),
                filters: Vec::new(),
                closing: Closing::No,
                reader: 0,
                requests: 0,
                idle_since: Instant::now(),
            }),
            work: Notify::new(),
            news: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the connection open for a request.
    pub(super) fn guard(self: &Arc<Self>) -> LinkGuard {
        self.lock().requests += 1;
        LinkGuard(Arc::clone(self))
    }

    /// Its phase.
    pub(super) fn phase(&self) -> LinkPhase {
        self.lock().phase.clone()
    }

    /// Returns `true` where it can still serve.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        matches!(state.phase, LinkPhase::Over(_)) || state.closing != Closing::No
    }

    /// Returns `true` where the broker has let it in.
    pub(super) fn is_live(&self) -> bool {
        self.lock().phase == LinkPhase::Live
    }

    /// Returns `true` where the broker had a session for the client id when it let the link in.
    pub(super) fn session_present(&self) -> bool {
        self.lock().session_present
    }

    /// Waits until it is live, or over. Cancel safe.
    pub(super) async fn opened(&self) -> Result<(), LinkEnd> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            match self.phase() {
                LinkPhase::Opening => news.await,
                LinkPhase::Live => return Ok(()),
                LinkPhase::Over(end) => return Err(end),
            }
        }
    }

    /// Makes a request the reader of the session: readers before it are superseded, and messages
    /// that its cursor confirms are acknowledged.
    pub(super) fn begin(&self, cursor: &Cursor) -> Result<u64, StaleCursor> {
        let mut state = self.lock();
        let confirmed = state.inbox.confirm(cursor)?;
        self.metrics.confirmed.add(confirmed.len());
        state.acknowledge.extend(confirmed);
        state.reader += 1;
        let reader = state.reader;
        drop(state);
        self.work.notify_one();
        self.news.notify_waiters();
        Ok(reader)
    }

    /// Acknowledges the messages that a cursor confirms, and leaves the reader as it is.
    pub(super) fn confirm(&self, cursor: &Cursor) -> Result<(), StaleCursor> {
        let mut state = self.lock();
        let confirmed = state.inbox.confirm(cursor)?;
        self.metrics.confirmed.add(confirmed.len());
        state.acknowledge.extend(confirmed);
        drop(state);
        self.work.notify_one();
        self.news.notify_waiters();
        Ok(())
    }

    /// Reads with a function that may give nothing yet. Cancel safe.
    pub(super) async fn read<T>(
        &self,
        reader: u64,
        mut take: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<T, NotReadable> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let mut state = self.lock();
                if state.reader != reader {
                    return Err(NotReadable::Superseded);
                }
                if let Some(taken) = take(&mut state.inbox) {
                    drop(state);
                    self.work.notify_one();
                    return Ok(taken);
                }
                match &state.phase {
                    LinkPhase::Over(LinkEnd::TakenOver) => return Err(NotReadable::Superseded),
                    LinkPhase::Over(end) => return Err(NotReadable::Over(end.clone())),
                    LinkPhase::Opening | LinkPhase::Live => {}
                }
            }
            news.await;
        }
    }

    /// The cursor of a session that has just begun.
    pub(super) fn first_cursor(&self) -> Cursor {
        self.lock().inbox.cursor(0)
    }

    /// The cursor that a reader has when nothing more came, if it still is the reader.
    pub(super) fn cursor(&self, reader: u64) -> Option<Cursor> {
        let state = self.lock();
        let count = state.inbox.unconfirmed_count();
        (state.reader == reader).then(|| state.inbox.cursor(count))
    }

    /// Asks the broker for filters, or to leave them; `None` when the link ends before the answer.
    /// Cancel safe.
    pub(super) async fn ask(
        &self,
        filters: Vec<Box<str>>,
        subscribe: bool,
    ) -> Option<Vec<FilterAnswer>> {
        let (reply, answers) = oneshot::channel();
        {
            let mut state = self.lock();
            if matches!(state.phase, LinkPhase::Over(_)) {
                return None;
            }
            state.filters.push(FilterRequest {
                filters,
                subscribe,
                reply,
            });
        }
        self.work.notify_one();
        answers.await.ok()
    }

    /// Closes it; the broker keeps the session for another task, or ends it.
    pub(super) fn close(&self, end_session: bool) {
        self.lock().closing = if end_session {
            Closing::EndSession
        } else {
            Closing::KeepSession
        };
        self.work.notify_one();
    }

    /// Ends it for its readers: another connection of the session is live, and the broker is about
    /// to say so here.
    pub(super) fn supersede(&self) {
        let mut state = self.lock();
        state.reader += 1;
        state.closing = Closing::KeepSession;
        drop(state);
        self.work.notify_one();
        self.news.notify_waiters();
    }

    fn finish(&self, end: LinkEnd) {
        self.metrics.ended(&end);
        let mut state = self.lock();
        state.phase = LinkPhase::Over(end);
        // A request that waits for an answer sees that there is none.
        state.filters.clear();
        drop(state);
        self.news.notify_waiters();
    }
}
