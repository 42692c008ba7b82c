//! The policies of dead-letter queues: the target of messages that were received too often, and the
//! queues that may move messages to a queue (SQS API reference, SetQueueAttributes, `RedrivePolicy`
//! and `RedriveAllowPolicy`).

use serde_json::{Map, Value, json};

use super::super::refusal::ApiRefusal;
use super::refusals::{attribute_value, invalid_value};

/// The bounds of `maxReceiveCount`.
const RECEIVE_COUNTS: std::ops::RangeInclusive<u32> = 1..=1_000;

/// The most queues that a `byQueue` policy may name.
const MOST_SOURCES: usize = 10;

/// A queue's dead-letter queue, and the number of receives after which a message is moved there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RedrivePolicy {
    /// The ARN of the dead-letter queue.
    pub(super) target: String,
    pub(super) max_receive_count: u32,
}

impl RedrivePolicy {
    /// Reads a `RedrivePolicy`.
    pub(super) fn parse(policy: &str) -> Result<Self, ApiRefusal> {
        let refuse = |reason: &str| redrive_refusal(policy, reason);
        let Ok(Value::Object(members)) = serde_json::from_str(policy) else {
            return Err(refuse("Redrive policy is not a valid JSON map."));
        };
        let member = |name: &str| {
            let missing = || {
                refuse(&format!(
                    "Redrive policy does not contain mandatory attribute: {name}."
                ))
            };
            members.get(name).ok_or_else(missing)
        };
        let (target, count) = (member("deadLetterTargetArn")?, member("maxReceiveCount")?);
        let known = ["deadLetterTargetArn", "maxReceiveCount"];
        if members.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(refuse(
                "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].",
            ));
        }
        let target = target.as_str().filter(|arn| arn.starts_with("arn:"));
        let target = target.ok_or_else(|| refuse("Invalid value for deadLetterTargetArn."))?;
        let number = match count {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64().and_then(|number| number.try_into().ok()),
        };
        let number = number.filter(|count| RECEIVE_COUNTS.contains(count));
        let max_receive_count = number.ok_or_else(|| {
            let written = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
            refuse(&format!(
                "Invalid value for maxReceiveCount: {written}, valid values are from 1 to 1000 both inclusive."
            ))
        })?;
        Ok(Self {
            target: target.to_owned(),
            max_receive_count,
        })
    }

    /// The policy as SQS returns it: compact, the count a number.
    pub(super) fn to_policy(&self) -> String {
        json!({ "deadLetterTargetArn": self.target, "maxReceiveCount": self.max_receive_count })
            .to_string()
    }
}

/// The refusal of a redrive policy.
pub(super) fn redrive_refusal(policy: &str, reason: &str) -> ApiRefusal {
    invalid_value("RedrivePolicy", policy, reason)
}

/// Checks a `RedriveAllowPolicy`.
pub(super) fn check_allow_policy(policy: &str) -> Result<(), ApiRefusal> {
    let refuse = |reason: &str| attribute_value("RedriveAllowPolicy", reason);
    let members: Map<String, Value> =
        serde_json::from_str(policy).map_err(|_| refuse("It must be a JSON map."))?;
    let sources = members.get("sourceQueueArns");
    match members.get("redrivePermission").and_then(Value::as_str) {
        Some("allowAll" | "denyAll") if sources.is_none() => Ok(()),
        Some("allowAll" | "denyAll") => Err(refuse(
            "sourceQueueArns can be specified only when redrivePermission is byQueue.",
        )),
        Some("byQueue") => match sources.and_then(Value::as_array) {
            Some(arns)
                if (1..=MOST_SOURCES).contains(&arns.len())
                    && arns
                        .iter()
                        .all(|arn| arn.as_str().is_some_and(is_queue_arn)) =>
            {
                Ok(())
            }
            _ => Err(refuse(
                "sourceQueueArns must be a list of 1 to 10 ARNs of queues when redrivePermission is byQueue.",
            )),
        },
        _ => Err(refuse(
            "redrivePermission must be one of allowAll, denyAll, byQueue.",
        )),
    }
}

fn is_queue_arn(arn: &str) -> bool {
    arn.starts_with("arn:") && arn.split(':').nth(2) == Some("sqs")
}

/// Returns `true` if a queue with this policy accepts dead-letter messages from a queue. Without a
/// policy every queue may send them.
pub(super) fn allows(policy: Option<&str>, source: &str) -> bool {
    let members: Option<Map<String, Value>> =
        policy.and_then(|policy| serde_json::from_str(policy).ok());
    let Some(members) = members else {
        return true;
    };
    match members.get("redrivePermission").and_then(Value::as_str) {
        Some("denyAll") => false,
        Some("byQueue") => {
            let sources = members.get("sourceQueueArns").and_then(Value::as_array);
            sources.is_some_and(|sources| sources.iter().any(|arn| arn == source))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

    #[test]
    fn redrive_policies() {
        let policy = |count: &str| {
            format!(r#"{{"maxReceiveCount":{count}, "deadLetterTargetArn":"{ARN}"}}"#)
        };
        for count in ["3", r#""3""#] {
            let redrive = RedrivePolicy::parse(&policy(count)).unwrap();
            assert_eq!(
                redrive.to_policy(),
                format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":3}}"#)
            );
        }
        let refused = |policy: &str| RedrivePolicy::parse(policy).unwrap_err().message;
        for count in ["0", "1001", "-1", "1.5", r#""x""#, "null", "[1]"] {
            let told = refused(&policy(count));
            assert!(told.contains("Invalid value for maxReceiveCount"), "{told}");
        }
        for (policy, reason) in [
            ("[]", "not a valid JSON map"),
            ("x", "not a valid JSON map"),
            (
                r#"{"maxReceiveCount":1}"#,
                "mandatory attribute: deadLetterTargetArn",
            ),
            (
                r#"{"deadLetterTargetArn":"arn:x"}"#,
                "mandatory attribute: maxReceiveCount",
            ),
            (
                r#"{"deadLetterTargetArn":"dummy","maxReceiveCount":1}"#,
                "Invalid value for deadLetterTargetArn",
            ),
            (
                r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":1,"x":1}"#,
                "Only following attributes",
            ),
        ] {
            let told = refused(policy);
            assert!(told.contains(reason), "{policy}: {told}");
        }
    }

    #[test]
    fn allow_policies() {
        let other = "arn:aws:sqs:us-east-1:000000000000:other";
        let by_queue = format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{ARN}"]}}"#);
        for (policy, expected) in [
            (r#"{"redrivePermission":"allowAll"}"#, [true, true]),
            (r#"{"redrivePermission":"denyAll"}"#, [false, false]),
            (&*by_queue, [true, false]),
        ] {
            check_allow_policy(policy).unwrap();
            assert_eq!([ARN, other].map(|arn| allows(Some(policy), arn)), expected);
        }
        assert!(allows(None, ARN));
        for policy in [
            "",
            "[]",
            "{}",
            r#"{"redrivePermission":"some"}"#,
            r#"{"redrivePermission":"byQueue"}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":[]}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":["x"]}"#,
            &format!(r#"{{"redrivePermission":"denyAll","sourceQueueArns":["{ARN}"]}}"#),
        ] {
            let refusal = check_allow_policy(policy).unwrap_err();
            assert_eq!(refusal.kind, "InvalidAttributeValue", "{policy}");
        }
    }
}
