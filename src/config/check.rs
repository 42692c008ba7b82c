//! The file against its description: unknown, repeated and missing keys, wrong types, numbers out of bounds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::fault::{Fault, Severity};
use super::shape::{KnownKey, Shape};
use super::unquoted;
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// Collects the findings about one file.
pub(crate) struct Faults<'f> {
    /// Turns a position of the tree into a place for a person.
    pub(crate) place: &'f dyn Fn(TextPosition) -> super::fault::ValuePlace,
    pub(crate) found: Vec<Fault>,
}

impl Faults<'_> {
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        key: &str,
        at: TextPosition,
        message: impl Into<String>,
    ) -> &mut Fault {
        let place = (self.place)(at);
        self.found.push(Fault {
            severity: Severity::Error,
            code,
            message: message.into(),
            place,
            key: key.to_owned(),
            accepted: None,
            help: None,
        });
        let last = self.found.len() - 1;
        // The vector was just pushed to.
        #[expect(clippy::indexing_slicing, reason = "the last element was just pushed")]
        &mut self.found[last]
    }
}

/// Checks a node, and everything below it, against its shape.
pub(crate) fn check(node: &TreeValue, shape: &Shape, key: &str, faults: &mut Faults<'_>) {
    match (shape, &node.value) {
        (Shape::Section(keys), NodeValue::Object(members)) => {
            section(node, members, keys, key, faults);
        }
        (Shape::Map(each), NodeValue::Object(members)) => {
            repeated(members, key, faults);
            for member in members {
                check(&member.value, each, &join(key, &member.key), faults);
            }
        }
        (Shape::List(each) | Shape::PossiblyEmptyList(each), NodeValue::Array(elements)) => {
            if elements.is_empty() && matches!(shape, Shape::List(_)) {
                faults
                    .error("empty-list", key, node.at, format!("`{key}` is empty"))
                    .help = Some("add an entry".into());
            }
            for (index, element) in elements.iter().enumerate() {
                check(element, each, &format!("{key}[{index}]"), faults);
            }
        }
        (Shape::Text { .. }, NodeValue::String(text)) if !text.is_empty() => {}
        (Shape::Texts { .. }, NodeValue::String(text)) if !text.is_empty() => {}
        (Shape::Texts { example }, NodeValue::Array(elements)) if !elements.is_empty() => {
            for (index, element) in elements.iter().enumerate() {
                let each = Shape::Text { example };
                check(element, &each, &format!("{key}[{index}]"), faults);
            }
        }
        (Shape::Bool, NodeValue::Bool(_)) => {}
        (Shape::Integer { least, most }, NodeValue::Number(text)) => {
            let within = |value: u64| (*least..=*most).contains(&value);
            if !text.parse().is_ok_and(within) {
                let message = format!("`{key}` is {text}");
                faults.error("out-of-range", key, node.at, message).accepted =
                    Some(shape.accepts());
            }
        }
        (Shape::Duration, NodeValue::String(text)) if text_of(text).parse_duration().is_some() => {}
        (Shape::Choice(words), NodeValue::String(text)) => {
            let text = text_of(text);
            if !words.contains(&&*text) {
                let message = format!("`{key}` is `{text}`");
                let fault = faults.error("unknown-word", key, node.at, message);
                fault.accepted = Some(shape.accepts());
                fault.help = did_you_mean(&text, words.iter().copied());
            }
        }
        // Checked where they are read: the pattern language and regular expressions have their own rules.
        (Shape::Pattern | Shape::IdFormat, NodeValue::Object(_) | NodeValue::String(_))
        | (Shape::Read { .. }, _) => {}
        _ => {
            let message = format!("`{key}` is {}", described(node));
            let fault = faults.error("wrong-type", key, node.at, message);
            fault.accepted = Some(shape.accepts());
            fault.help = unquoted::advice(node);
        }
    }
}

