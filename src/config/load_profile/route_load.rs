//! The load of one route: its events, their publications, and its subscribers.

use super::keys::{
    ACCEPTED_BYTES, ACCEPTED_COUNT, ACCEPTED_FAN_OUT, ACCEPTED_RATE, ACCEPTED_SHARE,
};
use super::quantity::{bytes, count, rate, share};
use super::{EventRate, value_at};
use crate::config::check::{Faults, did_you_mean, join};
use crate::config::fault::Severity;
use crate::config::member;
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// The most events or messages a second that a description may have.
const MOST_PER_SECOND: f64 = 1e9;

/// The most bytes of an event on the bus (EventBridge user guide, "PutEvents": 1 MB).
const MOST_BYTES: f64 = 1_048_576.0;

/// Number of clients that receive a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FanOut {
    /// So many, in the mean.
    Clients(f64),
    /// Every connected client: a broadcast.
    All,
}

/// Load of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteLoad {
    /// The route's name in the configuration.
    pub name: String,
    /// Events that the route takes.
    pub events: EventRate,
    /// Messages that it makes of an event; `None` where the route's targets say so.
    pub topics: Option<f64>,
    /// Clients that receive a message.
    pub subscribers: FanOut,
    /// Bytes of a payload.
    pub payload_bytes: f64,
    /// QoS of deliveries; `None` where the route says so.
    pub qos: Option<u8>,
    /// Part of the messages that a newer one of their topic replaces where the route conflates.
    pub conflated_share: f64,
}

impl RouteLoad {
    /// A load of a route about which nothing is known: ten events a day for each client, each to
    /// one of them, of 1 KB.
    pub fn assumed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            events: EventRate::per_client(10.0 / 86_400.0),
            topics: None,
            subscribers: FanOut::Clients(1.0),
            payload_bytes: 1_024.0,
            qos: None,
            conflated_share: 0.0,
        }
    }
}

/// Reads `routes`. Without a mapping, each known route has the assumed load.
pub(super) fn read(
    root: &TreeValue,
    known: Option<&[&str]>,
    faults: &mut Faults<'_>,
) -> Vec<RouteLoad> {
    let Some(node) = member(root, "routes") else {
        let known = known.unwrap_or_default().iter();
        return known.map(|name| RouteLoad::assumed(name)).collect();
    };
    let NodeValue::Object(members) = &node.value else {
        return Vec::new();
    };
    let mut routes: Vec<RouteLoad> = Vec::new();
    for route in members.iter().filter(|route| !route.key.starts_with("x-")) {
        if let Some(known) = known
            && !known.contains(&&*route.key)
        {
            let key = join("routes", &route.key);
            let message = format!("the configuration has no route `{}`", route.key);
            let fault = faults.error("unknown-route", &key, route.key_at, message);
            fault.accepted = Some(known.join(", "));
            fault.help = did_you_mean(&route.key, known.iter().copied());
        }
        routes.retain(|other| other.name != *route.key);
        routes.push(read_one(&route.key, &route.value, faults));
    }
    for name in known.unwrap_or_default() {
        if !routes.iter().any(|route| route.name == *name) {
            let message = format!("the route `{name}` has no load: it counts as idle");
            let key = join("routes", name);
            let fault = faults.error("route-without-load", &key, node.at, message);
            fault.severity = Severity::Warning;
            fault.help = Some(format!("add routes.{name} with its `events`"));
        }
    }
    routes
}

fn read_one(name: &str, node: &TreeValue, faults: &mut Faults<'_>) -> RouteLoad {
    let path = join("routes", name);
    let usual = RouteLoad::assumed(name);
    let load = RouteLoad {
        events: value_at(
            node,
            &path,
            "events",
            usual.events,
            ACCEPTED_RATE,
            faults,
            rate,
        ),
        topics: member(node, "topics")
            .map(|_| value_at(node, &path, "topics", 1.0, ACCEPTED_COUNT, faults, count)),
        subscribers: value_at(
            node,
            &path,
            "subscribers",
            usual.subscribers,
            ACCEPTED_FAN_OUT,
            faults,
            fan_out,
        ),
        payload_bytes: bytes_of(node, "payload", &path, usual.payload_bytes, faults),
        qos: match member(node, "qos").map(|node| &node.value) {
            Some(NodeValue::Number(level)) => level.parse().ok(),
            _ => None,
        },
        conflated_share: value_at(
            node,
            &path,
            "conflated",
            usual.conflated_share,
            ACCEPTED_SHARE,
            faults,
            share,
        ),
        name: usual.name,
    };
    if let Some(node) = member(node, "events") {
        within_rate(load.events, &join(&path, "events"), node, faults);
    }
    load
}

/// Refuses a rate with which sums would be no numbers.
pub(super) fn within_rate(rate: EventRate, key: &str, node: &TreeValue, faults: &mut Faults<'_>) {
    if rate.per_second(1.0) > MOST_PER_SECOND {
        let message = format!("`{key}` is {}", super::shown(node));
        faults.error("out-of-range", key, node.at, message).accepted =
            Some(format!("at most {MOST_PER_SECOND}/s"));
    }
}

/// The size of a key, within the bounds of an event.
pub(super) fn bytes_of(
    node: &TreeValue,
    key: &str,
    path: &str,
    usual: f64,
    faults: &mut Faults<'_>,
) -> f64 {
    let read = |text: &str| bytes(text).filter(|bytes| (1.0..=MOST_BYTES).contains(bytes));
    value_at(node, path, key, usual, ACCEPTED_BYTES, faults, read)
}

fn fan_out(text: &str) -> Option<FanOut> {
    match text {
        "all" => Some(FanOut::All),
        _ => count(text).filter(|most| *most <= 1e9).map(FanOut::Clients),
    }
}
