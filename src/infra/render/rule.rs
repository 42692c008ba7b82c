//! The rule of a classic bus, and the subscriber of a version-2 bus.

use serde_json::{Value, json};

use super::pattern::{MAX_PATTERN_CHARACTERS, RulePattern, object, only, union};
use super::{Names, RenderError, queue_arn, with};
use crate::event::pattern::Pattern;
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// Retries and age after which EventBridge gives an event to the target's dead-letter queue: its
/// own most (EventBridge user guide, "Event retry policy": 185 attempts, 24 hours).
const MAX_RETRIES: u32 = 185;
const MAX_AGE_SECONDS: u32 = 86_400;

/// The rule with its target.
pub(super) fn template(pattern: &RulePattern, names: &Names) -> Result<Value, RenderError> {
    let pattern: Value = serde_json::from_str(&pattern.tree.to_json())?;
    let mut parameters = json!({
        "EventBusName": { "Type": "String", "Default": "default", "Description": "Name of the event bus" },
        "RuleName": {
            "Type": "String",
            "Default": "eventcast",
            "Description": "Name of the rule; queues.yaml names it in the policies of its queues",
        },
        "RuleState": {
            "Type": "String",
            "Default": "ENABLED",
            "AllowedValues": ["ENABLED", "DISABLED"],
            "Description": "DISABLED loses the events that come meanwhile; stop the service for maintenance instead",
        },
        "UndeliveredQueueName": {
            "Type": "String",
            "Default": "eventcast-undelivered",
            "Description": "Dead-letter queue of the target: a standard queue whose policy names this rule",
        },
    });
    let mut target = json!({
        "Id": "eventcast",
        "Arn": queue_arn(&names.whole(&names.queue)),
        "DeadLetterConfig": { "Arn": queue_arn("${UndeliveredQueueName}") },
        "RetryPolicy": { "MaximumEventAgeInSeconds": MAX_AGE_SECONDS, "MaximumRetryAttempts": MAX_RETRIES },
    });
    if names.is_fifo {
        parameters = with(
            parameters,
            "MessageGroupId",
            json!({
                "Type": "String",
                "Default": "eventcast",
                "Description": "The one message group of all events: a rule knows no group of an event, a subscriber of a version-2 bus does",
            }),
        );
        let group = json!({ "MessageGroupId": { "Ref": "MessageGroupId" } });
        target = with(target, "SqsParameters", group);
    }
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "eventcast: the rule that hands events to the queue (made by `eventcast infra render`)",
        "Parameters": parameters,
        "Resources": {
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "Name": { "Ref": "RuleName" },
                    "EventBusName": { "Ref": "EventBusName" },
                    "Description": "Events of the routes of eventcast.yaml",
                    "State": { "Ref": "RuleState" },
                    "EventPattern": pattern,
                    "Targets": [target],
                },
            },
        },
        "Outputs": {
            "RuleArn": {
                "Description": "aws:SourceArn of the policies of the queues",
                "Value": { "Fn::GetAtt": ["Rule", "Arn"] },
            },
        },
    }))
}

/// Parts of a delivery of a version-2 bus that a filter looks at, and the members of a pattern that
/// they have, by their names there (docs/events.md; EventBridge v2 API, `FilterScope`).
const SCOPES: [(&str, &[(&str, &str)]); 2] = [
    (
        "SYSTEM_METADATA",
        &[
            ("source", "aws:Source"),
            ("detail-type", "aws:DetailType"),
            ("id", "aws:EventId"),
            ("time", "aws:IngestionTime"),
        ],
    ),
    ("METADATA", &[("Metadata", "")]),
];

