//! Messages of all clients, counted without an event for each.
//!
//! A table says how many messages were addressed to a client up to each step; a client's part of an
//! interval is a difference of two whole numbers, with a phase of its own in place of chance. The
//! parts of adjacent intervals add up exactly, so that an interval which is forgotten or counted
//! twice shows as a difference between the messages addressed and those that have a fate
//! ([`super::invariant`]). Other tables say in the same way which part of a step was stored, was
//! lost to the outbound quota, and how many stored messages a session has given.

use std::collections::BTreeMap;

use super::bridge_queue::STEP_MS;
use super::outcome::LossCause;
use super::scenario::{AccountQuotas, RecoveryScenario};

const STEPS_PER_SECOND: f64 = 1_000.0 / STEP_MS as f64;

/// The fractional part of the golden ratio: multiples of it are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The tables and the sums.
#[derive(Clone, Debug)]
pub(crate) struct MessageLedger {
    quotas: AccountQuotas,
    clients: f64,
    fan_out: f64,
    qos: u8,
    addressed: Vec<f64>,
    stored: Vec<f64>,
    crowded_out: Vec<f64>,
    given: Vec<f64>,
    /// Sessions whose last stored message is given once the table has reached the key.
    finishing: BTreeMap<u64, u64>,
    giving: u64,
    /// Messages of QoS 1 that wait for the outbound quota.
    pub(crate) waiting_out: f64,
    /// Messages stored at present, as the curve shows it.
    pub(crate) stored_now: f64,
    pub(crate) delivered: u64,
    pub(crate) delivered_late: u64,
    pub(crate) lost: [u64; LossCause::ALL.len()],
}

/// Number of clients in each state during a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience {
    pub(crate) live: u64,
    /// Away, with a session.
    pub(crate) kept: u64,
}

impl MessageLedger {
    pub(crate) fn new(scenario: &RecoveryScenario) -> Self {
        let bridge = scenario.bridge.as_ref();
        Self {
            quotas: scenario.limits.clone(),
            clients: f64::from(scenario.clients.count),
            fan_out: bridge.map_or(0.0, |bridge| f64::from(bridge.fan_out)),
            qos: scenario.clients.qos,
            addressed: vec![0.0],
            stored: vec![0.0],
            crowded_out: vec![0.0],
            given: vec![0.0],
            finishing: BTreeMap::new(),
            giving: 0,
            waiting_out: 0.0,
            stored_now: 0.0,
            delivered: 0,
            delivered_late: 0,
            lost: [0; LossCause::ALL.len()],
        }
    }

    /// The step that began last.
    pub(crate) fn now(&self) -> u32 {
        (self.addressed.len() - 1) as u32
    }

    /// Enters a step in which so many events were published.
    pub(crate) fn step(&mut self, published: u64, audience: Audience) {
        let each = published as f64 * self.fan_out / self.clients;
        push(&mut self.addressed, each);
        let to_kept = each * audience.kept as f64;
        let storable = self.per_step(self.quotas.stored_quota, to_kept);
        let stored = if self.qos == 1 { storable } else { 0.0 };
        push(&mut self.stored, each * stored);
        self.stored_now += to_kept * stored;
        let to_live = each * audience.live as f64;
        let room = match self.quotas.outbound_quota {
            0 => f64::INFINITY,
            quota => f64::from(quota) / STEPS_PER_SECOND,
        };
        let mut left = room;
        if self.qos == 1 {
            // Beyond the quota messages come later.
            let asked = to_live + self.waiting_out;
            let sent = asked.min(room);
            self.waiting_out = asked - sent;
            left -= sent;
            push(&mut self.crowded_out, 0.0);
        } else {
            let sent = to_live.min(room);
            left -= sent;
            let lost = if to_live > 0.0 {
                1.0 - sent / to_live
            } else {
                0.0
            };
            push(&mut self.crowded_out, each * lost);
        }
        let most = f64::from(self.quotas.stored_rate) / STEPS_PER_SECOND;
        let rate = match self.giving {
            0 => 0.0,
            giving => most.min(left / giving as f64),
        };
        self.stored_now = (self.stored_now - rate * self.giving as f64).max(0.0);
        push(&mut self.given, rate);
        let reached = self.given.last().copied().unwrap_or_default();
        while let Some(first) = self.finishing.first_entry()
            && *first.key() as f64 <= reached
        {
            self.giving -= first.remove();
        }
    }

    /// The part of an amount that a quota has room for in a step.
    fn per_step(&self, quota: u32, amount: f64) -> f64 {
        let room = f64::from(quota) / STEPS_PER_SECOND;
        if quota == 0 || amount <= room {
            1.0
        } else {
            room / amount
        }
    }

