//! Reads the answer to ReceiveMessage, in the place of the SDK's own deserializer.
//!
//! The SDK reads JSON byte by byte, which took a fifth of all that the daemon executes for a
//! message; serde_json does it in a small part of that (docs/benchmarks.md). Only a success in the
//! AWS JSON 1.0 protocol is read here (Smithy, "AWS JSON 1.0 protocol"; SQS API reference,
//! ReceiveMessage). Errors, and any other protocol of the SDK, stay with the SDK.

mod structure;

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_sqs::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Name};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use serde::Deserialize;

use self::structure::RawMember;

/// Has received messages read by [`BodyReader`].
#[derive(Debug)]
pub(super) struct ReadReceived;

impl Intercept for ReadReceived {
    fn name(&self) -> &'static str {
        "ReadReceived"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map(Metadata::name);
        let response = context.response();
        let protocol = response.headers().get("content-type");
        if operation == Some("ReceiveMessage")
            && response.status().as_u16() == 200
            && protocol == Some("application/x-amz-json-1.0")
        {
            let reader = SharedResponseDeserializer::new(BodyReader);
            config.interceptor_state().store_put(reader);
        }
        Ok(())
    }
}

/// Reads a body that the SDK has collected.
#[derive(Debug)]
struct BodyReader;

impl DeserializeResponse for BodyReader {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let answer = read(response.body().bytes().unwrap_or_default());
        answer.map(Output::erase).map_err(OrchestratorError::other)
    }
}

/// Reads an answer. When it cannot be read as a whole, each member of each message is read for
/// itself, so that a string that is not text (an escape that JSON does not have, a lone surrogate,
/// a raw control character, bytes that are not UTF-8) does not take the others of its batch with
/// it: it alone is left out.
fn read(body: &[u8]) -> Result<ReceiveMessageOutput, Unreadable> {
    let received = match serde_json::from_slice::<ReceiveMessageResult>(body) {
        Ok(answer) => answer.messages.unwrap_or_default(),
        Err(error) => one_by_one(body).ok_or_else(|| Unreadable::of(&error))?,
    };
    let messages = received.into_iter().map(Message::from).collect();
    Ok(ReceiveMessageOutput::builder()
        .set_messages(Some(messages))
        .build())
}

/// The messages of an answer that has some, by its structure alone; `None` when it is not the
/// answer of a queue at all, or when the fault is in none of its messages.
fn one_by_one(body: &[u8]) -> Option<Vec<Received>> {
    let answer = structure::members(body)?;
    let messages = structure::elements(only(&answer, "Messages")?)?;
    let received: Vec<_> = messages.into_iter().map(member_by_member).collect();
    (!received.is_empty()).then_some(received)
}

/// A message with those of its members that can be read.
fn member_by_member(message: &[u8]) -> Received {
    let members = structure::members(message).unwrap_or_default();
    let text = |name| only(&members, name).and_then(|value| serde_json::from_slice(value).ok());
    let attributes = match only(&members, "Attributes") {
        None => Some(ReceivedAttributes::default()),
        Some(value) => serde_json::from_slice::<Option<_>>(value)
            .ok()
            .map(Option::unwrap_or_default),
    };
    Received {
        message_id: text("MessageId"),
        receipt_handle: text("ReceiptHandle"),
        // Without its message group the order of a FIFO queue would be lost.
        body: attributes.as_ref().and_then(|_| text("Body")),
        attributes,
    }
}

/// The value of a member that is there once.
fn only<'b>(members: &[RawMember<'b>], name: &str) -> Option<&'b [u8]> {
    let is_named =
        |raw: &[u8]| serde_json::from_slice::<Cow<'_, str>>(raw).is_ok_and(|it| it == name);
    let mut named = members.iter().filter(|(raw, _)| is_named(raw));
    let (_, value) = named.next()?;
    named.next().is_none().then_some(*value)
}

/// An answer that cannot be read, described by the position only: the words of the parser may quote
/// a message.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not what SQS answers (JSON, line {line}, column {column})")]
struct Unreadable {
    line: usize,
    column: usize,
}

impl Unreadable {
    fn of(error: &serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// As far as [`Sqs`](super::sqs::Sqs) asks for it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessageResult {
    messages: Option<Vec<Received>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    #[serde(default)]
    attributes: Option<ReceivedAttributes>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceivedAttributes {
    approximate_receive_count: Option<String>,
    message_group_id: Option<String>,
    sent_timestamp: Option<String>,
    #[serde(rename = "AWSTraceHeader")]
    trace_header: Option<String>,
}

impl From<Received> for Message {
    fn from(received: Received) -> Self {
        let attributes = received.attributes.unwrap_or_default();
        Self::builder()
            .set_message_id(received.message_id)
            .set_receipt_handle(received.receipt_handle)
            .set_body(received.body)
            .set_attributes(Some(attributes.into()))
            .build()
    }
}

impl From<ReceivedAttributes> for HashMap<Name, String> {
    fn from(attributes: ReceivedAttributes) -> Self {
        let all = [
            (
                Name::ApproximateReceiveCount,
                attributes.approximate_receive_count,
            ),
            (Name::MessageGroupId, attributes.message_group_id),
            (Name::SentTimestamp, attributes.sent_timestamp),
            (Name::AwsTraceHeader, attributes.trace_header),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let body = br#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","MD5OfBody":"0","Body":"{\"a\":\"\\u00e9\u00e9\n\"}",
            "Attributes":{"ApproximateReceiveCount":"2","SentTimestamp":"1","AWSTraceHeader":"Root=1","SenderId":"s"}},
            {"MessageId":"n","Body":null,"Attributes":null}]}"#;
        let answer = read(body).unwrap();
        let attributes = |all: &[(Name, &str)]| {
            let owned = |(name, value): &(Name, &str)| (name.clone(), (*value).to_owned());
            Some(all.iter().map(owned).collect())
        };
        let first = Message::builder()
            .message_id("m")
            .receipt_handle("r")
            .body("{\"a\":\"\\u00e9é\n\"}")
            .set_attributes(attributes(&[
                (Name::ApproximateReceiveCount, "2"),
                (Name::SentTimestamp, "1"),
                (Name::AwsTraceHeader, "Root=1"),
            ]));
        let second = Message::builder()
            .message_id("n")
            .set_attributes(attributes(&[]));
        assert_eq!(answer.messages(), [first.build(), second.build()]);
    }

