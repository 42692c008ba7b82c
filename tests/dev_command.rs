//! `eventcast dev` as a command: its ports, its flags, and clients that have nothing to do with
//! this project.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/raw.rs"]
mod raw;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dev::Dev;
use raw::{Got, Raw, v5};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .arg("dev")
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_busy_port_is_named_with_what_to_do() {
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    for flag in ["--mqtt-port", "--websocket-port"] {
        let other = if flag == "--mqtt-port" {
            "--websocket-port"
        } else {
            "--mqtt-port"
        };
        let output = run(&["--port", "0", flag, &port, other, "0"]);
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        let wanted = format!(
            "error: listening on 127.0.0.1:{port} for MQTT; choose another port with {flag}: "
        );
        assert!(told.starts_with(&wanted), "{told}");
    }
}

#[test]
fn a_limit_that_does_not_exist() {
    for (limit, told) in [
        ("topics=1", "error: --limit: there is no limit `topics`\n"),
        (
            "topic-bytes=many",
            "error: --limit: `many` is no value of topic-bytes: a number in its range, or off\n",
        ),
    ] {
        let output = run(&["--limit", limit]);
        assert_eq!(output.status.code(), Some(2));
        let help = "help: `--limit help` lists limits and rules\n";
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, format!("{told}{help}"));
    }
    let output = run(&["--limit", "help"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

/// The manual page lists the limits and rules that there are.
#[test]
fn the_manual_lists_all_limits() {
    let page = include_str!("../docs/broker.md");
    for switch in eventcast::dev::broker::switch::SWITCHES {
        let row = format!("| `{}` | {} |", switch.name, switch.about);
        assert!(page.contains(&row), "docs/broker.md lacks: {row}");
    }
}

#[tokio::test]
async fn flags_change_limits_and_faults_come_over_http() {
    let dev = Dev::start(&[
        "--limit",
        "filters-per-subscribe=1",
        "--limit",
        "connects-per-second=off",
    ]);
    let port = dev.port("mqtt");
    let mut client = Raw::join(port, &v5("a")).await;
    client
        .send(&raw::subscribe(true, 1, &[("a", 0), ("b", 0)], &[]))
        .await;
    client.expect_disconnect(0x97).await;
    let fault = r#"{"action": "Subscribe", "topic": "test/nosubscribe", "fault": "refuse"}"#;
    let address = dev.endpoint().strip_prefix("http://").unwrap().to_owned();
    let mut http = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /_dev/faults HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{fault}",
        fault.len()
    );
    http.write_all(request.as_bytes()).await.unwrap();
    let status = BufReader::new(http)
        .lines()
        .next_line()
        .await
        .unwrap()
        .unwrap();
    assert!(status.contains(" 204 "), "{status}");
    let mut client = Raw::join(port, &v5("a")).await;
    assert_eq!(client.subscribe("test/nosubscribe").await, 0x80);
    assert_eq!(client.subscribe("test/other").await, 1);
}

/// The counters of a bare broker say how much its limits discarded, whatever the client does with
/// the answer.
#[tokio::test]
async fn counters_of_what_limits_discarded() {
    for (limit, discarded) in [
        ("publishes-per-second=2", 1),
        ("account-publishes-in=1", 2),
        ("publishes-per-second=off", 0),
    ] {
        let dev = Dev::start(&["--limit", limit]);
        let mut client = Raw::join(dev.port("mqtt"), &v5("a")).await;
        for _ in 0..3 {
            client.publish("order/1", "{}").await;
        }
        let port = http_port(&dev);
        let (status, answer) = call(port, "GET /_dev/counts", "host: localhost\r\n", "");
        assert_eq!(status, 200, "{answer}");
        let counts: serde_json::Value =
            serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(counts["throttled"], discarded, "{limit}");
        assert_eq!(counts["connected"], 1, "{limit}");
    }
}

/// Without limits, and with a broker that ends when it is asked to.
#[tokio::test]
async fn a_broker_like_others() {
    let mut dev = Dev::start(&["--broker", "general"]);
    let port = dev.port("mqtt");
    let mut client = Raw::open(port).await;
    let (_, told) = client.login(&v5("a").keep_alive(120)).await;
    assert_eq!(told.number(0x13), Some(60));
    assert_eq!(client.publish("$SYS/x", "x").await, 0x10);
    dev.terminate();
    assert_eq!(client.next().await, Got::Disconnect(0x8B));
}

/// Mosquitto's clients in all versions of MQTT.
#[tokio::test]
async fn mosquittos_clients() {
    let dev = Dev::start(&[]);
    let port = dev.port("mqtt").to_string();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let topic = format!("order/{version}");
        let mut child = tokio::process::Command::new("mosquitto_sub")
            .args(["-p", &port, "-V", version, "-q", "1", "-t", &topic])
            .args([
                "-t",
                "$aws/events/subscriptions/subscribed/+",
                "-i",
                version,
            ])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_sub is not installed; on Debian: apt-get install mosquitto-clients");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It sees its own subscription.
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("\"eventType\":\"subscribed\""), "{line}");
        for qos in ["0", "1"] {
            let status = tokio::process::Command::new("mosquitto_pub")
                .args([
                    "-p", &port, "-V", version, "-q", qos, "-t", &topic, "-m", qos,
                ])
                .status()
                .await
                .unwrap();
            assert!(status.success());
            assert_eq!(lines.next_line().await.unwrap().unwrap(), qos);
        }
    }
}

