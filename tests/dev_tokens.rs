//! The broker of `eventcast dev` with the authorizer: clients with tokens have the rights of their
//! roles, and no others.

#![cfg(all(feature = "authorizer", feature = "dev"))]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/shop.rs"]
mod shop;

use std::sync::Arc;
use std::time::Duration;

use broker::{Running, start, unhurried};
use eventcast::authorizer::access::Tokens;
use eventcast::authorizer::decide::TokenAuthority;
use eventcast::authorizer::issuer::TrustedIssuer;
use eventcast::authorizer::key::TokenSigner;
use eventcast::authorizer::token::mint;
use eventcast::config::{ConfigSource, load};
use eventcast::dev::broker::limits::BrokerRules;
use eventcast::policy::scope::Scope;
use jiff::Timestamp;
use raw::{Connect, Got, Raw, v5};
use serde_json::{Value, json};
use shop::{CUSTOMER, ORDER, configuration};

const COURIER: &str = "0c0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
const OTHER: &str = "22222222-4f0b-4d3e-9f51-6a4f0c6c2a11";

const ROLES: &str = r#"
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.orders[*]}"]
  courier:
    bind: user:{claims.sub}
    publish: ["order:{claims.orders[*]}"]
"#;

const NOT_AUTHORIZED: u8 = 0x87;
const BAD_CREDENTIALS: u8 = 0x86;

async fn running() -> Running {
    let loaded = load(&ConfigSource {
        file: "eventcast.yaml",
        text: &configuration(ROLES),
        ..ConfigSource::default()
    });
    let authority = TokenAuthority {
        issuers: vec![TrustedIssuer::development()],
        revoked: None,
        roles: loaded.config.unwrap().roles,
        environment: None,
        scope: Scope::default(),
        refresh: Duration::from_secs(900),
    };
    let tokens = Tokens::new(Arc::new(authority), "token");
    start(unhurried(), BrokerRules::iot_core(), Arc::new(tokens)).await
}

fn token(claims: &Value) -> String {
    let claims = claims.as_object().unwrap().clone();
    let hour = Duration::from_secs(3_600);
    let minted = mint(claims, &TokenSigner::development(), Timestamp::now(), hour);
    minted.unwrap_or_else(|error| panic!("{error}")).token
}

fn with_token(id: &str, claims: &Value) -> Connect {
    Connect {
        user_name: Some("anybody".into()),
        password: Some(token(claims)),
        ..v5(id)
    }
}

fn customer(id: &str) -> Connect {
    with_token(
        id,
        &json!({ "sub": CUSTOMER, "role": "customer", "orders": [ORDER] }),
    )
}

fn courier() -> Connect {
    let claims = json!({ "sub": COURIER, "role": "courier", "orders": [ORDER, OTHER] });
    with_token(COURIER, &claims)
}

#[tokio::test]
async fn a_role_is_what_a_client_may_do() {
    let running = running().await;
    let mut customer = Raw::join(running.port, &customer(&format!("{CUSTOMER}-phone"))).await;
    let own = format!("order/{ORDER}");
    assert_eq!(customer.subscribe(&own).await, 1);
    let mut courier = Raw::join(running.port, &courier()).await;
    assert_eq!(courier.publish(&own, "on its way").await, 0);
    assert_eq!(
        courier
            .publish(&format!("order/{OTHER}"), "delivered")
            .await,
        0
    );
    let message = customer.message().await;
    assert_eq!(
        (message.topic, message.payload),
        (own, "on its way".to_owned())
    );
    customer.expect_silence().await;
    // Actions that it may not do are refused.
    for filter in [&format!("order/{OTHER}"), "order/+", "#"] {
        let mut customer = Raw::join(running.port, &self::customer(CUSTOMER)).await;
        let answer = customer.subscribe(filter).await;
        assert_eq!(answer, NOT_AUTHORIZED, "{filter}");
    }
}

#[tokio::test]
async fn who_shows_no_good_token_does_not_get_in() {
    let running = running().await;
    let refused = async |connect: &Connect| {
        let mut client = Raw::open(running.port).await;
        match client.knock(connect).await {
            Got::ConnAck { code, .. } => code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&v5(CUSTOMER)).await, BAD_CREDENTIALS);
    let mut forged = customer(CUSTOMER);
    forged.password = forged.password.map(|token| format!("{token}x"));
    assert_eq!(refused(&forged).await, BAD_CREDENTIALS);
    // Somebody else's client id.
    assert_eq!(refused(&customer(COURIER)).await, NOT_AUTHORIZED);
    let smuggled = json!({ "sub": CUSTOMER, "role": "customer", "orders": ["+"] });
    assert_eq!(
        refused(&with_token(CUSTOMER, &smuggled)).await,
        BAD_CREDENTIALS
    );
}
