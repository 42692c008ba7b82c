//! Quotas of an account in a Region: the defaults of AWS, by lines with a date and a source, and an
//! account's granted increases.
//!
//! Defaults come from `quotas.jsonl`. `with` puts another value in the place of one, as Service
//! Quotas reports it or as an increase would grant it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::data_line::{DataLineFault, LineOrigin, read_lines};

/// Name of the built-in file in messages.
pub const QUOTA_FILE: &str = "quotas.jsonl";
const BUILT_IN: &str = include_str!("quotas.jsonl");

/// Quota that the plan or the simulation goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaName {
    /// Clients that are connected at a time.
    Connections,
    /// CONNECT packets a second of all clients.
    ConnectsPerSecond,
    /// Seconds between two CONNECT packets of one client id, in effect.
    SecondsBetweenConnectsPerClientId,
    /// Topic filters of all sessions.
    Subscriptions,
    /// Topic filters that all clients subscribe to in a second.
    SubscriptionsPerSecond,
    /// Topic filters of one connection.
    SubscriptionsPerConnection,
    /// Messages a second that clients publish, the bridge included.
    InboundPublishesPerSecond,
    /// Messages a second that are delivered to subscribers.
    OutboundPublishesPerSecond,
    /// Messages a second on one connection, in both directions.
    PublishesPerSecondPerConnection,
    /// Bytes a second on one connection, in both directions.
    BytesPerSecondPerConnection,
    /// Bytes of one payload.
    PayloadBytes,
    /// Messages a second that are retained.
    RetainedPublishesPerSecond,
    /// Messages that are retained at a time.
    RetainedMessages,
    /// Messages a second that are stored for clients which are away.
    QueuedPerSecond,
    /// Stored messages a second to one client that came back.
    StoredPerSecondPerClient,
    /// Seconds for which a session is kept without its client.
    SessionExpirySeconds,
    /// Seconds that the authorizer's function may take.
    AuthorizerSeconds,
    /// Executions of Lambda functions at a time.
    LambdaConcurrency,
    /// Calls of PutEvents a second.
    PutEventsPerSecond,
    /// Events a second that rules send to targets.
    InvocationsPerSecond,
    /// Messages of one queue between receiving and settling.
    QueueInFlight,
    /// Calls a second of one action of a FIFO queue.
    FifoCallsPerSecond,
    /// vCPUs of tasks on Fargate.
    FargateVcpus,
}

impl QuotaName {
    /// All quotas, in the order of reports.
    pub const ALL: [Self; 23] = [
        Self::Connections,
        Self::ConnectsPerSecond,
        Self::SecondsBetweenConnectsPerClientId,
        Self::Subscriptions,
        Self::SubscriptionsPerSecond,
        Self::SubscriptionsPerConnection,
        Self::InboundPublishesPerSecond,
        Self::OutboundPublishesPerSecond,
        Self::PublishesPerSecondPerConnection,
        Self::BytesPerSecondPerConnection,
        Self::PayloadBytes,
        Self::RetainedPublishesPerSecond,
        Self::RetainedMessages,
        Self::QueuedPerSecond,
        Self::StoredPerSecondPerClient,
        Self::SessionExpirySeconds,
        Self::AuthorizerSeconds,
        Self::LambdaConcurrency,
        Self::PutEventsPerSecond,
        Self::InvocationsPerSecond,
        Self::QueueInFlight,
        Self::FifoCallsPerSecond,
        Self::FargateVcpus,
    ];
}

impl fmt::Display for QuotaName {
    /// The name in data files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Quota with its value in some Regions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct QuotaLine {
    /// The quota.
    pub name: QuotaName,
    /// Service code of Service Quotas, such as `iotcore`.
    pub service: String,
    /// Quota code of Service Quotas, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Name of the quota in AWS's list.
    pub title: String,
    /// The value.
    pub value: f64,
    /// Unit of the value.
    pub unit: String,
    /// `true` where AWS raises it on request.
    pub adjustable: bool,
    /// Origin of the value.
    #[serde(flatten)]
    pub origin: LineOrigin,
}

/// Members of a line beside those of its origin.
const MEMBERS: [&str; 7] = [
    "name",
    "service",
    "code",
    "title",
    "value",
    "unit",
    "adjustable",
];

