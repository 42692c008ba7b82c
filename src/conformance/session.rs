//! Sessions of the suite, and the results of their polls.

use serde_json::{Value, json};

use super::answer::HttpAnswer;
use super::client::{HttpCall, counter};
use super::finding::{RuleOutcome, broken};

/// A session, with the cursor that its next poll shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TestedSession {
    pub(super) token: String,
    pub(super) session: String,
    pub(super) cursor: String,
}

impl TestedSession {
    /// The request of a poll.
    pub(super) fn poll(&self, timeout_s: u64, max: u64) -> HttpCall {
        let body = json!({
            "session": self.session,
            "cursor": self.cursor,
            "timeout_s": timeout_s,
            "max": max,
        });
        HttpCall::new("POST", format!("/poll?n={}", counter()))
            .token(&self.token)
            .json(&body)
            .waits(timeout_s)
    }

    /// A request with the session alone.
    pub(super) fn call(
        &self,
        method: &'static str,
        path: &str,
        more: &[(&str, Value)],
    ) -> HttpCall {
        let mut body = json!({ "session": self.session });
        if let Some(body) = body.as_object_mut() {
            body.extend(
                more.iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone())),
            );
        }
        HttpCall::new(method, path).token(&self.token).json(&body)
    }

    /// The request of a stream.
    pub(super) fn stream(&self) -> HttpCall {
        self.call("POST", "/stream", &[("cursor", json!(self.cursor))])
    }

    /// The request that confirms messages up to a cursor.
    pub(super) fn ack(&self, cursor: &str) -> HttpCall {
        self.call("POST", "/ack", &[("cursor", json!(cursor))])
    }
}

/// Answer to a poll.
#[derive(Clone, Debug)]
pub(super) struct Polled {
    pub(super) answer: HttpAnswer,
    pub(super) messages: Vec<Value>,
    pub(super) cursor: String,
    pub(super) more: bool,
}

impl Polled {
    /// Reads the answer of a poll, which must be a 200 with all that belongs to one.
    pub(super) fn of(answer: HttpAnswer) -> RuleOutcome<Self> {
        let json = answer.expect(200)?.json()?;
        let Some(messages) = json.get("messages").and_then(Value::as_array) else {
            return broken(format!("{answer}, which has no list `messages`"));
        };
        let Some(more) = json.get("more").and_then(Value::as_bool) else {
            return broken(format!("{answer}, which has no `more`"));
        };
        let cursor = answer.text("cursor")?;
        Ok(Self {
            messages: messages.clone(),
            cursor,
            more,
            answer,
        })
    }

    /// Our messages among the answer's, in the answer's order.
    pub(super) fn ours(&self, ids: &[String]) -> Vec<String> {
        self.messages
            .iter()
            .filter_map(|message| id_of(message, ids))
            .collect()
    }
}

/// Finds which of our messages a message is: by its id, or by its payload.
pub(super) fn id_of(message: &Value, ids: &[String]) -> Option<String> {
    let id = message.get("id").and_then(Value::as_str);
    let payload = message.get("payload").map(Value::to_string);
    let payload = payload.unwrap_or_default();
    let is_it = |one: &&String| id == Some(one.as_str()) || payload.contains(one.as_str());
    ids.iter().find(is_it).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_by_id_or_payload() {
        let ids = ["c-1".to_owned(), "c-2".to_owned()];
        let known = |message: Value| id_of(&message, &ids);
        assert_eq!(
            known(json!({ "id": "c-2", "payload": 1 })),
            Some("c-2".into())
        );
        let wrapped = json!({ "id": "e", "payload": { "detail": { "order": "c-1" } } });
        assert_eq!(known(wrapped), Some("c-1".into()));
        assert_eq!(known(json!({ "id": null, "payload": null })), None);
        assert_eq!(known(json!({ "base64": "AA==" })), None);
    }
}
