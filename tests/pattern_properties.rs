//! The matcher against a slow and obvious one, and many patterns together against each alone.
//!
//! The reference flattens the event into a list of leaves and tries every choice of one leaf a
//! field, without index, trie or backtracking. It knows exact values, `prefix`, `anything-but`,
//! `exists` and `numeric`, which meet every way through the matcher; the meaning of each operator
//! by itself is held to AWS's verdicts elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use eventcast::event::fields::FieldTrie;
use eventcast::event::pattern::Pattern;
use eventcast::event::pattern::matching::PatternSet;
use eventcast::event::scan::scan;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A leaf of an event: its dotted path, its value, and the array elements it came from, by the
/// arrays' places.
#[derive(Clone, Debug)]
struct Leaf {
    path: String,
    value: Value,
    elements: BTreeMap<String, usize>,
}

/// `place` distinguishes arrays; `elements` are those that bind.
fn flatten(
    value: &Value,
    path: &str,
    place: &str,
    elements: &BTreeMap<String, usize>,
    out: &mut Vec<Leaf>,
) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(value, &path, &format!("{place}/{key}"), elements, out);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let mut elements = elements.clone();
                if item.is_object() || item.is_array() {
                    elements.insert(place.to_owned(), index);
                }
                flatten(item, path, &format!("{place}[{index}]"), &elements, out);
            }
        }
        leaf => out.push(Leaf {
            path: path.to_owned(),
            value: leaf.clone(),
            elements: elements.clone(),
        }),
    }
}

fn accepts(test: &Value, value: &Value) -> bool {
    let Some((operator, argument)) = test.as_object().and_then(|test| test.iter().next()) else {
        return test == value;
    };
    match operator.as_str() {
        "prefix" => value
            .as_str()
            .is_some_and(|text| text.starts_with(argument.as_str().unwrap())),
        "anything-but" => argument != value,
        "numeric" => value
            .as_i64()
            .is_some_and(|number| number > argument[1].as_i64().unwrap()),
        "exists" => argument == &json!(true),
        other => panic!("the reference does not know {other}"),
    }
}

/// Two leaves may be chosen together unless they come from different elements of one array.
fn fits(chosen: &BTreeMap<String, usize>, leaf: &Leaf) -> bool {
    leaf.elements
        .iter()
        .all(|(array, index)| chosen.get(array).is_none_or(|known| known == index))
}

/// `fields` in the order of paths.
fn holds(
    fields: &[(String, Vec<Value>)],
    leaves: &[Leaf],
    chosen: &BTreeMap<String, usize>,
) -> bool {
    let Some(((path, tests), rest)) = fields.split_first() else {
        return true;
    };
    let here: Vec<&Leaf> = leaves
        .iter()
        .filter(|leaf| leaf.path == *path && fits(chosen, leaf))
        .collect();
    let may_be_absent = tests.iter().any(|test| test == &json!({"exists": false}));
    let absent = may_be_absent && here.is_empty() && holds(rest, leaves, chosen);
    absent
        || here.iter().any(|leaf| {
            let mut chosen = chosen.clone();
            chosen.extend(leaf.elements.clone());
            tests.iter().any(|test| accepts(test, &leaf.value)) && holds(rest, leaves, &chosen)
        })
}

fn reference(pattern: &Map<String, Value>, event: &Value) -> bool {
    let mut fields: Vec<(String, Vec<Value>)> = pattern
        .iter()
        .map(|(path, tests)| (path.clone(), tests.as_array().unwrap().clone()))
        .collect();
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut leaves = Vec::new();
    flatten(event, "", "", &BTreeMap::new(), &mut leaves);
    holds(&fields, &leaves, &BTreeMap::new())
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["x", "xy", "y", ""]).prop_map(Value::from),
        (0_i64..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn event() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["a", "b", "c"]);
    let value = scalar().prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..3).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(members.collect())
            }),
        ]
    });
    let key = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::hash_map(key, value, 0..4).prop_map(|members| {
        let members = members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Value::Object(members.collect())
    })
}

