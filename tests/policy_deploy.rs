//! `eventcast policy apply`, `revoke` and `show` against moto's control plane, looked at with boto3; what moto does not do (refusals,
//! throttling, ending connections) against a server that answers as it is told.

#![cfg(feature = "admin")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/moto.rs"]
mod moto;
#[path = "support/scripted_http.rs"]
mod scripted_http;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use moto::Moto;
use scripted_http::Scripted;
use serde_json::{Value, json};

/// A control plane, and a folder for files; both go when this is dropped.
struct Plane {
    moto: Moto,
    folder: PathBuf,
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Plane {
    fn new() -> Self {
        Self {
            moto: Moto::start(),
            folder: folder(),
        }
    }

    /// A certificate, a thing group and a Cognito identity.
    fn targets(&self) -> [String; 3] {
        let out = self.python(&["setup"]);
        let words: Vec<String> = out.split_whitespace().map(str::to_owned).collect();
        words.try_into().unwrap()
    }

    fn python(&self, arguments: &[&str]) -> String {
        let mut command = moto::python("iot.py");
        command.args(arguments).envs(self.moto.environment());
        let (status, out, errors) = told(command.output().unwrap());
        assert_eq!(status, 0, "{errors}");
        out
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.python(&["state"])).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = eventcast(arguments);
        command
            .current_dir(&self.folder)
            .envs(self.moto.environment());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(self.command(arguments).output().unwrap())
    }

    /// A command that goes well, and its report.
    #[track_caller]
    fn report(&self, arguments: &[&str]) -> Value {
        let (status, out, errors) = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(status, 0, "{out}{errors}");
        serde_json::from_str(&out).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        name.to_owned()
    }
}

fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("eventcast-deploy-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn eventcast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    command.arg("policy").args(arguments);
    command
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

/// A document that lets one client connect.
fn document(client: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:123456789012:client/{client}"}}]}}"#
    )
}

#[test]
fn a_policy_is_made_once() {
    let plane = Plane::new();
    let policy = plane.write("p.json", &document("a"));
    let apply = ["apply", "--name", "customer", "--policy", &policy];
    let (status, out, errors) = plane.run(&apply);
    assert_eq!((status, &*errors), (0, ""));
    assert_eq!(
        out,
        "created customer: version 1\n1 asked for in us-east-1: 1 created; 2 calls\n"
    );
    assert_eq!(plane.state()["customer"]["document"], document("a"));
    // The same document in another layout costs one call, which reads.
    plane.write(
        "p.json",
        &document("a").replace(',', ",\n  ").replace(":[", ": ["),
    );
    let report = plane.report(&apply);
    assert_eq!(report["calls"], json!({"GetPolicy": 1}));
    assert_eq!(report["counts"], json!({"unchanged": 1}));
    assert_eq!(plane.state()["customer"]["versions"], json!(["1"]));
}

#[test]
fn another_document_becomes_the_default_version() {
    let plane = Plane::new();
    let apply = |client: &str| {
        let policy = document(client);
        plane.report(&["apply", "--name", "p", "--policy", &policy])
    };
    apply("a");
    let report = apply("b");
    assert_eq!(
        report["policies"][0]["steps"],
        json!([{"did": "new-version", "version": "2"}])
    );
    let state = &plane.state()["p"];
    assert_eq!(
        (&state["default"], &state["versions"]),
        (&json!("2"), &json!(["1", "2"]))
    );
    assert_eq!(state["document"], document("b"));
}

#[test]
fn the_oldest_version_goes_but_never_the_default() {
    let plane = Plane::new();
    let apply = |client: &str| {
        let policy = document(client);
        plane.report(&["apply", "--name", "p", "--policy", &policy])["policies"][0]["steps"].take()
    };
    apply("a");
    plane.python(&["version", "p", "4"]);
    // Version 1 is the oldest and the default.
    let steps = apply("b");
    assert_eq!(
        steps,
        json!([{"did": "delete-version", "version": "2"}, {"did": "new-version", "version": "6"}])
    );
    let state = &plane.state()["p"];
    assert_eq!(state["versions"], json!(["1", "3", "4", "5", "6"]));
    let steps = apply("c");
    assert_eq!(steps[0], json!({"did": "delete-version", "version": "1"}));
    assert_eq!(plane.state()["p"]["document"], document("c"));
}

