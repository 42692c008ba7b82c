//! The gateway over the stand-in's broker: sessions and polls, and the fate of messages when
//! something breaks.

#![cfg(all(feature = "dev", feature = "gateway"))]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/broker.rs"]
mod broker;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "gateway/grants.rs"]
mod grants;
#[path = "support/scenarios.rs"]
mod scenarios;
#[path = "support/scripted_broker.rs"]
mod scripted_broker;
#[path = "gateway/secure.rs"]
mod secure;
#[path = "support/shop.rs"]
mod shop;

use std::time::Duration;

use broker::{Running, iot_core};
use eventcast::gateway::link::BrokerSettings;
use gateway::{Task, config, directory, request, settings};
use scenarios::{TOPIC, channel, names, opened};
use serde_json::json;
use shop::configuration;

async fn task(broker: &Running) -> Task {
    scenarios::task(broker.port).await
}

async fn publish(broker: &Running, ids: impl IntoIterator<Item = String>) {
    scenarios::publish(broker.port, ids).await;
}

#[tokio::test]
async fn messages_come_by_poll_and_are_acknowledged_by_the_next() {
    let broker = iot_core().await;
    let task = task(&broker).await;
    let mut client = opened(&task).await;
    let polling = tokio::join!(client.poll(10), publish(&broker, names(0..1)));
    let answer = polling.0;
    assert_eq!(answer.ids(), ["e0"]);
    let message = &answer.body["messages"][0];
    assert_eq!(message["channel"], channel());
    assert_eq!(message["topic"], TOPIC);
    assert_eq!(message["payload"]["id"], "e0");
    assert_eq!(broker.broker.counts().acknowledged, 0);
    assert!(answer.header("content-length").is_some());
    assert_eq!(
        answer.header("cache-control"),
        Some("no-store, no-transform")
    );
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    // Nothing new: an empty answer with a cursor, and the message is acknowledged.
    let answer = client.poll(0).await;
    assert_eq!((answer.status, answer.ids().len()), (200, 0));
    broker
        .until(|broker| broker.counts().acknowledged == 1)
        .await;
}

#[tokio::test]
async fn a_lost_response_is_returned_again() {
    let broker = iot_core().await;
    scenarios::lost_response(broker.port).await;
}

#[tokio::test]
async fn a_batch_has_100_messages_at_most() {
    let broker = iot_core().await;
    scenarios::batch(broker.port).await;
}

#[tokio::test]
async fn another_task_goes_on_when_one_is_killed_in_mid_poll() {
    let broker = iot_core().await;
    scenarios::killed_in_mid_poll(broker.port).await;
}

#[tokio::test]
async fn a_task_that_is_taken_over_answers_its_poll_and_does_not_connect_again() {
    let broker = iot_core().await;
    scenarios::taken_over(broker.port).await;
    // Two connections of the client, one of the publisher.
    assert_eq!(broker.broker.counts().connected, 3);
}

#[tokio::test]
async fn a_rolling_restart_loses_nothing() {
    let broker = iot_core().await;
    scenarios::rolling_restart(broker.port).await;
}

#[tokio::test]
async fn the_older_of_two_polls_is_superseded() {
    let broker = iot_core().await;
    let task = task(&broker).await;
    let client = opened(&task).await;
    let older = client.clone();
    let older = tokio::task::JoinSet::from_iter([async move { older.poll_once(30).await }]);
    // The newer one may come first; then it is the one that is superseded, and polls again.
    let mut newer = client.poll_once(0).await;
    while newer.status == 409 {
        newer = client.poll_once(0).await;
    }
    assert_eq!(newer.status, 200);
    let mut polls = older;
    loop {
        tokio::select! {
            Some(older) = polls.join_next() => {
                let older = older.unwrap();
                assert_eq!((older.status, &older.body["error"]), (409, &json!("superseded")));
                return;
            }
            newer = client.poll_once(1) => assert_eq!(newer.status, 200),
        }
    }
}

#[tokio::test]
async fn a_session_that_the_broker_lost_is_gone() {
    let broker = iot_core().await;
    let (first, second) = (task(&broker).await, task(&broker).await);
    let client = opened(&first).await;
    let asked = json!({ "session": client.session });
    let ended = client.call("DELETE", "/rt/v1/session", &asked).await;
    assert_eq!(ended.status, 204);
    broker.until(|broker| broker.counts().sessions == 0).await;
    for client in [client.at(&second), client] {
        let answer = client.poll_once(0).await;
        assert_eq!(answer.status, 410, "{answer:?}");
        assert_eq!(answer.body["resync"], true);
        assert_eq!(answer.body["error"], "gone");
    }
}

