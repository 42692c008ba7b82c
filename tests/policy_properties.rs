//! The policy evaluator against a slow and obvious one.
//!
//! The reference works on the JSON as it is: it replaces variables in the text by copying, matches
//! globs by recursion over characters, splits ARNs into vectors, and asks conditions by their
//! names. It knows the text operators with all quantifiers; the meaning of the other operators by
//! themselves is tested beside them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::collections::BTreeMap;

use eventcast::channel::filter::Filter;
use eventcast::policy::arn::ResourceArn;
use eventcast::policy::context::Context;
use eventcast::policy::document::Document;
use eventcast::policy::evaluate::{Request, decide};
use eventcast::policy::scope::Scope;
use eventcast::policy::simulate::Simulation;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Facts of a request: values by key, in lower case.
type Facts = BTreeMap<String, Vec<String>>;

/// A character of a pattern after variables were replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Plain(char),
    Any,
    One,
}

/// Replaces variables one after the other; `None` when one has no single value.
fn replaced(pattern: &str, wildcards: bool, facts: &Facts) -> Option<Vec<Sign>> {
    if pattern.is_empty() {
        return Some(Vec::new());
    }
    if let Some(rest) = pattern.strip_prefix("${") {
        let (name, rest) = rest.split_once('}').unwrap();
        let value = match name {
            "*" | "?" | "$" => name.to_owned(),
            name => match facts.get(&name.to_lowercase()).map(Vec::as_slice) {
                Some([value]) => value.clone(),
                _ => return None,
            },
        };
        let mut signs: Vec<Sign> = value.chars().map(Sign::Plain).collect();
        signs.extend(replaced(rest, wildcards, facts)?);
        return Some(signs);
    }
    let first = pattern.chars().next().unwrap();
    let mut signs = vec![match first {
        '*' if wildcards => Sign::Any,
        '?' if wildcards => Sign::One,
        c => Sign::Plain(c),
    }];
    signs.extend(replaced(&pattern[first.len_utf8()..], wildcards, facts)?);
    Some(signs)
}

fn glob(signs: &[Sign], text: &[char]) -> bool {
    match (signs, text) {
        ([], text) => text.is_empty(),
        ([Sign::Any, rest @ ..], text) => (0..=text.len()).any(|n| glob(rest, &text[n..])),
        ([Sign::One, signs @ ..], [_, text @ ..]) => glob(signs, text),
        ([Sign::Plain(wanted), signs @ ..], [found, text @ ..]) => {
            wanted == found && glob(signs, text)
        }
        _ => false,
    }
}

fn matches(pattern: &str, wildcards: bool, text: &str, facts: &Facts) -> bool {
    let text: Vec<char> = text.chars().collect();
    replaced(pattern, wildcards, facts).is_some_and(|signs| glob(&signs, &text))
}

/// Part by part, except that a pattern of fewer parts goes on to the end with its last.
fn arn_matches(pattern: &str, arn: &str, facts: &Facts) -> bool {
    let patterns: Vec<&str> = pattern.splitn(6, ':').collect();
    let parts: Vec<&str> = arn.splitn(patterns.len(), ':').collect();
    patterns.len() == parts.len()
        && patterns
            .iter()
            .zip(parts)
            .enumerate()
            .all(|(k, (pattern, part))| {
                // Variables count in the resource only.
                let none = Facts::new();
                matches(pattern, true, part, if k == 5 { facts } else { &none })
            })
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values
            .iter()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect(),
        value => vec![value.as_str().unwrap().to_owned()],
    }
}

/// `name` or `Not` + `name` of a statement.
fn listed(statement: &Value, name: &str, matches: impl Fn(&str) -> bool) -> bool {
    match statement.get(name) {
        Some(listed) => strings(listed).iter().any(|item| matches(item)),
        None => !strings(&statement[format!("Not{name}")])
            .iter()
            .any(|item| matches(item)),
    }
}

