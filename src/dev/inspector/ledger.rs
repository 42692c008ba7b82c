//! Event store in memory: the latest events with their timelines, channels with their rates,
//! actions and denials of clients.
//!
//! Everything is bounded; the oldest entries are removed first. [`Inspector`](super::Inspector)
//! feeds the store; the page, the command line and the demo read it. It never slows the broker, the
//! bus or the queues: where the store reads too slowly, it misses observations and counts them.

pub mod log;
pub mod pulse;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use log::{ClientActivity, RecentLog};
use pulse::{LiveStatistics, LiveTotals};

use super::channels::ChannelCounts;
use super::rates::{MinuteRate, RecentLatencies, second};
use super::trail::{EpochMicros, EventTimeline, TimelineStep, between, micros};
use super::trails::EventTimelines;

use crate::dev::broker::observe::{BrokerEvent, BrokerObservation, ClientRights, EventCorrelation};
use crate::dev::sighting::{Seen, Sighting};
use crate::route::table::RouteTable;

/// Number of the latest actions of clients that are kept, and of the latest denials.
const DOINGS: usize = 500;
const DENIALS: usize = 200;

/// Maximum number of routes with counted publications; a publisher may name any route.
const ROUTES: usize = 300;

/// Number of clients whose rights are kept; each is a few documents.
const RIGHTS: usize = 100;

/// Store of the observed events.
pub struct EventStore {
    /// Routes by which bodies are decoded, as in the bridge.
    routes: RwLock<Arc<RouteTable>>,
    /// Time at which the store was started.
    began: EpochMicros,
    state: Mutex<EventStoreState>,
}

#[derive(Default)]
struct EventStoreState {
    /// Version, which grows with each change.
    version: u64,
    /// `true` where events are observed on a bus or in a queue here, before messages of them are
    /// published.
    is_sighted: bool,
    trails: EventTimelines,
    channels: ChannelCounts,
    doings: RecentLog,
    denials: RecentLog,
    /// Rights of the latest clients, which outlive their connections.
    rights: VecDeque<ClientRights>,
    totals: LiveTotals,
    /// Publications per route.
    routes: BTreeMap<Box<str>, MinuteRate>,
    latencies: RecentLatencies,
    missed: u64,
}

/// Changes since a version.
#[derive(Debug, Serialize)]
pub struct ChangesSince {
    /// Version to pass in the next request.
    pub version: u64,
    /// Events that have changed, the newest first; without their entries.
    pub events: Vec<EventTimeline>,
    /// Actions of clients, the latest first.
    pub doings: Vec<ClientActivity>,
    /// Denials, the latest first.
    pub denials: Vec<ClientActivity>,
}

