//! An attempt to connect: outages, the gateway's rate, the client id's interval, the CONNECT quota
//! and the authorizer, in the order in which they are asked.
//!
//! A refused attempt touches nothing but its event and the counters: at ten million clients there
//! are hundreds of millions of them.

use super::SimulationRun;
use crate::simulation::function_pool::FunctionCall;
use crate::simulation::scenario::{AttemptFailure, JitterKind};
use crate::simulation::wheel::{ClientEvent, ClientPhase};

/// The factor of delays in hidden tabs.
const HIDDEN_FACTOR: u32 = 4;

/// Failures beyond which a delay does not grow, in the client module and here.
const MOST_DOUBLINGS: u8 = 20;

impl SimulationRun<'_> {
    /// A CONNECT arrives, or would.
    pub(super) fn connect(&mut self, event: ClientEvent, too_soon: bool) {
        self.connect_totals.attempts += 1;
        self.counts.attempts += 1;
        if let Some(fails) = self.outage_of(event.client) {
            self.connect_totals.unreachable += 1;
            self.unreachable(event, fails);
            return;
        }
        if self.is_gateway_client(event.client) && self.sessions.take(self.now_ms, 1) == 0 {
            self.connect_totals.gateway += 1;
            self.refuse(event, 0);
            return;
        }
        if too_soon {
            self.connect_totals.client_id += 1;
            self.refuse(event, 0);
            return;
        }
        let before = self
            .scenario
            .authorizer
            .as_ref()
            .is_some_and(|authorizer| authorizer.before_quota);
        if !before && !self.has_quota() {
            self.refuse(event, 0);
            return;
        }
        let Some(function) = &mut self.function else {
            self.admit(event);
            return;
        };
        let call = function.begin(self.now_ms, &mut self.rng);
        self.counts.authorizer = self.counts.authorizer.max(function.busy());
        let (phase, after) = match call {
            FunctionCall::Answered(after) => (ClientPhase::Authorized, after),
            FunctionCall::TimedOut(after) => (ClientPhase::NotAuthorized, after),
            FunctionCall::Throttled => {
                self.connect_totals.authorizer_throttled += 1;
                self.refuse(event, 0);
                return;
            }
        };
        self.wheel
            .push(self.now_ms + after, ClientEvent { phase, ..event });
    }

    /// The account's quota has room for one more.
    fn has_quota(&mut self) -> bool {
        let has_room = self.connects.take(self.now_ms, 1) == 1;
        if has_room {
            self.second[0] += 1;
        } else {
            self.connect_totals.connect_quota += 1;
        }
        has_room
    }

    /// The authorizer lets a client in.
    pub(super) fn authorized(&mut self, event: ClientEvent) {
        let load = self.scenario.authorizer.as_ref();
        if let Some(function) = &mut self.function {
            function.end();
        }
        if let Some(fails) = self.outage_of(event.client) {
            self.connect_totals.unreachable += 1;
            self.unreachable(event, fails);
        } else if load.is_some_and(|load| load.before_quota) && !self.has_quota() {
            self.refuse(event, load.map_or(0, |load| load.duration_ms));
        } else {
            self.admit(event);
        }
    }

    /// The authorizer did not answer in time.
    pub(super) fn not_authorized(&mut self, event: ClientEvent) {
        if let Some(function) = &mut self.function {
            function.end();
        }
        self.connect_totals.authorizer_timeout += 1;
        let waited = self
            .scenario
            .authorizer
            .as_ref()
            .map_or(0, |load| load.timeout_ms);
        self.refuse(event, waited);
    }

    /// Time from the begin of an attempt to its CONNECT's arrival: TCP, TLS 1.3, the WebSocket, and
    /// half a round trip.
    pub(super) fn setup_ms(&self) -> u32 {
        self.scenario.clients.round_trip_ms * 7 / 2
    }

    /// The broker refuses an attempt that has waited so long for its answer.
    fn refuse(&mut self, event: ClientEvent, waited_ms: u32) {
        self.counts.refused += 1;
        let clients = &self.scenario.clients;
        let taken = self.setup_ms() + clients.round_trip_ms / 2 + waited_ms;
        let least = clients.connect_interval_ms.max(taken) - waited_ms;
        let wait = least + self.delay(event.client, event.failures);
        let between = wait + waited_ms;
        let phase = if between < self.scenario.limits.client_id_interval_ms {
            ClientPhase::ConnectTooSoon
        } else {
            ClientPhase::Connect
        };
        self.again(ClientEvent { phase, ..event }, wait);
    }

    /// The broker cannot be reached: no CONNECT is sent.
    fn unreachable(&mut self, event: ClientEvent, fails: AttemptFailure) {
        self.counts.refused += 1;
        let clients = &self.scenario.clients;
        let failed = match fails {
            AttemptFailure::Refused => clients.round_trip_ms,
            AttemptFailure::Silent => clients.connect_timeout_ms,
        };
        let wait = failed + self.delay(event.client, event.failures);
        let phase = ClientPhase::Connect;
        self.again(ClientEvent { phase, ..event }, wait);
    }

    fn again(&mut self, event: ClientEvent, wait_ms: u32) {
        let event = ClientEvent {
            failures: event.failures.saturating_add(1),
            ..event
        };
        self.wheel.push(self.now_ms.saturating_add(wait_ms), event);
    }

    /// The delay after so many failures (`delayOf` of `browser/eventcast.js`).
    pub(super) fn delay(&mut self, client: u32, failures: u8) -> u32 {
        let clients = &self.scenario.clients;
        let doubled = u64::from(clients.backoff_first_ms) << failures.min(MOST_DOUBLINGS);
        let most = doubled.min(u64::from(clients.backoff_longest_ms)) as u32;
        let random = |rng: &mut fastrand::Rng, range: u32| {
            ((u64::from(rng.u32(..)) * (u64::from(range) + 1)) >> 32) as u32
        };
        let delay = match clients.jitter {
            JitterKind::Full => random(&mut self.rng, most),
            JitterKind::Equal => most / 2 + random(&mut self.rng, most - most / 2),
            JitterKind::None => most,
        };
        if clients.hidden_percent > 0 && self.is_among(client, clients.hidden_percent, HIDDEN) {
            delay * HIDDEN_FACTOR
        } else {
            delay
        }
    }

    /// Failure of a client's attempt, where an outage hits it.
    pub(super) fn outage_of(&self, client: u32) -> Option<AttemptFailure> {
        let hit = self.outages.iter().find(|outage| {
            outage.percent >= 100
                || self.is_among(client, outage.percent, outage.disturbance as u64)
        })?;
        Some(hit.fails)
    }

    pub(super) fn is_gateway_client(&self, client: u32) -> bool {
        let gateway = self.scenario.gateway.as_ref();
        gateway.is_some_and(|gateway| self.is_among(client, gateway.percent, GATEWAY))
    }

    /// The gateway's task of a client.
    pub(super) fn gateway_task(&self, client: u32, tasks: u32) -> u32 {
        (mixed(self.salt ^ TASK, client) % u64::from(tasks.max(1))) as u32
    }

    /// A choice of clients by per cent, which is the same at every time.
    pub(super) fn is_among(&self, client: u32, percent: u8, choice: u64) -> bool {
        let hash = mixed(
            self.salt ^ choice.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            client,
        );
        ((hash >> 32) * 100) >> 32 < u64::from(percent)
    }
}

/// Choices beside those of disturbances, which are small numbers.
const HIDDEN: u64 = 1 << 32;
const GATEWAY: u64 = 2 << 32;
const TASK: u64 = 3 << 32;

/// The finalizer of SplitMix64.
fn mixed(salt: u64, client: u32) -> u64 {
    let mut hash = salt.wrapping_add(u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
