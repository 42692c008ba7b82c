//! Events of IoT Core as AWS documents them, and others that may come: every one is answered.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ORDER, USER, authority, minted};
use crate::authorizer::function::{AuthorizerFunction, FunctionDecision};

fn function() -> AuthorizerFunction {
    AuthorizerFunction::new(Arc::new(authority()), "token")
}

async fn asked(event: &Value) -> FunctionDecision {
    function().decide(event).await
}

fn courier() -> String {
    minted(json!({ "sub": USER, "role": "courier", "depot": "north" }))
}

/// AWS IoT Core developer guide, "Defining your Lambda function": the event with all its members.
fn documented(token: &str) -> Value {
    json!({
        "token": token,
        "signatureVerified": true,
        "protocols": ["tls", "http", "mqtt"],
        "protocolData": {
            "tls": { "serverName": "serverName" },
            "http": { "headers": { "#{name}": "#{value}" }, "queryString": "?#{name}=#{value}" },
            "mqtt": { "username": "myUserName", "password": "bXlQYXNz", "clientId": USER }
        },
        "connectionMetadata": { "id": "UUID" }
    })
}

#[tokio::test]
async fn the_documented_event() {
    let decision = asked(&documented(&courier())).await;
    let answer = decision.answer;
    assert!(answer.is_authenticated, "{:?}", decision.outcome);
    assert_eq!(answer.principal_id, USER.replace('-', ""));
    assert_eq!(answer.policy_documents.len(), 1);
    assert!(answer.disconnect_after_in_seconds <= 3_600);
    // The same document, "Test your authorizer": a token alone, as `test-invoke-authorizer` sends
    // it.
    let tested = json!({ "token": courier(), "signatureVerified": true });
    assert!(asked(&tested).await.answer.is_authenticated);
}

/// The same token wherever a client of each protocol puts it; members that are not relevant are
/// left out.
#[tokio::test]
async fn tokens_of_every_protocol() {
    let token = courier();
    let password = STANDARD.encode(&token);
    let encoded = token.replace('.', "%2E");
    for event in [
        // MQTT over TLS with ALPN `mqtt`: CONNECT's password, or the query of its user name.
        json!({ "protocols": ["tls", "mqtt"], "protocolData": { "tls": { "serverName": "x" },
                "mqtt": { "username": "anybody", "password": password, "clientId": format!("{USER}-phone") } } }),
        json!({ "protocolData": { "mqtt": { "username": format!("anybody?x=y&token={token}") } } }),
        json!({ "protocolData": { "mqtt": { "username": null, "password": token, "clientId": "" } } }),
        // WebSocket: the upgrade's query or header.
        json!({ "protocolData": { "http": { "queryString": format!("?x=y&token={encoded}") } } }),
        json!({ "protocolData": { "http": { "queryString": format!("token={token}"), "headers": null } } }),
        json!({ "protocolData": { "http": { "headers": { "Token": token, "Host": "x" }, "queryString": "" } } }),
        json!({ "protocolData": { "http": { "headers": { "token": token, "a": 7 } }, "mqtt": null }, "token": "" }),
        // HTTPS Publish.
        json!({ "token": token, "protocols": ["tls", "http"], "signatureVerified": false,
                "protocolData": { "http": { "headers": {}, "queryString": null } }, "later": { "member": [1] } }),
    ] {
        let decision = asked(&event).await;
        assert!(
            decision.answer.is_authenticated,
            "{event}: {:?}",
            decision.outcome
        );
    }
}

/// With a client certificate beside the token, IoT Core wants the certificate's id as the
/// principal.
#[tokio::test]
async fn a_client_certificate_is_the_principal() {
    let id = "1f9e0ea3b6d9a0e2b1c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829";
    let mut event = documented(&courier());
    event["protocolData"]["tls"] =
        json!({ "serverName": "x", "x509CertificatePem": "…", "principalId": id });
    assert_eq!(asked(&event).await.answer.principal_id, id);
    // A principal that IoT Core would not take is none.
    for odd in [json!(null), json!(""), json!("a-b"), json!(7)] {
        event["protocolData"]["tls"]["principalId"] = odd;
        assert_eq!(
            asked(&event).await.answer.principal_id,
            USER.replace('-', "")
        );
    }
    event["protocolData"]["tls"]["principalId"] = id.into();
    event["token"] = "aToken".into();
    assert_eq!(asked(&event).await.answer.principal_id, "refused");
}

