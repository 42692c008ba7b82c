//! The custom authorizer as it is deployed: the program `eventcast-authorizer` under an emulation
//! of Lambda's runtime API, and `eventcast authorizer invoke`; with key sets by https and the list
//! of revoked tokens in DynamoDB.

#![cfg(feature = "lambda")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails should say where"
)]

#[path = "support/function.rs"]
mod function;
#[path = "support/key_server.rs"]
mod key_server;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/runtime_api.rs"]
mod runtime_api;
#[path = "support/shop.rs"]
mod shop;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use function::{Folder, ROLES};
use jiff::Timestamp;
use key_server::KeyServer;
use moto::Moto;
use runtime_api::{Answered, RuntimeApi};
use serde_json::{Value, json};
use shop::{CUSTOMER, configuration};

fn answer(answered: Answered) -> Value {
    match answered {
        Answered::Response(text) => serde_json::from_str(&text).unwrap(),
        Answered::Error(text) => panic!("the function failed: {text}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_of_lambda_answers_every_event() {
    let folder = Folder::new("authorizer: { keys: [issuer.pem] }\n");
    let mut api = RuntimeApi::start().await;
    let function = folder.function(&api, &[]);
    let token = folder.token(None, json!({}));
    let event = json!({ "token": token, "signatureVerified": false, "protocols": ["tls", "mqtt"],
                        "protocolData": { "mqtt": { "clientId": format!("{CUSTOMER}-phone") } },
                        "connectionMetadata": { "id": "c1" } });
    let admitted = answer(api.invoke(&event.to_string()).await);
    assert_eq!(admitted["isAuthenticated"], true);
    assert_eq!(admitted["principalId"], CUSTOMER.replace('-', ""));
    assert_eq!(admitted["refreshAfterInSeconds"], 900);
    assert_eq!(admitted["policyDocuments"].as_array().unwrap().len(), 1);
    let members = admitted.as_object().unwrap().len();
    assert_eq!(members, 5, "{admitted}");
    let admin = folder.token(None, json!({ "role": "admin" }));
    for event in [
        "null",
        "7",
        "[]",
        "{}",
        r#"{"token":null,"protocolData":{"mqtt":{"password":"////"}}}"#,
        &json!({ "token": format!("{token}x") }).to_string(),
        &json!({ "token": admin }).to_string(),
    ] {
        let refused = answer(api.invoke(event).await);
        assert_eq!(refused["isAuthenticated"], false, "{event}");
        assert_eq!(refused["policyDocuments"], json!([]));
    }
    // `eventcast authorizer invoke` prints the same answer.
    let (status, invoked) = folder.invoke(&[], &event);
    assert_eq!(status, Some(0));
    assert_eq!(invoked["policyDocuments"], admitted["policyDocuments"]);
    assert_eq!(invoked["principalId"], admitted["principalId"]);
    let decisions = function.decisions();
    assert_eq!(decisions.len(), 8);
    assert_eq!(decisions[0]["subject"], CUSTOMER);
    assert_eq!(decisions[0]["channels"], 2);
    assert_eq!(decisions[0]["connection"], "c1");
    assert_eq!(decisions[7]["reason"], "the role `admin` does not exist");
    let log = fs::read_to_string(&function.log).unwrap();
    for part in token.split('.').chain(admin.split('.').skip(1)) {
        assert!(!log.contains(part), "{log}");
    }
}

/// Managed instances give several events at once to one process (AWS_LAMBDA_MAX_CONCURRENCY).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_answered_side_by_side() {
    let folder = Folder::new("authorizer: { keys: [issuer.pem] }\n");
    let mut api = RuntimeApi::start().await;
    let variables = [("AWS_LAMBDA_MAX_CONCURRENCY", "8".to_owned())];
    let function = folder.function(&api, &variables);
    let event = json!({ "token": folder.token(None, json!({})) }).to_string();
    let mut waiting = Vec::new();
    for n in 0..40 {
        waiting.push(api.ask(if n % 2 == 0 { &event } else { "{}" }).await);
    }
    for (n, waiting) in waiting.into_iter().enumerate() {
        let answer = answer(waiting.await.unwrap());
        assert_eq!(answer["isAuthenticated"], n % 2 == 0);
    }
    assert_eq!(function.decisions().len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_reads_its_configuration_as_the_other_programs_do() {
    let folder = Folder::new("authorizer: { keys: [issuer.pem] }\n");
    let yaml = folder.path.join("eventcast.yaml");
    let text = fs::read_to_string(&yaml).unwrap();
    let renamed = folder.path.join("other.yaml");
    fs::rename(&yaml, &renamed).unwrap();
    let event = json!({ "token": folder.token(None, json!({})) }).to_string();
    for variables in [
        vec![("EVENTCAST_CONFIG", renamed.display().to_string())],
        vec![("EVENTCAST_CONFIG_TEXT", text.clone())],
        vec![
            ("EVENTCAST_CONFIG_TEXT", text.clone()),
            ("EVENTCAST_AUTHORIZER_REFRESH", "10m".to_owned()),
        ],
    ] {
        let mut api = RuntimeApi::start().await;
        let _function = folder.function(&api, &variables);
        let admitted = answer(api.invoke(&event).await);
        let refresh = if variables.len() == 2 { 600 } else { 900 };
        assert_eq!(admitted["refreshAfterInSeconds"], refresh);
    }
    // A fault in it ends the program before it takes an event, with a message in the log.
    for (variables, message) in [
        (vec![], "reading the configuration `eventcast.yaml`"),
        (
            vec![("EVENTCAST_CONFIG_TEXT", text.replace("keys:", "kyes:"))],
            "there is no key `kyes` here",
        ),
        (
            vec![("EVENTCAST_CONFIG_TEXT", configuration(ROLES))],
            "no keys are known",
        ),
        (
            vec![(
                "EVENTCAST_CONFIG_TEXT",
                text.replace("issuer.pem", "none.pem"),
            )],
            "the key file `none.pem`",
        ),
        (
            vec![("EVENTCAST_CONFIG_PARAMETER", "/shop".to_owned())],
            "the configuration in the parameter `/shop`: there are no AWS credentials",
        ),
    ] {
        let api = RuntimeApi::start().await;
        let mut function = folder.function(&api, &variables);
        let status = tokio::task::spawn_blocking(move || {
            let status = function.process.wait().unwrap();
            (status, fs::read_to_string(&function.log).unwrap())
        });
        let (status, log) = status.await.unwrap();
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(log.contains(message) && log.contains("help: "), "{log}");
    }
}

/// A parameter of Systems Manager with the configuration, as moto serves it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_reads_its_configuration_from_a_parameter() {
    let folder = Folder::new("authorizer: { keys: [issuer.pem] }\n");
    let yaml = folder.path.join("eventcast.yaml");
    let moto = Moto::start();
    let mut command = moto::python("authorizer.py");
    command
        .args(["parameter", "/eventcast/configuration"])
        .arg(&yaml);
    assert!(command.envs(moto.environment()).status().unwrap().success());
    fs::remove_file(&yaml).unwrap();
    let mut variables: Vec<_> = moto.environment().into();
    variables.push((
        "EVENTCAST_CONFIG_PARAMETER",
        "/eventcast/configuration".into(),
    ));
    let mut api = RuntimeApi::start().await;
    let _function = folder.function(&api, &variables);
    let event = json!({ "token": folder.token(None, json!({})) });
    let admitted = answer(api.invoke(&event.to_string()).await);
    assert_eq!(admitted["isAuthenticated"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_sets_come_by_https() {
    let folder = Folder::new("");
    let server = KeyServer::start(&folder.path, &folder.set("k1")).await;
    let authority = server.authority.display().to_string();
    let url = server.url("jwks.json");
    folder.configure(&format!("authorizer: {{ keys_url: '{url}' }}\n"));
    let mut api = RuntimeApi::start().await;
    let function = folder.function(&api, &[("SSL_CERT_FILE", authority.clone())]);
    let event = |id: &str| json!({ "token": folder.token(Some(id), json!({})) }).to_string();
    for _ in 0..5 {
        assert_eq!(
            answer(api.invoke(&event("k1")).await)["isAuthenticated"],
            true
        );
    }
    assert_eq!(server.asked(), 1);
    // Ids that nobody has published ask nobody for a while.
    for n in 0..20 {
        let refused = answer(api.invoke(&event(&format!("made-up-{n}"))).await);
        assert_eq!(refused["isAuthenticated"], false);
    }
    assert_eq!(server.asked(), 1);
    let reasons: Vec<_> = function.decisions()[5..]
        .iter()
        .map(|line| line["reason"].clone())
        .collect();
    assert!(
        reasons[0]
            .as_str()
            .unwrap()
            .contains("no key is known for it: its `kid` is `made-up-0`")
    );
    // The same set for `token verify`, which says by which key.
    let token = folder.token(Some("k1"), json!({}));
    let trusted = [("SSL_CERT_FILE", authority.as_str())];
    let verified = folder.eventcast(&["token", "verify", "-"], &trusted, &token);
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(text.contains("signed by ES256, key `k1`"), "{text}");
    // A set that is published later is found by `kid`.
    server.publish(&folder.set("k2"));
    let (status, _) = folder.invoke(
        &trusted,
        &json!({ "token": folder.token(Some("k2"), json!({})) }),
    );
    assert_eq!(status, Some(0));
}

/// Only the set at the very address is taken, and the answer has the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_sets_that_cannot_be_fetched() {
    let folder = Folder::new("");
    let server = KeyServer::start(&folder.path, &folder.set("k1")).await;
    let authority = server.authority.display().to_string();
    let trusted = [("SSL_CERT_FILE", authority.as_str())];
    let event = json!({ "token": folder.token(Some("k1"), json!({})) });
    for (path, reason) in [
        ("moved", "HTTP 302: redirects are not followed"),
        ("moved-for-ever", "HTTP 308: redirects are not followed"),
        ("error", "HTTP 500"),
        ("none", "HTTP 404"),
        ("huge", "more than 262144 bytes"),
        ("html", "neither a public key as PEM nor a key set as JSON"),
        ("empty", "a key set without a usable key"),
        ("mute", "no answer in 3s"),
    ] {
        let before = server.asked();
        folder.configure(&format!(
            "authorizer: {{ keys_url: '{}' }}\n",
            server.url(path)
        ));
        let (status, answer) = folder.invoke(&trusted, &event);
        assert_eq!(status, Some(2), "{path}");
        assert_eq!(answer["isAuthenticated"], false);
        let told = answer["reason"].as_str().unwrap();
        assert!(told.contains(reason), "{path}: {told}");
        assert_eq!(server.asked(), before + 1, "{path}");
    }
    // An authority that nobody trusts.
    folder.configure(&format!(
        "authorizer: {{ keys_url: '{}' }}\n",
        server.url("jwks.json")
    ));
    let (status, answer) = folder.invoke(&[], &event);
    assert_eq!(status, Some(2));
    assert!(
        answer["reason"]
            .as_str()
            .unwrap()
            .contains("the issuer's key set cannot be fetched")
    );
}

#[test]
fn shared_secrets_come_from_the_environment_and_are_never_shown() {
    const SECRET: &str = "a secret of the shop with 32 bytes and more";
    let folder = Folder::new("authorizer: { shared_secret_variable: SHOP_TOKEN_SECRET }\n");
    let key = jsonwebtoken_secret(SECRET);
    let event = json!({ "token": key });
    let with = |secret: &str| folder.invoke(&[("SHOP_TOKEN_SECRET", secret)], &event);
    assert_eq!(with(SECRET).0, Some(0));
    assert_eq!(with("another secret of the shop, as long as it").0, Some(1));
    for (variables, message) in [
        (
            vec![],
            "`SHOP_TOKEN_SECRET` of authorizer.shared_secret_variable: it is not set",
        ),
        (
            vec![("SHOP_TOKEN_SECRET", "too short")],
            "a shared secret of 9 bytes; HS256 takes 32 and more",
        ),
    ] {
        let output = folder.eventcast(
            &["authorizer", "invoke", "-"],
            &variables,
            &event.to_string(),
        );
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(message) && told.contains("help: "), "{told}");
        assert!(!told.contains("too short"), "{told}");
    }
    // A set with a shared key, and a file with one, are none.
    folder.configure("authorizer: { keys: [oct.json] }\n");
    let set =
        json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(SECRET) }] });
    fs::write(folder.path.join("oct.json"), set.to_string()).unwrap();
    let output = folder.eventcast(&["authorizer", "invoke", "-"], &[], &event.to_string());
    assert_eq!(output.status.code(), Some(2));
}