/// An authority made on the first start is the same on the second, and mosquitto's client trusts
/// it.
#[test]
fn tls_with_an_authority_of_its_own() {
    let folder = std::env::temp_dir().join(format!("eventcast-tls-{}", std::process::id()));
    let authority = folder.join("made").join("ca.pem");
    let ports = ["--mqtts-port", "0", "--wss-port", "0", "--tls"];
    let made = folder.join("made").to_str().unwrap().to_owned();
    let publish = |dev: &Dev, host: &str, authority: &Path| {
        let output = Command::new("mosquitto_pub")
            .args(["-h", host, "-p", &dev.port("mqtts").to_string(), "--cafile"])
            .arg(authority)
            .args(["-q", "1", "-t", "order/1", "-m", "here"])
            .output()
            .expect("mosquitto_pub is not installed; on Debian: apt-get install mosquitto-clients");
        (output.status.success(), output.stderr)
    };
    let mut kept = Vec::new();
    for _ in 0..2 {
        let dev = Dev::start(&[&ports[..], &[&made]].concat());
        assert_eq!(dev.told()["authority"].as_str(), authority.to_str());
        for host in ["localhost", "127.0.0.1"] {
            assert_eq!(publish(&dev, host, &authority), (true, Vec::new()));
        }
        kept.push(std::fs::read(&authority).unwrap());
    }
    assert_eq!(kept[0], kept[1]);
    let other = folder.join("other").to_str().unwrap().to_owned();
    let dev = Dev::start(&[&ports[..], &[&other]].concat());
    let (believed, _) = publish(&dev, "localhost", &authority);
    assert!(!believed, "another authority's certificate is believed");
    let mode = std::fs::metadata(folder.join("made").join("ca.key"));
    assert_eq!(mode.unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_for_tls_that_are_none() {
    let folder = std::env::temp_dir().join(format!("eventcast-no-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("ca.key");
    std::fs::write(&key, "none").unwrap();
    let (folder_name, key) = (folder.to_str().unwrap(), key.to_str().unwrap());
    for (arguments, told) in [
        (vec!["--tls", folder_name], "the authority's key"),
        (vec!["--tls", key], "reading"),
        (vec!["--certificate", "absent.pem", "--key", key], "reading"),
        (vec!["--certificate", key, "--key", key], "setting up TLS"),
    ] {
        let output = run(&arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.starts_with(&format!("error: {told}")), "{errors}");
        assert!(errors.contains("\nhelp: "), "{errors}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// MQTT.js in Chromium, over WebSocket.
#[tokio::test]
async fn a_browser_hears() {
    let dev = Dev::start(&[]);
    let modules = moto::cache().join("browser").join("node_modules");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/watch.cjs");
    let mut page = tokio::process::Command::new("node")
        .arg(script)
        .arg(modules)
        .args([&dev.port("ws").to_string(), "order/1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is not installed; tests/install installs what the tests start");
    let mut lines = BufReader::new(page.stdout.take().unwrap()).lines();
    let mut line = async || {
        let line = tokio::time::timeout(raw::BOUND, lines.next_line()).await;
        line.expect("the page shows something")
            .unwrap()
            .unwrap_or_default()
    };
    assert_eq!(line().await, "subscribed");
    let mut client = Raw::join(dev.port("mqtt"), &v5("a")).await;
    assert_eq!(client.publish("order/1", r#"{"n":1}"#).await, 0);
    assert!(line().await.contains(r#"{"n":1}"#));
    // The browser closes properly when its input ends.
    drop(page.stdin.take());
    page.wait().await.unwrap();
}

/// One request over HTTP with these header lines; the answer's status and its whole text.
fn call(port: u16, request: &str, headers: &str, body: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn http_port(dev: &Dev) -> u16 {
    dev.endpoint().rsplit(':').next().unwrap().parse().unwrap()
}

/// One request for each service on the port, with the status of its answer to a program on this
/// machine.
const SERVICES: [(&str, &str, &str, u16); 13] = [
    ("GET /", "", "", 200),
    ("GET /health", "", "", 200),
    ("GET /_dev/pulse", "", "", 200),
    ("GET /_dev/faults", "", "", 200),
    ("GET /_dev/counts", "", "", 200),
    (
        "POST /_dev/faults",
        "",
        r#"{"action":"ListQueues","fault":"refuse","times":1}"#,
        204,
    ),
    (
        "POST /",
        "x-amz-target: AmazonSQS.GetQueueUrl\r\n",
        r#"{"QueueName":"none"}"#,
        400,
    ),
    ("POST /", "x-amz-target: AWSEvents.ListRules\r\n", "{}", 200),
    ("POST /topics/order/1", "", "{}", 200),
    ("GET /retainedMessage", "", "", 200),
    ("GET /connections/nobody", "", "", 404),
    ("GET /policies", "", "", 200),
    ("GET /nothing", "", "", 404),
];

#[test]
fn requests_of_web_pages_are_refused_by_every_service() {
    let dev = Dev::assembled(&[
        // Without limits of calls a second.
        "--broker",
        "general",
        "--allow-host",
        "dev",
        "--allow-origin",
        "http://app.example",
        // The same client id is asked for several times a second.
        "--limit",
        "connection-calls-per-second=off",
    ]);
    let port = http_port(&dev);
    let ask = |request: &str, headers: &str, body: &str| call(port, request, headers, body);
    for (request, headers, body, answered) in SERVICES {
        let with = |others: &str| ask(request, &format!("{others}{headers}"), body).0;
        for own in [
            format!("host: localhost:{port}\r\n"),
            "host: dev\r\n".to_owned(),
            format!(
                "host: 127.0.0.1:{port}\r\norigin: http://localhost:3000\r\nsec-fetch-site: cross-site\r\n"
            ),
            "host: [::1]\r\norigin: http://app.example\r\n".to_owned(),
        ] {
            assert_eq!(with(&own), answered, "{request}, {own}");
        }
        for foreign in [
            "evil.example:24300",
            "127.0.0.1.evil.example",
            "devil",
            "203.0.113.9",
        ] {
            assert_eq!(
                with(&format!("host: {foreign}\r\n")),
                421,
                "{request}, {foreign}"
            );
        }
        for origin in [
            "http://evil.test",
            "null",
            "http://app.example:81",
            "https://app.example",
        ] {
            let head = format!("host: localhost\r\norigin: {origin}\r\n");
            assert_eq!(with(&head), 403, "{request}, {origin}");
        }
        let simple = "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n";
        assert_eq!(with(simple), 403, "{request}");
        assert_eq!(with(""), 400, "{request}");
    }
    // Nothing was stored by those that were refused.
    let (_, faults) = ask("GET /_dev/faults", "host: localhost\r\n", "");
    assert_eq!(faults.matches("ListQueues").count(), 4, "{faults}");
    // A link from another site opens the page.
    let link = "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    assert_eq!(ask("GET /", link, "").0, 200);
    // An SDK shows why.
    let sdk = "host: queue.example\r\nx-amz-target: AmazonSQS.ListQueues\r\n";
    let (_, told) = ask("POST /", sdk, "{}");
    assert!(told.contains("--allow-host queue.example"), "{told}");
}

#[test]
fn answers_are_readable_by_listed_origins_alone() {
    let dev = Dev::assembled(&["--allow-origin", "http://localhost:5173/"]);
    let port = http_port(&dev);
    let mint = r#"{"role":"customer","claims":{"sub":"x"}}"#;
    let page = |origin: &str, request: &str, more: &str, body: &str| {
        let headers = format!("host: localhost:{port}\r\norigin: {origin}\r\n{more}");
        call(port, request, &headers, body)
    };
    let preflight =
        "access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n";
    let (status, told) = page(
        "http://localhost:5173",
        "OPTIONS /_dev/tokens",
        preflight,
        "",
    );
    assert_eq!(status, 204);
    for line in [
        "access-control-allow-origin: http://localhost:5173\r\n",
        "access-control-allow-headers: content-type\r\n",
        "vary: origin\r\n",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let (_, told) = page("http://localhost:5173", "POST /_dev/tokens", "", mint);
    assert!(
        told.contains("access-control-allow-origin: http://localhost:5173\r\n"),
        "{told}"
    );
    let (status, told) = page(
        "http://localhost:4000",
        "OPTIONS /_dev/tokens",
        preflight,
        "",
    );
    assert!(status != 204 && !told.contains("access-control"), "{told}");
    let (_, told) = page("http://localhost:4000", "POST /_dev/tokens", "", mint);
    assert!(!told.contains("access-control"), "{told}");
}

#[test]
fn hosts_and_origins_that_are_none() {
    for (flag, value, told) in [
        ("--allow-host", "http://dev:4566", "a host name is expected"),
        ("--allow-host", "*", "a host name is expected"),
        ("--allow-origin", "*", "an origin is expected"),
        (
            "--allow-origin",
            "https://app.example/login",
            "an origin is expected",
        ),
    ] {
        let output = run(&[flag, value]);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(told), "{errors}");
    }
}

#[test]
fn websockets_of_web_pages_are_refused() {
    const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n";
    let dev = Dev::start(&["--allow-origin", "https://app.example"]);
    let port = dev.port("ws");
    let open = |head: &str| {
        use std::io::{BufRead as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET /mqtt HTTP/1.1\r\n{head}{UPGRADE}\r\n").unwrap();
        let mut line = String::new();
        std::io::BufReader::new(stream)
            .read_line(&mut line)
            .unwrap();
        line.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    for (head, status) in [
        ("host: localhost:9001\r\n", 101),
        ("host: 127.0.0.1\r\norigin: http://localhost:5173\r\n", 101),
        ("host: localhost\r\norigin: https://app.example\r\n", 101),
        ("host: evil.example\r\n", 421),
        ("host: evil.example\r\norigin: http://evil.example\r\n", 421),
        ("host: localhost\r\norigin: https://evil.example\r\n", 403),
        ("host: localhost\r\norigin: null\r\n", 403),
        ("host: localhost\r\norigin: http://203.0.113.9\r\n", 403),
        ("", 400),
    ] {
        assert_eq!(open(head), status, "{head}");
    }
}
