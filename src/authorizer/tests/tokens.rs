//! Valid tokens, and all the ways in which others are not; keys, and texts that are not keys.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Map, Value, json};

use super::{ORDER, USER, claims, minted, signed};
use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::key::{DEVELOPMENT_KEY_ID, KeyError, Keys, TokenSigner};
use crate::authorizer::signature;
use crate::authorizer::token::{Verified, mint, verify};
use crate::authorizer::token_error::TokenError;

/// `{"alg":"none","typ":"JWT"}`
const NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
/// `{"alg":"none"}` of another spelling.
const NONE_IN_CAPITALS: &str = "eyJhbGciOiJOT05FIn0";

fn ed25519() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn p256() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn minting(pair: &KeyPair) -> TokenSigner {
    TokenSigner::parse(&pair.serialize_pem(), None).unwrap()
}

fn believing(pair: &KeyPair) -> Keys {
    Keys::parse(&pair.public_key_pem()).unwrap()
}

fn is_algorithm(verdict: &Result<Verified, TokenError>) -> bool {
    matches!(verdict, Err(TokenError::Algorithm { .. }))
}

fn in_seconds(seconds: i64) -> i64 {
    Timestamp::now().as_second() + seconds
}

#[test]
fn tokens_of_every_algorithm_are_believed() {
    let (ed25519, p256) = (ed25519(), p256());
    let keys = [
        (minting(&ed25519), believing(&ed25519), "EdDSA"),
        (minting(&p256), believing(&p256), "ES256"),
        (TokenSigner::development(), Keys::development(), "HS256"),
    ];
    for (index, (key, own, algorithm)) in keys.iter().enumerate() {
        let now = Timestamp::now();
        let life = Duration::from_secs(60);
        let token = mint(claims(json!({ "sub": USER })), key, now, life)
            .unwrap()
            .token;
        let verified = verify(&token, own, &ExpectedClaims::default()).unwrap();
        assert_eq!(verified.algorithm, *algorithm);
        assert_eq!(verified.claims["sub"], USER);
        assert_eq!(verified.expires.as_second(), now.as_second() + 60);
        // White space around a token is how files end.
        assert!(verify(&format!(" {token}\n"), own, &ExpectedClaims::default()).is_ok());
        for (other, (_, keys, _)) in keys.iter().enumerate() {
            if other != index {
                let refused = verify(&token, keys, &ExpectedClaims::default());
                assert!(is_algorithm(&refused), "{algorithm} by {other}");
            }
        }
    }
}

#[test]
fn several_keys_are_tried_and_key_ids_narrow_them() {
    let (first, second) = (p256(), p256());
    let mut keys = believing(&first);
    keys.extend(believing(&second));
    let both = format!("{}{}", first.public_key_pem(), second.public_key_pem());
    let expected = ExpectedClaims::default();
    let life = Duration::from_secs(60);
    for keys in [&keys, &Keys::parse(&both).unwrap()] {
        let token = mint(Map::new(), &minting(&second), Timestamp::now(), life)
            .unwrap()
            .token;
        assert!(verify(&token, keys, &expected).is_ok());
        let token = mint(Map::new(), &minting(&p256()), Timestamp::now(), life)
            .unwrap()
            .token;
        assert_eq!(verify(&token, keys, &expected), Err(TokenError::Signature));
    }
    let named = TokenSigner::parse(&first.serialize_pem(), Some("k9".into())).unwrap();
    let token = mint(Map::new(), &named, Timestamp::now(), life)
        .unwrap()
        .token;
    // A PEM file's keys have no ids: they stay candidates.
    assert!(verify(&token, &keys, &expected).is_ok());
}

