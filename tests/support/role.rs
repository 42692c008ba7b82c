//! Generated IAM policies for stand-ins of AWS, whole or less one action.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use serde_json::{Value, json};

/// Actions of single calls whose batch calls are actions of their own at moto and ministack; at AWS
/// the permission of the single call holds for both.
const BATCHED: [&str; 3] = [
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:SendMessage",
];

/// The policy of everything.
pub(crate) const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// The actions of a statement.
pub(crate) fn actions(statement: &Value) -> Vec<String> {
    texts(&statement["Action"])
}

/// The resources of a statement.
pub(crate) fn resources(statement: &Value) -> Vec<String> {
    texts(&statement["Resource"])
}

fn texts(value: &Value) -> Vec<String> {
    let text = |one: &Value| one.as_str().unwrap().to_owned();
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

/// Returns `true` where a policy has an action.
pub(crate) fn names(statements: &[Value], action: &str) -> bool {
    statements
        .iter()
        .any(|statement| actions(statement).iter().any(|one| one == action))
}

/// A policy of statements, with the names of batch calls beside those of single ones, and without
/// one action on resources with an ending.
pub(crate) fn document(statements: &[Value], without: Option<(&str, &str)>) -> String {
    let mut kept = Vec::new();
    for statement in statements {
        for resource in resources(statement) {
            let mut left = actions(statement);
            if let Some((action, ending)) = without
                && resource.ends_with(ending)
            {
                left.retain(|one| one != action);
            }
            let batches: Vec<String> = left
                .iter()
                .filter(|one| BATCHED.contains(&&***one))
                .map(|one| format!("{one}Batch"))
                .collect();
            left.extend(batches);
            if !left.is_empty() {
                kept.push(json!({ "Effect": "Allow", "Action": left, "Resource": resource }));
            }
        }
    }
    json!({ "Version": "2012-10-17", "Statement": kept }).to_string()
}
