//! The main job on real software: events put on a bus with AWS's Python SDK, moto's rule and queue,
//! the daemon's own process, mosquitto, and subscribers that others wrote: mosquitto_sub, and
//! MQTT.js in Chromium.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/gate.rs"]
mod gate;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/moto.rs"]
mod moto;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gate::Gate;
use lines::{Lines, until};
use mosquitto::Mosquitto;
use moto::Moto;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shop/eventcast.yaml");

/// A platform: bus, queues, broker, and the daemon with a gate between it and the broker.
struct Platform {
    moto: Moto,
    broker: Mosquitto,
    gate: Arc<Gate>,
    queue: String,
    dead_letter_queue: String,
    log: PathBuf,
    config: PathBuf,
    set: Vec<String>,
    bridge: Option<Child>,
}

impl Platform {
    fn start(name: &str) -> Self {
        Self::start_with(name, CONFIG.into(), &[])
    }

    /// `set` are more settings of the daemon, such as `bridge.pollers.max=1`.
    fn start_with(name: &str, config: PathBuf, set: &[&str]) -> Self {
        // Short enough for events of a killed daemon to come again soon.
        Self::start_on(name, config, set, "6")
    }

    /// `visibility` is the queue's, in seconds.
    fn start_on(name: &str, config: PathBuf, set: &[&str], visibility: &str) -> Self {
        let moto = Moto::start();
        let broker = Mosquitto::start();
        let gate = Arc::new(Gate::to(broker.mqtt_port()));
        let urls = moto.bus(&["setup", visibility]);
        let (queue, dead_letter_queue) = urls.trim().split_once(' ').unwrap();
        let log = std::env::temp_dir().join(format!("eventcast-{}-{name}.log", std::process::id()));
        let mut platform = Self {
            queue: queue.into(),
            dead_letter_queue: dead_letter_queue.into(),
            moto,
            broker,
            gate,
            log,
            config,
            set: set.iter().map(|set| format!("--set={set}")).collect(),
            bridge: None,
        };
        File::create(&platform.log).unwrap();
        platform.start_bridge();
        platform
    }

    fn start_bridge(&mut self) {
        let before = self.log().matches("the bridge is up").count();
        let log = File::options().append(true).open(&self.log).unwrap();
        let set = |key: &str, value: &str| format!("--set=bridge.{key}={value}");
        let bridge = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["bridge", "--log-format", "json", "--config"])
            .arg(&self.config)
            .arg(set("queue", &self.queue))
            .arg(set("dead_letter_queue", &self.dead_letter_queue))
            .arg(set(
                "broker",
                &format!("mqtt://127.0.0.1:{}", self.gate.port()),
            ))
            .arg(set("wait", "1s"))
            .arg(set("drain", "10s"))
            .args(&self.set)
            .envs(self.moto.environment())
            .stderr(log)
            .spawn()
            .unwrap();
        self.bridge = Some(bridge);
        until("the bridge is up", || {
            self.log().matches("the bridge is up").count() > before
        });
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends the daemon as `kill -9` does.
    fn kill_bridge(&mut self) {
        let mut bridge = self.bridge.take().unwrap();
        bridge.kill().unwrap();
        bridge.wait().unwrap();
    }

    fn signal_bridge(&self) {
        self.send_signal("-TERM");
    }

    fn send_signal(&self, signal: &str) {
        let id = self.bridge.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the daemon's end and gives its exit status. Its log is JSON, line by line, and has
    /// nothing of a payload.
    fn ended_bridge(&mut self) -> i32 {
        let status = self.bridge.take().unwrap().wait().unwrap().code().unwrap();
        for line in self.log().lines() {
            let read: serde_json::Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("no JSON: {error}: {line}"));
            assert!(read["level"].is_string() && read["timestamp"].is_string());
            assert!(
                !line.contains("tenantId") && !line.contains("watchers\":"),
                "{line}"
            );
        }
        status
    }

    fn end_bridge(&mut self) -> i32 {
        self.signal_bridge();
        self.ended_bridge()
    }

    fn subscriber(&self) -> Lines {
        lines::subscriber(self.broker.mqtt_port())
    }

    fn state(&self) -> serde_json::Value {
        serde_json::from_str(&self.moto.bus(&["state"])).unwrap()
    }

