//! SQS's JSON protocol: what is asked, what is answered, and the digests that SDKs check (SQS API reference; developer guide,
//! "Calculating the MD5 message digest for message attributes").

use std::collections::BTreeMap;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A message attribute.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    pub(super) data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) binary_value: Option<String>,
}

pub(super) type Attributes = BTreeMap<String, Attribute>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Request {
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
    #[serde(flatten)]
    pub(super) entry: Entry,
    pub(super) entries: Option<Vec<Entry>>,
    pub(super) max_number_of_messages: Option<u32>,
    pub(super) wait_time_seconds: Option<u32>,
    pub(super) message_attribute_names: Vec<String>,
    pub(super) message_system_attribute_names: Vec<String>,
}

/// One message, or one entry of a batch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Entry {
    pub(super) id: Option<String>,
    pub(super) message_body: Option<String>,
    pub(super) delay_seconds: Option<u32>,
    pub(super) message_attributes: Attributes,
    pub(super) message_system_attributes: Attributes,
    pub(super) message_group_id: Option<String>,
    pub(super) message_deduplication_id: Option<String>,
    pub(super) receipt_handle: Option<String>,
    pub(super) visibility_timeout: Option<u32>,
    /// For messages from a bus: the event, and the rule that took it.
    #[serde(skip)]
    pub(super) from: Option<(Arc<str>, Box<str>)>,
}

/// A message from within: what a rule of a bus sends to a queue.
#[derive(Debug, Default)]
pub(in crate::dev) struct Message {
    pub(in crate::dev) body: String,
    pub(in crate::dev) group: Option<String>,
    pub(in crate::dev) trace_header: Option<String>,
    /// Attributes of type String.
    pub(in crate::dev) attributes: Vec<(&'static str, String)>,
    /// The event that it carries, and the rule that took it.
    pub(in crate::dev) from: Option<(Arc<str>, Box<str>)>,
}

impl From<Message> for Entry {
    fn from(message: Message) -> Self {
        let text = |name: &str, value: String| {
            let attribute = Attribute {
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
pub(super) struct Sent {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sequence_number: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Received<'m> {
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
    pub(super) message_attributes: BTreeMap<&'m str, &'m Attribute>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failed {
    pub(super) id: String,
    pub(super) sender_fault: bool,
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// What stands for the deduplication id of a message that names none (developer guide, "Using the message deduplication ID": the SHA-256
/// hash of the body, not of the attributes).
pub(super) fn content_id(body: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of some attributes; `None` for none.
pub(super) fn attributes_md5<'a>(
    attributes: impl IntoIterator<Item = (&'a str, &'a Attribute)>,
) -> Option<String> {
    let mut digest = Md5::new();
    let mut some = false;
    for (name, attribute) in attributes {
        some = true;
        let mut part = |bytes: &[u8]| {
            digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(bytes);
        };
        part(name.as_bytes());
        part(attribute.data_type.as_bytes());
        match (&attribute.string_value, &attribute.binary_value) {
            (Some(text), _) => {
                digest.update([1]);
                part_of(&mut digest, text.as_bytes());
            }
            (None, Some(base64)) => {
                digest.update([2]);
                part_of(&mut digest, &decoded(base64));
            }
            (None, None) => {}
        }
    }
    some.then(|| hex(&digest.finalize()))
}

fn part_of(digest: &mut Md5, bytes: &[u8]) {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

/// Bytes of Base64; what is none has none.
pub(super) fn decoded(base64: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap_or_default()
}
