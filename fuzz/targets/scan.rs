//! Any bytes through the scan: what serde_json takes for JSON is JSON, and captured places are within the text.

#![no_main]

use bytes::Bytes;
use eventcast::event::fields::Fields;
use eventcast::event::scan::scan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut fields = Fields::new();
    let ids = ["a", "a.b", "detail"].map(|path| fields.add(path));
    let body = Bytes::copy_from_slice(input);
    let scanned = scan(&body, &fields);
    // The scan takes more than serde_json: lone surrogates, and nesting beyond 128 levels.
    if serde_json::from_slice::<serde::de::IgnoredAny>(input).is_ok() {
        assert!(scanned.is_ok(), "serde_json takes it");
    }
    if let Ok(scanned) = scanned {
        for value in ids.iter().flat_map(|id| scanned.values(*id)) {
            assert!(!scanned.slice(&value).is_empty());
        }
    }
});