fn condition_holds(operator: &str, key: &str, wanted: &[String], facts: &Facts) -> bool {
    let found = facts.get(&key.to_lowercase()).cloned().unwrap_or_default();
    if operator == "Null" {
        return wanted.contains(&found.is_empty().to_string());
    }
    if found.is_empty() && operator.ends_with("IfExists") {
        return true;
    }
    let base = operator.trim_end_matches("IfExists");
    let (set, base) = base.split_once(':').unwrap_or(("", base));
    let equal = |value: &String| {
        wanted.iter().any(|wanted| match base {
            "StringEquals" | "StringNotEquals" => matches(wanted, false, value, facts),
            "StringLike" | "StringNotLike" => matches(wanted, true, value, facts),
            "ArnLike" | "ArnNotLike" => arn_matches(wanted, value, facts),
            other => panic!("the reference does not know {other}"),
        })
    };
    let negated = base.contains("Not");
    match set {
        "ForAllValues" => found.iter().all(|value| equal(value) != negated),
        "ForAnyValue" => found.iter().any(|value| equal(value) != negated),
        _ if negated => !found.iter().any(equal),
        _ => found.iter().any(equal),
    }
}

fn applies(statement: &Value, action: &str, resource: &str, facts: &Facts) -> bool {
    let same_action = |pattern: &str| {
        matches(
            &pattern.to_lowercase(),
            true,
            &action.to_lowercase(),
            &Facts::new(),
        )
    };
    let conditions = statement["Condition"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    listed(statement, "Action", same_action)
        && listed(statement, "Resource", |pattern| {
            arn_matches(pattern, resource, facts)
        })
        && conditions.iter().all(|(operator, keys)| {
            keys.as_object()
                .unwrap()
                .iter()
                .all(|(key, wanted)| condition_holds(operator, key, &strings(wanted), facts))
        })
}

fn reference(policies: &[Value], action: &str, resource: &str, facts: &Facts) -> &'static str {
    let applying: Vec<&Value> = policies
        .iter()
        .flat_map(|policy| policy["Statement"].as_array().unwrap())
        .filter(|statement| applies(statement, action, resource, facts))
        .collect();
    if applying
        .iter()
        .any(|statement| statement["Effect"] == "Deny")
    {
        "EXPLICIT_DENY"
    } else if applying.is_empty() {
        "IMPLICIT_DENY"
    } else {
        "ALLOWED"
    }
}

/// Text of few characters, so that patterns and requests meet often.
fn text(alphabet: &'static str, most: usize) -> impl Strategy<Value = String> {
    let characters: Vec<char> = alphabet.chars().collect();
    prop::collection::vec(prop::sample::select(characters), 0..=most)
        .prop_map(|characters| characters.into_iter().collect())
}

/// A piece of a pattern.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => text("ab/:+é", 2),
        2 => Just("*".to_owned()),
        1 => Just("?".to_owned()),
        2 => prop::sample::select(vec!["${iot:ClientId}", "${IOT:CLIENTID}", "${k}", "${many}", "${absent}", "${*}", "${?}", "${$}"])
            .prop_map(str::to_owned),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..5).prop_map(|pieces| pieces.concat())
}

/// A pattern of short topics and filters.
fn resource_name() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "b", "/", "/", "*", "?", "+", "#"]);
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

fn resource_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (prop::sample::select(vec!["arn:aws:iot:r:1", "arn:aws:iot:*:*", "arn:*:iot:r?:1", "arn:aws:iot:r:2"]), pattern())
            .prop_map(|(head, name)| format!("{head}:topic/{name}")),
        1 => prop::sample::select(vec!["*", "arn:aws:iot:*", "arn:aws:iot:r:1*", "arn:aws:s3:*"]).prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = (String, String, Value)> {
    let operator = prop_oneof![
        4 => (
            prop::sample::select(vec!["", "ForAllValues:", "ForAnyValue:"]),
            prop::sample::select(vec!["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"]),
            prop::sample::select(vec!["", "IfExists"]),
        ).prop_map(|(set, base, exists)| format!("{set}{base}{exists}")),
        1 => Just("Null".to_owned()),
        1 => prop::sample::select(vec!["ArnLike", "ForAnyValue:ArnNotLike"]).prop_map(str::to_owned),
    ];
    let key = prop::sample::select(vec![
        "iot:ClientId",
        "k",
        "K",
        "many",
        "none",
        "absent",
        "arn",
    ]);
    (operator, key).prop_flat_map(|(operator, key)| {
        let values = if operator == "Null" {
            prop::collection::vec(
                prop::sample::select(vec!["true", "false"]).prop_map(str::to_owned),
                1..3,
            )
            .boxed()
        } else if operator.contains("Arn") {
            prop::collection::vec(resource_pattern(), 0..3).boxed()
        } else {
            prop::collection::vec(pattern(), 0..3).boxed()
        };
        (
            Just(operator),
            Just(key.to_owned()),
            values.prop_map(|values| json!(values)),
        )
    })
}

