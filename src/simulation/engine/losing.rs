//! Effects of disturbances: connections that are lost, and the begin and end of the rest.

use super::{CurrentOutage, SimulationRun, WaveRecord};
use crate::simulation::bridge_queue::STEP_MS;
use crate::simulation::disturbance::{TimelineEdge, TimelinePoint};
use crate::simulation::population::ClientState;
use crate::simulation::scenario::{AttemptFailure, Disturbance, DisturbanceKind};
use crate::simulation::wheel::{ClientEvent, ClientPhase};

impl SimulationRun<'_> {
    /// Passes a point of the timeline.
    pub(super) fn disturb(&mut self, disturbance: &Disturbance, point: &TimelinePoint) {
        let number = point.disturbance;
        match (&disturbance.kind, point.edge) {
            (
                DisturbanceKind::Outage {
                    percent,
                    fails,
                    keeps_sessions,
                    cuts_bridge,
                    ..
                },
                TimelineEdge::Begin,
            ) => {
                self.outages.push(CurrentOutage {
                    disturbance: number,
                    percent: *percent,
                    fails: *fails,
                    cuts_bridge: *cuts_bridge,
                });
                self.cut_bridge();
                let fails = Some(*fails);
                self.cut(disturbance, fails, *keeps_sessions, |run, client| {
                    run.is_among(client, *percent, number as u64)
                });
            }
            (DisturbanceKind::Outage { .. }, _) => {
                self.outages.retain(|outage| outage.disturbance != number);
                self.cut_bridge();
            }
            (DisturbanceKind::Disconnect { percent }, _) => {
                self.cut(disturbance, None, true, |run, client| {
                    run.is_among(client, *percent, number as u64)
                });
            }
            (DisturbanceKind::GatewayRestart { .. }, TimelineEdge::Task(task)) => {
                let tasks = self
                    .scenario
                    .gateway
                    .as_ref()
                    .map_or(1, |gateway| gateway.tasks);
                self.cut(disturbance, None, true, |run, client| {
                    run.is_gateway_client(client) && run.gateway_task(client, tasks) == task
                });
            }
            (DisturbanceKind::AuthorizerOutage { .. }, edge) => {
                if let Some(function) = &mut self.function {
                    function.is_out = edge == TimelineEdge::Begin;
                }
            }
            (DisturbanceKind::TasksLost { tasks }, _) => {
                if let Some(bridge) = &mut self.bridge {
                    bridge.kill(*tasks, self.step);
                }
            }
            (DisturbanceKind::Burst { factor, .. }, edge) => {
                if let Some(bridge) = &mut self.bridge {
                    let is_over = edge == TimelineEdge::End;
                    bridge.set_factor(if is_over { 1 } else { *factor });
                }
            }
            (DisturbanceKind::GatewayRestart { .. }, _) => {}
        }
    }

    fn cut_bridge(&mut self) {
        let is_cut = self.outages.iter().any(|outage| outage.cuts_bridge);
        if let Some(bridge) = &mut self.bridge {
            bridge.is_cut = is_cut;
        }
    }

    /// The wave of a disturbance; the tasks of a gateway are one.
    fn wave_of(&mut self, disturbance: &Disturbance) -> u8 {
        let known = self
            .waves
            .iter()
            .position(|wave| wave.name == disturbance.name);
        let at = known.unwrap_or_else(|| {
            let tasks = self
                .scenario
                .gateway
                .as_ref()
                .map_or(0, |gateway| gateway.tasks);
            let lasts = disturbance.kind.lasts_ms(tasks);
            self.waves.push(WaveRecord {
                name: disturbance.name.clone(),
                kind: disturbance.kind.word(),
                began_ms: disturbance.at_ms,
                reachable_ms: disturbance.at_ms.saturating_add(lasts),
                affected: 0,
                live: Vec::new(),
            });
            self.waves.len() - 1
        });
        // There are fewer disturbances than numbers.
        at as u8
    }

    /// Cuts connections of the clients that `is_hit` names.
    fn cut(
        &mut self,
        disturbance: &Disturbance,
        fails: Option<AttemptFailure>,
        keeps_sessions: bool,
        is_hit: impl Fn(&Self, u32) -> bool,
    ) {
        let wave = self.wave_of(disturbance);
        let mut affected = 0;
        for client in 0..self.scenario.clients.count {
            if !is_hit(self, client) {
                continue;
            }
            affected += 1;
            let earlier = self.clients.wave(client);
            if let Some(earlier) = self.waves.get_mut(usize::from(earlier)) {
                // It recovers from this one now.
                earlier.affected -= 1;
            }
            if self.clients.state(client) == ClientState::Away {
                self.clients.set_wave(client, wave);
                if !keeps_sessions {
                    self.lose_session(client);
                }
            } else {
                self.lose(client, wave, fails, keeps_sessions);
            }
        }
        if let Some(wave) = self.waves.get_mut(usize::from(wave)) {
            wave.affected += affected;
        }
    }

    /// One client loses its connection.
    fn lose(&mut self, client: u32, wave: u8, fails: Option<AttemptFailure>, keeps_session: bool) {
        let fleet = &self.scenario.clients;
        let lived_ms = (self.step - self.clients.since(client)) * STEP_MS;
        let was_live = self.clients.state(client) == ClientState::Live;
        let failures = match lived_ms >= fleet.stable_ms || self.clients.since(client) == 0 {
            true => 0,
            false => self.clients.failures(client),
        };
        self.settle_connected(client);
        // A client that had not subscribed to all has no session that would bring everything.
        let has_session = keeps_session && was_live && fleet.session_expiry_ms > 0;
        let turn = self.clients.lose(client, self.step, has_session, wave);
        if has_session {
            self.kept += 1;
            *self
                .expiring
                .entry(self.step + self.expiry_steps())
                .or_default() += 1;
        } else {
            self.drop_stored(client, keeps_session);
        }
        let noticed = match fails {
            Some(AttemptFailure::Silent) => {
                let heard = self.rng.u32(0..=fleet.heartbeat_ms);
                heard + fleet.answer_ms
            }
            _ => fleet.round_trip_ms / 2,
        };
        let wait = noticed + self.delay(client, failures) + self.setup_ms();
        let event = ClientEvent {
            client,
            phase: ClientPhase::Connect,
            failures: failures.saturating_add(1),
            filters: 0,
            turn,
        };
        self.wheel.push(self.now_ms + wait, event);
    }
}
