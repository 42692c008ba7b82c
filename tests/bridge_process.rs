//! The daemon as a process: its port of health and metrics, from the first moment on and under
//! attack; its log; its signals.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use dev::Dev;
use serde_json::json;
use tokio::time::Instant;

/// Less than a prober waits.
const IN_TIME: Duration = Duration::from_secs(2);

const CONFIG: &str = "
channels: { order: { id: { pattern: \".+\" } } }
routes:
  - { name: orders, match: { source: [shop] }, to: [\"order:{detail.id}\"] }
";

/// A port where nobody listens: TCPMUX, which nothing serves and nothing is given by chance.
const CLOSED_PORT: u16 = 1;

/// Calls an action of SQS; its answer, with the HTTP head.
fn call(endpoint: &str, action: &str, body: &serde_json::Value) -> String {
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nX-Amz-Target: AmazonSQS.{action}\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Creates a queue; its URL.
fn create_queue(endpoint: &str, name: &str) -> String {
    let answer = call(endpoint, "CreateQueue", &json!({ "QueueName": name }));
    let (_, rest) = answer.split_once("\"QueueUrl\":\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// A daemon with few file descriptors; killed when dropped.
struct Daemon {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Daemon {
    fn start(name: &str, queue: &str, broker: u16, endpoint: &str, more: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("eventcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("eventcast.yaml");
        std::fs::write(&config, CONFIG).unwrap();
        let process = Command::new("sh")
            .args(["-c", "ulimit -n 128; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_eventcast"))
            .args(["bridge", "--config"])
            .arg(&config)
            .arg(format!("--set=bridge.queue={queue}"))
            .arg(format!("--set=bridge.broker=mqtt://127.0.0.1:{broker}"))
            .arg("--set=bridge.listen=127.0.0.1:0")
            .args(more)
            .env_clear()
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("EVENTCAST_LOG", "trace")
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Self {
            process,
            port: 0,
            folder,
        };
        daemon.port = daemon.told_port();
        daemon
    }

    /// The port of health and metrics, which the system has chosen and the log names.
    fn told_port(&self) -> u16 {
        let began = Instant::now();
        loop {
            let log = self.log();
            let line = log
                .lines()
                .find(|line| line.contains("health and metrics are served"));
            let told = line.and_then(|line| line.split("address=127.0.0.1:").nth(1));
            if let Some(port) = told.and_then(|port| port.trim().parse().ok()) {
                return port;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// One request: the answer, and how long it took; `None` when there is none in time.
    fn get(&self, path: &str, accept: &str) -> Option<(String, Duration)> {
        let began = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(IN_TIME)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        (!answer.is_empty()).then(|| (answer, began.elapsed()))
    }

    #[track_caller]
    fn until(&self, what: &str, path: &str, so: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        let mut last = String::new();
        while began.elapsed() < Duration::from_secs(60) {
            if let Some((answer, _)) = self.get(path, "*/*") {
                if so(&answer) {
                    return answer;
                }
                last = answer;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not come to be that {what}: {last}\n{}", self.log());
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_daemon_that_waits_is_alive_and_says_what_for() {
    let endpoint = format!("http://127.0.0.1:{CLOSED_PORT}");
    let url = format!("{endpoint}/000000000000/events");
    let daemon = Daemon::start("waits", &url, CLOSED_PORT, &endpoint, &["--wait"]);
    daemon.until("it lives", "/livez", |answer| {
        answer.starts_with("HTTP/1.1 200")
    });
    let told = daemon.until("it says why", "/readyz", |answer| {
        answer.contains("starting: opening the queue")
    });
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");

    // Connections that never end their requests take nothing from others, and no more descriptors
    // than the bound.
    let mut held = Vec::new();
    for begins in [
        "",
        "GET /livez HTTP/1.1\r\nX: ",
        "G",
        "POST /livez HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
    ] {
        for _ in 0..100 {
            let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
            // It may be closed already.
            let _ = stream.write_all(begins.as_bytes());
            held.push(stream);
        }
        for path in ["/livez", "/readyz", "/metrics"] {
            let (answer, took) = daemon.get(path, "*/*").expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 "), "{begins:?}: {answer}");
            assert!(took < IN_TIME, "{begins:?}: {took:?}");
        }
        let open = daemon.descriptors();
        assert!(open < 100, "{begins:?}: {open} descriptors are open");
    }

    // Both formats, each by name; nothing is said of the wait but that it lives.
    let (classic, _) = daemon.get("/metrics", "text/plain;version=0.0.4").unwrap();
    assert!(classic.contains("text/plain; version=0.0.4"), "{classic}");
    assert!(classic.contains("\n# TYPE eventcast_received_total counter\n"));
    assert!(classic.contains("\neventcast_build_info{version=\""));
    let (open_metrics, _) = daemon
        .get("/metrics", "application/openmetrics-text;version=1.0.0")
        .unwrap();
    assert!(open_metrics.contains("application/openmetrics-text; version=1.0.0"));
    assert!(open_metrics.contains("\n# TYPE eventcast_received counter\n"));
    assert!(open_metrics.contains("\n# EOF\n"), "{open_metrics}");
}

/// A long poll takes 20 seconds; a deployment need not wait for the first one to come back empty.
#[test]
fn a_daemon_with_an_idle_queue_is_ready_at_once() {
    let dev = Dev::start(&[]);
    let endpoint = dev.endpoint();
    let url = create_queue(endpoint, "events");
    let began = Instant::now();
    let mut daemon = Daemon::start(
        "ready",
        &url,
        dev.port("mqtt"),
        endpoint,
        &["--set=bridge.wait=20s"],
    );
    daemon.until("it is ready", "/readyz", |answer| {
        answer.starts_with("HTTP/1.1 200")
    });
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    // Counters of the routes are there from the start.
    let (metrics, _) = daemon.get("/metrics", "*/*").unwrap();
    assert!(
        metrics.contains("\neventcast_published_total{route=\"orders\"} 0\n"),
        "{metrics}"
    );
    let log = daemon.log();
    for field in ["version=", "queue=", "routes=1"] {
        assert!(log.contains(field), "{field}: {log}");
    }

    // Two signals at once, as GNU `timeout` sends them, are one: it drains.
    let id = daemon.process.id().to_string();
    for _ in 0..2 {
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
    }
    assert_eq!(
        daemon.process.wait().unwrap().code(),
        Some(0),
        "{}",
        daemon.log()
    );
}

/// A queue of nothing but events that can never be published, with values that are nobody's
/// business.
#[test]
fn poison_is_logged_by_reason_with_a_count_and_without_its_values() {
    const SECRET: &str = "DE89 3704 / Jane Doe";
    const COUNT: usize = 300;
    let dev = Dev::start(&[]);
    let endpoint = dev.endpoint();
    let url = create_queue(endpoint, "events");
    let dead = create_queue(endpoint, "events-dlq");
    let bodies = [
        json!({ "id": "evt-1", "source": "shop", "detail-type": "x", "detail": { "id": SECRET } }).to_string(),
        json!({ "id": "evt-2", "source": "shop", "detail-type": "x", "detail": { "id": { "name": SECRET } } }).to_string(),
        format!("not JSON: {SECRET}"),
        json!({ "Message": SECRET }).to_string(),
    ];
    for batch in 0..COUNT / 10 {
        let entries = (0..10).map(|n| {
            let body = &bodies[(batch * 10 + n) % bodies.len()];
            json!({ "Id": n.to_string(), "MessageBody": body })
        });
        let entries: Vec<_> = entries.collect();
        call(
            endpoint,
            "SendMessageBatch",
            &json!({ "QueueUrl": url, "Entries": entries }),
        );
    }
    let good = json!({ "id": "evt-3", "source": "shop", "detail-type": "x", "detail": { "id": "1", "note": SECRET } });
    let good = json!({ "QueueUrl": url, "MessageBody": good.to_string() });
    call(endpoint, "SendMessage", &good);
    let dead_letter_queue = format!("--set=bridge.dead_letter_queue={dead}");
    let mut daemon = Daemon::start(
        "poison",
        &url,
        dev.port("mqtt"),
        endpoint,
        &[&dead_letter_queue],
    );
    daemon.until("all are dead letters", "/metrics", |metrics| {
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("eventcast_dead_lettered_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
        counts.sum::<usize>() == COUNT
    });
    daemon.until("all are deleted", "/metrics", |metrics| {
        metrics.contains(&format!("\neventcast_deleted_total {}\n", COUNT + 1))
            && metrics.contains("\neventcast_published_total{route=\"orders\"} 1\n")
    });
    let id = daemon.process.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.unwrap().success());
    assert_eq!(daemon.process.wait().unwrap().code(), Some(0));
    let log = daemon.log();
    for part in ["DE89", "Jane", "ReceiptHandle"] {
        let line = log.lines().find(|line| line.contains(part));
        assert_eq!(line, None, "{part}");
    }
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("event cannot be published"))
        .collect();
    assert!((4..COUNT / 4).contains(&lines.len()), "{}", lines.len());
    for field in [
        "event_id=\"evt-1\"",
        "event_id=\"evt-2\"",
        "route=\"orders\"",
        "reason=\"not_an_event\"",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(field)),
            "{field}: {lines:#?}"
        );
    }
    assert!(log.contains(&format!("dead_lettered={COUNT}")), "{log}");
}