#[test]
fn policies_are_attached_to_everything_that_takes_them() {
    let plane = Plane::new();
    let [certificate, group, identity] = &plane.targets();
    let policy = plane.write("p.json", &document("a"));
    let apply = [
        "apply",
        "--name",
        "p",
        "--policy",
        &policy,
        "--attach",
        certificate,
    ];
    let both = [&apply[..], &["--attach", group, "--attach", identity]].concat();
    plane.report(&apply);
    let report = plane.report(&both);
    assert_eq!(report["counts"], json!({"attached": 2}));
    let mut all = vec![certificate, group, identity];
    all.sort();
    assert_eq!(plane.state()["p"]["targets"], json!(all));
    let report = plane.report(&both);
    assert_eq!(report["counts"], json!({"unchanged": 1}));
    assert_eq!(
        report["calls"],
        json!({"GetPolicy": 1, "ListAttachedPolicies": 3})
    );
    // Nothing is detached unless that is asked for.
    let report = plane.report(&apply);
    assert_eq!(report["counts"], json!({"unchanged": 1}));
    let report = plane.report(&[&apply[..], &["--prune-targets"]].concat());
    assert_eq!(report["counts"], json!({"detached": 2}));
    assert_eq!(plane.state()["p"]["targets"], json!([certificate]));
}

#[test]
fn a_target_that_does_not_exist_fails_alone() {
    let plane = Plane::new();
    let [certificate, group, _] = &plane.targets();
    let none = "us-east-1:00000000-0000-0000-0000-000000000000";
    let policy = document("a");
    let attach = ["--attach", certificate, "--attach", none, "--attach", group];
    let (status, out, errors) =
        plane.run(&[&["apply", "--name", "p", "--policy", &policy][..], &attach].concat());
    assert_eq!(status, 3, "{out}{errors}");
    assert!(
        errors.starts_with(&format!(
            "error: attaching policy `p` to `{none}`: ResourceNotFoundException"
        )) && errors.contains("\nhelp: check the target's ARN or id"),
        "{errors}"
    );
    let mut all = vec![certificate, group];
    all.sort();
    assert_eq!(plane.state()["p"]["targets"], json!(all));
}

#[test]
fn a_dry_run_changes_nothing() {
    let plane = Plane::new();
    let [certificate, group, _] = &plane.targets();
    let (a, b) = (document("a"), document("b"));
    plane.report(&[
        "apply",
        "--name",
        "p",
        "--policy",
        &a,
        "--attach",
        certificate,
    ]);
    plane.python(&["version", "p", "4"]);
    let before = plane.state();
    let (status, out, errors) = plane.run(&[
        "apply",
        "--name",
        "p",
        "--policy",
        &b,
        "--attach",
        group,
        "--prune-targets",
        "--dry-run",
    ]);
    assert_eq!((status, &*errors), (0, ""));
    assert_eq!(
        out,
        format!(
            "would delete p: version 2\nwould update p\nwould attach p to {group}\nwould detach p from {certificate}\n\
            1 asked for in us-east-1: 1 updated, 1 versions deleted, 1 attached, 1 detached; 3 calls that only read: this was a dry run\n"
        )
    );
    let (status, out, _) = plane.run(&["revoke", "--name", "p", "--delete", "--dry-run"]);
    assert_eq!(status, 0);
    assert!(
        out.starts_with(&format!(
            "would detach p from {certificate}\nwould delete p: version 2\n"
        )),
        "{out}"
    );
    assert!(out.contains("would delete p\n"), "{out}");
    plane.write("list.csv", "name,policy\nq,p.json\n");
    plane.write("p.json", &a);
    plane.report(&[
        "apply",
        "--from",
        "list.csv",
        "--journal",
        "journal",
        "--dry-run",
    ]);
    assert!(!plane.folder.join("journal").exists());
    assert_eq!(plane.state(), before);
}

