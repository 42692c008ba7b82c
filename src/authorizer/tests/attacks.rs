//! Known attacks on JSON Web Tokens (RFC 8725; CVE-2015-9235, CVE-2018-0114, CVE-2022-21449), each
//! against an issuer whose key set has one P-256 key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};

use super::{USER, authority};
use crate::authorizer::decide::{Rejection, TokenAuthority};
use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::issuer::TrustedIssuer;
use crate::authorizer::key::Keys;
use crate::authorizer::key_set::{FetchedKeys, IssuerKeys};
use crate::authorizer::token_error::TokenError;
use crate::policy::role_claim::RoleClaim;
use crate::port::{KeySetAnswer, KeySetSource};

const ISSUER: &str = "https://id.example.com/";
const KEY_ID: &str = "2026-11";

/// An issuer with a key set at an address, and the parts of it that an attacker knows.
pub(super) struct AttackedIssuer {
    pub(super) authority: TokenAuthority,
    pair: KeyPair,
    fetches: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Published {
    set: String,
    fetches: Arc<AtomicUsize>,
}

impl KeySetSource for Published {
    fn fetch(&self) -> KeySetAnswer<'_> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(self.set.clone()) })
    }
}

/// A P-256 or Ed25519 key as RFC 7517 and RFC 8037 write it.
pub(super) fn jwk(pair: &KeyPair, id: &str) -> Value {
    let raw = pair.public_key_raw();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if raw.len() == 32 {
        return json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": text(raw) });
    }
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id,
            "x": text(&raw[1..33]), "y": text(&raw[33..65]) })
}

pub(super) fn target() -> AttackedIssuer {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let fetches = Arc::new(AtomicUsize::new(0));
    let published = Published {
        set: json!({ "keys": [jwk(&pair, KEY_ID)] }).to_string(),
        fetches: Arc::clone(&fetches),
    };
    let keys = FetchedKeys::new(Box::new(published), Keys::default(), Vec::new());
    let issuer = TrustedIssuer {
        name: None,
        expected: ExpectedClaims {
            issuer: Some(ISSUER.into()),
            audiences: vec!["realtime".into()],
            ..ExpectedClaims::default()
        },
        keys: IssuerKeys::Fetched(Arc::new(keys)),
        role_claim: RoleClaim::of_name("role"),
    };
    AttackedIssuer {
        authority: TokenAuthority {
            issuers: vec![issuer],
            ..authority()
        },
        pair,
        fetches,
    }
}

pub(super) fn in_seconds(seconds: i64) -> i64 {
    Timestamp::now().as_second() + seconds
}

pub(super) fn claims(changes: Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "aud": "realtime", "sub": USER, "role": "courier",
                             "depot": "north", "exp": in_seconds(600) });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn signing(pair: &KeyPair) -> EncodingKey {
    match pair.public_key_raw().len() {
        32 => EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap(),
        _ => EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(),
    }
}

/// A token of any header and claims, signed by any key.
fn forged(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

impl AttackedIssuer {
    /// A token that the issuer signs.
    pub(super) fn signed(&self, header: Value, claims: &str) -> String {
        let mut all = json!({ "alg": "ES256", "kid": KEY_ID });
        for (name, value) in header.as_object().unwrap() {
            all[name] = value.clone();
        }
        let key = signing(&self.pair);
        forged(&all.to_string(), claims, Algorithm::ES256, &key)
    }

    async fn refusal(&self, token: &str) -> TokenError {
        match self.authority.admit(token).await {
            Err(Rejection::Token(error)) => error,
            Err(other) => panic!("refused for another reason: {other}"),
            Ok(_) => panic!("let in"),
        }
    }
}

#[tokio::test]
async fn the_issuer_s_own_token_is_let_in() {
    let target = target();
    let token = target.signed(json!({}), &claims(json!({})).to_string());
    let admission = target.authority.admit(&token).await.unwrap();
    assert_eq!(&*admission.role(), "courier");
    // Headers that some issuers write are no attack.
    for header in [json!({ "typ": "at+jwt" }), json!({ "x5t": "abc" })] {
        let kind = header["typ"].as_str().map(str::to_owned);
        let token = target.signed(header, &claims(json!({})).to_string());
        let admission = target.authority.admit(&token).await.unwrap();
        assert_eq!(admission.verified.kind, kind);
    }
}

#[tokio::test]
async fn no_signature() {
    let target = target();
    let claims = part(&claims(json!({})).to_string());
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = part(&json!({ "alg": algorithm, "kid": KEY_ID }).to_string());
        for signature in ["", "AA"] {
            let refused = target
                .refusal(&format!("{header}.{claims}.{signature}"))
                .await;
            assert!(
                matches!(refused, TokenError::Algorithm { .. }),
                "{algorithm}: {refused}"
            );
        }
    }
    let good = target.signed(json!({}), "{}");
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    assert_eq!(target.refusal(unsigned).await, TokenError::Form);
    assert!(matches!(
        target.refusal(&format!("{unsigned}.")).await,
        TokenError::Signature | TokenError::Form
    ));
}

