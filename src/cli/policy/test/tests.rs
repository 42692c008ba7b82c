//! Reports about files of tests, as people and CI systems read them.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A folder of its own for each test, with some files; results name it by `DIR`.
fn tested(name: &str, files: &[(&str, &str)], format: ReportFormat) -> (Status, String) {
    let folder: PathBuf = std::env::temp_dir().join(format!(
        "eventcast-policy-test-{name}-{}",
        std::process::id()
    ));
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in files {
        fs::write(folder.join(file), text).unwrap();
    }
    let named = files.iter().filter(|(file, _)| file.ends_with(".yaml"));
    let command = TestCommand {
        files: named
            .map(|(file, _)| folder.join(file).display().to_string())
            .collect(),
        format,
    };
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = run(&command, None::<&[u8]>, &mut out, &mut messages).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let text = format!(
        "{}---\n{}",
        String::from_utf8(out).unwrap(),
        String::from_utf8(messages).unwrap()
    );
    (status, text.replace(&folder.display().to_string(), "DIR"))
}

const POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Connect", "Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:us-east-1:1:client/${iot:ClientId}"},
    {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:us-east-1:1:topicfilter/order/*"},
    {"Effect": "Allow", "Action": "iot:Receive", "Resource": "arn:aws:iot:us-east-1:1:topic/order/*"}
  ]
}"#;

const GOOD: &str = r#"
tests:
  - name: a customer
    client: customer-7
    documents: [policy.json]
    cases:
      - { connect: customer-7, expect: allowed }
      - { hear: order/1, expect: allowed }
      - { subscribe: "tenant/+", expect: implicit_deny }
"#;

const WRONG: &str = r#"
tests:
  - name: a customer <& others>
    client: customer-7
    documents:
      - policy.json
      - { Statement: { Effect: Deny, Action: "iot:Publish", Resource: "*" } }
    cases:
      - { connect: other, expect: denied }
      - { subscribe: "order/+", expect: denied }
      - { publish: order/1, expect: implicit_deny }
      - { hear: tenant/1, expect: allowed }
      - { action: iot:GetRetainedMessage, resource: topic/order/1, expect: denied }
"#;

#[test]
fn all_pass() {
    let files = [("policy.json", POLICY), ("good.yaml", GOOD)];
    let (status, text) = tested("pass", &files, ReportFormat::Text);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(text);
}

#[test]
fn failures_in_words() {
    let files = [
        ("policy.json", POLICY),
        ("good.yaml", GOOD),
        ("wrong.yaml", WRONG),
    ];
    let (status, text) = tested("words", &files, ReportFormat::Text);
    assert_eq!(status, Status::No);
    insta::assert_snapshot!(text);
}

#[test]
fn failures_as_junit() {
    let files = [("policy.json", POLICY), ("wrong.yaml", WRONG)];
    let (status, text) = tested("junit", &files, ReportFormat::Junit);
    assert_eq!(status, Status::No);
    insta::assert_snapshot!(text);
}

#[test]
fn results_as_json() {
    let files = [("policy.json", POLICY), ("good.yaml", GOOD)];
    let (status, text) = tested("json", &files, ReportFormat::Json);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(text);
}

#[test]
fn what_cannot_be_run_is_told_and_the_rest_is_run() {
    let bad_policy = POLICY.replace("iot:Receive", "Receive");
    let two_regions = POLICY.replacen("us-east-1", "us-east-2", 1);
    let needs = |policy: &str| GOOD.replace("policy.json", policy);
    let files = [
        ("policy.json", POLICY),
        ("bad.json", &bad_policy),
        ("two.json", &two_regions),
        ("a.yaml", &needs("bad.json")),
        ("b.yaml", &needs("none.json")),
        ("c.yaml", &needs("two.json")),
        ("d.yaml", "tests: []"),
        ("e.yaml", GOOD),
    ];
    let (status, text) = tested("cannot", &files, ReportFormat::Text);
    assert_eq!(status, Status::CannotAnswer);
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_to_test() {
    let told = |files: &[&str]| {
        let command = TestCommand {
            files: files.iter().map(|&file| file.to_owned()).collect(),
            format: ReportFormat::Text,
        };
        let mut messages = Vec::new();
        let status = run(&command, None::<&[u8]>, &mut Vec::new(), &mut messages).unwrap();
        assert_eq!(status, Status::CannotAnswer);
        String::from_utf8(messages).unwrap()
    };
    insta::assert_snapshot!([told(&[]), told(&["-"]), told(&["no-such.yaml"])].join("\n"));
}

const CONFIG: &str = r#"
environment: prod
channels: { user: { id: uuid }, order: { id: uuid } }
routes: [{ name: r, match: { source: [s] }, to: [a] }]
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.orders[*]}"]
"#;

/// Tests of the role, the last with an expectation that is wrong.
const ROLES: &str = r#"
config: shop.yml
region: eu-central-1
account: "123456789012"
tests:
  - name: a customer
    role: customer
    claims: { sub: 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11, orders: [11111111-4f0b-4d3e-9f51-6a4f0c6c2a11] }
    cases:
      - { connect: 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11, expect: allowed }
      - { connect: 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11-phone, expect: allowed }
      - { connect: 11111111-4f0b-4d3e-9f51-6a4f0c6c2a11, expect: implicit_deny }
      - { hear: prod/order/11111111-4f0b-4d3e-9f51-6a4f0c6c2a11, expect: allowed }
      - { hear: prod/order/5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11, expect: denied }
  - name: a customer without orders
    role: customer
    claims: { sub: 5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11, orders: [] }
    cases:
      - { subscribe: "prod/order/+", expect: allowed }
"#;

#[test]
fn roles() {
    let (status, told) = tested(
        "roles",
        &[("shop.yml", CONFIG), ("t.yaml", ROLES)],
        ReportFormat::Text,
    );
    assert_eq!(status, Status::No);
    insta::assert_snapshot!(told);
}

#[test]
fn roles_that_cannot_be_tested() {
    let tests = r#"
config: shop.yml
tests:
  - { name: unknown, role: courier, cases: [{ connect: c, expect: denied }] }
  - { name: claims, role: customer, claims: { sub: "*" }, cases: [{ connect: c, expect: denied }] }
"#;
    let (status, told) = tested(
        "norole",
        &[("shop.yml", CONFIG), ("t.yaml", tests)],
        ReportFormat::Text,
    );
    assert_eq!(status, Status::CannotAnswer);
    let (status, missing) = tested("noconfig", &[("t.yaml", tests)], ReportFormat::Text);
    assert_eq!(status, Status::CannotAnswer);
    let broken = CONFIG.replace("subscribe:", "subscrib:");
    let (status, faulty) = tested(
        "faulty",
        &[("shop.yml", &broken), ("t.yaml", tests)],
        ReportFormat::Text,
    );
    assert_eq!(status, Status::CannotAnswer);
    insta::assert_snapshot!([told, missing, faulty].join("\n"));
}
