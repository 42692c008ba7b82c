//! AWS's older query protocol with XML answers. It serves SQS as its SDKs used it until 2023, also
//! at queues' own addresses. It also serves GetCallerIdentity (STS API reference), since tools that
//! change an account first ask for its identity.
//!
//! Any other action of this protocol gets an error that SDKs can parse.

use axum::http::StatusCode;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;

use super::ACCOUNT;
use super::queue::api::ACTIONS;
use super::queue::query::refused;
use super::refusal::ApiRefusal;
use super::uuid::uuid;

/// Actions that do not concern one queue, and that a queue's address does not offer.
const NOT_OF_ONE_QUEUE: [&str; 2] = ["CreateQueue", "ListQueues"];

/// Call in the query protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueryCall {
    pub(super) action: String,
    pub(super) form: Vec<(String, String)>,
}

impl QueryCall {
    /// Parses a form; `None` where it names no action.
    pub(super) fn parse(form: &str) -> Option<Self> {
        let mut form: Vec<(String, String)> = form
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let at = form.iter().position(|(name, _)| name == "Action")?;
        let (_, action) = form.remove(at);
        let is_name = !action.is_empty() && action.bytes().all(|b| b.is_ascii_alphanumeric());
        is_name.then_some(Self { action, form })
    }

    /// Returns `true` where SQS offers the action at an address, which may be a queue's.
    pub(super) fn is_for_queues(&self, at_queue: bool) -> bool {
        let action = self.action.as_str();
        ACTIONS.contains(&action) && !(at_queue && NOT_OF_ONE_QUEUE.contains(&action))
    }

    /// Returns `true` where the action changes nothing, so that GET may call it.
    pub(super) fn only_reads(&self) -> bool {
        self.action.starts_with("Get") || self.action.starts_with("List")
    }

    /// Answers a GET call that could change something.
    pub(super) fn not_by_address(&self) -> Response {
        let message = format!(
            "{} is not taken by GET, which web pages of strangers can send; send the same form as the body of a POST to this address.",
            self.action
        );
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let refusal = ApiRefusal::new("MethodNotAllowed", message).with_status(status);
        let answer = xml(status, refused(&refusal));
        ([(ALLOW, "POST")], answer).into_response()
    }

    /// Answers a call of an action that SQS does not have.
    pub(super) fn other(&self) -> Response {
        let (status, body) = if self.action == "GetCallerIdentity" {
            (StatusCode::OK, caller())
        } else {
            let message = format!("The action {} is not valid for this endpoint.", self.action);
            let refusal = ApiRefusal::new("InvalidAction", message);
            (StatusCode::BAD_REQUEST, refused(&refusal))
        };
        xml(status, body)
    }
}

/// Decodes a part of a form.
fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

pub(super) fn xml(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/xml")], body).into_response()
}

/// Answers a call of a queue's address without an action (recorded).
pub(super) fn no_action() -> Response {
    xml(
        StatusCode::NOT_FOUND,
        "<UnknownOperationException/>\n".to_owned(),
    )
}

/// Returns the identity of the caller, which is the same for all.
fn caller() -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
        <Arn>arn:aws:iam::{ACCOUNT}:user/developer</Arn><UserId>DEVELOPER</UserId><Account>{ACCOUNT}</Account>\
        </GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        uuid()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_forms() {
        for (body, asked) in [
            (
                "Action=GetCallerIdentity&Version=2011-06-15",
                Some("GetCallerIdentity"),
            ),
            ("Version=2010-05-08&Action=ListUsers", Some("ListUsers")),
            ("Action=<b>", None),
            ("Action=", None),
            ("{\"Action\": 1}", None),
            ("", None),
        ] {
            let call = QueryCall::parse(body);
            assert_eq!(
                call.as_ref().map(|call| call.action.as_str()),
                asked,
                "{body}"
            );
        }
    }

    #[test]
    fn forms_are_decoded() {
        let call = QueryCall::parse("MessageBody=a+b%2B%C3%A9%26&Action=SendMessage&x").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(call.form, [pair("MessageBody", "a b+é&"), pair("x", "")]);
        assert!(call.is_for_queues(true) && call.is_for_queues(false));
    }

    #[test]
    fn what_reads_is_called_by_an_address() {
        let mut read: Vec<&str> = ACTIONS
            .into_iter()
            .filter(|action| {
                let call = QueryCall::parse(&format!("Action={action}")).unwrap();
                call.only_reads()
            })
            .collect();
        read.sort_unstable();
        assert_eq!(
            read,
            [
                "GetQueueAttributes",
                "GetQueueUrl",
                "ListDeadLetterSourceQueues",
                "ListQueueTags",
                "ListQueues"
            ]
        );
    }

    #[test]
    fn queues_do_not_make_queues() {
        for action in NOT_OF_ONE_QUEUE {
            let call = QueryCall::parse(&format!("Action={action}")).unwrap();
            assert!(call.is_for_queues(false) && !call.is_for_queues(true));
        }
    }
}
