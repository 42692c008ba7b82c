//! The policy evaluator against conformance vectors that live outside the repository.
//!
//! `EVENTCAST_VECTORS` names their folder (default `../shared/vectors`). One case a line: policies,
//! action, resource and context, and the decision in the words of iot:TestAuthorization. `basis`
//! says whether AWS states it or it is inferred.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that fails should say where"
)]

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use eventcast::policy::arn::ResourceArn;
use eventcast::policy::context::Context;
use eventcast::policy::document::Document;
use eventcast::policy::evaluate::{Request, decide};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Case<'l> {
    id: String,
    #[serde(borrow)]
    policies: Vec<&'l RawValue>,
    action: String,
    resource: String,
    context: Context,
    decision: String,
    basis: String,
    note: String,
}

/// The difference from a case's decision, if there is one.
fn disagreement(line: &str) -> Option<String> {
    let case: Case<'_> = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => return Some(format!("{error}: {line}")),
    };
    let policies: Result<Vec<Document>, _> = case
        .policies
        .iter()
        .map(|policy| Document::parse(policy.get()))
        .collect();
    let found = match &policies {
        Ok(policies) => {
            let request = Request {
                action: &case.action,
                resource: ResourceArn::new(&case.resource),
                context: &case.context,
            };
            decide(policies, &request).verdict.as_str().to_owned()
        }
        Err(error) => format!("refused: {error}"),
    };
    (found != case.decision).then(|| {
        let Case {
            id,
            decision,
            basis,
            note,
            ..
        } = &case;
        format!("{id}: {found}, but {decision} is {basis} ({note})\n  {line}")
    })
}

/// Path of the vectors; `None`, with a line about it, when they are not there.
fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("EVENTCAST_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    let path = folder.join("iot-policy.jsonl");
    if !path.exists() {
        eprintln!("no vectors at {}: nothing was compared", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn every_decision_agrees() {
    let Some(path) = vectors() else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let wrong: Vec<String> = text.lines().filter_map(disagreement).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        text.lines().count(),
        wrong.join("\n")
    );
}

#[derive(Deserialize)]
struct Decided {
    id: String,
    decision: String,
}

#[test]
fn the_command_answers_every_line() {
    let Some(path) = vectors() else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["policy", "test", "-"])
        .stdin(File::open(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), text.lines().count());
    for (question, answer) in text.lines().zip(answers.lines()) {
        let wanted: Decided = serde_json::from_str(question).unwrap();
        let found: Decided = serde_json::from_str(answer).unwrap();
        assert_eq!((wanted.id, wanted.decision), (found.id, found.decision));
    }
}
