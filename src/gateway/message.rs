//! Messages: from an MQTT publication to what clients read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::value::RawValue;

use super::cursor::MessageKey;
use super::directory::Directory;
use crate::wire::decode::PublishPacket;
use crate::wire::property::{PropertyValue, id, properties};

/// A message as clients read it: one line of JSON, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// An object of JSON without line breaks.
    pub(super) json: Bytes,
    /// Identity of a message that was made of an event.
    pub(super) key: Option<MessageKey>,
}

#[derive(Serialize)]
struct WrittenMessage<'m> {
    id: Option<&'m str>,
    channel: Option<&'m str>,
    topic: &'m str,
    source: Option<&'m str>,
    r#type: Option<&'m str>,
    time: Option<&'m str>,
    /// Two routes may send an event to one topic, with two payloads.
    route: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'m RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    retained: bool,
}

impl Message {
    pub(super) fn of(publish: &PublishPacket<'_>, directory: &Directory) -> Self {
        let mut facts = [None; 5];
        for property in properties(publish.properties.block).map_while(Result::ok) {
            let PropertyValue::Pair(name, value) = property.value else {
                continue;
            };
            let [event, source, kind, time, route] = &mut facts;
            match (property.id, name) {
                (id::USER_PROPERTY, "eb-id") => *event = Some(value),
                (id::USER_PROPERTY, "eb-source") => *source = Some(value),
                (id::USER_PROPERTY, "eb-route") => *route = Some(value),
                (id::USER_PROPERTY, "eb-detail-type") => *kind = Some(value),
                (id::USER_PROPERTY, "eb-time") => *time = Some(value),
                _ => {}
            }
        }
        let [event, source, kind, time, route] = facts;
        // A payload that is JSON goes through as it was published: numbers keep their spelling.
        let payload: Option<&RawValue> = serde_json::from_slice(publish.payload).ok();
        let channel = directory.channel(publish.topic);
        let written = WrittenMessage {
            id: event,
            channel: channel.as_deref(),
            topic: publish.topic,
            source,
            r#type: kind,
            time,
            route,
            payload,
            base64: payload.is_none().then(|| STANDARD.encode(publish.payload)),
            retained: publish.retain,
        };
        let mut json = serde_json::to_vec(&written).unwrap_or_default();
        // Line breaks in JSON stand between its tokens only: in texts they are escaped.
        for byte in &mut json {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        Self {
            json: json.into(),
            key: event.map(|event| key(event, publish)),
        }
    }
}

fn key(event: &str, publish: &PublishPacket<'_>) -> MessageKey {
    let mut hash = Context::new(&SHA256);
    for part in [event.as_bytes(), publish.topic.as_bytes(), publish.payload] {
        hash.update(&part.len().to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finish();
    let first = hash.as_ref().first_chunk::<8>();
    first.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