impl EventStore {
    /// Creates an empty store. `routes` decode bodies as events.
    pub fn new(routes: Arc<RouteTable>) -> Self {
        Self {
            routes: RwLock::new(routes),
            began: now(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, EventStoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the routes by which events are decoded.
    pub fn routes(&self) -> Arc<RouteTable> {
        let routes = self.routes.read();
        Arc::clone(&routes.unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the routes by which events are decoded, as after a reload.
    pub fn set_routes(&self, routes: Arc<RouteTable>) {
        let mut current = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        *current = routes;
    }

    /// Returns the timeline of an event, and its body.
    pub fn trail(&self, id: &str) -> Option<(EventTimeline, Option<Bytes>)> {
        self.state().trails.find(id)
    }

    /// Returns the changes since a version: up to `count` of each kind.
    pub fn news(&self, since: u64, count: usize) -> ChangesSince {
        let state = self.state();
        ChangesSince {
            version: state.version,
            events: state.trails.since(since, count),
            doings: state.doings.since(since, count, |_| true),
            denials: state.denials.since(since, count, |_| true),
        }
    }

    /// Returns the actions and the denials of a client, the latest first.
    pub fn of_client(
        &self,
        client: &str,
        count: usize,
    ) -> (Vec<ClientActivity>, Vec<ClientActivity>) {
        let state = self.state();
        let is_its = |doing: &ClientActivity| *doing.client == *client;
        let denials = state.denials.since(0, count, is_its);
        (state.doings.since(0, count, is_its), denials)
    }

    /// Returns one line on recent connections that were refused before their client id was known,
    /// such as WebSockets with a bad token in the URL; `None` without any.
    pub fn strangers(&self) -> Option<String> {
        let state = self.state();
        let is_stranger = |doing: &ClientActivity| {
            doing.client.is_empty() && matches!(doing.what, BrokerEvent::Refused { .. })
        };
        let strangers = state.denials.since(0, DENIALS, is_stranger);
        let latest = strangers.first()?;
        let BrokerEvent::Refused { why } = &latest.what else {
            return None;
        };
        let at = Timestamp::from_microsecond(latest.at).ok()?;
        let (count, were) = match strangers.len() {
            1 => ("1 connection", "was"),
            count => (&*format!("{count} connections"), "were"),
        };
        Some(format!(
            "{count} {were} refused before a client id was known, the latest at {at}: {why}"
        ))
    }

    /// Returns a page of topics, as `ChannelCounts::told` does.
    pub fn channels(
        &self,
        count: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> super::channels::TopicPage {
        self.state().channels.told(second(now()), count, wanted)
    }

    /// Returns the rights that a client had on its last connection, if they are still kept.
    pub fn rights(&self, client: &str) -> Option<ClientRights> {
        let state = self.state();
        let known = state.rights.iter();
        known
            .rev()
            .find(|rights| *rights.client.id == *client)
            .cloned()
    }

    /// Returns the number of messages that a route has published, and its rate per second.
    pub fn of_route(&self, route: &str) -> (u64, f64) {
        let state = self.state();
        let rate = state.routes.get(route);
        rate.map_or((0, 0.0), |rate| {
            (rate.total(), rate.per_second(second(now())))
        })
    }

    /// Returns the live statistics.
    pub fn pulse(&self) -> LiveStatistics {
        let state = self.state();
        let latencies = &state.latencies;
        state
            .totals
            .pulse((self.began, now()), latencies, state.missed)
    }

    /// Counts missed observations.
    pub(super) fn miss(&self, count: u64) {
        self.state().missed += count;
    }

    /// Records an observation of the bus or a queue.
    pub(super) fn sight(&self, Sighting { at, what }: Sighting) {
        let at = micros(at);
        let mut state = self.state();
        match what {
            Seen::Put {
                event_id,
                bus,
                envelope,
                rules,
            } => {
                let body = Bytes::copy_from_slice(envelope.as_bytes());
                state.event(&event_id, at, TimelineStep::Put { bus, rules });
                state
                    .trails
                    .describe(&event_id, &body, &event_id, &self.routes());
            }
            Seen::Unsent {
                event_id,
                rule,
                target,
                why,
            } => state.event(&event_id, at, TimelineStep::Unsent { rule, target, why }),
            Seen::Queued { .. } => self.queued(&mut state, at, what),
            Seen::Received {
                queue,
                message_id,
                attempt,
            } => state.message(&message_id, at, TimelineStep::Received { queue, attempt }),
            Seen::Hidden {
                queue,
                message_id,
                seconds,
            } => state.message(&message_id, at, TimelineStep::Hidden { queue, seconds }),
            Seen::Deleted { queue, message_id } => {
                state.message(&message_id, at, TimelineStep::Deleted { queue });
            }
            Seen::Redriven {
                queue,
                message_id,
                to,
            } => state.message(&message_id, at, TimelineStep::Redriven { queue, to }),
        }
    }

    /// Records a message in a queue: an event, or a dead-letter message that contains one.
    fn queued(&self, state: &mut EventStoreState, at: EpochMicros, seen: Seen) {
        let Seen::Queued {
            queue,
            message_id,
            body,
            from,
            dead_letter,
        } = seen
        else {
            return;
        };
        let body = read_body(&body);
        let was = dead_letter
            .as_ref()
            .and_then(|letter| letter.was.as_deref());
        let was = was.and_then(|was| state.trails.tied(was));
        let (id, rule) = match (from, was) {
            (Some((id, rule)), _) => (id, Some(rule)),
            (None, Some(id)) => (id, None),
            (None, None) => (self.event_id(&body, &message_id), None),
        };
        let step = TimelineStep::Queued {
            queue,
            message_id: Arc::clone(&message_id),
            rule,
            dead_letter: dead_letter.map(|letter| letter.why),
        };
        state.event(&id, at, step);
        let routes = self.routes();
        state.trails.describe(&id, &body, &message_id, &routes);
        state.trails.tie(&message_id, &id);
    }

    /// Returns the id of the event in a body, or the message's id where the body is no event.
    fn event_id(&self, body: &Bytes, message_id: &Arc<str>) -> Arc<str> {
        match self.routes().decode(body, &**message_id) {
            Ok(event) => event.id().into(),
            Err(_) => Arc::clone(message_id),
        }
    }

    /// Records an event of the broker.
    pub(super) fn observe(&self, seen: BrokerObservation) {
        let at = micros(seen.at);
        let mut state = self.state();
        match seen.what {
            BrokerEvent::Published {
                topic,
                bytes,
                qos,
                retain,
                sessions,
                mark,
            } => {
                state.totals.messages.one(second(at));
                state.channels.published(&topic, second(at));
                if let Some(route) = mark.as_ref().and_then(|mark| mark.route.as_ref()) {
                    state.routed(route, second(at));
                }
                state.step_of(mark, |mark| {
                    let step = TimelineStep::Published {
                        topic,
                        route: mark.route,
                        client: seen.client_id,
                        bytes,
                        qos,
                        retain,
                        sessions,
                    };
                    (micros(mark.published), step)
                });
            }
            BrokerEvent::Delivered {
                topic,
                qos,
                retained,
                again,
                mark,
                ..
            } => {
                state.totals.deliveries.one(second(at));
                state.channels.delivered(&topic, second(at));
                let client = seen.client_id;
                let began = state.step_of(mark, |_| {
                    let step = TimelineStep::Delivered {
                        topic,
                        client,
                        qos,
                        retained,
                    };
                    (at, step)
                });
                // Retained and redelivered messages are excluded from latency.
                if let Some(began) = began.filter(|_| !retained && !again) {
                    state.latencies.add(between(began, at));
                }
            }
            BrokerEvent::Dropped { topic, why, mark } => {
                let step = TimelineStep::Withheld {
                    topic: topic.clone(),
                    client: Arc::clone(&seen.client_id),
                    why: why.clone(),
                };
                state.step_of(mark, |_| (at, step));
                let what = BrokerEvent::Dropped {
                    topic,
                    why,
                    mark: None,
                };
                state.denied(at, seen.client_id, what);
            }
            what @ (BrokerEvent::Refused { .. }
            | BrokerEvent::SubscribeDenied { .. }
            | BrokerEvent::PublishDenied { .. }) => state.denied(at, seen.client_id, what),
            what @ (BrokerEvent::Connected { .. }
            | BrokerEvent::Disconnected { .. }
            | BrokerEvent::Subscribed { .. }
            | BrokerEvent::Unsubscribed { .. }) => state.did(at, seen.client_id, what),
        }
    }
}

impl EventStoreState {
    fn event(&mut self, id: &Arc<str>, at: EpochMicros, step: TimelineStep) {
        self.version += 1;
        self.is_sighted = true;
        if self.trails.add(id, at, step, self.version).is_new {
            self.totals.events.one(second(at));
        }
    }

    fn message(&mut self, message_id: &str, at: EpochMicros, step: TimelineStep) {
        if let Some(id) = self.trails.tied(message_id) {
            self.event(&id, at, step);
        }
    }

    /// Adds a step to the event that a mark names; returns the event's start, where it is known.
    fn step_of(
        &mut self,
        mark: Option<Box<EventCorrelation>>,
        step: impl FnOnce(EventCorrelation) -> (EpochMicros, TimelineStep),
    ) -> Option<EpochMicros> {
        let mark = *mark?;
        let id: Arc<str> = mark.event_id.as_ref().into();
        let (at, step) = step(mark);
        self.version += 1;
        let added = self.trails.add(&id, at, step, self.version);
        if !added.is_new {
            return Some(added.began);
        }
        // With a bus or a queue in this process, the event was already counted and then forgotten:
        // it is not new, and its start is unknown.
        if !self.is_sighted {
            self.totals.events.one(second(at));
        }
        None
    }

    fn routed(&mut self, route: &str, second: i64) {
        if let Some(rate) = self.routes.get_mut(route) {
            rate.one(second);
        } else if self.routes.len() < ROUTES {
            self.routes.entry(route.into()).or_default().one(second);
        }
    }

    fn doing(&mut self, at: EpochMicros, client: Arc<str>, what: BrokerEvent) -> ClientActivity {
        self.version += 1;
        ClientActivity {
            version: self.version,
            at,
            client,
            what,
        }
    }

    fn did(&mut self, at: EpochMicros, client: Arc<str>, what: BrokerEvent) {
        if let BrokerEvent::Connected { rights, .. } = &what {
            self.rights.retain(|known| known.client.id != client);
            if self.rights.len() >= RIGHTS {
                self.rights.pop_front();
            }
            self.rights.push_back(rights.clone());
        }
        let doing = self.doing(at, client, what);
        self.doings.add(doing, DOINGS);
    }

    fn denied(&mut self, at: EpochMicros, client: Arc<str>, what: BrokerEvent) {
        self.totals.denied.one(second(at));
        let doing = self.doing(at, client, what);
        self.denials.add(doing, DENIALS);
    }
}

fn now() -> EpochMicros {
    micros(SystemTime::now())
}

/// Decodes a body, which a queue stores as a JSON string.
fn read_body(quoted: &str) -> Bytes {
    match serde_json::from_str::<String>(quoted) {
        Ok(body) => body.into(),
        Err(_) => Bytes::copy_from_slice(quoted.as_bytes()),
    }
}

#[cfg(test)]
mod tests;
