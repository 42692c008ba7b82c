//! A second opinion on generated documents: parliament, which knows the actions of AWS and their
//! resources from AWS's own tables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails should say where"
)]

#[path = "support/moto.rs"]
mod moto;

use std::io::Write as _;
use std::process::{Command, Stdio};

use eventcast::config::{Config, ConfigSource, load};
use eventcast::policy::generate::{DocumentForm, documents, generate};
use eventcast::policy::grant::Grants;
use eventcast::policy::scope::Scope;
use serde_json::{Value, json};

/// Findings of parliament in each document.
fn findings(documents: &[String]) -> Vec<Vec<(String, String)>> {
    let python = moto::cache().join("parliament/bin/python");
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/support/second_opinion.py"
    );
    let mut process = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("parliament can be started; ./tests/run installs it");
    let mut input = process.stdin.take().unwrap();
    let lines = documents.join("\n");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let found: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), documents.len());
    found
}

const ROLES: &str = r#"
environment: prod
channels:
  user: { id: uuid }
  order: { id: uuid }
  depot: { id: { pattern: "[a-z]+" } }
routes:
  - { name: orders, match: { source: [s] }, to: ["order:{detail.id}", "order/{detail.id}/{detail.state}"] }
  - { name: news, match: { source: [s] }, to: [news], retain: true }
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}", "news"]
  courier:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.orders[*]}"]
    publish: ["order:{claims.orders[*]}", "position/{claims.sub}"]
    retain: true
  support: { bind: "user:{claims.sub}", subscribe: ["order:*", "tenant/+/alerts", "depot/#"] }
  depot: { bind: "depot:{claims.depot}", publish: ["depot:*"], retain: true }
bridge:
  queue: https://sqs.eu-central-1.amazonaws.com/123456789012/events
  dead_letter_queue: https://sqs.eu-central-1.amazonaws.com/123456789012/events-dlq
"#;

fn config(more: &str) -> Config {
    let text = format!("{ROLES}{more}");
    let source = ConfigSource {
        file: "eventcast.yaml",
        text: &text,
        ..ConfigSource::default()
    };
    load(&source).config.unwrap()
}

fn uuid(n: usize) -> String {
    format!("{n:08x}-4f0b-4d3e-9f51-6a4f0c6c2a11")
}

/// Every role in every form that has room, with few and many channels, in each partition; and the
/// daemon's own policies.
fn generated() -> Vec<String> {
    let mut all = Vec::new();
    for region in ["eu-central-1", "cn-north-1", "us-gov-west-1"] {
        let scope = Scope::try_new(region, "123456789012").unwrap();
        let config_ = config("");
        for role in &config_.roles {
            for count in [0, 1, 5, 20, 47] {
                let orders: Vec<Value> = (1..=count).map(|n| uuid(n).into()).collect();
                let claims = json!({"sub": uuid(0), "orders": orders, "depot": "north"});
                let grants = Grants::of(role, &claims, config_.environment.as_deref()).unwrap();
                for form in [
                    DocumentForm::Authorizer,
                    DocumentForm::Named,
                    DocumentForm::Session,
                    DocumentForm::Role,
                ] {
                    match generate(&grants, &scope, form, None) {
                        Ok(generated) => all.extend(generated.documents),
                        Err(_) => assert!(count > 1, "{form:?}"),
                    }
                }
            }
        }
        for more in [
            "",
            "  publish: https\n",
            "  tls: { certificate: c, key: k }\n",
            "  pace: { account: 2000, count_tasks: ecs }\n",
        ] {
            let needs = config(more).bridge_permissions(&scope).unwrap();
            let needs = needs.within_cluster(&scope, "shop");
            all.extend(documents(&needs.role, DocumentForm::Role).unwrap());
            if !needs.broker.is_empty() {
                all.extend(documents(&needs.broker, DocumentForm::Named).unwrap());
            }
        }
    }
    all.iter().map(|draft| draft.minified()).collect()
}

#[test]
fn parliament_finds_nothing_in_generated_documents() {
    let documents = generated();
    assert!(documents.len() > 200, "{}", documents.len());
    for (document, mut findings) in documents.iter().zip(findings(&documents)) {
        // The tasks of Fargate have no container instance, which is the resource of its table; the
        // statement is bound by its condition on the cluster.
        if document.contains("\"ecs:cluster\"") {
            findings.retain(|(issue, detail)| {
                issue != "RESOURCE_STAR" || detail != "['ecs:ListTasks']"
            });
        }
        assert_eq!(findings, [], "{document}");
    }
}

/// The linter parliament finds faults that are planted in the same documents, so that the absence
/// of findings means something.
#[test]
fn parliament_finds_planted_faults() {
    let sound = generated()
        .into_iter()
        .find(|document| document.contains("topicfilter/prod/order/"))
        .unwrap();
    let faults = [
        (sound.replace("topicfilter/", "topic/"), "RESOURCE_MISMATCH"),
        (
            sound.replace("iot:Receive", "iot:Recieve"),
            "UNKNOWN_ACTION",
        ),
        (sound.replace("\"Allow\"", "\"Alow\""), "MALFORMED"),
        (
            sound.replace("arn:aws:iot:", "arn:aws:sqs:"),
            "RESOURCE_MISMATCH",
        ),
    ];
    let documents: Vec<String> = faults
        .iter()
        .map(|(document, _)| document.clone())
        .collect();
    for ((document, issue), findings) in faults.iter().zip(findings(&documents)) {
        assert!(
            findings.iter().any(|(found, _)| found == issue),
            "{issue} is not among {findings:?} in {document}"
        );
    }
}
