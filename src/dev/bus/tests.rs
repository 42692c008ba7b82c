//! Buses by their actions: quotas, and requests that SDKs would refuse to send.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::queue::api::QueueService;
use super::api::EventBusService;

fn buses() -> EventBusService {
    EventBusService::new("us-east-1", Arc::new(QueueService::new("us-east-1")))
}

/// Returns an action's answer, or its error's name and words.
fn answer(
    buses: &EventBusService,
    action: &str,
    request: &Value,
) -> Result<Value, (&'static str, String)> {
    match buses.act(action, request.to_string().as_bytes()) {
        Ok(body) => Ok(serde_json::from_slice(&body).unwrap()),
        Err(refusal) => Err((refusal.kind, refusal.message)),
    }
}

#[track_caller]
fn refused(buses: &EventBusService, action: &str, request: &Value, kind: &str) -> String {
    let (told, message) = answer(buses, action, request).unwrap_err();
    assert_eq!(told, kind, "{message}");
    message
}

#[test]
fn quotas_bound_what_is_kept() {
    let buses = buses();
    let over = "LimitExceededException";
    for n in 0..100 {
        let bus = json!({ "Name": format!("bus-{n}") });
        answer(&buses, "CreateEventBus", &bus).unwrap();
    }
    refused(
        &buses,
        "CreateEventBus",
        &json!({ "Name": "one-more" }),
        over,
    );
    let rule = |name: &str| json!({ "Name": name, "EventPattern": r#"{"source":["s"]}"# });
    for n in 0..300 {
        answer(&buses, "PutRule", &rule(&format!("rule-{n}"))).unwrap();
    }
    refused(&buses, "PutRule", &rule("one-more"), over);
    // Replacing is not adding, and other buses have room.
    answer(&buses, "PutRule", &rule("rule-0")).unwrap();
    let elsewhere =
        json!({ "Name": "r", "EventBusName": "bus-0", "EventPattern": r#"{"source":["s"]}"# });
    answer(&buses, "PutRule", &elsewhere).unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let targets = |from: usize, to: usize| {
        let targets: Vec<Value> = (from..to)
            .map(|n| json!({ "Id": n.to_string(), "Arn": arn }))
            .collect();
        json!({ "Rule": "rule-0", "Targets": targets })
    };
    answer(&buses, "PutTargets", &targets(0, 3)).unwrap();
    refused(&buses, "PutTargets", &targets(2, 6), over);
    let listed = answer(&buses, "ListTargetsByRule", &json!({ "Rule": "rule-0" })).unwrap();
    assert_eq!(
        listed["Targets"].as_array().unwrap().len(),
        3,
        "all or none"
    );
    answer(&buses, "PutTargets", &targets(0, 5)).unwrap();
    let tags: Vec<Value> = (0..51)
        .map(|n| json!({ "Key": n.to_string(), "Value": "" }))
        .collect();
    let bus = "arn:aws:events:us-east-1:000000000000:event-bus/bus-1";
    let request = json!({ "ResourceARN": bus, "Tags": tags });
    refused(&buses, "TagResource", &request, over);
    let listed = answer(
        &buses,
        "ListTagsForResource",
        &json!({ "ResourceARN": bus }),
    )
    .unwrap();
    assert_eq!(listed["Tags"], json!([]), "all or none");
}

#[test]
fn replacing_a_rule_keeps_its_targets() {
    let buses = buses();
    let put = |pattern: &str, description: Option<&str>| {
        let request = json!({ "Name": "r", "EventPattern": pattern, "Description": description });
        answer(&buses, "PutRule", &request).unwrap();
    };
    put(r#"{"source":["a"]}"#, Some("first"));
    let arn = "arn:aws:sqs:us-east-1:000000000000:q";
    let targets = json!({ "Rule": "r", "Targets": [{ "Id": "1", "Arn": arn }] });
    answer(&buses, "PutTargets", &targets).unwrap();
    answer(&buses, "DisableRule", &json!({ "Name": "r" })).unwrap();
    put(r#"{"source":["b"]}"#, None);
    let told = answer(&buses, "DescribeRule", &json!({ "Name": "r" })).unwrap();
    assert_eq!(told["EventPattern"], r#"{"source":["b"]}"#);
    // Members that the second PutRule leaves out are not kept, `State` included.
    assert_eq!(
        (&told["State"], told.get("Description")),
        (&json!("ENABLED"), None)
    );
    let listed = answer(&buses, "ListTargetsByRule", &json!({ "Rule": "r" })).unwrap();
    assert_eq!(listed["Targets"], targets["Targets"]);
}

#[test]
fn what_no_sdk_lets_through() {
    let buses = buses();
    let invalid = "ValidationException";
    for action in [
        "CreateEventBus",
        "DeleteEventBus",
        "PutRule",
        "DeleteRule",
        "DescribeRule",
        "EnableRule",
        "DisableRule",
        "PutTargets",
        "RemoveTargets",
        "ListTargetsByRule",
        "ListRuleNamesByTarget",
        "TestEventPattern",
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
        "PutEvents",
    ] {
        let message = refused(&buses, action, &json!({}), invalid);
        assert!(
            message.contains("Member must not be null"),
            "{action}: {message}"
        );
    }
    let targets = json!({ "Rule": "r", "Targets": [{ "InputTransformer": {} }] });
    let message = refused(&buses, "PutTargets", &targets, invalid);
    assert!(
        message.starts_with("3 validation errors detected: Value null at 'targets.1.member.id'"),
        "{message}"
    );
    for request in ["{", "text", r#"{"Limit":"ten"}"#] {
        let refusal = buses.act("ListRules", request.as_bytes()).unwrap_err();
        assert_eq!(refusal.kind, "SerializationException", "{request}");
    }
    // Members that are null count as left out.
    let request =
        json!({ "Name": null, "Tags": null, "Limit": null, "Entries": null, "Targets": null });
    answer(&buses, "ListEventBuses", &request).unwrap();
    answer(&buses, "ListEventBuses", &json!({})).unwrap();
    assert!(buses.act("ListEventBuses", b"").is_ok());
}

/// Wildcards of one field count together, in rules and in tests of patterns.
#[test]
fn patterns_that_are_too_complex_are_refused() {
    let buses = buses();
    let stacks = |count: usize| -> Value {
        let stack = |n| json!({ "wildcard": format!("*:stack/{n}-stack/*") });
        json!({ "detail": { "id": (0..count).map(stack).collect::<Vec<_>>() } })
    };
    let one = |wildcard: &str| json!({ "detail": { "id": [{ "wildcard": wildcard }] } });
    let apart = json!({ "detail": { "a": [{ "wildcard": "*a*a*a*a*" }], "b": [{ "wildcard": "*a*a*a*a*" }] } });
    for (pattern, is_taken) in [
        (one("/Users/*/dir/dir/dir/dir/dir/doc.txt"), true),
        (one("*a*a*a*a*"), true),
        (stacks(3), true),
        (apart, true),
        (one("*:*:*:*:*:event-bus/*"), false),
        (one("*a*a*a*a*a*a*"), false),
        (stacks(4), false),
        (
            json!({ "$or": [one("*:*:*:*:*:event-bus/*"), { "source": ["s"] }] }),
            false,
        ),
    ] {
        let rule = json!({ "Name": "r", "EventPattern": pattern.to_string() });
        let event = json!({
            "id": "1", "account": "1", "source": "s", "time": "2026-11-25T00:00:00Z", "region": "r", "detail-type": "t",
        });
        let test = json!({ "EventPattern": pattern.to_string(), "Event": event.to_string() });
        for (action, request) in [("PutRule", rule), ("TestEventPattern", test)] {
            match answer(&buses, action, &request) {
                Ok(_) => assert!(is_taken, "{action} takes {pattern}"),
                Err((kind, message)) => {
                    assert!(!is_taken, "{action} refuses {pattern}: {message}");
                    assert_eq!(kind, "InvalidEventPatternException");
                    assert!(message.contains("Rule is too complex"), "{message}");
                }
            }
        }
    }
}

/// A call with too many entries repeats them, as the service was recorded to do.
#[test]
fn too_many_entries_are_repeated() {
    let entry =
        json!({ "Source": "s", "DetailType": "t", "Detail": "{}", "Resources": ["a", "b"] });
    let entries: Vec<Value> = std::iter::repeat_n(entry, 11).collect();
    let message = refused(
        &buses(),
        "PutEvents",
        &json!({ "Entries": entries }),
        "ValidationException",
    );
    let one = "PutEventsRequestEntry(time=null, source=s, resources=[a, b], detailType=t, detail={}, eventBusName=null, traceHeader=null, kmsKeyIdentifier=null, internalMetadata=null)";
    let begin = format!("1 validation error detected: Value '[{one}, {one}, ");
    assert!(message.starts_with(&begin), "{message}");
    assert!(
        message.ends_with("' at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10"),
        "{message}"
    );
}
