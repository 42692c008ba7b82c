//! Fate of messages when something breaks, over any broker.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use eventcast::gateway::limits::Limits;
use rumqttc::mqttbytes::v5::PublishProperties;
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tokio::task::JoinSet;

use crate::gateway::{Client, Task, config, directory, settings};
use crate::shop::{ORDER, configuration};

pub(crate) const TOPIC: &str = "order/11111111-4f0b-4d3e-9f51-6a4f0c6c2a11";

pub(crate) fn channel() -> String {
    format!("order:{ORDER}")
}

/// A task without roles, at a broker. All clients of a scenario are one principal, so that its rate
/// has no limit.
pub(crate) async fn task(port: u16) -> Task {
    let limits = Limits {
        requests_per_second: None,
        ..Limits::default()
    };
    Task::limited(
        settings(port),
        directory(&config(&configuration(""))),
        limits,
    )
    .await
}

pub(crate) async fn opened(task: &Task) -> Client {
    let mut client = task.client(None);
    let answer = client.open(&[&channel()]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["granted"], serde_json::json!([channel()]));
    client
}

pub(crate) fn names(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|n| format!("e{n}"))
}

/// Publishes events with these ids, each acknowledged before the next, with a pause between them.
pub(crate) async fn publish_slowly(
    port: u16,
    ids: impl IntoIterator<Item = String>,
    pause: Duration,
) {
    let options = MqttOptions::new("publisher", ("127.0.0.1", port));
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let running = async { while events.poll().await.is_ok() {} };
    let sending = async {
        for id in ids {
            let properties = PublishProperties {
                user_properties: vec![("eb-id".into(), id.clone())],
                ..PublishProperties::default()
            };
            let payload = format!("{{\"n\": 1.50, \"id\": \"{id}\"}}");
            let options = PublishOptions::at_least_once().properties(properties);
            let sent = client
                .publish_tracked(TOPIC, payload, options)
                .await
                .unwrap();
            sent.wait_async().await.unwrap();
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = running => panic!("the publisher's connection is lost"),
        () = sending => {}
    }
}

pub(crate) async fn publish(port: u16, ids: impl IntoIterator<Item = String>) {
    publish_slowly(port, ids, Duration::ZERO).await;
}

/// Polls until all of so many events have come, each at least once and in order of its first
/// coming.
async fn all_in_order(client: &mut Client, count: usize) {
    let mut all: Vec<String> = Vec::new();
    while all.len() < count {
        let answer = client.poll(10).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        for id in answer.ids() {
            if !all.iter().any(|known| known == id) {
                all.push(id.to_owned());
            }
        }
    }
    assert_eq!(all, names(0..count).collect::<Vec<_>>());
}

/// A lost response is returned again: the same messages, and no others before them.
pub(crate) async fn lost_response(port: u16) {
    let task = task(port).await;
    let mut client = opened(&task).await;
    publish(port, names(0..3)).await;
    let lost = client.poll_once(5).await;
    publish(port, names(3..5)).await;
    let again = client.poll_once(5).await;
    assert!(!lost.ids().is_empty());
    assert_eq!(lost.body["messages"], again.body["messages"]);
    all_in_order(&mut client, 5).await;
}

/// A batch has 100 messages at the most.
pub(crate) async fn batch(port: u16) {
    let task = task(port).await;
    let mut client = opened(&task).await;
    publish(port, names(0..150)).await;
    let answer = client.poll_once(5).await;
    assert!((1..=100).contains(&answer.ids().len()));
    all_in_order(&mut client, 150).await;
}

/// One task is killed while a poll waits there, with a response that was not confirmed and one that
/// is on its way.
pub(crate) async fn killed_in_mid_poll(port: u16) {
    let (first, second) = (task(port).await, task(port).await);
    let mut client = opened(&first).await;
    publish(port, names(0..3)).await;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let answer = client.poll(5).await;
    seen.extend(answer.ids().iter().map(|id| (*id).to_owned()));
    let waiting = client.clone();
    let mut polls = JoinSet::new();
    polls.spawn(async move { waiting.poll_once(30).await.status });
    publish(port, names(3..4)).await;
    first.kill().await;
    polls.abort_all();
    publish(port, names(4..6)).await;
    let mut client = client.at(&second);
    while seen.len() < 6 {
        let answer = client.poll(10).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        seen.extend(answer.ids().iter().map(|id| (*id).to_owned()));
    }
    assert_eq!(seen, names(0..6).collect());
}

/// Another task takes a session over while a poll waits at the first, which answers it and does not
/// connect again.
pub(crate) async fn taken_over(port: u16) {
    let (first, second) = (task(port).await, task(port).await);
    let client = opened(&first).await;
    let older = client.clone();
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { older.poll_once(30).await });
    let mut newer = client.at(&second);
    assert_eq!(newer.poll(1).await.status, 200);
    let older = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(older.status, 409, "{older:?}");
    publish(port, names(0..1)).await;
    all_in_order(&mut newer, 1).await;
}

/// A client whose polls come to one task and the other in turn, faster than a second.
pub(crate) async fn to_and_fro(port: u16) {
    let tasks = [task(port).await, task(port).await];
    let mut client = opened(&tasks[0]).await;
    for turn in 0..6 {
        client = client.at(&tasks[turn % 2]);
        publish(port, names(turn..turn + 1)).await;
        loop {
            let answer = client.poll(5).await;
            assert_eq!(answer.status, 200, "turn {turn}: {answer:?}");
            if answer.ids().contains(&&*format!("e{turn}")) {
                break;
            }
        }
    }
}

/// A client that polls at any task, as behind a load balancer, and comes back when an answer says
/// so.
async fn follow(
    mut client: Client,
    tasks: tokio::sync::watch::Receiver<Vec<std::net::SocketAddr>>,
    count: usize,
) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while seen.len() < count {
        let addresses = tasks.borrow().clone();
        if !addresses.contains(&client.address) {
            client.address = addresses[fastrand::usize(..addresses.len())];
        }
        let answer = client.poll(5).await;
        match answer.status {
            200 => seen.extend(answer.ids().iter().map(|id| (*id).to_owned())),
            503 => {
                assert_eq!(answer.header("retry-after"), Some("0"), "{answer:?}");
                tokio::task::yield_now().await;
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(seen, names(0..count).collect());
}

/// Tasks are replaced one by one while messages flow: nobody misses one.
pub(crate) async fn rolling_restart(port: u16) {
    const COUNT: usize = 120;
    let mut tasks = vec![task(port).await, task(port).await];
    let addresses = |tasks: &[Task]| tasks.iter().map(|task| task.address).collect::<Vec<_>>();
    let list = tokio::sync::watch::Sender::new(addresses(&tasks));
    let mut clients = JoinSet::new();
    for n in 0..6 {
        let client = opened(&tasks[n % 2]).await;
        clients.spawn(follow(client, list.subscribe(), COUNT));
    }
    let restarts = async {
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            tasks.push(task(port).await);
            let old = tasks.remove(0);
            // Draining is seen before the load balancer forgets the task.
            old.shutdown.step();
            list.send_replace(addresses(&tasks));
            tokio::time::sleep(Duration::from_millis(100)).await;
            old.gateway.sessions().close().await;
        }
    };
    let load = publish_slowly(port, names(0..COUNT), Duration::from_millis(20));
    tokio::join!(restarts, load);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}
