//! `eventcast gateway` in processes of their own, before the broker of `eventcast dev` over TLS: a
//! session's life, the end of a process, and the rules of the protocol that need two tasks.

#![cfg(feature = "dev")]

#[path = "../support/dev.rs"]
mod dev;
#[path = "../support/gateway.rs"]
mod gateway;
#[path = "../support/shop.rs"]
mod shop;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use eventcast::authorizer::key::TokenSigner;
use eventcast::authorizer::token::mint;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::dev::Dev;
use self::gateway::{Client, SECRET};
use self::shop::{CUSTOMER, ORDER, configuration};

const OTHER: &str = "22222222-4f0b-4d3e-9f51-6a4f0c6c2a11";

const ROLES: &str = r#"
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.orders[*]}"]
"#;

/// A platform and the arguments of its gateways.
struct Platform {
    dev: Dev,
    folder: PathBuf,
}

impl Platform {
    fn start(name: &str) -> Self {
        let name = format!("eventcast-gateway-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("eventcast.yaml");
        fs::write(&config, configuration(ROLES)).unwrap();
        let folder_text = folder.to_str().unwrap();
        let dev = Dev::assembled(&[
            "--config",
            config.to_str().unwrap(),
            "--tls",
            folder_text,
            "--mqtts-port=0",
            "--wss-port=0",
        ]);
        Self { dev, folder }
    }

    /// A task; all tasks have the same sealing key.
    fn task(&self, number: u32) -> Task {
        let port = self.dev.port("mqtts");
        let ca = self.folder.join("ca.pem");
        let log = self.folder.join(format!("gateway-{number}.log"));
        let process = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .arg("gateway")
            .arg("--config")
            .arg(self.folder.join("eventcast.yaml"))
            .arg("--set=gateway.listen=127.0.0.1:0")
            .arg("--set=gateway.metrics=127.0.0.1:0")
            // As the dev broker takes them: one CONNECT a second of a client id.
            .arg("--set=gateway.connect_interval=1s")
            .env_clear()
            .env(
                "EVENTCAST_GATEWAY_BROKER",
                format!("mqtts://localhost:{port}"),
            )
            .env("EVENTCAST_GATEWAY_TLS_CA", ca)
            .env("EVENTCAST_GATEWAY_SEALING_KEY", SECRET)
            .stderr(fs::File::create(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut task = Task {
            process,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        task.address = task.told_address("gateway ready");
        task.metrics = task.told_address("health and metrics are served");
        task
    }

    /// The command that publishes for the conformance suite.
    fn publish(&self) -> String {
        let endpoint = self.dev.endpoint();
        format!("curl -sf -d '{{\"id\": \"{{id}}\"}}' '{endpoint}/topics/{{topic}}?qos=1'")
    }

    fn post(&self, id: &str) {
        let request = format!("POST /topics/order/{ORDER}?qos=1");
        let body = json!({ "id": id }).to_string();
        let answer = self.dev.request(&request, "host: localhost\r\n", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running gateway; killed when dropped.
struct Task {
    process: Child,
    log: PathBuf,
    address: SocketAddr,
    metrics: SocketAddr,
}

impl Task {
    /// The address in the line of the log that has some words.
    fn told_address(&self, words: &str) -> SocketAddr {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let log = read(&self.log);
            let line = log.lines().find(|line| line.contains(words));
            let told = line.and_then(|line| line.split("address=").nth(1));
            let address = told.and_then(|told| told.split(' ').next());
            if let Some(address) = address.and_then(|text| text.parse().ok()) {
                return address;
            }
            assert!(Instant::now() < until, "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn client(&self) -> Client {
        Client {
            address: self.address,
            token: Some(token(CUSTOMER, &[ORDER])),
            session: String::new(),
            cursor: String::new(),
        }
    }

    /// Waits until so many polls wait for messages.
    async fn until_polls_wait(&self, count: u32) {
        let line = format!("eventcast_gateway_polls_waiting {count}");
        let until = Instant::now() + Duration::from_secs(10);
        while !get(self.metrics, "/metrics")
            .await
            .lines()
            .any(|one| one == line)
        {
            assert!(Instant::now() < until, "{line}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn terminate(&self) {
        let sent = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A whole answer, as text.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn token(subject: &str, orders: &[&str]) -> String {
    let claims = json!({ "role": "customer", "sub": subject, "orders": orders });
    let claims = claims.as_object().unwrap().clone();
    let hour = Duration::from_secs(3_600);
    let minted = mint(claims, &TokenSigner::development(), Timestamp::now(), hour);
    minted.unwrap_or_else(|error| panic!("{error}")).token
}

fn payloads(answer: &gateway::Answer) -> Vec<&str> {
    let messages = answer.body["messages"].as_array().unwrap().iter();
    let ids = messages.map(|message| message["payload"]["id"].as_str().unwrap());
    ids.collect()
}

/// SIGTERM answers a poll that waits, ends a stream in order, and leaves the session to another
/// process with the same key.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_drains_and_another_one_goes_on() {
    let platform = Platform::start("drain");
    let (mut first, second) = (platform.task(1), platform.task(2));
    let channel = format!("order:{ORDER}");
    let (mut polls, mut streams) = (first.client(), first.client());
    for client in [&mut polls, &mut streams] {
        let answer = client.open(&[&channel]).await;
        assert_eq!(answer.body["granted"], json!([channel]), "{answer:?}");
    }
    platform.post("one");
    let answer = polls.poll(10).await;
    assert_eq!((answer.status, payloads(&answer)), (200, vec!["one"]));
    let mut stream = streams.stream().await;
    let event = stream.next().await.expect("a message");
    assert_eq!(event.data["payload"]["id"], "one");
    let waiting = polls.clone();
    let mut polling = JoinSet::new();
    polling.spawn(async move { (waiting.poll_once(50).await, Instant::now()) });
    first.until_polls_wait(1).await;
    let ready = get(first.metrics, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let began = Instant::now();
    first.terminate();
    let (answer, answered) = polling.join_next().await.unwrap().unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("0"));
    assert!(answered - began < Duration::from_secs(2));
    let advice = stream.next().await.expect("advice");
    assert_eq!(
        (advice.name.as_str(), &advice.data),
        ("advice", &json!({ "reconnect": true }))
    );
    assert_eq!(stream.next().await, None);
    platform.post("two");
    let ended = tokio::task::block_in_place(|| first.ended());
    assert_eq!(ended.code(), Some(0), "{}", read(&first.log));
    polls.address = second.address;
    let mut seen = Vec::new();
    while !seen.iter().any(|id| id == "two") {
        let answer = polls.poll(10).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        seen.extend(payloads(&answer).into_iter().map(str::to_owned));
    }
    assert_eq!(seen, ["two"]);
    let log = read(&first.log) + &read(&second.log);
    let secrets = [polls.token.as_deref().unwrap(), &polls.session, SECRET];
    for secret in secrets {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Rules that need a second task, the quota, and a task's end: they are "not tried" elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_keep_the_rules_of_tasks() {
    let platform = Platform::start("tasks");
    let (mut first, second) = (platform.task(1), platform.task(2));
    let drain = format!("kill -TERM {}", first.process.id());
    let output = tokio::task::block_in_place(|| {
        Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["gateway", "conformance", "--format", "json"])
            .arg(format!("http://{}", first.address))
            .arg(format!("--second=http://{}", second.address))
            .args(["--token", &token(CUSTOMER, &[ORDER])])
            .args(["--other-token", &token(OTHER, &[ORDER])])
            .args(["--channel", &format!("order:{ORDER}")])
            .args(["--denied-channel", &format!("order:{OTHER}")])
            .args(["--publish", &platform.publish()])
            .args(["--drain", &drain, "--quota", "40"])
            .args(["--only", "tasks", "--only", "quota", "--only", "session"])
            .args(["--only", "always"])
            .output()
            .unwrap()
    });
    let report = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap_or_else(|_| panic!("{errors}"));
    let rules = report["rules"].as_array().unwrap();
    let others: Vec<&Value> = rules
        .iter()
        .filter(|one| one["verdict"] != "held")
        .collect();
    assert!(others.is_empty(), "{others:#?}{}", read(&first.log));
    let names = ["tasks.take-over", "tasks.drain", "quota.sessions"];
    for name in names {
        assert!(rules.iter().any(|one| one["rule"] == name), "{name}");
    }
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let ended = tokio::task::block_in_place(|| first.ended());
    assert_eq!(ended.code(), Some(0), "{}", read(&first.log));
}
