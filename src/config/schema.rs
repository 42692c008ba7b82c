//! The JSON Schema of the configuration file (draft 2020-12), so that editors complete and check it.

use serde_json::{Map, Value, json};

use super::shape::{DefaultValue, FILE, KnownKey, Shape};

/// The schema as a document.
pub fn schema() -> Value {
    let mut root = section(FILE);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "eventcast.yaml",
    });
    if let (Value::Object(root), Value::Object(head)) = (&mut root, head) {
        root.extend(head);
    }
    root
}

fn section(keys: &[KnownKey]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let mut property = of(&key.shape);
            if let Value::Object(property) = &mut property {
                property.insert("description".into(), key.about.into());
                if let Some(default) = key.default {
                    property.insert("default".into(), default.to_json());
                    // A time that one key takes may be too long for another; its default never is.
                    if matches!(key.shape, Shape::Duration) {
                        property.insert("examples".into(), json!([default.to_json()]));
                    }
                }
            }
            (key.name.to_owned(), property)
        })
        .collect();
    let required = keys.iter().filter(|key| key.required);
    json!({
        "type": "object",
        "properties": properties,
        "required": required.map(|key| key.name).collect::<Vec<_>>(),
        "patternProperties": {"^x-": {"description": "Your own: nothing reads it, and anchors may be kept here."}},
        "additionalProperties": false,
    })
}

impl DefaultValue {
    /// The value in JSON.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Number(number) => number.into(),
            Self::Bool(value) => value.into(),
        }
    }
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text { example } => json!({"type": "string", "minLength": 1, "examples": [example]}),
        Shape::Texts { example } => {
            let text = json!({"type": "string", "minLength": 1, "examples": [example]});
            json!({"oneOf": [text, {"type": "array", "minItems": 1, "items": text}]})
        }
        Shape::Integer { least, most } => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Duration => {
            json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["5m"]})
        }
        Shape::Choice(words) => json!({"enum": words}),
        Shape::List(each) => json!({"type": "array", "minItems": 1, "items": of(each)}),
        Shape::PossiblyEmptyList(each) => json!({"type": "array", "items": of(each)}),
        Shape::Map(each) => json!({"type": "object", "additionalProperties": of(each)}),
        Shape::Section(keys) => section(keys),
        Shape::Read { accepts } => json!({"description": accepts}),
        Shape::Pattern => json!({"type": ["object", "string"]}),
        Shape::IdFormat => json!({"oneOf": [
            {"const": "uuid"},
            {
                "type": "object",
                "properties": {"pattern": {"type": "string", "format": "regex"}},
                "required": ["pattern"],
                "additionalProperties": false,
            },
        ]}),
    }
}
