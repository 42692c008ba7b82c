//! Metrics of a gateway. Labels come from closed sets: never a client, a channel or an address.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::limits::LimitName;
use super::link::LinkEnd;
use crate::telemetry::instrument::{Counter, Gauge, ReasonCounter};
use crate::telemetry::metrics::{Labels, Measured, MetricValue};

/// Numbers of one gateway.
#[derive(Debug, Default)]
pub struct GatewayMetrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// Polls that wait.
    pub(super) polls: Gauge,
    /// Streams that are open.
    pub(super) streams: Gauge,
    /// Connections to the broker that are open or being opened.
    pub(super) connections: Gauge,
    ended: ReasonCounter,
    limited: ReasonCounter,
    /// Messages that were given to clients.
    pub(super) given: Counter,
    /// Messages that were given once more, since their client had not confirmed them.
    pub(super) given_again: Counter,
    /// Messages that clients confirmed.
    pub(super) confirmed: Counter,
    /// Polls and streams that a newer one superseded.
    pub(super) superseded: Counter,
}

/// A gauge that is one higher while this lives.
pub(super) struct GaugeGuard<'m>(&'m Gauge);

impl<'m> GaugeGuard<'m> {
    pub(super) fn new(gauge: &'m Gauge) -> Self {
        gauge.change(1);
        Self(gauge)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}

/// The word for how a connection ended.
fn word(end: &LinkEnd) -> &'static str {
    match end {
        LinkEnd::Unauthorized(_) => "unauthorized",
        LinkEnd::NotAllowed(_) => "not_allowed",
        LinkEnd::Forbidden(_) => "forbidden",
        LinkEnd::Gone => "gone",
        LinkEnd::Busy(_) => "busy",
        LinkEnd::Unreachable(_) => "unreachable",
        LinkEnd::Lost(_) => "lost",
        LinkEnd::TakenOver => "taken_over",
        LinkEnd::Closed => "closed",
    }
}

impl GatewayMetrics {
    /// Counts an answer. `endpoint` is a name of the API, not an address.
    pub(super) fn answered(&self, endpoint: &'static str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((endpoint, status)).or_default() += 1;
    }

    /// Counts the end of a connection to the broker.
    pub(super) fn ended(&self, end: &LinkEnd) {
        self.ended.one(word(end), None);
    }

    /// Counts a request that a limit refused.
    pub(super) fn limited(&self, limit: LimitName) {
        self.limited.one(limit.as_str(), None);
    }

    /// Requests that wait for messages.
    pub fn waiting(&self) -> i64 {
        self.polls.get() + self.streams.get()
    }

    /// All of them, for [`Format`](crate::telemetry::exposition::ExpositionFormat).
    pub fn all(&self) -> Vec<Measured> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests.iter().map(|((endpoint, status), count)| {
            let labels: Labels = vec![
                ("endpoint", (*endpoint).to_owned()),
                ("status", status.to_string()),
            ];
            (labels, *count)
        });
        let requests = requests.collect();
        let by = |label: &'static str, counter: &ReasonCounter| {
            let counts = counter.all().into_iter();
            let counts = counts.map(|(word, _, count)| (vec![(label, word.to_owned())], count));
            MetricValue::Counts(counts.collect())
        };
        let one = |name, about, labels, value| Measured {
            name,
            about,
            labels,
            value,
        };
        vec![
            one(
                "gateway_requests",
                "Requests that were answered, by the endpoint and the status.",
                &["endpoint", "status"],
                MetricValue::Counts(requests),
            ),
            one(
                "gateway_limited",
                "Requests that a limit refused, by the limit.",
                &["limit"],
                by("limit", &self.limited),
            ),
            one(
                "gateway_connections_ended",
                "Connections to the broker that ended or were not let in, by the reason.",
                &["reason"],
                by("reason", &self.ended),
            ),
            one(
                "gateway_messages_given",
                "Messages that were given to clients for the first time on a connection.",
                &[],
                MetricValue::Count(self.given.get()),
            ),
            one(
                "gateway_messages_given_again",
                "Messages that were given to a client again, since it had not confirmed them.",
                &[],
                MetricValue::Count(self.given_again.get()),
            ),
            one(
                "gateway_messages_confirmed",
                "Messages that clients confirmed, and that were acknowledged to the broker.",
                &[],
                MetricValue::Count(self.confirmed.get()),
            ),
            one(
                "gateway_superseded",
                "Polls and streams that a newer one of the same session superseded.",
                &[],
                MetricValue::Count(self.superseded.get()),
            ),
            one(
                "gateway_polls_waiting",
                "Polls that wait for messages.",
                &[],
                MetricValue::Level(self.polls.get()),
            ),
            one(
                "gateway_streams_open",
                "Streams that are open.",
                &[],
                MetricValue::Level(self.streams.get()),
            ),
            one(
                "gateway_connections",
                "Connections to the broker that are open, or being opened.",
                &[],
                MetricValue::Level(self.connections.get()),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual's table lists the metrics.
    #[test]
    fn the_manual_has_the_table() {
        let page = include_str!("../../docs/gateway.md");
        for Measured {
            name,
            about,
            labels,
            value,
        } in GatewayMetrics::default().all()
        {
            let (suffix, kind) = match value {
                MetricValue::Level(_) => ("", "gauge"),
                _ => ("_total", "counter"),
            };
            let labels = match labels.join(",") {
                none if none.is_empty() => none,
                some => format!("{{{some}}}"),
            };
            let row = format!("| `eventcast_{name}{suffix}{labels}` | {kind} | {about} |\n");
            assert!(page.contains(&row), "docs/gateway.md lacks: {row}");
        }
    }
}
