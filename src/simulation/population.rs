//! All clients: an array for each property, ten bytes a client.
//!
//! Invariant: a client becomes live only from [`ClientState::Connected`], which it enters only when
//! its CONNECT is admitted.
#![expect(
    clippy::indexing_slicing,
    reason = "clients are numbered from 0 below the length of every array, and random access to ten million is the model's inner loop"
)]

use super::scenario::RecoveryScenario;

/// State of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientState {
    /// All its channels are heard.
    Live,
    /// Not connected.
    Away,
    /// Connected, and some channels are not heard.
    Connected,
}

/// Clients in each state, and the arrays.
#[derive(Debug)]
pub(crate) struct ClientPopulation {
    state: Vec<u8>,
    /// The step since which the client is in its state, or has so many channels.
    since: Vec<u32>,
    stored: Vec<u16>,
    granted: Vec<u8>,
    wave: Vec<u8>,
    turn: Vec<u8>,
    pub(crate) live: u64,
    pub(crate) away: u64,
    pub(crate) connected: u64,
    /// Transitions that the invariant forbids.
    pub(crate) early_live: u64,
}

const STATE: u8 = 3;
const HAS_SESSION: u8 = 4;
/// Failures of the last recovery, saturated, in the upper half.
const FAILURES_SHIFT: u8 = 4;

/// No wave.
pub(crate) const NO_WAVE: u8 = u8::MAX;

impl ClientPopulation {
    /// Clients that all are live, with sessions where these outlive connections.
    pub(crate) fn new(scenario: &RecoveryScenario) -> Self {
        let count = scenario.clients.count as usize;
        Self {
            state: vec![0; count],
            since: vec![0; count],
            stored: vec![0; count],
            granted: vec![scenario.clients.channels; count],
            wave: vec![NO_WAVE; count],
            turn: vec![0; count],
            live: count as u64,
            away: 0,
            connected: 0,
            early_live: 0,
        }
    }

    pub(crate) fn state(&self, client: u32) -> ClientState {
        match self.state[client as usize] & STATE {
            0 => ClientState::Live,
            1 => ClientState::Away,
            _ => ClientState::Connected,
        }
    }

    fn enter(&mut self, client: u32, state: ClientState) {
        let new = match state {
            ClientState::Live => 0,
            ClientState::Away => 1,
            ClientState::Connected => 2,
        };
        let old = self.state[client as usize] & STATE;
        *self.count_of(old) -= 1;
        *self.count_of(new) += 1;
        self.state[client as usize] ^= old ^ new;
    }

    fn count_of(&mut self, state: u8) -> &mut u64 {
        match state {
            0 => &mut self.live,
            1 => &mut self.away,
            _ => &mut self.connected,
        }
    }

    /// A client loses its connection. Returns its new turn.
    pub(crate) fn lose(&mut self, client: u32, step: u32, has_session: bool, wave: u8) -> u8 {
        self.enter(client, ClientState::Away);
        let at = client as usize;
        self.state[at] = self.state[at] & !HAS_SESSION | if has_session { HAS_SESSION } else { 0 };
        self.since[at] = step;
        self.wave[at] = wave;
        self.turn[at] = self.turn[at].wrapping_add(1);
        self.turn[at]
    }

    /// Its CONNECT is admitted.
    pub(crate) fn admit(&mut self, client: u32, step: u32, granted: u8, failures: u8) {
        if self.state(client) != ClientState::Away {
            self.early_live += 1;
        }
        self.enter(client, ClientState::Connected);
        let at = client as usize;
        self.since[at] = step;
        self.granted[at] = granted;
        self.state[at] = self.state[at] & 0x0f | failures.min(15) << FAILURES_SHIFT;
    }

    /// The client receives from all its channels. Returns the wave that it recovers from.
    pub(crate) fn live(&mut self, client: u32, step: u32) -> u8 {
        if self.state(client) != ClientState::Connected {
            self.early_live += 1;
        }
        self.enter(client, ClientState::Live);
        let at = client as usize;
        self.since[at] = step;
        std::mem::replace(&mut self.wave[at], NO_WAVE)
    }

    /// Some more of its channels are granted.
    pub(crate) fn grant(&mut self, client: u32, step: u32, count: u8) -> u8 {
        let at = client as usize;
        self.since[at] = step;
        self.granted[at] += count;
        self.granted[at]
    }

    pub(crate) fn granted(&self, client: u32) -> u8 {
        self.granted[client as usize]
    }

    pub(crate) fn since(&self, client: u32) -> u32 {
        self.since[client as usize]
    }

    pub(crate) fn set_since(&mut self, client: u32, step: u32) {
        self.since[client as usize] = step;
    }

    pub(crate) fn has_session(&self, client: u32) -> bool {
        self.state[client as usize] & HAS_SESSION != 0
    }

    /// Failures of its last recovery.
    pub(crate) fn failures(&self, client: u32) -> u8 {
        self.state[client as usize] >> FAILURES_SHIFT
    }

    pub(crate) fn wave(&self, client: u32) -> u8 {
        self.wave[client as usize]
    }

    pub(crate) fn set_wave(&mut self, client: u32, wave: u8) {
        self.wave[client as usize] = wave;
    }

    /// The broker has lost its session.
    pub(crate) fn forget_session(&mut self, client: u32) {
        self.state[client as usize] &= !HAS_SESSION;
    }

    pub(crate) fn turn(&self, client: u32) -> u8 {
        self.turn[client as usize]
    }

    pub(crate) fn stored(&self, client: u32) -> u16 {
        self.stored[client as usize]
    }

    pub(crate) fn set_stored(&mut self, client: u32, stored: u16) {
        self.stored[client as usize] = stored;
    }

    /// Clients in each state, counted anew: live, away, connected.
    pub(crate) fn recount(&self) -> [u64; 3] {
        let mut counts = [0; 3];
        for bits in &self.state {
            let at = (bits & STATE).min(2);
            counts[usize::from(at)] += 1;
        }
        counts
    }
}
