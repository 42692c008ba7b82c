//! The fate of each client's messages, at each change of its state.

use super::SimulationRun;
use crate::simulation::bridge_queue::BridgeQueue;
use crate::simulation::outcome::{LossCause, LossCount, MessageTotals, QueueTotals};
use crate::simulation::population::ClientState;

impl SimulationRun<'_> {
    /// A client that was away comes back. Returns `true` where its session is still there.
    pub(super) fn settle_away(&mut self, client: u32) -> bool {
        let lost_at = self.clients.since(client);
        let expires = lost_at.saturating_add(self.expiry_steps());
        let has_session = self.clients.has_session(client);
        let is_present = has_session && self.step < expires;
        self.count_away(client);
        if is_present {
            self.leave_kept(lost_at);
        } else {
            // The session ends in this very step, or had ended: nothing of it is given any more.
            self.drop_stored(client, true);
        }
        self.clients.forget_session(client);
        is_present
    }

    /// Takes a client out of those that are away with a session.
    fn leave_kept(&mut self, lost_at: u32) {
        self.kept -= 1;
        let expires = lost_at + self.expiry_steps();
        if let Some(count) = self.expiring.get_mut(&expires) {
            *count -= 1;
        }
    }

    fn count_away(&mut self, client: u32) {
        let lost_at = self.clients.since(client);
        let expires = lost_at.saturating_add(self.expiry_steps());
        let kept_until = match self.clients.has_session(client) {
            true => expires.min(self.step),
            false => lost_at,
        };
        let times = (lost_at, kept_until, self.step);
        let stored = self.ledger.away(client, times, self.clients.stored(client));
        self.clients.set_stored(client, stored);
    }

    /// The broker loses the session of a client that is away.
    pub(super) fn lose_session(&mut self, client: u32) {
        let lost_at = self.clients.since(client);
        if !self.clients.has_session(client) || self.step >= lost_at + self.expiry_steps() {
            return;
        }
        // Messages until now are counted; the rest of its absence is without a session.
        self.count_away(client);
        self.leave_kept(lost_at);
        self.drop_stored(client, false);
        self.clients.forget_session(client);
        self.clients.set_since(client, self.step);
    }

    /// Drops stored messages that nobody will ask for.
    pub(super) fn drop_stored(&mut self, client: u32, by_expiry: bool) {
        let cause = match by_expiry {
            true => LossCause::SessionExpired,
            false => LossCause::SessionLost,
        };
        self.ledger
            .lose(cause, u64::from(self.clients.stored(client)));
        self.clients.set_stored(client, 0);
    }

    /// A connected client that is not live gets another channel.
    pub(super) fn settle_partly(&mut self, client: u32) {
        let from = self.clients.since(client);
        let granted = self.clients.granted(client);
        let channels = self.scenario.clients.channels;
        self.ledger
            .partly(client, (from, self.step), granted, channels);
    }

    /// A connected client loses its connection, or the run ends.
    pub(super) fn settle_connected(&mut self, client: u32) {
        if self.clients.state(client) == ClientState::Connected {
            self.settle_partly(client);
            return;
        }
        let from = self.clients.since(client);
        self.ledger.live(client, from, self.step);
        let held = self.clients.stored(client);
        let left = self.ledger.given(held, from, self.step, true);
        self.clients.set_stored(client, left);
    }

    /// Settles all clients at the end of a run. Returns the messages that were addressed to them,
    /// each client's counted in one piece.
    pub(super) fn settle_all(&mut self) -> u64 {
        self.step = self.ledger.now();
        let mut addressed = 0;
        for client in 0..self.scenario.clients.count {
            addressed += self.ledger.addressed(client, 0, self.step);
            match self.clients.state(client) {
                ClientState::Away => self.count_away(client),
                _ => self.settle_connected(client),
            }
        }
        addressed
    }

    /// Messages by fate, once all clients are settled.
    pub(super) fn message_totals(&self, addressed: u64) -> MessageTotals {
        let stored = self.stored();
        let waiting = self.waiting_out();
        let lost = LossCause::ALL.iter().zip(&self.ledger.lost);
        MessageTotals {
            addressed,
            delivered: self.ledger.delivered.saturating_sub(waiting),
            delivered_late: self.ledger.delivered_late,
            stored,
            waiting,
            lost: lost
                .map(|(cause, count)| LossCount {
                    cause: *cause,
                    count: *count,
                })
                .collect(),
        }
    }

    /// Messages in sessions.
    pub(crate) fn stored(&self) -> u64 {
        let clients = 0..self.scenario.clients.count;
        clients
            .map(|client| u64::from(self.clients.stored(client)))
            .sum()
    }

    /// Messages of QoS 1 that wait for the outbound quota: they count as delivered until the end.
    pub(crate) fn waiting_out(&self) -> u64 {
        self.ledger.waiting_out as u64
    }
}

/// Events by fate.
pub(super) fn queue_totals(
    bridge: &BridgeQueue,
    (peak_backlog, peak_age_ms): (u64, u32),
) -> QueueTotals {
    let totals = bridge.totals;
    QueueTotals {
        arrived: totals.arrived,
        published: totals.published,
        dead_lettered: totals.dead_lettered,
        waiting: totals.arrived - totals.published - totals.dead_lettered,
        duplicates: totals.duplicates,
        redelivered: totals.redelivered,
        peak_backlog,
        peak_age_ms,
        peak_tasks: bridge.peak_tasks,
    }
}
