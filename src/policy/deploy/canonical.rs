//! Canonical forms of documents: two documents say the same where these forms are equal.
//!
//! Exact rather than complete: what is equal here permits the same, and documents that permit the same by different patterns
//! count as different. The order of keys, statements and list elements, repetition, a list of one or its element, and the case of
//! actions mean nothing to IoT Core; a statement's `Sid` permits nothing, but stays what people find a statement by.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A document's canonical form, as compact JSON. `None` when the text is not JSON.
pub fn canonical(text: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    if let Value::Object(members) = &mut document {
        for (key, value) in members.iter_mut() {
            if key == "Statement" {
                *value = sorted(list(value.take()).into_iter().map(statement));
            }
        }
    }
    Some(ordered(document).to_string())
}

fn statement(statement: Value) -> Value {
    let Value::Object(members) = statement else {
        return statement;
    };
    let member = |(key, value): (String, Value)| {
        let value = match &*key {
            "Action" | "NotAction" => sorted(list(value).into_iter().map(lowercase)),
            "Resource" | "NotResource" => sorted(list(value)),
            "Condition" => conditions(value),
            _ => value,
        };
        (key, value)
    };
    Value::Object(members.into_iter().map(member).collect())
}

/// `{operator: {key: value or values}}`.
fn conditions(value: Value) -> Value {
    each(value, |keys| each(keys, |values| sorted(list(values))))
}

fn each(value: Value, change: impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, change(value)))
                .collect(),
        ),
        other => other,
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        one => vec![one],
    }
}

fn lowercase(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.to_lowercase()),
        other => other,
    }
}

/// A list without order and repetition.
fn sorted(elements: impl IntoIterator<Item = Value>) -> Value {
    let elements = elements.into_iter().map(ordered);
    let by_text: BTreeMap<String, Value> = elements
        .map(|element| (element.to_string(), element))
        .collect();
    Value::Array(by_text.into_values().collect())
}

/// With the keys of all objects in order, whatever map serde_json was built with.
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> = members.into_iter().collect();
            let members = members.into_iter();
            Value::Object(Map::from_iter(
                members.map(|(key, value)| (key, ordered(value))),
            ))
        }
        Value::Array(elements) => Value::Array(elements.into_iter().map(ordered).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENT: &str = r#"{
      "Version": "2012-10-17",
      "Statement": [
        {"Effect": "Allow", "Action": ["iot:Subscribe", "iot:Connect"], "Resource": "*",
         "Condition": {"StringEquals": {"iot:ClientId": ["b", "a"]}}},
        {"Effect": "Deny", "NotAction": "iot:Connect", "NotResource": ["b", "a"]}
      ]
    }"#;

    #[test]
    fn the_form() {
        insta::assert_snapshot!(canonical(DOCUMENT).unwrap(), @r#"{"Statement":[{"Action":["iot:connect","iot:subscribe"],"Condition":{"StringEquals":{"iot:ClientId":["a","b"]}},"Effect":"Allow","Resource":["*"]},{"Effect":"Deny","NotAction":["iot:connect"],"NotResource":["a","b"]}],"Version":"2012-10-17"}"#);
    }

    #[test]
    fn the_same_written_differently() {
        let other = r#"{"Statement":[
          {"NotResource":["a","b","a"],"Effect":"Deny","NotAction":["iot:connect"]},
          {"Condition":{"StringEquals":{"iot:ClientId":["a","b"]}},"Resource":["*"],"Action":["iot:Connect","IOT:Subscribe"],"Effect":"Allow"}
        ],"Version":"2012-10-17"}"#;
        assert_eq!(canonical(DOCUMENT), canonical(other));
        let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"a","Resource":"r"}}"#;
        let listed = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a"],"Resource":["r"]}]}"#;
        assert_eq!(canonical(one), canonical(listed));
    }

    #[test]
    fn what_is_another_document() {
        for (from, to) in [
            ("2012-10-17", "2008-10-17"),
            (r#""Allow""#, r#""Deny""#),
            ("iot:Subscribe", "iot:Publish"),
            (r#""b", "a"]}"#, r#""B", "a"]}"#),
            ("StringEquals", "StringLike"),
            ("NotAction", "Action"),
            (r#"{"Effect": "Deny""#, r#"{"Sid": "x", "Effect": "Deny""#),
        ] {
            let changed = DOCUMENT.replace(from, to);
            assert_ne!(changed, DOCUMENT);
            assert_ne!(canonical(&changed), canonical(DOCUMENT), "{from} {to}");
        }
        assert_eq!(canonical("{not json"), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[a-cA-C]{0,2}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            let key = prop_oneof![
                Just("Statement".to_owned()),
                Just("Action".to_owned()),
                Just("Condition".to_owned()),
                "[ab]"
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own(value in value()) {
            let once = canonical(&value.to_string()).unwrap();
            prop_assert_eq!(canonical(&once), Some(once));
        }
    }
}
