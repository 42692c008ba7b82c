//! Every way a pattern can be wrong, with the words, the place and the help that a person gets; and operators by example.

use bytes::Bytes;

use super::Pattern;
use super::explain::PatternExplainer;
use crate::event::scan::scan;

#[test]
fn errors() {
    let patterns = [
        r#"[]"#,
        r#"{"a": [1, }"#,
        r#"{}"#,
        r#"{"a": {}}"#,
        r#"{"a": []}"#,
        r#"{"a": "x"}"#,
        r#"{"a": [["x"]]}"#,
        r#"{"a": [{}]}"#,
        r#"{"a": [{"prefx": "x"}]}"#,
        r#"{"a": [{"nothing-like-it": "x"}]}"#,
        r#"{"a": [{"exactly": 1}]}"#,
        r#"{"a": [{"prefix": 1}]}"#,
        r#"{"a": [{"prefix": "x", "suffix": "y"}]}"#,
        r#"{"a": [{"prefix": {"equals-ignore-case": 1}}]}"#,
        r#"{"a": [{"prefix": {"suffix": "x"}}]}"#,
        r#"{"a": [{"prefix": {}}]}"#,
        r#"{"a": [{"suffix": null}]}"#,
        r#"{"a": [{"equals-ignore-case": ["x"]}]}"#,
        r#"{"a": [{"wildcard": 1}]}"#,
        r#"{"a": [{"wildcard": "x**"}]}"#,
        r#"{"a": [{"wildcard": "x\\y"}]}"#,
        r#"{"a": [{"exists": "yes"}]}"#,
        r#"{"a": [{"exists": false, "x": 1}]}"#,
        r#"{"a": [{"cidr": 1}]}"#,
        r#"{"a": [{"cidr": "10.0.0.0"}]}"#,
        r#"{"a": [{"cidr": "10.0.0.0/x"}]}"#,
        r#"{"a": [{"cidr": "10.0.0.0/-1"}]}"#,
        r#"{"a": [{"cidr": "host/8"}]}"#,
        r#"{"a": [{"cidr": "10.0.0.0/32"}]}"#,
        r#"{"a": [{"cidr": "::/128"}]}"#,
        r#"{"a": [{"numeric": 1}]}"#,
        r#"{"a": [{"numeric": []}]}"#,
        r#"{"a": [{"numeric": [1]}]}"#,
        r#"{"a": [{"numeric": ["!=", 1]}]}"#,
        r#"{"a": [{"numeric": ["=", "1"]}]}"#,
        r#"{"a": [{"numeric": ["="]}]}"#,
        r#"{"a": [{"numeric": ["<", 1, ">", 0]}]}"#,
        r#"{"a": [{"numeric": [">", 1, 2]}]}"#,
        r#"{"a": [{"numeric": [">", 1, ">", 2]}]}"#,
        r#"{"a": [{"numeric": [">", 1, "<"]}]}"#,
        r#"{"a": [{"numeric": [">", 1, "<", 2, 3]}]}"#,
        r#"{"a": [{"numeric": [">", 2, "<", 2]}]}"#,
        r#"{"a": [{"numeric": ["=", 12345678901234567890]}]}"#,
        r#"{"a": [{"numeric": ["=", 1], "x": 2}]}"#,
        r#"{"a": [{"anything-but": null}]}"#,
        r#"{"a": [{"anything-but": []}]}"#,
        r#"{"a": [{"anything-but": [1, "x"]}]}"#,
        r#"{"a": [{"anything-but": [true]}]}"#,
        r#"{"a": [{"anything-but": 1e400}]}"#,
        r#"{"a": [{"anything-but": {}}]}"#,
        r#"{"a": [{"anything-but": {"numeric": ["=", 1]}}]}"#,
        r#"{"a": [{"anything-but": {"prefix": ""}}]}"#,
        r#"{"a": [{"anything-but": {"prefix": {"equals-ignore-case": "x"}}}]}"#,
        r#"{"a": [{"anything-but": {"suffix": []}}]}"#,
        r#"{"a": [{"anything-but": {"equals-ignore-case": [1]}}]}"#,
        r#"{"a": [{"anything-but": {"equals-ignore-case": null}}]}"#,
        r#"{"a": [{"anything-but": {"wildcard": 1}}]}"#,
        r#"{"a": [{"anything-but": "x", "b": 1}]}"#,
        r#"{"$or": {"a": [1]}}"#,
        r#"{"$or": [{"a": [1]}]}"#,
        r#"{"$or": [{"a": [1]}, []]}"#,
        r#"{"$or": [{"a": [1]}, {"prefix": ["x"]}]}"#,
    ];
    let told: Vec<String> = patterns
        .iter()
        .map(|text| {
            let error = Pattern::parse(text).expect_err(text);
            let help = error
                .help
                .as_deref()
                .map_or(String::new(), |help| format!("\n  help: {help}"));
            format!("{text}\n  {error}{help}")
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn alternatives_have_a_cap() {
    let or = |name: &str, count: usize| {
        let branches: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"{name}":[{n}]}}"#))
            .collect();
        format!(r#""$or":[{}]"#, branches.join(","))
    };
    assert!(Pattern::parse(&format!("{{{}}}", or("a", 1_000))).is_ok());
    assert!(Pattern::parse(&format!("{{{}}}", or("a", 1_001))).is_err());
    let nested = format!(r#"{{"x":{{{}}},"y":{{{}}}}}"#, or("a", 32), or("b", 32));
    let error = Pattern::parse(&nested).unwrap_err();
    assert_eq!(
        error.reason,
        "$or multiplies to more than 1000 combinations"
    );
}

#[track_caller]
fn check(pattern: &str, event: &str, expected: bool) {
    let pattern = Pattern::parse(pattern).unwrap();
    let explainer = PatternExplainer::new(&pattern);
    let scanned = scan(
        &Bytes::copy_from_slice(event.as_bytes()),
        explainer.fields(),
    )
    .unwrap();
    assert_eq!(
        explainer.explain(&scanned).unwrap().matches,
        expected,
        "{event}"
    );
}

#[test]
fn structure() {
    check(r#"{"a":{"b":[1]}}"#, r#"{"a.b":1}"#, true);
    check(r#"{"a.b":[1]}"#, r#"{"a":{"b":1}}"#, true);
    check(r#"{"a":[1],"a":[2]}"#, r#"{"a":1}"#, false);
    check(
        r#"{"a":{"x":[1]},"a":{"y":[2]}}"#,
        r#"{"a":{"x":1,"y":2}}"#,
        true,
    );
    check(
        r#"{"a":{"x":[1]},"a":{"y":[2]}}"#,
        r#"{"a":{"x":3,"y":2}}"#,
        false,
    );
    check(
        r#"{"$or":[{"a":[1]},{"b":[2],"$or":[{"c":[3]},{"d":[4]}]}]}"#,
        r#"{"b":2,"d":4}"#,
        true,
    );
    check(
        r#"{"$or":[{"a":[1]},{"b":[2],"$or":[{"c":[3]},{"d":[4]}]}]}"#,
        r#"{"b":2}"#,
        false,
    );
}

#[test]
fn values() {
    check(r#"{"a":[300]}"#, r#"{"a":3.0e2}"#, true);
    check(
        r#"{"a":[12345678901234567890]}"#,
        r#"{"a":12345678901234567890}"#,
        true,
    );
    check(
        r#"{"a":[12345678901234567890]}"#,
        r#"{"a":12345678901234567891}"#,
        false,
    );
    check(r#"{"a":["true"]}"#, r#"{"a":true}"#, false);
    check(r#"{"a":[null]}"#, "{}", false);
    check(r#"{"a":["::1"]}"#, r#"{"a":"0:0:0:0:0:0:0:1"}"#, true);
    check(r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":null}"#, true);
    check(r#"{"a":[{"anything-but":"x"}]}"#, "{}", false);
    check(
        r#"{"a":[{"anything-but":{"suffix":["x","y"]}}]}"#,
        r#"{"a":"ay"}"#,
        false,
    );
    check(r#"{"a":["x",{"exists":false}]}"#, "{}", true);
    check(r#"{"a":["x",{"exists":false}]}"#, r#"{"a":"y"}"#, false);
    check(r#"{"a":[{"exists":true}]}"#, r#"{"a":{"b":1}}"#, false);
    check(r#"{"a":[{"exists":false}]}"#, r#"{"a":[]}"#, true);
}

#[test]
fn array_elements() {
    let pattern = r#"{"a":{"x":[1],"y":[2]}}"#;
    check(pattern, r#"{"a":[{"x":1,"y":2}]}"#, true);
    check(pattern, r#"{"a":[{"x":1},{"y":2}]}"#, false);
    check(pattern, r#"{"a":[{"x":1,"y":3},{"x":1,"y":2}]}"#, true);
    check(pattern, r#"{"a":[[{"x":1},{"y":2}]]}"#, false);
    check(
        r#"{"a":{"x":[1],"y":[{"exists":false}]}}"#,
        r#"{"a":[{"x":1},{"y":2}]}"#,
        true,
    );
    check(r#"{"a":[1,2]}"#, r#"{"a":[[3,[2]]]}"#, true);
}

/// Patterns far beyond the size that EventBridge takes are refused before they cost stack or time.
#[test]
fn sizes_have_bounds() {
    let refuse = |pattern: String| Pattern::parse(&pattern).unwrap_err().reason;
    let fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":[{n}]")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert_eq!(
        refuse(fields(40_000)),
        "the pattern has more than 1000 fields"
    );
    assert!(Pattern::parse(&fields(1_000)).is_ok());
    let values = |count: usize| vec!["\"x\""; count].join(",");
    assert_eq!(
        refuse(format!("{{\"a\":[{}]}}", values(20_000))),
        "the pattern has more than 10000 values"
    );
    assert_eq!(
        refuse(format!(
            "{{\"a\":[{{\"anything-but\":[{}]}}]}}",
            values(20_000)
        )),
        "the pattern has more than 10000 values"
    );
    let stars = "*a".repeat(30_000);
    assert_eq!(
        refuse(format!("{{\"a\":[{{\"wildcard\":\"{stars}\"}}]}}")),
        "the wildcard has 60000 bytes; at most 16384 are taken"
    );
    assert_eq!(
        refuse(format!(
            "{{\"a\":[{{\"anything-but\":{{\"wildcard\":\"{stars}\"}}}}]}}"
        )),
        "the wildcard has 60000 bytes; at most 16384 are taken"
    );
    let long = Pattern::parse(&format!(
        "{{\"a\":[{{\"wildcard\":\"{}\"}}]}}",
        "*a".repeat(8_000)
    ));
    assert!(
        long.unwrap()
            .warnings()
            .iter()
            .any(|warning| warning.message.contains("complexity over 64"))
    );
    let branch = |n: usize| {
        let fields: Vec<String> = (0..15).map(|m| format!("\"f{n}x{m}\":[1]")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let or = |from: usize| {
        let branches: Vec<String> = (from..from + 9).map(branch).collect();
        format!("{{\"$or\":[{}]}}", branches.join(","))
    };
    assert!(Pattern::parse(&or(0)).is_ok());
}
