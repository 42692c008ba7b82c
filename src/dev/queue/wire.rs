//! Requests and answers of SQS's JSON protocol (SQS API reference).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::refusal::ApiRefusal;
use super::refusals::invalid_value;

/// A message attribute.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MessageAttribute {
    #[serde(default)]
    pub(super) data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) binary_value: Option<String>,
}

pub(super) type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// A call, with the members of all actions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SqsRequest {
    pub(super) queue_url: Option<String>,
    pub(super) queue_name: Option<String>,
    pub(super) queue_name_prefix: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) attribute_names: Vec<String>,
    #[serde(rename = "tags")]
    pub(super) create_tags: BTreeMap<String, String>,
    #[serde(rename = "Tags")]
    pub(super) tags: BTreeMap<String, String>,
    pub(super) tag_keys: Vec<String>,
    pub(super) entries: Option<Vec<SqsEntry>>,
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    pub(super) message_attribute_names: Vec<String>,
    pub(super) message_system_attribute_names: Vec<String>,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
    pub(super) label: Option<String>,
    pub(super) actions: Vec<String>,
    #[serde(rename = "AWSAccountIds")]
    pub(super) account_ids: Vec<String>,
    // The members of an entry: a flattened one would be read by way of a tree.
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    message_attributes: MessageAttributes,
    message_system_attributes: MessageAttributes,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl SqsRequest {
    /// The one entry of a call that is no batch.
    pub(super) fn take_entry(&mut self) -> SqsEntry {
        SqsEntry {
            id: None,
            message_body: self.message_body.take(),
            delay_seconds: self.delay_seconds,
            message_attributes: std::mem::take(&mut self.message_attributes),
            message_system_attributes: std::mem::take(&mut self.message_system_attributes),
            message_group_id: self.message_group_id.take(),
            message_deduplication_id: self.message_deduplication_id.take(),
            receipt_handle: self.receipt_handle.take(),
            visibility_timeout: self.visibility_timeout,
            from: None,
        }
    }
}

/// One message, or one entry of a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SqsEntry {
    pub(super) id: Option<String>,
    pub(super) message_body: Option<String>,
    pub(super) delay_seconds: Option<i64>,
    pub(super) message_attributes: MessageAttributes,
    pub(super) message_system_attributes: MessageAttributes,
    pub(super) message_group_id: Option<String>,
    pub(super) message_deduplication_id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: Option<i64>,
    /// For messages from a bus: the event, and the rule that took it.
    #[serde(skip)]
    pub(super) from: Option<(Arc<str>, Box<str>)>,
}

/// A message from within: sent to a queue by a rule of a bus.
#[derive(Debug, Default)]
pub(in crate::dev) struct InternalMessage {
    pub(in crate::dev) body: String,
    pub(in crate::dev) group: Option<String>,
    pub(in crate::dev) trace_header: Option<String>,
    /// Attributes of type String.
    pub(in crate::dev) attributes: Vec<(&'static str, String)>,
    /// The event that it carries, and the rule that took it.
    pub(in crate::dev) from: Option<(Arc<str>, Box<str>)>,
}

impl From<InternalMessage> for SqsEntry {
    fn from(message: InternalMessage) -> Self {
        let text = |name: &str, value: String| {
            let attribute = MessageAttribute {
                data_type: "String".into(),
                string_value: Some(value),
                binary_value: None,
            };
            (name.to_owned(), attribute)
        };
        let trace_header = message
            .trace_header
            .map(|header| text("AWSTraceHeader", header));
        let attributes = message.attributes.into_iter();
        Self {
            message_body: Some(message.body),
            from: message.from,
            message_group_id: message.group,
            message_system_attributes: trace_header.into_iter().collect(),
            message_attributes: attributes.map(|(name, value)| text(name, value)).collect(),
            ..Self::default()
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub(super) body_md5: String,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) attributes_md5: Option<String>,
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) system_attributes_md5: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sequence_number: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceivedAnswer<'m> {
    pub(super) message_id: &'m str,
    pub(super) receipt_handle: &'m str,
    #[serde(rename = "MD5OfBody")]
    pub(super) body_md5: &'m str,
    pub(super) body: &'m RawValue,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<&'static str, String>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) attributes_md5: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) message_attributes: BTreeMap<&'m str, &'m MessageAttribute>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailedEntry {
    pub(super) id: String,
    pub(super) sender_fault: bool,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Numbers of twenty digits, as SQS has them.
pub(super) fn sequence_number(sequence: u64) -> String {
    (18_849_496_460_467_696_128_u128 + u128::from(sequence)).to_string()
}

/// A number of a request, or its default; refused if it is out of bounds.
pub(super) fn bounded(
    name: &str,
    value: Option<i64>,
    (least, most): (i64, i64),
    reason: &str,
) -> Result<Option<u32>, ApiRefusal> {
    match value {
        Some(value) if !(least..=most).contains(&value) => Err(invalid_value(
            name,
            value,
            &format!("{reason}, if provided."),
        )),
        value => Ok(value.and_then(|value| u32::try_from(value).ok())),
    }
}
