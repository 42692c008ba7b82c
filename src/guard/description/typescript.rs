//! Types of TypeScript for the messages of channels: exact where a schema is known, `unknown` where
//! none is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::config::Config;
use crate::event::envelope::Envelope;
use crate::guard::contract::served::{EventKey, ServedContract};
use crate::guard::manifest::address::AddressPiece;
use crate::guard::manifest::schema::{JsonType, SchemaPart};
use crate::route::payload::PayloadShape;

const HEAD: &str = "\
/** An event of Amazon EventBridge, as clients receive it. */
export interface EventBridgeEvent<Source extends string, DetailType extends string, Detail> {
  version?: string;
  id: string;
  \"detail-type\": DetailType;
  source: Source;
  account?: string;
  time: string;
  region?: string;
  resources?: string[];
  detail: Detail;
}

/** A CloudEvent in structured mode. */
export interface CloudEvent<Source extends string, Type extends string, Data> {
  specversion: \"1.0\";
  id: string;
  source: Source;
  type: Type;
  time?: string;
  awsaccount?: string;
  awsregion?: string;
  datacontenttype: \"application/json\";
  data: Data;
}
";

/// Makes the declarations of a contract.
pub fn typescript(config: &Config, contract: &ServedContract, file: &str) -> String {
    let mut details: BTreeMap<&EventKey, (String, Option<&SchemaPart>)> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for channel in &contract.channels {
        for (key, message) in &channel.messages {
            let part = message.schema.as_ref().map(|schema| &schema.part);
            details.entry(key).or_insert_with(|| {
                let name = type_name(key, &message.name, &taken);
                taken.insert(name.clone());
                (name, part)
            });
        }
    }
    // A `*/` in a name would end the comment.
    let mut out = format!(
        "// Made by `eventcast routes types` of {}. Do not edit.\n\n{HEAD}",
        file.replace(['\n', '\r'], " ")
    );
    for (name, part) in details.values() {
        let written = part.map_or_else(|| "unknown".into(), |part| type_of(part, 0));
        let _ = write!(out, "\nexport type {name}Detail = {written};\n");
    }
    let mut channels = String::new();
    let mut topics = String::new();
    for channel in &contract.channels {
        let address = quoted(&channel.address.to_string());
        let mut members: Vec<String> = channel
            .messages
            .iter()
            .filter_map(|(key, message)| {
                let (name, _) = details.get(key)?;
                let payload = message
                    .delivery
                    .map_or(PayloadShape::Event, |delivery| delivery.payload);
                Some(message_type(payload, config.envelope, key, name))
            })
            .collect();
        members.sort();
        members.dedup();
        let _ = writeln!(
            channels,
            "  {address}:\n    | {};",
            members.join("\n    | ")
        );
        let mut topic = String::new();
        for piece in channel.address.pieces() {
            match piece {
                AddressPiece::Text(text) => topic.push_str(&in_template(text)),
                AddressPiece::Parameter(_) => topic.push_str("${string}"),
            }
        }
        let prefix = config
            .environment
            .as_deref()
            .map(|name| format!("{}/", in_template(name)));
        let _ = writeln!(
            topics,
            "  {address}: `{}{topic}`;",
            prefix.unwrap_or_default()
        );
    }
    let _ = write!(
        out,
        "\n/** The messages of each channel. */\nexport interface ChannelMessages {{\n{channels}}}\n\
         \n/** The MQTT topics of each channel. */\nexport interface ChannelTopics {{\n{topics}}}\n"
    );
    out
}

fn message_type(payload: PayloadShape, envelope: Envelope, key: &EventKey, name: &str) -> String {
    let literal = |text: &str| match text {
        "*" => "string".to_owned(),
        text => quoted(text),
    };
    let (source, detail_type) = (literal(&key.source), literal(&key.detail_type));
    match (payload, envelope) {
        (PayloadShape::Detail, _) => format!("{name}Detail"),
        (PayloadShape::CloudEvents, _) => {
            format!("CloudEvent<{source}, {detail_type}, {name}Detail>")
        }
        (PayloadShape::Event, Envelope::Raw) => "unknown".into(),
        (PayloadShape::Event, _) => {
            format!("EventBridgeEvent<{source}, {detail_type}, {name}Detail>")
        }
    }
}

