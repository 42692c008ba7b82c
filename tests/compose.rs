//! `image/compose.yaml` without an engine: its commands and variables, as another program reads
//! them, run as processes of this machine. Names of containers become loopback addresses, and ports
//! others.

#![cfg(feature = "dev")]
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails should say where; real processes run on the real clock"
)]

#[path = "support/checks.rs"]
mod checks;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/dev.rs"]
mod dev;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use daemon::Daemon;
use dev::Dev;
use serde_json::{Value, json};

/// The file as the crate compose_spec understands it (PyPI, compose-spec).
fn services() -> Value {
    let script = "import compose_spec, sys; c = compose_spec.PyCompose.from_yaml(open(sys.argv[1]).read()); c.validate(); print(c.to_json())";
    let mut python = checks::program("checks/bin/python");
    let told = checks::passes(python.args(["-c", script, "image/compose.yaml"]));
    serde_json::from_str::<Value>(&told).unwrap()["services"].clone()
}

fn words(value: &Value) -> Vec<String> {
    let words = value.as_array().unwrap().iter();
    words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

fn request(dev: &Dev, host: &str, request: &str, body: &str) -> String {
    let headers = format!("host: {host}\r\nx-amz-target: AWSEvents.PutEvents\r\n");
    dev.request(request, &headers, body)
}

#[test]
fn an_event_goes_through_the_containers_of_the_compose_file() {
    let services = services();
    let (platform, bridge) = (&services["platform"], &services["bridge"]);
    let mut arguments = words(&platform["command"]);
    assert_eq!(arguments.remove(0), "dev");
    let hosts = arguments.iter().position(|word| word == "--host=0.0.0.0");
    arguments.remove(hosts.expect("a container listens on all its addresses"));
    let config = platform["volumes"][0].as_str().unwrap();
    let config = config.split(':').next().unwrap().replace("./", "image/");
    arguments.extend(["--config".to_owned(), config.clone()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let dev = Dev::assembled(&arguments);

    // The name that the other container uses, and one that nobody has allowed.
    let port = dev.endpoint().rsplit(':').next().unwrap().to_owned();
    let health = |host: &str| request(&dev, host, "GET /livez", "");
    assert!(health(&format!("platform:{port}")).starts_with("HTTP/1.1 200"));
    assert!(health(&format!("elsewhere:{port}")).starts_with("HTTP/1.1 421"));

    // Free again once it is known: the daemon takes no port 0.
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let listen = listen.unwrap().to_string();
    let websocket = format!("127.0.0.1:{}", dev.port("ws"));
    let here = |value: &str| {
        value
            .replace("platform:4566", &format!("127.0.0.1:{port}"))
            .replace("platform:9001", &websocket)
            .replace("0.0.0.0:9464", &listen)
            .replace("/etc/eventcast/eventcast.yaml", &config)
    };
    let eventcast = |arguments: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        for (name, value) in bridge["environment"].as_object().unwrap() {
            command.env(name, here(value.as_str().unwrap()));
        }
        command
    };
    let mut daemon = Daemon(eventcast(&words(&bridge["command"])).spawn().unwrap());
    let mut check = words(&bridge["healthcheck"]["test"]);
    assert_eq!(check.drain(..2).collect::<Vec<_>>(), ["CMD", "/eventcast"]);
    let ready = [check.clone(), vec!["--ready".to_owned()]].concat();
    let begin = Instant::now();
    while !eventcast(&ready).output().unwrap().status.success() {
        assert!(begin.elapsed() < Duration::from_secs(20), "not ready");
        assert!(daemon.0.try_wait().unwrap().is_none(), "it has ended");
    }
    checks::passes(&mut eventcast(&check));

    let mut listener = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["listen", "--endpoint", dev.endpoint(), "--role", "customer"])
        .args(["--claims", r#"{"sub":"anna","orders":["o1"]}"#])
        .args([
            "--count",
            "1",
            "--duration",
            "20s",
            "--format",
            "json",
            "order:o1",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !request(&dev, "127.0.0.1", "GET /_dev/clients", "").contains("order/o1") {
        assert!(begin.elapsed() < Duration::from_secs(20), "no subscription");
    }
    let entry =
        json!({"Source": "shop.orders", "DetailType": "Placed", "Detail": "{\"orderId\":\"o1\"}"});
    let body = json!({"Entries": [entry]}).to_string();
    let answer = request(&dev, "127.0.0.1", "POST /", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut heard = String::new();
    let mut lines = BufReader::new(listener.stdout.take().unwrap());
    lines.read_line(&mut heard).unwrap();
    assert!(heard.contains("o1"), "{heard}");
    assert_eq!(listener.wait().unwrap().code(), Some(0), "{heard}");
}
