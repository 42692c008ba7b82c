//! A route's event pattern: read, and searched for parts that no event can match.
//!
//! EventBridge accepts every pattern that is right by its language, so that a rule with a misspelt member is silent for ever.
//! Here such a member is a warning. Warnings are certain: what depends on a platform's own data (`detail`) gets none. With
//! `envelope: raw` nothing is known of the body, and nothing is said.

use super::check::{self, Faults, text_of};
use super::envelope::{MemberType, MissingField, member_type, missing};
use super::fault::Severity;
use crate::event::envelope::Envelope;
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};
use crate::event::pattern::{Pattern, PatternError};

/// Reads the pattern at `key`.
pub(super) fn read(
    node: &TreeValue,
    key: &str,
    envelope: Envelope,
    faults: &mut Faults<'_>,
) -> Option<Pattern> {
    let json;
    let (pattern, tree, written) = match &node.value {
        NodeValue::Object(_) => (Pattern::from_tree(node), Some(node), WrittenPattern::Yaml),
        // JSON in a string, as in a rule. Places inside it are not places of the file.
        NodeValue::String(text) => {
            let text = text_of(text);
            let pattern = Pattern::parse(&text).map_err(|error| PatternError {
                at: node.at,
                ..error
            });
            json = TreeValue::parse(&text).ok();
            (pattern, json.as_ref(), WrittenPattern::Json(node.at))
        }
        _ => return None,
    };
    let mut search = PatternSearch {
        written,
        key,
        faults,
    };
    if let Some(tree) = tree {
        search.repeated(tree, "");
    }
    match pattern {
        Ok(pattern) => {
            for warning in pattern.warnings() {
                search.warn(
                    "pattern-warning",
                    &warning.path,
                    warning.at,
                    &warning.message,
                    None,
                );
            }
            if let Some(TreeValue {
                value: NodeValue::Object(members),
                ..
            }) = tree.filter(|_| envelope != Envelope::Raw)
            {
                search.members(members, &[]);
            }
            Some(pattern)
        }
        Err(error) => {
            let message = error.aws_text();
            search
                .faults
                .error("bad-pattern", &join(key, &error.path), error.at, message)
                .help = error.help;
            None
        }
    }
}

fn join(key: &str, path: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        check::join(key, path)
    }
}

/// The text that positions in a pattern's tree count.
#[derive(Clone, Copy)]
enum WrittenPattern {
    /// The file.
    Yaml,
    /// JSON in a scalar, which begins at this place of the file.
    Json(TextPosition),
}

impl WrittenPattern {
    /// A place in the file.
    fn in_file(self, at: TextPosition) -> TextPosition {
        match self {
            Self::Yaml => at,
            Self::Json(scalar) => scalar,
        }
    }

    /// A place in words.
    fn described(self, at: TextPosition) -> String {
        match self {
            Self::Yaml => format!("line {}", at.line),
            Self::Json(_) => format!("line {}, column {} of its JSON", at.line, at.column),
        }
    }
}

struct PatternSearch<'s, 'f> {
    written: WrittenPattern,
    key: &'s str,
    faults: &'s mut Faults<'f>,
}

impl PatternSearch<'_, '_> {
    fn warn(
        &mut self,
        code: &'static str,
        path: &str,
        at: TextPosition,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let at = self.written.in_file(at);
        let fault = self.faults.error(code, &join(self.key, path), at, message);
        fault.severity = Severity::Warning;
        fault.help = help;
    }

    /// Repeated keys, of which EventBridge would see the last one.
    fn repeated(&mut self, node: &TreeValue, path: &str) {
        match &node.value {
            NodeValue::Object(members) => {
                for (member, first) in check::repetitions(members) {
                    let path = check::join(path, &member.key);
                    let message = format!(
                        "the key `{}` of the pattern is repeated: {} and {}",
                        member.key,
                        self.written.described(first.key_at),
                        self.written.described(member.key_at),
                    );
                    let at = self.written.in_file(member.key_at);
                    self.faults
                        .error("repeated-key", &join(self.key, &path), at, message)
                        .help = Some(
                        "JSON keeps the last one only; write all values in one list, or use `$or`"
                            .into(),
                    );
                }
                for member in members {
                    self.repeated(&member.value, &check::join(path, &member.key));
                }
            }
            NodeValue::Array(elements) => {
                for element in elements {
                    self.repeated(element, path);
                }
            }
            _ => {}
        }
    }

    /// Fields that no event has, and values that no event has in a field. `$or` is transparent.
    fn members(&mut self, members: &[ObjectMember], parents: &[&str]) {
        for member in members {
            if let ("$or", NodeValue::Array(branches)) = (&*member.key, &member.value.value) {
                for branch in branches {
                    if let NodeValue::Object(members) = &branch.value {
                        self.members(members, parents);
                    }
                }
                continue;
            }
            // A key with dots is the same path as nested keys.
            let path: Vec<&str> = parents
                .iter()
                .copied()
                .chain(member.key.split('.'))
                .collect();
            if let Some(missing) = missing(&path) {
                self.missing(member, &path, &missing);
                continue;
            }
            match &member.value.value {
                NodeValue::Object(members) => self.members(members, &path),
                NodeValue::Array(values) => self.values(values, &path),
                _ => {}
            }
        }
    }

