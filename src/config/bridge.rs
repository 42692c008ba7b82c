//! The `bridge` section: where events come from, where publications go, and how hard the daemon works.

use std::time::Duration;

use super::check::{Faults, ParseDuration};
use super::{member, text};
use crate::channel::limits::{
    BYTES_PER_SECOND_PER_CONNECTION, PUBLISHES_PER_SECOND_PER_CONNECTION,
    UNACKNOWLEDGED_PER_CONNECTION,
};
use crate::event::pattern::tree::{Node, NodeValue};

/// What the daemon is configured to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The queue's URL.
    pub queue: Option<String>,
    /// The dead-letter queue's URL.
    pub dead_letter_queue: Option<String>,
    /// The broker.
    pub broker: Option<Broker>,
    /// What the daemon's MQTT client ids begin with.
    pub client_id: String,
    /// The fewest and the most MQTT connections.
    pub connections: (usize, usize),
    /// What may be sent in a second.
    pub pace: Pace,
    /// The most deliveries between receiving and settling.
    pub in_flight: usize,
    /// The least and the most long polls at a time.
    pub pollers: (usize, usize),
    /// How long a long poll waits.
    pub wait: Duration,
    /// How long an event may be worked on.
    pub hold: Duration,
    /// How long draining may take.
    pub drain: Duration,
}

/// What may be sent in a second; `None` where nothing limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Publishes on one connection.
    pub publishes: Option<u32>,
    /// Bytes on one connection.
    pub bytes: Option<u32>,
    /// Unacknowledged messages on one connection.
    pub unacknowledged: u16,
    /// Publishes of this task: its part of what all tasks together may send.
    pub task: Option<u32>,
}

/// Where the broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// MQTT over TCP without TLS (IANA's registry of ports).
const MQTT_PORT: u16 = 1883;

fn number(node: &Node, key: &str, default: usize) -> usize {
    match member(node, key).map(|node| &node.value) {
        Some(NodeValue::Number(digits)) => digits.parse().unwrap_or(default),
        _ => default,
    }
}

pub(super) fn read(root: &Node, faults: &mut Faults<'_>) -> Bridge {
    let empty = Node {
        value: NodeValue::Object(Vec::new()),
        at: root.at,
    };
    let node = member(root, "bridge").unwrap_or(&empty);
    let duration = |key: &str, default: u64| {
        text(node, key)
            .and_then(|text| text.parse_duration())
            .unwrap_or(Duration::from_secs(default))
    };
    let pollers = member(node, "pollers").unwrap_or(&empty);
    let connections = member(node, "connections").unwrap_or(&empty);
    let bridge = Bridge {
        queue: url(node, "queue", faults),
        dead_letter_queue: url(node, "dead_letter_queue", faults),
        broker: broker(node, faults),
        client_id: text(node, "client_id").unwrap_or_else(|| "eventcast".into()),
        connections: (
            number(connections, "min", 2),
            number(connections, "max", 32),
        ),
        pace: pace(member(node, "pace").unwrap_or(&empty)),
        in_flight: number(node, "in_flight", 1_000),
        pollers: (number(pollers, "min", 1), number(pollers, "max", 16)),
        wait: duration("wait", 20),
        hold: duration("hold", 600),
        drain: duration("drain", 25),
    };
    for (key, node, (least, most)) in [
        ("bridge.pollers", pollers, bridge.pollers),
        ("bridge.connections", connections, bridge.connections),
    ] {
        if least > most {
            let message = format!("`{key}` has min {least} above max {most}");
            faults.error("out-of-range", key, node.at, message).help =
                Some("raise max or lower min".into());
        }
    }
    if bridge.wait > Duration::from_secs(20) {
        let at = member(node, "wait").unwrap_or(node).at;
        let message = format!("`bridge.wait` is {:?}", bridge.wait);
        faults
            .error("out-of-range", "bridge.wait", at, message)
            .accepted = Some("0s to 20s, which is what SQS takes".into());
    }
    bridge
}

fn pace(node: &Node) -> Pace {
    let limit = |key, default: u32| {
        let limit = number(node, key, default as usize);
        u32::try_from(limit).ok().filter(|limit| *limit > 0)
    };
    let tasks = u32::try_from(number(node, "tasks", 1)).unwrap_or(1).max(1);
    let unacknowledged = number(node, "unacknowledged", UNACKNOWLEDGED_PER_CONNECTION.into());
    Pace {
        publishes: limit("publishes", PUBLISHES_PER_SECOND_PER_CONNECTION),
        bytes: limit("bytes", BYTES_PER_SECOND_PER_CONNECTION),
        unacknowledged: u16::try_from(unacknowledged).unwrap_or(u16::MAX),
        // Less than one for each task cannot be shared out.
        task: limit("account", 0).map(|account| (account / tasks).max(1)),
    }
}

fn url(node: &Node, key: &str, faults: &mut Faults<'_>) -> Option<String> {
    let url = text(node, key)?;
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let whole = rest.and_then(|rest| rest.split_once('/'));
    if whole.is_none_or(|(host, path)| host.is_empty() || path.is_empty()) {
        let at = member(node, key).unwrap_or(node).at;
        let key = format!("bridge.{key}");
        let fault = faults.error("bad-url", &key, at, format!("`{key}` is `{url}`"));
        fault.accepted = Some(
            "a queue's URL such as `https://sqs.eu-central-1.amazonaws.com/123456789012/events`"
                .into(),
        );
    }
    Some(url)
}

fn broker(node: &Node, faults: &mut Faults<'_>) -> Option<Broker> {
    let url = text(node, "broker")?;
    let broker = url.strip_prefix("mqtt://").and_then(address);
    if broker.is_none() {
        let at = member(node, "broker").unwrap_or(node).at;
        let message = format!("`bridge.broker` is `{url}`");
        faults
            .error("bad-url", "bridge.broker", at, message)
            .accepted = Some("mqtt://HOST or mqtt://HOST:PORT".into());
    }
    broker
}

fn address(address: &str) -> Option<Broker> {
    let address = address.strip_suffix('/').unwrap_or(address);
    // An IPv6 address stands in brackets.
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => MQTT_PORT,
        None => return None,
    };
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '?' | '#');
    (!host.is_empty() && !host.contains(odd)).then(|| Broker {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let told = |text: &str| address(text).map(|broker| (broker.host, broker.port));
        assert_eq!(told("broker"), Some(("broker".into(), 1883)));
        assert_eq!(told("127.0.0.1:1885/"), Some(("127.0.0.1".into(), 1885)));
        assert_eq!(told("[::1]:1885"), Some(("::1".into(), 1885)));
        assert_eq!(told("[::1]"), Some(("::1".into(), 1883)));
        for bad in [
            "", ":1883", "a:b", "a:0", "a:70000", "u@h", "a/b", "[::1", "[::1]x",
        ] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }
}