    fn queued(&self) -> u64 {
        let state = self.state();
        state["visible"].as_u64().unwrap() + state["invisible"].as_u64().unwrap()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Some(bridge) = &mut self.bridge {
            let _ = bridge.kill();
            let _ = bridge.wait();
        }
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the bridge's log:\n{}", self.log());
        }
        let _ = std::fs::remove_file(&self.log);
    }
}

/// The events that have to arrive, as a run of `bus.py put` lists them.
fn expected(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

fn missing(expected: &BTreeSet<String>, subscriber: &Lines) -> usize {
    let seen: BTreeSet<String> = subscriber.messages().into_iter().collect();
    expected.difference(&seen).count()
}

#[test]
fn an_event_on_the_bus_reaches_a_browser_and_leaves_the_queue_after_its_acknowledgement() {
    let mut platform = Platform::start("browser");
    let modules = moto::cache().join("browser").join("node_modules");
    let browser = Lines::of(
        Command::new("node")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/browser/watch.cjs"
            ))
            .arg(modules)
            .arg(platform.broker.websocket_port().to_string())
            .args(["order/+", "user/+"]),
    );
    until("the page has subscribed", || browser.has("subscribed"));
    platform.gate.hold_answers();
    let wanted = expected(&platform.moto.bus(&["put", "1", "1"]));
    let shown: BTreeSet<String> = wanted
        .iter()
        .filter(|line| !line.starts_with("tenant/"))
        .cloned()
        .collect();
    assert_eq!(shown.len(), 3);
    until("the page shows the event", || {
        browser.messages().into_iter().collect::<BTreeSet<_>>() == shown
    });
    // The broker has the messages, but its acknowledgements are held: the event stays. A second
    // would be enough to delete it.
    until("an answer is held back", || platform.gate.holds_something());
    thread::sleep(Duration::from_secs(1));
    assert_eq!(platform.queued(), 1);
    platform.gate.open();
    until("the event has left the queue", || platform.queued() == 0);
    assert_eq!(platform.end_bridge(), 0);
}

#[test]
fn a_thousand_mixed_events_arrive_without_one_missing_or_repeated() {
    // moto hands a message to two polls that ask at the same moment: only one poll at a time shows
    // that nothing is repeated. On a busy machine a visibility timeout of a few seconds can end
    // before it is extended.
    let one_poll = ["bridge.pollers.max=1"];
    let mut platform = Platform::start_on("thousand", CONFIG.into(), &one_poll, "120");
    let subscriber = platform.subscriber();
    let wanted = expected(&platform.moto.bus(&["put", "0", "1000"]));
    until("all have arrived", || missing(&wanted, &subscriber) == 0);
    until("the queue is empty", || platform.queued() == 0);
    assert_eq!(subscriber.messages().len(), wanted.len());
    assert_eq!(platform.state()["dead"], serde_json::json!([]));
    assert_eq!(platform.end_bridge(), 0);
    let log = platform.log();
    assert!(
        log.contains("\"received\":1000") && log.contains("\"deleted\":1000"),
        "{log}"
    );
    assert!(log.contains("\"unrouted\":100"), "{log}");
}

/// Starts putting events in the background; returns the process that lists the messages that must
/// arrive.
fn putting(platform: &Platform, count: &str) -> Child {
    let mut command = platform.moto.bus_command(&["put", "0", count]);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

fn put(mut child: Child) -> BTreeSet<String> {
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success());
    expected(&text)
}

#[test]
fn a_bridge_killed_in_mid_run_loses_nothing() {
    let mut platform = Platform::start("killed");
    let subscriber = platform.subscriber();
    let feed = putting(&platform, "300");
    for share in [40, 200] {
        until("some have arrived", || subscriber.messages().len() > share);
        // Acknowledgements under way are lost with it: events published but not deleted come again.
        platform.gate.hold_answers();
        until("an answer is held back", || platform.gate.holds_something());
        platform.kill_bridge();
        platform.gate.open();
        platform.start_bridge();
    }
    let wanted = put(feed);
    until("all have arrived", || missing(&wanted, &subscriber) == 0);
    until("the queue is empty", || platform.queued() == 0);
    assert_eq!(platform.end_bridge(), 0);
}