/// A token as an issuer signs it with a shared secret, by ring alone.
fn jsonwebtoken_secret(secret: &str) -> String {
    use ring::hmac;
    let claims = json!({ "sub": CUSTOMER, "role": "customer", "orders": [], "exp": Timestamp::now().as_second() + 60 });
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn a_file_lists_revoked_subjects_and_tokens() {
    let folder =
        Folder::new("authorizer: { keys: [issuer.pem], revoked: { file: revoked.jsonl } }\n");
    let event = json!({ "token": folder.token(None, json!({ "jti": "t1" })) });
    let list = folder.path.join("revoked.jsonl");
    let told = |list: &str| {
        fs::write(folder.path.join("revoked.jsonl"), list).unwrap();
        let (status, answer) = folder.invoke(&[], &event);
        (
            status.unwrap(),
            answer["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(told("").0, 0);
    assert_eq!(
        told("{\"subject\":\"somebody\"}\n{\"token\":\"t2\"}\n").0,
        0
    );
    let revoked = told(&format!("{{\"subject\":\"{CUSTOMER}\"}}\n"));
    assert_eq!(revoked, (1, "revoked: the list names its subject".into()));
    let revoked = told("{\"token\":\"t1\"}\n");
    assert_eq!(revoked, (1, "revoked: the list names its id".into()));
    let (status, reason) = told("{\"tokn\":\"t1\"}\n");
    assert_eq!(status, 2);
    assert!(
        reason.contains("`revoked.jsonl`, line 1: unknown field `tokn`"),
        "{reason}"
    );
    fs::remove_file(list).unwrap();
    let (status, answer) = folder.invoke(&[], &event);
    assert_eq!(
        (status, &answer["isAuthenticated"]),
        (Some(2), &json!(false))
    );
    folder.configure(
        "authorizer: { keys: [issuer.pem], revoked: { file: revoked.jsonl, unreadable: admit } }\n",
    );
    assert_eq!(folder.invoke(&[], &event).0, Some(0));
}

/// The list in a DynamoDB table, as moto serves it, asked by the function of Lambda.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_lists_revoked_subjects_and_tokens() {
    let folder = Folder::new(
        "authorizer: { keys: [issuer.pem], revoked: { table: eventcast-revoked, remember: 0s } }\n",
    );
    let moto = Moto::start();
    let table = |arguments: &[&str]| {
        let mut command = moto::python("authorizer.py");
        command.args(arguments).envs(moto.environment());
        assert!(command.status().unwrap().success(), "{arguments:?}");
    };
    let event = json!({ "token": folder.token(None, json!({ "jti": "t1" })) }).to_string();
    let mut api = RuntimeApi::start().await;
    let function = folder.function(&api, &moto.environment());
    // Without the table nobody can say, so nobody is let in.
    let mut asked = async || answer(api.invoke(&event).await)["isAuthenticated"] == true;
    assert!(!asked().await);
    table(&["table", "eventcast-revoked"]);
    assert!(asked().await);
    table(&["put", "eventcast-revoked", "subject:somebody"]);
    assert!(asked().await);
    for (id, attributes, admitted) in [
        ("token:t1", "{}", false),
        ("token:t1", r#"{"issued_before": 1700000000}"#, true),
        ("token:t1", r#"{"expires": 1700000000}"#, true),
        (&*format!("subject:{CUSTOMER}"), "{}", false),
        (
            &*format!("subject:{CUSTOMER}"),
            r#"{"issued_before": 99999999999}"#,
            false,
        ),
    ] {
        table(&["put", "eventcast-revoked", id, attributes]);
        assert_eq!(asked().await, admitted, "{id} {attributes}");
        table(&["delete", "eventcast-revoked", id]);
    }
    assert!(asked().await);
    let reasons: Vec<String> = function
        .decisions()
        .iter()
        .map(|line| line["reason"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(
        reasons[0].contains("the list of revoked subjects and tokens cannot be read"),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "revoked: the list names its id")
    );
}
