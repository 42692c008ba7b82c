//! A load description as text, with every value in effect.

use std::fmt::Write as _;
use std::time::Duration;

use super::{FanOut, LoadProfile};

impl LoadProfile {
    /// The description as YAML that reads as the same profile.
    pub fn to_yaml(&self) -> String {
        let mut out = String::from("# eventcast plan --load FILE\n");
        let mut line = |key: &str, value: String, about: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{:<28} # {about}", format!("{key}: {value}"));
        };
        if let Some(region) = &self.region {
            line("region", quoted(region), "of quotas and prices");
        }
        line("clients", self.clients.to_string(), "that come in a day");
        line("connected", time(self.connected), "of a day");
        line(
            "reconnects",
            self.reconnects_per_day.to_string(),
            "a day, the first included",
        );
        line(
            "channels",
            self.channels.to_string(),
            "topic filters of a client",
        );
        line(
            "peak",
            self.peak.to_string(),
            "the busiest second over the mean one",
        );
        line(
            "polling",
            self.polling_share.to_string(),
            "part of the clients at the gateway",
        );
        line(
            "hidden",
            self.hidden_share.to_string(),
            "part of the time that pages are hidden",
        );
        line(
            "session_expiry",
            time(self.session_expiry),
            "kept without its client",
        );
        line(
            "away",
            time(self.away),
            "from a lost connection to the next",
        );
        line("outage", time(self.outage), "of which recovery is computed");
        if let Some(within) = self.recover_within {
            line("recover_within", time(within), "until all are live");
        }
        line(
            "authorizer",
            time(self.authorizer),
            "for a connection, 0s: there is none",
        );
        line(
            "authorizer_mb",
            self.authorizer_mb.to_string(),
            "memory of its function",
        );
        line(
            "publications",
            self.publications.to_string(),
            "messages that clients publish",
        );
        line(
            "unrouted",
            self.unrouted.to_string(),
            "events that no route takes",
        );
        line(
            "event_bytes",
            self.event_bytes.to_string(),
            "of an event on the bus",
        );
        line(
            "retained_messages",
            self.retained_messages.to_string(),
            "at a time",
        );
        line("task_vcpus", self.task_vcpus.to_string(), "of a task");
        line("task_gb", self.task_gb.to_string(), "memory of a task");
        if self.routes.is_empty() {
            return out;
        }
        out.push_str("routes:\n");
        for route in &self.routes {
            let _ = writeln!(out, "  {}:", quoted(&route.name));
            let _ = writeln!(out, "    events: {}", route.events);
            if let Some(topics) = route.topics {
                let _ = writeln!(out, "    topics: {topics}");
            }
            let _ = match route.subscribers {
                FanOut::Clients(clients) => writeln!(out, "    subscribers: {clients}"),
                FanOut::All => writeln!(out, "    subscribers: all"),
            };
            let _ = writeln!(out, "    payload: {}", route.payload_bytes);
            if let Some(qos) = route.qos {
                let _ = writeln!(out, "    qos: {qos}");
            }
            let _ = writeln!(out, "    conflated: {}", route.conflated_share);
        }
        out
    }
}

fn time(time: Duration) -> String {
    if time.subsec_millis() > 0 {
        format!("{}ms", time.as_millis())
    } else {
        format!("{}s", time.as_secs())
    }
}

/// Text that is text for a YAML reader whatever is in it: JSON strings are.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_plain) {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_default()
}
