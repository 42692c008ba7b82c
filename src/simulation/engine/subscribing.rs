//! From CONNACK to live: sessions that are still there, SUBSCRIBE packets, the SUBSCRIBE quota.
//!
//! A client whose session was kept receives from its channels from CONNACK on. It subscribes again
//! all the same, as the client module does, and uses the quota.

use super::SimulationRun;
use crate::simulation::bridge_queue::STEP_MS;
use crate::simulation::population::ClientState;
use crate::simulation::scenario::{FILTERS_PER_SUBSCRIBE, RefusedChannel};
use crate::simulation::wheel::{ClientEvent, ClientPhase};

impl SimulationRun<'_> {
    /// A client is let in.
    pub(super) fn admit(&mut self, event: ClientEvent) {
        let client = event.client;
        self.connect_totals.admitted += 1;
        self.counts.admitted += 1;
        let is_present = self.settle_away(client);
        let channels = self.scenario.clients.channels;
        let granted = if is_present { channels } else { 0 };
        self.clients
            .admit(client, self.step, granted, event.failures);
        if is_present {
            self.make_live(client);
        }
        self.wheel.push(
            self.now_ms + self.scenario.clients.round_trip_ms,
            ClientEvent {
                phase: ClientPhase::Subscribe,
                failures: 0,
                filters: channels,
                turn: self.clients.turn(client),
                ..event
            },
        );
    }

    /// A SUBSCRIBE arrives.
    pub(super) fn subscribe(&mut self, event: ClientEvent) {
        let client = event.client;
        if event.turn != self.clients.turn(client) {
            return;
        }
        let asked = event.filters.min(FILTERS_PER_SUBSCRIBE);
        let taken = self.subscribes.take(self.now_ms, u32::from(asked)) as u8;
        let refused = asked - taken;
        self.second[1] += u64::from(taken);
        self.counts.granted += u64::from(taken);
        self.counts.filters_refused += u64::from(refused);
        self.subscribe_totals.granted += u64::from(taken);
        self.subscribe_totals.refused += u64::from(refused);
        let is_live = self.clients.state(client) == ClientState::Live;
        if taken > 0 && !is_live {
            self.settle_partly(client);
            if self.clients.grant(client, self.step, taken) == self.scenario.clients.channels {
                self.make_live(client);
            }
        }
        let (filters, wait) = match self.scenario.clients.refused_channel {
            // A refused channel stays refused: the client goes on with the other channels.
            RefusedChannel::Stays => {
                if refused > 0 && is_live {
                    self.shown_refused += 1;
                }
                (event.filters - asked, self.scenario.clients.round_trip_ms)
            }
            RefusedChannel::Retried if refused > 0 => {
                let least = self.scenario.clients.connect_interval_ms;
                (
                    event.filters - taken,
                    least + self.delay(client, event.failures),
                )
            }
            RefusedChannel::Retried => (event.filters - taken, self.scenario.clients.round_trip_ms),
        };
        if filters > 0 {
            let failures = event.failures.saturating_add(u8::from(refused > 0));
            self.wheel.push(
                self.now_ms + wait,
                ClientEvent {
                    filters,
                    failures,
                    ..event
                },
            );
        }
    }

    fn make_live(&mut self, client: u32) {
        let wave = self.clients.live(client, self.step);
        self.ledger
            .begin_giving(self.clients.stored(client), self.step);
        if let Some(wave) = self.waves.get_mut(usize::from(wave)) {
            let at = (self.now_ms / STEP_MS) as usize;
            if wave.live.len() <= at {
                wave.live.resize(at + 1, 0);
            }
            if let Some(count) = wave.live.get_mut(at) {
                *count += 1;
            }
        }
    }
}