#[test]
fn a_signal_drains_and_a_second_one_stops_at_once() {
    let mut platform = Platform::start("signals");
    let subscriber = platform.subscriber();
    // Seconds between the first signal and the second: GNU `timeout` sends two at once.
    let seconds = [None, Some(0), Some(2)];
    for (round, second) in seconds.into_iter().enumerate() {
        platform.gate.hold_answers();
        let first = (round * 10).to_string();
        let wanted = expected(&platform.moto.bus(&["put", &first, "1"]));
        until("the broker has them", || missing(&wanted, &subscriber) == 0);
        platform.signal_bridge();
        if let Some(seconds) = second {
            // Two signals of one kind that the system holds at once are one to it.
            let drains = || platform.log().matches("signal received: draining").count();
            until("the first signal has come", || drains() == round + 1);
            thread::sleep(Duration::from_secs(seconds));
            platform.signal_bridge();
        }
        // Drained: events that were not acknowledged in time are handed back, and that is a proper
        // end. Stopped: it is not.
        assert_eq!(platform.ended_bridge(), [0, 0, 3][round]);
        assert_eq!(platform.queued(), 1);
        platform.gate.open();
        platform.start_bridge();
        until("the queue is empty", || platform.queued() == 0);
    }
    assert_eq!(platform.end_bridge(), 0);
    let log = platform.log();
    assert!(log.contains("\"handed_back\":1"), "{log}");
    assert!(
        log.contains("the bridge ended\",\"ending\":\"Cut\""),
        "{log}"
    );
}

#[test]
fn a_start_that_cannot_succeed_says_why() {
    let moto = Moto::start();
    let urls = moto.bus(&["setup"]);
    let queue = urls.split_whitespace().next().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["bridge", "--config", CONFIG])
            .args(arguments)
            .envs(moto.environment())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), told)
    };
    let unset = run(&[]);
    assert_eq!(unset.0, 2);
    assert!(unset.1.contains("`bridge.queue` is not set"), "{}", unset.1);
    let nobody = run(&["--set=bridge.credentials=none"]);
    assert_eq!(nobody.0, 2);
    assert!(
        nobody
            .1
            .contains("IoT Core takes nobody without credentials"),
        "{}",
        nobody.1
    );
    // A port that nobody listens on.
    let nobody = "--set=bridge.broker=mqtt://127.0.0.1:1";
    let no_queue = run(&[nobody, &format!("--set=bridge.queue={queue}-none")]);
    assert_eq!(no_queue.0, 3);
    assert!(no_queue.1.contains("events-none"), "{}", no_queue.1);
    assert!(
        no_queue.1.contains("check the queue's URL"),
        "{}",
        no_queue.1
    );
    let no_broker = run(&[nobody, &format!("--set=bridge.queue={queue}")]);
    assert_eq!(no_broker.0, 3);
    assert!(no_broker.1.contains("127.0.0.1:1: "), "{}", no_broker.1);
    assert!(no_broker.1.contains("refused"), "{}", no_broker.1);
    let bad = run(&[
        "--set=bridge.broker=http://x",
        "--set=bridge.connections.min=0",
        "--set=bridge.qeue=x",
    ]);
    assert_eq!(bad.0, 2);
    for part in [
        "mqtt://HOST",
        "from 1 to 1000",
        "did you mean `bridge.queue`?",
    ] {
        assert!(bad.1.contains(part), "{part}: {}", bad.1);
    }
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The answer of `eventcast healthcheck`: its status and its output.
fn healthcheck(port: u16, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["healthcheck", "--listen", &format!("0.0.0.0:{port}")])
        .args(arguments)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(told).unwrap(),
    )
}

