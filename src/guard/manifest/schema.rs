//! Schemas of payloads: the part of JSON Schema that a subscriber may rely on.
//!
//! Types, required members, properties, items, enumerations and alternatives count; `$ref` is
//! followed within the document. The other keywords of a schema (formats, lengths, descriptions)
//! are kept for the documents made of it, and never judged: no subscriber reads a field because of
//! its description.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::keys::SCHEMA;
use super::{string, truth};
use crate::config::check::{Faults, did_you_mean, text_of};
use crate::config::{elements, member};
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};

/// The deepest nesting, references followed.
const MAX_DEPTH: usize = 24;

/// The most parts of one schema, references followed.
const MAX_PARTS: usize = 5_000;

/// A schema as written, and its meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct PayloadSchema {
    /// Its meaning.
    pub part: SchemaPart,
    /// The schema with its references replaced by their targets.
    pub written: Value,
    /// Position in the text.
    pub at: TextPosition,
}

/// A schema of one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaPart {
    /// The types that the value may have; none for any.
    pub types: BTreeSet<JsonType>,
    /// The members that an object always has.
    pub required: BTreeSet<String>,
    /// The schemas of members.
    pub properties: BTreeMap<String, SchemaPart>,
    /// The schema of each element.
    pub items: Option<Box<SchemaPart>>,
    /// The values that it may have; none for any.
    pub values: Vec<Value>,
    /// Schemas of which one holds.
    pub alternatives: Vec<SchemaPart>,
    /// `true` where other members than those of `properties` are refused.
    pub closed: bool,
}

/// The types of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JsonType {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// Text.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl JsonType {
    /// The names in schemas, in the order of the variants.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::Text),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    /// The name in schemas.
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(_, known)| *known == self)
            .map_or("any", |(name, _)| name)
    }

    /// Returns `true` when each value of `self` is one of `other`.
    pub fn is_within(self, other: Self) -> bool {
        self == other || (self == Self::Integer && other == Self::Number)
    }

    /// The type of a value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() || number.is_u64() => Self::Integer,
            Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => {
                Self::Integer
            }
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

impl PayloadSchema {
    /// Reads a schema. References (`#/…`) are looked up in the schema itself, then in the document.
    pub(super) fn read(
        node: &TreeValue,
        document: &TreeValue,
        key: &str,
        faults: &mut Faults<'_>,
    ) -> Option<Self> {
        if !matches!(node.value, NodeValue::Object(_)) {
            let message = format!("`{key}` is {}", node.to_json());
            faults.error("bad-schema", key, node.at, message).accepted = Some(SCHEMA.into());
            return None;
        }
        let known = faults.found.len();
        let mut reader = SchemaReader {
            roots: [node, document],
            parts: 0,
            faults,
        };
        let part = reader.part(node, key, 0)?;
        let mut parts = 0;
        let Some(written) = inlined(node, [node, document], 0, &mut parts) else {
            if faults.found.len() == known {
                let message = format!(
                    "`{key}` is too large with its references in place, or refers to what is not there"
                );
                let fault = faults.error("bad-schema", key, node.at, message);
                fault.accepted = Some(format!(
                    "at most {} values, references followed",
                    20 * MAX_PARTS
                ));
                fault.help = Some("a part that refers to itself has no end".into());
            }
            return None;
        };
        Some(Self {
            part,
            written,
            at: node.at,
        })
    }

    /// The schema of values that are of this schema or of another one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            part: SchemaPart {
                alternatives: vec![self.part, other.part],
                ..SchemaPart::default()
            },
            written: serde_json::json!({ "anyOf": [self.written, other.written] }),
            at: self.at,
        }
    }

    /// The ways in which a value breaks the schema; a line each.
    pub fn violations(&self, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        violations(&self.part, value, "detail", &mut found);
        found
    }
}

struct SchemaReader<'r, 'f> {
    roots: [&'r TreeValue; 2],
    parts: usize,
    faults: &'r mut Faults<'f>,
}

impl SchemaReader<'_, '_> {
    fn fail(&mut self, key: &str, at: TextPosition, message: String, accepted: &str) {
        self.faults.error("bad-schema", key, at, message).accepted = Some(accepted.to_owned());
    }

