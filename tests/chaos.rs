//! Everything at once, with real processes: the daemon killed, the broker killed, the network
//! between them dark, a queue that answers errors, and a broker that refuses, throttles, repeats,
//! forgets and hangs up. Nothing may be lost, of a busy topic, of a pipelined one and of one
//! without order; duplicates are counted. Message groups keep their order, on a queue that others
//! wrote.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails should say where, and this one tells what it counted"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/localstack.rs"]
mod localstack;
#[path = "support/moto.rs"]
mod moto;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use dev::Dev;
use gate::Gate;
use lines::{Lines, until};
use localstack::LocalStack;
use tokio::task::JoinSet;

const TOPICS: usize = 40;

/// The stand-in broker without the rates that a test in a hurry breaks, and with room for messages
/// that a subscriber does not take at once.
const BROKER: [&str; 6] = [
    "--limit=publishes-per-second=off",
    "--limit=bytes-per-second=off",
    "--limit=connects-per-second=off",
    "--limit=account-publishes-in=off",
    "--limit=account-publishes-out=off",
    "--limit=queued-per-session=100000",
];

/// Faults of publications in each round: now and then, and the worst once.
const PUBLISH_FAULTS: [(&str, &str, u64); 6] = [
    ("refuse", r#""rate":0.01"#, 0),
    ("throttle", r#""rate":0.01"#, 0),
    ("duplicate", r#""rate":0.02"#, 0),
    ("delay", r#""rate":0.01"#, 50),
    ("drop", r#""rate":0.01,"times":1"#, 0),
    ("disconnect", r#""rate":0.01,"times":1"#, 0),
];

/// Faults of connecting, one a round, in turn.
const CONNECT_FAULTS: [&str; 4] = ["refuse", "throttle", "disconnect", "delay"];

const CONFIG: &str = r#"
channels: { order: { id: { pattern: "[0-9]+" } } }
routes:
  - name: orders
    match: { source: [shop.orders] }
    to: ["order:{detail.order}"]
  - name: feed
    match: { source: [shop.feed] }
    to: ["feed/all"]
    order: none
bridge:
  publish_timeout: 2s
  wait: 1s
  drain: 5s
  pace: { publishes: 0, bytes: 0 }
"#;

/// A daemon between a queue and a broker, with a gate before the broker.
struct Chaos {
    environment: Vec<(&'static str, String)>,
    queue: String,
    broker: Dev,
    gate: Gate,
    folder: PathBuf,
    bridge: Option<Child>,
    /// Number of times that each of the broker's faults has struck.
    hits: BTreeMap<String, u64>,
}

impl Chaos {
    fn start(name: &str, environment: Vec<(&'static str, String)>, queue: String) -> Self {
        let folder = std::env::temp_dir().join(format!("eventcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("eventcast.yaml"), CONFIG).unwrap();
        let broker = Dev::start(&BROKER);
        let gate = Gate::to(broker.port("mqtt"));
        let mut chaos = Self {
            environment,
            queue,
            broker,
            gate,
            folder,
            bridge: None,
            hits: BTreeMap::new(),
        };
        chaos.start_bridge();
        chaos
    }

    fn start_bridge(&mut self) {
        let log = self.folder.join("log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let bridge = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            // The queue may answer errors while it starts.
            .args(["bridge", "--wait", "--config"])
            .arg(self.folder.join("eventcast.yaml"))
            .arg(format!("--set=bridge.queue={}", self.queue))
            .arg(format!(
                "--set=bridge.broker=mqtt://127.0.0.1:{}",
                self.gate.port()
            ))
            .envs(self.environment.iter().cloned())
            .stderr(log)
            .spawn();
        self.bridge = Some(bridge.unwrap());
    }

    /// As `kill -9` does, while acknowledgements are under way: events that were published but not
    /// deleted come again.
    fn kill_bridge(&mut self) {
        self.gate.hold_answers();
        until("an answer is held back", || self.gate.holds_something());
        let mut bridge = self.bridge.take().unwrap();
        bridge.kill().unwrap();
        bridge.wait().unwrap();
        self.gate.open();
        self.start_bridge();
    }

    /// The broker ends with unacknowledged messages. It keeps nothing for a subscriber that is
    /// away, so that nothing new passes before the subscriber is back.
    fn kill_broker(&mut self, subscriber: &Lines, word: &str) {
        self.gate.hold_answers();
        lines::quiet(subscriber);
        // A fault would send the subscriber away as well.
        self.stop_faults();
        self.broker.restart();
        lines::probe(subscriber, self.broker.port("mqtt"), word);
        self.gate.open();
    }

    /// The broker does wrong by the daemon's publications, and by one attempt to connect.
    fn start_faults(&mut self, round: usize) {
        self.stop_faults();
        for (fault, bounds, late) in PUBLISH_FAULTS {
            let fault = format!(
                r#"{{"action":"Publish","fault":"{fault}",{bounds},"milliseconds":{late}}}"#
            );
            self.broker.fault(&serde_json::from_str(&fault).unwrap());
        }
        let fault = CONNECT_FAULTS[round % CONNECT_FAULTS.len()];
        self.broker.fault(&serde_json::json!({
            "action": "Connect", "fault": fault, "times": 1, "milliseconds": 300,
        }));
    }

    /// All is well again; the faults that struck are counted.
    fn stop_faults(&mut self) {
        for fault in self.broker.faults() {
            let name = format!("{} {}", fault["action"], fault["fault"]).replace('"', "");
            *self.hits.entry(name).or_default() += fault["hits"].as_u64().unwrap();
        }
        self.broker.no_faults();
    }

    /// Every fault has struck: messages that came through came through all of them.
    fn check_faults(&self) {
        let publish = PUBLISH_FAULTS.map(|(fault, ..)| format!("Publish {fault}"));
        let connect = CONNECT_FAULTS.map(|fault| format!("Connect {fault}"));
        for name in publish.iter().chain(&connect) {
            let hits = self.hits.get(name).copied().unwrap_or(0);
            assert!(hits > 0, "{name} has not struck: {:?}", self.hits);
        }
    }

    /// Packets vanish for longer than the daemon waits for an acknowledgement; no connection is
    /// closed.
    fn darken(&self, subscriber: &Lines) {
        let seen = subscriber.count();
        until("the daemon publishes", || subscriber.count() > seen);
        let given_up = || {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap();
            log.matches("connecting anew").count()
        };
        let before = given_up();
        self.gate.darken();
        until("the daemon gives its connection up", || given_up() > before);
        self.gate.open();
    }

    /// Waits until every event has arrived and left the queue. Returns the messages of each topic,
    /// in the order of their first arrival, and the number of duplicates.
    async fn all(
        &self,
        subscriber: &Lines,
        sqs: &Client,
        count: usize,
    ) -> (BTreeMap<String, Vec<usize>>, usize) {
        let mut looks = 0..600;
        while left(sqs, &self.queue).await > 0 {
            assert!(looks.next().is_some(), "the queue does not empty");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        until("all have arrived", || subscriber.count() >= count);
        let (topics, again) = heard(subscriber);
        let all: BTreeSet<usize> = topics.values().flatten().copied().collect();
        let missing: Vec<usize> = (0..count).filter(|n| !all.contains(n)).take(20).collect();
        assert!(
            missing.is_empty(),
            "missing, the first of them: {missing:?}"
        );
        (topics, again)
    }

    /// Ends the daemon in order and gives its log's last counts.
    fn end(&mut self) -> String {
        let mut bridge = self.bridge.take().unwrap();
        let id = bridge.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert_eq!(bridge.wait().unwrap().code(), Some(0));
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap();
        log.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if let Some(bridge) = &mut self.bridge {
            let _ = bridge.kill();
            let _ = bridge.wait();
        }
        if thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(100).collect();
            eprintln!("the bridge's log, its end first:\n{}", end.join("\n"));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn client(environment: &[(&'static str, String)]) -> Client {
    let config = eventcast::aws::client::environment().await;
    let endpoint = &environment
        .iter()
        .find(|(name, _)| *name == "AWS_ENDPOINT_URL")
        .unwrap()
        .1;
    let credentials =
        aws_credential_types::Credentials::new("testing", "testing", None, None, "test");
    let config = config
        .to_builder()
        .endpoint_url(endpoint)
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(credentials),
        )
        .build();
    Client::new(&config)
}

/// Puts events from `first` on into the queue; of FIFO queues each order is a message group.
async fn put(client: &Client, queue: &str, numbers: std::ops::Range<usize>, fifo: bool) {
    let numbers: Vec<usize> = numbers.collect();
    for ten in numbers.chunks(10) {
        let entries = ten.iter().map(|n| {
            // Without groups every third event is for one order, and every eleventh for a topic
            // that keeps no order.
            let order = if !fifo && n % 3 == 0 { 0 } else { n % TOPICS };
            let source = if !fifo && n % 11 == 0 { "feed" } else { "orders" };
            let body = format!(
                r#"{{"version":"0","id":"e{n}","source":"shop.{source}","detail-type":"OrderPlaced","detail":{{"order":"{order}","n":{n}}}}}"#
            );
            SendMessageBatchRequestEntry::builder()
                .id(n.to_string())
                .message_body(body)
                .set_message_group_id(fifo.then(|| order.to_string()))
                .set_message_deduplication_id(fifo.then(|| n.to_string()))
                .build()
                .unwrap()
        });
        let sent = client
            .send_message_batch()
            .queue_url(queue)
            .set_entries(Some(entries.collect()));
        let failed = sent.send().await.unwrap().failed;
        assert!(failed.is_empty(), "{failed:?}");
    }
}

fn heard(subscriber: &Lines) -> (BTreeMap<String, Vec<usize>>, usize) {
    let mut topics: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let (mut seen, mut again) = (BTreeSet::new(), 0);
    for line in subscriber.messages() {
        let (topic, number) = line.split_once(' ').unwrap();
        if seen.insert(line.clone()) {
            topics
                .entry(topic.to_owned())
                .or_default()
                .push(number.parse().unwrap());
        } else {
            again += 1;
        }
    }
    (topics, again)
}

async fn queue(client: &Client, name: &str, visibility: u32) -> String {
    let mut create = client.create_queue().queue_name(name);
    create = create.attributes(
        QueueAttributeName::VisibilityTimeout,
        visibility.to_string(),
    );
    if name.ends_with(".fifo") {
        create = create.attributes(QueueAttributeName::FifoQueue, "true");
    }
    create.send().await.unwrap().queue_url.unwrap()
}

async fn left(client: &Client, queue: &str) -> u64 {
    let asked = client
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let counts = asked.send().await.unwrap().attributes.unwrap();
    counts
        .values()
        .map(|count| count.parse::<u64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_events_survive_everything() {
    const EVENTS: usize = 20_000;
    let dev = Dev::start(&[]);
    let environment = dev.environment().to_vec();
    let sqs = client(&environment).await;
    let events = queue(&sqs, "events", 8).await;
    put(&sqs, &events, 0..EVENTS / 2, false).await;
    // Every seventh call or so goes wrong in one way or another; deletes also succeed without
    // saying so.
    for (action, fault, rate) in [
        ("ReceiveMessage", "refuse", 0.05),
        ("ReceiveMessage", "throttle", 0.05),
        ("DeleteMessageBatch", "refuse", 0.05),
        ("DeleteMessageBatch", "drop", 0.05),
        ("ChangeMessageVisibilityBatch", "refuse", 0.1),
    ] {
        dev.fault(&serde_json::json!({ "action": action, "fault": fault, "rate": rate }));
    }
    let mut chaos = Chaos::start("chaos", environment, events.clone());
    let subscriber = lines::subscriber(chaos.broker.port("mqtt"));
    let mut feed = JoinSet::new();
    let rest = (sqs.clone(), events.clone());
    feed.spawn(async move { put(&rest.0, &rest.1, EVENTS / 2..EVENTS, false).await });
    for (round, goal) in (1..=10).map(|round| (round, round * EVENTS / 12)) {
        // Two rounds in which the broker does nothing wrong.
        if round % 5 != 0 {
            chaos.start_faults(round);
        }
        until("some more have arrived", || subscriber.count() > goal);
        chaos.kill_bridge();
        if round % 2 == 0 {
            chaos.kill_broker(&subscriber, &format!("probe-{round}"));
        }
        if round % 3 == 0 {
            chaos.darken(&subscriber);
        }
    }
    feed.join_all().await;
    dev.no_faults();
    chaos.stop_faults();
    let (_, again) = chaos.all(&subscriber, &sqs, EVENTS).await;
    chaos.check_faults();
    let counts = chaos.end();
    let hits = &chaos.hits;
    eprintln!(
        "{EVENTS} events: none lost, {again} came again; {hits:?}; the last daemon: {counts}"
    );
}

/// On LocalStack, whose queues others wrote: within a message group nothing overtakes, whatever is
/// killed and whatever the broker does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_groups_keep_their_order_through_kills_and_cuts() {
    const EVENTS: usize = 3_000;
    let localstack = LocalStack::start();
    let environment = vec![
        ("AWS_ENDPOINT_URL", localstack.endpoint()),
        ("AWS_ACCESS_KEY_ID", "testing".into()),
        ("AWS_SECRET_ACCESS_KEY", "testing".into()),
        ("AWS_REGION", "us-east-1".into()),
    ];
    let sqs = client(&environment).await;
    let events = queue(&sqs, "events.fifo", 8).await;
    put(&sqs, &events, 0..EVENTS, true).await;
    let mut chaos = Chaos::start("chaos-groups", environment, events);
    let subscriber = lines::subscriber(chaos.broker.port("mqtt"));
    for (round, goal) in (1..=4).map(|round| (round, round * EVENTS / 6)) {
        chaos.start_faults(round);
        until("some more have arrived", || subscriber.count() > goal);
        chaos.kill_bridge();
        match round {
            2 => chaos.kill_broker(&subscriber, "probe-again"),
            3 => chaos.darken(&subscriber),
            _ => {}
        }
    }
    chaos.stop_faults();
    let (topics, again) = chaos.all(&subscriber, &sqs, EVENTS).await;
    chaos.check_faults();
    for (topic, numbers) in topics {
        assert!(numbers.is_sorted(), "{topic}: {numbers:?}");
    }
    let counts = chaos.end();
    eprintln!(
        "{EVENTS} events in {TOPICS} groups: in order, {again} came again; {:?}; the last daemon: {counts}",
        chaos.hits
    );
}
