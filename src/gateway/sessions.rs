//! The links of this task: which one serves a session, and how one is opened for a session that
//! comes from another task.
//!
//! Another task takes a session over with the same client id, for which alone the broker has the
//! messages that are not acknowledged. It connects no sooner than
//! [`BrokerSettings::connect_interval`] after the last CONNECT that the cursor knows of; the task
//! that had the session sees its connection taken over, answers 409 to a poll that waits there, and
//! does not connect again. Where the broker has lost the session, the client gets status 410:
//! nothing is ever resumed silently with something missing.
//!
//! A new token is shown to the broker on a second connection. Only when the broker lets it in,
//! which ends the first, does it serve the session: a forged token costs its bearer an answer, and
//! the session nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bearer::{Bearer, TokenHash};
use super::cursor::Cursor;
use super::directory::Directory;
use super::inbox::Inbox;
use super::link::{BrokerLink, BrokerSettings, LinkBeginning, LinkEnd, LinkPhase};
use super::metrics::{GatewayMetrics, GaugeGuard};
use super::seal::SealingKeys;
use super::session::{GatewaySession, SessionSerial, random};

/// Time that a session may go on. Clients make a new one after a 410.
const SESSION_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// The sessions that this task serves.
pub struct Sessions {
    pub(super) keys: SealingKeys,
    pub(super) settings: Arc<BrokerSettings>,
    directory: RwLock<Arc<Directory>>,
    pub(super) metrics: Arc<GatewayMetrics>,
    links: Mutex<HashMap<Arc<str>, ServedLink>>,
    tasks: Mutex<JoinSet<()>>,
    taken_over: Mutex<HashMap<SessionSerial, TakenOver>>,
}

/// A session that another connection has taken over from this task, and has not been back.
struct TakenOver {
    /// Moment when the connection here was opened, in seconds since 1970.
    connected: u64,
    until: Instant,
}

/// Time that a task remembers that. A client that shows a cursor of before is not to take its
/// session back: it may be on a WebSocket again, or the request is one that a newer one superseded.
const TAKEN_OVER_MEMORY: Duration = Duration::from_secs(60);

/// The most sessions that it is remembered of.
const MAX_TAKEN_OVER: usize = 10_000;

struct ServedLink {
    link: Arc<BrokerLink>,
    /// A connection with another token, until the broker has let it in.
    successor: Option<Arc<BrokerLink>>,
}

/// Reason why a session cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotServed {
    /// A newer session has the client id.
    Superseded,
    /// The system has no random numbers.
    NoRandomness,
    /// The link is over.
    Over(LinkEnd),
}

impl Sessions {
    /// Serves nothing yet.
    pub fn new(keys: SealingKeys, settings: BrokerSettings, directory: Directory) -> Self {
        Self {
            keys,
            settings: Arc::new(settings),
            directory: RwLock::new(Arc::new(directory)),
            metrics: Arc::default(),
            links: Mutex::default(),
            tasks: Mutex::default(),
            taken_over: Mutex::default(),
        }
    }

    /// The names in force.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(
            &self
                .directory
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Goes by other names from now on; links that are open keep theirs.
    pub fn set_directory(&self, directory: Directory) {
        let mut current = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(directory);
    }

    fn links(&self) -> MutexGuard<'_, HashMap<Arc<str>, ServedLink>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions with an open connection here.
    pub(super) fn count(&self) -> usize {
        self.links().len()
    }

    /// The same of one principal, as far as the broker has let them in: nobody fills another's
    /// share.
    pub(super) fn count_of(&self, principal: &str) -> usize {
        let links = self.links();
        let same = links
            .values()
            .filter(|served| *served.link.principal == *principal && served.link.is_live());
        same.count()
    }

