//! Functions of CloudFormation, resolved as far as parameters, mappings and conditions are known.
//!
//! Resolved are Ref of a parameter, Fn::Sub, Fn::Join, Fn::If, Fn::Select, Fn::Split, Fn::FindInMap
//! and conditions (CloudFormation user guide, "Intrinsic function reference",
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>).
//! Pseudo parameters stay as `${AWS::Region}` in text; references to resources stay as they are,
//! with Fn::GetAtt as a list of two.

use std::cell::RefCell;
use std::collections::HashMap;

use super::look::{elements, member, members, path, sole_reference, string, text};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// Nesting of conditions that name each other.
const MAX_CONDITIONS: usize = 32;

/// Properties whose value CloudFormation takes as an object or as its JSON text.
const JSON_TEXT: [&str; 5] = [
    "RedrivePolicy",
    "PolicyDocument",
    "KeyPolicy",
    "EventPattern",
    "RetryPolicy",
];

/// Value of a parameter.
#[derive(Clone, Debug)]
pub(super) enum ParameterValue {
    /// Given, by default, or tried out.
    Known(TreeValue),
    /// Tried out: none of the values that conditions compare it with.
    Other,
}

/// Values by which functions are resolved.
pub(super) struct Resolver<'t> {
    /// Parameters by name; missing where nothing is known.
    pub(super) parameters: HashMap<String, ParameterValue>,
    pub(super) mappings: Option<&'t TreeValue>,
    pub(super) conditions: &'t [ObjectMember],
    /// Values of conditions that were asked for: conditions may name each other many times over.
    pub(super) decided: RefCell<HashMap<String, Option<bool>>>,
}

