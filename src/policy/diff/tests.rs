//! Differences that are reported, pairs without one, and those that a slow search finds as well.

use proptest::prelude::*;

use super::*;
use crate::policy::context::Context;
use crate::policy::evaluate::{Request, decide};

const ARN: &str = "arn:aws:iot:us-east-1:123456789012:";

/// A statement in short, such as `allow iot:Publish topic/a topic/b if {…}`; `not` before the resources makes them NotResource.
fn statement(short: &str) -> String {
    let (short, condition) = match short.split_once(" if ") {
        Some((short, condition)) => (short, format!(",\"Condition\":{condition}")),
        None => (short, String::new()),
    };
    let words: Vec<&str> = short.split_whitespace().collect();
    let effect = if words[0] == "allow" { "Allow" } else { "Deny" };
    let actions: Vec<&str> = words[1].split(',').collect();
    let (element, resources) = match words[2] {
        "not" => ("NotResource", &words[3..]),
        _ => ("Resource", &words[2..]),
    };
    let arn = |name: &&str| match name.starts_with("arn:") || *name == "*" {
        true => (*name).to_owned(),
        false => format!("{ARN}{name}"),
    };
    let resources: Vec<String> = resources.iter().map(arn).collect();
    format!(
        "{{\"Effect\":\"{effect}\",\"Action\":{},\"{element}\":{}{condition}}}",
        serde_json::to_string(&actions).unwrap(),
        serde_json::to_string(&resources).unwrap(),
    )
}

