//! Grants and tokens that end while a client waits: its answer, and the time of the answer.

use std::sync::Arc;
use std::time::Duration;

use eventcast::authorizer::key::TokenSigner;
use eventcast::authorizer::token::mint;
use eventcast::dev::broker::control::InboundPublish;
use eventcast::dev::broker::limits::BrokerRules;
use eventcast::gateway::directory::Directory;
use eventcast::gateway::link::BrokerSettings;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::broker::{Book, Running, start, unhurried};
use crate::gateway::{Answer, Client, Task, config, directory, settings};
use crate::scenarios::{TOPIC, channel};
use crate::scripted_broker::ScriptedBroker;
use crate::shop::{CUSTOMER, ORDER, configuration};

/// The user name of every connection of the gateway, without a named authorizer.
pub(crate) const USER: &str = "eventcast";

pub(crate) const EVERYTHING: [&str; 3] = ["connect *", "subscribe *", "receive *"];

pub(crate) const ROLES: &str = r#"
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.orders[*]}"]
"#;

fn names() -> Directory {
    directory(&config(&configuration(ROLES)))
}

pub(crate) fn token() -> String {
    let claims = json!({ "role": "customer", "sub": CUSTOMER, "orders": [ORDER] });
    let claims = claims.as_object().unwrap().clone();
    let hour = Duration::from_secs(3_600);
    let minted = mint(claims, &TokenSigner::development(), Timestamp::now(), hour);
    minted.unwrap_or_else(|error| panic!("{error}")).token
}

/// A broker whose authorizer is asked again every fifth of a second, and a task that asks it for
/// its channels as often.
async fn refreshed(rules: BrokerRules) -> (Book, Running, Task) {
    let interval = Duration::from_millis(200);
    let book = Book {
        refresh_after: Some(interval),
        ..Book::default().with(USER, &EVERYTHING)
    };
    let broker = start(unhurried(), rules, Arc::new(book.clone())).await;
    let settings = BrokerSettings {
        grants_interval: interval,
        ..settings(broker.port)
    };
    let task = Task::start(settings, names()).await;
    (book, broker, task)
}

async fn opened(task: &Task) -> Client {
    let mut client = task.client(Some(&token()));
    let answer = client.open(&[&channel()]).await;
    assert_eq!(answer.body["granted"], json!([channel()]), "{answer:?}");
    client
}

/// The answer to a poll that waits when something happens.
async fn waiting(task: &Task, client: &Client, happens: impl FnOnce()) -> Answer {
    let polling = client.clone();
    let mut polls = JoinSet::new();
    polls.spawn(async move { polling.poll_once(20).await });
    while task.gateway.metrics().waiting() == 0 {
        tokio::task::yield_now().await;
    }
    happens();
    let answer = tokio::time::timeout(Duration::from_secs(10), polls.join_next()).await;
    answer.expect("long before its end").unwrap().unwrap()
}

/// A grant that is removed ends deliveries without a word: the gateway asks for it again, whether
/// the broker answers by SUBACK alone or closes the connection as well.
#[tokio::test]
async fn a_removed_grant_is_forbidden_to_a_poll_that_waits() {
    let closes = BrokerRules {
        close_v5_refusals: true,
        ..BrokerRules::iot_core()
    };
    for rules in [BrokerRules::iot_core(), closes] {
        let (book, _broker, task) = refreshed(rules).await;
        let client = opened(&task).await;
        let remove = || book.set(USER, &["connect *", "subscribe other", "receive *"]);
        let answer = waiting(&task, &client, remove).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains(TOPIC), "{message}");
    }
}

#[tokio::test]
async fn a_removed_grant_ends_a_stream_with_what_a_poll_would_be_answered() {
    let (book, _broker, task) = refreshed(BrokerRules::iot_core()).await;
    let client = opened(&task).await;
    let mut stream = client.stream().await;
    book.set(USER, &["connect *"]);
    let event = stream.next().await.expect("an event");
    assert_eq!(event.name, "error");
    assert_eq!(event.data["error"], "forbidden");
    assert_eq!(stream.next().await, None);
}

/// Grants that stay are asked for again and again, and nobody notices.
#[tokio::test]
async fn a_grant_that_stays_is_asked_for_in_silence() {
    let (book, broker, task) = refreshed(BrokerRules::iot_core()).await;
    let client = opened(&task).await;
    let polling = client.poll_once(20);
    let asked = broker.until(|_| book.seen.lock().unwrap().len() > 4);
    tokio::pin!(polling);
    tokio::select! {
        answer = &mut polling => panic!("{answer:?}"),
        () = asked => {}
    }
    assert_eq!(broker.broker.counts().subscriptions, 1);
    let post = InboundPublish {
        topic: TOPIC.into(),
        payload: "{}".into(),
        qos: 1,
        user_properties: vec![("eb-id".into(), "e0".into())],
        ..InboundPublish::default()
    };
    broker.broker.publish(&post).unwrap();
    let answer = polling.await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["e0"]));
}

/// A token that is revoked ends the connection; the next CONNECT says why.
#[tokio::test]
async fn a_token_that_is_believed_no_more_is_unauthorized_to_a_poll_that_waits() {
    let (book, _broker, task) = refreshed(BrokerRules::iot_core()).await;
    let client = opened(&task).await;
    let answer = waiting(&task, &client, || book.forget(USER)).await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// A broker may answer a SUBSCRIBE by the end of the connection alone.
#[tokio::test]
async fn channels_that_the_broker_closes_for_are_denied() {
    const SUBSCRIBE: u8 = 8;
    let broker = ScriptedBroker::start().await;
    let task = Task::start(settings(broker.port()), names()).await;
    let client = task.client(Some(&token()));
    let closing = async {
        let mut session = broker.accept(&[]).await;
        assert_eq!(session.next_kind().await, Some(SUBSCRIBE));
        session.disconnect(0x87).await;
    };
    let asked = json!({ "channels": [channel()] });
    let (answer, ()) = tokio::join!(client.call("POST", "/rt/v1/session", &asked), closing);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["granted"], Value::Array(Vec::new()));
    let denied = &answer.body["denied"][0];
    assert_eq!(denied["channel"], channel());
    assert_eq!(denied["reason"], "authorization");
}
