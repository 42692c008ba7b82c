//! Load descriptions: the number of a platform's clients, their activity, and the load of each
//! route.
//!
//! ```yaml
//! clients: 1M
//! connected: 2h              # of a day
//! reconnects: 6              # a day
//! routes:
//!   order-updates:
//!     events: 50/d per client
//!     payload: 900
//! ```
//!
//! As with the configuration, all faults of a file are reported at once, and a held profile is a
//! right one. Values of flags take precedence over those of the file.

mod keys;
mod quantity;
mod route_load;
mod write;

use std::time::Duration;

use saphyr_parser::ScalarStyle;

use self::keys::{ACCEPTED_COUNT, ACCEPTED_NUMBER, ACCEPTED_RATE, ACCEPTED_SHARE, FILE, about_key};
pub use self::quantity::EventRate;
use self::quantity::{count, number, rate, share};
pub use self::route_load::{FanOut, RouteLoad};
use super::check::{self, Faults, text_of};
use super::fault::{Fault, Severity, ValuePlace};
use super::section::time;
use super::shape::Shape;
use super::{member, text, yaml};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// The most clients that a profile may have: a hundred times as many as the largest worked platform
/// has.
const MOST_CLIENTS: f64 = 1e9;

/// A day, the unit of clients' activity.
pub const DAY: Duration = Duration::from_secs(86_400);

/// Days of a month in bills.
pub const MONTH_DAYS: f64 = 30.0;

/// Load of a platform.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadProfile {
    /// The Region, for quotas and prices.
    pub region: Option<String>,
    /// Clients that come in a day.
    pub clients: f64,
    /// Time of a day that a client is connected.
    pub connected: Duration,
    /// Times a day that a client connects, the first time included.
    pub reconnects_per_day: f64,
    /// Topic filters that a client subscribes to.
    pub channels: f64,
    /// The busiest second over the mean one.
    pub peak: f64,
    /// Part of the clients that use the gateway, 0 to 1.
    pub polling_share: f64,
    /// Part of its connected time for which a client's page is hidden, 0 to 1.
    pub hidden_share: f64,
    /// Time for which the broker keeps a session without its client.
    pub session_expiry: Duration,
    /// Time from the loss of a connection to the next one.
    pub away: Duration,
    /// Time that the outage lasts of which recovery is computed.
    pub outage: Duration,
    /// Time within which all clients are to be live after it, where there is such a target.
    pub recover_within: Option<Duration>,
    /// Time that the custom authorizer takes; zero where there is none.
    pub authorizer: Duration,
    /// Memory of the authorizer's function, in MB.
    pub authorizer_mb: f64,
    /// Messages a second that clients publish.
    pub publications: EventRate,
    /// Events a second that reach the queue and that no route takes.
    pub unrouted: EventRate,
    /// Bytes of an event on the bus.
    pub event_bytes: f64,
    /// Messages that are retained at a time.
    pub retained_messages: f64,
    /// vCPUs of a task of the bridge, and of the gateway.
    pub task_vcpus: f64,
    /// Memory of a task, in GB.
    pub task_gb: f64,
    /// Loads of routes, in the order of the file.
    pub routes: Vec<RouteLoad>,
}

impl Default for LoadProfile {
    fn default() -> Self {
        Self {
            region: None,
            clients: 100_000.0,
            connected: DAY,
            reconnects_per_day: 2.0,
            channels: 3.0,
            peak: 3.0,
            polling_share: 0.0,
            hidden_share: 0.0,
            session_expiry: Duration::from_secs(300),
            away: Duration::from_secs(30),
            outage: Duration::from_secs(600),
            recover_within: None,
            authorizer: Duration::from_millis(50),
            authorizer_mb: 256.0,
            publications: EventRate::fixed(0.0),
            unrouted: EventRate::fixed(0.0),
            event_bytes: 1_024.0,
            retained_messages: 0.0,
            task_vcpus: 0.5,
            task_gb: 1.0,
            routes: Vec::new(),
        }
    }
}

/// Text of a load description and the values above it.
#[derive(Clone, Debug, Default)]
pub struct LoadSource<'s> {
    /// The file's name, for messages.
    pub file: &'s str,
    /// Its text.
    pub text: &'s str,
    /// Values above the file, such as `routes.orders.events=5/s`, each with the flag's own name.
    pub flags: Vec<(&'static str, String)>,
    /// The routes of the configuration, where there is one.
    pub routes: Option<Vec<&'s str>>,
}

/// A load description as read: faults come with or without a profile, errors only without.
#[derive(Clone, Debug)]
pub struct LoadedProfile {
    /// The profile, unless there are errors.
    pub profile: Option<LoadProfile>,
    /// All findings, in the order of the file.
    pub faults: Vec<Fault>,
}

