//! Answers of a gateway, and their description in messages: never a token, session or cursor.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::Value;

use super::finding::{RuleOutcome, broken};

/// The most characters of an answer that are quoted.
const QUOTED: usize = 160;

/// From this length on a word may be a secret.
const SECRET: usize = 40;

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct HttpAnswer {
    /// The request, such as `POST /rt/v1/poll`.
    pub(super) what: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) took: Duration,
}

impl HttpAnswer {
    /// The value of a header, with several of one name joined (RFC 9110, section 5.3).
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter();
        let values: Vec<String> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Breaks the rule unless the status is the expected one.
    pub(super) fn expect(&self, status: u16) -> RuleOutcome<&Self> {
        self.expect_one_of(&[status])
    }

    /// Breaks the rule unless the status is one of the expected ones.
    pub(super) fn expect_one_of(&self, statuses: &[u16]) -> RuleOutcome<&Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let expected: Vec<String> = statuses.iter().map(ToString::to_string).collect();
        broken(format!("{self}; expected {}", expected.join(" or ")))
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> RuleOutcome<Value> {
        serde_json::from_slice(&self.body)
            .or_else(|error| broken(format!("{self}, which is no JSON: {error}")))
    }

    /// A text member of the body.
    pub(super) fn text(&self, name: &str) -> RuleOutcome<String> {
        let json = self.json()?;
        match json.get(name).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => broken(format!("{self}, which has no text `{name}`")),
        }
    }

    /// The code of an error.
    pub(super) fn error(&self) -> Option<String> {
        let json: Value = serde_json::from_slice(&self.body).ok()?;
        json.get("error")?.as_str().map(str::to_owned)
    }

    /// Breaks the rule unless the body is an error with this code.
    pub(super) fn expect_error(&self, code: &str) -> RuleOutcome<&Self> {
        if self.error().as_deref() == Some(code) {
            return Ok(self);
        }
        broken(format!("{self}; expected the error `{code}`"))
    }

    /// Breaks the rule unless the answer says `resync`.
    pub(super) fn expect_resync(&self) -> RuleOutcome<&Self> {
        if self.json()?.get("resync") == Some(&Value::Bool(true)) {
            return Ok(self);
        }
        broken(format!("{self}; expected `resync`: true"))
    }
}

impl std::fmt::Display for HttpAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered {}", self.what, self.status)?;
        if !self.body.is_empty() {
            write!(f, " {}", quoted(&self.body))?;
        }
        Ok(())
    }
}

/// A short excerpt without secrets.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        let word = rest.len() - rest.trim_start_matches(is_part).len();
        let (word, others) = rest.split_at(word);
        shown.push_str(if word.len() >= SECRET { "…" } else { word });
        let between = others.len() - others.trim_start_matches(|c| !is_part(c)).len();
        let (between, others) = others.split_at(between);
        shown.push_str(between);
        rest = others;
    }
    match shown.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("`{}…`", shown.get(..at).unwrap_or_default()),
        None => format!("`{shown}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_quoted() {
        let secret = "A".repeat(SECRET);
        let body = format!(r#"{{"cursor":"{secret}","more":false}}"#);
        assert_eq!(quoted(body.as_bytes()), r#"`{"cursor":"…","more":false}`"#);
        assert_eq!(quoted(secret.as_bytes()), "`…`");
        assert_eq!(quoted(b"two words"), "`two words`");
        let long = "word ".repeat(100);
        assert_eq!(quoted(long.as_bytes()).chars().count(), QUOTED + 3);
        assert_eq!(quoted("é…\u{1F980}".as_bytes()), "`é…\u{1F980}`");
        assert_eq!(quoted(b""), "``");
    }
}