/// The subscriber with its filters, and remarks.
///
/// An event must match every filter, each of which looks at one part of it. So with several routes
/// each filter is the union of their conditions on that part; together they let pass some events
/// that no route takes, and none less.
pub(super) fn subscriber(
    patterns: &[&TreeValue],
    names: &Names,
) -> Result<(Value, Vec<String>), RenderError> {
    let mut filters = Vec::new();
    let mut notes = Vec::new();
    let mut parts = 0;
    let data = patterns.iter().map(|pattern| below(pattern, "detail"));
    if let Some(filter) = filter(data) {
        parts += 1;
        filters.push(json!({ "Scope": "DATA", "Pattern": filter }));
    }
    for (scope, members) in SCOPES {
        let part = patterns.iter().map(|pattern| match members {
            [(name, "")] => below(pattern, name),
            renamed => {
                let names: Vec<&str> = renamed.iter().map(|(name, _)| *name).collect();
                only(pattern, &names).map(|part| rename(&part, renamed))
            }
        });
        if let Some(filter) = filter(part) {
            parts += 1;
            filters.push(json!({ "Scope": scope, "Pattern": filter }));
        }
    }
    if parts > 1 && patterns.len() > 1 {
        notes.push("subscriber.json: each filter looks at one part of an event, so that the queue gets some events that no route takes; the bridge drops them".to_owned());
    }
    let mut parameters = json!({
        "EventBusArn": { "Type": "String", "Description": "Output of events-v2.yaml" },
        "SubscriberRoleArn": { "Type": "String", "Description": "Output of events-v2.yaml" },
        "SubscriberName": { "Type": "String", "Default": "eventcast", "Description": "Name of the subscriber" },
        "SubscriberState": {
            "Type": "String",
            "Default": "RUNNING",
            "AllowedValues": ["RUNNING", "STOPPED"],
            "Description": "STOPPED is the maintenance mode: the bus keeps events, and RUNNING goes on where it stopped",
        },
        "UndeliveredQueueName": {
            "Type": "String",
            "Default": "eventcast-undelivered",
            "Description": "Queue for events that cannot be delivered",
        },
    });
    let mut invoke = json!({
        "TargetArn": queue_arn(&names.whole(&names.queue)),
        "RoleArn": { "Ref": "SubscriberRoleArn" },
    });
    if names.is_fifo {
        parameters = with(
            parameters,
            "MessageGroupId",
            json!({
                "Type": "String",
                "Default": "{% $string($.SystemMetadata.`aws:Source`) %}",
                "Description": "Message group of an event: JSONata, such as the id of what it is about",
            }),
        );
        let sqs = json!({
            "MessageGroupId": { "Ref": "MessageGroupId" },
            "MessageDeduplicationId": "{% $.SystemMetadata.`aws:EventId` %}",
        });
        invoke = with(invoke, "SqsParameters", sqs);
    }
    let mut properties = json!({
        "Name": { "Ref": "SubscriberName" },
        "Description": "Events of the routes of eventcast.yaml",
        "EventBusArn": { "Ref": "EventBusArn" },
        "Type": if names.is_fifo { "FIFO" } else { "UNORDERED" },
        "State": { "Ref": "SubscriberState" },
        "ResumePosition": "LAST_PROCESSED",
        "InvokeConfiguration": invoke,
        "Transformer": { "Type": "WITH_METADATA" },
        "OnFailureConfiguration": { "Arn": queue_arn("${UndeliveredQueueName}") },
        "RetryPolicy": { "MaxEventAgeInSeconds": MAX_AGE_SECONDS, "MaxRetryAttempts": MAX_RETRIES },
        "LogConfiguration": { "Level": "ERROR", "IncludePayload": "ON_ERROR_ONLY" },
    });
    if !filters.is_empty() {
        let filters = json!({ "Language": "EVENT_BRIDGE_PATTERN", "Filters": filters });
        properties = with(properties, "FilterConfiguration", filters);
    }
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "eventcast: the subscriber of a version-2 bus that hands events to the queue (made by `eventcast infra render`)",
        "Parameters": parameters,
        "Resources": { "Subscriber": { "Type": "AWS::EventsV2::Subscriber", "Properties": properties } },
        "Outputs": {
            "SubscriberArn": {
                "Description": "The subscriber",
                "Value": { "Fn::GetAtt": ["Subscriber", "SubscriberArn"] },
            },
        },
    });
    Ok((template, notes))
}

/// The union of all routes' conditions on one part; `None` where one of them asks nothing, or it
/// does not fit.
fn filter(parts: impl Iterator<Item = Option<TreeValue>>) -> Option<String> {
    let union = union(parts.collect::<Option<Vec<TreeValue>>>()?)?;
    let text = union.to_json();
    let fits = text.chars().count() <= MAX_PATTERN_CHARACTERS;
    (fits && Pattern::from_tree(&union).is_ok()).then_some(text)
}

/// The pattern of a member whose value is an object.
fn below(pattern: &TreeValue, name: &str) -> Option<TreeValue> {
    let NodeValue::Object(members) = &pattern.value else {
        return None;
    };
    let member = members.iter().rev().find(|member| *member.key == *name)?;
    matches!(member.value.value, NodeValue::Object(_)).then(|| member.value.clone())
}

fn rename(part: &TreeValue, renamed: &[(&str, &str)]) -> TreeValue {
    let NodeValue::Object(members) = &part.value else {
        return part.clone();
    };
    let renamed = members.iter().map(|member| {
        let known = renamed.iter().find(|(name, _)| *name == &*member.key);
        let name = known.map_or(&*member.key, |(_, there)| *there);
        (name, member.value.clone())
    });
    object(renamed.collect())
}
