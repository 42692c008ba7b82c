//! The number of connections: as many as the publishing rate needs, opened at once, closed slowly.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Shared;
use super::link::{ConnectionSupervisor, asked_to_close};
use crate::channel::limits::CONNECTS_PER_SECOND_PER_ACCOUNT;
use crate::mqtt::MqttSettings;
use crate::pace::Rate;

/// Time between two looks at whether it has the right size, if nothing asks for more before.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Demand is measured anew after this time at the earliest.
const BETWEEN_GROWTHS: Duration = Duration::from_millis(10);

/// The part of the account's CONNECT rate that one task takes: the rest is for other tasks and for
/// clients.
const CONNECTS_SHARE: f64 = 0.1;

/// Connections are closed one by one, this far apart.
const LOOKS_PER_CLOSING: u32 = 10;

/// Looks without a publication that waits, after which a connection without limits is one too many:
/// five minutes.
const QUIET_LOOKS: u32 = 300;

/// Opens and closes connections as they are needed.
pub(super) struct Keeper {
    settings: Arc<MqttSettings>,
    shared: Arc<Shared>,
    closing: watch::Receiver<Option<Instant>>,
    links: JoinSet<()>,
    /// The CONNECT packets that this task may send in a second.
    connects: Rate,
    /// The connections to begin with, until they are there.
    first: usize,
    looks: u32,
}

impl Keeper {
    pub(super) fn new(
        settings: Arc<MqttSettings>,
        shared: Arc<Shared>,
        closing: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            connects: Rate::new(f64::from(CONNECTS_PER_SECOND_PER_ACCOUNT) * CONNECTS_SHARE),
            settings,
            shared,
            closing,
            links: JoinSet::new(),
            first: 0,
            looks: 0,
        }
    }

    /// Opens the connections that are wanted from the beginning: the fewest, or as many as a known
    /// backlog needs.
    pub(super) fn begin(&mut self) {
        let (least, most) = self.settings.connections;
        let rate = self.settings.expected_rate;
        let expected = self.shared.scheduler().demand.for_rate(rate).unwrap_or(0);
        self.first = expected.clamp(least.max(1), most.max(1));
        self.open(self.first, "at start");
    }

    /// Looks again and again, until the pool closes and all connections have ended.
    pub(super) async fn run(mut self) {
        let mut looks = interval(BETWEEN_LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = self.closing.clone();
        let shared = Arc::clone(&self.shared);
        let mut earliest = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.serve(now);
            if now >= earliest {
                earliest = now + BETWEEN_GROWTHS;
                self.grow(now);
            }
            tokio::select! {
                () = shared.changed.notified() => {}
                () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
                _ = looks.tick() => self.look(),
                () = asked_to_close(&mut closing) => break,
            }
        }
        loop {
            let due = self.serve(Instant::now());
            tokio::select! {
                ended = self.links.join_next() => if ended.is_none() {
                    return;
                },
                () = shared.changed.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Serves what waits for a connection's or the account's next second, and returns when to do so
    /// again.
    fn serve(&self, now: Instant) -> Option<Instant> {
        let mut scheduler = self.shared.scheduler();
        if scheduler.due().is_some_and(|due| due <= now) {
            scheduler.serve(now);
        }
        scheduler.due()
    }

    /// Opens the missing connections, in one step.
    fn grow(&mut self, now: Instant) {
        let (wanted, open) = {
            let mut scheduler = self.shared.scheduler();
            let pressed = scheduler.connections.take_pressed();
            let pressing = scheduler.pressing();
            let open = scheduler.connections.opened();
            if !(pressed || pressing > 0) || scheduler.connections.are_failing() {
                return;
            }
            // Without limits of a connection, acknowledgements are what is waited for: half as many
            // again.
            let wanted = scheduler.demand.wanted(pressing, now);
            (wanted.unwrap_or(open + (open / 2).max(1)), open)
        };
        if wanted > open {
            self.open(wanted.min(self.settings.connections.1), "publications wait");
        }
    }

    /// Opens connections until there are so many, as far as the account's CONNECT rate lets.
    fn open(&mut self, wanted: usize, why: &'static str) {
        let open = self.shared.scheduler().connections.opened();
        let mut added = 0;
        while open + added < wanted && self.connects.try_turn() {
            let (id, wake) = self.shared.scheduler().connections.open();
            let link = ConnectionSupervisor {
                settings: Arc::clone(&self.settings),
                shared: Arc::clone(&self.shared),
                id,
                wake,
                closing: self.closing.clone(),
            };
            self.links.spawn(link.run());
            added += 1;
        }
        if added > 0 {
            tracing::info!(
                connections = open + added,
                added,
                why,
                "opening connections"
            );
        }
    }

    /// Notes the demand, and closes a connection where fewer were enough for five minutes.
    fn look(&mut self) {
        while self.links.try_join_next().is_some() {}
        self.looks += 1;
        let (least, _) = self.settings.connections;
        // The CONNECT rate may have left some out.
        let missing = self.first.max(least);
        self.open(missing, "at start");
        if self.shared.scheduler().connections.opened() >= missing {
            self.first = 0;
        }
        let mut scheduler = self.shared.scheduler();
        let pressing = scheduler.pressing();
        let open = scheduler.connections.opened();
        let now = Instant::now();
        // Without limits of a connection the window is all there is to go by.
        let wanted = scheduler.demand.wanted(pressing, now);
        if wanted.is_none() && pressing > 0 {
            self.looks = 0;
        }
        let enough = scheduler.demand.peak().max(least).max(1);
        let is_time = match wanted {
            Some(_) => self.looks.is_multiple_of(LOOKS_PER_CLOSING),
            None => self.looks >= QUIET_LOOKS,
        };
        if open > enough && is_time && scheduler.connections.end_one() {
            self.looks = 0;
            tracing::info!(
                connections = open - 1,
                "fewer connections are enough: closing one"
            );
        }
    }
}
