//! The attributes of a queue: the values that can be set, and the attributes of each kind of queue
//! (SQS API reference, CreateQueue, SetQueueAttributes and GetQueueAttributes).

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::refusal::ApiRefusal;
use super::deduplication::DeduplicationScope;
use super::redrive::{RedrivePolicy, check_allow_policy};
use super::refusals::{attribute_name, attribute_value, unknown_attribute};
use super::settings::QueueSettings;

/// Attributes by their names.
pub(super) type QueueAttributes = BTreeMap<String, String>;

/// A number that can be set: its default and its bounds, in seconds or bytes.
struct NumberAttribute {
    name: &'static str,
    default: u64,
    least: u64,
    most: u64,
}

const fn number(name: &'static str, default: u64, least: u64, most: u64) -> NumberAttribute {
    NumberAttribute {
        name,
        default,
        least,
        most,
    }
}

/// The numbers that every queue has.
const NUMBERS: [NumberAttribute; 5] = [
    number("VisibilityTimeout", 30, 0, 43_200),
    number("DelaySeconds", 0, 0, 900),
    number("MessageRetentionPeriod", 345_600, 60, 1_209_600),
    number("ReceiveMessageWaitTimeSeconds", 0, 0, 20),
    number("MaximumMessageSize", 1_048_576, 1_024, 1_048_576),
];

/// The reuse of data keys, which only queues with a key of KMS have.
const KEY_REUSE: NumberAttribute = number("KmsDataKeyReusePeriodSeconds", 300, 60, 86_400);

/// The attributes that only FIFO queues have, each with its default and its other value.
const OF_FIFO: [(&str, &str, &str); 4] = [
    ("FifoQueue", "true", "false"),
    ("ContentBasedDeduplication", "false", "true"),
    ("DeduplicationScope", "queue", "messageGroup"),
    ("FifoThroughputLimit", "perQueue", "perMessageGroupId"),
];

