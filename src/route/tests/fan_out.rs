//! Placeholders of one value and of many, events with nothing to fan out, and the fate that is explained.

use proptest::prelude::*;

use super::*;
use crate::route::explain::explain;

/// An empty, null or absent list is nothing to publish, and leaves the route's other targets alone.
#[test]
fn nothing_to_fan_out() {
    for watchers in [
        r#""watchers":[]"#,
        r#""watchers":null"#,
        r#""other":1"#,
        r#""watchers":[{}]"#,
        r#""watchers":[{"userId":null},{"name":"x"}]"#,
        r#""watchers":[null]"#,
    ] {
        let detail = format!(r#"{{"orderId":"7",{watchers}}}"#);
        let target = "user:{detail.watchers[*].userId}";
        assert_eq!(topics(target, &detail), [""; 0], "{detail}");
        let both = vec![route("r", &["a/{detail.orderId}", target])];
        let routed = routed(both, &event(&detail)).unwrap();
        assert_eq!(
            (routed.publications.len(), routed.empty),
            (1, 0),
            "{detail}"
        );
    }
    let deep = "a/{detail.a.b[*].c[*].d}";
    for detail in [
        "{}",
        r#"{"a":null}"#,
        r#"{"a":{"b":[{"c":[]},{"c":null},{}]}}"#,
    ] {
        assert_eq!(topics(deep, detail), [""; 0], "{detail}");
    }
    assert_eq!(
        topics(
            deep,
            r#"{"a":{"b":[{"c":[]},{"c":[{"d":1},{}]},{"c":[{"d":2}]}]}}"#
        ),
        ["a/1", "a/2"]
    );
    let pairs = r#"{"w":[{"id":"a"},{"n":1}]}"#;
    assert_eq!(topics("a/{detail.w[*].id}/{detail.w[*].n}", pairs), [""; 0]);
    assert_eq!(topics("a/{detail.w[*].id|default:none}", "{}"), ["a/none"]);
    insta::assert_snapshot!(refusal("a/{detail.x}/{detail.w[*]}", r#"{"w":[]}"#), @"template_missing: {detail.x}: the event has no `detail.x`");
    insta::assert_snapshot!(refusal("a/{detail.w[*].id}", r#"{"w":"x"}"#), @"template_missing: {detail.w[*].id}: `detail.w` is text");
    insta::assert_snapshot!(refusal("a/{detail.w[*].id}", r#"{"w":{"name":"x"}}"#), @"template_missing: {detail.w[*].id}: `detail.w` is an object, not an array");
    insta::assert_snapshot!(refusal("a/{detail.w[*].id}", r#"{"w":["u1","u2"]}"#), @"template_missing: {detail.w[*].id}: `detail.w[0]` is text");
}

/// One event never reaches two ids of one placeholder that takes a single value.
#[test]
fn a_placeholder_takes_one_value() {
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":["1","2"]}"#), @"several_values: {detail.x}: `detail.x` is an array; write {detail.x[*]} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("a/{detail.items.id}", r#"{"items":[{"id":1},{"id":2}]}"#), @"several_values: {detail.items.id}: `detail.items` is an array; write {detail.items[*].id} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":"1","x":"2"}"#), @"several_values: {detail.x}: `detail.x` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":"1","\u0078":"1"}"#), @"several_values: {detail.x}: `detail.x` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.a.x}", r#"{"a":{"x":1},"a":{"x":2}}"#), @"several_values: {detail.a.x}: `detail.a` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.a.x}", r#"{"a":{"x":1},"a.x":2}"#), @"several_values: {detail.a.x}: `detail.a.x` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.x}", r#"{"x":1,"x":[]}"#), @"several_values: {detail.x}: `detail.x` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.x|default:none}", r#"{"x":[1,2]}"#), @"several_values: {detail.x|default:none}: `detail.x` is an array; write {detail.x[*]} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("a/{detail.w[*].id}", r#"{"w":[{"id":1,"id":2}]}"#), @"several_values: {detail.w[*].id}: `detail.w[0].id` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.w[*].x}", r#"{"w":[{"x":1},{"x":[2,3]}]}"#), @"several_values: {detail.w[*].x}: `detail.w[1].x` is an array; write {detail.w[*].x[*]} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("a/{detail.w[*].id}", r#"{"w":[{"id":1}],"w":[{"id":2}]}"#), @"several_values: {detail.w[*].id}: `detail.w` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.w[*].id}", r#"{"w":[{"id":1}],"w":{"id":2}}"#), @"several_values: {detail.w[*].id}: `detail.w` occurs more than once");
    insta::assert_snapshot!(refusal("a/{detail.m[*]}", r#"{"m":[[1,2],[3]]}"#), @"several_values: {detail.m[*]}: `detail.m[0]` is an array; write {detail.m[*][*]} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("a/{detail.w[0].id}", r#"{"w":[{"id":1,"id":2}]}"#), @"several_values: {detail.w[0].id}: `detail.w[0].id` occurs more than once");
    insta::assert_snapshot!(refusal(r#"a/{detail."x y".z}"#, r#"{"x y":[{"z":1},{"z":2}]}"#), @r#"several_values: {detail."x y".z}: `detail.x y` is an array; write {detail."x y"[*].z} for one message each, or [0] for its first element"#);
    assert_eq!(
        topics("a/{detail.m[*][*]}", r#"{"m":[[1,2],[3]]}"#),
        ["a/1", "a/2", "a/3"]
    );
    assert_eq!(
        topics("a/{detail.m[*][0]}", r#"{"m":[[1,2],[3]]}"#),
        ["a/1", "a/3"]
    );
    // An array of one element has one value.
    assert_eq!(topics("a/{detail.x}", r#"{"x":["1"]}"#), ["a/1"]);
    assert_eq!(topics("a/{detail.w.id}", r#"{"w":[{"id":1}]}"#), ["a/1"]);
}

/// An array without `[*]` of which placeholders want different elements is a fault, never nothing
/// to publish.
#[test]
fn an_array_without_a_star_has_one_element_for_all() {
    insta::assert_snapshot!(refusal("o/{detail.a.t}/{detail.a.o}", r#"{"a":[{"t":"1"},{"o":"2"}]}"#), @"several_values: {detail.a.t}: `detail.a` is an array; write {detail.a[*].t} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("o/{detail.a[*].t}/{detail.a.o}", r#"{"a":[{"t":"1","o":"2"},{"t":"3"}]}"#), @"several_values: {detail.a.o}: `detail.a` is an array; write {detail.a[*].o} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("o/{detail.a.o}/{detail.a[*].t}", r#"{"a":[{"t":"1","o":"2"},{"t":"3"}]}"#), @"several_values: {detail.a.o}: `detail.a` is an array; write {detail.a[*].o} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("o/{detail.a[*].b.t}/{detail.a[*].b.o}", r#"{"a":[{},{"b":[{"t":1},{"o":2}]}]}"#), @"several_values: {detail.a[*].b.t}: `detail.a[1].b` is an array; write {detail.a[*].b[*].t} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("o/{detail.a.t}/{detail.a.o|default:none}", r#"{"a":[{"t":"1"},{"o":"2"}]}"#), @"several_values: {detail.a.t}: `detail.a` is an array; write {detail.a[*].t} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("o/{detail.x[0]}", r#"{"x":[["17","18"]]}"#), @"several_values: {detail.x[0]}: `detail.x[0]` is an array; write {detail.x[0][*]} for one message each, or [0] for its first element");
    insta::assert_snapshot!(refusal("o/{detail.x}", r#"{"x":[["17","18"]]}"#), @"several_values: {detail.x}: `detail.x[0]` is an array; write {detail.x[*][*]} for one message each, or [0] for its first element");
    let one = r#"{"a":[{"t":"1","o":"2"}]}"#;
    assert_eq!(topics("o/{detail.a.t}/{detail.a.o}", one), ["o/1/2"]);
    assert_eq!(
        topics("o/{detail.x[0][*]}", r#"{"x":[["17","18"],["19"]]}"#),
        ["o/17", "o/18"]
    );
}

/// A key on the way to a placeholder's value occurs once.
#[test]
fn repeated_keys_on_the_way() {
    let two = "o/{detail.a.t}/{detail.a.o}";
    insta::assert_snapshot!(refusal(two, r#"{"a":{"t":"1"},"a":{"o":"2"}}"#), @"several_values: {detail.a.t}: `detail.a` occurs more than once");
    insta::assert_snapshot!(refusal(two, r#"{"a":{"t":"1"},"\u0061":[{"o":"2"}]}"#), @"several_values: {detail.a.t}: `detail.a` occurs more than once");
    insta::assert_snapshot!(refusal("o/{detail.w[*].t}/{detail.w[*].o}", r#"{"w":[{"t":"1"}],"w":[{"o":"2"}]}"#), @"several_values: {detail.w[*].t}: `detail.w` occurs more than once");
    insta::assert_snapshot!(refusal("u/{detail.w[*].userId}", r#"{"w":[],"w":[{"userId":"2"}]}"#), @"several_values: {detail.w[*].userId}: `detail.w` occurs more than once");
    insta::assert_snapshot!(refusal("u/{detail.w[*].userId}", r#"{"w":null,"w":[{"userId":"2"}]}"#), @"several_values: {detail.w[*].userId}: `detail.w` occurs more than once");
    insta::assert_snapshot!(refusal("o/{detail.a.t}", r#"{"a":{"t":"1"},"a":null}"#), @"several_values: {detail.a.t}: `detail.a` occurs more than once");
    insta::assert_snapshot!(refusal("o/{detail.a.b.t}", r#"{"a":{"b":{"t":"1"}},"a.b":{}}"#), @"several_values: {detail.a.b.t}: `detail.a.b` occurs more than once");
    insta::assert_snapshot!(refusal("o/{detail.w[*].b.t}", r#"{"w":[{"b":{"t":1}},{"b":{"t":2},"b":{}}]}"#), @"several_values: {detail.w[*].b.t}: `detail.w[1].b` occurs more than once");
    // Elements that a placeholder does not pick, members that none names, and dotted keys of one
    // object are no repeats.
    assert_eq!(
        topics(
            "o/{detail.w[0].b.t}",
            r#"{"w":[{"b":{"t":1}},{"b":{},"b":{}}]}"#
        ),
        ["o/1"]
    );
    assert_eq!(topics("o/{detail.x}", r#"{"x":1,"y":{},"y":{}}"#), ["o/1"]);
    assert_eq!(topics(two, r#"{"a.t":"1","a.o":"2"}"#), ["o/1/2"]);
    assert_eq!(
        topics(
            "o/{detail.m[*][*].b.t}",
            r#"{"m":[[{"b":{"t":1}},{"b":{"t":2}}],[{"b":{"t":3}}]]}"#
        ),
        ["o/1", "o/2", "o/3"]
    );
}

/// The explanation agrees with the daemon.
#[test]
fn the_fate_of_an_event_is_explained() {
    let expiring = Route {
        expires: Some(std::time::Duration::from_secs(300)),
        ..route("expiring", &["e"])
    };
    let table = RouteTable::new(
        vec![route("r", &["a/{detail.x}", "user:{detail.w[*]}"])],
        Envelope::EventBridge,
        None,
    );
    let fate = |table: &RouteTable, body: &Bytes| {
        let at = Some("2026-11-24T10:10:00Z".parse().unwrap());
        let explanation = explain(table, body, "m1", at).unwrap();
        let publications = explanation
            .routes
            .iter()
            .flat_map(|route| &route.publications);
        let targets = explanation.routes.iter().flat_map(|route| &route.targets);
        let targets: Vec<String> = targets
            .map(|target| match (&target.refused, &target.nothing) {
                (Some(reason), _) => reason.detail.clone(),
                (_, Some(why)) => format!("no message: {why}"),
                _ => target.topics.join(" "),
            })
            .collect();
        let outcome = format!("{:?}", explanation.outcome);
        (outcome, publications.count(), targets.join("; "))
    };
    let told = |outcome: &str, publications, targets: &str| {
        (outcome.to_owned(), publications, targets.to_owned())
    };
    assert_eq!(
        fate(&table, &event(r#"{"x":1,"w":[]}"#)),
        told(
            "Published",
            1,
            "a/1; no message: `detail.w` is an empty array"
        )
    );
    assert_eq!(
        fate(&table, &event(r#"{"w":["u"]}"#)),
        told(
            "DeadLetter",
            0,
            "{detail.x}: the event has no `detail.x`; user/u"
        )
    );
    let lists = RouteTable::new(
        vec![route("r", &["user:{detail.w[*]}"])],
        Envelope::EventBridge,
        None,
    );
    assert_eq!(
        fate(&lists, &event("{}")),
        told(
            "NothingToPublish",
            0,
            "no message: the event has no `detail.w`"
        )
    );
    let late = RouteTable::new(vec![expiring], Envelope::EventBridge, None);
    assert_eq!(fate(&late, &event("{}")), told("Expired", 1, "e"));
    let skipping = Route {
        on_invalid_topic: OnInvalidTopic::Skip,
        ..route("r", &["a/{detail.x}"])
    };
    let skipping = RouteTable::new(vec![skipping], Envelope::EventBridge, None);
    assert_eq!(fate(&skipping, &event("{}")).0, "Skipped");
    let replayed = Bytes::from(
        r#"{"id":"e","source":"shop","detail-type":"T","replay-name":"n","detail":{"x":1}}"#,
    );
    assert_eq!(fate(&table, &replayed).0, "HeldBack");
    let other = Bytes::from(r#"{"id":"e","source":"other","detail-type":"T","detail":{}}"#);
    assert_eq!(fate(&table, &other).0, "Unrouted");
}

/// A JSON value of few keys, so that keys repeat, as text: a tree of values could not repeat them.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null"),
        Just("1"),
        Just("2"),
        Just("\"u\""),
        Just("1.5")
    ];
    leaf.prop_map(str::to_owned)
        .prop_recursive(3, 16, 3, |inner| {
            let member = (
                prop_oneof![Just("x"), Just("y"), Just("x.y")],
                inner.clone(),
            );
            let object = prop::collection::vec(member, 0..3).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            });
            let array = prop::collection::vec(inner, 0..3);
            prop_oneof![
                object,
                array.prop_map(|values| format!("[{}]", values.join(",")))
            ]
        })
}

/// The values that any reader of the event could take for a path, arrays and repeated keys included.
fn readings<'v>(value: &'v ReferenceReading, path: &[&str], out: &mut Vec<&'v ReferenceReading>) {
    match value {
        ReferenceReading::Array(elements) => elements.iter().for_each(|e| readings(e, path, out)),
        _ if path.is_empty() => out.push(value),
        ReferenceReading::Object(members) => {
            for (key, value) in members {
                let parts: Vec<&str> = key.split('.').collect();
                if let Some(rest) = path.strip_prefix(&parts[..]) {
                    readings(value, rest, out);
                }
            }
        }
        ReferenceReading::Scalar => {}
    }
}

/// A JSON value that keeps repeated keys.
enum ReferenceReading {
    Object(Vec<(String, ReferenceReading)>),
    Array(Vec<ReferenceReading>),
    Scalar,
}

impl<'de> serde::Deserialize<'de> for ReferenceReading {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> serde::de::Visitor<'de> for AnyValue {
            type Value = ReferenceReading;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<ReferenceReading, E> {
                Ok(ReferenceReading::Scalar)
            }
            fn visit_u64<E>(self, _: u64) -> Result<ReferenceReading, E> {
                Ok(ReferenceReading::Scalar)
            }
            fn visit_f64<E>(self, _: f64) -> Result<ReferenceReading, E> {
                Ok(ReferenceReading::Scalar)
            }
            fn visit_str<E>(self, _: &str) -> Result<ReferenceReading, E> {
                Ok(ReferenceReading::Scalar)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<ReferenceReading, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(ReferenceReading::Array(elements))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<ReferenceReading, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(ReferenceReading::Object(members))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

proptest! {
    /// An event with several possible values for a placeholder without `[*]` is refused: it reaches
    /// one id or none.
    #[test]
    fn one_event_reaches_one_id_of_a_single_placeholder(x in json(), y in json()) {
        let detail = format!(r#"{{"x":{x},"y":{y}}}"#);
        let reading: ReferenceReading = serde_json::from_str(&detail).unwrap();
        for (target, path) in [("a/{detail.x}", &["x"][..]), ("a/{detail.x.y}", &["x", "y"][..])] {
            let mut found = Vec::new();
            readings(&reading, path, &mut found);
            match routed(vec![route("r", &[target])], &event(&detail)) {
                Ok(routed) => {
                    prop_assert_eq!(routed.publications.len(), 1, "{}", detail);
                    prop_assert_eq!(found.len(), 1, "{}", detail);
                }
                Err(refusal) if refusal.reason == "several_values" => {}
                Err(refusal) => prop_assert!(found.len() <= 1, "{}: {}", detail, refusal),
            }
        }
    }
}
