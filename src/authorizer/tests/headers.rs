//! Headers that have to be understood, and are not (RFC 7515, section 4.1.11).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Header, encode};
use serde_json::json;

use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::key::{Keys, TokenSigner};
use crate::authorizer::signature;
use crate::authorizer::token::verify;
use crate::authorizer::token_error::TokenError;

fn in_a_minute() -> i64 {
    Timestamp::now().as_second() + 60
}

#[test]
fn what_has_to_be_understood_and_is_not() {
    signature::install();
    let key = TokenSigner::development();
    let mut header = Header::new(key.algorithm);
    header.crit = Some(vec!["b64".into()]);
    let token = encode(&header, &json!({ "exp": in_a_minute() }), &key.key).unwrap();
    let verdict = |token: &str| verify(token, &Keys::development(), &ExpectedClaims::default());
    assert_eq!(verdict(&token), Err(TokenError::Critical));
    let with_header = |member: &str| {
        let algorithm = key.algorithm;
        let header = format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"{member}}}"#);
        let claims = json!({ "exp": in_a_minute() }).to_string();
        let parts = [header, claims]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".");
        let signature = sign(parts.as_bytes(), &key.key, key.algorithm).unwrap();
        format!("{parts}.{signature}")
    };
    assert!(verdict(&with_header("")).is_ok());
    for critical in [
        "null",
        "[]",
        "[\"b64\"]",
        "\"b64\"",
        "{}",
        "false",
        "[null]",
    ] {
        for name in ["crit", "\\u0063rit"] {
            let token = with_header(&format!(r#","{name}":{critical}"#));
            assert_eq!(
                verdict(&token),
                Err(TokenError::Critical),
                "{name} {critical}"
            );
        }
    }
}