/// Quotas of one account in one Region.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaTable {
    region: String,
    lines: BTreeMap<QuotaName, QuotaLine>,
}

impl QuotaTable {
    /// The defaults of a Region. Regions without lines of their own have the general values.
    ///
    /// # Errors
    /// The lines of the built-in file that are none; a test keeps it free of them.
    pub fn try_of_region(region: &str) -> Result<Self, Vec<DataLineFault>> {
        Self::try_new(region, &[(QUOTA_FILE, BUILT_IN)])
    }

    /// The defaults of a Region with lines of other files above them.
    ///
    /// # Errors
    /// All lines of these files that are none.
    pub fn try_with_file(region: &str, file: &str, text: &str) -> Result<Self, Vec<DataLineFault>> {
        Self::try_new(region, &[(QUOTA_FILE, BUILT_IN), (file, text)])
    }

    fn try_new(region: &str, files: &[(&str, &str)]) -> Result<Self, Vec<DataLineFault>> {
        let (mut table, mut faults) = (BTreeMap::<QuotaName, (u8, QuotaLine)>::new(), Vec::new());
        for (file, text) in files {
            let lines: Vec<(usize, QuotaLine)> = match read_lines(file, text, &MEMBERS) {
                Ok(lines) => lines,
                Err(found) => {
                    faults.extend(found);
                    continue;
                }
            };
            for (number, line) in lines {
                if !(line.value.is_finite() && line.value > 0.0) {
                    faults.push(DataLineFault {
                        file: (*file).to_owned(),
                        line: number,
                        message: format!("`value` is {}; accepted: a number above 0", line.value),
                    });
                }
                let fit = line.origin.fit(region);
                let known = table.get(&line.name).map_or(1, |(known, _)| *known);
                if fit > 0 && fit >= known {
                    table.insert(line.name, (fit, line));
                }
            }
        }
        let missing = QuotaName::ALL
            .iter()
            .filter(|name| !table.contains_key(name));
        faults.extend(missing.map(|name| DataLineFault {
            file: QUOTA_FILE.to_owned(),
            line: 0,
            message: format!("no line for `{name}` in Region `{region}`"),
        }));
        if !faults.is_empty() {
            return Err(faults);
        }
        let lines = table.into_iter().map(|(name, (_, line))| (name, line));
        Ok(Self {
            region: region.to_owned(),
            lines: lines.collect(),
        })
    }

    /// The Region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The value of a quota, in its own unit.
    pub fn value(&self, name: QuotaName) -> f64 {
        // The constructor refuses a table that lacks one.
        self.lines.get(&name).map_or(0.0, |line| line.value)
    }