#[test]
fn bad_tokens_are_not_believed() {
    let expected = ExpectedClaims {
        issuer: Some("shop".into()),
        audiences: vec!["realtime".into()],
        leeway: Duration::from_secs(10),
        ..ExpectedClaims::default()
    };
    let keys = Keys::development();
    let told = |token: &str| match verify(token, &keys, &expected) {
        Ok(_) => panic!("believed"),
        Err(error) => error.to_string(),
    };
    let good =
        json!({ "sub": USER, "iss": "shop", "aud": ["realtime", "other"], "exp": in_seconds(60) });
    let with = |changes: Value| {
        let mut all = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => all.as_object_mut().unwrap().remove(name),
                value => all
                    .as_object_mut()
                    .unwrap()
                    .insert(name.clone(), value.clone()),
            };
        }
        signed(&all)
    };
    assert!(verify(&signed(&good), &keys, &expected).is_ok());
    // Within the leeway, on either side.
    for near in [
        json!({ "exp": in_seconds(-5) }),
        json!({ "nbf": in_seconds(5) }),
    ] {
        assert!(verify(&with(near), &keys, &expected).is_ok());
    }

    let token = signed(&good);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!("three parts")
    };
    let other = with(json!({ "sub": ORDER }));
    let other_payload = other.split('.').nth(1).unwrap();
    let algorithm = |name: &str| format!("signed with `{name}`, but the keys here are for HS256");
    let form = "not a token: three parts in base64url with dots between them are wanted";
    let changed = "the signature is not right: another key signed it, or it was changed";
    let stranger = EncodingKey::from_secret(b"somebody else's secret, which is as long as ours is");
    let strange = encode(&Header::new(Algorithm::HS256), &good, &stranger).unwrap();
    for (token, wanted) in [
        (String::new(), form),
        ("x".into(), form),
        ("a.b.c".into(), form),
        (format!("{header}.{payload}"), form),
        (format!("{token}.{signature}"), form),
        (format!("{header}.{payload}."), changed),
        (format!("{NONE}.{payload}."), &algorithm("none")),
        (format!("{NONE}.{payload}.{signature}"), &algorithm("none")),
        (format!("{NONE_IN_CAPITALS}.{payload}."), &algorithm("NONE")),
        (format!("{header}.{other_payload}.{signature}"), changed),
        (strange, changed),
        (
            with(json!({ "iss": "else" })),
            r#"made by another issuer: `"else"`"#,
        ),
        (with(json!({ "iss": null })), "the claim `iss` is missing"),
        (
            with(json!({ "aud": "else" })),
            r#"made for another audience: `"else"`"#,
        ),
        (
            with(json!({ "aud": ["a", "b"] })),
            r#"made for another audience: `["a","b"]`"#,
        ),
        (
            with(json!({ "iss": ["shop"] })),
            "the claim `iss` is not what it should be: text is wanted",
        ),
        (
            with(json!({ "iss": ["shop", "https://evil.example"] })),
            "the claim `iss` is not what it should be: text is wanted",
        ),
        (
            with(json!({ "iss": { "a": "shop" } })),
            "the claim `iss` is not what it should be: text is wanted",
        ),
        (
            with(json!({ "aud": null })),
            "the claim `aud` is missing, and so is `client_id`, which stands in for it; without authorizer.audience neither is \
             looked at",
        ),
        (
            with(json!({ "aud": ["realtime", 7] })),
            "the claim `aud` is not what it should be: text or a list of texts is wanted",
        ),
        (
            with(json!({ "aud": { "realtime": true } })),
            "the claim `aud` is not what it should be: text or a list of texts is wanted",
        ),
        (
            with(json!({ "exp": 253_402_300_800_u64 })),
            "the claim `exp` is 253402300800, which is after the year 9999: it is in seconds since 1970, not milliseconds",
        ),
        (
            with(json!({ "exp": 4_102_444_800_000_u64 })),
            "the claim `exp` is 4102444800000, which is after the year 9999: it is in seconds since 1970, not milliseconds",
        ),
        (with(json!({ "exp": null })), "the claim `exp` is missing"),
        (
            with(json!({ "exp": "tomorrow" })),
            "the claim `exp` is \"tomorrow\", which is no time: seconds since 1970 as a number are expected",
        ),
        (
            with(json!({ "exp": -1 })),
            "the claim `exp` is -1, which is no time: seconds since 1970 as a number are expected",
        ),
        (
            with(json!({ "exp": 1e300 })),
            "the claim `exp` is 1e+300, which is no time: seconds since 1970 as a number are expected",
        ),
        (
            with(json!({ "exp": [4_102_444_800_u64] })),
            "the claim `exp` is [4102444800], which is no time: seconds since 1970 as a number are expected",
        ),
        (
            with(json!({ "nbf": "2026-01-01T00:00:00Z" })),
            "the claim `nbf` is \"2026-01-01T00:00:00Z\", which is no time: seconds since 1970 as a number are expected",
        ),
        (
            with(json!({ "exp": 4_102_444_800_000_000_000_u64 })),
            "the claim `exp` is 4102444800000000000, which is after the year 9999: it is in seconds since 1970, not milliseconds",
        ),
        (
            with(json!({ "exp": 1_764_083_826 })),
            "it expired at 2025-11-25T15:17:06Z",
        ),
        (
            with(json!({ "nbf": 4_102_444_800_u64 })),
            "it is not valid before 2100-01-01T00:00:00Z",
        ),
    ] {
        assert_eq!(told(&token), wanted, "{token}");
    }
}

