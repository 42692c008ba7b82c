//! One template: read with the places of its values, and resolved as far as its parameters go.
//!
//! Resolved are Ref of a parameter, Fn::Sub, Fn::Join, Fn::If and conditions (CloudFormation user
//! guide, "Intrinsic function reference"). Pseudo parameters stay as `${AWS::Region}` in text;
//! references to resources stay as they are, with Fn::GetAtt as a list of two.

use std::collections::HashMap;

use super::TemplateFile;
use crate::config::fault::{Fault, Place, Severity};
use crate::config::yaml;
use crate::event::pattern::tree::{Member, Node, NodeValue, Position};

/// A resource of a template.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// The file's name.
    pub(super) file: String,
    /// The logical id.
    pub(super) id: String,
    /// Such as `AWS::SQS::Queue`.
    pub(super) kind: String,
    /// The properties, resolved; an empty object where there are none.
    pub(super) properties: Node,
}

/// A template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) resources: Vec<Resource>,
}

/// Nesting of conditions that name each other.
const MAX_CONDITIONS: usize = 32;

impl Template {
    /// Reads a template.
    pub(super) fn parse(
        file: &TemplateFile<'_>,
        given: &[(String, String)],
    ) -> Result<Self, Box<Fault>> {
        let refuse = |message: String, at: Position| {
            Box::new(Fault {
                severity: Severity::Error,
                code: "not-a-template",
                message,
                place: Place::file(file.name, at),
                key: String::new(),
                accepted: Some(
                    "a template of CloudFormation, YAML or JSON, with `Resources`".into(),
                ),
                help: None,
            })
        };
        let begin = Position { line: 1, column: 1 };
        let root =
            yaml::parse_template(file.text).map_err(|error| refuse(error.message, error.at))?;
        let root = root.ok_or_else(|| refuse("the file is empty".into(), begin))?;
        let Some(resources) = member(&root, "Resources").and_then(members) else {
            return Err(refuse("there is no mapping `Resources`".into(), root.at));
        };
        let mut parameters = HashMap::new();
        for parameter in member(&root, "Parameters")
            .and_then(members)
            .unwrap_or_default()
        {
            let value = given.iter().rev().find(|(key, _)| **key == *parameter.key);
            let value = match value {
                Some((_, value)) => Some(Node {
                    value: NodeValue::String(value.as_bytes().into()),
                    at: parameter.key_at,
                }),
                None => member(&parameter.value, "Default").cloned(),
            };
            parameters.insert(parameter.key.to_string(), value);
        }
        let resolver = Resolver {
            parameters,
            conditions: member(&root, "Conditions")
                .and_then(members)
                .unwrap_or_default(),
        };
        let kept = resources.iter().filter(|resource| {
            let condition = member(&resource.value, "Condition").and_then(text);
            condition.is_none_or(|name| resolver.condition(&name, 0) != Some(false))
        });
        let resources = kept.map(|resource| Resource {
            file: file.name.to_owned(),
            id: resource.key.to_string(),
            kind: member(&resource.value, "Type")
                .and_then(text)
                .unwrap_or_default(),
            properties: member(&resource.value, "Properties")
                .and_then(|properties| resolver.resolve(properties))
                .unwrap_or(Node {
                    value: NodeValue::Object(Vec::new()),
                    at: resource.key_at,
                }),
        });
        Ok(Self {
            resources: resources.collect(),
        })
    }
}

/// Values of parameters, and conditions.
struct Resolver<'t> {
    /// By name; `None` where there is no default.
    parameters: HashMap<String, Option<Node>>,
    conditions: &'t [Member],
}