/// A public key must not serve as a shared secret, in none of its spellings.
#[tokio::test]
async fn a_public_key_as_a_shared_secret() {
    let target = target();
    let secrets = [
        target.pair.public_key_pem().into_bytes(),
        target.pair.public_key_pem().trim().as_bytes().to_vec(),
        ::pem::parse(target.pair.public_key_pem())
            .unwrap()
            .into_contents(),
        target.pair.public_key_raw().to_vec(),
        jwk(&target.pair, KEY_ID).to_string().into_bytes(),
        Vec::new(),
    ];
    for secret in secrets {
        let key = EncodingKey::from_secret(&secret);
        let header = json!({ "alg": "HS256", "kid": KEY_ID }).to_string();
        let token = forged(
            &header,
            &claims(json!({})).to_string(),
            Algorithm::HS256,
            &key,
        );
        let refused = target.refusal(&token).await;
        assert!(matches!(refused, TokenError::Algorithm { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_key_on_another_curve() {
    let target = target();
    let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let claims = claims(json!({})).to_string();
    // The header says P-256 as well as the other's own algorithm; the signature is another curve's.
    let foreign = forged(
        &json!({ "alg": "EdDSA", "kid": KEY_ID }).to_string(),
        &claims,
        Algorithm::EdDSA,
        &signing(&ed25519),
    );
    assert!(matches!(
        target.refusal(&foreign).await,
        TokenError::Algorithm { .. }
    ));
    let (_, signature) = foreign.rsplit_once('.').unwrap();
    for (algorithm, signature) in [
        ("ES256", signature),
        ("ES256K", signature),
        ("ES384", signature),
    ] {
        let header = part(&json!({ "alg": algorithm, "kid": KEY_ID }).to_string());
        let token = format!("{header}.{}.{signature}", part(&claims));
        let refused = target.refusal(&token).await;
        let is_right = match algorithm {
            "ES256" => refused == TokenError::Signature,
            _ => matches!(refused, TokenError::Algorithm { .. }),
        };
        assert!(is_right, "{algorithm}: {refused}");
    }
    assert!(Keys::parse(&other.public_key_pem()).is_err());
}

/// CVE-2022-21449: a signature of zeros was right for every message.
#[tokio::test]
async fn a_signature_of_zeros() {
    let target = target();
    let good = target.signed(json!({}), &claims(json!({})).to_string());
    let (message, _) = good.rsplit_once('.').unwrap();
    for length in [0, 1, 32, 63, 64, 65, 72, 96] {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(vec![0; length]));
        let refused = target.refusal(&token).await;
        assert!(
            matches!(refused, TokenError::Signature | TokenError::Form),
            "{length}: {refused}"
        );
    }
}

#[tokio::test]
async fn times() {
    let target = target();
    let with = |changes: Value| target.signed(json!({}), &claims(changes).to_string());
    for expired in [1, in_seconds(-120), 0] {
        let refused = target.refusal(&with(json!({ "exp": expired }))).await;
        assert!(matches!(refused, TokenError::Expired(_)), "{refused}");
    }
    let early = target
        .refusal(&with(json!({ "nbf": in_seconds(120) })))
        .await;
    assert!(matches!(early, TokenError::Early(_)), "{early}");
    for odd in [
        json!("9999999999"),
        json!(null),
        json!([1]),
        json!({}),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(in_seconds(600) * 1_000_000),
    ] {
        assert!(
            target
                .authority
                .admit(&with(json!({ "exp": odd })))
                .await
                .is_err(),
            "{odd}"
        );
    }
    assert!(
        target
            .authority
            .admit(&with(json!({ "nbf": "soon" })))
            .await
            .is_err()
    );
}

/// Nothing that is huge is read through.
#[tokio::test]
async fn huge() {
    let target = target();
    let long = "x".repeat(1 << 20);
    let big_claim = target.signed(json!({}), &claims(json!({ "big": long })).to_string());
    assert!(matches!(
        target.refusal(&big_claim).await,
        TokenError::Long(_)
    ));
    assert!(matches!(target.refusal(&long).await, TokenError::Long(_)));
    assert!(matches!(
        target.refusal(&".".repeat(1 << 20)).await,
        TokenError::Long(_)
    ));
    assert_eq!(target.refusal(&".".repeat(10_000)).await, TokenError::Form);
    let big_id = target.signed(
        json!({ "kid": "k".repeat(5_000) }),
        &claims(json!({})).to_string(),
    );
    assert!(matches!(target.refusal(&big_id).await, TokenError::Key(_)));
    // As deep as fits: a reader without a bound would overflow its stack.
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let claims_of = |deep: &str| format!(r#"{{"exp":{},"x":{deep}}}"#, in_seconds(60));
    assert!(
        target
            .authority
            .admit(&target.signed(json!({}), &claims_of(&deep)))
            .await
            .is_err()
    );
    let header = part(&format!(r#"{{"alg":"ES256","x":{deep}}}"#));
    assert!(
        target
            .authority
            .admit(&format!("{header}.e30.AA"))
            .await
            .is_err()
    );
}

/// Counts in claims are bounded, even if a token has room for more.
#[tokio::test]
async fn many() {
    let target = target();
    let names: Vec<String> = (0..1_100).map(|n| format!("r{n}")).collect();
    for changes in [
        json!({ "role": names }),
        json!({ "role": names.join(" ") }),
        json!({ "role": "customer", "orders": vec![USER; 200] }),
        json!({ "role": "customer", "orders": (0..200).map(|n| format!("{n:08}{}", &USER[8..])).collect::<Vec<_>>() }),
        json!({ "aud": names }),
    ] {
        let token = target.signed(json!({}), &claims(changes.clone()).to_string());
        let text = changes.to_string();
        match target.authority.admit(&token).await {
            // The same order two hundred times is one channel.
            Ok(admission) => assert_eq!(admission.grants.channels(), 2, "{text:.60}"),
            Err(rejection) => assert!(rejection.to_string().len() < 20_000, "{text:.60}"),
        }
    }
}

#[tokio::test]
async fn repeated_members() {
    let target = target();
    let body = claims(json!({})).to_string();
    for repeated in [
        body.replacen('{', r#"{"role":"customer","#, 1),
        body.replacen('{', r#"{"sub":"somebody","#, 1),
        body.replacen('{', r#"{"exp":99999999999,"#, 1),
        body.replacen('{', r#"{"\u0069ss":"https://id.example.com/","#, 1),
        body.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
    ] {
        let refused = target.refusal(&target.signed(json!({}), &repeated)).await;
        assert!(matches!(refused, TokenError::Repeated(_)), "{refused}");
    }
    let header = format!(r#"{{"alg":"none","alg":"ES256","kid":"{KEY_ID}"}}"#);
    let token = forged(&header, &body, Algorithm::ES256, &signing(&target.pair));
    let refused = target.refusal(&token).await;
    assert!(matches!(refused, TokenError::Header(_)), "{refused}");
}

#[tokio::test]
async fn a_critical_header() {
    let target = target();
    for header in [
        json!({ "crit": ["exp"], "exp": 1 }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": [] }),
        json!({ "crit": null }),
    ] {
        let token = target.signed(header.clone(), &claims(json!({})).to_string());
        assert_eq!(
            target.refusal(&token).await,
            TokenError::Critical,
            "{header}"
        );
    }
}

/// CVE-2018-0114 and its kin: a token brings the key that it is to be checked by, or says where it
/// is.
#[tokio::test]
async fn a_key_of_the_token_s_own() {
    let target = target();
    let own = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    // The issuer's set is fetched once; an address that a token names is never fetched.
    let good = target.signed(json!({}), &claims(json!({})).to_string());
    target.authority.admit(&good).await.unwrap();
    for header in [
        json!({ "jwk": jwk(&own, KEY_ID) }),
        json!({ "jku": "https://attacker.example/jwks.json" }),
        json!({ "x5u": "https://attacker.example/chain.pem" }),
        json!({ "x5c": [URL_SAFE_NO_PAD.encode(own.public_key_pem())] }),
        json!({}),
    ] {
        let mut all = json!({ "alg": "ES256", "kid": KEY_ID });
        for (name, value) in header.as_object().unwrap() {
            all[name] = value.clone();
        }
        let body = claims(json!({})).to_string();
        let token = forged(&all.to_string(), &body, Algorithm::ES256, &signing(&own));
        assert_eq!(
            target.refusal(&token).await,
            TokenError::Signature,
            "{header}"
        );
        // With an id that the set does not have, so that its own would be the only one.
        all["kid"] = "own".into();
        let token = forged(&all.to_string(), &body, Algorithm::ES256, &signing(&own));
        assert!(
            matches!(target.refusal(&token).await, TokenError::Key(_)),
            "{header}"
        );
        let body = claims(json!({ "iss": "https://attacker.example/" })).to_string();
        let token = forged(&all.to_string(), &body, Algorithm::ES256, &signing(&own));
        assert!(target.authority.admit(&token).await.is_err());
    }
    assert_eq!(target.fetches.load(Ordering::Relaxed), 1);
}

/// Key ids are compared, and nothing else is done with them.
#[tokio::test]
async fn a_key_id_as_a_path() {
    let target = target();
    let own = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    for id in [
        "../../../../dev/null",
        "/proc/self/environ",
        "file:///etc/passwd",
        "https://attacker.example/key",
        "x' UNION SELECT 'key",
        "$(id)",
        "2026-11\u{0}",
        "",
    ] {
        let body = claims(json!({})).to_string();
        let header = json!({ "alg": "ES256", "kid": id }).to_string();
        let token = forged(&header, &body, Algorithm::ES256, &signing(&own));
        let refused = target.refusal(&token).await;
        assert!(matches!(refused, TokenError::Key(_)), "{id}: {refused}");
        let empty = EncodingKey::from_secret(b"");
        let header = json!({ "alg": "HS256", "kid": id }).to_string();
        let token = forged(&header, &body, Algorithm::HS256, &empty);
        let refused = target.refusal(&token).await;
        assert!(
            matches!(refused, TokenError::Algorithm { .. }),
            "{id}: {refused}"
        );
    }
    assert_eq!(target.fetches.load(Ordering::Relaxed), 1);
}