fn get(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Number of messages that were published, by all routes together.
fn published(metrics: &str) -> usize {
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("eventcast_published_total{route=\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
    counts.sum()
}

#[test]
fn health_and_metrics_are_served() {
    let port = free_port();
    let listen = format!("bridge.listen=127.0.0.1:{port}");
    let mut platform = Platform::start_with("health", CONFIG.into(), &[&listen]);
    let subscriber = platform.subscriber();
    assert_eq!(healthcheck(port, &[]), (0, "live\n".into()));
    until("it is ready", || healthcheck(port, &["--ready"]).0 == 0);
    let wanted = expected(&platform.moto.bus(&["put", "0", "10"]));
    until("they have arrived", || missing(&wanted, &subscriber) == 0);
    until("the queue is empty", || platform.queued() == 0);
    let metrics = get(port, "/metrics");
    for line in [
        "eventcast_received_total 10",
        "eventcast_decoded_total 10",
        "eventcast_routed_total 9",
        "eventcast_unrouted_total 1",
        &format!("eventcast_publish_seconds_count {}", wanted.len()),
        &format!("eventcast_end_to_end_seconds_count {}", wanted.len()),
        "eventcast_in_flight 0",
    ] {
        assert!(
            metrics.contains(&format!("\n{line}\n")),
            "{line}: {metrics}"
        );
    }
    assert_eq!(published(&metrics), wanted.len());
    // Two, or more where so many at once needed them.
    assert!(metrics.contains("\neventcast_connections "), "{metrics}");
    assert!(!metrics.contains("\neventcast_connections 0"), "{metrics}");
    assert!(
        metrics.contains("\neventcast_build_info{version=\""),
        "{metrics}"
    );
    assert!(get(port, "/").starts_with("HTTP/1.1 404"));

    // Without a broker it lives on, but is not ready.
    platform.gate.cut();
    until("it is not ready", || healthcheck(port, &["--ready"]).0 == 1);
    let (_, told) = healthcheck(port, &["--ready"]);
    assert!(told.contains("no connection to the broker is up"), "{told}");
    assert_eq!(healthcheck(port, &[]).0, 0);
    platform.gate.open();
    until("it is ready again", || {
        healthcheck(port, &["--ready"]).0 == 0
    });
    assert_eq!(platform.end_bridge(), 0);
    let (status, told) = healthcheck(port, &[]);
    assert_eq!((status, told.contains("refused")), (1, true), "{told}");
}

#[test]
fn over_https_the_queue_empties_as_well() {
    let moto = Moto::start();
    let urls = moto.bus(&["setup"]);
    let (queue, dead_letter_queue) = urls.trim().split_once(' ').unwrap();
    let port = free_port();
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["bridge", "--config", CONFIG, "--set=bridge.publish=https"])
        .arg(format!("--set=bridge.queue={queue}"))
        .arg(format!(
            "--set=bridge.dead_letter_queue={dead_letter_queue}"
        ))
        .arg(format!("--set=bridge.listen=127.0.0.1:{port}"))
        .args(["--set=bridge.wait=1s", "--wait"])
        .envs(moto.environment())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it is ready", || healthcheck(port, &["--ready"]).0 == 0);
    let wanted = expected(&moto.bus(&["put", "0", "30"]));
    until("all is published", || {
        published(&get(port, "/metrics")) == wanted.len()
    });
    until("all is deleted", || {
        get(port, "/metrics").contains("eventcast_deleted_total 30\n")
    });
    let id = bridge.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert_eq!(bridge.wait().unwrap().code(), Some(0));
}

#[test]
fn with_wait_it_begins_once_it_can() {
    let mut platform = Platform::start("wait");
    assert_eq!(platform.end_bridge(), 0);
    platform.gate.cut();
    platform.set.push("--wait".into());
    let gate = Arc::clone(&platform.gate);
    let log = platform.log.clone();
    let opener = thread::spawn(move || {
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        until("it waits", || told().contains("bridge cannot start yet"));
        gate.open();
    });
    platform.start_bridge();
    opener.join().unwrap();
    assert_eq!(platform.end_bridge(), 0);
}

#[test]
fn routes_are_reloaded_all_or_nothing() {
    let config = std::env::temp_dir().join(format!("eventcast-{}.yaml", std::process::id()));
    let text = std::fs::read_to_string(CONFIG).unwrap();
    std::fs::write(&config, &text).unwrap();
    let mut platform = Platform::start_with("reload", config.clone(), &[]);
    let subscriber = platform.subscriber();
    let added = "  - name: everything\n    match: { source: [{ prefix: \"\" }] }\n    to: [\"everything/{id}\"]\n";
    let told = |platform: &Platform, what: &str| platform.log().matches(what).count();
    std::fs::write(&config, text.clone() + added).unwrap();
    platform.send_signal("-HUP");
    until("the routes are reloaded", || {
        told(&platform, "the routes are reloaded") == 1
    });
    std::fs::write(
        &config,
        text.clone() + added + "  - name: faulty\n    mach: {}\n",
    )
    .unwrap();
    platform.send_signal("-HUP");
    until("the faults are told", || {
        told(&platform, "the old routes stay") == 1
    });
    assert!(
        platform.log().contains("did you mean `match`?"),
        "{}",
        platform.log()
    );
    platform.moto.bus(&["put", "70", "1"]);
    until("the added route publishes", || {
        subscriber
            .all()
            .iter()
            .any(|line| line.contains("everything/"))
    });
    assert_eq!(platform.end_bridge(), 0);
    std::fs::remove_file(&config).unwrap();
}

#[test]
fn a_broker_killed_in_mid_run_loses_nothing() {
    let mut platform = Platform::start("broker");
    let subscriber = platform.subscriber();
    let feed = putting(&platform, "300");
    until("some have arrived", || subscriber.messages().len() > 100);
    // Nothing is published while the subscriber is away: a broker keeps nothing for absent
    // subscribers.
    platform.gate.cut();
    lines::quiet(&subscriber);
    platform.broker.restart();
    lines::probe(&subscriber, platform.broker.mqtt_port(), "probe-again");
    platform.gate.open();
    let wanted = put(feed);
    until("all have arrived", || missing(&wanted, &subscriber) == 0);
    until("the queue is empty", || platform.queued() == 0);
    assert!(
        platform
            .log()
            .contains("the connection to the broker was lost")
    );
    assert_eq!(platform.end_bridge(), 0);
}

#[test]
fn what_can_never_be_published_is_kept_aside_with_its_reason() {
    let mut platform = Platform::start("bad");
    let subscriber = platform.subscriber();
    let event = |detail: &str| {
        format!(
            r#"{{"version":"0","id":"e1","source":"shop.orders","detail-type":"OrderPlaced","detail":{detail}}}"#
        )
    };
    let order = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
    let large = "x".repeat(128 * 1024);
    let bodies = [
        ("not JSON", "not_an_event", "nonsense".into()),
        ("no order", "template_missing", event(r#"{"n":1}"#)),
        (
            "two events in an array",
            "not_an_event",
            format!(
                "[{},{}]",
                event(&format!(r#"{{"orderId":"{order}"}}"#)),
                event(r#"{"orderId":"6c1d8f1f-5a1c-4e4f-8a62-7b5a1d7d3b22"}"#)
            ),
        ),
        (
            "two orders in one event",
            "several_values",
            event(&format!(
                r#"{{"orderId":"{order}","orderId":"6c1d8f1f-5a1c-4e4f-8a62-7b5a1d7d3b22","tenantId":"{order}"}}"#
            )),
        ),
        (
            "an SNS notification",
            "not_an_event",
            format!(
                r#"{{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:111122223333:orders","Message":{}}}"#,
                serde_json::Value::from(event(&format!(r#"{{"orderId":"{order}"}}"#)))
            ),
        ),
        (
            "topic too long",
            "topic_rejected",
            format!(
                r#"{{"version":"0","id":"e1","source":"shop.orders","detail-type":"Counted","region":"{}","detail":{{"total":1500}}}}"#,
                "r".repeat(300)
            ),
        ),
        (
            "too large",
            "too_large",
            event(&format!(
                r#"{{"orderId":"{order}","tenantId":"{order}","watchers":[{{"userId":"u1"}}],"text":"{large}"}}"#
            )),
        ),
    ];
    for (_, _, body) in &bodies {
        let file = std::env::temp_dir().join(format!("eventcast-{}-body", std::process::id()));
        std::fs::write(&file, body).unwrap();
        platform.moto.bus(&["send", file.to_str().unwrap()]);
        std::fs::remove_file(file).unwrap();
    }
    until("all are kept aside", || {
        platform.state()["dead"].as_array().unwrap().len() == bodies.len()
    });
    let dead = platform.state()["dead"].clone();
    for (name, reason, body) in &bodies {
        let letter = dead
            .as_array()
            .unwrap()
            .iter()
            .find(|letter| letter["body"] == **body)
            .unwrap_or_else(|| panic!("{name} is not among the dead letters"));
        let attributes = &letter["attributes"];
        assert_eq!(
            attributes["eventcast.reason"], *reason,
            "{name}: {attributes}"
        );
        assert_eq!(attributes["eventcast.attempt"], "1");
        assert!(!attributes["eventcast.detail"].as_str().unwrap().is_empty());
    }
    // The daemon is unharmed.
    let wanted = expected(&platform.moto.bus(&["put", "0", "5"]));
    until("good events arrive", || missing(&wanted, &subscriber) == 0);
    until("the queue is empty", || platform.queued() == 0);
    assert_eq!(platform.end_bridge(), 0);
}
