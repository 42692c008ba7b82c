//! Example events of a manifest, as the bodies that the queue would have.

use serde_json::{Map, Value};

use super::address::ChannelAddress;
use super::keys::EXAMPLE;
use super::string;
use crate::config::check::{Faults, did_you_mean};
use crate::config::{elements, member};
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue, quoted};

/// An example event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleBody {
    /// The body as text; numbers keep their spelling.
    pub body: String,
    /// The event's `detail` as text, where the example has one of its own.
    pub detail: Option<String>,
    /// The channels that it must go to exactly, such as `order:1`.
    pub expect: Vec<ExpectedChannel>,
    /// Position in the text.
    pub at: TextPosition,
}

/// A channel of an example, with the values of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedChannel {
    /// The channel as written.
    pub written: String,
    /// The topic without the environment.
    pub topic: String,
    /// Position in the text.
    pub at: TextPosition,
}

/// The members of an event that an example may set, and their defaults. `source` and `detail-type`
/// are the declared event's.
const ENVELOPE: [(&str, Option<&str>); 10] = [
    ("version", Some(r#""0""#)),
    ("id", Some(r#""5f2d7f44-94e5-4b0c-9d6a-3c1f8e0a7b21""#)),
    ("detail-type", None),
    ("source", None),
    ("account", Some(r#""123456789012""#)),
    ("time", Some(r#""2026-11-27T10:00:00Z""#)),
    ("region", Some(r#""eu-central-1""#)),
    ("resources", Some("[]")),
    ("replay-name", None),
    ("detail", None),
];

impl ExampleBody {
    /// Reads a list of examples of an event: those below `name` of a node whose path is `key`.
    pub(super) fn read_list(
        node: &TreeValue,
        (key, name): (&str, &str),
        (source, detail_type): (&str, &str),
        faults: &mut Faults<'_>,
    ) -> Vec<Self> {
        let mut read = Vec::new();
        for (index, example) in elements(node, name).iter().enumerate() {
            let key = format!("{key}.{name}[{index}]");
            read.extend(Self::read(example, &key, source, detail_type, faults));
        }
        read
    }

    /// Reads an example of an event.
    pub(super) fn read(
        node: &TreeValue,
        key: &str,
        source: &str,
        detail_type: &str,
        faults: &mut Faults<'_>,
    ) -> Option<Self> {
        let NodeValue::Object(members) = &node.value else {
            let message = format!("`{key}` is {}", node.to_json());
            faults.error("bad-example", key, node.at, message).accepted = Some(EXAMPLE.into());
            return None;
        };
        let names = ENVELOPE.iter().map(|(name, _)| *name);
        for found in members {
            if !names
                .clone()
                .chain(["body", "expect"])
                .any(|name| *name == *found.key)
            {
                let message = format!("there is no key `{}` in an example", found.key);
                let fault = faults.error(
                    "unknown-key",
                    &format!("{key}.{}", found.key),
                    found.key_at,
                    message,
                );
                fault.accepted = Some(
                    names
                        .clone()
                        .chain(["body", "expect"])
                        .collect::<Vec<_>>()
                        .join(", "),
                );
                fault.help = did_you_mean(&found.key, names.clone())
                    .or_else(|| Some("fields of the feature's own are members of `detail`".into()));
            }
        }
        let (detail, body) = (member(node, "detail"), member(node, "body"));
        let text = match (detail, body) {
            (Some(_), Some(_)) | (None, None) => {
                let what = if detail.is_some() { "both" } else { "neither" };
                let message = format!("`{key}` has {what} of `detail` and `body`");
                let fault = faults.error("does-not-fit", key, node.at, message);
                fault.accepted = Some(EXAMPLE.into());
                fault.help = Some("`body` is for platforms with `envelope: raw` or `sns`".into());
                return None;
            }
            (Some(_), None) => event_text(node, source, detail_type),
            (None, Some(body)) => body.to_json(),
        };
        if let Err(error) = serde_json::from_str::<Value>(&text) {
            let message = format!("`{key}` is no JSON: {error}");
            faults.error("bad-example", key, node.at, message).help =
                Some("numbers must be within the range of a double".into());
            return None;
        }
        Some(Self {
            body: text,
            detail: detail.map(TreeValue::to_json),
            expect: expected(node, key, faults),
            at: node.at,
        })
    }

    /// The `detail` as a value.
    pub fn detail_value(&self) -> Option<Value> {
        match &self.detail {
            Some(detail) => serde_json::from_str(detail).ok(),
            None => {
                let body: Map<String, Value> = serde_json::from_str(&self.body).ok()?;
                body.get("detail").cloned()
            }
        }
    }
}

/// The event with the envelope's members that the example leaves out.
fn event_text(node: &TreeValue, source: &str, detail_type: &str) -> String {
    let mut text = String::from("{");
    for (name, default) in ENVELOPE {
        let value = match (member(node, name), name, default) {
            (Some(value), ..) => value.to_json(),
            (None, "source", _) => quoted(source.as_bytes()),
            (None, "detail-type", _) => quoted(detail_type.as_bytes()),
            (None, _, Some(default)) => default.to_owned(),
            (None, _, None) => continue,
        };
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&format!("\"{name}\":{value}"));
    }
    text.push('}');
    text
}

fn expected(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Vec<ExpectedChannel> {
    let mut found = Vec::new();
    let Some(expect) = member(node, "expect") else {
        return found;
    };
    let refuse = |node: &TreeValue, faults: &mut Faults<'_>| {
        let message = format!("`{key}.expect` has {}", node.to_json());
        faults
            .error("bad-channel", &format!("{key}.expect"), node.at, message)
            .accepted = Some("a list of channels with their ids, such as [\"order:1\"]".into());
    };
    if elements(node, "expect").is_empty() {
        refuse(expect, faults);
    }
    for element in elements(node, "expect") {
        let written = string(element).unwrap_or_default();
        let address = ChannelAddress::parse(&written).ok();
        match address.filter(|address| address.parameters().next().is_none()) {
            Some(address) => found.push(ExpectedChannel {
                topic: address.topic(None, |_| ""),
                written,
                at: element.at,
            }),
            None => refuse(element, faults),
        }
    }
    found
}