/// A list with lines that are right and lines that are not, as CSV and as JSON lines.
fn lists(plane: &Plane, group: &str) -> [String; 2] {
    plane.write("courier.json", &document("courier"));
    let inline = document("customer");
    let csv = format!(
        "name,policy,targets\n\
        courier,courier.json,{group}\n\
        customer,\"{}\",\n\
        bad name,courier.json,\n\
        none,no-such.json,\n\
        wide,\"{{\"\"Version\"\":\"\"2012-10-17\"\"}}\",\n\
        lost,courier.json,my-thing\n\
        courier,courier.json,\n\
        support,courier.json,\n",
        inline.replace('"', "\"\"")
    );
    let lines = [
        json!({"name": "courier", "policy": "courier.json", "targets": [group]}),
        json!({"name": "bad name", "policy": "courier.json"}),
        json!({"name": "none", "policy": "no-such.json"}),
        json!({"name": "wide", "policy": {"Version": "2012-10-17"}}),
        json!({"name": "lost", "policy": "courier.json", "targets": ["my-thing"]}),
        json!({"name": "courier", "policy": "courier.json"}),
        json!({"name": "support", "policy": "courier.json"}),
    ];
    // A line more at the top, so that both have the same numbers.
    let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    // As text, since a value would lose the order of the document's keys.
    lines.insert(1, format!(r#"{{"name": "customer", "policy": {inline}}}"#));
    let jsonl = format!("\n{}\n", lines.join("\n"));
    [
        plane.write("list.csv", &csv),
        plane.write("list.jsonl", &jsonl),
    ]
}

#[test]
fn lists_are_applied_and_bad_lines_told() {
    let plane = Plane::new();
    let [_, group, _] = &plane.targets();
    for list in lists(&plane, group) {
        let (status, out, errors) = plane.run(&["apply", "--from", &list, "--format", "json"]);
        assert_eq!(status, 3, "{out}{errors}");
        let report: Value = serde_json::from_str(&out).unwrap();
        let failure = |failure: &Value| {
            assert_eq!(failure["file"], json!(list));
            assert!(
                errors.contains(failure["error"].as_str().unwrap()),
                "{errors}"
            );
            (failure["line"].as_u64().unwrap(), failure["value"].clone())
        };
        let failures: Vec<_> = report["failures"]
            .as_array()
            .unwrap()
            .iter()
            .map(failure)
            .collect();
        let wide = r#"{"Version":"2012-10-17"}"#;
        let expected = [
            (4, "bad name"),
            (5, "no-such.json"),
            (6, wide),
            (7, "my-thing"),
            (8, "courier"),
        ];
        assert_eq!(failures, expected.map(|(line, value)| (line, json!(value))));
        assert_eq!(report["counts"]["failed"], 5);
        let state = plane.state();
        let names: Vec<_> = state.as_object().unwrap().keys().collect();
        assert_eq!(names, ["courier", "customer", "support"]);
        assert_eq!(state["courier"]["targets"], json!([group]));
        assert_eq!(state["customer"]["document"], document("customer"));
        let (status, out, errors) = plane.run(&["revoke", "--from", &list, "--delete"]);
        // The target that is none and the name that is none are told here as well.
        assert_eq!(status, 3, "{out}{errors}");
        assert_eq!(plane.state(), json!({}));
    }
    plane.write("bad.csv", "name,polcy\n");
    let (status, _, errors) = plane.run(&["apply", "--from", "bad.csv"]);
    assert_eq!(status, 2);
    assert_eq!(
        errors,
        "error: the list `bad.csv` has a column `polcy`\nhelp: the columns are name,policy,targets\n"
    );
}

/// A list of so many policies.
fn many(plane: &Plane, count: usize) -> String {
    plane.write("p.json", &document("a"));
    let rows: Vec<String> = (0..count)
        .map(|number| format!("p{number},p.json"))
        .collect();
    plane.write("many.csv", &format!("name,policy\n{}\n", rows.join("\n")))
}

#[test]
fn a_rerun_with_a_journal_spends_no_call_on_what_is_done() {
    let plane = Plane::new();
    let list = many(&plane, 20);
    let apply = [
        "apply",
        "--from",
        &list,
        "--journal",
        "journal",
        "--rate",
        "20",
    ];
    let report = plane.report(&apply);
    assert_eq!(
        report["calls"],
        json!({"CreatePolicy": 20, "GetCallerIdentity": 1, "GetPolicy": 20})
    );
    let report = plane.report(&apply);
    assert_eq!(report["calls"], json!({"GetCallerIdentity": 1}));
    assert_eq!(report["counts"], json!({"skipped": 20}));
    // What is asked for otherwise is looked at again.
    plane.write("p.json", &document("b"));
    let report = plane.report(&apply);
    assert_eq!(report["counts"], json!({"updated": 20}));
    // A journal belongs to an account and a Region.
    let mut elsewhere = plane.command(&apply);
    elsewhere.env("AWS_REGION", "eu-west-1");
    let (status, _, errors) = told(elsewhere.output().unwrap());
    assert_eq!(status, 2, "{errors}");
    assert!(
        errors.contains(
            "the journal `journal` is of `policy apply` in account 123456789012, Region us-east-1"
        ),
        "{errors}"
    );
    let (status, _, errors) = plane.run(&["revoke", "--from", &list, "--journal", "journal"]);
    assert_eq!(status, 2, "{errors}");
}

#[test]
fn an_interruption_is_gone_on_from() {
    let plane = Plane::new();
    let list = many(&plane, 100);
    let apply = [
        "apply",
        "--from",
        &list,
        "--journal",
        "journal",
        "--format",
        "json",
    ];
    let running = plane
        .command(&apply)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = plane.folder.join("journal");
    let lines = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    let mut looks = 0..3_000;
    while lines() < 10 {
        assert!(looks.next().is_some(), "nothing is journalled");
        thread::sleep(Duration::from_millis(20));
    }
    let id = running.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    let (status, out, errors) = told(running.wait_with_output().unwrap());
    assert_eq!(status, 3, "{out}{errors}");
    assert!(
        errors.starts_with("interrupted: finishing what is under way"),
        "{errors}"
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    let created = report["counts"]["created"].as_u64().unwrap();
    assert_eq!(report["complete"], json!(false));
    assert_eq!(
        report["counts"]["not tried"].as_u64().unwrap(),
        100 - created
    );
    // What was begun was finished, and is in the journal.
    assert!(created < 100, "it was not interrupted");
    assert_eq!(plane.state().as_object().unwrap().len() as u64, created);
    assert_eq!(lines() as u64, created + 1);
    let report = plane.report(&apply[..5]);
    assert_eq!(
        report["counts"],
        json!({"created": 100 - created, "skipped": created})
    );
    assert_eq!(report["calls"]["GetPolicy"], 100 - created);
    assert_eq!(plane.state().as_object().unwrap().len(), 100);
}

#[test]
fn a_policy_with_many_targets_is_left_between_two_of_them() {
    let plane = Plane::new();
    let groups = plane.python(&["groups", "60"]);
    let policy = document("a");
    let mut arguments = vec!["apply", "--name", "p", "--policy", &policy, "--rate", "0.2"];
    arguments.extend(
        groups
            .split_whitespace()
            .flat_map(|group| ["--attach", group]),
    );
    let running = plane
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let attached = || plane.state()["p"]["targets"].as_array().map_or(0, Vec::len);
    let mut looks = 0..300;
    while attached() == 0 {
        assert!(looks.next().is_some(), "nothing is attached");
    }
    let id = running.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    let (status, out, errors) = told(running.wait_with_output().unwrap());
    assert_eq!(status, 3, "{out}{errors}");
    assert!(out.contains(" attached, 1 interrupted; "), "{out}");
    assert!(attached() < 60);
    // The rest is done by the same command.
    let at = arguments.iter().position(|word| *word == "0.2").unwrap();
    arguments[at] = "20";
    let report = plane.report(&arguments);
    assert_eq!(report["calls"]["ListTargetsForPolicy"], 1);
    assert_eq!(attached(), 60);
}

#[test]
fn policies_are_taken_back() {
    let plane = Plane::new();
    let [certificate, group, identity] = &plane.targets();
    let policy = document("a");
    plane.report(&[
        "apply",
        "--name",
        "p",
        "--policy",
        &policy,
        "--attach",
        certificate,
        "--attach",
        group,
        "--attach",
        identity,
    ]);
    plane.python(&["version", "p", "2"]);
    let (status, out, errors) = plane.run(&["revoke", "--name", "p", "--target", identity]);
    assert_eq!(
        (status, &*out),
        (
            0,
            &*format!(
                "detached p from {identity}\n1 asked for in us-east-1: 1 detached; 2 calls\n"
            )
        )
    );
    assert!(
        errors.starts_with("note: changes of attached policies are in force after 6 to 8 minutes"),
        "{errors}"
    );
    // Again there is nothing to do.
    let report = plane.report(&["revoke", "--name", "p", "--target", identity]);
    assert_eq!(report["counts"], json!({"unchanged": 1}));
    // It would stay attached to others.
    let (status, _, errors) = plane.run(&["revoke", "--name", "p", "--target", group, "--delete"]);
    assert_eq!(status, 3);
    assert!(
        errors.contains("policy `p` would stay attached to 1 other targets"),
        "{errors}"
    );
    let report = plane.report(&["revoke", "--name", "p", "--delete"]);
    assert_eq!(
        report["counts"],
        json!({"detached": 2, "versions deleted": 2, "deleted": 1})
    );
    assert_eq!(plane.state(), json!({}));
    let (status, out, errors) = plane.run(&["revoke", "--name", "p", "--delete"]);
    assert_eq!(status, 0, "{out}");
    assert!(errors.contains("note: there is no policy `p`"), "{errors}");
}

#[test]
fn what_is_deployed_is_shown() {
    let plane = Plane::new();
    let [certificate, group, _] = &plane.targets();
    let (a, b) = (document("a"), document("b"));
    plane.report(&["apply", "--name", "p", "--policy", &a, "--attach", group]);
    plane.report(&["apply", "--name", "p", "--policy", &b]);
    plane.report(&["apply", "--name", "q", "--policy", &b, "--attach", group]);
    let shown = plane.report(&["show", "--name", "p"]);
    assert_eq!(
        shown["document"].to_string(),
        serde_json::from_str::<Value>(&b).unwrap().to_string()
    );
    assert_eq!(
        (&shown["version"], &shown["targets"]),
        (&json!("2"), &json!([group]))
    );
    let default = |version: &Value| version["default"].clone();
    let defaults: Vec<Value> = shown["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(default)
        .collect();
    assert_eq!(defaults, [json!(false), json!(true)]);
    assert!(
        shown["versions"][0]["created"]
            .as_str()
            .unwrap()
            .starts_with("20")
    );
    let (status, out, _) = plane.run(&["show", "--name", "p", "--version", "1"]);
    assert_eq!(status, 0);
    for line in [
        "policy:   p",
        "arn:      arn:aws:iot:us-east-1:123456789012:policy/p",
        &format!("targets:  {group}"),
        "version 1:",
        &a,
    ] {
        assert!(out.lines().any(|known| known == line), "{line}: {out}");
    }
    let (_, out, _) = plane.run(&["show", "--target", group]);
    assert_eq!(out, "p\nq\n");
    let (_, out, _) = plane.run(&["show", "--target", certificate]);
    assert_eq!(out, "");
    let (_, out, _) = plane.run(&["show"]);
    assert_eq!(out, "p\nq\n");
    let (status, _, errors) = plane.run(&["show", "--name", "r"]);
    assert_eq!(
        (status, &*errors),
        (1, "there is no policy `r` in us-east-1\n")
    );
    let (status, _, errors) = plane.run(&["show", "--name", "p", "--version", "7"]);
    assert_eq!(
        (status, &*errors),
        (1, "policy `p` has no version `7`; it has 1, 2\n")
    );
}

/// A command whose calls go to a scripted server.
fn scripted(server: &Scripted, arguments: &[&str]) -> (i32, String, String) {
    let mut command = eventcast(arguments);
    command.env("AWS_ENDPOINT_URL", server.url()).envs([
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ]);
    told(command.output().unwrap())
}

#[test]
fn what_is_wrong_is_told_before_any_call() {
    let server = Scripted::start(&[]);
    let good = document("a");
    let large = document(&"x".repeat(2_048));
    for (arguments, told) in [
        (
            &["apply", "--name", "a b", "--policy", &good][..],
            "error: the policy's name `a b` has a ` `\nhelp: ",
        ),
        (
            &["apply", "--name", "p", "--policy", "{not json"],
            "error[not-json]: ",
        ),
        (
            &[
                "apply",
                "--name",
                "p",
                "--policy",
                r#"{"Version":"2012-10-18","Statement":[]}"#,
            ],
            "error[",
        ),
        (
            &["apply", "--name", "p", "--policy", &large],
            "error: policy: the document has 2",
        ),
        (
            &["apply", "--name", "p", "--policy", "no-such.json"],
            "error: reading the policy `no-such.json`: ",
        ),
        (
            &[
                "apply", "--name", "p", "--policy", &good, "--attach", "my-thing",
            ],
            "error: the target `my-thing` is neither an ARN nor the id of a Cognito identity\nhelp: ",
        ),
        (
            &[
                "apply",
                "--name",
                "p",
                "--policy",
                &good,
                "--attach",
                "eu-west-1:abc",
            ],
            "error: the target `eu-west-1:abc` is not in the Region `us-east-1`\nhelp: ",
        ),
        (
            &["apply", "--name", "p"],
            "error: the following required arguments",
        ),
        (
            &["apply", "--from", "list.yaml"],
            "error: the list `list.yaml` is of no known kind\nhelp: ",
        ),
        (&["revoke"], "error: the following required arguments"),
        (
            &["revoke", "--disconnect", "$c"],
            "error: the client id `$c` is none that can be disconnected\nhelp: ",
        ),
        (
            &["show", "--name", ""],
            "error: a policy's name is empty\nhelp: ",
        ),
        (
            &["show", "--target", "x"],
            "error: the target `x` is neither",
        ),
    ] {
        let (status, out, errors) = scripted(&server, arguments);
        assert_eq!((status, &*out), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.starts_with(told), "{arguments:?}: {errors}");
    }
    assert_eq!(server.calls(), [""; 0]);
}

#[test]
fn credentials_and_region_are_looked_for_first() {
    let without = |name: &str| {
        let mut command = eventcast(&["show"]);
        command
            .envs([
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
                ("AWS_ACCESS_KEY_ID", "AKID"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_CONFIG_FILE", "/nonexistent"),
                ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
            ])
            .env_remove("AWS_DEFAULT_REGION")
            .env_remove(name);
        told(command.output().unwrap())
    };
    let (status, _, errors) = without("AWS_REGION");
    assert_eq!(status, 2);
    assert_eq!(
        errors,
        "error: there is no AWS Region\nhelp: set AWS_REGION, or a Region in the profile\n"
    );
    let (status, _, errors) = without("AWS_ACCESS_KEY_ID");
    assert_eq!(status, 2, "{errors}");
    assert!(
        errors.contains("\nhelp: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        "{errors}"
    );
}

#[test]
fn throttled_calls_are_made_again() {
    let server = Scripted::start(&[
        (404, "ResourceNotFoundException", "{}"),
        (429, "ThrottlingException", "{}"),
        (503, "ServiceUnavailableException", "{}"),
        (200, "", r#"{"policyVersionId":"1"}"#),
    ]);
    let (status, out, errors) = scripted(
        &server,
        &["apply", "--name", "p", "--policy", &document("a")],
    );
    assert_eq!(status, 0, "{out}{errors}");
    assert_eq!(
        server.calls(),
        [
            "GET /policies/p",
            "POST /policies/p",
            "POST /policies/p",
            "POST /policies/p"
        ]
    );
}

#[test]
fn pages_are_turned() {
    let group = |name: &str| format!("arn:aws:iot:us-east-1:123456789012:thinggroup/{name}");
    let page =
        |name: &str, next: &str| json!({"targets": [group(name)], "nextMarker": next}).to_string();
    let deployed = json!({"policyDocument": document("a"), "defaultVersionId": "1"}).to_string();
    let server = Scripted::start(&[
        (200, "", &deployed),
        (200, "", &page("a", "m&1")),
        (200, "", &page("b", "")),
        (200, "", "{}"),
    ]);
    let policy = document("a");
    let attach = [group("b"), group("a"), group("c")];
    let mut arguments = vec![
        "apply",
        "--name",
        "p",
        "--policy",
        &policy,
        "--prune-targets",
    ];
    arguments.extend(attach.iter().flat_map(|target| ["--attach", target]));
    let (status, out, errors) = scripted(&server, &arguments);
    assert_eq!(status, 0, "{out}{errors}");
    let line = format!("attached p to {}\n", group("c"));
    assert!(out.starts_with(&line), "{out}");
    assert_eq!(
        server.calls(),
        [
            "GET /policies/p",
            "POST /policy-targets/p?pageSize=250",
            "POST /policy-targets/p?marker=m%261&pageSize=250",
            "PUT /target-policies/p",
        ]
    );
}

#[test]
fn a_version_whose_fate_is_unknown_is_looked_for_and_not_made_twice() {
    let old = json!({"policyDocument": document("a"), "defaultVersionId": "1"}).to_string();
    let new = json!({"policyDocument": document("b"), "defaultVersionId": "2"}).to_string();
    let versions =
        json!({"policyVersions": [{"versionId": "1", "isDefaultVersion": true}]}).to_string();
    let server = Scripted::start(&[
        (200, "", &old),
        (200, "", &versions),
        (500, "InternalFailureException", "{}"),
        (200, "", &new),
    ]);
    let (status, out, errors) = scripted(
        &server,
        &["apply", "--name", "p", "--policy", &document("b")],
    );
    assert_eq!(status, 0, "{out}{errors}");
    assert_eq!(
        server.calls(),
        [
            "GET /policies/p",
            "GET /policies/p/version",
            "POST /policies/p/version?setAsDefault=true",
            "GET /policies/p"
        ]
    );
}

#[test]
fn nothing_more_is_tried_with_credentials_that_are_not_taken() {
    let server = Scripted::start(&[(403, "UnrecognizedClientException", "{}"); 200]);
    let folder = folder();
    let list = folder.join("many.csv");
    fs::write(folder.join("p.json"), document("a")).unwrap();
    let rows: Vec<String> = (0..100).map(|number| format!("p{number},p.json")).collect();
    fs::write(&list, format!("name,policy\n{}\n", rows.join("\n"))).unwrap();
    let (status, out, errors) = scripted(&server, &["apply", "--from", list.to_str().unwrap()]);
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(status, 3, "{out}");
    assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
    assert!(
        errors.contains("\nhelp: check the AWS credentials"),
        "{errors}"
    );
    assert!(
        out.starts_with("100 asked for in us-east-1: 100 not tried"),
        "{out}"
    );
    assert!(server.calls().len() <= 16, "{}", server.calls().len());
}

#[test]
fn a_policy_that_cannot_be_deleted_yet_is_told_of() {
    let versions =
        json!({"policyVersions": [{"versionId": "1", "isDefaultVersion": true}]}).to_string();
    let server = Scripted::start(&[
        (200, "", r#"{"targets":[]}"#),
        (200, "", &versions),
        (409, "DeleteConflictException", "{}"),
    ]);
    let (status, out, errors) = scripted(
        &server,
        &["revoke", "--name", "p", "--delete", "--wait", "1s"],
    );
    assert_eq!(status, 3, "{out}{errors}");
    assert!(
        errors.starts_with("error: deleting policy `p`: DeleteConflictException"),
        "{errors}"
    );
    assert!(errors.contains("5 minutes"), "{errors}");
    // Or waited for.
    let answers = [(200, "", r#"{"targets":[]}"#), (200, "", &*versions)];
    let held = [(409, "DeleteConflictException", "{}")];
    let done = [(200, "", "{}")];
    let server = Scripted::start(&[&answers[..], &held, &answers, &done].concat());
    let (status, out, errors) = scripted(&server, &["revoke", "--name", "p", "--delete"]);
    assert_eq!(
        (status, &*out),
        (
            0,
            "deleted p\n1 asked for in us-east-1: 1 deleted; 6 calls\n"
        ),
        "{errors}"
    );
}

#[test]
fn live_connections_are_ended() {
    let server = Scripted::start(&[(200, "", "{}"), (404, "ResourceNotFoundException", "{}")]);
    let arguments = [
        "revoke",
        "--disconnect",
        "courier/17",
        "--disconnect",
        "courier-18",
        "--clean-session",
        "--prevent-will",
        "--endpoint",
        &server.url(),
    ];
    let (status, out, errors) = scripted(&server, &arguments);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(
        out,
        "disconnected courier/17\n1 asked for in us-east-1: 1 disconnected; 2 calls\n"
    );
    assert!(
        errors.contains("note: client `courier-18` was not connected\n"),
        "{errors}"
    );
    assert!(
        errors.contains("end its connection once more after that"),
        "{errors}"
    );
    assert_eq!(
        server.calls(),
        [
            "DELETE /connections/courier%2F17?cleanSession=true&preventWillMessage=true",
            "DELETE /connections/courier-18?cleanSession=true&preventWillMessage=true"
        ]
    );
    // Whoever may not end connections is told what to grant.
    let server = Scripted::start(&[(403, "ForbiddenException", "{}")]);
    let (status, _, errors) = scripted(&server, &["revoke", "--disconnect", "c"]);
    assert_eq!(status, 3);
    assert!(
        errors.contains("help: grant whoever runs this iot:DeleteConnection"),
        "{errors}"
    );
}
