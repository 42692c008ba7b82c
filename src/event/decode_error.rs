//! Reasons why a body is not an event, in words that describe the body.

use bytes::Bytes;

use super::foreign::ForeignBody;
use super::scan::{JsonProblem, ScanError};
use super::scanned::{CapturedFields, CapturedValue, ValueKind};
use super::words::{described, words};

const ONE: &str = "a body is one JSON object";
const EACH: &str = "a body is one event: send each element as a message of its own";

/// Reason why a body is not an event. All reasons are permanent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is not JSON.
    #[error(transparent)]
    Json(ScanError),
    /// The body holds two JSON values or more, one after the other.
    #[error("not an event: more than one JSON value; the second begins at byte {0}")]
    SeveralValues(usize),
    /// The body is one JSON value, but no object.
    #[error("not an event: {0}; {note}", note = note(.0))]
    NotObject(String),
    /// The body is of a kind that other services send to queues.
    #[error("not an event: this is {what}: {advice}", what = .0.what, advice = .0.advice)]
    Foreign(&'static ForeignBody),
    /// A member of the envelope is missing or of another type.
    #[error("not an EventBridge event: {}", member(name, wanted, found.as_deref()))]
    Member {
        /// The member's name, as in the classic envelope.
        name: &'static str,
        /// The type that it must have.
        wanted: &'static str,
        /// Its value in words; `None` where the body does not have it.
        found: Option<String>,
    },
    /// A member of the envelope occurs more than once, so that the body has no single value for it.
    #[error("not an EventBridge event: `{0}` occurs more than once")]
    RepeatedMember(&'static str),
    /// The body is an event by its own members, and a notification that carries another.
    #[error(
        "not an event: both an EventBridge event and an SNS notification, so that it has two events; send one of them"
    )]
    TwoEvents,
    /// The body is of a version-2 bus by its `SystemMetadata`, and has a member of a classic event.
    #[error(
        "not an EventBridge event: it has `SystemMetadata`, as on a version-2 bus, and `{0}` of a classic event; send one of them"
    )]
    TwoEnvelopes(&'static str),
    /// The text that an SNS notification carries is not an event.
    #[error("in the `Message` of an SNS notification: {0}")]
    Notification(Box<DecodeError>),
}

fn note(found: &str) -> &'static str {
    if found.contains("array") { EACH } else { ONE }
}

fn member(name: &str, wanted: &str, found: Option<&str>) -> String {
    match found {
        None => format!("it has no `{name}`"),
        Some(found) => format!("`{name}` is {found}, not {wanted}"),
    }
}

impl DecodeError {
    /// The reason for a body that is not JSON as a whole.
    pub(super) fn of_text(error: ScanError, body: &Bytes) -> Self {
        let next = body.get(error.offset);
        match (error.problem, next) {
            (JsonProblem::Trailing, Some(b'{' | b'[' | b'"')) => Self::SeveralValues(error.offset),
            _ => Self::Json(error),
        }
    }

    /// The reason for a body whose root is no object.
    pub(crate) fn of_root(scanned: &CapturedFields) -> Self {
        let body = scanned.body();
        let text = match scanned.root() {
            ValueKind::String => serde_json::from_slice(body).unwrap_or_else(|_| String::from("?")),
            _ => String::from_utf8_lossy(body).into_owned(),
        };
        Self::NotObject(words(scanned.root(), text.as_bytes()))
    }

    /// The reason for a member of the envelope.
    pub(super) fn of_member(
        name: &'static str,
        wanted: &'static str,
        found: Option<CapturedValue<'_>>,
    ) -> Self {
        Self::Member {
            name,
            wanted,
            found: found.as_ref().map(described),
        }
    }
}
