//! Captured and refused texts, and a comparison with serde_json.

use proptest::prelude::*;

use super::*;

fn scanned(body: &str, paths: &[&str]) -> (CapturedFields, Vec<FieldId>) {
    let mut fields = FieldTrie::new();
    let ids = paths.iter().map(|path| fields.add(path)).collect();
    let scanned = scan(&Bytes::copy_from_slice(body.as_bytes()), &fields).expect(body);
    (scanned, ids)
}

#[track_caller]
fn check(body: &str, path: &str, expected: &[&str]) {
    let (scanned, ids) = scanned(body, &[path]);
    let found: Vec<String> = scanned
        .values(ids[0])
        .map(|value| {
            let text = String::from_utf8_lossy(value.text).into_owned();
            format!("{:?} {text}", value.kind)
        })
        .collect();
    assert_eq!(found, expected, "{path} of {body}");
}

#[test]
fn captures() {
    let body = r#"{"a":{"b":1.50,"c":"x\n\u00e9"},"d":[true,null,{"e":"f"}],"g":[]}"#;
    check(body, "a.b", &["Number 1.50"]);
    check(body, "a.c", &["String x\né"]);
    check(body, "a", &[r#"Object {"b":1.50,"c":"x\n\u00e9"}"#]);
    check(body, "d.e", &["String f"]);
    check(body, "g", &["Array []"]);
    check(body, "a.x", &[]);
    check(
        body,
        "d",
        &[
            r#"Array [true,null,{"e":"f"}]"#,
            "True true",
            "Null null",
            r#"Object {"e":"f"}"#,
        ],
    );
}

#[test]
fn dotted_and_escaped_and_repeated_keys() {
    check(r#"{"a.b":{"c":1}}"#, "a.b.c", &["Number 1"]);
    check(r#"{"a":{"b.c":1}}"#, "a.b.c", &["Number 1"]);
    check(r#"{"\u0061":1}"#, "a", &["Number 1"]);
    check(r#"{"a":1,"a":2}"#, "a", &["Number 1", "Number 2"]);
}

#[test]
fn elements_tell_the_way_through_arrays() {
    let (scanned, ids) = scanned(r#"{"a":[{"b":[1,2]},{"b":[[3]],"c":4}]}"#, &["a.b", "a.c"]);
    let ways: Vec<_> = scanned
        .values(ids[0])
        .filter(|value| value.kind.is_leaf())
        .map(|value| {
            let way: Vec<_> = value
                .elements
                .iter()
                .map(|e| (e.array, e.index, e.depth))
                .collect();
            (way, value.binding().len())
        })
        .collect();
    assert_eq!(
        ways,
        [
            (vec![(0, 0, 1), (1, 0, 2)], 1),
            (vec![(0, 0, 1), (1, 1, 2)], 1),
            (vec![(0, 1, 1), (2, 0, 2), (3, 0, 2)], 2),
        ]
    );
    assert_eq!(scanned.first(ids[1]).unwrap().elements.len(), 1);
}

#[test]
fn surrogates() {
    let (scanned, ids) = scanned(r#"{"a":"\ud83d\ude00","b":"\ud83d"}"#, &["a", "b"]);
    assert_eq!(scanned.first(ids[0]).unwrap().as_str(), Some("😀"));
    let lone = scanned.first(ids[1]).unwrap();
    assert_eq!(lone.text, b"\xED\xA0\xBD");
    assert_eq!(lone.as_str(), None);
}

#[test]
fn slices_are_not_copies() {
    let (scanned, ids) = scanned(r#" {"detail" : {"x": 1} } "#, &["detail"]);
    let detail = scanned.slice(&scanned.first(ids[0]).unwrap());
    assert_eq!(&detail[..], br#"{"x": 1}"#);
    assert_eq!(detail.as_ptr(), scanned.body()[13..].as_ptr());
}

#[track_caller]
fn refuse(body: &[u8], problem: JsonProblem, offset: usize) {
    let error = scan(&Bytes::copy_from_slice(body), &FieldTrie::new()).expect_err("not JSON");
    assert_eq!(error, ScanError { problem, offset });
}

#[test]
fn refusals() {
    refuse(b"", JsonProblem::End, 0);
    refuse(b"{", JsonProblem::End, 1);
    refuse(b"{\"a\":1,}", JsonProblem::Unexpected, 7);
    refuse(b"{\"a\" 1}", JsonProblem::Unexpected, 5);
    refuse(b"{} x", JsonProblem::Trailing, 3);
    refuse(b"[01]", JsonProblem::Number, 2);
    refuse(b"[1.]", JsonProblem::Number, 3);
    refuse(b"[-]", JsonProblem::Number, 2);
    refuse(b"\"\\x\"", JsonProblem::Escape, 1);
    refuse(b"\"\\u12g4\"", JsonProblem::Escape, 1);
    refuse(b"\"a\nb\"", JsonProblem::Control, 2);
    refuse(b"\"aaaaaaaaaaaaaaaa\x01b\"", JsonProblem::Control, 17);
    refuse(b"\"\xFF\"", JsonProblem::Utf8, 1);
    refuse(b"nul", JsonProblem::Unexpected, 0);
    refuse("[".repeat(2_000).as_bytes(), JsonProblem::Depth, MAX_DEPTH);
}

/// Depth where fields are captured goes through another path than depth where they are skipped.
#[test]
fn captured_depth_is_bounded_too() {
    let mut fields = FieldTrie::new();
    fields.add("a");
    let body = format!("{{\"a\":{}", "[".repeat(5_000));
    let error = scan(&Bytes::from(body), &fields).expect_err("too deep");
    assert_eq!(error.problem, JsonProblem::Depth);
}

/// Compares the scan with serde_json as the reference, less its own depth limit and its refusal of
/// lone surrogates, which the generator does not make.
#[track_caller]
fn agrees_with_serde_json(text: &str) {
    let expected = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let mut fields = FieldTrie::new();
    fields.add("a.b");
    fields.add("a");
    let body = Bytes::copy_from_slice(text.as_bytes());
    assert_eq!(scan(&body, &fields).is_ok(), expected, "{text}");
    assert_eq!(scan(&body, &FieldTrie::new()).is_ok(), expected, "{text}");
}

proptest! {
    #[test]
    fn accepts_what_serde_json_accepts(text in r#"([\[\]{}:,"ab\\/1 0.eE+-]|"a":|"b":|true|null|\\n|\n){0,24}"#) {
        agrees_with_serde_json(&text);
    }

    #[test]
    fn strings_decode_as_serde_json_does(text in any::<String>(), ascii in any::<bool>()) {
        let mut body = serde_json::to_string(&serde_json::json!({ "a": text })).unwrap();
        if ascii {
            body = body.chars().map(|c| match c {
                ' '..='~' => c.to_string(),
                c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            }).collect();
        }
        let (scanned, ids) = scanned(&body, &["a"]);
        prop_assert_eq!(scanned.first(ids[0]).unwrap().text, text.as_bytes());
    }
}
