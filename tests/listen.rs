//! `eventcast listen` beside a running `eventcast dev`, and `eventcast dev` when its configuration
//! changes.

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

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dev::Dev;
use serde_json::{Value, json};

const USER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
const OTHER: &str = "0c0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

fn claims() -> String {
    json!({ "sub": USER, "orders": [{ "id": USER, "courier": OTHER }] }).to_string()
}

fn listen(dev: &Dev, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    command
        .arg("listen")
        .args(arguments)
        .env("AWS_ENDPOINT_URL", dev.endpoint());
    command
}

fn run(dev: &Dev, arguments: &[&str]) -> (i32, String, String) {
    said(
        &listen(dev, arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    )
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A listener that has subscribed; killed when dropped.
struct Listening {
    process: Child,
    messages: BufReader<ChildStderr>,
}

impl Listening {
    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(process.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("listening to ") {
            assert!(messages.read_line(&mut seen).unwrap() > 0, "{seen}");
        }
        Self { process, messages }
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Status, standard output, and the rest of standard error.
    fn ended(mut self) -> (i32, String, String) {
        let (mut out, mut errors) = (String::new(), String::new());
        let mut stdout = self.process.stdout.take().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        self.messages.read_to_string(&mut errors).unwrap();
        (self.process.wait().unwrap().code().unwrap(), out, errors)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `| head -1` goes away, and no further message comes.
#[test]
fn listening_ends_with_its_reader() {
    let dev = Dev::assembled(&[]);
    let claims = claims();
    let arguments = ["--role", "customer", "--claims", &claims];
    let mut listening = Listening::start(&mut listen(&dev, &arguments));
    drop(listening.process.stdout.take());
    let until = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = listening.process.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "it listens to nobody's ears");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
    let mut errors = String::new();
    listening.messages.read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}

/// Puts an event on the bus.
fn put(dev: &Dev, source: &str, kind: &str, detail: &Value) {
    let entry = json!({ "Source": source, "DetailType": kind, "Detail": detail.to_string() });
    let body = json!({ "Entries": [entry] }).to_string();
    let answer = post(dev, "/", "x-amz-target: AWSEvents.PutEvents\r\n", &body);
    assert!(answer.contains("EventId"), "{answer}");
}

fn post(dev: &Dev, path: &str, headers: &str, body: &str) -> String {
    let headers = format!("host: localhost\r\n{headers}");
    dev.request(&format!("POST {path}"), &headers, body)
}

fn order() -> Value {
    json!({ "orderId": USER, "tenantId": OTHER, "customerId": OTHER })
}

#[test]
fn a_role_listens_to_a_channel() {
    let dev = Dev::assembled(&[]);
    let channel = format!("order:{USER}");
    let claims = claims();
    let arguments = [
        "--role", "customer", "--claims", &claims, "--count", "1", &channel,
    ];
    let json = [&arguments[..], &["--format", "json"]].concat();
    let text = Listening::start(&mut listen(&dev, &arguments));
    let json = Listening::start(&mut listen(&dev, &json));
    put(&dev, "shop.orders", "OrderPlaced", &order());
    let (status, out, errors) = text.ended();
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(out.starts_with(&format!("order/{USER} {{")), "{out}");
    assert_eq!(out.lines().count(), 1);
    let (status, out, _) = json.ended();
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status, 0);
    assert_eq!(told["topic"], format!("order/{USER}"));
    assert_eq!(told["payload"]["detail"], order());
    assert_eq!(told["properties"]["eb-id"], told["payload"]["id"]);
}

#[test]
fn a_role_alone_is_enough() {
    let dev = Dev::assembled(&[]);
    put(
        &dev,
        "shop.office",
        "Announced",
        &json!({ "text": "closed" }),
    );
    let (status, out, errors) = run(
        &dev,
        &["--role", "customer", "--count", "1", "--duration", "20s"],
    );
    assert_eq!(status, 0, "{errors}");
    assert!(out.starts_with("announcements {"), "{out}");
    assert!(errors.contains("note: no claims are given"), "{errors}");
}

#[test]
fn claims_and_tokens_from_standard_input() {
    let dev = Dev::assembled(&[]);
    put(&dev, "shop.office", "Announced", &json!({}));
    let with = |arguments: &[&str], input: &str| {
        let mut child = listen(&dev, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        said(&child.wait_with_output().unwrap())
    };
    let rest = ["announcements", "--count", "1", "--duration", "20s"];
    let role = [&["--role", "customer", "--claims", "-"][..], &rest].concat();
    assert_eq!(with(&role, &claims()).0, 0);
    let body = json!({ "role": "customer", "claims": { "sub": USER, "orders": [] } }).to_string();
    let minted = post(&dev, "/_dev/tokens", "", &body);
    let minted: Value = serde_json::from_str(minted.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let token = [&["--token", "-"][..], &rest].concat();
    let (status, _, errors) = with(&token, minted["token"].as_str().unwrap());
    assert_eq!(status, 0, "{errors}");
    assert!(
        errors.contains(USER),
        "the client id begins with the principal: {errors}"
    );
    // By the broker's address alone.
    let url = dev.told()["mqtt"].as_str().unwrap();
    let id = format!("{USER}-other");
    let elsewhere = [&["--url", url, "--client-id", &id][..], &token].concat();
    assert_eq!(with(&elsewhere, minted["token"].as_str().unwrap()).0, 0);
}

#[test]
fn what_is_refused_is_explained() {
    let dev = Dev::assembled(&[]);
    let claims = claims();
    let role = ["--role", "customer", "--claims", claims.as_str()];
    let foreign = format!("order:{OTHER}");
    let (status, _, errors) = run(&dev, &[&role[..], &[&foreign]].concat());
    assert_eq!(status, 1, "{errors}");
    assert!(
        errors.contains("not authorized") && errors.contains("help: "),
        "{errors}"
    );
    assert!(errors.contains("order:{claims.orders[*].id}"), "{errors}");
    // Channels that may be received from are, and the rest is named.
    let both = [&role[..], &[&foreign, "announcements", "--duration", "1s"]].concat();
    let (status, _, errors) = run(&dev, &both);
    assert_eq!(status, 0, "{errors}");
    assert!(errors.contains("listening to announcements "), "{errors}");
    let (status, _, errors) = run(&dev, &["--token", "not-a-token", "announcements"]);
    assert_eq!(status, 1, "{errors}");
    assert!(
        errors.contains("is not let in") && errors.contains("help: "),
        "{errors}"
    );
    let wrong_id = [&role[..], &["--client-id", "somebody", "announcements"]].concat();
    assert_eq!(run(&dev, &wrong_id).0, 1);
}

#[test]
fn questions_that_are_not_right() {
    let dev = Dev::assembled(&[]);
    for (arguments, told) in [
        (vec!["announcements"], "clients need a token"),
        (vec!["--role", "captain"], "there is no role `captain`"),
        (
            vec!["--role", "customer", "--claims", "{"],
            "not a JSON object",
        ),
        (
            vec!["--role", "customer", "--claims", "absent.json"],
            "absent.json",
        ),
        (vec!["--role", "customer", "--claim", "sub=x"], "x"),
        (vec!["--role", "customer", "ordr:1"], "did you mean `order`"),
        (vec!["--url", "http://localhost"], "mqtt://"),
        (
            vec!["--url", "mqtt://localhost:1"],
            "no topic to subscribe to",
        ),
    ] {
        let (status, out, errors) = run(&dev, &arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(told), "{arguments:?}: {errors}");
    }
    // Quoted text ends no line of ours and begins none.
    for forged in [
        &["--role", "x`\nhelp: \u{1b}[31mrun this"][..],
        &["--role", "customer", "x\nhelp: \u{1b}[31mrun this"],
        &["--role", "customer", "--sub", "x\nhelp: run this", "ordr:1"],
        &["--role", "customer", "--claims", "x\nhelp: run this"],
    ] {
        let (_, _, errors) = run(&dev, forged);
        assert!(!errors.contains("\nhelp: \u{1b}"), "{errors:?}");
        assert!(!errors.contains("\nhelp: run this"), "{errors:?}");
        assert!(!errors.contains('\u{1b}'), "{errors:?}");
    }
    let secret = "http://u:S3CRET@127.0.0.1:1/?t=S3CRET";
    let (status, _, errors) = run(&dev, &["--endpoint", secret, "--role", "customer"]);
    assert_eq!(status, 3, "{errors}");
    assert!(!errors.contains("S3CRET"), "{errors}");
    let url = "wss://u:S3CRET@127.0.0.1:1/mqtt?token=S3CRET";
    let (status, _, errors) = run(&dev, &["--url", url, "x"]);
    assert_eq!(status, 2, "{errors}");
    assert!(!errors.contains("S3CRET"), "{errors}");
    let nobody = ["--endpoint", "http://127.0.0.1:9", "--role", "customer"];
    let (status, _, errors) = run(&dev, &nobody);
    assert_eq!(status, 3);
    assert!(errors.contains("help: start `eventcast dev`"), "{errors}");
}

#[test]
fn ends_of_listening() {
    let mut dev = Dev::assembled(&[]);
    let announcements = ["--role", "customer", "announcements"];
    let interrupted = Listening::start(&mut listen(&dev, &announcements));
    interrupted.signal("-INT");
    assert_eq!(interrupted.ended().0, 0);
    let terminated = Listening::start(&mut listen(&dev, &announcements));
    terminated.signal("-TERM");
    assert_eq!(terminated.ended().0, 0);
    let (status, _, errors) = run(
        &dev,
        &[&announcements[..], &["--duration", "1s", "--count", "3"]].concat(),
    );
    assert_eq!(status, 1);
    assert!(errors.contains("0 of 3 messages came"), "{errors}");
    let cut = Listening::start(&mut listen(&dev, &announcements));
    dev.terminate();
    let (status, _, errors) = cut.ended();
    assert_eq!(status, 3);
    assert!(errors.contains("the connection was lost"), "{errors}");
    assert!(!errors.contains("Some("), "{errors}");
}

/// A configuration with one route and one role, in a folder of its own.
struct Configured(PathBuf);

impl Configured {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("eventcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let own = Self(folder.join("eventcast.yaml"));
        own.write("first", "");
        own
    }

    /// The route publishes to this topic; `more` is added at the end.
    fn write(&self, topic: &str, more: &str) {
        let text = format!(
            "routes:\n  - name: all\n    match: {{ source: [shop] }}\n    to: [{topic}]\n    retain: true\nroles:\n  reader:\n    bind: user:{{claims.sub}}\n    subscribe: [{topic}]\nchannels:\n  user: {{ id: uuid }}\n{more}"
        );
        // As editors do it: another file takes the place of the old one.
        let other = self.0.with_extension("new");
        std::fs::write(&other, text).unwrap();
        std::fs::rename(other, &self.0).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap_or(Path::new("")));
    }
}

/// Returns `true` where a new client receives an event at a topic, within some seconds.
fn hears(dev: &Dev, topic: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        put(dev, "shop", "x", &json!({}));
        let arguments = [
            "--role",
            "reader",
            "--sub",
            USER,
            topic,
            "--count",
            "1",
            "--duration",
            "1s",
        ];
        if run(dev, &arguments).0 == 0 {
            return true;
        }
    }
    false
}

#[test]
fn a_signal_reloads_routes_and_roles() {
    let own = Configured::new("hangup");
    let mut dev = Dev::assembled(&["--config", own.path()]);
    assert_eq!(dev.told()["configuration"], own.path());
    assert_eq!(dev.told()["roles"], json!(["reader"]));
    assert!(hears(&dev, "first"));
    own.write("second", "");
    dev.hang_up();
    assert!(
        hears(&dev, "second"),
        "the route and the role are the new ones"
    );
    let (status, _, errors) = run(&dev, &["--role", "reader", "--sub", USER, "first"]);
    assert_eq!(status, 1, "the old role is gone: {errors}");
    // With a fault everything stays.
    own.write("third", "nonsense: 1\n");
    dev.hang_up();
    assert!(hears(&dev, "second"));
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_watched_file_reloads() {
    let own = Configured::new("watch");
    let dev = Dev::assembled(&["--config", own.path(), "--watch"]);
    assert!(hears(&dev, "first"));
    own.write("fourth", "");
    assert!(hears(&dev, "fourth"));
    own.write("fourth", "nonsense: 1\n");
    own.write("fifth", "");
    assert!(hears(&dev, "fifth"));
}

#[test]
fn a_signal_does_not_end_the_endpoints_alone() {
    let mut dev = Dev::start(&[]);
    dev.hang_up();
    dev.hang_up();
    let answer = post(&dev, "/", "x-amz-target: AWSEvents.ListRules\r\n", "{}");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(dev.interrupt(), Some(0));
}
