//! Any token, key set, claim path and event: nothing panics, no token without a valid signature is
//! accepted, and for all claims of a signed token its documents allow no more than its role.
//!
//! The input is a header, a claim path and an event, a line each; claims, a key set or a whole
//! token come last.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use eventcast::authorizer::decide::TokenAuthority;
use eventcast::authorizer::event::ConnectQuestion;
use eventcast::authorizer::expected::ExpectedClaims;
use eventcast::authorizer::issuer::TrustedIssuer;
use eventcast::authorizer::key::{Keys, TokenSigner};
use eventcast::authorizer::key_set::IssuerKeys;
use eventcast::authorizer::token::{mint, verify};
use eventcast::config::{ConfigSource, load};
use eventcast::policy::claim_path::ClaimPath;
use eventcast::policy::context::Context;
use eventcast::policy::document::Document;
use eventcast::policy::role_claim::{RoleChoice, RoleClaim};
use eventcast::policy::scope::Scope;
use eventcast::policy::simulate::Simulation;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const CONFIGURATION: &str = r#"
channels: { user: { id: { pattern: "[^/]+" } }, order: { id: uuid } }
routes: [{ name: orders, match: { source: [s] }, to: ["order:{detail.id}"] }]
roles:
  customer: { bind: "user:{claims.sub}", subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}", "news/{claims.area}/+"] }
  courier: { bind: "user:{claims.sub}", publish: ["order:{claims.tour[*].id}", "at/{claims.sub}"] }
"#;

static AUTHORITY: LazyLock<TokenAuthority> = LazyLock::new(|| {
    let loaded = load(&ConfigSource {
        file: "eventcast.yaml",
        text: CONFIGURATION,
        ..ConfigSource::default()
    });
    let config = loaded.config.expect("the configuration of this target");
    let role_claim = RoleClaim {
        choice: RoleChoice::All,
        ..RoleClaim::of_name("role")
    };
    TokenAuthority {
        issuers: vec![TrustedIssuer {
            name: None,
            expected: ExpectedClaims::default(),
            keys: IssuerKeys::Fixed(Arc::new(Keys::development())),
            role_claim,
        }],
        revoked: None,
        roles: config.roles,
        environment: None,
        scope: Scope::default(),
        refresh: Duration::from_secs(900),
    }
});

/// Base64 with the alphabet of addresses and without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let part = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for n in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    out
}

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (header, path, event, rest) = (next(), next(), next(), next());
    let authority = &*AUTHORITY;
    assert!(verify(rest, &Keys::development(), &ExpectedClaims::default()).is_err());
    let forged = format!("{}.{}.AAAA", base64url(header.as_bytes()), base64url(rest.as_bytes()));
    assert!(authority.decide(&forged).is_err());
    let _ = Keys::parse(rest);
    if let Ok(event) = serde_json::from_str::<Value>(event) {
        let _ = ConnectQuestion::read(&event);
    }
    let Ok(claims) = serde_json::from_str::<Map<String, Value>>(rest) else {
        return;
    };
    if let Ok(path) = ClaimPath::parse(path) {
        let mut made = claims.clone();
        path.set(&mut made, "x".into());
        assert_eq!(path.find(&made), Some(&Value::from("x")));
    }
    let minted = mint(claims, &TokenSigner::development(), Timestamp::now(), Duration::from_secs(60));
    let Ok(minted) = minted else { return };
    let Ok(admission) = authority.decide(&minted.token) else {
        return;
    };
    assert!((1..=10).contains(&admission.documents.len()));
    let documents: Vec<Document> = admission
        .documents
        .iter()
        .map(|draft| {
            let text = draft.minified();
            assert!(text.len() <= 2_048);
            Document::parse(&text).expect("a document of ours")
        })
        .collect();
    let sub = admission.verified.subject().expect("a principal");
    let of = |client: &str| Context::of_client(client);
    let scope = Scope::default();
    for (client, allowed) in [(sub, true), ("", false), ("somebody else", sub == "somebody else")] {
        let context = of(client);
        let simulation = Simulation { documents: &documents, scope: &scope, context: &context };
        assert_eq!(simulation.connect().is_allowed(), allowed);
        for topic in ["order/x", "user/", "$aws/things/a", "news/a", "other"] {
            assert!(!simulation.receive(topic).is_allowed() && !simulation.publish(topic).is_allowed());
        }
    }
});
