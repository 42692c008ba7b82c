//! Rules of the gateway: tokens and grants, origins, limits, streams and their tickets.

#![cfg(all(feature = "dev", feature = "gateway"))]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/shop.rs"]
mod shop;

use std::sync::Arc;
use std::time::Duration;

use broker::{Running, iot_core, start, unhurried};
use eventcast::authorizer::access::Tokens;
use eventcast::authorizer::decide::TokenAuthority;
use eventcast::authorizer::issuer::TrustedIssuer;
use eventcast::authorizer::key::TokenSigner;
use eventcast::authorizer::token::mint;
use eventcast::dev::broker::control::InboundPublish;
use eventcast::dev::broker::limits::BrokerRules;
use eventcast::gateway::limits::Limits;
use eventcast::policy::scope::Scope;
use gateway::{Client, Events, ORIGIN, Task, config, directory, request, settings};
use jiff::Timestamp;
use raw::{Raw, v5};
use serde_json::{Value, json};
use shop::{CUSTOMER, ORDER, configuration};

const OTHER: &str = "22222222-4f0b-4d3e-9f51-6a4f0c6c2a11";

const ROLES: &str = r#"
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.orders[*]}"]
  device:
    bind: user:{claims.sub}
    client_ids: exact
    subscribe: ["order:{claims.orders[*]}"]
"#;

/// A broker that asks for tokens, and a task that shows them to it.
async fn with_roles() -> (Running, Task) {
    let config = config(&configuration(ROLES));
    let authority = TokenAuthority {
        issuers: vec![TrustedIssuer::development()],
        revoked: None,
        roles: config.roles.clone(),
        environment: None,
        scope: Scope::default(),
        refresh: Duration::from_secs(900),
    };
    let tokens = Tokens::new(Arc::new(authority), "token");
    let broker = start(unhurried(), BrokerRules::iot_core(), Arc::new(tokens)).await;
    let task = Task::start(settings(broker.port), directory(&config)).await;
    (broker, task)
}

fn token_of(role: &str, subject: &str, orders: &[&str], life: Duration) -> String {
    let claims =
        json!({ "role": role, "sub": subject, "orders": orders, "jti": fastrand::u64(..) });
    let claims = claims.as_object().unwrap().clone();
    let minted = mint(claims, &TokenSigner::development(), Timestamp::now(), life);
    minted.unwrap_or_else(|error| panic!("{error}")).token
}

fn token(subject: &str, orders: &[&str]) -> String {
    token_of("customer", subject, orders, Duration::from_secs(3_600))
}

fn channel(id: &str) -> String {
    format!("order:{id}")
}

async fn opened(task: &Task, token: &str, channels: &[&str]) -> Client {
    let mut client = task.client(Some(token));
    let answer = client.open(channels).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    client
}

#[tokio::test]
async fn a_refused_channel_stands_beside_a_granted_one() {
    let (_broker, task) = with_roles().await;
    let mut client = task.client(Some(&token(CUSTOMER, &[ORDER])));
    let answer = client.open(&[&channel(ORDER), &channel(OTHER)]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["granted"], json!([channel(ORDER)]));
    let denied = &answer.body["denied"][0];
    assert_eq!(denied["channel"], channel(OTHER));
    assert_eq!(denied["reason"], "authorization");
    assert_eq!(client.poll(0).await.status, 200);
}

