//! `eventcast policy apply`, `revoke` and `show` against a server with scripted answers: refusals,
//! throttling, pages, connections.

#![cfg(feature = "admin")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/deploy.rs"]
mod deploy;
#[path = "support/scripted_http.rs"]
mod scripted_http;

use std::fs;

use deploy::{document, eventcast, folder, told};
use scripted_http::Scripted;
use serde_json::json;

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
        (&["apply", "--name", "p"], "error: missing: "),
        (
            &["apply", "--from", "list.yaml"],
            "error: the list `list.yaml` is of no known kind\nhelp: ",
        ),
        (&["revoke"], "error: missing: "),
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
    // Without the right to end connections, the message says what to grant.
    let server = Scripted::start(&[(403, "ForbiddenException", "{}")]);
    let (status, _, errors) = scripted(&server, &["revoke", "--disconnect", "c"]);
    assert_eq!(status, 3);
    assert!(
        errors.contains("help: grant whoever runs this iot:DeleteConnection"),
        "{errors}"
    );
}
