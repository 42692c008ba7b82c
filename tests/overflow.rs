//! HTTPS as overflow (`publish: auto`), whole: a daemon with one connection within IoT Core's
//! limits, a burst that exceeds it, and a data plane that works, refuses, throttles, hangs or loses
//! its answers.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/dev.rs"]
mod dev;
#[path = "support/gate.rs"]
mod gate;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use daemon::Daemon;
use dev::Dev;
use eventcast::mqtt::auth::BrokerAccess;
use eventcast::mqtt::listener::Listener;
use gate::Gate;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Each has a subscriber of its own, which stays below a connection's limit.
const TOPICS: usize = 10;
const EVENTS: usize = 600;
const BOUND: Duration = Duration::from_secs(60);

/// A standard queue's order, as far as it has one: answers of several polls come in any order, and
/// events beyond a topic's share go back.
const ONE_POLL: &str = "  pollers: { max: 1 }\n  in_flight: 5000\n";

/// A message that came: when, its topic's number, its own.
type Heard = (Instant, usize, usize);

struct Platform {
    dev: Dev,
    /// The way to the data plane.
    gate: Gate,
    sqs: Client,
    queue: String,
    folder: PathBuf,
    daemon: Option<Daemon>,
    /// Port where the daemon serves its metrics.
    listen: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    subscribers: JoinSet<()>,
}