    /// A new session without channels, once the broker has let it in. One that `adopts` begins with
    /// the messages that the broker keeps for the client id: a connection of the client's own has
    /// left them.
    pub(super) async fn create(
        self: &Arc<Self>,
        principal: Box<str>,
        client_id: Box<str>,
        bearer: Option<Bearer>,
        adopts: bool,
    ) -> Result<(GatewaySession, Arc<BrokerLink>), NotServed> {
        let (serial, epoch) = random().zip(epoch()).ok_or(NotServed::NoRandomness)?;
        let session = GatewaySession {
            serial: SessionSerial(serial),
            principal,
            client_id,
            token: bearer.as_ref().map_or(TokenHash::NONE, Bearer::hash),
            expires: unix_now() + SESSION_LIFE.as_secs(),
            channels: Vec::new(),
            adopts,
        };
        let link = {
            let mut links = self.links();
            // One that has the exact client id of its principal: the broker ends its connection.
            let before = links.get(&*session.client_id);
            let not_before = self.not_before(before.map_or(0, |served| served.link.connected));
            let beginning = LinkBeginning {
                bearer,
                not_before,
                resumed: None,
                adopts,
            };
            let inbox = Inbox::new(epoch);
            let link = self.start(&session, session.token, inbox, beginning, 0);
            let served = ServedLink {
                link: Arc::clone(&link),
                successor: None,
            };
            links.insert(Arc::clone(&link.client_id), served);
            link
        };
        let _guard = link.guard();
        link.opened().await.map_err(NotServed::Over)?;
        Ok((session, link))
    }

    /// The link that serves a session, opened if there is none. It may not be live yet.
    pub(super) async fn attach(
        self: &Arc<Self>,
        session: &GatewaySession,
        cursor: &Cursor,
        bearer: Option<&Bearer>,
    ) -> Result<Arc<BrokerLink>, NotServed> {
        let token = bearer.map_or(TokenHash::NONE, Bearer::hash);
        let (link, is_successor) = self.found_or_started(session, cursor, bearer, token)?;
        if is_successor {
            let _guard = link.guard();
            link.opened().await.map_err(NotServed::Over)?;
            let mut links = self.links();
            if let Some(served) = links.get_mut(&*session.client_id)
                && let Some(successor) = served
                    .successor
                    .take_if(|successor| Arc::ptr_eq(successor, &link))
            {
                let before = std::mem::replace(&mut served.link, successor);
                before.supersede();
            }
        }
        Ok(link)
    }

    /// The link, and whether it only waits to take the place of another.
    fn found_or_started(
        self: &Arc<Self>,
        session: &GatewaySession,
        cursor: &Cursor,
        bearer: Option<&Bearer>,
        token: TokenHash,
    ) -> Result<(Arc<BrokerLink>, bool), NotServed> {
        let epoch = epoch().ok_or(NotServed::NoRandomness)?;
        let mut links = self.links();
        let before = links.get_mut(&*session.client_id);
        let mut connected = cursor.connected;
        let mut before = before.filter(|served| !served.link.is_over());
        if let Some(served) = &mut before {
            if served.link.serial != session.serial {
                return Err(NotServed::Superseded);
            }
            if served.link.token == token {
                return Ok((Arc::clone(&served.link), false));
            }
            if let Some(successor) = &served.successor
                && successor.token == token
                && !successor.is_over()
            {
                return Ok((Arc::clone(successor), true));
            }
            connected = connected.max(served.link.connected);
        } else if self.was_taken_over(session.serial, cursor) {
            return Err(NotServed::Superseded);
        }
        let directory = self.directory();
        let filters = session.channels.iter();
        let filters = filters.filter_map(|name| directory.filter(name).ok());
        let beginning = LinkBeginning {
            bearer: bearer.cloned(),
            not_before: self.not_before(connected),
            resumed: Some(filters.map(|filter| filter.as_str().into()).collect()),
            adopts: false,
        };
        let mut inbox = Inbox::new(epoch);
        // A cursor of another connection: its keys identify every message that came from it.
        let _ = inbox.confirm(cursor);
        let link = self.start(session, token, inbox, beginning, connected);
        if let Some(served) = before {
            served.successor = Some(Arc::clone(&link));
            return Ok((link, true));
        }
        let served = ServedLink {
            link: Arc::clone(&link),
            successor: None,
        };
        links.insert(Arc::clone(&link.client_id), served);
        Ok((link, false))
    }

