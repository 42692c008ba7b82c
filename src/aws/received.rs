//! Reads the answer to ReceiveMessage, in the place of the SDK's own deserializer.
//!
//! The SDK reads JSON byte by byte, which took a fifth of all that the daemon executes for a message; serde_json does it in a small
//! part of that (docs/benchmarks.md). Only a success in the AWS JSON 1.0 protocol is read here (Smithy, "AWS JSON 1.0 protocol"; SQS
//! API reference, ReceiveMessage). Errors, and whatever protocol the SDK may speak one day, stay the SDK's.

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

fn read(body: &[u8]) -> Result<ReceiveMessageOutput, serde_json::Error> {
    let answer: Answer = serde_json::from_slice(body)?;
    let messages = answer.messages.unwrap_or_default();
    let messages = messages.into_iter().map(Message::from).collect();
    Ok(ReceiveMessageOutput::builder()
        .set_messages(Some(messages))
        .build())
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
}
