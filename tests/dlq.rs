//! `eventcast dlq` against real queues: nothing is consumed by looking, nothing lost by sending
//! back, and nothing deleted that was not asked for.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/ministack.rs"]
mod ministack;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/moto.rs"]
mod moto;

use std::any::Any;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use dev::Dev;
use ministack::MiniStack;
use mosquitto::Mosquitto;
use moto::Moto;
use serde_json::Value;

/// A queue and its dead-letter queue, at a server that ends with it.
struct Queues {
    environment: Vec<(&'static str, String)>,
    queue: String,
    dead_letter_queue: String,
    _server: Box<dyn Any>,
}

impl Queues {
    fn on_moto() -> Self {
        let moto = Moto::start();
        Self::new(moto.environment().into(), moto)
    }

    fn on_dev() -> Self {
        let dev = Dev::start(&[]);
        Self::new(moto::environment(dev.endpoint().to_owned()).into(), dev)
    }

    fn on_ministack() -> Self {
        let ministack = MiniStack::start(false);
        Self::new(ministack.environment().into(), ministack)
    }

    fn new(environment: Vec<(&'static str, String)>, server: impl Any) -> Self {
        let mut queues = Self {
            environment,
            queue: String::new(),
            dead_letter_queue: String::new(),
            _server: Box::new(server),
        };
        let urls = queues.bus(&["setup"]);
        let (queue, dead_letter_queue) = urls.trim().split_once(' ').unwrap();
        (queues.queue, queues.dead_letter_queue) = (queue.into(), dead_letter_queue.into());
        queues
    }

    /// Does one thing with the queues; see `bus.py`.
    fn bus(&self, arguments: &[&str]) -> String {
        let mut command = moto::python("bus.py");
        command
            .args(arguments)
            .envs(self.environment.iter().cloned());
        let (status, out, errors) = told(command.output().unwrap());
        assert_eq!(status, 0, "{errors}");
        out
    }

    fn eventcast(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs(self.environment.iter().cloned())
            .env("EVENTCAST_CONFIG", "tests/shop/eventcast.yaml")
            .env("EVENTCAST_BRIDGE_QUEUE", &self.queue)
            .env(
                "EVENTCAST_BRIDGE_DEAD_LETTER_QUEUE",
                &self.dead_letter_queue,
            );
        command
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        self.eventcast(&[&["dlq", verb], arguments].concat())
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> (i32, String, String) {
        told(self.command(verb, arguments).output().unwrap())
    }

    fn json(&self, verb: &str, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        let (status, out, errors) = self.run(verb, &arguments);
        assert_eq!(status, 0, "{errors}");
        serde_json::from_str(&out).unwrap()
    }

    fn count(&self) -> u64 {
        self.json("list", &[])["count"].as_u64().unwrap()
    }

    /// The bodies in the queue, with the names of their attributes; they are taken out.
    fn replayed(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.bus(&["drain"]).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

/// Everything that needs no daemon, in one sequence.
fn the_commands(queues: &Queues) {
    // Looking changes nothing.
    let (status, out, _) = queues.run("list", &[]);
    assert_eq!(
        (status, out.starts_with("0 dead-letter messages in ")),
        (0, true),
        "{out}"
    );
    queues.bus(&["letters", "12", "template_missing", "order-updates"]);
    queues.bus(&["letters", "3", "too_large", "couriers"]);
    let ids = queues.bus(&["letters", "1"]);
    let moved = ids.trim();
    for _ in 0..2 {
        let listing = queues.json("list", &[]);
        assert_eq!(
            (&listing["count"], &listing["complete"]),
            (&16.into(), &true.into())
        );
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let groups = listing["groups"].as_array().unwrap().iter();
        let groups: Vec<_> = groups
            .map(|one| {
                (
                    word(&one["reason"]),
                    word(&one["route"]),
                    one["count"].as_u64().unwrap(),
                )
            })
            .collect();
        let known = |reason: &str, route: &str, count| (reason.to_owned(), route.to_owned(), count);
        let expected = [
            known("redrive", "-", 1),
            known("template_missing", "order-updates", 12),
            known("too_large", "couriers", 3),
        ];
        assert_eq!(groups, expected);
        let listed = listing["messages"].as_array().unwrap();
        assert_eq!(listed.len(), 16);
        let last = listed.iter().find(|one| one["id"] == moved).unwrap();
        assert_eq!(
            (&last["event_id"], &last["reason"]),
            (&"event--0".into(), &"redrive".into())
        );
    }
    let (_, out, _) = queues.run("list", &["--reason", "too_large", "--newer-than", "1h"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "REASON     ROUTE     COUNT  OLDEST  NEWEST");
    assert!(lines[1].starts_with("too_large  couriers  3 "), "{out}");
    assert!(
        lines[3].starts_with("ID ") && lines[3].contains("  EVENT "),
        "{out}"
    );
    assert!(
        out.contains("  event-too_large-couriers-1  too_large  couriers  "),
        "{out}"
    );
    let (_, out, _) = queues.run("list", &["--limit", "1"]);
    assert!(out.contains("and 15 more; --limit 16 shows them"), "{out}");
    let (_, out, _) = queues.run("list", &["--older-than", "1h"]);
    assert!(out.starts_with("0 dead-letter messages"), "{out}");
    let (_, out, _) = queues.run("list", &["--id", moved]);
    assert!(out.contains("\n1 dead-letter message in "), "{out}");

    // One whole, by either id.
    let shown = queues.json("show", &["event-too_large-couriers-2"]);
    assert_eq!(
        (&shown["reason"], &shown["detail"]),
        (&"too_large".into(), &"no such field".into())
    );
    assert_eq!(
        shown["body"],
        r#"{"id": "event-too_large-couriers-2", "n": 2}"#
    );
    let (status, out, _) = queues.run("show", &[moved]);
    assert_eq!(status, 0);
    for part in [
        &*format!("id:      {moved}\n"),
        "event:   event--0\n",
        "reason:  redrive\n",
        "\n\n{\"id\"",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (status, _, errors) = queues.run("show", &["nobody"]);
    assert_eq!(
        (status, errors.contains("has the id `nobody`")),
        (1, true),
        "{errors}"
    );

    // Sent back: those that are asked for, as they were.
    let filter = ["--reason", "template_missing", "--route", "order-updates"];
    let dry = queues.json("replay", &[&filter[..], &["--dry-run"]].concat());
    assert_eq!((&dry["replayed"], &dry["left"]), (&12.into(), &4.into()));
    assert_eq!(queues.replayed(), [""; 0]);
    let (status, out, errors) = queues.run("replay", &[&filter[..], &["--watch", "1s"]].concat());
    assert_eq!(
        (status, &*out),
        (0, "12 dead-letter messages replayed, 4 left\n"),
        "{errors}"
    );
    let replayed = queues.replayed();
    assert_eq!(replayed.len(), 12);
    // Its own attributes are gone, the sender's are not.
    assert_eq!(
        replayed[0],
        r#"{"id": "event-template_missing-order-updates-0", "n": 0} ['tenant']"#
    );

    // Deleted: those that are asked for, and only with --yes.
    let (status, _, errors) = queues.run("purge", &[]);
    assert_eq!(
        (status, errors.contains("without --yes")),
        (2, true),
        "{errors}"
    );
    let dry = queues.json("purge", &["--reason", "too_large", "--dry-run"]);
    assert_eq!((&dry["purged"], &dry["left"]), (&3.into(), &1.into()));
    assert_eq!(queues.count(), 4);
    let (status, out, errors) =
        queues.run("purge", &["--id", "event-too_large-couriers-0", "--yes"]);
    assert_eq!(
        (status, &*out),
        (0, "1 dead-letter message purged, 3 left\n"),
        "{errors}"
    );
    let (status, out, errors) = queues.run("purge", &["--reason", "too_large", "--yes"]);
    assert_eq!(
        (status, &*out),
        (0, "2 dead-letter messages purged, 1 left\n"),
        "{errors}"
    );
    let listing = queues.json("list", &[]);
    assert_eq!(
        (&listing["count"], &listing["messages"][0]["id"]),
        (&1.into(), &moved.into())
    );
    // None of it came to the queue.
    assert_eq!(queues.replayed(), [""; 0]);
}

#[test]
fn the_commands_on_moto() {
    the_commands(&Queues::on_moto());
}

#[test]
fn the_commands_on_dev() {
    the_commands(&Queues::on_dev());
}

#[test]
fn the_commands_on_ministack() {
    the_commands(&Queues::on_ministack());
}

/// Reasons and routes that there are not are errors, with the nearest that there is.
#[test]
fn unknown_names_are_errors() {
    let queues = Queues::on_dev();
    queues.bus(&["letters", "2", "template_missing", "renamed-since"]);
    for (arguments, help) in [
        (
            ["--reason", "templat_missing"],
            "did you mean `template_missing`?",
        ),
        (["--reason", "to_large"], "did you mean `too_large`?"),
        (["--reason", "redriven"], "did you mean `redrive`?"),
        (["--route", "order-update"], "did you mean `order-updates`?"),
        (["--route", "renamed"], "did you mean `renamed-since`?"),
        (
            ["--route", "xyz"],
            "there are couriers, large-orders, order-updates, renamed-since",
        ),
    ] {
        for verb in ["list", "replay", "purge"] {
            let mut command = queues.command(verb, &arguments);
            if verb == "purge" {
                command.arg("--yes");
            }
            let (status, _, errors) = told(command.output().unwrap());
            let what = format!(
                "error: there is no {} `{}`\nhelp: ",
                &arguments[0][2..],
                arguments[1]
            );
            assert_eq!(status, 2, "{verb} {arguments:?}: {errors}");
            assert!(errors.contains(&what) && errors.contains(help), "{errors}");
        }
    }
    // A route of the configuration without messages, and one that only messages know, are none.
    for route in ["couriers", "renamed-since"] {
        let (status, _, errors) = queues.run("list", &["--route", route]);
        assert_eq!((status, &*errors), (0, ""), "{route}");
    }
    assert_eq!(queues.count(), 2);
    // Queues named by flags need no configuration; then routes cannot be looked up.
    let mut command = queues.command("list", &["--route", "nope"]);
    command
        .args(["--dead-letter-queue", &queues.dead_letter_queue])
        .env("EVENTCAST_CONFIG", "/nonexistent.yaml");
    let (status, _, errors) = told(command.output().unwrap());
    assert_eq!(
        (
            status,
            errors.contains("note: no message is of route `nope`")
        ),
        (0, true),
        "{errors}"
    );
}

/// A signal ends each command soon, and everything is visible again at once.
#[test]
fn an_interruption_loses_nothing() {
    let queues = Queues::on_moto();
    // At one a second, a batch of ten takes ten seconds.
    queues.bus(&["letters", "80", "too_large", "couriers"]);
    let begin = |verb: &str, arguments: &[&str]| {
        let mut command = queues.command(verb, arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let end = |process: std::process::Child, signal: &str| {
        let id = process.id().to_string();
        Command::new("kill").args([signal, &id]).status().unwrap();
        let (status, out, errors) = told(process.wait_with_output().unwrap());
        assert_eq!(
            (status, errors.contains("interrupted")),
            (3, true),
            "{out}{errors}"
        );
    };
    let hidden = || {
        let state: Value = serde_json::from_str(&queues.bus(&["full"])).unwrap();
        state["dead_invisible"].as_u64().unwrap()
    };
    for signal in ["-INT", "-TERM"] {
        let purge = begin("purge", &["--rate", "1", "--yes"]);
        let before = queues.dead();
        while queues.dead() == before {
            thread::sleep(Duration::from_millis(50));
        }
        end(purge, signal);
        assert_eq!(hidden(), 0, "{signal}");
    }
    let left = queues.count();
    assert!((20..80).contains(&left), "{left}");

    let replay = begin("replay", &["--rate", "1"]);
    let mut replayed = Vec::new();
    while replayed.is_empty() {
        thread::sleep(Duration::from_millis(50));
        replayed = queues.replayed();
    }
    end(replay, "-INT");
    assert_eq!(hidden(), 0);
    replayed.extend(queues.replayed());
    replayed.sort();
    replayed.dedup();
    assert!((replayed.len() as u64) < left, "it was not interrupted");
    assert_eq!(replayed.len() as u64 + queues.count(), left);
}

impl Queues {
    /// Messages of the dead-letter queue, hidden ones included.
    fn dead(&self) -> u64 {
        let full: Value = serde_json::from_str(&self.bus(&["full"])).unwrap();
        full["dead_visible"].as_u64().unwrap() + full["dead_invisible"].as_u64().unwrap()
    }
}

/// Messages whose cause is still there are dead-lettered again, which replaying reports.
#[test]
fn what_comes_back_is_reported() {
    let queues = Queues::on_dev();
    let broker = Mosquitto::start();
    let mut bridge = queues
        .eventcast(&["bridge", "--set=bridge.wait=1s"])
        .env(
            "EVENTCAST_BRIDGE_BROKER",
            format!("mqtt://127.0.0.1:{}", broker.mqtt_port()),
        )
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // None of them is an event.
    queues.bus(&["letters", "3", "template_missing", "order-updates"]);
    let (status, out, errors) = queues.run("replay", &["--watch", "5s"]);
    let id = bridge.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    bridge.wait().unwrap();
    let expected =
        "3 dead-letter messages replayed, 0 left, 3 dead-lettered again (not_an_event 3)\n";
    assert_eq!((status, &*out), (3, expected), "{errors}");
    assert!(errors.contains("eventcast dlq show"), "{errors}");
    assert_eq!(queues.count(), 3);
}

/// A FIFO queue hands out no more of a group while some are in flight: the command reports that it
/// has not seen the rest.
#[test]
fn message_groups_that_are_not_looked_at_whole() {
    let queues = Queues::on_dev();
    let url = queues.bus(&["fifo", "25"]);
    let (status, out, errors) = queues.run("list", &["--dead-letter-queue", url.trim()]);
    assert_eq!(status, 0, "{errors}");
    assert!(out.contains("\n10 dead-letter messages in "), "{out}");
    assert!(
        errors.contains("note: 10 of about 25 messages were looked at"),
        "{errors}"
    );
}

#[test]
fn what_is_wrong_is_said() {
    let queues = Queues::on_moto();
    let none = format!("{}-none", queues.dead_letter_queue);
    let (status, _, errors) = queues.run("list", &["--dead-letter-queue", &none]);
    assert_eq!(
        (status, errors.contains("check the queue's URL")),
        (3, true),
        "{errors}"
    );
    let mut command = queues.command("replay", &[]);
    command.env_remove("EVENTCAST_BRIDGE_DEAD_LETTER_QUEUE");
    let (status, _, errors) = told(command.output().unwrap());
    assert_eq!(status, 2);
    assert!(
        errors.contains("`bridge.dead_letter_queue` is not set"),
        "{errors}"
    );
    let (status, _, errors) = queues.run("list", &["--older-than", "soon"]);
    assert_eq!((status, errors.contains("30s, 5m")), (2, true), "{errors}");
}
