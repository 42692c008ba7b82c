//! Loads learned from a running bridge's counters: the text of its `/metrics`.
//!
//! Counters grow; two readings, or one and the time since the start, give rates. The bridge knows
//! events and messages by route, and neither clients nor subscribers: these stay as described.

use std::collections::BTreeMap;

/// Counters of one or several bridges, by name and route. Those of several readings add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BridgeCounters {
    /// Messages published, and messages that newer ones replaced, by route.
    routes: BTreeMap<String, [f64; 2]>,
    /// Events that no route took.
    unrouted: f64,
    /// `true` where any counter of a bridge was there.
    is_bridge: bool,
}

const PUBLISHED: &str = "eventcast_published_total";
const CONFLATED: &str = "eventcast_conflated_total";
const UNROUTED: &str = "eventcast_unrouted_total";

impl BridgeCounters {
    /// Reads a text of the Prometheus format, classic or OpenMetrics; lines that are no counters of
    /// the bridge are passed over.
    pub fn parse(text: &str) -> Self {
        let mut counters = Self::default();
        for line in text.lines() {
            counters.line(line);
        }
        counters
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (name, rest) = match line.find(['{', ' ']) {
            Some(at) => line.split_at(at),
            None => return None,
        };
        let (route, value) = match rest.strip_prefix('{') {
            Some(labels) => route_and_rest(labels)?,
            None => (None, rest),
        };
        let value: f64 = value.split_whitespace().next()?.parse().ok()?;
        let value = Some(value).filter(|value| value.is_finite() && *value >= 0.0)?;
        match (name, route) {
            (PUBLISHED, Some(route)) => self.routes.entry(route).or_default()[0] += value,
            (CONFLATED, Some(route)) => self.routes.entry(route).or_default()[1] += value,
            (UNROUTED, _) => self.unrouted += value,
            _ => return None,
        }
        self.is_bridge = true;
        Some(())
    }

    /// Returns `true` where counters of a bridge were read.
    pub fn is_bridge(&self) -> bool {
        self.is_bridge
    }

    /// Adds the counts of another bridge.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (route, counts) in other.routes {
            let known = self.routes.entry(route).or_default();
            for (known, count) in known.iter_mut().zip(counts) {
                *known += count;
            }
        }
        self.unrouted += other.unrouted;
        self.is_bridge |= other.is_bridge;
        self
    }

    /// The increase since an earlier reading. A counter that fell began anew at 0.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        let increase = |now: f64, before: f64| if now >= before { now - before } else { now };
        for (route, counts) in &mut self.routes {
            let before = earlier.routes.get(route).copied().unwrap_or_default();
            for (count, before) in counts.iter_mut().zip(before) {
                *count = increase(*count, before);
            }
        }
        self.unrouted = increase(self.unrouted, earlier.unrouted);
        self
    }

    /// Values of a load description, `KEY=VALUE`, for counters that grew in so many seconds.
    ///
    /// Messages are taken for events: the number of messages a route makes of an event is in their
    /// number already.
    pub fn values(&self, seconds: f64) -> Vec<String> {
        let rate = |count: f64| format!("{}/s", count / seconds);
        let mut values = vec![format!("unrouted={}", rate(self.unrouted))];
        for (route, [published, conflated]) in &self.routes {
            let messages = published + conflated;
            values.push(format!("routes.{route}.events={}", rate(messages)));
            values.push(format!("routes.{route}.topics=1"));
            if *conflated > 0.0 {
                values.push(format!("routes.{route}.conflated={}", conflated / messages));
            }
        }
        values
    }
}

/// The label `route` of labels, and the text after their end.
fn route_and_rest(labels: &str) -> Option<(Option<String>, &str)> {
    let mut route = None;
    let mut rest = labels;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((route, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        if name == "route" {
            route = Some(value);
        }
        rest = after;
    }
}

/// A label's value up to its quote, and the text after it (Prometheus, "Exposition formats": `\\`,
/// `\"` and `\n` are escapes).
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "\
# HELP eventcast_published_total Messages
# TYPE eventcast_published_total counter
eventcast_published_total{route=\"order-updates\"} 100
eventcast_published_total{route=\"a \\\"b\\\", c\"} 5
eventcast_conflated_total{route=\"order-updates\"} 0
eventcast_unrouted_total 40
eventcast_in_flight 3
eventcast_dead_lettered_total{reason=\"payload\",route=\"order-updates\"} 9
go_threads 7
eventcast_published_total{route=\"x\"} NaN
eventcast_published_total{route=
";

    #[test]
    fn rates_of_two_readings() {
        let first = BridgeCounters::parse(FIRST);
        assert!(first.is_bridge() && !BridgeCounters::parse("go_threads 7\n").is_bridge());
        let later = FIRST
            .replace("updates\"} 100", "updates\"} 340 1700000000")
            .replace("updates\"} 0", "updates\"} 60")
            .replace("total 40", "total 55")
            .replace("c\"} 5", "c\"} 2");
        let grown = BridgeCounters::parse(&later).since(&first);
        assert_eq!(
            grown.values(10.0),
            [
                "unrouted=1.5/s",
                "routes.a \"b\", c.events=0.2/s",
                "routes.a \"b\", c.topics=1",
                "routes.order-updates.events=30/s",
                "routes.order-updates.topics=1",
                "routes.order-updates.conflated=0.2",
            ]
        );
    }

    #[test]
    fn several_tasks_add_up() {
        let one = BridgeCounters::parse(FIRST);
        let both = one.clone().plus(one);
        assert_eq!(both.values(10.0)[0], "unrouted=8/s");
        assert_eq!(both.values(10.0)[3], "routes.order-updates.events=20/s");
    }
}