impl Resolver<'_> {
    /// The value with known parts in place; `None` for `AWS::NoValue`.
    pub(super) fn resolve(&self, node: &TreeValue) -> Option<TreeValue> {
        let at = node.at;
        let value = match &node.value {
            NodeValue::Object(members) => {
                if let [only] = members.as_slice()
                    && let Some(result) = self.function(&only.key, &only.value, at)
                {
                    return result;
                }
                let resolved = members.iter().filter_map(|member| {
                    let value = self.resolve(&member.value)?;
                    let is_text = JSON_TEXT.contains(&&*member.key);
                    Some(ObjectMember {
                        value: if is_text { of_json_text(value) } else { value },
                        ..member.clone()
                    })
                });
                NodeValue::Object(resolved.collect())
            }
            NodeValue::Array(elements) => {
                let resolved = elements.iter().filter_map(|element| self.resolve(element));
                NodeValue::Array(resolved.collect())
            }
            other => other.clone(),
        };
        Some(TreeValue { value, at })
    }

    /// The result of a function; the outer `None` where it is none that is known.
    fn function(
        &self,
        name: &str,
        argument: &TreeValue,
        at: TextPosition,
    ) -> Option<Option<TreeValue>> {
        match name {
            "Ref" => {
                let name = text(argument)?;
                match self.parameters.get(&name) {
                    Some(ParameterValue::Known(value)) => Some(Some(TreeValue {
                        value: value.value.clone(),
                        at,
                    })),
                    _ if name == "AWS::NoValue" => Some(None),
                    _ if name.starts_with("AWS::") => {
                        Some(Some(string(&format!("${{{name}}}"), at)))
                    }
                    _ => None,
                }
            }
            "Fn::Sub" => Some(Some(self.sub(argument, at)?)),
            "Fn::Join" => Some(Some(self.join(argument, at)?)),
            "Fn::If" => {
                let [condition, then, otherwise] = elements(argument)? else {
                    return None;
                };
                match self.condition(&text(condition)?, 0)? {
                    true => Some(self.resolve(then)),
                    false => Some(self.resolve(otherwise)),
                }
            }
            "Fn::GetAtt" => {
                let dotted = text(argument)?;
                let (id, attribute) = dotted.split_once('.')?;
                Some(Some(get_att(id, attribute, argument.at, at)))
            }
            "Fn::Select" => {
                let [index, list] = elements(argument)? else {
                    return None;
                };
                let index: usize = text(&self.resolve(index)?)?.parse().ok()?;
                let list = self.resolve(list)?;
                let chosen = self.list(&list)?.into_iter().nth(index)?;
                Some(Some(TreeValue { at, ..chosen }))
            }
            "Fn::Split" => {
                let [separator, whole] = elements(argument)? else {
                    return None;
                };
                let whole = text(&self.resolve(whole)?)?;
                // A part that is not known may have the separator in it.
                if whole.contains("${") {
                    return None;
                }
                let separator = text(separator)?;
                let parts = whole.split(&separator).map(|part| string(part, at));
                Some(Some(TreeValue {
                    value: NodeValue::Array(parts.collect()),
                    at,
                }))
            }
            "Fn::FindInMap" => {
                let [map, first, second, ..] = elements(argument)? else {
                    return None;
                };
                let key = |node: &TreeValue| text(&self.resolve(node)?);
                let keys = [key(map)?, key(first)?, key(second)?];
                let keys = keys.each_ref().map(String::as_str);
                let found = path(self.mappings?, &keys)?;
                Some(Some(TreeValue {
                    at,
                    ..found.clone()
                }))
            }
            _ => None,
        }
    }

    /// Elements of a list, or of a parameter's text with commas.
    fn list(&self, list: &TreeValue) -> Option<Vec<TreeValue>> {
        if let Some(elements) = elements(list) {
            return Some(elements.to_vec());
        }
        let text = text(list).filter(|text| !text.contains("${"))?;
        let parts = text.split(',').map(|part| string(part.trim(), list.at));
        Some(parts.collect())
    }

    fn join(&self, argument: &TreeValue, at: TextPosition) -> Option<TreeValue> {
        let [separator, parts] = elements(argument)? else {
            return None;
        };
        let parts = self.resolve(parts)?;
        let part = |part: &TreeValue| text(part).or_else(|| placeholder(part));
        let parts: Option<Vec<String>> = self.list(&parts)?.iter().map(part).collect();
        let joined = parts?.join(&text(separator)?);
        Some(reference(&joined, at).unwrap_or_else(|| string(&joined, at)))
    }

    fn sub(&self, argument: &TreeValue, at: TextPosition) -> Option<TreeValue> {
        let (template, own) = match elements(argument) {
            Some([template, own]) => (text(template)?, members(own)),
            Some(_) => return None,
            None => (text(argument)?, None),
        };
        let mut out = String::new();
        let mut rest = template.as_str();
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}')?;
            out.push_str(before);
            let own = own.and_then(|own| own.iter().find(|one| *one.key == *name));
            let value = match (own, self.parameters.get(name)) {
                (Some(own), _) => {
                    let value = self.resolve(&own.value)?;
                    text(&value).or_else(|| placeholder(&value))
                }
                (None, Some(ParameterValue::Known(value))) => text(value),
                _ => None,
            };
            match value {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = after;
        }
        out.push_str(rest);
        // A resource alone is a reference, as Ref and Fn::GetAtt are.
        Some(reference(&out, at).unwrap_or_else(|| string(&out, at)))
    }

    /// The value of a condition; `None` where it depends on an unknown value.
    pub(super) fn condition(&self, name: &str, depth: usize) -> Option<bool> {
        if let Some(decided) = self.decided.borrow().get(name) {
            return *decided;
        }
        let condition = self.conditions.iter().find(|one| *one.key == *name)?;
        // Unknown while it is asked for, so that a circle of conditions ends.
        self.decided.borrow_mut().insert(name.to_owned(), None);
        let value = self.holds(&condition.value, depth);
        self.decided.borrow_mut().insert(name.to_owned(), value);
        value
    }

    fn holds(&self, node: &TreeValue, depth: usize) -> Option<bool> {
        if depth > MAX_CONDITIONS {
            return None;
        }
        let [only] = members(node)? else {
            return None;
        };
        let each = || elements(&only.value).unwrap_or_default().iter();
        let all =
            || -> Vec<Option<bool>> { each().map(|one| self.holds(one, depth + 1)).collect() };
        match &*only.key {
            "Condition" => self.condition(&text(&only.value)?, depth + 1),
            "Fn::Equals" => {
                let [a, b] = elements(&only.value)? else {
                    return None;
                };
                Some(self.comparable(a)? == self.comparable(b)?)
            }
            "Fn::Not" => self.holds(each().next()?, depth + 1).map(|held| !held),
            // An unknown condition changes nothing where another one decides.
            "Fn::And" => match all() {
                all if all.contains(&Some(false)) => Some(false),
                all => (!all.contains(&None)).then_some(true),
            },
            "Fn::Or" => match all() {
                all if all.contains(&Some(true)) => Some(true),
                all => (!all.contains(&None)).then_some(false),
            },
            _ => None,
        }
    }

    /// A side of a comparison; `None` where it is not known.
    fn comparable(&self, node: &TreeValue) -> Option<String> {
        if let Some([only]) = members(node)
            && &*only.key == "Ref"
            && let Some(name) = text(&only.value)
        {
            match self.parameters.get(&name) {
                // No text of a template has this character.
                Some(ParameterValue::Other) => return Some(format!("\u{0}{name}")),
                Some(ParameterValue::Known(value)) => return text(value),
                None => return None,
            }
        }
        text(&self.resolve(node)?).filter(|text| !text.contains("${"))
    }
}