/// The attributes that a queue reports and that cannot be set.
pub(super) const READ_ONLY: [&str; 6] = [
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

/// The attributes that are gone when they are set to nothing.
const REMOVABLE: [&str; 4] = [
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
];

/// Refuses a request for attributes that no queue has.
pub(super) fn check_names(names: &[String]) -> Result<(), ApiRefusal> {
    let is_known = |name: &str| {
        name == "All"
            || READ_ONLY.contains(&name)
            || REMOVABLE.contains(&name)
            || NUMBERS.iter().any(|number| number.name == name)
            || OF_FIFO.iter().any(|(of_fifo, ..)| *of_fifo == name)
            || matches!(
                name,
                "KmsDataKeyReusePeriodSeconds" | "SqsManagedSseEnabled"
            )
    };
    match names.iter().find(|name| !is_known(name)) {
        Some(unknown) => Err(unknown_attribute(unknown)),
        None => Ok(()),
    }
}

/// The attributes of a queue before any is set.
pub(super) fn defaults(fifo: bool) -> QueueAttributes {
    let numbers = NUMBERS
        .iter()
        .map(|one| (one.name, one.default.to_string()));
    let of_fifo = OF_FIFO.iter().filter(|_| fifo);
    let of_fifo = of_fifo.map(|(name, default, _)| (*name, (*default).to_owned()));
    let encrypted = [("SqsManagedSseEnabled", "true".to_owned())];
    let all = numbers.chain(of_fifo).chain(encrypted);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Changes attributes to the requested values, or refuses and changes nothing. `known` are those of
/// a FIFO queue or of a standard queue.
pub(super) fn change(
    known: &QueueAttributes,
    asked: &QueueAttributes,
) -> Result<QueueAttributes, ApiRefusal> {
    let fifo = known.contains_key("FifoQueue");
    let mut changed = known.clone();
    for (name, value) in asked {
        let value = checked(name, value, fifo)?;
        if value.is_empty() {
            changed.remove(name);
        } else {
            changed.insert(name.clone(), value);
        }
    }
    let key = asked.get("KmsMasterKeyId").filter(|key| !key.is_empty());
    let managed = asked.contains_key("SqsManagedSseEnabled")
        && changed
            .get("SqsManagedSseEnabled")
            .is_some_and(|value| value == "true");
    match (key, managed) {
        (Some(_), true) => {
            return Err(attribute_name(
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.",
            ));
        }
        (Some(_), false) => {
            changed.insert("SqsManagedSseEnabled".into(), "false".into());
        }
        (None, true) => {
            changed.remove("KmsMasterKeyId");
        }
        (None, false) => {}
    }
    let is = |name: &str, value: &str| changed.get(name).is_some_and(|known| known == value);
    if is("FifoThroughputLimit", "perMessageGroupId") && !is("DeduplicationScope", "messageGroup") {
        return Err(attribute_value(
            "FifoThroughputLimit",
            "The value perMessageGroupId is allowed only when the value for DeduplicationScope is messageGroup.",
        ));
    }
    Ok(changed)
}

/// The value of an attribute as it is kept; an empty one takes the attribute away.
fn checked(name: &str, value: &str, fifo: bool) -> Result<String, ApiRefusal> {
    if let Some(number) = NUMBERS
        .iter()
        .chain([&KEY_REUSE])
        .find(|one| one.name == name)
    {
        let (least, most) = (number.least, number.most);
        let parsed = value
            .parse()
            .ok()
            .filter(|value| (least..=most).contains(value));
        let reason = format!("Must be an integer from {least} to {most}.");
        let parsed: u64 = parsed.ok_or_else(|| attribute_value(name, &reason))?;
        return Ok(parsed.to_string());
    }
    if let Some((_, default, other)) = OF_FIFO.iter().find(|(of_fifo, ..)| *of_fifo == name) {
        return checked_of_fifo(name, value, [default, other], fifo);
    }
    if REMOVABLE.contains(&name) && value.is_empty() {
        return Ok(String::new());
    }
    match name {
        "RedrivePolicy" => RedrivePolicy::parse(value).map(|redrive| redrive.to_policy()),
        "RedriveAllowPolicy" => check_allow_policy(value).map(|()| value.to_owned()),
        "Policy" => match serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(value) {
            Ok(_) => Ok(value.to_owned()),
            Err(_) => Err(attribute_value(name, "It must be a JSON map.")),
        },
        "KmsMasterKeyId" => Ok(value.to_owned()),
        "SqsManagedSseEnabled" => boolean(name, value),
        _ => Err(unknown_attribute(name)),
    }
}

fn checked_of_fifo(
    name: &str,
    value: &str,
    values: [&str; 2],
    fifo: bool,
) -> Result<String, ApiRefusal> {
    match name {
        "DeduplicationScope" | "FifoThroughputLimit" if !fifo => Err(attribute_name(format!(
            "You can specify the {name} only when FifoQueue is set to true."
        ))),
        _ if !fifo => Err(unknown_attribute(name)),
        "FifoQueue" => match boolean(name, value)?.as_str() {
            "true" => Ok("true".into()),
            _ => Err(attribute_value(
                name,
                "Modifying queue type is not supported.",
            )),
        },
        "ContentBasedDeduplication" => boolean(name, value),
        _ if values.contains(&value) => Ok(value.to_owned()),
        _ => {
            let [default, other] = values;
            Err(attribute_value(
                name,
                &format!("Must be {default} or {other}."),
            ))
        }
    }
}

fn boolean(name: &str, value: &str) -> Result<String, ApiRefusal> {
    let value = value.to_ascii_lowercase();
    match value.as_str() {
        "true" | "false" => Ok(value),
        _ => Err(attribute_value(name, "Must be true or false.")),
    }
}

/// Returns `true` if the attributes asked for make a FIFO queue.
pub(super) fn asks_for_fifo(asked: &QueueAttributes) -> bool {
    let asked = asked.get("FifoQueue");
    asked.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Returns `true` if a queue reports an attribute: the reuse of data keys only with a key.
pub(super) fn is_told(name: &str, known: &QueueAttributes) -> bool {
    name != KEY_REUSE.name || known.contains_key("KmsMasterKeyId")
}

/// The settings that attributes make.
pub(super) fn settings(known: &QueueAttributes) -> QueueSettings {
    let is = |name: &str, value: &str| known.get(name).is_some_and(|known| known == value);
    let number = |name: &str| {
        let default = NUMBERS.iter().find(|number| number.name == name);
        let set = known.get(name).and_then(|value| value.parse().ok());
        set.or(default.map(|number| number.default)).unwrap_or(0)
    };
    let seconds = |name: &str| Duration::from_secs(number(name));
    let redrive = known.get("RedrivePolicy");
    QueueSettings {
        visibility: seconds("VisibilityTimeout"),
        delay: seconds("DelaySeconds"),
        retention: seconds("MessageRetentionPeriod"),
        wait: seconds("ReceiveMessageWaitTimeSeconds"),
        largest: usize::try_from(number("MaximumMessageSize")).unwrap_or(usize::MAX),
        redrive: redrive.and_then(|policy| RedrivePolicy::parse(policy).ok()),
        fifo: known.contains_key("FifoQueue"),
        content_deduplication: is("ContentBasedDeduplication", "true"),
        scope: if is("DeduplicationScope", "messageGroup") {
            DeduplicationScope::MessageGroup
        } else {
            DeduplicationScope::Queue
        },
    }
}
