//! The event-pattern language against verdicts of AWS: conformance vectors that live outside the
//! repository.
//!
//! `EVENTCAST_VECTORS` names their folder (default `../shared/vectors`). One case a line: `pattern`
//! and `event` are JSON text, `valid` and `matches` the verdicts, `error` the text that AWS or its
//! matcher gives.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that fails should say where"
)]

use std::path::PathBuf;

use bytes::Bytes;
use eventcast::event::pattern::Pattern;
use eventcast::event::pattern::explain::PatternExplainer;
use eventcast::event::scan::scan;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    pattern: String,
    event: Option<String>,
    valid: bool,
    matches: Option<bool>,
    error: Option<String>,
}

fn cases(file: &str) -> Vec<Case> {
    let folder = std::env::var_os("EVENTCAST_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    let path = folder.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("no vectors at {}: nothing was compared", path.display());
        return Vec::new();
    };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The difference from a case's verdict, if there is one.
fn disagreement(case: &Case) -> Option<String> {
    let pattern = match Pattern::parse(&case.pattern) {
        Ok(_) if !case.valid => return Some("valid, but AWS refuses it".into()),
        Err(error) if case.valid => return Some(format!("refused, but AWS takes it: {error}")),
        Err(error) => {
            let wanted = case.error.as_deref()?.lines().next()?;
            let wanted = wanted.trim_start_matches("Event pattern is not valid. Reason: ");
            // Text that is no JSON is refused before its meaning is looked at, in our own words.
            let syntax = error.reason.starts_with("not JSON: ");
            return (!syntax && error.reason != wanted)
                .then(|| format!("says {:?}, AWS says {wanted:?}", error.reason));
        }
        Ok(pattern) => pattern,
    };
    let (event, wanted) = (case.event.as_ref()?, case.matches?);
    let explainer = PatternExplainer::new(&pattern);
    let scanned = scan(
        &Bytes::copy_from_slice(event.as_bytes()),
        explainer.fields(),
    )
    .unwrap();
    let explanation = explainer.explain(&scanned).unwrap();
    (explanation.matches != wanted)
        .then(|| format!("matches is {}, AWS says {wanted}", explanation.matches))
}

#[track_caller]
fn check(file: &str) {
    let cases = cases(file);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let Case {
                id, pattern, event, ..
            } = case;
            let event = event.as_deref().unwrap_or("-");
            disagreement(case).map(|what| format!("{id}: {what}\n  {pattern}\n  {event}"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases of {file}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn validated_on_aws() {
    check("pattern-aws-validated.jsonl");
}

#[test]
fn generated() {
    check("pattern-generated.jsonl");
}

#[test]
fn from_the_matcher() {
    check("pattern-ruler.jsonl");
}