fn statement() -> impl Strategy<Value = Value> {
    let actions = prop::collection::vec(
        prop::sample::select(vec![
            "iot:Publish",
            "IOT:pub*",
            "iot:Receive",
            "iot:?ublish",
            "*",
        ]),
        1..3,
    );
    let resources = prop::collection::vec(resource_pattern(), 1..4);
    let conditions = prop::collection::vec(condition(), 0..3);
    let shape = (
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    (actions, resources, conditions, shape).prop_map(
        |(actions, resources, conditions, (denies, not_action, not_resource))| {
            let mut statement = json!({
                "Effect": if denies { "Deny" } else { "Allow" },
                (if not_action { "NotAction" } else { "Action" }): actions,
                (if not_resource { "NotResource" } else { "Resource" }): resources,
            });
            let mut block = json!({});
            for (operator, key, values) in conditions {
                block[&operator][&key] = values;
            }
            statement["Condition"] = block;
            statement
        },
    )
}

fn policies() -> impl Strategy<Value = Vec<Value>> {
    let policy = prop::collection::vec(statement(), 0..4)
        .prop_map(|statements| json!({"Version": "2012-10-17", "Statement": statements}));
    prop::collection::vec(policy, 0..3)
}

fn facts() -> impl Strategy<Value = Facts> {
    (
        text("ab/*?$", 3),
        prop::option::of(text("ab/:é", 3)),
        prop::collection::vec(text("ab", 2), 0..3),
        text("ab/", 3),
    )
        .prop_map(|(client_id, k, many, arn)| {
            let mut facts: Facts = [
                ("iot:clientid".to_owned(), vec![client_id]),
                ("many".to_owned(), many),
                ("none".to_owned(), Vec::new()),
                (
                    "arn".to_owned(),
                    vec![format!("arn:aws:iot:r:1:topic/{arn}")],
                ),
            ]
            .into();
            facts.extend(k.map(|value| ("k".to_owned(), vec![value])));
            facts
        })
}

fn context(facts: &Facts) -> Context {
    let mut context = Context::of_client(&facts["iot:clientid"][0]);
    for (key, values) in facts.iter().filter(|(key, _)| *key != "iot:clientid") {
        context.set(key, values.iter().map(String::as_str));
    }
    context
}

/// A glob of the evaluator, by way of a document that allows it.
fn evaluated(pattern: &str, text: &str, facts: &Facts) -> bool {
    let policy = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "*", "Resource": format!("arn:aws:iot:r:1:{pattern}")}});
    let document = Document::parse(&policy.to_string()).unwrap();
    let resource = format!("arn:aws:iot:r:1:{text}");
    let request = Request {
        action: "iot:Publish",
        resource: ResourceArn::new(&resource),
        context: &context(facts),
    };
    decide([&document], &request).is_allowed()
}

