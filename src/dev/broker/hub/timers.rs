//! Timers of sessions without a connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::SessionHub;
use super::session::ClientSession;

#[derive(Debug, Default)]
pub(crate) struct SessionTimers {
    /// Sessions by time, and by the session's number where times are equal.
    due: Mutex<BTreeMap<(Instant, u64), Weak<ClientSession>>>,
    changed: Notify,
}

impl SessionTimers {
    /// Schedules the timer of a session.
    pub(crate) fn set(&self, at: Instant, session: &Arc<ClientSession>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (at, session.number);
        due.insert(key, Arc::downgrade(session));
        let is_first = due.keys().next() == Some(&key);
        drop(due);
        if is_first {
            self.changed.notify_one();
        }
    }

    fn next(&self) -> Option<Instant> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.keys().next().map(|(at, _)| *at)
    }

    fn take_due(&self, now: Instant) -> Option<Weak<ClientSession>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

/// Runs the timers of sessions until the task is aborted.
pub(crate) async fn keep_time(hub: Arc<SessionHub>) {
    loop {
        while let Some(session) = hub.timers.take_due(Instant::now()) {
            if let Some(session) = session.upgrade() {
                hub.look_after(&session);
            }
        }
        match hub.timers.next() {
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = hub.timers.changed.notified() => {}
            },
            None => hub.timers.changed.notified().await,
        }
    }
}