    #[test]
    fn none_may_have_come() {
        for body in [&b"{}"[..], br#"{"Messages":null}"#, br#"{"Messages":[]}"#] {
            assert!(read(body).unwrap().messages().is_empty());
        }
        assert!(read(b"<html>").is_err());
        assert!(read(b"").is_err());
    }

    /// Strings of a JSON answer that are not text.
    const BROKEN: [&[u8]; 12] = [
        br#""secret \q""#,
        br#""secret \'quoted\' \x41""#,
        br#""secret \u12g4""#,
        br#""secret \u12""#,
        br#""secret \ud800 end""#,
        br#""secret \udc00\ud800""#,
        br#""secret \ud83d\u0041""#,
        b"\"secret \xff\"",
        b"\"secret \xc3\"",
        b"\"secret \xed\xa0\x80\"",
        b"\"secret \x01\"",
        b"\"secret \n\"",
    ];

    fn answer_of(messages: &[Vec<u8>]) -> Vec<u8> {
        [b"{\"Messages\":[", &messages.join(&b","[..])[..], b"]}"].concat()
    }

    fn message(name: &str, receipt: &[u8], body: &[u8], rest: &[u8]) -> Vec<u8> {
        let head = format!(r#"{{"MessageId":"{name}","ReceiptHandle":"#);
        [head.as_bytes(), receipt, b",\"Body\":", body, rest, b"}"].concat()
    }

    #[test]
    fn a_body_that_is_no_text_is_left_out_and_the_others_are_read() {
        for broken in BROKEN
            .into_iter()
            .chain([&br#"{"secret":"\q"}"#[..], b"17"])
        {
            let answer = answer_of(&[
                message("a", br#""r""#, br#""one \u0041""#, b""),
                message("b", br#""r""#, broken, b""),
                message(
                    "c",
                    br#""r""#,
                    "\"\u{fffd}é\"".as_bytes(),
                    b",\"MD5OfBody\":\"x\"",
                ),
            ]);
            let shown = String::from_utf8_lossy(broken);
            let answer = read(&answer).unwrap();
            let read: Vec<_> = answer
                .messages()
                .iter()
                .map(|message| (message.message_id(), message.body()))
                .collect();
            let expected = [
                (Some("a"), Some("one A")),
                (Some("b"), None),
                (Some("c"), Some("\u{fffd}é")),
            ];
            assert_eq!(read, expected, "{shown}");
        }
    }

    #[test]
    fn whatever_of_a_message_is_no_text_concerns_this_message_alone() {
        for broken in BROKEN {
            let group = [b",\"Attributes\":{\"MessageGroupId\":", broken, b"}"].concat();
            let answer = answer_of(&[
                message("a", broken, br#""one""#, b""),
                message("b", br#""r""#, br#""two""#, &group),
                message("c", br#""r""#, br#""three""#, br#","MessageId":"d""#),
                b"17".to_vec(),
                br#"{"MessageId":"f","Body":"one"quoted""}"#.to_vec(),
                message("e", br#""r""#, br#""five""#, b""),
            ]);
            let answer = read(&answer).unwrap();
            let read: Vec<_> = answer
                .messages()
                .iter()
                .map(|it| (it.message_id(), it.receipt_handle(), it.body()))
                .collect();
            let expected = [
                (Some("a"), None, Some("one")),
                (Some("b"), Some("r"), None),
                (None, Some("r"), Some("three")),
                (None, None, None),
                (None, None, None),
                (Some("e"), Some("r"), Some("five")),
            ];
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn an_answer_whose_structure_is_broken_is_no_answer() {
        for broken in [
            &br#"{"Messages":[{"Body":"one"},{"Body":"two"}"#[..],
            br#"{"Messages":[{"Body":"one\"}]}"#,
            br#"{"Messages":[{"Body":"one"quoted"}]}"#,
            br#"{"Messages":"\q"}"#,
            br#"{"Messages":[],"Next":"\q"}"#,
            br#"[{"Body":"\q"}]"#,
        ] {
            assert!(read(broken).is_err(), "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn errors_quote_no_message() {
        let told = read(br#"{"Messages":"secret"}"#).unwrap_err().to_string();
        assert_eq!(
            told,
            "the answer is not what SQS answers (JSON, line 1, column 20)"
        );
    }
}