    fn part(&mut self, node: &TreeValue, key: &str, depth: usize) -> Option<SchemaPart> {
        self.parts += 1;
        if depth > MAX_DEPTH || self.parts > MAX_PARTS {
            let message = format!("`{key}` is nested too deep, or refers to itself");
            let accepted =
                format!("at most {MAX_DEPTH} levels and {MAX_PARTS} parts, references followed");
            self.fail(key, node.at, message, &accepted);
            return None;
        }
        if let NodeValue::Bool(true) = node.value {
            return Some(SchemaPart::default());
        }
        if !matches!(node.value, NodeValue::Object(_)) {
            let message = format!("`{key}` is {}", node.to_json());
            self.fail(key, node.at, message, SCHEMA);
            return None;
        }
        if let Some(reference) = member(node, "$ref") {
            let name = string(reference).unwrap_or_default();
            let [own, document] = self.roots;
            let target = pointed(own, &name).or_else(|| pointed(document, &name));
            let Some(target) = target else {
                let message = format!("`{key}` refers to `{name}`, which is not in the document");
                self.fail(
                    key,
                    reference.at,
                    message,
                    "a reference within the document, such as #/$defs/Order",
                );
                return None;
            };
            return self.part(target, key, depth + 1);
        }
        let mut part = SchemaPart {
            types: self.types(node, key),
            values: values(node),
            closed: truth(node, "additionalProperties") == Some(false),
            ..SchemaPart::default()
        };
        for element in elements(node, "required") {
            match string(element) {
                Some(name) => {
                    part.required.insert(name);
                }
                None => {
                    let message = format!("`{key}.required` has {}", element.to_json());
                    self.fail(key, element.at, message, "names of members");
                }
            }
        }
        if let Some(properties) = member(node, "properties") {
            match &properties.value {
                NodeValue::Object(members) => {
                    for property in members {
                        let key = format!("{key}.properties.{}", property.key);
                        if let Some(inner) = self.part(&property.value, &key, depth + 1) {
                            part.properties.insert(property.key.to_string(), inner);
                        }
                    }
                }
                _ => {
                    let message = format!("`{key}.properties` is {}", properties.to_json());
                    self.fail(key, properties.at, message, "a mapping of names to schemas");
                }
            }
        }
        if let Some(items) =
            member(node, "items").filter(|items| !matches!(items.value, NodeValue::Array(_)))
        {
            part.items = self
                .part(items, &format!("{key}.items"), depth + 1)
                .map(Box::new);
        }
        for word in ["oneOf", "anyOf"] {
            for (index, choice) in elements(node, word).iter().enumerate() {
                let key = format!("{key}.{word}[{index}]");
                part.alternatives.extend(self.part(choice, &key, depth + 1));
            }
        }
        for (index, all) in elements(node, "allOf").iter().enumerate() {
            let key = format!("{key}.allOf[{index}]");
            if let Some(other) = self.part(all, &key, depth + 1) {
                part.merge(other);
            }
        }
        Some(part)
    }

