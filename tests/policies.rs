//! The example roles of `policies/`: their tests pass, their golden documents equal those generated
//! today, and the lints find nothing in them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PLACE: [&str; 4] = ["--region", "eu-central-1", "--account", "123456789012"];

/// The arguments that each golden file is generated from.
const GOLDEN: [(&str, &[&str]); 5] = [
    (
        "customer",
        &[
            "--role",
            "customer",
            "--claims",
            "policies/claims/customer.json",
        ],
    ),
    (
        "courier",
        &[
            "--role",
            "courier",
            "--claims",
            "policies/claims/courier.json",
        ],
    ),
    (
        "support",
        &[
            "--role",
            "support",
            "--claims",
            "policies/claims/support.json",
        ],
    ),
    (
        "backoffice",
        &[
            "--role",
            "backoffice",
            "--claims",
            "policies/claims/backoffice.json",
            "--as",
            "iam",
        ],
    ),
    ("bridge", &["--for", "bridge"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `eventcast policy …` at the repository's top: exit status and both outputs.
fn policy(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .arg("policy")
        .args(arguments)
        .current_dir(root())
        .env_remove("AWS_REGION")
        .env_remove("AWS_ACCOUNT_ID")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_tests_of_the_examples_pass() {
    let mut files: Vec<String> = fs::read_dir(root().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".test.yaml"))
        .map(|name| format!("policies/{name}"))
        .collect();
    files.sort();
    let files: Vec<&str> = ["test"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let (status, out, messages) = policy(&files);
    assert_eq!(status, Some(0), "{out}{messages}");
    insta::assert_snapshot!(out, @r"
    ok    policies/courier.test.yaml:5 a courier on tour: 9 cases
    ok    policies/customer.test.yaml:5 a customer with two orders: 16 cases
    ok    policies/customer.test.yaml:33 a customer without orders: 2 cases
    ok    policies/office.test.yaml:5 support: 12 cases
    ok    policies/office.test.yaml:23 the dispatch service: 7 cases
    46 cases, 0 failed
    ");
}

#[test]
fn golden_documents_are_what_is_generated() {
    for (name, arguments) in GOLDEN {
        let file = root().join(format!("policies/golden/{name}.json"));
        let arguments = [
            &["generate", "--config", "policies/eventcast.yaml"],
            arguments,
            &PLACE,
        ]
        .concat();
        let (status, documents, messages) = policy(&arguments);
        assert_eq!(status, Some(0), "{name}: {messages}");
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            golden == documents,
            "{} is not what is generated; look at the difference, then run\n  eventcast policy {} > policies/golden/{name}.json",
            file.display(),
            arguments.join(" ")
        );
    }
}

#[test]
fn nothing_is_found_in_the_golden_documents() {
    for (name, arguments) in GOLDEN {
        let principal = match arguments {
            _ if name == "bridge" || arguments.contains(&"iam") => "iam",
            _ => "custom-authorizer",
        };
        let file = format!("policies/golden/{name}.json");
        let (status, out, messages) = policy(&["lint", &file, "--principal", principal]);
        assert_eq!(status, Some(0), "{out}{messages}");
    }
}

/// A channel less is a permission less, and the comparison says which.
#[test]
fn a_taken_away_order_is_a_difference() {
    let claims = r#"{"sub":"c1a5e0d2-2b3c-4d5e-8f90-a1b2c3d4e5f6","tour":["0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01","0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a02"]}"#;
    let generate = [
        "generate",
        "--config",
        "policies/eventcast.yaml",
        "--role",
        "courier",
        "--claims",
        claims,
    ];
    let (status, now, _) = policy(&[&generate[..], &PLACE].concat());
    assert_eq!(status, Some(0));
    let (status, out, messages) = policy(&["diff", "policies/golden/courier.json", now.trim()]);
    assert_eq!(status, Some(1), "{messages}");
    insta::assert_snapshot!(out, @r"
    - iot:Receive on `arn:aws:iot:eu-central-1:123456789012:topic/prod/order/0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a03`
    - iot:Subscribe on `arn:aws:iot:eu-central-1:123456789012:topicfilter/prod/order/0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a03`
    0 newly allowed (+), 2 no longer allowed (-)
    ");
    let (status, out, messages) = policy(&["diff", now.trim(), now.trim()]);
    assert_eq!(status, Some(0), "{out}{messages}");
}
