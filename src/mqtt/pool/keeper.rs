//! How many connections there are: more while publications wait for room, fewer after a long quiet time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::lane::{Lane, asked_to_close};
use super::lanes::{Lanes, lock};
use crate::mqtt::Settings;
use crate::pace::Shared;

/// How often the pool looks at whether it has the right size.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How many looks without anybody waiting make a connection too many: five minutes.
const QUIET_LOOKS: u32 = 300;

/// Opens and closes connections as they are needed.
pub(super) struct Keeper {
    pub(super) settings: Arc<Settings>,
    pub(super) shared: Shared,
    pub(super) lanes: Arc<Mutex<Lanes>>,
    pub(super) waits: Arc<AtomicU32>,
    pub(super) up: Arc<watch::Sender<usize>>,
    pub(super) failure: Arc<watch::Sender<Option<String>>>,
    pub(super) closing: watch::Receiver<Option<Instant>>,
    pub(super) connections: JoinSet<()>,
    pub(super) started: usize,
    /// Looks since anybody had to wait.
    pub(super) quiet: u32,
}

impl Keeper {
    /// Looks again and again, until the pool closes and all connections have ended.
    pub(super) async fn run(mut self) {
        let mut looks = interval(BETWEEN_LOOKS);
        let mut closing = self.closing.clone();
        loop {
            tokio::select! {
                _ = looks.tick() => self.look(),
                () = asked_to_close(&mut closing) => break,
            }
        }
        while self.connections.join_next().await.is_some() {}
    }

    /// Opens one more.
    pub(super) fn open(&mut self) {
        let (sender, jobs) = mpsc::channel(usize::from(self.settings.in_flight.max(1)));
        let lane = Lane {
            settings: Arc::clone(&self.settings),
            number: self.started,
            shared: self.shared.clone(),
            jobs,
            turn: VecDeque::new(),
            up: Arc::clone(&self.up),
            failure: Arc::clone(&self.failure),
            closing: self.closing.clone(),
        };
        self.started += 1;
        self.connections.spawn(lane.run());
        lock(&self.lanes).open.push(sender);
    }

    /// Half as many again when somebody had to wait while all were up; one less after a long quiet time.
    fn look(&mut self) {
        while self.connections.try_join_next().is_some() {}
        let (least, most) = self.settings.connections;
        let waits = self.waits.swap(0, Ordering::Relaxed);
        let open = lock(&self.lanes).open.len();
        // While connections are down, more of them would not help.
        if waits > 0 && *self.up.borrow() >= open {
            self.quiet = 0;
            let more = (open / 2).max(1).min(most.saturating_sub(open));
            if more > 0 {
                tracing::info!(
                    connections = open + more,
                    "publications waited: opening connections"
                );
            }
            for _ in 0..more {
                self.open();
            }
            return;
        }
        self.quiet += 1;
        if self.quiet >= QUIET_LOOKS && open > least.max(1) {
            self.quiet = 0;
            // Its lane ends when the last topic that is busy there has left.
            lock(&self.lanes).open.pop();
            tracing::info!(
                connections = open - 1,
                "nothing waited for long: closing a connection"
            );
        }
    }
}
