//! Looking into properties: values, missing ones, and those that cannot be known.

use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// Returns the value at a path of keys.
pub(super) enum FoundValue<'n> {
    /// Nothing.
    Missing,
    /// A function of CloudFormation that cannot be resolved: an import, a parameter without a
    /// default.
    Unknown,
    /// A value.
    Value(&'n TreeValue),
}

/// Looks for a path of keys; a function that was not resolved hides its contents.
pub(super) fn look<'n>(node: &'n TreeValue, keys: &[&str]) -> FoundValue<'n> {
    let mut at = node;
    for key in keys {
        if is_open(at) {
            return FoundValue::Unknown;
        }
        match member(at, key) {
            Some(value) => at = value,
            None => return FoundValue::Missing,
        }
    }
    if is_open(at) {
        return FoundValue::Unknown;
    }
    FoundValue::Value(at)
}

/// Returns `true` where a value is a function that was not resolved.
pub(super) fn is_open(node: &TreeValue) -> bool {
    match members(node) {
        Some([only]) => &*only.key == "Ref" || only.key.starts_with("Fn::"),
        _ => false,
    }
}

/// Returns `true` where a value or anything in it is a function that was not resolved, or text with
/// a part that was not.
pub(super) fn has_open(node: &TreeValue) -> bool {
    is_open(node)
        || match &node.value {
            NodeValue::Object(members) => members.iter().any(|one| has_open(&one.value)),
            NodeValue::Array(elements) => elements.iter().any(has_open),
            NodeValue::String(text) => text.windows(2).any(|two| two == b"${"),
            _ => false,
        }
}

/// Text at a place.
pub(super) fn string(text: &str, at: TextPosition) -> TreeValue {
    TreeValue {
        value: NodeValue::String(text.as_bytes().into()),
        at,
    }
}

/// Members of an object.
pub(super) fn members(node: &TreeValue) -> Option<&[ObjectMember]> {
    match &node.value {
        NodeValue::Object(members) => Some(members),
        _ => None,
    }
}

/// Elements of a list.
pub(super) fn elements(node: &TreeValue) -> Option<&[TreeValue]> {
    match &node.value {
        NodeValue::Array(elements) => Some(elements),
        _ => None,
    }
}

/// One value, or each of a list.
pub(super) fn each(node: &TreeValue) -> &[TreeValue] {
    elements(node).unwrap_or(std::slice::from_ref(node))
}

/// A member's value.
pub(super) fn member<'n>(node: &'n TreeValue, key: &str) -> Option<&'n TreeValue> {
    let member = members(node)?
        .iter()
        .rev()
        .find(|member| *member.key == *key)?;
    Some(&member.value)
}

/// The value at a path of keys.
pub(super) fn path<'n>(node: &'n TreeValue, keys: &[&str]) -> Option<&'n TreeValue> {
    keys.iter().try_fold(node, |node, key| member(node, key))
}

/// A scalar as text: CloudFormation takes `30` and `"30"` alike.
pub(super) fn text(node: &TreeValue) -> Option<String> {
    match &node.value {
        NodeValue::String(text) => String::from_utf8(text.to_vec()).ok(),
        NodeValue::Number(text) => Some(text.to_string()),
        NodeValue::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A number at a path; `None` where there is none, or where it is not known.
pub(super) fn number<'n>(node: &'n TreeValue, keys: &[&str]) -> Option<(u64, &'n TreeValue)> {
    let found = path(node, keys)?;
    Some((text(found)?.trim().parse().ok()?, found))
}

/// A number at a path or AWS's default with the place of `node`; `None` where it is not known.
pub(super) fn number_or<'n>(
    node: &'n TreeValue,
    keys: &[&str],
    default: u64,
) -> Option<(u64, &'n TreeValue)> {
    match look(node, keys) {
        FoundValue::Missing => Some((default, node)),
        FoundValue::Unknown => None,
        FoundValue::Value(_) => number(node, keys),
    }
}

/// Returns `true` where a flag at a key is set; `None` where it is not known. CloudFormation reads
/// YAML 1.1, where `yes` and `on` are true.
pub(super) fn flag(node: &TreeValue, key: &str) -> Option<bool> {
    match look(node, &[key]) {
        FoundValue::Missing => Some(false),
        FoundValue::Unknown => None,
        FoundValue::Value(value) => {
            let text = text(value)?.to_ascii_lowercase();
            (!text.contains("${")).then(|| matches!(&*text, "true" | "yes" | "on"))
        }
    }
}

/// The name in text that is one reference alone: `Q` and `Arn` of `${Q.Arn}`, `Q` of `${Q}`.
pub(super) fn sole_reference(text: &str) -> Option<(&str, Option<&str>)> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    if inner.is_empty() || inner.contains(['$', '{', '!', ':']) {
        return None;
    }
    Some(match inner.split_once('.') {
        Some((id, attribute)) => (id, Some(attribute)),
        None => (inner, None),
    })
}