impl Platform {
    /// Everything but the daemon, with all events in the queue. `name` is the queue's.
    async fn new(name: &str) -> Self {
        let dev = Dev::start(&["--limit=account-publishes-in=off"]);
        let credentials = Credentials::new("testing", "testing", None, None, "test");
        let config = eventcast::aws::client::environment().await.to_builder();
        let config = config
            .endpoint_url(dev.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let sqs = Client::new(&config);
        let mut create = sqs
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::VisibilityTimeout, "60");
        if name.ends_with(".fifo") {
            create = create.attributes(QueueAttributeName::FifoQueue, "true");
        }
        let queue = create.send().await.unwrap().queue_url.unwrap();
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let folder = std::env::temp_dir().join(format!("eventcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let data_plane = dev.endpoint().rsplit(':').next().unwrap().parse().unwrap();
        let mut platform = Self {
            gate: Gate::to(data_plane),
            listen: probe.local_addr().unwrap().port(),
            dev,
            sqs,
            queue,
            folder,
            daemon: None,
            heard: Arc::default(),
            subscribers: JoinSet::new(),
        };
        platform.subscribe().await;
        platform.put(name.ends_with(".fifo")).await;
        platform
    }

    async fn subscribe(&mut self) {
        for topic in 0..TOPICS {
            let access = BrokerAccess::plain("127.0.0.1", self.dev.port("mqtt"));
            let id = format!("subscriber-{topic}");
            let mut listener = Listener::open(&access, &id).await.unwrap();
            let refused = listener.subscribe(&[format!("order/{topic}")]).await;
            assert!(refused.unwrap().is_empty());
            let heard = Arc::clone(&self.heard);
            self.subscribers.spawn(async move {
                while let Some(message) = listener.next().await {
                    let event: serde_json::Value =
                        serde_json::from_slice(&message.payload).unwrap();
                    let number = event["detail"]["n"].as_u64().unwrap() as usize;
                    heard.lock().unwrap().push((Instant::now(), topic, number));
                }
            });
        }
    }

    async fn put(&self, fifo: bool) {
        let numbers: Vec<usize> = (0..EVENTS).collect();
        for ten in numbers.chunks(10) {
            let entries = ten.iter().map(|n| {
                let order = n % TOPICS;
                let event = json!({
                    "version": "0", "id": format!("e{n}"), "source": "shop",
                    "detail-type": "OrderPlaced", "detail": { "order": order.to_string(), "n": n },
                });
                SendMessageBatchRequestEntry::builder()
                    .id(n.to_string())
                    .message_body(event.to_string())
                    .set_message_group_id(fifo.then(|| order.to_string()))
                    .set_message_deduplication_id(fifo.then(|| n.to_string()))
                    .build()
                    .unwrap()
            });
            let sent = self.sqs.send_message_batch().queue_url(&self.queue);
            let sent = sent.set_entries(Some(entries.collect())).send().await;
            assert!(sent.unwrap().failed.is_empty());
        }
    }

    /// Starts the daemon, with lines of its section `bridge`.
    fn start(&mut self, bridge: &str) {
        let text = format!(
            "channels: {{ order: {{ id: {{ pattern: \"[0-9]+\" }} }} }}\n\
             routes:\n\
             \x20 - {{ name: orders, match: {{ source: [shop] }}, to: [\"order:{{detail.order}}\"] }}\n\
             bridge:\n\
             \x20 queue: {}\n\
             \x20 broker: mqtt://127.0.0.1:{}\n\
             \x20 endpoint: http://127.0.0.1:{}\n\
             \x20 publish: auto\n\
             \x20 connections: {{ min: 1, max: 1 }}\n\
             \x20 listen: 127.0.0.1:{}\n\
             \x20 wait: 1s\n\
             {bridge}",
            self.queue,
            self.dev.port("mqtt"),
            self.gate.port(),
            self.listen
        );
        let config = self.folder.join("eventcast.yaml");
        std::fs::write(&config, text).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["bridge", "--config"])
            .arg(config)
            .envs(self.dev.environment())
            .stderr(File::create(self.folder.join("log")).unwrap())
            .spawn();
        self.daemon = Some(Daemon(process.unwrap()));
    }

    /// A metric of the daemon, added up over its labels.
    fn metric(&self, name: &str) -> usize {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.listen)) else {
            return 0;
        };
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let lines = answer.lines();
        let lines = lines.filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        values.sum()
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until so many different messages came, and the queue is empty.
    async fn until(&self, count: usize) {
        let begin = Instant::now();
        loop {
            let heard = self.heard();
            let different: BTreeSet<usize> = heard.iter().map(|(.., n)| *n).collect();
            if different.len() >= count && (count < EVENTS || self.left().await == 0) {
                return;
            }
            assert!(
                begin.elapsed() < BOUND,
                "{} of {count}, {} left in the queue\n{}",
                different.len(),
                self.left().await,
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn left(&self) -> u64 {
        let asked = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.queue)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        let counts = asked.send().await.unwrap().attributes.unwrap();
        counts
            .values()
            .map(|count| count.parse::<u64>().unwrap())
            .sum()
    }

    /// Messages of each topic in the order in which they first came; how many came again.
    fn order(&self) -> (Vec<Vec<usize>>, usize) {
        let mut topics = vec![Vec::new(); TOPICS];
        let (mut seen, mut again) = (BTreeSet::new(), 0);
        for (_, topic, number) in self.heard() {
            if seen.insert(number) {
                topics[topic].push(number);
            } else {
                again += 1;
            }
        }
        (topics, again)
    }

    /// Nothing was discarded for a limit.
    fn assert_within_limits(&self) {
        let counts = self
            .dev
            .request("GET /_dev/counts", "host: localhost\r\n", "");
        let counts = counts.split("\r\n\r\n").nth(1).unwrap();
        let counts: serde_json::Value = serde_json::from_str(counts).unwrap();
        assert_eq!(counts["throttled"], 0, "{counts}");
    }

    #[track_caller]
    fn assert_in_order(&self) {
        let (topics, _) = self.order();
        for (topic, numbers) in topics.iter().enumerate() {
            assert!(numbers.is_sorted(), "order/{topic}: {numbers:?}");
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.daemon = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Standard queues, whose topics are pipelined, and FIFO queues, whose topics are strict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exceeds_the_connection_goes_by_https_in_order() {
    for queue in ["overflow", "overflow.fifo"] {
        let mut platform = Platform::new(queue).await;
        platform.start(ONE_POLL);
        platform.until(EVENTS).await;
        let (_, again) = platform.order();
        assert_eq!(
            again, 0,
            "{queue}: nothing went wrong, and nothing comes twice"
        );
        platform.assert_in_order();
        platform.assert_within_limits();
        let heard = platform.heard();
        let took = heard.last().unwrap().0 - heard[0].0;
        let by_https = platform.metric("eventcast_published_by_https_total");
        // The connection alone takes more than six seconds.
        assert!(
            took < Duration::from_secs(6) && by_https > EVENTS / 4,
            "{queue}: {took:?}, {by_https} by HTTPS"
        );
        assert_eq!(platform.metric("eventcast_published_total"), EVENTS);
        assert_eq!(platform.metric("eventcast_connections"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_count_for_the_account() {
    let mut platform = Platform::new("account").await;
    platform.start(&format!("{ONE_POLL}  pace: {{ account: 150 }}\n"));
    platform.until(EVENTS).await;
    let heard = platform.heard();
    let took = heard.last().unwrap().0 - heard[0].0;
    // 15 at once and 135 a second.
    assert!(took >= Duration::from_millis(3_800), "{took:?}");
    assert!(platform.metric("eventcast_published_by_https_total") > 50);
    platform.assert_in_order();
    platform.assert_within_limits();
}

/// The connection carries everything when the data plane takes nothing, and few calls are wasted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_that_refuses_costs_little() {
    let mut platform = Platform::new("refusing").await;
    platform
        .dev
        .fault(&json!({ "action": "HttpPublish", "fault": "refuse" }));
    platform.start("  calls: 4\n");
    platform.until(EVENTS).await;
    let (_, again) = platform.order();
    assert_eq!(again, 0);
    platform.assert_within_limits();
    assert_eq!(platform.metric("eventcast_published_by_https_total"), 0);
    let calls = platform.dev.faults()[0]["hits"].as_u64().unwrap();
    assert!((1..=12).contains(&calls), "{calls} calls");
    assert!(platform.log().contains("message of unknown fate by HTTPS"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_that_throttles_is_asked_again() {
    let mut platform = Platform::new("throttling").await;
    platform
        .dev
        .fault(&json!({ "action": "HttpPublish", "fault": "throttle", "times": 5 }));
    platform.start("");
    platform.until(EVENTS).await;
    let (_, again) = platform.order();
    assert_eq!(again, 0);
    platform.assert_within_limits();
    assert!(platform.metric("eventcast_throttled_total") >= 5);
    assert!(platform.metric("eventcast_published_by_https_total") > 0);
}

/// A call that is never answered keeps its topic for no longer than a connection's acknowledgement
/// may take, and its message takes the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_keeps_its_topic_for_a_bounded_time() {
    let mut platform = Platform::new("hanging.fifo").await;
    platform.gate.darken();
    platform.start("  publish_timeout: 2s\n");
    platform.until(EVENTS).await;
    let (_, again) = platform.order();
    assert_eq!(again, 0, "what hung did not reach the broker");
    platform.assert_in_order();
    platform.assert_within_limits();
    let heard = platform.heard();
    let took = heard.last().unwrap().0 - heard[0].0;
    // Seven seconds of the connection alone, two of the first calls, and one call at a time after.
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(platform.metric("eventcast_published_by_https_total"), 0);
    assert_eq!(platform.metric("eventcast_leases_lost_total"), 0);
}

/// A publication whose answer is lost comes twice, and nothing overtakes it where order is strict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_double_and_lose_nothing() {
    for (queue, bridge) in [("deaf.fifo", ""), ("deaf", "  publish_timeout: 5s\n")] {
        let mut platform = Platform::new(queue).await;
        platform
            .dev
            .fault(&json!({ "action": "HttpPublish", "fault": "drop", "times": 3 }));
        platform.start(bridge);
        platform.until(EVENTS).await;
        let (_, again) = platform.order();
        assert!((1..=3).contains(&again), "{queue}: {again} came again");
        if queue.ends_with(".fifo") {
            platform.assert_in_order();
        }
        platform.assert_within_limits();
    }
}
