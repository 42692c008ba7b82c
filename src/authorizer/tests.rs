//! Grants by the claims of a token, and the places where a token is looked for.

mod attacks;
mod confusion;
mod events;
mod headers;
mod issuers;
mod key_sets;
mod revoked;
mod tokens;
mod wider;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Header, encode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::access::Tokens;
use super::decide::{Rejection, TokenAuthority};
use super::issuer::TrustedIssuer;
use super::key::TokenSigner;
use super::token::mint;
use super::token_error::TokenError;
use crate::channel::{ChannelKind, IdFormat, Kinds};
use crate::policy::principal::ClientIdRules;
use crate::policy::role::{Role, RoleEntry, Use};
use crate::policy::scope::Scope;
use crate::port::{
    AccessDecision, Authentication, AuthenticationRefusal, Authorizer as _, ClientAction,
    Presented, PresentedLogin, PresentedUpgrade, RequestingClient,
};

const USER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
const ORDER: &str = "11111111-4f0b-4d3e-9f51-6a4f0c6c2a11";
fn claims(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A token of the development key, for an hour.
fn minted(value: Value) -> String {
    let hour = Duration::from_secs(3_600);
    mint(
        claims(value),
        &TokenSigner::development(),
        Timestamp::now(),
        hour,
    )
    .unwrap()
    .token
}

/// A token of the development key whose claims are all as given.
fn signed(value: &Value) -> String {
    let TokenSigner { algorithm, key, .. } = TokenSigner::development();
    encode(&Header::new(algorithm), value, &key).unwrap()
}

fn kinds() -> Kinds {
    let kind = |name: &str, id| (name.into(), ChannelKind::try_new(name, id).unwrap());
    [
        kind("user", IdFormat::Uuid),
        kind("order", IdFormat::Uuid),
        kind("depot", IdFormat::pattern("[^/]+").unwrap()),
    ]
    .into()
}

fn role(name: &str, subscribe: &[&str], publish: &[&str]) -> Role {
    let entry = |purpose| move |text: &&str| RoleEntry::parse(text, purpose, &kinds()).unwrap();
    Role {
        name: name.into(),
        bind: entry(Use::Bind)(&"user:{claims.sub}"),
        client_ids: ClientIdRules::default(),
        subscribe: subscribe.iter().map(entry(Use::Subscribe)).collect(),
        publish: publish.iter().map(entry(Use::Publish)).collect(),
        retain: false,
    }
}

fn authority() -> TokenAuthority {
    TokenAuthority {
        issuers: vec![TrustedIssuer::development()],
        revoked: None,
        roles: vec![
            role(
                "customer",
                &["user:{claims.sub}", "order:{claims.orders[*]}"],
                &[],
            ),
            role(
                "courier",
                &["depot:{claims.depot}"],
                &["depot:{claims.depot}"],
            ),
        ],
        environment: None,
        scope: Scope::default(),
        refresh: Duration::from_secs(900),
    }
}

#[test]
fn claims_become_documents() {
    let admission = authority()
        .decide(&minted(
            json!({ "sub": USER, "role": "customer", "orders": [ORDER] }),
        ))
        .unwrap();
    assert_eq!(&*admission.role(), "customer");
    let answer = admission.answer(Timestamp::now());
    assert_eq!(answer.principal_id, USER.replace('-', ""));
    assert!((3_590..=3_600).contains(&answer.disconnect_after_in_seconds));
    assert_eq!(answer.refresh_after_in_seconds, 900);
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer.policy_documents).unwrap());
}

#[test]
fn whom_nobody_lets_in() {
    let told = |value: Value| authority().decide(&minted(value)).unwrap_err().to_string();
    insta::assert_snapshot!(told(json!({ "sub": USER })), @"the claim `role`, which names the role, is missing");
    insta::assert_snapshot!(told(json!({ "sub": USER, "role": 7 })), @"the claim `role`, which names the role, is no text and no list of texts");
    insta::assert_snapshot!(told(json!({ "sub": USER, "role": ["admin", "staff"] })), @"the claim `role` names no role that exists: `admin`, `staff`");
    insta::assert_snapshot!(told(json!({ "sub": USER, "role": "admin" })), @"the role `admin` does not exist");
    insta::assert_snapshot!(told(json!({ "sub": USER, "role": "customer" })));
    insta::assert_snapshot!(told(
        json!({ "sub": "+", "role": "customer", "orders": [] })
    ));
    insta::assert_snapshot!(told(
        json!({ "sub": USER, "role": "courier", "depot": "+" })
    ));
    insta::assert_snapshot!(told(
        json!({ "sub": USER, "role": "courier", "depot": "north/#" })
    ));
    insta::assert_snapshot!(told(
        json!({ "sub": USER, "role": "courier", "depot": "*" })
    ));
    insta::assert_snapshot!(told(
        json!({ "sub": USER, "role": "courier", "depot": "${iot:ClientId}" })
    ));
    let orders: Vec<String> = (0..51).map(|n| format!("{n:08}{}", &USER[8..])).collect();
    insta::assert_snapshot!(told(
        json!({ "sub": USER, "role": "customer", "orders": orders })
    ));
    let expired = signed(&json!({ "sub": USER, "role": "customer", "exp": 1 }));
    let refused = authority().decide(&expired).unwrap_err();
    assert!(matches!(refused, Rejection::Token(TokenError::Expired(_))));
}