#[tokio::test]
async fn draining_answers_waiting_polls_at_once() {
    let broker = iot_core().await;
    let (first, second) = (task(&broker).await, task(&broker).await);
    let mut client = opened(&first).await;
    let mut waiting = tokio::task::JoinSet::new();
    let poll = client.clone();
    waiting.spawn(async move { poll.poll_once(30).await });
    broker
        .until(|broker| broker.counts().connections == 1)
        .await;
    first.shutdown.step();
    let answer = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("0"));
    first.gateway.sessions().close().await;
    publish(&broker, names(0..1)).await;
    client = client.at(&second);
    assert_eq!(client.poll(5).await.ids(), ["e0"]);
}

#[tokio::test]
async fn a_connection_that_nobody_polls_is_closed_and_opened_again() {
    let broker = iot_core().await;
    let brief = BrokerSettings {
        linger: Duration::from_millis(50),
        ..settings(broker.port)
    };
    let shop = directory(&config(&configuration("")));
    let task = Task::start(brief, shop).await;
    let mut client = opened(&task).await;
    broker
        .until(|broker| broker.counts().connections == 0)
        .await;
    publish(&broker, names(0..2)).await;
    assert_eq!(client.poll(5).await.ids(), ["e0", "e1"]);
}

#[tokio::test]
async fn a_session_goes_to_and_fro_between_tasks() {
    let broker = iot_core().await;
    scenarios::to_and_fro(broker.port).await;
}

#[tokio::test]
async fn channels_change() {
    let broker = iot_core().await;
    let task = task(&broker).await;
    let mut client = task.client(None);
    let answer = client.open(&[]).await;
    assert_eq!(answer.status, 201);
    let change =
        json!({ "session": client.session, "add": [channel(), "order:*", "order:1", "x:1"] });
    let answer = client.call("PATCH", "/rt/v1/session", &change).await;
    assert_eq!(answer.body["granted"], json!([channel(), "order:*"]));
    let denied = answer.body["denied"].as_array().unwrap();
    let denied: Vec<&str> = denied
        .iter()
        .map(|it| it["channel"].as_str().unwrap())
        .collect();
    assert_eq!(denied, ["order:1", "x:1"]);
    client.session = answer.body["session"].as_str().unwrap().into();
    assert_eq!(broker.broker.counts().subscriptions, 2);
    let change = json!({ "session": client.session, "remove": [channel(), "order:*"] });
    let answer = client.call("PATCH", "/rt/v1/session", &change).await;
    assert_eq!(answer.status, 200);
    assert_eq!(broker.broker.counts().subscriptions, 0);
}

#[tokio::test]
async fn hostile_bodies_are_refused() {
    let broker = iot_core().await;
    let task = task(&broker).await;
    let client = opened(&task).await;
    let deep = "[".repeat(10_000);
    let large = format!("{{\"channels\": [\"{}\"]}}", "x".repeat(70_000));
    let twice = format!(
        "{{\"session\": {0:?}, \"session\": {0:?}, \"cursor\": {1:?}}}",
        client.session, client.cursor
    );
    let json = "content-type: application/json\r\n";
    let cases = [
        ("/rt/v1/session", json, "{\"channels\": 1}", 400),
        ("/rt/v1/session", json, "{\"channels\": [1]}", 400),
        ("/rt/v1/session", json, "{\"channels\": [], \"x\": 1}", 400),
        ("/rt/v1/session", json, "", 400),
        ("/rt/v1/session", json, deep.as_str(), 400),
        ("/rt/v1/session", json, large.as_str(), 413),
        ("/rt/v1/session", "content-type: text/plain\r\n", "{}", 415),
        ("/rt/v1/session", "", "{}", 415),
        ("/rt/v1/poll", json, twice.as_str(), 400),
        (
            "/rt/v1/poll",
            json,
            "{\"session\": \"\", \"cursor\": \"\"}",
            400,
        ),
        (
            "/rt/v1/poll",
            json,
            "{\"session\": \"\", \"cursor\": \"\", \"timeout_s\": 1e400}",
            400,
        ),
        (
            "/rt/v1/poll",
            json,
            "{\"session\": \"\", \"cursor\": \"\", \"timeout_s\": -1}",
            400,
        ),
        ("/rt/v1/poll", json, "\u{0}", 400),
        ("/rt/v1/nothing", json, "{}", 404),
    ];
    for (path, headers, body, status) in cases {
        let answer = request(task.address, "POST", path, headers, body.as_bytes()).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(answer.status, status, "{path} {shown}: {answer:?}");
        assert!(answer.body["message"].is_string(), "{answer:?}");
    }
    let answer = request(task.address, "GET", "/rt/v1/poll", "", b"").await;
    assert_eq!(answer.status, 405);
    let invalid = [json.as_bytes(), b"authorization: Basic x\r\n"].concat();
    let invalid = String::from_utf8(invalid).unwrap();
    let answer = request(task.address, "POST", "/rt/v1/session", &invalid, b"{}").await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|it| it.starts_with("Bearer "))
    );
}