    /// The line of a quota.
    pub fn line(&self, name: QuotaName) -> Option<&QuotaLine> {
        self.lines.get(&name)
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = &QuotaLine> {
        self.lines.values()
    }

    /// Service codes of all lines, each once.
    pub fn services(&self) -> BTreeSet<&str> {
        self.lines.values().map(|line| &*line.service).collect()
    }

    /// The same table with the value of a quota that Service Quotas reports, by its code or else by
    /// its name; `None` where no line has them.
    pub fn apply(
        &mut self,
        service: &str,
        code: &str,
        title: &str,
        value: f64,
    ) -> Option<QuotaName> {
        let mut lines = self.lines.values_mut().filter(|_| value > 0.0);
        let line = lines.find(|line| {
            line.service == service
                && (line.code.as_deref() == Some(code) || line.title.eq_ignore_ascii_case(title))
        })?;
        line.value = value;
        line.code = Some(code.to_owned());
        Some(line.name)
    }

    /// The same table with another value for one quota.
    #[must_use]
    pub fn with(mut self, name: QuotaName, value: f64) -> Self {
        if let Some(line) = self.lines.get_mut(&name) {
            line.value = value;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_by_region() {
        let value = |region: &str, name| QuotaTable::try_of_region(region).unwrap().value(name);
        for (region, connects, events) in [
            ("us-east-1", 3_000.0, 10_000.0),
            ("eu-central-1", 3_000.0, 2_400.0),
            ("eu-north-1", 100.0, 600.0),
            ("us-west-1", 100.0, 1_200.0),
            ("xx-new-1", 3_000.0, 600.0),
        ] {
            assert_eq!(
                value(region, QuotaName::ConnectsPerSecond),
                connects,
                "{region}"
            );
            assert_eq!(
                value(region, QuotaName::PutEventsPerSecond),
                events,
                "{region}"
            );
        }
    }

    #[test]
    fn lines_of_the_user_win() {
        let line = r#"{"name":"connections","service":"iotcore","title":"x","value":2e6,"unit":"connections","adjustable":true,"regions":["*"],"read":"2026-11-01","standing":"stated","source":"https://example.com/"}"#;
        let value = |region: &str, text: &str| {
            let table = QuotaTable::try_with_file(region, "own.jsonl", text).unwrap();
            table.value(QuotaName::Connections)
        };
        assert_eq!(value("us-east-1", line), 2e6);
        // A line for all Regions does not touch one that has its own.
        assert_eq!(value("eu-north-1", line), 100_000.0);
        assert_eq!(value("eu-north-1", &line.replace('*', "eu-north-1")), 2e6);
    }

    #[test]
    fn values_in_force_are_known_by_code_or_name() {
        let mut table = QuotaTable::try_of_region("us-east-1").unwrap();
        let mut apply = |service, code, title| table.apply(service, code, title, 5_000.0);
        let connects = Some(QuotaName::ConnectsPerSecond);
        let title = "connect requests per second per account";
        assert_eq!(apply("iotcore", "L-00000001", title), connects);
        assert_eq!(
            apply("lambda", "L-B99A9384", "?"),
            Some(QuotaName::LambdaConcurrency)
        );
        assert_eq!(apply("lambda", "L-00000002", title), None);
        assert_eq!(table.value(QuotaName::ConnectsPerSecond), 5_000.0);
        let line = table.line(QuotaName::ConnectsPerSecond).unwrap();
        assert_eq!(line.code.as_deref(), Some("L-00000001"));
        assert_eq!(table.services().len(), 5);
    }

    #[test]
    fn faults_name_their_lines() {
        let text = "# mine\n{\"name\":\"connection\"}\n\nnothing\n{\"nam\":1}\n";
        let faults = QuotaTable::try_with_file("us-east-1", "own.jsonl", text).unwrap_err();
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(
            faults[0].starts_with("own.jsonl:2: unknown variant `connection`, expected one of")
        );
        assert!(faults[1].starts_with("own.jsonl:4: "));
        let unknown = "own.jsonl:5: unknown member `nam`; accepted: name, service, code,";
        assert!(faults[2].starts_with(unknown), "{}", faults[2]);
    }

    #[test]
    fn defaults_agree_with_the_limits_that_the_program_keeps() {
        use crate::channel::limits as kept;
        let table = QuotaTable::try_of_region("us-east-1").unwrap();
        for (name, limit) in [
            (
                QuotaName::ConnectsPerSecond,
                kept::CONNECTS_PER_SECOND_PER_ACCOUNT,
            ),
            (
                QuotaName::SubscriptionsPerSecond,
                kept::SUBSCRIPTIONS_PER_SECOND_PER_ACCOUNT,
            ),
            (
                QuotaName::InboundPublishesPerSecond,
                kept::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT,
            ),
            (
                QuotaName::OutboundPublishesPerSecond,
                kept::OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT,
            ),
            (
                QuotaName::PublishesPerSecondPerConnection,
                kept::PUBLISHES_PER_SECOND_PER_CONNECTION,
            ),
            (
                QuotaName::BytesPerSecondPerConnection,
                kept::BYTES_PER_SECOND_PER_CONNECTION,
            ),
            (
                QuotaName::QueuedPerSecond,
                kept::QUEUED_PER_SECOND_PER_ACCOUNT,
            ),
            (
                QuotaName::RetainedPublishesPerSecond,
                kept::RETAINED_PER_SECOND_PER_ACCOUNT,
            ),
            (QuotaName::StoredPerSecondPerClient, kept::STORED_PER_SECOND),
            (
                QuotaName::SessionExpirySeconds,
                kept::SESSION_EXPIRY_SECONDS,
            ),
        ] {
            assert_eq!(table.value(name), f64::from(limit), "{name:?}");
        }
        assert_eq!(
            table.value(QuotaName::PayloadBytes),
            kept::PAYLOAD_BYTES as f64
        );
        let filters = table.value(QuotaName::SubscriptionsPerConnection);
        assert_eq!(filters, kept::SUBSCRIPTIONS_PER_CONNECTION as f64);
    }
}
