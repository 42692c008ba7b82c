//! Clients that `eventcast dev` refuses or disconnects, in `inspect client` and in the log.

#![cfg(feature = "dev")]
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails should say where; real processes run on the real clock"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/raw.rs"]
mod raw;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dev::Dev;
use raw::{Got, Raw, Will, publish, subscribe, v3, v5};

/// Runs a command against a running `eventcast dev`; its exit status and its output.
fn eventcast(dev: &Dev, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(arguments)
        .args(["--endpoint", dev.endpoint()])
        .output()
        .unwrap();
    let written = [output.stdout, output.stderr].concat();
    let status = output.status.code().unwrap();
    (status, String::from_utf8(written).unwrap())
}

/// Asks until the answer has a text: the inspector gets events a moment after they happen.
#[track_caller]
fn until(dev: &Dev, arguments: &[&str], text: &str) -> i32 {
    let begin = Instant::now();
    loop {
        let (status, written) = eventcast(dev, arguments);
        if written.contains(text) {
            return status;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{written}");
    }
}

/// With a configuration that has no roles: every client is let in.
struct Open {
    dev: Dev,
    folder: std::path::PathBuf,
}

impl Open {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("eventcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("eventcast.yaml");
        let config = "\
channels:
  room: { id: { pattern: '[a-z]+' } }
routes:
  - { name: chat, match: { source: [chat] }, to: ['room:{detail.room}'] }
";
        std::fs::write(&file, config).unwrap();
        let file = file.to_str().unwrap();
        let off = ["--limit", "connects-per-second=off"];
        let dev = Dev::assembled(&[&["--config", file], &off[..]].concat());
        Self { dev, folder }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// MQTT.js has its filters in one SUBSCRIBE when it connects again: it is closed, and tries for
/// ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_that_closed_a_connection_is_named() {
    let open = Open::start("closed");
    let (dev, port) = (&open.dev, open.dev.port("mqtt"));
    let filters: Vec<String> = (0..9).map(|n| format!("room/{n}")).collect();
    let nine: Vec<(&str, u8)> = filters.iter().map(|filter| (&**filter, 1)).collect();
    for _ in 0..3 {
        let mut client = Raw::join(port, &v3("tab-1")).await;
        client.send(&subscribe(false, 1, &nine, &[])).await;
        client.expect_end().await;
    }
    let ask = ["inspect", "client", "tab-1"];
    let closed = "connections that the broker closed, the latest first: 3";
    assert_eq!(until(dev, &ask, closed), 1);
    let (_, written) = eventcast(dev, &ask);
    let why = "SUBSCRIBE with 9 filters; the limit filters-per-subscribe is 8: send several packets; \
        MQTT.js does with `subscribeBatchSize: 8`, also when it connects again";
    assert_eq!(written.matches(why).count(), 4, "{written}");
    assert!(written.contains("is not connected: CLIENT_ERROR, SUBSCRIBE"));
    // It is also seen while the client is there again.
    let again = Raw::join(port, &v3("tab-1")).await;
    assert_eq!(until(dev, &ask, "is connected as"), 0);
    assert_eq!(until(dev, &ask, closed), 0);
    drop(again);

    let long = "x".repeat(257);
    let payload = "x".repeat(128 * 1024 + 1);
    let cases = [
        (
            "big",
            "t",
            &*payload,
            "a payload of 131073 bytes; the limit payload-bytes is 131072",
        ),
        (
            "long",
            &*long,
            "x",
            "a topic of 257 bytes; the limit topic-bytes is 256",
        ),
        (
            "deep",
            "1/2/3/4/5/6/7/8/9",
            "x",
            "a topic of 8 slashes; the limit topic-slashes is 7",
        ),
        (
            "sys",
            "$SYS/x",
            "x",
            "publish to `$SYS/x`: a reserved topic that clients may not publish to",
        ),
    ];
    for (id, topic, payload, why) in cases {
        let mut client = Raw::join(port, &v3(id)).await;
        client
            .send(&publish(false, topic, payload, 1, 1, false, &[]))
            .await;
        client.expect_end().await;
        assert_eq!(until(dev, &["inspect", "client", id], why), 1);
    }
    // One that is not let in.
    let mut client = Raw::open(port).await;
    let bridge = Will {
        topic: "$SYS/broker/connection/edge/state".into(),
        ..Will::default()
    };
    assert_eq!(client.knock(&v3("edge").will(bridge)).await, Got::End);
    let ask = ["inspect", "client", "edge"];
    assert_eq!(until(dev, &ask, "set `notifications false`"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_messages_do_not_come() {
    let open = Open::start("receive");
    let (dev, port) = (&open.dev, open.dev.port("mqtt"));
    let mut client = Raw::join(port, &v5("tab-2")).await;
    let ask = |channel| ["inspect", "client", "tab-2", "--receive", channel];
    let says = "`tab-2` does not receive `room/kitchen`: it may, but it has not subscribed";
    assert_eq!(until(dev, &ask("room:kitchen"), says), 1);
    let (_, written) = eventcast(dev, &ask("room:kitchen"));
    assert!(written.contains("  no   has it subscribed?\n"), "{written}");
    assert!(written.ends_with("help: subscribe to `room/kitchen`\n"));
    assert_eq!(client.subscribe("room/+").await, 1);
    let says = "`tab-2` receives `room/kitchen`";
    assert_eq!(until(dev, &ask("room/kitchen"), says), 0);
    let json = [&ask("room:kitchen")[..], &["--format", "json"]].concat();
    let (status, written) = eventcast(dev, &json);
    let told: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!((status, &told["heard"]), (0, &true.into()));
    // Neither a channel nor a topic; and nothing to be asked on AWS.
    for wrong in ["room:Kitchen", "room/#", "lobby:1"] {
        let (status, written) = eventcast(dev, &ask(wrong));
        assert!(status == 2 && written.starts_with("error: "), "{written}");
    }
    let (status, _) = eventcast(dev, &[&ask("room/x")[..], &["--aws"]].concat());
    assert_eq!(status, 2);
}

/// Asks for a WebSocket with a query; the answer's status.
fn upgrade(port: u16, query: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET /mqtt{query} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A bad token in the address is refused before CONNECT names a client.
#[test]
fn tokens_that_are_refused_before_a_client_id_is_known() {
    let dev = Dev::assembled(&[]);
    let port = dev.port("ws");
    let ask = ["inspect", "client", "u1-phone"];
    let (status, written) = eventcast(&dev, &ask);
    assert_eq!(
        (status, &*written),
        (1, "no client `u1-phone` has been here\n")
    );
    for query in ["?token=not.a.token", "?token=%1B%5B2J"] {
        assert_eq!(upgrade(port, query), "HTTP/1.1 403");
    }
    let refused = "2 connections were refused before a client id was known, the latest at ";
    assert_eq!(until(&dev, &ask, refused), 1);
    let receive = [&ask[..], &["--receive", "announcements"]].concat();
    assert_eq!(until(&dev, &receive, refused), 1);
    // Nothing of a token is said.
    let (_, written) = eventcast(&dev, &ask);
    assert!(!written.contains("not.a.token") && !written.contains('\u{1b}'));
}

/// `eventcast dev --bare` whose log is read.
struct Logged {
    process: Child,
    port: u16,
    log: BufReader<std::process::ChildStderr>,
}

impl Logged {
    fn start(filter: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(["dev", "--bare", "--port", "0", "--format", "json"])
            .args(["--mqtt-port", "0", "--websocket-port", "0"])
            .args(["--limit", "connects-per-second=off"])
            .env_remove("EVENTCAST_LOG")
            .env_remove("EVENTCAST_CONFIG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(filter) = filter {
            command.env("EVENTCAST_LOG", filter);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = told["mqtt"].as_str().unwrap();
        Self {
            port: url.rsplit(':').next().unwrap().parse().unwrap(),
            log: BufReader::new(process.stderr.take().unwrap()),
            process,
        }
    }

    /// All that it has logged; it is ended.
    fn end(mut self) -> String {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        self.process.wait().unwrap();
        log
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_is_sent_away_and_not_a_thousand_times() {
    let logged = Logged::start(None);
    let nine = [("f", 1); 9];
    for n in 0..40 {
        // A client id can forge no line.
        let mut client = Raw::join(logged.port, &v3(&format!("tab\n{n}"))).await;
        client.send(&subscribe(false, 1, &nine, &[])).await;
        client.expect_end().await;
    }
    let log = logged.end();
    assert!(log.contains("INFO"), "{log}");
    assert!(log.contains("connection closed"), "{log}");
    assert!(
        log.contains("the limit filters-per-subscribe is 8"),
        "{log}"
    );
    assert!(log.contains(r"tab\n0"), "{log}");
    assert_eq!(log.lines().count(), 10, "{log}");
    // A log level without such lines has none.
    let logged = Logged::start(Some("warn"));
    let mut client = Raw::open(logged.port).await;
    let long = v5(&"x".repeat(129));
    assert!(matches!(
        client.knock(&long).await,
        Got::ConnAck { code: 0x85, .. }
    ));
    assert_eq!(logged.end(), "");
}
