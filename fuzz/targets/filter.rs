//! Any two filters and a topic: matching and covering fit each other.
//!
//! The input is two filters and a topic, a line each.

#![no_main]

use eventcast::channel::filter::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (first, second, topic) = (next(), next(), next());
    let Ok(first) = Filter::parse(first) else {
        return;
    };
    assert!(first.covers(&first));
    assert!(first.as_str().ends_with(first.matched_part()));
    if first.is_exact() {
        assert!(first.matches(first.matched_part()));
    }
    let Ok(second) = Filter::parse(second) else {
        return;
    };
    if first.covers(&second) && second.matches(topic) {
        assert!(first.matches(topic));
    }
    if first.is_exact() {
        assert_eq!(second.covers(&first), second.matches(first.matched_part()));
    }
});