    /// Messages to one client between two steps.
    pub(crate) fn addressed(&self, client: u32, from: u32, to: u32) -> u64 {
        part(&self.addressed, client, from, to)
    }

    /// Messages to one client that is live between two steps: those that come, and those for which
    /// the outbound quota had no room.
    pub(crate) fn live(&mut self, client: u32, from: u32, to: u32) {
        let all = self.addressed(client, from, to);
        let lost = part(&self.crowded_out, client, from, to).min(all);
        self.delivered += all - lost;
        self.lose(LossCause::OutboundQuota, lost);
    }

    /// Messages to one client that has `granted` of `channels` subscriptions between two steps.
    pub(crate) fn partly(
        &mut self,
        client: u32,
        (from, to): (u32, u32),
        granted: u8,
        channels: u8,
    ) {
        let all = self.addressed(client, from, to);
        let came = all * u64::from(granted) / u64::from(channels.max(1));
        self.delivered += came;
        self.lose(LossCause::NotSubscribed, all - came);
    }

    /// Messages to one client that is away, with a session until `kept_until`. Returns the messages
    /// that its session holds at the end.
    pub(crate) fn away(
        &mut self,
        client: u32,
        (from, kept_until, to): (u32, u32, u32),
        held: u16,
    ) -> u16 {
        let while_kept = self.addressed(client, from, kept_until);
        let mut now = u64::from(held);
        if self.qos == 1 {
            let storable = part(&self.stored, client, from, kept_until).min(while_kept);
            let room = u64::from(self.quotas.stored_per_session).saturating_sub(now);
            let stored = storable.min(room);
            self.lose(LossCause::StoredQuota, while_kept - storable);
            self.lose(LossCause::SessionFull, storable - stored);
            now += stored;
        } else {
            self.lose(LossCause::OfflineQos0, while_kept);
        }
        if kept_until < to {
            self.lose(LossCause::SessionExpired, now);
            now = 0;
            let later = self.addressed(client, kept_until, to);
            self.lose(LossCause::NoSession, later);
        }
        // No session holds more than its bound, which is 16 bits.
        now as u16
    }

    /// A session begins to give its stored messages at a step.
    pub(crate) fn begin_giving(&mut self, held: u16, from: u32) {
        if held > 0 {
            let last = at(&self.given, from) + f64::from(held);
            *self.finishing.entry(last.ceil() as u64).or_default() += 1;
            self.giving += 1;
        }
    }

    /// Stored messages that a session has given between two steps. Returns those that it still
    /// holds; `is_over` where it stops giving because its client is lost.
    pub(crate) fn given(&mut self, held: u16, from: u32, to: u32, is_over: bool) -> u16 {
        if held == 0 {
            return 0;
        }
        let (begin, end) = (at(&self.given, from), at(&self.given, to));
        let last = (begin + f64::from(held)).ceil() as u64;
        let given = if last as f64 <= end {
            u64::from(held)
        } else {
            ((end - begin) as u64).min(u64::from(held))
        };
        if is_over && let Some(sessions) = self.finishing.get_mut(&last) {
            *sessions -= 1;
            if *sessions == 0 {
                self.finishing.remove(&last);
            }
            self.giving -= 1;
        }
        self.delivered += given;
        self.delivered_late += given;
        (u64::from(held) - given) as u16
    }

    /// Enters losses.
    pub(crate) fn lose(&mut self, cause: LossCause, count: u64) {
        if let Some(sum) = self.lost.get_mut(cause as usize) {
            *sum += count;
        }
    }

    /// Messages that a client was sent to store since a step, as the curve counts them.
    pub(crate) fn stored_since(&self, from: u32) -> f64 {
        let now = self.now();
        at(&self.stored, now) - at(&self.stored, from)
    }

    /// Returns `true` where nothing waits for the outbound quota or for a session's rate.
    pub(crate) fn is_idle(&self) -> bool {
        self.giving == 0 && self.waiting_out < 1.0
    }

    /// Messages that were addressed to all clients, by the published events.
    pub(crate) fn addressed_to_all(&self) -> f64 {
        at(&self.addressed, self.now()) * self.clients
    }
}

fn push(table: &mut Vec<f64>, more: f64) {
    let last = table.last().copied().unwrap_or_default();
    table.push(last + more);
}

fn at(table: &[f64], step: u32) -> f64 {
    let last = table.last().copied().unwrap_or_default();
    table.get(step as usize).copied().unwrap_or(last)
}

/// The whole messages of one client between two steps of a table.
fn part(table: &[f64], client: u32, from: u32, to: u32) -> u64 {
    let phase = (f64::from(client) * GOLDEN).fract();
    let until = |step| (at(table, step) + phase) as u64;
    until(to).saturating_sub(until(from))
}
