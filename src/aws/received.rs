//! Reads the answer to ReceiveMessage, in the place of the SDK's own deserializer.
//!
//! The SDK reads JSON byte by byte, which took a fifth of all that the daemon executes for a
//! message; serde_json does it in a small part of that (docs/benchmarks.md). Only a success in the
//! AWS JSON 1.0 protocol is read here (Smithy, "AWS JSON 1.0 protocol"; SQS API reference,
//! ReceiveMessage). Errors, and whatever protocol the SDK may speak one day, stay the SDK's.

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
use serde_json::value::RawValue;

/// Has received messages read by [`Reader`].
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
            let reader = SharedResponseDeserializer::new(Reader);
            config.interceptor_state().store_put(reader);
        }
        Ok(())
    }
}

/// Reads a body that the SDK has collected.
#[derive(Debug)]
struct Reader;

impl DeserializeResponse for Reader {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let answer = read(response.body().bytes().unwrap_or_default());
        answer.map(Output::erase).map_err(OrchestratorError::other)
    }
}

/// Reads an answer. When it cannot be read as a whole, each message is read for itself, so that one
/// that is not text (a lone surrogate, bytes that are not UTF-8) does not take the others of its
/// batch with it: its body is left out.
fn read(body: &[u8]) -> Result<ReceiveMessageOutput, Unreadable> {
    let received = match serde_json::from_slice::<Answer>(body) {
        Ok(answer) => answer.messages.unwrap_or_default(),
        Err(error) => one_by_one(body).ok_or_else(|| Unreadable::of(&error))?,
    };
    let messages = received.into_iter().map(Message::from).collect();
    Ok(ReceiveMessageOutput::builder()
        .set_messages(Some(messages))
        .build())
}

/// `None` when it is not the answer of a queue at all.
fn one_by_one(body: &[u8]) -> Option<Vec<Received>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Raw<'a> {
        #[serde(borrow)]
        messages: Option<Vec<&'a RawValue>>,
    }
    // U+FFFD takes the place of bytes that are not UTF-8, and of control characters, which JSON has
    // in no place: the messages that have some are found by it.
    let misplaced = |byte: &u8| *byte < b' ' && !b"\t\n\r".contains(byte);
    let body: Vec<u8> = body
        .iter()
        .map(|byte| if misplaced(byte) { 0xff } else { *byte })
        .collect();
    let text = String::from_utf8_lossy(&body);
    let spoiled = matches!(text, Cow::Owned(_));
    let raw: Raw<'_> = serde_json::from_str(&text).ok()?;
    let messages = raw.messages.unwrap_or_default().into_iter();
    let messages = messages.map(|message| {
        let text = message.get();
        let broken = spoiled && text.contains(char::REPLACEMENT_CHARACTER);
        match serde_json::from_str(text) {
            Ok(received) if !broken => received,
            _ => without_body(text),
        }
    });
    Some(messages.collect())
}

/// A message whose body cannot be read, as far as the rest of it can.
fn without_body(text: &str) -> Received {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Rest {
        message_id: Option<String>,
        receipt_handle: Option<String>,
    }
    let rest: Option<Rest> = serde_json::from_str(text).ok();
    let (message_id, receipt_handle) =
        rest.map_or((None, None), |rest| (rest.message_id, rest.receipt_handle));
    Received {
        message_id,
        receipt_handle,
        body: None,
        attributes: None,
    }
}

/// An answer that cannot be read, told by the place: the words of the parser may quote a message.
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
struct Answer {
    messages: Option<Vec<Received>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
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

impl From<Attributes> for HashMap<Name, String> {
    fn from(attributes: Attributes) -> Self {
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

    #[test]
    fn a_body_that_is_no_text_is_left_out_and_the_others_are_read() {
        for broken in [
            &br#""secret \ud800 end""#[..],
            br#""secret \udc00\ud800""#,
            b"\"secret \xff\"",
            b"\"secret \xc3\"",
            b"\"secret \xed\xa0\x80\"",
            br#""secret \q""#,
            b"\"secret \x01\"",
            br#"{"secret":1}"#,
            b"17",
        ] {
            let message = |name: &str, body: &[u8]| {
                let head = format!(r#"{{"MessageId":"{name}","ReceiptHandle":"r","Body":"#);
                [head.as_bytes(), body, b"}"].concat()
            };
            let messages = [
                message("a", br#""one""#),
                message("b", broken),
                message("c", "\"\u{fffd}é\"".as_bytes()),
            ];
            let answer = [b"{\"Messages\":[", &messages.join(&b","[..])[..], b"]}"].concat();
            let shown = String::from_utf8_lossy(broken);
            let Ok(answer) = read(&answer) else {
                // An escape that JSON does not have leaves no structure to go by.
                assert!(shown.contains("\\q"), "{shown}");
                continue;
            };
            let bodies: Vec<_> = answer
                .messages()
                .iter()
                .map(|message| (message.message_id(), message.body()))
                .collect();
            assert_eq!(bodies[0], (Some("a"), Some("one")), "{shown}");
            assert_eq!(bodies[1], (Some("b"), None), "{shown}");
            assert_eq!(bodies[2].0, Some("c"), "{shown}");
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