fn document(statements: &[&str]) -> Document {
    let statements: Vec<String> = statements.iter().map(|short| statement(short)).collect();
    let statements = statements.join(",");
    let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn told(before: &[&str], after: &[&str]) -> String {
    let difference = diff(&[document(before)], &[document(after)]);
    assert!(!difference.cut);
    let line = |change: &ActionChange| {
        let sign = match change.verdict {
            PermissionChange::Allowed => "+",
            PermissionChange::Denied => "-",
        };
        let part = if change.whole { "" } else { "part of " };
        let when: Vec<String> = change
            .when
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let when = if when.is_empty() {
            String::new()
        } else {
            format!(" when {}", when.join(" "))
        };
        let when = match (change.always, when.is_empty()) {
            (false, true) => " in some requests".to_owned(),
            _ => when,
        };
        let resource = change.resource.replace(ARN, "");
        let example = change.example.replace(ARN, "");
        format!(
            "{sign} {} on {part}{resource}{when}, as on {example}",
            change.actions.join(", ")
        )
    };
    difference
        .changes
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_changed_is_told() {
    let cases: [(&[&str], &[&str]); 16] = [
        (
            &["allow iot:Publish topic/a"],
            &["allow iot:Publish topic/b"],
        ),
        (
            &["allow iot:Publish topic/a"],
            &["allow iot:Publish,iot:Receive topic/a topic/b"],
        ),
        (
            &["allow iot:Publish topic/order/*"],
            &["allow iot:Publish topic/order/7"],
        ),
        (
            &["allow iot:Publish topic/order/7"],
            &["allow iot:Publish topic/order/* topic/order/8"],
        ),
        (
            &["allow iot:Publish topic/a/*"],
            &["allow iot:Publish topic/a/*", "deny iot:Publish topic/*/b"],
        ),
        (
            &["allow iot:Publish topic/a"],
            &["deny iot:Publish topic/a"],
        ),
        (&["allow iot:* *"], &["allow iot:Connect client/a"]),
        (
            &["allow iot:Receive topic/*"],
            &["allow iot:Receive not topic/secret/*"],
        ),
        (
            &["allow iot:Connect client/*"],
            &["allow iot:Connect client/a client/a-*"],
        ),
        (
            &["allow iot:Publish topic/a/${iot:ClientId}"],
            &["allow iot:Publish topic/a/*"],
        ),
        (
            &[
                "allow iot:Connect client/a if {\"IpAddress\":{\"aws:SourceIp\":[\"10.0.0.0/8\",\"192.0.2.7\"]}}",
            ],
            &["allow iot:Connect client/a if {\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}"],
        ),
        (
            &["allow iot:Connect client/a"],
            &[
                "allow iot:Connect client/a",
                "deny iot:Connect client/a if {\"StringNotEquals\":{\"iot:DomainName\":\"d\"}}",
            ],
        ),
        (
            &["allow iot:Publish arn:aws:iot:*:123456789012:topic/a"],
            &["allow iot:Publish topic/a"],
        ),
        (
            &["allow iot:ListRetainedMessages *"],
            &["allow iot:ListRetainedMessages topic/a"],
        ),
        (
            &["allow sqs:SendMessage arn:aws:sqs:us-east-1:123456789012:q"],
            &["allow sqs:* arn:aws:sqs:us-east-1:123456789012:q"],
        ),
        (
            &[
                "allow iot:Subscribe topicfilter/a/*",
                "deny iot:Subscribe topicfilter/a/#",
            ],
            &["allow iot:Subscribe topicfilter/a/*"],
        ),
    ];
    let shown = cases.map(|(before, after)| {
        format!(
            "before: {}\nafter:  {}\n{}\n",
            before.join("; "),
            after.join("; "),
            told(before, after)
        )
    });
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_same_in_other_words_is_no_difference() {
    let cases: [(&[&str], &[&str]); 12] = [
        (
            &["allow iot:Publish topic/a topic/b"],
            &["allow iot:Publish topic/b", "allow iot:Publish topic/a"],
        ),
        (
            &["allow iot:Publish topic/a/* topic/a/b"],
            &["allow iot:Publish topic/a/*"],
        ),
        (
            &["allow iot:Publish topic/a"],
            &["allow iot:Publish topic/a", "deny iot:Publish topic/b"],
        ),
        (
            &["allow iot:Publish topic/a"],
            &["allow IOT:PUBLISH topic/a topic/a"],
        ),
        (
            &["allow iot:Publish topic/**a"],
            &["allow iot:Publish topic/*a"],
        ),
        (
            &["allow iot:Publish topic/*?"],
            &["allow iot:Publish topic/?*"],
        ),
        (
            &["allow iot:Connect client/*"],
            &["allow iot:Connect client/${iot:ClientId}"],
        ),
        (
            &["allow iot:Publish topic/*"],
            &["allow iot:Publish topic/*", "deny iot:Publish topic/a/+"],
        ),
        (
            &["allow iot:Publish topic/a"],
            &["allow iot:Publish,iot:Subscribe topic/a"],
        ),
        (
            &["allow iot:Publish not topic/a"],
            &["allow iot:Publish *", "deny iot:Publish topic/a"],
        ),
        (
            &["allow iot:Publish topic/a if {\"Bool\":{\"x:y\":\"true\"}}"],
            &["allow iot:Publish topic/a if {\"Bool\":{\"x:y\":[\"true\",\"true\"]}}"],
        ),
        (
            &["allow iot:Publish topic/a topic/b topic/?"],
            &["allow iot:Publish topic/?"],
        ),
    ];
    for (before, after) in cases {
        assert_eq!(told(before, after), "", "{before:?} {after:?}");
        assert_eq!(told(after, before), "", "{after:?} {before:?}");
    }
}

#[test]
fn several_documents_are_one_side() {
    let parts = [
        document(&["allow iot:Publish topic/a"]),
        document(&["allow iot:Publish topic/b"]),
    ];
    let whole = [document(&["allow iot:Publish topic/a topic/b"])];
    assert_eq!(diff(&parts, &whole), PolicyDifference::default());
    assert_eq!(diff(&parts[..1], &whole).changes.len(), 1);
    assert_eq!(diff(&[], &whole).changes.len(), 2);
}

fn statements() -> impl Strategy<Value = Vec<String>> {
    let resource = "[ab/*?]{1,4}".prop_map(|name| format!("topic/{name}"));
    let statement = (
        any::<bool>(),
        prop::bool::weighted(0.15),
        prop::collection::vec(resource, 1..3),
    )
        .prop_map(|(allow, not, resources)| {
            let effect = if allow { "allow" } else { "deny" };
            let not = if not { "not " } else { "" };
            format!("{effect} iot:Publish {not}{}", resources.join(" "))
        });
    prop::collection::vec(statement, 1..5)
}

/// All names of up to four characters.
fn names() -> Vec<String> {
    let mut names = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..4 {
        names = names
            .iter()
            .flat_map(|name| ['a', 'b', '/', 'x'].map(|c| format!("{name}{c}")))
            .collect();
        all.extend(names.clone());
    }
    all
}

fn allowed(document: &Document, resource: &str) -> bool {
    let request = Request {
        action: "iot:Publish",
        resource: ResourceArn::new(resource),
        context: &Context::default(),
    };
    decide([document], &request).is_allowed()
}

proptest! {
    #[test]
    fn nothing_is_missed_and_nothing_made_up(before in statements(), after in statements()) {
        let texts = |statements: &[String]| {
            let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
            document(&texts)
        };
        let (before, after) = (texts(&before), texts(&after));
        let difference = diff(std::slice::from_ref(&before), std::slice::from_ref(&after));
        prop_assert!(!difference.cut);
        for change in &difference.changes {
            let became = allowed(&after, &change.example);
            prop_assert_eq!(became, change.verdict == PermissionChange::Allowed, "{}", change.example);
            prop_assert_ne!(became, allowed(&before, &change.example), "{}", change.example);
        }
        for name in names() {
            let resource = format!("{ARN}topic/{name}");
            let verdict = match (allowed(&before, &resource), allowed(&after, &resource)) {
                (false, true) => PermissionChange::Allowed,
                (true, false) => PermissionChange::Denied,
                _ => continue,
            };
            prop_assert!(
                difference.changes.iter().any(|change| change.verdict == verdict),
                "{resource} became {verdict:?}"
            );
        }
    }
}
