//! `eventcast policy` from outside: exit status, standard output and standard error.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn eventcast(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .arg("policy")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn shop(file: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/shop").join(file).display().to_string()
}

#[track_caller]
fn check(arguments: &[&str], input: &str, status: i32, out: &str, messages: &str) {
    let output = eventcast(arguments, input);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (found_out, found_messages) = (text(output.stdout), text(output.stderr));
    assert_eq!(
        output.status.code(),
        Some(status),
        "{found_out}{found_messages}"
    );
    assert!(found_out.contains(out), "{found_out}");
    assert!(found_messages.contains(messages), "{found_messages}");
    assert_eq!(found_out.is_empty(), out.is_empty(), "{found_out}");
    assert_eq!(
        found_messages.is_empty(),
        messages.is_empty(),
        "{found_messages}"
    );
}

#[test]
fn simulate() {
    let policy = shop("customer.json");
    let about = |client, ask: &'static str, of| {
        ["simulate", "--policy", &policy, "--client", client, ask, of].map(str::to_owned)
    };
    let run = |arguments: [String; 7], status, out, messages| {
        check(
            &arguments.each_ref().map(String::as_str),
            "",
            status,
            out,
            messages,
        );
    };
    run(
        about("customer-7-a", "--receive", "user/7"),
        0,
        "may receive messages on `user/7`",
        "",
    );
    run(
        about("customer-7-a", "--receive", "user/8"),
        1,
        "may not receive messages on `user/8`",
        "",
    );
    run(
        about("customer-7-a", "--receive", "user/+"),
        2,
        "",
        "the topic has the wildcard `+`",
    );
}

#[test]
fn files_of_tests() {
    let tests = shop("customer.test.yaml");
    check(&["test", &tests], "", 0, "13 cases, 0 failed", "");
    check(
        &["test", &tests, "--format", "junit"],
        "",
        0,
        "failures=\"0\"",
        "",
    );
    let policy = shop("customer.json");
    // A policy is no file of tests.
    check(
        &["test", &policy],
        "",
        2,
        "",
        "there is no key `Version` here",
    );
}

#[test]
fn lines_on_standard_input() {
    check(&["test"], "", 2, "", "error: no tests");
    let output = eventcast(&["test", "-"], "");
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let question = r#"{"id":1,"policies":[],"action":"iot:Connect","resource":"arn:aws:iot:r:1:client/c","context":{}}"#;
    check(
        &["test"],
        question,
        0,
        "{\"id\":1,\"decision\":\"IMPLICIT_DENY\"",
        "",
    );
    check(
        &["test", "-"],
        "{}\n",
        2,
        "{\"id\":null,\"error\":{\"line\":1,",
        "",
    );
}