/// Reads a load description, and reports everything that is wrong with it.
pub fn load_profile(source: &LoadSource<'_>) -> LoadedProfile {
    let start = TextPosition { line: 1, column: 1 };
    let mut root = match yaml::parse(source.text) {
        Ok(root) => root.unwrap_or(TreeValue::empty_object(start)),
        Err(error) => {
            return LoadedProfile {
                profile: None,
                faults: vec![Fault {
                    severity: Severity::Error,
                    code: super::NOT_YAML,
                    message: error.message,
                    place: ValuePlace::file(source.file, error.at),
                    key: String::new(),
                    accepted: None,
                    help: None,
                }],
            };
        }
    };
    let place = |at: TextPosition| match at.line {
        0 => ValuePlace::Override {
            name: source
                .flags
                .get(at.column)
                .map_or_else(String::new, |(flag, value)| format!("{flag} {value}")),
        },
        _ => ValuePlace::file(source.file, at),
    };
    let mut faults = Faults {
        place: &place,
        found: Vec::new(),
    };
    for (index, (_, flag)) in source.flags.iter().enumerate() {
        let at = TextPosition {
            line: 0,
            column: index,
        };
        match flag.split_once('=') {
            Some((path, value)) if !path.is_empty() => {
                let value = yaml::scalar(value.trim(), ScalarStyle::Plain);
                put(&mut root, path.trim(), &TreeValue { value, at });
            }
            _ => {
                let message = format!("`{flag}` is no value of a key");
                faults.error("bad-override", "", at, message).accepted =
                    Some("KEY=VALUE such as `clients=1M`".into());
            }
        }
    }
    check::check(&root, &Shape::Section(FILE), "", &mut faults);
    let profile = read(&root, source, &mut faults);
    let mut found = faults.found;
    found.sort_by_key(|fault| match &fault.place {
        ValuePlace::Override { .. } => (0, 0),
        ValuePlace::File { line, column, .. } => (*line, *column),
    });
    for fault in &mut found {
        let about = || about_key(&fault.key).map(str::to_owned);
        fault.help = fault.help.take().or_else(about);
    }
    let is_broken = found.iter().any(|fault| fault.severity == Severity::Error);
    LoadedProfile {
        profile: (!is_broken).then_some(profile),
        faults: found,
    }
}

/// Sets one value by its path: a key of the file, or `routes.ROUTE.KEY`, where a route's name may
/// have dots. Mappings that are missing are made; what is no mapping there is replaced.
fn put(root: &mut TreeValue, path: &str, value: &TreeValue) {
    let route = path.strip_prefix("routes.");
    let parts = match route.and_then(|route| route.rsplit_once('.')) {
        Some((route, key)) => vec!["routes", route, key],
        None => vec![path],
    };
    let mut node = root;
    for part in parts {
        if !matches!(node.value, NodeValue::Object(_)) {
            *node = TreeValue::empty_object(value.at);
        }
        let NodeValue::Object(members) = &mut node.value else {
            return;
        };
        let known = members.iter().rposition(|member| *member.key == *part);
        let index = known.unwrap_or_else(|| {
            members.push(ObjectMember {
                key: part.into(),
                key_at: value.at,
                value: TreeValue::empty_object(value.at),
            });
            members.len() - 1
        });
        match members.get_mut(index) {
            Some(member) => node = &mut member.value,
            None => return,
        }
    }
    *node = value.clone();
}

