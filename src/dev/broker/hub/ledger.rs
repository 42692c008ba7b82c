//! History of client ids beyond their sessions: the last connect, the end of the last connection,
//! and the version numbers of life-cycle events.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::rate::WindowCounter;
use crate::dev::broker::connection::ending::DisconnectReason;

/// Time after which an unused client id is forgotten; its version numbers then start again
/// (developer guide, "Lifecycle events": after about an hour).
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Number of client ids above which expired entries are removed.
const LOOK: usize = 4_096;

#[derive(Debug)]
pub(crate) struct ClientHistory {
    clients: FxHashMap<Arc<str>, ClientRecord>,
    connects_per_second: Option<u32>,
    look_at: usize,
}

#[derive(Debug)]
struct ClientRecord {
    at: Instant,
    connects: WindowCounter,
    version: u64,
    last: Option<LastConnection>,
}

/// End of a client id's last connection.
#[derive(Clone, Debug)]
pub(crate) struct LastConnection {
    pub(crate) ended: SystemTime,
    pub(crate) reason: &'static str,
    /// The reason in words.
    pub(crate) why: Box<str>,
}

impl ClientHistory {
    pub(crate) fn new(connects_per_second: Option<u32>) -> Self {
        Self {
            clients: FxHashMap::default(),
            connects_per_second,
            look_at: LOOK,
        }
    }

    /// Returns `true` where the rate limit admits another connect of a client id.
    pub(crate) fn may_connect(&mut self, client_id: &Arc<str>, now: Instant) -> bool {
        self.record(client_id, now).connects.take(now, 1)
    }

    /// Returns the version number of the client id's next life-cycle event: from zero upwards.
    pub(crate) fn version(&mut self, client_id: &Arc<str>, now: Instant) -> u64 {
        let record = self.record(client_id, now);
        let version = record.version;
        record.version += 1;
        version
    }

    /// Records the end of a connection.
    pub(crate) fn ended(&mut self, client_id: &Arc<str>, now: Instant, ending: &DisconnectReason) {
        self.record(client_id, now).last = Some(LastConnection {
            ended: SystemTime::now(),
            reason: ending.word(),
            why: ending.why().into(),
        });
    }

    /// Returns the end of the client id's last connection, where it is recent.
    pub(crate) fn last(&self, client_id: &str) -> Option<LastConnection> {
        self.clients.get(client_id)?.last.clone()
    }

    fn record(&mut self, client_id: &Arc<str>, now: Instant) -> &mut ClientRecord {
        if self.clients.len() >= self.look_at {
            self.clients
                .retain(|_, record| now.saturating_duration_since(record.at) < REMEMBERED);
            self.look_at = (self.clients.len() * 2).max(LOOK);
        }
        let connects = WindowCounter::new(self.connects_per_second);
        let record = self
            .clients
            .entry(Arc::clone(client_id))
            .or_insert_with(|| ClientRecord {
                at: now,
                connects,
                version: 0,
                last: None,
            });
        if now.saturating_duration_since(record.at) >= REMEMBERED {
            record.version = 0;
            record.last = None;
        }
        record.at = now;
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn versions_rise_and_begin_again() {
        let mut ledger = ClientHistory::new(Some(1));
        let id = Arc::from("a");
        let now = Instant::now();
        assert_eq!((ledger.version(&id, now), ledger.version(&id, now)), (0, 1));
        ledger.ended(&id, now, &DisconnectReason::Lost);
        assert!(
            ledger
                .last("a")
                .is_some_and(|last| last.reason == "CONNECTION_LOST")
        );
        let later = now + REMEMBERED;
        assert_eq!(ledger.version(&id, later), 0);
        assert!(ledger.last("a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_connect_a_second() {
        let mut ledger = ClientHistory::new(Some(1));
        let (id, other) = (Arc::from("a"), Arc::from("b"));
        let now = Instant::now();
        assert!(ledger.may_connect(&id, now));
        assert!(!ledger.may_connect(&id, now + Duration::from_millis(999)));
        assert!(ledger.may_connect(&other, now));
        assert!(ledger.may_connect(&id, now + Duration::from_secs(1)));
    }
}
