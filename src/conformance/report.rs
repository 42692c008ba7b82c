//! The verdicts of a run.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::address::GatewayAddress;

/// Verdict on a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum RuleVerdict {
    /// It holds, as far as was seen.
    Held,
    /// It does not hold.
    Broken {
        /// Observation and expectation.
        why: String,
    },
    /// Something that it needs was not given.
    NotTried {
        /// The missing thing.
        why: String,
        /// The way to give it.
        help: String,
    },
}

/// One rule of a report.
#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    /// Its name, such as `poll.lost-response`.
    pub rule: &'static str,
    /// Its text, one sentence.
    pub title: &'static str,
    /// `true` where it holds.
    #[serde(flatten)]
    pub verdict: RuleVerdict,
    /// Time that it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

/// All rules of a run, in their order.
#[derive(Clone, Debug, Serialize)]
pub struct ConformanceReport {
    /// The gateway's address.
    pub gateway: String,
    /// The number of rules that hold.
    pub held: usize,
    /// The number of rules that are broken.
    pub broken: usize,
    /// The number of rules that could not be tried.
    pub not_tried: usize,
    /// Time that the run took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// The rules.
    pub rules: Vec<RuleReport>,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let milliseconds = duration.as_millis() as f64;
    serializer.serialize_f64(milliseconds / 1_000.0)
}

impl ConformanceReport {
    pub(super) fn new(
        address: &GatewayAddress,
        mut rules: Vec<RuleReport>,
        took: Duration,
    ) -> Self {
        let place = |rule: &RuleReport| super::RULES.iter().position(|one| one.name == rule.rule);
        rules.sort_by_key(place);
        let count =
            |is: fn(&RuleVerdict) -> bool| rules.iter().filter(|rule| is(&rule.verdict)).count();
        Self {
            gateway: address.to_string(),
            held: count(|verdict| *verdict == RuleVerdict::Held),
            broken: count(|verdict| matches!(verdict, RuleVerdict::Broken { .. })),
            not_tried: count(|verdict| matches!(verdict, RuleVerdict::NotTried { .. })),
            took,
            rules,
        }
    }
}