fn test() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => scalar(),
        1 => Just(json!({"prefix": "x"})),
        1 => Just(json!({"anything-but": "x"})),
        1 => Just(json!({"anything-but": 1})),
        1 => Just(json!({"numeric": [">", 0]})),
        1 => any::<bool>().prop_map(|exists| json!({"exists": exists})),
    ]
}

/// A pattern with dotted keys, which mean the same as nesting.
fn pattern() -> impl Strategy<Value = Map<String, Value>> {
    let path = prop::sample::select(vec![
        "a", "b", "c", "a.a", "a.b", "b.a", "b.b", "a.b.c", "c.a",
    ]);
    prop::collection::btree_map(path, prop::collection::vec(test(), 1..3), 1..4).prop_map(
        |fields| {
            fields
                .into_iter()
                .map(|(path, tests)| (path.to_owned(), Value::from(tests)))
                .collect()
        },
    )
}

fn matching(patterns: &[Pattern], event: &Value) -> Vec<usize> {
    let mut fields = FieldTrie::new();
    let set = PatternSet::compile(patterns, &mut fields);
    let scanned = scan(&Bytes::from(event.to_string()), &fields).unwrap();
    let mut found = Vec::new();
    set.matching(&scanned, &mut found).unwrap();
    found
}

fn parsed(pattern: &Map<String, Value>) -> Pattern {
    Pattern::parse(&Value::Object(pattern.clone()).to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn fast_is_as_slow(pattern in pattern(), event in event()) {
        let matches = !matching(&[parsed(&pattern)], &event).is_empty();
        prop_assert_eq!(matches, reference(&pattern, &event));
    }

    #[test]
    fn together_is_as_alone(patterns in prop::collection::vec(pattern(), 1..12), event in event()) {
        let patterns: Vec<Pattern> = patterns.iter().map(parsed).collect();
        let alone: Vec<usize> = (0..patterns.len())
            .filter(|&index| !matching(&patterns[index..=index], &event).is_empty())
            .collect();
        prop_assert_eq!(matching(&patterns, &event), alone);
    }

    /// Reading any text ends, with a pattern or with an error that has a place in the text.
    #[test]
    fn reading_never_panics(text in r#"(\{|\}|\[|\]|:|,|"a"|"\$or"|"prefix"|"numeric"|"anything-but"|"cidr"|"=|<|[0-9.e-]{1,5}|null|true| |\n|"\*\*"){0,40}"#) {
        if let Err(error) = Pattern::parse(&text) {
            prop_assert!(error.at.line >= 1 && error.at.line <= text.lines().count().max(1) + 1);
        }
    }
}

/// Sibling arrays multiply: the search gives up instead of holding the process.
#[test]
fn a_hostile_event_is_given_up() {
    let fields: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
    let pattern: Map<String, Value> = fields
        .iter()
        .map(|field| (format!("{field}.x"), json!(["1", "2"])))
        .chain([("z".to_owned(), json!(["never"]))])
        .collect();
    let items: Vec<Value> = (0..20)
        .map(|n| json!({"x": if n % 2 == 0 { "1" } else { "2" }}))
        .collect();
    let mut event: Map<String, Value> = fields
        .iter()
        .map(|field| (field.clone(), json!(items)))
        .collect();
    event.insert("z".to_owned(), json!("never-ever"));
    let patterns = [Pattern::parse(
        &Value::Object(pattern)
            .to_string()
            .replace(r#"["never"]"#, r#"[{"suffix":"nope"}]"#),
    )
    .unwrap()];
    let mut set_fields = FieldTrie::new();
    let set = PatternSet::compile(&patterns, &mut set_fields);
    let scanned = scan(&Bytes::from(Value::Object(event).to_string()), &set_fields).unwrap();
    assert!(set.matching(&scanned, &mut Vec::new()).is_err());
}
