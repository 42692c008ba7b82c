//! What a queue can be set to (SQS API reference, SetQueueAttributes).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::super::refusal::Refusal;
use super::store::Settings;

/// Every attribute that may be set, with its default and bounds in seconds or bytes where it is a number.
const NUMBERS: [(&str, u64, u64, u64); 5] = [
    ("VisibilityTimeout", 30, 0, 43_200),
    ("DelaySeconds", 0, 0, 900),
    ("MessageRetentionPeriod", 345_600, 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 0, 20),
    ("MaximumMessageSize", 1_048_576, 1_024, 1_048_576),
];
const OTHERS: [&str; 11] = [
    "FifoQueue",
    "ContentBasedDeduplication",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "Policy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "QueueOwnerAWSAccountId",
];

pub(super) type Attributes = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redrive {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

/// Refuses what a queue cannot be set to.
pub(super) fn check(attributes: &Attributes) -> Result<(), Refusal> {
    for (name, value) in attributes {
        let number = NUMBERS.iter().find(|(known, ..)| known == name);
        if number.is_none() && !OTHERS.contains(&name.as_str()) {
            let message = format!("Unknown Attribute {name}.");
            return Err(Refusal::new("InvalidAttributeName", message));
        }
        let within = |least: u64, most: u64| {
            value
                .parse::<u64>()
                .is_ok_and(|value| (least..=most).contains(&value))
        };
        let right = match number {
            Some((_, _, least, most)) => within(*least, *most),
            None if name == "RedrivePolicy" => value.is_empty() || redrive(value).is_some(),
            None => true,
        };
        if !right {
            let message = format!("Invalid value for the parameter {name}.");
            return Err(Refusal::new("InvalidAttributeValue", message));
        }
    }
    Ok(())
}

/// The settings that attributes make.
pub(super) fn settings(attributes: &Attributes) -> Settings {
    Settings {
        visibility: seconds(attributes, "VisibilityTimeout"),
        delay: seconds(attributes, "DelaySeconds"),
        retention: seconds(attributes, "MessageRetentionPeriod"),
        redrive: attributes
            .get("RedrivePolicy")
            .and_then(|policy| redrive(policy)),
        fifo: attributes.get("FifoQueue").map(String::as_str) == Some("true"),
    }
}

/// A number of seconds, or its default.
pub(super) fn seconds(attributes: &Attributes, name: &str) -> Duration {
    Duration::from_secs(number(attributes, name))
}

/// A number, or its default.
pub(super) fn number(attributes: &Attributes, name: &str) -> u64 {
    let default = NUMBERS.iter().find(|(known, ..)| *known == name);
    let set = attributes.get(name).and_then(|value| value.parse().ok());
    set.or(default.map(|(_, default, ..)| *default))
        .unwrap_or(0)
}

/// All numbers, set or default, by name.
pub(super) fn numbers(attributes: &Attributes) -> impl Iterator<Item = (&'static str, u64)> {
    NUMBERS
        .iter()
        .map(|(name, ..)| (*name, number(attributes, name)))
}

fn redrive(policy: &str) -> Option<(u32, String)> {
    let redrive: Redrive = serde_json::from_str(policy).ok()?;
    let count = match &redrive.max_receive_count {
        serde_json::Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| number.try_into().ok()),
    };
    Some((
        count.filter(|count| (1..=1_000).contains(count))?,
        redrive.dead_letter_target_arn,
    ))
}