    /// The link of a session, if this task has one.
    pub(super) fn find(&self, session: &GatewaySession) -> Option<Arc<BrokerLink>> {
        let links = self.links();
        let served = links.get(&*session.client_id)?;
        let link = &served.link;
        (link.serial == session.serial && !link.is_over()).then(|| Arc::clone(link))
    }

    /// Moment when a client id may connect that connected at a moment, in seconds since 1970.
    fn not_before(&self, connected: u64) -> Instant {
        let interval = self.settings.connect_interval;
        // Both moments are whole seconds: the time between them may be a second less.
        let since = Duration::from_secs(unix_now().saturating_sub(connected));
        let since = since.saturating_sub(Duration::from_secs(1));
        Instant::now() + interval.saturating_sub(since)
    }

    /// Starts a link. Its moment is later than that of the session's link `before`, by which tasks
    /// know which of them has the session ([`was_taken_over`](Self::was_taken_over)), also within a
    /// second.
    fn start(
        self: &Arc<Self>,
        session: &GatewaySession,
        token: TokenHash,
        inbox: Inbox,
        beginning: LinkBeginning,
        before: u64,
    ) -> Arc<BrokerLink> {
        let wait = beginning
            .not_before
            .saturating_duration_since(Instant::now());
        let begun = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let connected = (unix_now() + begun).max(before + 1);
        let metrics = Arc::clone(&self.metrics);
        let link = BrokerLink::new(session, token, connected, inbox, metrics);
        let (settings, directory) = (Arc::clone(&self.settings), self.directory());
        let (sessions, running) = (Arc::downgrade(self), Arc::clone(&link));
        let counted = Arc::clone(&self.metrics);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _counted = GaugeGuard::new(&counted.connections);
            Arc::clone(&running)
                .run(settings, directory, beginning)
                .await;
            if let Some(sessions) = sessions.upgrade() {
                sessions.forget(&running);
            }
        });
        link
    }

    fn forget(&self, link: &Arc<BrokerLink>) {
        let mut links = self.links();
        let Some(served) = links.get_mut(&*link.client_id) else {
            return;
        };
        served
            .successor
            .take_if(|successor| Arc::ptr_eq(successor, link));
        if Arc::ptr_eq(&served.link, link) {
            match served.successor.take() {
                Some(successor) => served.link = successor,
                None => {
                    drop(links.remove(&*link.client_id));
                    drop(links);
                    self.remember(link);
                }
            }
        }
    }

    fn remember(&self, link: &BrokerLink) {
        if link.phase() != LinkPhase::Over(LinkEnd::TakenOver) {
            return;
        }
        let now = Instant::now();
        let mut taken_over = self
            .taken_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken_over.retain(|_, taken| taken.until > now);
        if taken_over.len() < MAX_TAKEN_OVER {
            let taken = TakenOver {
                connected: link.connected,
                until: now + TAKEN_OVER_MEMORY,
            };
            taken_over.insert(link.serial, taken);
        }
    }

    /// Returns `true` where the session was taken over from here, and the cursor knows of no later
    /// connection.
    fn was_taken_over(&self, serial: SessionSerial, cursor: &Cursor) -> bool {
        let taken_over = self
            .taken_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken_over.get(&serial).is_some_and(|taken| {
            taken.until > Instant::now() && cursor.connected <= taken.connected
        })
    }

    /// Drops all connections without a word, as the end of the process does.
    pub fn abort(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }

    /// Closes all connections and waits for their ends; the broker keeps the sessions for other
    /// tasks.
    pub async fn close(&self) {
        for served in self.links().values() {
            served.link.close(false);
        }
        let tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        tasks.join_all().await;
    }
}

fn epoch() -> Option<u64> {
    random().map(u64::from_be_bytes)
}