#[tokio::test]
async fn tokens_that_the_broker_does_not_believe_are_refused() {
    let (_broker, task) = with_roles().await;
    let good = token(CUSTOMER, &[ORDER]);
    let (body, _) = good.rsplit_once('.').unwrap();
    let unknown = format!("{body}.AAAA");
    let second = Duration::from_secs(1);
    let expired = token_of("customer", CUSTOMER, &[ORDER], second);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let cases = [
        None,
        Some("opaque"),
        Some(&*unknown),
        Some(&*expired),
        Some("e30.eyJyb2xlIjoibm9uZSJ9.x"),
    ];
    for token in cases {
        let answer = task.client(token).open(&[]).await;
        assert_eq!(answer.status, 401, "{token:?}: {answer:?}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        assert_eq!(challenge.contains("invalid_token"), token.is_some());
        assert!(!answer.body.to_string().contains("eyJ"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_session_is_its_principals_alone() {
    let (_broker, task) = with_roles().await;
    let client = opened(&task, &token(CUSTOMER, &[ORDER]), &[&channel(ORDER)]).await;
    let thief = Client {
        token: Some(token(OTHER, &[ORDER])),
        ..client.clone()
    };
    assert_eq!(thief.poll_once(0).await.status, 403);
    let change = json!({ "session": client.session, "add": [] });
    assert_eq!(
        thief.call("PATCH", "/rt/v1/session", &change).await.status,
        403
    );
    let end = json!({ "session": client.session });
    assert_eq!(
        thief.call("DELETE", "/rt/v1/session", &end).await.status,
        403
    );
    assert_eq!(client.poll_once(0).await.status, 200);
}

#[tokio::test]
async fn a_forged_token_does_not_disturb_a_session() {
    let (broker, task) = with_roles().await;
    let client = opened(&task, &token(CUSTOMER, &[ORDER]), &[&channel(ORDER)]).await;
    let good = token(CUSTOMER, &[ORDER]);
    let (body, _) = good.rsplit_once('.').unwrap();
    let forger = Client {
        token: Some(format!("{body}.AAAA")),
        ..client.clone()
    };
    assert_eq!(forger.poll_once(1).await.status, 401);
    let end = json!({ "session": client.session });
    assert_eq!(
        forger.call("DELETE", "/rt/v1/session", &end).await.status,
        401
    );
    assert_eq!(broker.broker.counts().connections, 1);
    assert_eq!(client.poll_once(0).await.status, 200);
}

#[tokio::test]
async fn a_new_token_goes_on_with_the_session() {
    let (broker, task) = with_roles().await;
    let mut client = opened(&task, &token(CUSTOMER, &[ORDER]), &[&channel(ORDER)]).await;
    client.token = Some(token(CUSTOMER, &[ORDER]));
    assert_eq!(client.poll(1).await.status, 200);
    assert_eq!(broker.broker.counts().connected, 2);
    assert_eq!(client.poll(0).await.status, 200);
    assert_eq!(broker.broker.counts().connected, 2);
}

#[tokio::test]
async fn a_grant_that_is_gone_is_forbidden() {
    let (_broker, task) = with_roles().await;
    let mut client = opened(&task, &token(CUSTOMER, &[ORDER]), &[&channel(ORDER)]).await;
    client.token = Some(token(CUSTOMER, &[OTHER]));
    let answer = client.poll(5).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.body["error"], "forbidden");
    assert!(answer.body["message"].as_str().unwrap().contains("order/"));
}

#[tokio::test]
async fn an_exact_client_id_has_one_session() {
    let (_broker, task) = with_roles().await;
    let hour = Duration::from_secs(3_600);
    let token = token_of("device", CUSTOMER, &[ORDER], hour);
    let first = opened(&task, &token, &[&channel(ORDER)]).await;
    let second = opened(&task, &token, &[&channel(ORDER)]).await;
    assert_eq!(first.poll_once(0).await.status, 409);
    assert_eq!(second.poll_once(0).await.status, 200);
}

async fn open_to_all(limits: Limits) -> (Running, Task) {
    let broker = iot_core().await;
    let names = directory(&config(&configuration("")));
    let task = Task::limited(settings(broker.port), names, limits).await;
    (broker, task)
}

#[tokio::test]
async fn limits_hold_each_by_itself() {
    let off = Limits {
        channels: None,
        sessions: None,
        sessions_per_principal: None,
        requests_per_second: None,
        sessions_per_second: None,
        ..Limits::default()
    };
    let check = async |limits: Limits, status: u16, code: &str| {
        let (_broker, task) = open_to_all(limits).await;
        let mut client = task.client(None);
        for _ in 0..100 {
            let mut answer = client.open(&[]).await;
            if answer.status == 201 {
                answer = client.poll(0).await;
            }
            if answer.status != 200 {
                assert_eq!(answer.status, status, "{answer:?}");
                assert_eq!(answer.body["error"], code);
                assert!(
                    answer
                        .header("retry-after")
                        .unwrap()
                        .parse::<u32>()
                        .unwrap()
                        > 0
                );
                return;
            }
        }
        panic!("the limit does not hold");
    };
    let sessions = Limits {
        sessions: Some(3),
        ..off
    };
    check(sessions, 503, "full").await;
    let of_principal = Limits {
        sessions_per_principal: Some(3),
        ..off
    };
    check(of_principal, 429, "quota").await;
    let requests = Limits {
        requests_per_second: Some(1),
        ..off
    };
    check(requests, 429, "quota").await;
    let of_address = Limits {
        sessions_per_second: Some(1),
        ..off
    };
    check(of_address, 429, "quota").await;
    let (_broker, task) = open_to_all(off).await;
    for _ in 0..100 {
        assert_eq!(task.client(None).open(&[]).await.status, 201);
    }
}

#[tokio::test]
async fn the_address_is_what_the_load_balancer_says() {
    let limits = Limits {
        sessions_per_second: Some(1),
        ..Limits::default()
    };
    let (_broker, task) = open_to_all(limits).await;
    let ask = async |forwarded: &str| {
        let headers = format!("content-type: application/json\r\nx-forwarded-for: {forwarded}\r\n");
        let body = b"{\"channels\": []}";
        request(task.address, "POST", "/rt/v1/session", &headers, body)
            .await
            .status
    };
    // The last address is counted, whatever a client writes before it.
    let mut statuses = Vec::new();
    for n in 0..11 {
        statuses.push(ask(&format!("10.0.0.{n}, 192.0.2.1")).await);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(ask("192.0.2.1, 192.0.2.2").await, 201);
}

#[tokio::test]
async fn channels_over_the_limit_are_denied() {
    let limits = Limits {
        channels: Some(2),
        ..Limits::default()
    };
    let (_broker, task) = open_to_all(limits).await;
    let answer = task.client(None).open(&["a", "b", "a", "c"]).await;
    assert_eq!(answer.body["granted"], json!(["a", "b"]));
    let denied = answer.body["denied"].as_array().unwrap();
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["reason"], "limit");
}

#[tokio::test]
async fn more_channels_than_one_subscribe_takes_are_granted() {
    let (broker, task) = open_to_all(Limits::default()).await;
    let names: Vec<String> = (0..20).map(|n| format!("topic/{n}")).collect();
    let channels: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = task.client(None).open(&channels).await;
    assert_eq!(answer.body["granted"], json!(channels), "{answer:?}");
    assert_eq!(broker.broker.counts().subscriptions, 20);
}

#[tokio::test]
async fn origins() {
    let (_broker, task) = open_to_all(Limits::default()).await;
    let ask = async |method: &str, path: &str, headers: String| {
        request(task.address, method, path, &headers, b"").await
    };
    let preflight = |origin: &str| {
        format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type\r\n"
        )
    };
    let answer = ask("OPTIONS", "/rt/v1/poll", preflight(ORIGIN)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization"));
    let answer = ask("OPTIONS", "/rt/v1/stream/ticket", preflight(ORIGIN)).await;
    assert_eq!(
        answer.header("access-control-allow-credentials"),
        Some("true")
    );
    for other in [
        "https://evil.example",
        "null",
        "https://shop.example.evil",
        "http://shop.example",
    ] {
        let answer = ask("OPTIONS", "/rt/v1/poll", preflight(other)).await;
        assert_eq!(answer.status, 403, "{other}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    // A page of the gateway's own origin asks without CORS.
    let own = "origin: http://gateway\r\ncontent-type: application/json\r\n".to_owned();
    assert_eq!(ask("POST", "/rt/v1/poll", own).await.status, 400);
    let answer = ask(
        "GET",
        "/rt/v1/eventcast.js",
        format!("origin: {ORIGIN}\r\n"),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    let tag = answer.header("etag").unwrap().to_owned();
    let answer = ask(
        "GET",
        "/rt/v1/eventcast.js",
        format!("if-none-match: {tag}\r\n"),
    )
    .await;
    assert_eq!(answer.status, 304);
}

fn publish(broker: &Running, topic: &str, payload: &str) {
    let post = InboundPublish {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        qos: 1,
        ..InboundPublish::default()
    };
    broker.broker.publish(&post).unwrap();
}

#[tokio::test]
async fn streams_bring_messages_and_end_in_order() {
    let (broker, task) = open_to_all(Limits::default()).await;
    let mut client = task.client(None);
    client.open(&["news"]).await;
    let mut events = client.stream().await;
    let head = events.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for line in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store, no-transform\r\n",
        "x-accel-buffering: no\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        assert!(head.contains(line), "{line} {head}");
    }
    publish(&broker, "news", "{\n \"n\": 1\n}");
    let first = events.next().await.unwrap();
    assert_eq!(
        (first.name.as_str(), &first.data["payload"]["n"]),
        ("message", &json!(1))
    );
    publish(&broker, "news", "no json");
    let second = events.next().await.unwrap();
    assert_eq!(second.data["base64"], "bm8ganNvbg==");
    assert_eq!(
        broker.broker.counts().acknowledged,
        0,
        "nothing counts because it was written"
    );
    // The first is confirmed while the stream goes on.
    let ack = json!({ "session": client.session, "cursor": first.id });
    assert_eq!(client.call("POST", "/rt/v1/ack", &ack).await.status, 204);
    broker
        .until(|broker| broker.counts().acknowledged == 1)
        .await;
    // Another stream begins where the client is, and the first one ends with a reason.
    client.cursor = first.id;
    let mut again = client.stream().await;
    assert_eq!(again.next().await.unwrap().data["base64"], "bm8ganNvbg==");
    let end = events.next().await.unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["error"]),
        ("error", &json!("superseded"))
    );
    assert_eq!(events.next().await, None);
    task.shutdown.step();
    let end = again.next().await.unwrap();
    assert_eq!(
        (end.name.as_str(), end.data),
        ("advice", json!({ "reconnect": true }))
    );
    assert_eq!(again.next().await, None);
}

#[tokio::test]
async fn a_ticket_opens_one_stream_at_one_address() {
    let (broker, task) = open_to_all(Limits::default()).await;
    let mut client = task.client(None);
    client.open(&["news"]).await;
    let asked = json!({ "session": client.session, "cursor": client.cursor });
    let ticket = client.call("POST", "/rt/v1/stream/ticket", &asked).await;
    assert_eq!(ticket.status, 204, "{ticket:?}");
    let path = ticket.header("location").unwrap().to_owned();
    let cookie = ticket.header("set-cookie").unwrap();
    for attribute in [
        "HttpOnly",
        "Secure",
        "SameSite=None",
        "Max-Age=30",
        &format!("Path={path}"),
    ] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    assert!(!path.contains(&client.cursor) && path.len() < 50);
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let get = async |path: &str, cookie: &str, more: &str| {
        let headers = format!("cookie: {cookie}\r\n{more}");
        Events::open(task.address, "GET", path, &headers, "").await
    };
    let elsewhere = get("/rt/v1/stream/other", &cookie, "").await;
    assert!(elsewhere.head().starts_with("HTTP/1.1 401"));
    let mut events = get(&path, &cookie, "").await;
    assert!(
        events.head().starts_with("HTTP/1.1 200"),
        "{}",
        events.head()
    );
    let next = events
        .head()
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let next = next.unwrap().split(';').next().unwrap().to_owned();
    publish(&broker, "news", "1");
    let first = events.next().await.unwrap();
    let twice = get(&path, &cookie, "").await;
    assert!(twice.head().starts_with("HTTP/1.1 401"), "{}", twice.head());
    // An EventSource that comes back says how far it is.
    let last = format!("last-event-id: {}\r\n", first.id);
    let mut events = get(&path, &next, &last).await;
    publish(&broker, "news", "2");
    let second = events.next().await.unwrap();
    assert_eq!(second.data["payload"], Value::from(2));
}

#[tokio::test]
async fn a_client_id_of_the_clients_own_goes_between_transports() {
    let (broker, task) = open_to_all(Limits::default()).await;
    let own = v5("anonymous-tab").dirty().expiry(300);
    // By itself: it subscribes, and its connection is cut.
    let mut socket = Raw::join(broker.port, &own).await;
    assert_eq!(socket.subscribe("news").await, 1);
    socket.leave().await;
    publish(&broker, "news", "1");
    let mut client = task.client(None);
    let open = async |client: &mut Client, id: &str| {
        let asked = json!({ "channels": ["news"], "client_id": id });
        let answer = client.call("POST", "/rt/v1/session", &asked).await;
        if answer.status == 201 {
            client.session = answer.body["session"].as_str().unwrap().into();
            client.cursor = answer.body["cursor"].as_str().unwrap().into();
        }
        answer
    };
    for stolen in ["other-tab", "anonymousx", ""] {
        assert_eq!(open(&mut client, stolen).await.status, 403, "{stolen}");
    }
    let answer = open(&mut client, "anonymous-tab").await;
    assert_eq!(answer.body["resumed"], true, "{answer:?}");
    let polled = client.poll(5).await;
    assert_eq!(polled.body["messages"][0]["payload"], 1, "{polled:?}");
    assert_eq!(client.poll(0).await.status, 200);
    // The client's own connection comes back: the gateway lets it be, and keeps its session.
    let mut socket = Raw::open(broker.port).await;
    let (present, _) = socket.login(&own).await;
    assert!(present);
    for _ in 0..2 {
        assert_eq!(client.poll(1).await.status, 409);
    }
    let end = json!({ "session": client.session });
    assert_eq!(
        client.call("DELETE", "/rt/v1/session", &end).await.status,
        204
    );
    publish(&broker, "news", "2");
    assert_eq!(socket.message().await.payload, "2");
    // One that the broker does not have begins anew.
    let mut client = task.client(None);
    assert_eq!(
        open(&mut client, "anonymous-new").await.body["resumed"],
        false
    );
}