/// A reference to a resource, as it is written in text.
fn placeholder(node: &TreeValue) -> Option<String> {
    let [only] = members(node)? else {
        return None;
    };
    match &*only.key {
        "Ref" => Some(format!("${{{}}}", text(&only.value)?)),
        "Fn::GetAtt" => {
            let [id, attribute] = elements(&only.value)? else {
                return None;
            };
            Some(format!("${{{}.{}}}", text(id)?, text(attribute)?))
        }
        _ => None,
    }
}

/// The reference that text is, where it is one alone.
fn reference(text: &str, at: TextPosition) -> Option<TreeValue> {
    let (id, attribute) = sole_reference(text)?;
    Some(match attribute {
        Some(attribute) => get_att(id, attribute, at, at),
        None => TreeValue::object_of("Ref", string(id, at), at),
    })
}

fn get_att(id: &str, attribute: &str, inner: TextPosition, at: TextPosition) -> TreeValue {
    let list = vec![string(id, inner), string(attribute, inner)];
    let list = TreeValue {
        value: NodeValue::Array(list),
        at,
    };
    TreeValue::object_of("Fn::GetAtt", list, at)
}

/// The object that JSON text has, at the place of the text; other values as they are.
fn of_json_text(node: TreeValue) -> TreeValue {
    let Some(text) = text(&node).filter(|text| text.trim_start().starts_with('{')) else {
        return node;
    };
    match TreeValue::parse(&text) {
        Ok(parsed) => placed(parsed, node.at),
        Err(_) => node,
    }
}

fn placed(node: TreeValue, at: TextPosition) -> TreeValue {
    let value = match node.value {
        NodeValue::Object(members) => NodeValue::Object(
            members
                .into_iter()
                .map(|member| ObjectMember {
                    value: placed(member.value, at),
                    key_at: at,
                    ..member
                })
                .collect(),
        ),
        NodeValue::Array(elements) => {
            NodeValue::Array(elements.into_iter().map(|one| placed(one, at)).collect())
        }
        other => other,
    };
    TreeValue { value, at }
}

/// Names that conditions ask for, with the values that each is compared with.
pub(super) fn compared(conditions: &[ObjectMember]) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for condition in conditions {
        collect(&condition.value, &mut found);
    }
    found
}

fn collect(node: &TreeValue, found: &mut Vec<(String, Vec<String>)>) {
    if let Some(sides) = member(node, "Fn::Equals").and_then(elements) {
        let name = |side: &TreeValue| member(side, "Ref").and_then(text);
        for (at, side) in sides.iter().enumerate() {
            let Some(name) = name(side) else { continue };
            let known = match found.iter().position(|(other, _)| *other == name) {
                Some(known) => known,
                None => {
                    found.push((name, Vec::new()));
                    found.len() - 1
                }
            };
            let other = sides.get(1 - at.min(1)).and_then(text);
            if let (Some(value), Some((_, values))) = (other, found.get_mut(known))
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
        return;
    }
    match &node.value {
        NodeValue::Object(members) => members.iter().for_each(|one| collect(&one.value, found)),
        NodeValue::Array(elements) => elements.iter().for_each(|one| collect(one, found)),
        _ => {}
    }
}