    fn missing(&mut self, member: &ObjectMember, path: &[&str], missing: &MissingField) {
        let path = path.join(".");
        let outcome = if asks_for_absence(&member.value) {
            "always holds"
        } else {
            "can never match"
        };
        let message = format!("`{path}` {outcome}: {}", missing.message);
        let help = missing.help(str::to_owned);
        self.warn("no-such-field", &path, member.key_at, message, Some(help));
    }

    /// Values that a member of the envelope never has.
    fn values(&mut self, values: &[TreeValue], path: &[&str]) {
        let [name] = path else { return };
        if !matches!(
            member_type(name),
            Some(MemberType::Text | MemberType::TextList)
        ) {
            return;
        }
        for value in values {
            if let Some((why, help)) = never(name, value) {
                let message = format!("`{name}` can never be {}: {why}", value.to_json());
                self.warn("never-matches", name, value.at, message, Some(help));
            }
        }
    }
}

/// Returns `true` where a missing field is among the accepted values.
fn asks_for_absence(value: &TreeValue) -> bool {
    match &value.value {
        NodeValue::Array(values) => values.iter().any(|value| {
            operator(value, "exists")
                .is_some_and(|value| matches!(value.value, NodeValue::Bool(false)))
        }),
        NodeValue::Object(members) => members.iter().all(|member| asks_for_absence(&member.value)),
        _ => false,
    }
}

/// The operand of an operator such as `prefix`.
fn operator<'n>(value: &'n TreeValue, name: &str) -> Option<&'n TreeValue> {
    let NodeValue::Object(members) = &value.value else {
        return None;
    };
    let member = members.iter().find(|member| &*member.key == name)?;
    Some(&member.value)
}

/// The reason why a member that is text, or a list of text, never has a value, and the form to
/// write instead.
fn never(member: &str, value: &TreeValue) -> Option<(String, String)> {
    let in_quotes = |number: &str| format!("write it in quotes: \"{number}\"");
    match &value.value {
        NodeValue::Number(number) => Some((
            "it is text in every event, and text never equals a number".into(),
            in_quotes(number),
        )),
        NodeValue::Bool(value) => Some((
            "it is text in every event".into(),
            format!("write it in quotes: \"{value}\""),
        )),
        NodeValue::Null => Some((
            "it is text in every event that has it".into(),
            "ask for its absence with { exists: false }, or leave the member out".into(),
        )),
        NodeValue::String(text) => never_text(member, &text_of(text)),
        NodeValue::Object(_) => never_operator(member, value),
        NodeValue::Array(_) => None,
    }
}

fn never_operator(member: &str, value: &TreeValue) -> Option<(String, String)> {
    if operator(value, "numeric").is_some() {
        return Some((
            "it is text in every event, and `numeric` compares numbers".into(),
            "use prefix, suffix, wildcard or texts in quotes".into(),
        ));
    }
    if let Some(operand) = operator(value, "exists") {
        let absent = matches!(operand.value, NodeValue::Bool(false));
        // Events put raw on a version-2 bus may lack all others.
        return (absent && matches!(member, "id" | "source")).then(|| {
            (
                "every event has it".into(),
                "leave the member out: it takes every event".into(),
            )
        });
    }
    for name in ["equals-ignore-case", "prefix", "suffix"] {
        let Some(NodeValue::String(text)) = operator(value, name).map(|node| &node.value) else {
            continue;
        };
        let text = text_of(text);
        return match member {
            "account" if name == "equals-ignore-case" => never_text(member, &text),
            "account" => (text.len() > 12 || !is_digits(&text)).then(no_account),
            "region" if name == "prefix" => never_text(member, &text),
            _ => None,
        };
    }
    let excluded = operator(value, "anything-but")?;
    let excluded = match &excluded.value {
        NodeValue::Array(values) => values.as_slice(),
        _ => std::slice::from_ref(excluded),
    };
    excluded.iter().find_map(|value| match &value.value {
        NodeValue::Number(number) => Some((
            format!(
                "the number {number} excludes nothing, since the member is text in every event"
            ),
            format!("write it in quotes: \"{number}\""),
        )),
        _ => None,
    })
}

fn no_account() -> (String, String) {
    (
        "an account id has 12 digits and nothing else".into(),
        "write the 12 digits in quotes: \"123456789012\"".into(),
    )
}

fn never_text(member: &str, text: &str) -> Option<(String, String)> {
    match member {
        "account" if text.len() != 12 || !is_digits(text) => Some(no_account()),
        "region"
            if text
                .chars()
                .any(|c| c.is_ascii_uppercase() || c.is_whitespace() || c == '_') =>
        {
            Some((
                "a Region's code has lowercase letters, digits and `-` only".into(),
                format!(
                    "write it as AWS does, such as {}",
                    text.to_ascii_lowercase().replace([' ', '_'], "-")
                ),
            ))
        }
        _ => None,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
