//! `eventcast dlq` against a real queue: nothing is consumed by looking, and nothing lost by sending back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/moto.rs"]
mod moto;

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use moto::Moto;

struct Queues {
    moto: Moto,
    queue: String,
    dead_letter_queue: String,
}

impl Queues {
    fn new() -> Self {
        let moto = Moto::start();
        let urls = moto.bus(&["setup"]);
        let (queue, dead_letter_queue) = urls.trim().split_once(' ').unwrap();
        Self {
            queue: queue.into(),
            dead_letter_queue: dead_letter_queue.into(),
            moto,
        }
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(["dlq", verb, "--dead-letter-queue", &self.dead_letter_queue])
            .args(arguments)
            .envs(self.moto.environment());
        if verb == "replay" {
            command.args(["--queue", &self.queue]);
        }
        command
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> (i32, String, String) {
        told(self.command(verb, arguments).output().unwrap())
    }

    fn json(&self, verb: &str, arguments: &[&str]) -> serde_json::Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        let (status, out, errors) = self.run(verb, &arguments);
        assert_eq!(status, 0, "{errors}");
        serde_json::from_str(&out).unwrap()
    }

    /// The bodies in the queue, with the names of their attributes; they are taken out.
    fn replayed(&self) -> Vec<String> {
        let lines = self.moto.bus(&["drain"]);
        let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

#[test]
fn letters_are_listed_and_stay() {
    let queues = Queues::new();
    let (status, out, _) = queues.run("list", &[]);
    assert_eq!(
        (status, out.starts_with("0 letters in ")),
        (0, true),
        "{out}"
    );
    queues
        .moto
        .bus(&["letters", "12", "template_missing", "order-updates"]);
    queues.moto.bus(&["letters", "3", "too_large", "couriers"]);
    let ids = queues.moto.bus(&["letters", "1"]);
    for _ in 0..2 {
        let summary = queues.json("list", &[]);
        assert_eq!(summary["letters"], 16);
        let group = |group: &serde_json::Value| {
            let word = |name: &str| group[name].as_str().unwrap_or("-").to_owned();
            (
                word("reason"),
                word("route"),
                group["count"].as_u64().unwrap(),
            )
        };
        let groups = summary["groups"].as_array().unwrap().iter().map(group);
        let known = |reason: &str, route: &str, count| (reason.to_owned(), route.to_owned(), count);
        let expected = [
            known("redrive", "-", 1),
            known("template_missing", "order-updates", 12),
            known("too_large", "couriers", 3),
        ];
        assert_eq!(groups.collect::<Vec<_>>(), expected);
    }
    let (_, out, _) = queues.run("list", &["--reason", "too_large", "--newer-than", "1h"]);
    assert!(
        out.starts_with("REASON     ROUTE     COUNT  OLDEST  NEWEST\ntoo_large  couriers  3 "),
        "{out}"
    );
    let (_, out, _) = queues.run("list", &["--older-than", "1h"]);
    assert!(out.starts_with("0 letters"), "{out}");

    let by_event = queues.json("list", &["--event", "event-too_large-couriers-2"]);
    assert_eq!(by_event["reason"], "too_large");
    assert_eq!(by_event["detail"], "no such field");
    assert_eq!(
        by_event["body"],
        r#"{"id": "event-too_large-couriers-2", "n": 2}"#
    );
    let (status, out, _) = queues.run("list", &["--event", ids.trim()]);
    assert_eq!(status, 0);
    assert!(
        out.contains("reason:  redrive") && out.contains("event--0"),
        "{out}"
    );
    let (status, _, errors) = queues.run("list", &["--event", "nobody"]);
    assert_eq!((status, errors.contains("`nobody`")), (1, true), "{errors}");
}

#[test]
fn letters_are_sent_back() {
    let queues = Queues::new();
    queues
        .moto
        .bus(&["letters", "12", "template_missing", "order-updates"]);
    queues.moto.bus(&["letters", "2", "too_large", "couriers"]);
    let filter = ["--reason", "template_missing", "--route", "order-updates"];
    let dry = queues.json("replay", &[&filter[..], &["--dry-run"]].concat());
    assert_eq!((&dry["replayed"], &dry["left"]), (&12.into(), &2.into()));
    assert_eq!(queues.replayed(), [""; 0]);
    let (status, out, errors) = queues.run("replay", &filter);
    assert_eq!(
        (status, &*out),
        (0, "12 letters replayed, 2 left\n"),
        "{errors}"
    );
    let replayed = queues.replayed();
    assert_eq!(replayed.len(), 12);
    // Its own attributes are gone, the sender's are not.
    assert_eq!(
        replayed[0],
        r#"{"id": "event-template_missing-order-updates-0", "n": 0} ['tenant']"#
    );
    assert_eq!(queues.json("list", &[])["letters"], 2);
}

#[test]
fn an_interruption_loses_nothing() {
    let queues = Queues::new();
    queues.moto.bus(&["letters", "40", "too_large", "couriers"]);
    let replay = queues
        .command("replay", &["--rate", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut replayed = Vec::new();
    while replayed.is_empty() {
        thread::sleep(Duration::from_millis(50));
        replayed = queues.replayed();
    }
    let id = replay.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    let (status, out, errors) = told(replay.wait_with_output().unwrap());
    assert_eq!(status, 3, "{out}{errors}");
    assert!(errors.contains("interrupted"), "{errors}");
    replayed.extend(queues.replayed());
    replayed.sort();
    replayed.dedup();
    assert!(replayed.len() < 40, "it was not interrupted");
    let rest = queues.json("list", &[])["letters"].as_u64().unwrap();
    assert_eq!(replayed.len() as u64 + rest, 40);
}

#[test]
fn what_is_wrong_is_said() {
    let queues = Queues::new();
    let none = format!("{}-none", queues.dead_letter_queue);
    let (status, _, errors) = queues.run("list", &["--dead-letter-queue", &none]);
    assert_eq!(status, 2, "{errors}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    command.args(["dlq", "list", "--dead-letter-queue", &none]);
    let (status, _, errors) = told(command.envs(queues.moto.environment()).output().unwrap());
    assert_eq!(status, 3);
    assert!(errors.contains("check the queue's URL"), "{errors}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    command.args(["dlq", "replay", "--config", "tests/shop/eventcast.yaml"]);
    let (status, _, errors) = told(
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap(),
    );
    assert_eq!(status, 2);
    assert!(
        errors.contains("`bridge.dead_letter_queue` is not set"),
        "{errors}"
    );
    let (status, _, errors) = queues.run("list", &["--older-than", "soon"]);
    assert_eq!((status, errors.contains("30s, 5m")), (2, true), "{errors}");
}
