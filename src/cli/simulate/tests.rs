//! The command as it is typed.

use std::path::PathBuf;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    command: Command,
}

#[track_caller]
fn answer(arguments: &[&str]) -> (Status, String, String) {
    let arguments = Arguments::parse_from([&["simulate"], arguments].concat());
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = run(&arguments.command, &mut out, &mut messages).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status, text(out), text(messages))
}

/// A file with a text, in a folder of its own.
fn file(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("eventcast-simulate-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn the_example_is_the_built_in_scenario() {
    let (status, example, _) = answer(&["--example"]);
    assert_eq!(status, Status::Yes);
    let written = file("example.yaml", &example);
    let small = ["--set", "clients.count=1000"];
    let (_, built_in, _) = answer(&small);
    let (_, of_file, _) = answer(&[&[written.to_str().unwrap()], &small[..]].concat());
    assert_eq!(built_in, of_file);
}

#[test]
fn all_that_is_wrong_is_said_with_its_line() {
    let wrong = file(
        "wrong.yaml",
        "name: x\nclients: { count: 0, chanels: 3, backoff_first: 2m }\nbridge: { events_per_second: 9, max_tasks: 1 }\ndisturbances:\n  - { name: a, kind: disconnect, for: 3s }\n  - { name: a, kind: outage, for: 10ms }\n",
    );
    let name = wrong.to_str().unwrap();
    let (status, out, messages) = answer(&[name]);
    assert_eq!((status, &*out), (Status::CannotAnswer, ""));
    let says = |messages: &str, expected: &[&str]| {
        for one in expected {
            assert!(messages.contains(one), "`{one}` is missing:\n{messages}");
        }
    };
    says(
        &messages,
        &[
            "`clients.count` is 0",
            "wrong.yaml:2:19",
            "there is no key `chanels` here",
            "did you mean `channels`?",
        ],
    );
    let settings = ["--set", "clients.count=10", "--set", "clients.chanels=4"];
    let (_, _, messages) = answer(&[&[name], &settings[..]].concat());
    assert!(messages.contains("--set clients.chanels"), "{messages}");
    let text = fs::read_to_string(&wrong).unwrap();
    fs::write(
        &wrong,
        text.replace("count: 0, chanels", "count: 9, channels"),
    )
    .unwrap();
    let (_, _, messages) = answer(&[name]);
    says(
        &messages,
        &[
            "`backoff_longest` is shorter than `backoff_first`",
            "`max_tasks` is 1, `tasks` is 2",
            "`for` says nothing of `disconnect`",
            "there is a disturbance `a` already",
            "`for` is 10ms",
            "it is from 1s to 7d",
            "wrong.yaml:5:",
        ],
    );
}

#[test]
fn variants_settings_and_files() {
    let html = file("report.html", "");
    let curve = file(
        "curve.json",
        r#"{"name": "dev", "clients": 10, "live": [[0, 0], [9000, 10]]}"#,
    );
    let (html, curve) = (html.to_str().unwrap(), curve.to_str().unwrap());
    let (status, out, messages) = answer(&[
        "--set",
        "clients.count=1000",
        "--seed",
        "3",
        "--compare",
        "connect-quota=50,jitter=none",
        "--html",
        html,
        "--measured",
        curve,
        "--format",
        "json",
    ]);
    assert_eq!((status, &*messages), (Status::Yes, ""));
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["runs"][0]["label"], "as written");
    assert_eq!(answer["runs"][1]["scenario"]["limits"]["connect_quota"], 50);
    assert_eq!(answer["runs"][1]["scenario"]["clients"]["jitter"], "none");
    assert_eq!(answer["runs"][0]["scenario"]["seed"], 3);
    assert_eq!(answer["measured"][0]["measured_ms"], 9_000);
    assert!(
        fs::read_to_string(html)
            .unwrap()
            .starts_with("<!doctype html>")
    );
}

#[test]
fn what_cannot_be_read_or_is_too_much() {
    for (arguments, said) in [
        (
            &["/nowhere/x.yaml"][..],
            "reading the scenario `/nowhere/x.yaml`",
        ),
        (
            &["--measured", "/nowhere/x.json"],
            "the measured curve `/nowhere/x.json`",
        ),
        (&["--compare", "none=1"], "there is no value `none` to set"),
        (
            &[
                "--compare",
                "a",
                "--compare",
                "a",
                "--compare",
                "a",
                "--compare",
                "a",
                "--compare",
                "a",
                "--compare",
                "a",
            ],
            "at most 5 times",
        ),
    ] {
        let (status, _, messages) = answer(arguments);
        assert_eq!(status, Status::CannotAnswer);
        assert!(messages.contains(said), "{messages}");
        assert!(
            messages.contains("help: ") || messages.contains("accepted"),
            "{messages}"
        );
    }
}

#[test]
fn the_scenarios_of_the_repository_are_right() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/scenarios");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.display().to_string();
            assert!(load(&name, &text, &[]).is_ok(), "{name}");
            read += 1;
        }
    }
    assert!(read >= 7, "{read}");
}