    fn types(&mut self, node: &TreeValue, key: &str) -> BTreeSet<JsonType> {
        let mut found = BTreeSet::new();
        let Some(written) = member(node, "type") else {
            return found;
        };
        let listed = match &written.value {
            NodeValue::Array(elements) => elements.as_slice(),
            _ => std::slice::from_ref(written),
        };
        for element in listed {
            let name = match &element.value {
                NodeValue::String(text) => text_of(text),
                // Plain `null` of YAML.
                NodeValue::Null => "null".to_owned(),
                _ => element.to_json(),
            };
            match JsonType::NAMES
                .into_iter()
                .find(|(known, _)| *known == name)
            {
                Some((_, known)) => {
                    found.insert(known);
                }
                None => {
                    let names = JsonType::NAMES.map(|(name, _)| name);
                    let message = format!("`{key}.type` is `{name}`");
                    let fault = self.faults.error(
                        "bad-schema",
                        &format!("{key}.type"),
                        element.at,
                        message,
                    );
                    fault.accepted = Some(names.join(", "));
                    fault.help = did_you_mean(&name, names.into_iter());
                }
            }
        }
        found
    }
}

impl SchemaPart {
    /// Takes over the keywords of another schema of the same value.
    fn merge(&mut self, other: Self) {
        if self.types.is_empty() {
            self.types = other.types;
        }
        self.required.extend(other.required);
        for (name, part) in other.properties {
            match self.properties.get_mut(&name) {
                Some(known) => known.merge(part),
                None => {
                    self.properties.insert(name, part);
                }
            }
        }
        if self.items.is_none() {
            self.items = other.items;
        }
        if self.values.is_empty() {
            self.values = other.values;
        }
        if self.alternatives.is_empty() {
            self.alternatives = other.alternatives;
        }
        self.closed |= other.closed;
    }
}

/// The values of `enum` or `const`.
fn values(node: &TreeValue) -> Vec<Value> {
    let value = |node: &TreeValue| serde_json::from_str(&node.to_json()).ok();
    match member(node, "const") {
        Some(only) => value(only).into_iter().collect(),
        None => elements(node, "enum").iter().filter_map(value).collect(),
    }
}

/// The node that a reference within a document names (RFC 6901, "JSON Pointer").
pub(super) fn pointed<'n>(root: &'n TreeValue, reference: &str) -> Option<&'n TreeValue> {
    let pointer = reference.strip_prefix('#')?;
    let mut node = root;
    for token in pointer.split('/').skip(1) {
        let token = percent_encoding::percent_decode_str(token).decode_utf8_lossy();
        let token = token.replace("~1", "/").replace("~0", "~");
        node = match &node.value {
            NodeValue::Object(_) => member(node, &token)?,
            NodeValue::Array(elements) => elements.get(token.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(node)
}

/// A schema with its references replaced by what they name; `None` where that has no end, which was
/// reported.
fn inlined(
    node: &TreeValue,
    roots: [&TreeValue; 2],
    depth: usize,
    parts: &mut usize,
) -> Option<Value> {
    *parts += 1;
    if depth > 4 * MAX_DEPTH || *parts > 20 * MAX_PARTS {
        return None;
    }
    if let Some(name) = member(node, "$ref").and_then(string) {
        let [own, document] = roots;
        let target = pointed(own, &name).or_else(|| pointed(document, &name))?;
        return inlined(target, roots, depth + 1, parts);
    }
    match &node.value {
        NodeValue::Object(members) => {
            let mut object = serde_json::Map::new();
            for found in members
                .iter()
                .filter(|found| !matches!(&*found.key, "$defs" | "definitions"))
            {
                let value = inlined(&found.value, roots, depth + 1, parts)?;
                object.insert(found.key.to_string(), value);
            }
            Some(Value::Object(object))
        }
        NodeValue::Array(elements) => elements
            .iter()
            .map(|element| inlined(element, roots, depth + 1, parts))
            .collect::<Option<Vec<_>>>()
            .map(Value::Array),
        _ => serde_json::from_str(&node.to_json()).ok(),
    }
}

fn violations(part: &SchemaPart, value: &Value, path: &str, found: &mut Vec<String>) {
    let kind = JsonType::of(value);
    if !part.types.is_empty() && !part.types.iter().any(|known| kind.is_within(*known)) {
        let names: Vec<&str> = part.types.iter().map(|known| known.name()).collect();
        found.push(format!(
            "{path} is of type {}, not {}",
            kind.name(),
            names.join(" or ")
        ));
        return;
    }
    if !part.values.is_empty() && !part.values.contains(value) {
        found.push(format!("{path} is none of the values of its `enum`"));
    }
    if !part.alternatives.is_empty() {
        let holds = part.alternatives.iter().any(|choice| {
            let mut found = Vec::new();
            violations(choice, value, path, &mut found);
            found.is_empty()
        });
        if !holds {
            found.push(format!("{path} is none of its alternatives"));
        }
    }
    match value {
        Value::Object(members) => {
            for name in part
                .required
                .iter()
                .filter(|name| !members.contains_key(*name))
            {
                found.push(format!("{path} has no `{name}`, which is required"));
            }
            for (name, value) in members {
                match part.properties.get(name) {
                    Some(inner) => violations(inner, value, &format!("{path}.{name}"), found),
                    None if part.closed => {
                        found.push(format!("{path} has `{name}`, which is no property of it"))
                    }
                    None => {}
                }
            }
        }
        Value::Array(elements) => {
            if let Some(items) = &part.items {
                for (index, value) in elements.iter().enumerate() {
                    violations(items, value, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
}