fn section(
    node: &TreeValue,
    members: &[ObjectMember],
    keys: &[KnownKey],
    path: &str,
    faults: &mut Faults<'_>,
) {
    repeated(members, path, faults);
    for member in members.iter().filter(|member| !is_extension(&member.key)) {
        let path = join(path, &member.key);
        match keys.iter().find(|key| *key.name == *member.key) {
            Some(key) => check(&member.value, &key.shape, &path, faults),
            None => {
                let names = keys.iter().map(|key| key.name);
                let fault = faults.error(
                    "unknown-key",
                    &path,
                    member.key_at,
                    format!("there is no key `{}` here", member.key),
                );
                fault.accepted = Some(names.clone().collect::<Vec<_>>().join(", "));
                fault.help = did_you_mean(&member.key, names);
            }
        }
    }
    for key in keys.iter().filter(|key| key.required) {
        if !members.iter().any(|member| *member.key == *key.name) {
            let place = if path.is_empty() { "the file" } else { path };
            let message = format!("{place} has no `{}`", key.name);
            let fault = faults.error("missing-key", &join(path, key.name), node.at, message);
            fault.accepted = Some(key.shape.accepts());
            fault.help = Some(key.about.to_owned());
        }
    }
}

/// Returns `true` where a key is the user's own: a place for anchors and notes, which nothing reads
/// (as in Compose files and OpenAPI).
fn is_extension(key: &str) -> bool {
    key.starts_with("x-")
}

fn repeated(members: &[ObjectMember], path: &str, faults: &mut Faults<'_>) {
    for (member, first) in repetitions(members) {
        let message = format!("the key `{}` is repeated", member.key);
        let key = join(path, &member.key);
        faults
            .error("repeated-key", &key, member.key_at, message)
            .help = Some(format!(
            "the first is in line {}; keep one",
            first.key_at.line
        ));
    }
}

/// Members whose key an earlier one has, each with the first of them.
pub(crate) fn repetitions(
    members: &[ObjectMember],
) -> impl Iterator<Item = (&ObjectMember, &ObjectMember)> {
    let mut first: HashMap<&str, &ObjectMember> = HashMap::new();
    members
        .iter()
        .filter_map(move |member| match first.entry(&member.key) {
            Entry::Occupied(known) => Some((member, *known.get())),
            Entry::Vacant(place) => {
                place.insert(member);
                None
            }
        })
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The nearest of some words, if one is near enough to be meant.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    known
        .map(|known| {
            let likeness = strsim::jaro_winkler(&word.to_lowercase(), &known.to_lowercase());
            (likeness, known)
        })
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// The question whether the nearest of some words was meant.
pub(crate) fn did_you_mean<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean `{known}`?"))
}

/// A value in few words, for messages.
fn described(node: &TreeValue) -> String {
    match &node.value {
        NodeValue::Object(_) => "a mapping".into(),
        NodeValue::Array(_) => "a list".into(),
        NodeValue::Null => "empty".into(),
        NodeValue::String(text) if text.is_empty() => "empty text".into(),
        NodeValue::String(text) => format!("the text `{}`", text_of(text)),
        NodeValue::Number(text) => format!("the number {text}"),
        NodeValue::Bool(value) => format!("{value}"),
    }
}

/// Text of a YAML file, which is always Unicode.
pub(crate) fn text_of(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Reading times such as `30s`.
pub(crate) trait ParseDuration {
    /// The time, unless it is spelled otherwise.
    fn parse_duration(&self) -> Option<Duration>;
}

impl ParseDuration for String {
    fn parse_duration(&self) -> Option<Duration> {
        let unit = self.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = self.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let seconds = |unit: u64| number.checked_mul(unit).map(Duration::from_secs);
        match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3_600),
            "d" => seconds(86_400),
            _ => None,
        }
    }
}

impl Shape {
    /// Describes the accepted values, in words.
    pub(crate) fn accepts(&self) -> String {
        match self {
            Self::Text { example } => format!("text such as `{example}`"),
            Self::Texts { example } => format!("text such as `{example}`, or a list of texts"),
            Self::Integer { least, most } => format!("a whole number from {least} to {most}"),
            Self::Bool => "true or false".into(),
            Self::Duration => "a time such as `30s`, `5m`, `1h`, `2d`".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List(_) | Self::PossiblyEmptyList(_) => "a list".into(),
            Self::Map(_) => "a mapping of names".into(),
            Self::Section(keys) => {
                let names: Vec<_> = keys.iter().map(|key| key.name).collect();
                format!("a mapping with {}", names.join(", "))
            }
            Self::Pattern => "an event pattern: a mapping such as `source: [shop.orders]`".into(),
            Self::IdFormat => "uuid, or { pattern: REGEX }".into(),
            Self::Read { accepts } => (*accepts).into(),
        }
    }
}
