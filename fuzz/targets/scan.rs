//! Any bytes through the scan: text that serde_json takes for JSON is JSON, and captured places are
//! within the text. The same bytes as a body: an event is one JSON object, and its detail is a
//! slice of it.

#![no_main]

use bytes::Bytes;
use eventcast::event::envelope::{EventDecoder, Envelope};
use eventcast::event::fields::FieldTrie;
use eventcast::event::scan::scan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut fields = FieldTrie::new();
    let ids = ["a", "a.b", "detail"].map(|path| fields.add(path));
    let body = Bytes::copy_from_slice(input);
    let scanned = scan(&body, &fields);
    // The scan takes more than serde_json: lone surrogates, and nesting beyond 128 levels. Text it
    // is asked about, since serde_json does not look whether strings that it passes over are UTF-8.
    if let Ok(text) = std::str::from_utf8(input)
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    {
        assert!(scanned.is_ok(), "serde_json takes it");
    }
    for (_, envelope) in Envelope::NAMES {
        let decoder = EventDecoder::new(envelope, FieldTrie::new());
        match decoder.decode(&body, "m1") {
            Ok(event) => {
                assert!(event.body().trim_ascii().starts_with(b"{"));
                let detail = event.detail().map(|detail| event.scanned().slice(&detail));
                assert!(detail.is_none_or(|detail| event.body().len() >= detail.len()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(scanned) = scanned {
        for value in ids.iter().flat_map(|id| scanned.values(*id)) {
            assert!(!scanned.slice(&value).is_empty());
        }
    }
});