/// A token whose claims are this text, signed by the development key.
fn signed_text(claims: &str) -> String {
    let raw = serde_json::value::RawValue::from_string(claims.to_owned()).unwrap();
    let TokenSigner { algorithm, key, .. } = TokenSigner::development();
    encode(&Header::new(algorithm), &raw, &key).unwrap()
}

#[test]
fn access_tokens_without_an_audience_name_their_client() {
    let expected = ExpectedClaims {
        audiences: vec!["app1".into()],
        ..ExpectedClaims::default()
    };
    let verdict = |claims: Value| {
        let mut claims = claims;
        claims["exp"] = in_seconds(60).into();
        let verdict = verify(&signed(&claims), &Keys::development(), &expected);
        verdict.map_or_else(|error| error.to_string(), |_| "valid".into())
    };
    assert_eq!(verdict(json!({ "client_id": "app1" })), "valid");
    assert_eq!(
        verdict(json!({ "client_id": "app2" })),
        "it has no `aud`, and was issued to another client: `client_id` is `\"app2\"`"
    );
    assert_eq!(
        verdict(json!({ "client_id": ["app1"] })),
        "it has no `aud`, and was issued to another client: `client_id` is `[\"app1\"]`"
    );
    // An audience counts where there is one.
    assert_eq!(
        verdict(json!({ "aud": "app2", "client_id": "app1" })),
        "made for another audience: `\"app2\"`"
    );
    assert_eq!(
        verdict(json!({ "aud": "app1", "client_id": "app2" })),
        "valid"
    );
    assert!(
        verdict(json!({ "aud": null, "client_id": "app1" }))
            .contains("`aud` is not what it should be")
    );
}

