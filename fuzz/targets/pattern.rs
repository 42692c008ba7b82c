//! Any pattern against any event: nothing panics or hangs, and the explanation gives the verdict of
//! the set.
//!
//! The input is a pattern, a line break, and an event.

#![no_main]

use bytes::Bytes;
use eventcast::event::fields::FieldTrie;
use eventcast::event::pattern::Pattern;
use eventcast::event::pattern::explain::PatternExplainer;
use eventcast::event::pattern::matching::PatternSet;
use eventcast::event::scan::scan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (pattern, event) = input.split_once('\n').unwrap_or((input, "{}"));
    let Ok(pattern) = Pattern::parse(pattern) else {
        return;
    };
    let body = Bytes::copy_from_slice(event.as_bytes());
    let explainer = PatternExplainer::new(&pattern);
    let Ok(scanned) = scan(&body, explainer.fields()) else {
        return;
    };
    let Ok(explanation) = explainer.explain(&scanned) else {
        return;
    };
    assert_eq!(explanation.matches, explanation.mismatches.is_empty());
    let mut fields = FieldTrie::new();
    let twice = PatternSet::compile([&pattern, &pattern], &mut fields);
    let scanned = scan(&body, &fields).expect("it was scanned before");
    let mut found = Vec::new();
    if twice.matching(&scanned, &mut found).is_ok() {
        let expected: &[usize] = if explanation.matches { &[0, 1] } else { &[] };
        assert_eq!(found, expected);
    }
});
