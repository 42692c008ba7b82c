//! Issuers that are taken for each other.

use serde_json::{Map, Value, json};

use super::attacks::{AttackedIssuer, claims, in_seconds, target};
use super::authority;
use crate::authorizer::decide::TokenAuthority;
use crate::authorizer::expected::ExpectedClaims;
use crate::authorizer::issuer::TrustedIssuer;

/// Two issuers: the keys of one say nothing about the tokens of the other.
#[tokio::test]
async fn a_token_of_one_issuer_in_another_s_name() {
    let (first, second) = (target(), target());
    let issuer = |target: &AttackedIssuer, name: &str| TrustedIssuer {
        name: Some(name.into()),
        expected: ExpectedClaims {
            issuer: Some(format!("https://{name}/")),
            ..ExpectedClaims::default()
        },
        ..target.authority.issuers[0].clone()
    };
    let both = TokenAuthority {
        issuers: vec![issuer(&first, "first"), issuer(&second, "second")],
        ..authority()
    };
    let token = |target: &AttackedIssuer, iss: Value| {
        target.signed(json!({}), &claims(json!({ "iss": iss })).to_string())
    };
    let own = both.admit(&token(&first, "https://first/".into())).await;
    assert_eq!(own.unwrap().issuer.as_deref(), Some("first"));
    assert!(
        both.admit(&token(&second, "https://second/".into()))
            .await
            .is_ok()
    );
    for (target, iss) in [
        (&first, json!("https://second/")),
        (&second, json!("https://first/")),
        (&first, json!("https://first")),
        (&first, json!("")),
        (&first, json!(null)),
        (&first, json!(["https://first/", "https://second/"])),
    ] {
        assert!(
            both.admit(&token(target, iss.clone())).await.is_err(),
            "{iss}"
        );
    }
    let twice = claims(json!({ "iss": "https://first/" })).to_string();
    let twice = twice.replacen('{', r#"{"iss":"https://second/","#, 1);
    for target in [&first, &second] {
        assert!(both.admit(&target.signed(json!({}), &twice)).await.is_err());
    }
    let mut nothing = Map::new();
    nothing.insert("exp".into(), in_seconds(60).into());
    let nothing = Value::Object(nothing).to_string();
    assert!(
        both.admit(&first.signed(json!({}), &nothing))
            .await
            .is_err()
    );
}
