//! `eventcast policy apply`, `revoke` and `show` against moto's control plane, looked at with
//! boto3; and against that of `eventcast dev`, where another crate (`tests/policy_deploy_dev.rs`)
//! has this file as a module.

#![cfg(feature = "admin")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/deploy.rs"]
mod deploy;
#[cfg(feature = "dev")]
#[path = "support/dev.rs"]
mod dev;
#[path = "support/moto.rs"]
mod moto;
#[path = "policy_deploy/refusals.rs"]
mod refusals;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use deploy::{document, eventcast, folder, told};
use moto::Moto;
use serde_json::{Value, json};

/// Returns `true` in the crate that tries `eventcast dev`.
fn is_on_dev() -> bool {
    env!("CARGO_CRATE_NAME") == "policy_deploy_dev"
}

/// Account that has the policies.
fn account() -> &'static str {
    if is_on_dev() {
        "000000000000"
    } else {
        "123456789012"
    }
}

/// The server that has the control plane; it ends when this is dropped.
enum Server {
    Moto(Moto),
    #[cfg(feature = "dev")]
    Dev(dev::Dev),
}

impl Server {
    fn start() -> Self {
        #[cfg(feature = "dev")]
        if is_on_dev() {
            return Self::Dev(dev::Dev::start(&[]));
        }
        Self::Moto(Moto::start())
    }

    fn environment(&self) -> [(&'static str, String); 5] {
        match self {
            Self::Moto(moto) => moto.environment(),
            #[cfg(feature = "dev")]
            Self::Dev(dev) => dev.environment(),
        }
    }
}

/// A control plane, and a folder for files; both go when this is dropped.
struct Plane {
    server: Server,
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
            server: Server::start(),
            folder: folder(),
        }
    }

    /// A certificate, a thing group and a Cognito identity; on dev, which has none of these,
    /// another thing group.
    fn targets(&self) -> [String; 3] {
        let third = if is_on_dev() { "group" } else { "cognito" };
        let out = self.python(&["setup", third]);
        let words: Vec<String> = out.split_whitespace().map(str::to_owned).collect();
        words.try_into().unwrap()
    }

    fn python(&self, arguments: &[&str]) -> String {
        let mut command = moto::python("iot.py");
        command.args(arguments).envs(self.server.environment());
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
            .envs(self.server.environment());
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
            "p:\n  - iot:Connect on `arn:aws:iot:us-east-1:123456789012:client/a`\n  + iot:Connect on `arn:aws:iot:us-east-1:123456789012:client/b`\nwould delete p: version 2\nwould update p\nwould attach p to {group}\nwould detach p from {certificate}\n\
            1 asked for in us-east-1: 1 updated, 1 version deleted, 1 attached, 1 detached; dry run, 3 reading calls\n"
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
        // The text that is no target and the one that is no name are reported here as well.
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
    // A changed request is looked at again.
    plane.write("p.json", &document("b"));
    let report = plane.report(&apply);
    assert_eq!(report["counts"], json!({"updated": 20}));
    // A journal belongs to an account and a Region.
    let mut elsewhere = plane.command(&apply);
    elsewhere.env("AWS_REGION", "eu-west-1");
    let (status, _, errors) = told(elsewhere.output().unwrap());
    assert_eq!(status, 2, "{errors}");
    assert!(
        errors.contains(&format!(
            "the journal `journal` is of `policy apply` in account {}, Region us-east-1",
            account()
        )),
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
        errors.contains("interrupted: finishing what is under way"),
        "{errors}"
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    let created = report["counts"]["created"].as_u64().unwrap();
    assert_eq!(report["complete"], json!(false));
    assert_eq!(
        report["counts"]["not_tried"].as_u64().unwrap(),
        100 - created
    );
    // Every policy that was begun was finished, and is in the journal.
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
        json!({"detached": 2, "versions_deleted": 2, "deleted": 1})
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
        &format!("arn:      arn:aws:iot:us-east-1:{}:policy/p", account()),
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

#[test]
fn what_is_deployed_is_compared() {
    let plane = Plane::new();
    plane.report(&["apply", "--name", "p", "--policy", &document("a")]);
    // Said in other words.
    let same = document("a").replace("\"iot:Connect\"", "[\"IOT:connect\", \"iot:Connect\"]");
    let same = plane.write("same.json", &same);
    let (status, out, errors) = plane.run(&["diff", "--deployed", "p", &same]);
    assert_eq!((status, &*out), (0, "the same is allowed\n"), "{errors}");
    let (status, out, _) = plane.run(&["diff", "--deployed", "p", &document("b")]);
    assert_eq!(
        (status, &*out),
        (
            1,
            "- iot:Connect on `arn:aws:iot:us-east-1:123456789012:client/a`\n\
            + iot:Connect on `arn:aws:iot:us-east-1:123456789012:client/b`\n\
            1 newly allowed (+), 1 no longer allowed (-)\n"
        )
    );
    for (arguments, told) in [
        (
            &["--deployed", "q", &same][..],
            "error: there is no policy `q` in us-east-1\nhelp: ",
        ),
        (
            &["--deployed", "a b", &same],
            "error: the policy's name `a b` has a ` `\nhelp: ",
        ),
        (
            &["--deployed", "p", &same, &same],
            "error: the deployed policy is compared with one\nhelp: ",
        ),
        (&[&same], "error: two policies are compared\nhelp: "),
    ] {
        let (status, _, errors) = plane.run(&[&["diff"], arguments].concat());
        assert_eq!(status, 2, "{errors}");
        assert!(errors.starts_with(told), "{errors}");
    }
}