#[test]
fn claims_occur_once() {
    let exp = in_seconds(60);
    for (claims, repeated) in [
        (format!(r#"{{"exp":1,"exp":{exp}}}"#), "exp"),
        (
            format!(r#"{{"exp":{exp},"role":"customer","role":"support"}}"#),
            "role",
        ),
        (format!(r#"{{"exp":{exp},"sub":"a","sub":"a"}}"#), "sub"),
        (
            format!(r#"{{"exp":{exp},"t":{{"a":"mine","\u0061":"theirs"}}}}"#),
            "a",
        ),
        (
            format!(r#"{{"exp":{exp},"orders":[{{"id":"1"}},{{"id":"2","id":"3"}}]}}"#),
            "id",
        ),
        (
            format!(r#"{{"exp":{exp},"iss":"a","\u0069ss":"b"}}"#),
            "iss",
        ),
    ] {
        let refused = verify(
            &signed_text(&claims),
            &Keys::development(),
            &ExpectedClaims::default(),
        );
        assert_eq!(
            refused,
            Err(TokenError::Repeated(repeated.into())),
            "{claims}"
        );
    }
}

#[test]
fn headers_that_are_not_right_are_named() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = minted(json!({ "sub": USER }));
    let rest = token.split_once('.').unwrap().1;
    for (header, wanted) in [
        (
            r#"{"alg":"HS256","kid":7}"#,
            "its header is not right: `kid` is not text",
        ),
        (r#"{"alg":7}"#, "its header is not right: `alg` is not text"),
        (
            r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
            "its header is not right: `kid` occurs more than once",
        ),
        (
            r#"{"typ":"JWT"}"#,
            "its header is not right: `alg` is missing",
        ),
        (
            r#"{"alg":"ES256K"}"#,
            "signed with `ES256K`, but the keys here are for HS256",
        ),
        (
            "[]",
            "not a token: three parts in base64url with dots between them are wanted",
        ),
    ] {
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        let refused = verify(&token, &Keys::development(), &ExpectedClaims::default());
        assert_eq!(refused.unwrap_err().to_string(), wanted, "{header}");
    }
}

/// A secp256k1 key has points as long as P-256's, and its signatures would never fit.
#[test]
fn keys_of_other_curves_are_refused() {
    // Made with `openssl ecparam -name secp256k1 -genkey`.
    let other = "-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAErI9e1Kkw6Z1vAS70ZX/BGt6cELs1VIgw\nBT03R3B5AF6+Ml+rV0bJVj81Zz/BF/joZP1Za2dtnzus5rFGmBqmNQ==\n-----END PUBLIC KEY-----";
    assert_eq!(Keys::parse(other).unwrap_err(), KeyError::Kind);
    // The same private key, said to be on prime239v3 (RFC 5480 knows P-256 as prime256v1).
    let pair = p256();
    let mut der = pair.serialize_der();
    let curve = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let at = memchr::memmem::find(&der, &curve).unwrap() + curve.len() - 1;
    der[at] = 0x06;
    let private = ::pem::encode(&::pem::Pem::new("PRIVATE KEY", der));
    assert_eq!(
        TokenSigner::parse(&private, None).unwrap_err(),
        KeyError::Kind
    );
}

/// The classic confusion: a public key must not serve as a shared secret.
#[test]
fn a_public_key_is_no_secret() {
    signature::install();
    let pair = p256();
    for secret in [
        pair.public_key_pem().into_bytes(),
        pair.public_key_raw().to_vec(),
    ] {
        let key = EncodingKey::from_secret(&secret);
        let claims = json!({ "exp": in_seconds(60) });
        let token = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let refused = verify(&token, &believing(&pair), &ExpectedClaims::default());
        assert!(is_algorithm(&refused));
    }
}

#[test]
fn the_development_key_is_believed_by_name_only() {
    let token = minted(json!({ "sub": USER }));
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(DEVELOPMENT_KEY_ID));
    for keys in [believing(&p256()), believing(&ed25519()), Keys::default()] {
        let refused = verify(&token, &keys, &ExpectedClaims::default());
        assert!(is_algorithm(&refused));
    }
}

#[test]
fn what_is_no_key() {
    let pair = p256();
    let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}"#;
    let encryption = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let short = r#"{"keys":[{"kty":"RSA","n":"wA","e":"AQAB"}]}"#;
    for (text, wanted) in [
        (pair.serialize_pem().as_str(), KeyError::Private),
        ("", KeyError::Form),
        ("secret", KeyError::Form),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            KeyError::Form,
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            KeyError::Kind,
        ),
        ("{", KeyError::Form),
        ("{}", KeyError::Form),
        (r#"{"keys":[]}"#, KeyError::Empty),
        (secret, KeyError::Empty),
        (encryption, KeyError::Empty),
        (short, KeyError::Empty),
    ] {
        assert_eq!(Keys::parse(text).unwrap_err(), wanted, "{text}");
    }
    assert_eq!(
        TokenSigner::parse(&pair.public_key_pem(), None).unwrap_err(),
        KeyError::Public
    );
    assert_eq!(
        TokenSigner::parse("secret", None).unwrap_err(),
        KeyError::Form
    );
    // Kinds of keys that nobody knows yet do not spoil a set.
    let odd = [
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#,
        r#"{"kty":"EC","crv":"P-521","alg":"ES512","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"X25519","use":"enc","x":"AA"}"#,
        r#"{"kty":"RSA","alg":"RS999","n":"AA","e":"AQAB","key_ops":["verify","odd"]}"#,
    ];
    for odd in odd {
        let ours = encryption.replace(r#""use":"enc","#, "");
        let set = ours.replace("]}", &format!(",{odd}]}}"));
        assert!(Keys::parse(&set).is_ok(), "{set}");
    }
    // RFC 8037, appendix A: the public key there, usable here.
    let usable = encryption.replace(r#""use":"enc","#, r#""use":"sig","#);
    assert!(!Keys::parse(&usable).unwrap().is_empty());
}

proptest! {
    /// No text makes the check panic, and none is accepted.
    #[test]
    fn no_text_is_believed(text in r"[A-Za-z0-9_.\-]{0,80}", header in "[ -~]{0,40}") {
        let keys = Keys::development();
        prop_assert!(verify(&text, &keys, &ExpectedClaims::default()).is_err());
        let token = minted(json!({ "sub": USER }));
        let rest = token.split_once('.').unwrap().1;
        let changed = format!("{header}.{rest}");
        prop_assert!(verify(&changed, &keys, &ExpectedClaims::default()).is_err());
    }

    /// Changing any one character of a token makes it invalid.
    #[test]
    fn no_character_can_be_changed(at in 0_usize..1_000, to in "[A-Za-z0-9_-]") {
        let token = minted(json!({ "sub": USER, "role": "customer", "orders": [] }));
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        // The last character of a part has bits that mean nothing; they must be zero.
        if changed != token {
            prop_assert!(verify(&changed, &Keys::development(), &ExpectedClaims::default()).is_err());
        }
    }
}