fn read(root: &TreeValue, source: &LoadSource<'_>, faults: &mut Faults<'_>) -> LoadProfile {
    let usual = LoadProfile::default();
    let duration = |key: &'static str, usual: Duration, least: u64, faults: &mut Faults<'_>| {
        let bounds = (Duration::from_secs(least), DAY * 7);
        let accepted = if least == 0 { "0s to 7d" } else { "1s to 7d" };
        time(root, ("", key), usual, bounds, accepted, faults)
    };
    let connected = (Duration::from_secs(1), DAY);
    let authorizer = (Duration::ZERO, Duration::from_secs(60));
    let mut profile = LoadProfile {
        region: text(root, "region"),
        clients: value(
            root,
            "clients",
            usual.clients,
            ACCEPTED_COUNT,
            faults,
            count,
        ),
        connected: time(
            root,
            ("", "connected"),
            usual.connected,
            connected,
            "1s to 1d, the time of a day",
            faults,
        ),
        reconnects_per_day: number_of(root, "reconnects", usual.reconnects_per_day, faults),
        channels: number_of(root, "channels", usual.channels, faults),
        peak: number_of(root, "peak", usual.peak, faults),
        polling_share: share_of(root, "polling", usual.polling_share, faults),
        hidden_share: share_of(root, "hidden", usual.hidden_share, faults),
        session_expiry: duration("session_expiry", usual.session_expiry, 0, faults),
        away: duration("away", usual.away, 0, faults),
        outage: duration("outage", usual.outage, 1, faults),
        recover_within: member(root, "recover_within")
            .map(|_| duration("recover_within", usual.outage, 1, faults)),
        authorizer: time(
            root,
            ("", "authorizer"),
            usual.authorizer,
            authorizer,
            "0s (none) to 1m",
            faults,
        ),
        authorizer_mb: number_of(root, "authorizer_mb", usual.authorizer_mb, faults),
        publications: rate_of(root, "publications", usual.publications, faults),
        unrouted: rate_of(root, "unrouted", usual.unrouted, faults),
        event_bytes: route_load::bytes_of(root, "event_bytes", "", usual.event_bytes, faults),
        retained_messages: value(
            root,
            "retained_messages",
            usual.retained_messages,
            ACCEPTED_COUNT,
            faults,
            count,
        ),
        task_vcpus: number_of(root, "task_vcpus", usual.task_vcpus, faults),
        task_gb: number_of(root, "task_gb", usual.task_gb, faults),
        routes: route_load::read(root, source.routes.as_deref(), faults),
    };
    for (key, value, least, most) in [
        ("clients", profile.clients, 1.0, MOST_CLIENTS),
        ("peak", profile.peak, 1.0, 1_000.0),
        ("channels", profile.channels, 0.0, 100_000.0),
        ("reconnects", profile.reconnects_per_day, 0.0, 100_000.0),
        ("authorizer_mb", profile.authorizer_mb, 128.0, 10_240.0),
        ("task_vcpus", profile.task_vcpus, 0.25, 16.0),
        ("task_gb", profile.task_gb, 0.5, 120.0),
    ] {
        if let Some(node) = member(root, key)
            && !(least..=most).contains(&value)
        {
            let message = format!("`{key}` is {}", shown(node));
            faults.error("out-of-range", key, node.at, message).accepted =
                Some(format!("{least} to {most}"));
        }
    }
    for key in ["publications", "unrouted"] {
        let rate = if key == "unrouted" {
            profile.unrouted
        } else {
            profile.publications
        };
        if let Some(node) = member(root, key) {
            route_load::within_rate(rate, key, node, faults);
        }
    }
    // A connection over WebSocket ends after a day.
    if profile.connected == DAY && profile.reconnects_per_day < 1.0 {
        let at = member(root, "reconnects").unwrap_or(root).at;
        let message = "`reconnects` is below 1, and IoT Core ends a WebSocket after 24 hours";
        let fault = faults.error("out-of-range", "reconnects", at, message);
        fault.severity = Severity::Warning;
        fault.help = Some("1 is taken".into());
        profile.reconnects_per_day = 1.0;
    }
    profile
}

/// A value as written, for messages.
fn shown(node: &TreeValue) -> String {
    match &node.value {
        NodeValue::String(text) => text_of(text),
        _ => node.to_json(),
    }
}

/// The value of a key by its reader, with a fault where it cannot be read.
fn value<T>(
    node: &TreeValue,
    key: &str,
    usual: T,
    accepted: &str,
    faults: &mut Faults<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> T {
    value_at(node, "", key, usual, accepted, faults, read)
}

/// As [`value`], of a section.
fn value_at<T>(
    node: &TreeValue,
    path: &str,
    key: &str,
    usual: T,
    accepted: &str,
    faults: &mut Faults<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> T {
    let Some(found) = member(node, key) else {
        return usual;
    };
    let written = match &found.value {
        NodeValue::String(text) => Some(text_of(text)),
        NodeValue::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(value) = written.as_deref().and_then(read) {
        return value;
    }
    let key = check::join(path, key);
    let message = format!("`{key}` is {}", found.to_json());
    faults
        .error("bad-quantity", &key, found.at, message)
        .accepted = Some(accepted.into());
    usual
}

fn number_of(node: &TreeValue, key: &str, usual: f64, faults: &mut Faults<'_>) -> f64 {
    value(node, key, usual, ACCEPTED_NUMBER, faults, number)
}

fn share_of(node: &TreeValue, key: &str, usual: f64, faults: &mut Faults<'_>) -> f64 {
    value(node, key, usual, ACCEPTED_SHARE, faults, share)
}

fn rate_of(node: &TreeValue, key: &str, usual: EventRate, faults: &mut Faults<'_>) -> EventRate {
    value(node, key, usual, ACCEPTED_RATE, faults, rate)
}

#[cfg(test)]
mod tests;