/// A name in PascalCase: the detail type, with the source or a number where it is taken.
fn type_name(key: &EventKey, route: &str, taken: &BTreeSet<String>) -> String {
    let short = match key.detail_type.as_str() {
        "*" => pascal(route),
        detail_type => pascal(detail_type),
    };
    let long = format!("{}{short}", pascal(&key.source));
    let numbered = (2..).map(|number| format!("{long}{number}"));
    [short, long.clone()]
        .into_iter()
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

fn pascal(text: &str) -> String {
    let mut out = String::new();
    let mut is_start = true;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            is_start = true;
            continue;
        }
        if out.is_empty() && c.is_ascii_digit() {
            out.push('_');
        }
        out.push(if is_start { c.to_ascii_uppercase() } else { c });
        is_start = false;
    }
    if out.is_empty() { "Any".into() } else { out }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Text within a template literal.
fn in_template(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('`', "\\`")
        .replace("${", "\\${")
}

/// The type of a schema, its members indented.
fn type_of(part: &SchemaPart, depth: usize) -> String {
    if !part.values.is_empty() {
        let literals: Vec<String> = part.values.iter().map(literal).collect();
        return literals.join(" | ");
    }
    if !part.alternatives.is_empty() {
        let choices: Vec<String> = part
            .alternatives
            .iter()
            .map(|choice| type_of(&with_context(part, choice), depth))
            .collect();
        return choices.join(" | ");
    }
    let mut types = part.types.clone();
    if types.is_empty() {
        if !part.properties.is_empty() || !part.required.is_empty() {
            types.insert(JsonType::Object);
        } else if part.items.is_some() {
            types.insert(JsonType::Array);
        } else {
            return "unknown".into();
        }
    }
    let names: BTreeSet<String> = types
        .into_iter()
        .map(|kind| match kind {
            JsonType::Null => "null".into(),
            JsonType::Boolean => "boolean".into(),
            JsonType::Integer | JsonType::Number => "number".into(),
            JsonType::Text => "string".into(),
            JsonType::Array => {
                let items = part
                    .items
                    .as_ref()
                    .map_or_else(|| "unknown".into(), |items| type_of(items, depth));
                format!("Array<{items}>")
            }
            JsonType::Object => object(part, depth),
        })
        .collect();
    names.into_iter().collect::<Vec<_>>().join(" | ")
}

/// An alternative with the keywords beside it.
fn with_context(part: &SchemaPart, choice: &SchemaPart) -> SchemaPart {
    let mut whole = choice.clone();
    if whole.types.is_empty() {
        whole.types.clone_from(&part.types);
    }
    for (name, inner) in &part.properties {
        whole
            .properties
            .entry(name.clone())
            .or_insert_with(|| inner.clone());
    }
    whole.required.extend(part.required.iter().cloned());
    whole
}

fn object(part: &SchemaPart, depth: usize) -> String {
    let mut members = part.properties.clone();
    for name in &part.required {
        members.entry(name.clone()).or_default();
    }
    if members.is_empty() {
        return "Record<string, unknown>".into();
    }
    let indent = "  ".repeat(depth + 1);
    let mut out = String::from("{\n");
    for (name, inner) in &members {
        let mark = if part.required.contains(name) {
            ""
        } else {
            "?"
        };
        let _ = writeln!(
            out,
            "{indent}{}{mark}: {};",
            member_name(name),
            type_of(inner, depth + 1)
        );
    }
    let _ = write!(out, "{}}}", "  ".repeat(depth));
    out
}

fn member_name(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A value as a type; a value without a literal type has its general one.
fn literal(value: &Value) -> String {
    match value {
        Value::Array(_) => "Array<unknown>".into(),
        Value::Object(_) => "Record<string, unknown>".into(),
        value => value.to_string(),
    }
}