/// Every filter of up to three levels over a few names, as text, also under some shares.
fn small_filters() -> Vec<String> {
    let levels = ["a", "b", "+", "#"];
    let mut filters: Vec<String> = levels.map(str::to_owned).to_vec();
    for _ in 0..2 {
        let longer: Vec<String> = filters
            .iter()
            .flat_map(|filter| levels.map(|level| format!("{filter}/{level}")))
            .collect();
        filters.extend(longer);
    }
    let shared: Vec<String> = ["any", "a", "b"]
        .iter()
        .flat_map(|share| {
            filters
                .iter()
                .map(move |filter| format!("$share/{share}/{filter}"))
        })
        .collect();
    filters.extend(shared);
    filters
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The answer for receiving from a topic agrees with a trial of every filter there is.
    #[test]
    fn hearing_agrees(
        allowed in prop::collection::vec(resource_name(), 1..4),
        denied in prop::collection::vec(resource_name(), 0..3),
        receive in resource_name(),
        topic in prop::sample::select(vec!["a", "a/b", "b/a", "a/b/a", "a/a/b"]),
    ) {
        let list = |kind: &str, names: &[String]| -> Vec<String> {
            names.iter().map(|name| format!("arn:aws:iot:r:1:{kind}/{name}")).collect()
        };
        let mut statements = vec![
            json!({"Effect": "Allow", "Action": "iot:Subscribe", "Resource": list("topicfilter", &allowed)}),
            json!({"Effect": "Allow", "Action": "iot:Receive", "Resource": list("topic", &[receive])}),
        ];
        if !denied.is_empty() {
            statements.push(json!({"Effect": "Deny", "Action": "iot:Subscribe", "Resource": list("topicfilter", &denied)}));
        }
        let policy = json!({"Statement": statements});
        let document = Document::parse(&policy.to_string()).unwrap();
        let facts = Facts::new();
        let may = |action: &str, kind: &str, name: &str| {
            reference(std::slice::from_ref(&policy), action, &format!("arn:aws:iot:r:1:{kind}/{name}"), &facts) == "ALLOWED"
        };
        let heard = may("iot:Receive", "topic", topic)
            && small_filters().iter().any(|text| {
                may("iot:Subscribe", "topicfilter", text)
                    && Filter::parse(text).is_ok_and(|filter| filter.matches(topic))
            });
        let simulation = Simulation {
            documents: &[document],
            scope: &Scope { partition: "aws".into(), region: "r".into(), account: "1".into() },
            context: &Context::of_client("c"),
        };
        let hearing = simulation.hear(&Filter::exact(topic).unwrap());
        // Names of shares come from the policies; any that is found besides is checked below.
        let by_share = hearing.is_possible() && hearing.filters.iter().all(|way| way.filter.share().is_some());
        prop_assert!(hearing.is_possible() == heard || by_share);
        for way in &hearing.filters {
            prop_assert!(may("iot:Subscribe", "topicfilter", way.filter.as_str()));
            prop_assert!(way.filter.matches(topic));
            if let Some(also) = &way.also {
                prop_assert!(way.filter.matches(also) && also != topic && may("iot:Receive", "topic", also));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn globs_agree(pattern in pattern(), text in text("ab/:+*?$é", 6), facts in facts()) {
        prop_assert_eq!(
            evaluated(&pattern, &text, &facts),
            matches(&pattern, true, &text, &facts)
        );
    }

    /// Texts that were made from the pattern, so that most of them match.
    #[test]
    fn globs_agree_where_they_match(
        pattern in prop::collection::vec(prop_oneof![Just("*"), Just("?"), Just("a"), Just("ab"), Just("b")], 1..9),
        runs in prop::collection::vec(text("ab", 3), 9),
        change in prop::option::of((0_usize..8, prop::sample::select(vec!['a', 'b']))),
    ) {
        let mut text: Vec<char> = pattern
            .iter()
            .zip(&runs)
            .flat_map(|(piece, run)| match *piece {
                "*" => run.clone(),
                "?" => "b".to_owned(),
                plain => plain.to_owned(),
            }.chars().collect::<Vec<_>>())
            .collect();
        if let Some((at, c)) = change && at < text.len() {
            text[at] = c;
        }
        let (pattern, text) = (pattern.concat(), text.into_iter().collect::<String>());
        let facts: Facts = [("iot:clientid".to_owned(), vec!["c".to_owned()])].into();
        prop_assert_eq!(evaluated(&pattern, &text, &facts), matches(&pattern, true, &text, &facts));
    }

    #[test]
    fn decisions_agree(
        policies in policies(),
        action in prop::sample::select(vec!["iot:Publish", "iot:Receive", "IOT:PUBLISH", "iot:Subscribe"]),
        topic in prop_oneof![4 => text("ab/:+é", 5).prop_map(|name| format!("arn:aws:iot:r:1:topic/{name}")), 1 => Just("*".to_owned())],
        facts in facts(),
    ) {
        let documents: Vec<Document> = policies
            .iter()
            .map(|policy| Document::parse(&policy.to_string()).unwrap())
            .collect();
        let context = context(&facts);
        let request = Request { action, resource: ResourceArn::new(&topic), context: &context };
        let decision = decide(&documents, &request);
        prop_assert_eq!(decision.verdict.as_str(), reference(&policies, action, &topic, &facts));

        // The statements that are named are those that apply, and no other statement would change
        // the verdict.
        for at in &decision.statements {
            let statement = &policies[at.document]["Statement"][at.statement];
            prop_assert!(applies(statement, action, &topic, &facts));
        }
    }
}