fn presented(query: Option<&str>, login: Option<(&str, &str)>) -> Presented {
    Presented {
        source: ([127, 0, 0, 1], 4_000).into(),
        tls: None,
        upgrade: query.map(|query| PresentedUpgrade {
            path: "/mqtt".into(),
            query: Some(query.to_owned()),
            headers: Vec::new(),
        }),
        login: login.map(|(user, password)| PresentedLogin {
            client_id: USER.into(),
            user_name: (!user.is_empty()).then(|| user.to_owned()),
            password: (!password.is_empty()).then(|| password.to_owned().into()),
        }),
    }
}

async fn asked(presented: &Presented) -> Result<Authentication, AuthenticationRefusal> {
    let tokens = Tokens::new(Arc::new(authority()), "token");
    tokens.authenticate(presented).await
}

#[tokio::test]
async fn tokens_are_found_where_clients_put_them() {
    let token = minted(json!({ "sub": USER, "role": "courier", "depot": "north" }));
    let query = format!("x-amz-customauthorizer-name=shop&token={token}");
    let user_name = format!("anybody?{query}");
    let mut by_header = presented(Some(""), None);
    by_header.upgrade.as_mut().unwrap().headers = vec![("token".into(), token.clone())];
    for presented in [
        presented(Some(&query), None),
        by_header,
        presented(None, Some((&user_name, ""))),
        presented(None, Some(("anybody", &token))),
        presented(Some("x=y"), Some(("", &token))),
    ] {
        let Ok(Authentication::Known(identity)) = asked(&presented).await else {
            panic!("not let in")
        };
        assert_eq!(&*identity.principal, USER.replace('-', ""));
        assert_eq!(identity.refresh_after, Some(Duration::from_secs(900)));
        let client = RequestingClient {
            id: format!("{USER}-phone").into(),
            source: [127, 0, 0, 1].into(),
            domain_name: None,
        };
        let allowed = |action| identity.access.decide(&client, action) == AccessDecision::Allowed;
        let connect = |will| ClientAction::Connect {
            persistent: true,
            will,
        };
        assert!(allowed(connect(None)) && allowed(connect(Some("depot/north"))));
        assert!(allowed(ClientAction::Subscribe("depot/north")));
        assert!(allowed(ClientAction::Receive("depot/north")));
        assert!(allowed(ClientAction::Publish("depot/north")));
        for action in [
            ClientAction::RetainPublish("depot/north"),
            ClientAction::Subscribe("depot/south"),
            ClientAction::Subscribe("depot/+"),
            ClientAction::Subscribe("#"),
            ClientAction::Receive("depot/south"),
            ClientAction::Publish("depot/south"),
        ] {
            assert!(!allowed(action), "{action:?}");
        }
        let other = RequestingClient {
            id: "somebody".into(),
            ..client
        };
        let AccessDecision::Denied(why) = identity.access.decide(&other, connect(None)) else {
            panic!("somebody is let in");
        };
        assert!(
            why.starts_with("iot:Connect on `arn:aws:iot:")
                && why.contains(":client/somebody`: no statement allows it; nearest is statement ")
                && why.contains(" of policy 1: "),
            "{why}"
        );
    }
}

#[tokio::test]
async fn whom_a_broker_does_not_let_in() {
    let asked_later = asked(&presented(Some("x=y"), None)).await;
    assert!(matches!(asked_later, Ok(Authentication::AtConnect)));
    let refused = async |presented: Presented| match asked(&presented).await {
        Err(refusal) => refusal.to_string(),
        Ok(_) => panic!("let in"),
    };
    insta::assert_snapshot!(refused(presented(None, Some(("anybody", "")))).await, @"no token: it is looked for as `token` in the query string, a header or the user name's query, and as password");
    insta::assert_snapshot!(refused(presented(Some("token=nonsense"), None)).await, @"the token is not believed: not a token: three parts in base64url with dots between them are wanted");
}

/// The text that a log might print shows nothing about a token or its claims.
#[test]
fn debug_keeps_secrets() {
    let token = minted(json!({ "sub": USER, "role": "courier", "depot": "north" }));
    let admission = authority().decide(&token).unwrap();
    let shown = format!("{admission:?} {:?}", authority());
    assert!(
        !shown.contains(USER) && !shown.contains("anybody can mint"),
        "{shown}"
    );
}

proptest! {
    /// With any claims, an admitted client receives and publishes no more than its role writes:
    /// exactly the named depot.
    #[test]
    fn no_claim_widens_a_grant(depot in r"[ -~é]{0,12}", other in r"[ -~é/+#*]{1,12}") {
        let token = minted(json!({ "sub": USER, "role": "courier", "depot": depot }));
        let Ok(admission) = authority().decide(&token) else { return Ok(()) };
        let documents: Vec<_> = admission.documents.iter()
            .map(|draft| crate::policy::document::Document::parse(&draft.minified()).unwrap())
            .collect();
        let scope = Scope::default();
        let context = crate::policy::context::Context::of_client(USER);
        let simulation = crate::policy::simulate::Simulation { documents: &documents, scope: &scope, context: &context };
        let own = format!("depot/{depot}");
        prop_assert!(simulation.publish(&own).is_allowed());
        let foreign = format!("depot/{other}");
        prop_assert_eq!(simulation.publish(&foreign).is_allowed(), foreign == own);
        prop_assert_eq!(simulation.receive(&foreign).is_allowed(), foreign == own);
        prop_assert!(!simulation.publish(&other).is_allowed());
    }
}
