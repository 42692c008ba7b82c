//! Demands on each answer of a run, to any request. They are checked beside the rules, and reported
//! at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;

use super::finding::{RuleOutcome, broken};

/// A demand on every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AnswerDemand {
    NoStore,
    Unbuffered,
    Uncompressed,
    NoSecrets,
    ErrorBodies,
    Lengths,
}

/// Observation of one answer.
pub(super) struct ObservedAnswer<'a> {
    pub(super) what: &'a str,
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// The whole body, unless it is a stream.
    pub(super) body: Option<&'a [u8]>,
    /// `true` where it is one of the module's files, which browsers keep.
    pub(super) is_file: bool,
}

/// The first breach of each demand, and how many there were.
#[derive(Default)]
pub(super) struct Observed {
    breaches: Mutex<BTreeMap<AnswerDemand, (String, usize)>>,
    /// Tokens, sessions and cursors that were sent or came.
    secrets: Mutex<Vec<String>>,
}

impl Observed {
    /// Names a text that no header may have.
    pub(super) fn add_secret(&self, secret: &str) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if secret.len() >= 16 && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
        }
    }

    /// Looks at an answer.
    pub(super) fn look(&self, seen: &ObservedAnswer<'_>) {
        let ObservedAnswer { what, status, .. } = *seen;
        let value = |name: &str| {
            let values = seen.headers.get_all(name).iter();
            let values: Vec<String> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase())
                .collect();
            values.join(", ")
        };
        let has = |name: &str, wanted: &str| value(name).split(',').any(|one| one.trim() == wanted);
        let shown = |name: &str| match value(name) {
            text if text.is_empty() => format!("no {name}"),
            text => format!("`{name}: {text}`"),
        };
        let mut found: Vec<(AnswerDemand, String)> = Vec::new();
        let is_kept = has("cache-control", "no-store") && has("cache-control", "no-transform");
        if !seen.is_file && !is_kept {
            let header = shown("cache-control");
            found.push((
                AnswerDemand::NoStore,
                format!("{header}; expected `no-store, no-transform`"),
            ));
        }
        if !seen.is_file && !has("x-accel-buffering", "no") {
            let header = shown("x-accel-buffering");
            found.push((AnswerDemand::Unbuffered, format!("{header}; expected `no`")));
        }
        let encoding = value("content-encoding");
        if !seen.is_file && !encoding.is_empty() && encoding != "identity" {
            let header = shown("content-encoding");
            found.push((
                AnswerDemand::Uncompressed,
                format!("{header}; expected none"),
            ));
        }
        if let Some(name) = self.leak(seen.headers) {
            found.push((
                AnswerDemand::NoSecrets,
                format!("the header {name} has a token, session or cursor in it"),
            ));
        }
        if let Some(body) = seen.body {
            let has_length = seen.headers.contains_key("content-length");
            if !body.is_empty() && !has_length {
                found.push((
                    AnswerDemand::Lengths,
                    "no content-length, so that a cut answer may look complete".into(),
                ));
            }
            if status >= 400
                && let Some(why) = error_fault(status, body)
            {
                found.push((AnswerDemand::ErrorBodies, why));
            }
        }
        let mut breaches = self.breaches.lock().unwrap_or_else(PoisonError::into_inner);
        for (demand, why) in found {
            let first = format!("{what} answered {status} with {why}");
            breaches.entry(demand).or_insert((first, 0)).1 += 1;
        }
    }

    /// The name of a header with a secret.
    fn leak(&self, headers: &HeaderMap) -> Option<String> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let leaks = |value: &[u8]| {
            let value = String::from_utf8_lossy(value);
            secrets.iter().any(|secret| value.contains(secret.as_str()))
        };
        let mut headers = headers.iter();
        let found = headers.find(|(_, value)| leaks(value.as_bytes()));
        found.map(|(name, _)| name.to_string())
    }

    /// Fails a rule with the breaches of its demand.
    pub(super) fn verdict(&self, demand: AnswerDemand) -> RuleOutcome {
        let breaches = self.breaches.lock().unwrap_or_else(PoisonError::into_inner);
        match breaches.get(&demand) {
            None => Ok(()),
            Some((first, 1)) => broken(first.clone()),
            Some((first, count)) => broken(format!("{first} ({count} answers in all)")),
        }
    }
}

/// The fault of an error's status or body.
fn error_fault(status: u16, body: &[u8]) -> Option<String> {
    if status >= 500 && !matches!(status, 502 | 503) {
        return Some("a fault of the server; expected 502 or 503 at most".into());
    }
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let has_text = |name: &str| {
        let text = json.get(name).and_then(serde_json::Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    let is_right = has_text("error") && has_text("message");
    (!is_right).then(|| {
        let shown = super::answer::quoted(body);
        format!("the body {shown}; expected JSON with `error` and `message`")
    })
}