#[tokio::test]
async fn whatever_is_asked_is_answered() {
    let told = async |event: Value| {
        let decision = asked(&event).await;
        assert!(!decision.answer.is_authenticated && decision.answer.policy_documents.is_empty());
        decision.outcome.unwrap_err().to_string()
    };
    insta::assert_snapshot!(told(json!(null)).await, @"the event is not a JSON object");
    insta::assert_snapshot!(told(json!("token")).await, @"the event is not a JSON object");
    insta::assert_snapshot!(told(json!({})).await, @"no token: it is looked for in the event's `token`, as `token` in the query string, a header or the user name's query, and as password");
    for odd in [
        json!({ "token": null, "protocolData": null, "connectionMetadata": null }),
        json!({ "token": 7, "protocolData": [], "connectionMetadata": "x" }),
        json!({ "protocolData": { "mqtt": [], "http": "x", "tls": 1 } }),
        json!({ "protocolData": { "mqtt": { "password": 7, "username": [] }, "http": { "headers": [1], "queryString": {} } } }),
        json!({ "protocolData": { "mqtt": { "password": "" }, "http": { "queryString": "?token=" } } }),
        json!({ "protocolData": { "http": { "queryString": "?token=%ff" } } }),
    ] {
        assert!(told(odd).await.starts_with("no token"));
    }
    let bad = told(documented("aToken")).await;
    insta::assert_snapshot!(bad, @"the token is not believed: not a token: three parts in base64url with dots between them are wanted");
    // A password that is no token: its Base64 decodes to no text at all.
    let event = json!({ "protocolData": { "mqtt": { "password": "////" } } });
    assert!(told(event).await.starts_with("no token"));
}

/// A client id that is not the token's own would be refused by the documents, with no word of why.
#[tokio::test]
async fn client_ids_of_others() {
    for (client_id, is_own) in [
        (USER.to_owned(), true),
        (format!("{USER}-phone"), true),
        (ORDER.to_owned(), false),
        (format!("{USER}phone"), false),
        ("iotconsole-1".into(), false),
    ] {
        let mut event = documented(&courier());
        event["protocolData"]["mqtt"]["clientId"] = client_id.as_str().into();
        let decision = asked(&event).await;
        assert_eq!(decision.answer.is_authenticated, is_own, "{client_id}");
        if let Err(refusal) = decision.outcome {
            assert!(
                refusal.to_string().contains(&format!("{USER}-*")),
                "{refusal}"
            );
        }
    }
}

/// More channels than documents have room for: nothing is cut off.
#[tokio::test]
async fn too_many_channels_are_refused_with_the_reckoning() {
    let orders: Vec<String> = (0..51).map(|n| format!("{n:08}{}", &USER[8..])).collect();
    let token = minted(json!({ "sub": USER, "role": "customer", "orders": orders }));
    let decision = asked(&json!({ "token": token })).await;
    assert!(!decision.answer.is_authenticated);
    let why = decision.outcome.unwrap_err().to_string();
    insta::assert_snapshot!(why, @"the grants are too many: 52 subscriptions are granted; a connection may have 50");
}

#[derive(Clone, Default)]
struct LogLines(Arc<Mutex<Vec<u8>>>);

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line of JSON a decision, with the facts that an operator looks for, and never the token.
#[test]
fn one_log_line_a_decision() {
    let token = courier();
    let line = |event: Value| {
        let decide = || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async { asked(&event).await });
        };
        // A place that logs is off for ever if another test reaches it first while this subscriber
        // is being made (tracing-core 0.1 works out whether it is on before it lists it).
        decide();
        let lines = LogLines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, decide);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in token.split('.') {
            assert!(!text.contains(part), "{text}");
        }
        let mut line: Value = serde_json::from_str(&text).unwrap();
        line["timestamp"] = "…".into();
        line
    };
    let admitted = line(documented(&token));
    for (name, value) in [
        ("decision", json!("admitted")),
        ("subject", json!(USER)),
        ("role", json!("courier")),
        ("channels", json!(1)),
        ("documents", json!(1)),
        ("connection", json!("UUID")),
        ("message", json!("client decided on")),
    ] {
        assert_eq!(admitted[name], value, "{admitted}");
    }
    let refused = line(json!({ "token": minted(json!({ "sub": USER, "role": "admin" })) }));
    assert_eq!(refused["decision"], "refused");
    assert_eq!(refused["subject"], USER);
    assert_eq!(refused["reason"], "the role `admin` does not exist");
    let long = "x".repeat(5_000);
    let refused = line(
        json!({ "token": minted(json!({ "sub": long, "role": "courier", "depot": "north" })),
                               "connectionMetadata": { "id": long } }),
    );
    assert!(refused.to_string().len() < 3_000, "{refused}");
    // Text that a client names stays within its text.
    let forged = line(
        json!({ "token": "a.b.c", "connectionMetadata": { "id": "x\"}\n{\"decision\":\"admitted" } }),
    );
    assert_eq!(forged["decision"], "refused");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof![
            Just("token".to_owned()),
            Just("protocolData".to_owned()),
            Just("mqtt".to_owned()),
            Just("http".to_owned()),
            Just("tls".to_owned()),
            Just("headers".to_owned()),
            Just("queryString".to_owned()),
            Just("password".to_owned()),
            Just("username".to_owned()),
            Just("clientId".to_owned()),
            Just("connectionMetadata".to_owned()),
            "[a-z]{1,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Nothing that is asked makes the function fail, and nothing without a good token lets anybody
    /// in.
    #[test]
    fn any_event_is_answered(event in any_json()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let decision = runtime.block_on(async { asked(&event).await });
        prop_assert!(!decision.answer.is_authenticated);
        prop_assert!(serde_json::to_string(&decision.answer).is_ok());
    }
}
