//! JSON Schemas of messages that clients receive: the event, its detail, or a CloudEvent.
//!
//! Amazon EventBridge user guide, "Events in EventBridge: event structure reference"; CloudEvents
//! 1.0.2, section 3.1.

use serde_json::{Map, Value, json};

use crate::event::envelope::Envelope;
use crate::guard::contract::served::EventKey;
use crate::route::payload::PayloadShape;

/// The schema of a payload; `detail` is that of the event's detail.
pub fn payload_schema(
    payload: PayloadShape,
    envelope: Envelope,
    key: &EventKey,
    detail: Option<&Value>,
) -> Value {
    let any = json!({ "type": "object" });
    let detail = detail.unwrap_or(&any).clone();
    match (payload, envelope) {
        (PayloadShape::Detail, _) => detail,
        (PayloadShape::CloudEvents, _) => cloud_event(key, detail),
        (PayloadShape::Event, Envelope::Raw) => any,
        (PayloadShape::Event, _) => event(key, detail),
    }
}

/// Text that is always the same, unless the key says that it may be any.
fn constant(value: &str) -> Value {
    match value {
        "*" => json!({ "type": "string" }),
        value => json!({ "type": "string", "const": value }),
    }
}

fn event(key: &EventKey, detail: Value) -> Value {
    let text = json!({ "type": "string" });
    let mut properties = Map::new();
    for (name, schema) in [
        ("version", text.clone()),
        ("id", text.clone()),
        ("detail-type", constant(&key.detail_type)),
        ("source", constant(&key.source)),
        ("account", text.clone()),
        ("time", json!({ "type": "string", "format": "date-time" })),
        ("region", text.clone()),
        ("resources", json!({ "type": "array", "items": text })),
        ("detail", detail),
    ] {
        properties.insert(name.to_owned(), schema);
    }
    json!({
        "type": "object",
        "required": ["id", "detail-type", "source", "time", "detail"],
        "properties": properties,
    })
}

fn cloud_event(key: &EventKey, data: Value) -> Value {
    json!({
        "type": "object",
        "required": ["specversion", "id", "source", "type", "datacontenttype", "data"],
        "properties": {
            "specversion": constant("1.0"),
            "id": { "type": "string" },
            "source": constant(&key.source),
            "type": constant(&key.detail_type),
            "time": { "type": "string", "format": "date-time" },
            "awsaccount": { "type": "string" },
            "awsregion": { "type": "string" },
            "datacontenttype": constant("application/json"),
            "data": data,
        },
    })
}
