//! Any bytes as bodies, tokens and sealed texts that clients send to the gateway. A text that opens
//! was sealed here.

#![no_main]

use std::sync::LazyLock;

use eventcast::gateway::api::body::check;
use eventcast::gateway::bearer::Bearer;
use eventcast::gateway::seal::{Purpose, SealingKeys, SealingSecret};
use eventcast::gateway::session::GatewaySession;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<SealingKeys> =
    LazyLock::new(|| SealingKeys::try_new(SealingSecret::random().unwrap(), None).unwrap());

fuzz_target!(|input: &[u8]| {
    for endpoint in ["session", "change", "end", "poll", "stream"] {
        if let Err(fault) = check(endpoint, input) {
            assert_eq!(fault.status.as_u16(), 400);
        }
    }
    if let Ok(bearer) = Bearer::parse(input) {
        let _ = (bearer.is_expired(1), bearer.hash(), bearer.expires());
    }
    let text = String::from_utf8_lossy(input);
    for purpose in [Purpose::Session, Purpose::Cursor, Purpose::Ticket] {
        assert!(KEYS.open(purpose, b"", &text, 0).is_err());
    }
    assert!(GatewaySession::open(&KEYS, &text, 0).is_err());
    // Any sealed input, as an attacker with a key would have it.
    let sealed = KEYS.seal(Purpose::Session, b"", u64::MAX, input);
    let _ = GatewaySession::open(&KEYS, &sealed, 0);
});