impl Resolver<'_> {
    /// The value with what is known in place; `None` for `AWS::NoValue`.
    fn resolve(&self, node: &Node) -> Option<Node> {
        let at = node.at;
        let value = match &node.value {
            NodeValue::Object(members) => {
                if let [only] = members.as_slice()
                    && let Some(result) = self.function(&only.key, &only.value, at)
                {
                    return result;
                }
                let resolved = members.iter().filter_map(|member| {
                    Some(Member {
                        value: self.resolve(&member.value)?,
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
        Some(Node { value, at })
    }

    /// The result of a function; the outer `None` where it is none that is known.
    fn function(&self, name: &str, argument: &Node, at: Position) -> Option<Option<Node>> {
        match name {
            "Ref" => {
                let name = text(argument)?;
                match self.parameters.get(&name) {
                    Some(Some(value)) => Some(Some(Node {
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
            "Fn::Join" => {
                let [separator, parts] = elements(argument)? else {
                    return None;
                };
                let parts = elements(parts)?.iter();
                let parts: Option<Vec<String>> =
                    parts.map(|part| text(&self.resolve(part)?)).collect();
                Some(Some(string(&parts?.join(&text(separator)?), at)))
            }
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
                let list = vec![string(id, argument.at), string(attribute, argument.at)];
                Some(Some(get_att(list, at)))
            }
            _ => None,
        }
    }

    fn sub(&self, argument: &Node, at: Position) -> Option<Node> {
        let (template, own) = match elements(argument) {
            Some([template, own]) => (text(template)?, members(own)),
            Some(_) => return None,
            None => (text(argument)?, None),
        };
        // An attribute of a resource alone is a reference, as Fn::GetAtt is.
        if let Some(inner) = template
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'))
            && !inner.contains(['$', ':', '!'])
            && let Some((id, attribute)) = inner.split_once('.')
        {
            return Some(get_att(vec![string(id, at), string(attribute, at)], at));
        }
        let mut out = String::new();
        let mut rest = template.as_str();
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}')?;
            out.push_str(before);
            let own = own.and_then(|own| own.iter().find(|one| *one.key == *name));
            let value = match (own, self.parameters.get(name)) {
                (Some(own), _) => self.resolve(&own.value).as_ref().and_then(text),
                (None, Some(Some(value))) => text(value),
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
        Some(string(&out, at))
    }

    /// The value of a condition; `None` where it depends on what is not known.
    fn condition(&self, name: &str, depth: usize) -> Option<bool> {
        let condition = self.conditions.iter().find(|one| *one.key == *name)?;
        self.holds(&condition.value, depth)
    }

    fn holds(&self, node: &Node, depth: usize) -> Option<bool> {
        if depth > MAX_CONDITIONS {
            return None;
        }
        let [only] = members(node)? else {
            return None;
        };
        let each = || elements(&only.value).unwrap_or_default().iter();
        match &*only.key {
            "Condition" => self.condition(&text(&only.value)?, depth + 1),
            "Fn::Equals" => {
                let [a, b] = elements(&only.value)? else {
                    return None;
                };
                let known =
                    |node: &Node| text(&self.resolve(node)?).filter(|text| !text.contains("${"));
                Some(known(a)? == known(b)?)
            }
            "Fn::Not" => self.holds(each().next()?, depth + 1).map(|held| !held),
            "Fn::And" => {
                let all: Option<Vec<bool>> = each().map(|one| self.holds(one, depth + 1)).collect();
                Some(all?.into_iter().all(|held| held))
            }
            "Fn::Or" => {
                let all: Option<Vec<bool>> = each().map(|one| self.holds(one, depth + 1)).collect();
                Some(all?.into_iter().any(|held| held))
            }
            _ => None,
        }
    }
}

fn string(text: &str, at: Position) -> Node {
    Node {
        value: NodeValue::String(text.as_bytes().into()),
        at,
    }
}

fn get_att(list: Vec<Node>, at: Position) -> Node {
    let member = Member {
        key: "Fn::GetAtt".into(),
        key_at: at,
        value: Node {
            value: NodeValue::Array(list),
            at,
        },
    };
    Node {
        value: NodeValue::Object(vec![member]),
        at,
    }
}

/// Members of an object.
pub(super) fn members(node: &Node) -> Option<&[Member]> {
    match &node.value {
        NodeValue::Object(members) => Some(members),
        _ => None,
    }
}

/// Elements of an array.
pub(super) fn elements(node: &Node) -> Option<&[Node]> {
    match &node.value {
        NodeValue::Array(elements) => Some(elements),
        _ => None,
    }
}

/// One value, or each of a list.
pub(super) fn each(node: &Node) -> &[Node] {
    elements(node).unwrap_or(std::slice::from_ref(node))
}

/// A member's value.
pub(super) fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let member = members(node)?
        .iter()
        .rev()
        .find(|member| *member.key == *key)?;
    Some(&member.value)
}

/// The value at a path of keys.
pub(super) fn path<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter().try_fold(node, |node, key| member(node, key))
}

/// A scalar as text: CloudFormation takes `30` and `"30"` alike.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.value {
        NodeValue::String(text) => String::from_utf8(text.to_vec()).ok(),
        NodeValue::Number(text) => Some(text.to_string()),
        NodeValue::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A number at a path.
pub(super) fn number(node: &Node, keys: &[&str]) -> Option<(u64, Node)> {
    let found = path(node, keys)?;
    let number = text(found)?.parse().ok()?;
    Some((number, found.clone()))
}

/// Whether a flag at a key is set.
pub(super) fn is_true(node: &Node, key: &str) -> bool {
    member(node, key)
        .and_then(text)
        .is_some_and(|text| text == "true")
}
