//! One template: read with the places of its values, and resolved by values of its parameters.
//!
//! A parameter that has no value and that conditions ask for is tried with each value that they
//! compare it with, and with another one ([`Undecided`]).

use std::cell::RefCell;
use std::collections::HashMap;

use super::TemplateFile;
use super::look::{each, elements, member, members, path, string, text};
use super::resolve::{ParameterValue, Resolver, compared};
use crate::config::fault::{Fault, Severity, ValuePlace};
use crate::config::yaml;
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};

/// A resource of a template.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// The file's name.
    pub(super) file: String,
    /// The logical id.
    pub(super) id: String,
    /// Place of the logical id.
    pub(super) at: TextPosition,
    /// Such as `AWS::SQS::Queue`.
    pub(super) kind: String,
    /// The properties, resolved; an empty object where there are none.
    pub(super) properties: TreeValue,
    /// Logical ids that connectors of SAM in the resource lead to.
    pub(super) connected: Vec<String>,
}

/// A template, resolved.
#[derive(Clone, Debug)]
pub(super) struct ResolvedTemplate {
    /// The file's name.
    pub(super) file: String,
    pub(super) resources: Vec<Resource>,
    /// Values that other stacks import, by the names of the exports.
    pub(super) exports: Vec<(String, TreeValue)>,
}

/// A parameter that conditions ask for, and the values that are tried; `None` is another value.
pub(super) type Undecided = (String, Vec<Option<String>>);

/// A template, as it is written.
pub(super) struct ParsedTemplate<'f> {
    file: &'f str,
    root: TreeValue,
    /// Values that are given or by default.
    parameters: HashMap<String, ParameterValue>,
    /// Parameters without a value, and pseudo parameters, that conditions ask for.
    pub(super) undecided: Vec<Undecided>,
}

impl<'f> ParsedTemplate<'f> {
    /// Reads a template.
    pub(super) fn parse(
        file: &TemplateFile<'f>,
        given: &[(String, String)],
    ) -> Result<Self, Box<Fault>> {
        let refuse = |message: String, at: TextPosition| {
            Box::new(Fault {
                severity: Severity::Error,
                code: "not-a-template",
                message,
                place: ValuePlace::file(file.name, at),
                key: String::new(),
                accepted: Some(
                    "a template of CloudFormation, YAML or JSON, with `Resources`".into(),
                ),
                help: Some("name templates of CloudFormation alone, such as infra/cloudformation/queues.yaml".into()),
            })
        };
        let begin = TextPosition { line: 1, column: 1 };
        let root = read(file.text).map_err(|(message, at)| refuse(message, at))?;
        let root = root.ok_or_else(|| refuse("the file is empty".into(), begin))?;
        if member(&root, "Resources").and_then(members).is_none() {
            return Err(refuse("there is no mapping `Resources`".into(), root.at));
        }
        let parameters = parameters(&root, given);
        Ok(Self {
            file: file.name,
            undecided: undecided(&root, &parameters),
            root,
            parameters,
        })
    }

    /// The whole file.
    pub(super) fn root(&self) -> &TreeValue {
        &self.root
    }

    fn section(&self, name: &str) -> Option<&TreeValue> {
        member(&self.root, name)
    }

    /// The template with values of undecided parameters.
    pub(super) fn resolved(&self, tried: &[(&str, Option<&str>)]) -> ResolvedTemplate {
        let mut parameters = self.parameters.clone();
        for (name, value) in tried {
            if !parameters.contains_key(*name) {
                let value = match value {
                    Some(value) => ParameterValue::Known(string(value, self.root.at)),
                    None => ParameterValue::Other,
                };
                parameters.insert((*name).to_owned(), value);
            }
        }
        let conditions = self.section("Conditions").and_then(members);
        let resolver = Resolver {
            parameters,
            mappings: self.section("Mappings"),
            conditions: conditions.unwrap_or_default(),
            decided: RefCell::default(),
        };
        let is_made = |node: &TreeValue| {
            let condition = member(node, "Condition").and_then(text);
            condition.is_none_or(|name| resolver.condition(&name, 0) != Some(false))
        };
        let of = |name| self.section(name).and_then(members).unwrap_or_default();
        let made = of("Resources").iter().filter(|one| is_made(&one.value));
        let resources = made.map(|resource| Resource {
            file: self.file.to_owned(),
            id: resource.key.to_string(),
            at: resource.key_at,
            kind: member(&resource.value, "Type")
                .and_then(text)
                .unwrap_or_default(),
            properties: member(&resource.value, "Properties")
                .and_then(|properties| resolver.resolve(properties))
                .unwrap_or(TreeValue {
                    value: NodeValue::Object(Vec::new()),
                    at: resource.key_at,
                }),
            connected: connected(&resource.value),
        });
        let resources = resources.collect();
        let outputs = of("Outputs").iter().filter(|one| is_made(&one.value));
        let exports = outputs.filter_map(|output| {
            let name = path(&output.value, &["Export", "Name"])?;
            let value = resolver.resolve(member(&output.value, "Value")?)?;
            Some((text(&resolver.resolve(name)?)?, value))
        });
        ResolvedTemplate {
            file: self.file.to_owned(),
            exports: exports.collect(),
            resources,
        }
    }
}

fn undecided(root: &TreeValue, known: &HashMap<String, ParameterValue>) -> Vec<Undecided> {
    let conditions = member(root, "Conditions").and_then(members);
    compared(conditions.unwrap_or_default())
        .into_iter()
        .filter(|(name, _)| !known.contains_key(name) && name != "AWS::NoValue")
        .map(|(name, values)| {
            let allowed = path(root, &["Parameters", &name, "AllowedValues"]);
            let tried = match allowed.and_then(elements) {
                Some(allowed) => allowed.iter().filter_map(text).map(Some).collect(),
                None => values.into_iter().map(Some).chain([None]).collect(),
            };
            (name, tried)
        })
        .collect()
}

/// JSON as such, since it may be indented with tabs, which YAML refuses.
fn read(text: &str) -> Result<Option<TreeValue>, (String, TextPosition)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{')
        && let Ok(node) = TreeValue::parse(text)
    {
        return Ok(Some(node));
    }
    yaml::parse_template(text).map_err(|error| (error.message, error.at))
}

/// Values that are given, and defaults; the default of a parameter of SSM is a name and not the
/// value.
fn parameters(root: &TreeValue, given: &[(String, String)]) -> HashMap<String, ParameterValue> {
    let declared = member(root, "Parameters").and_then(members);
    let known = declared.unwrap_or_default().iter().filter_map(|parameter| {
        let given = given.iter().rev().find(|(key, _)| **key == *parameter.key);
        let kind = member(&parameter.value, "Type").and_then(text);
        let is_name = kind.is_some_and(|kind| kind.starts_with("AWS::SSM::Parameter::Value<"));
        let value = match given {
            Some((_, value)) => string(value, parameter.key_at),
            None if is_name => return None,
            None => member(&parameter.value, "Default")?.clone(),
        };
        Some((parameter.key.to_string(), ParameterValue::Known(value)))
    });
    known.collect()
}

/// Destinations of connectors: a resource of its own, or a part of one (AWS SAM developer guide,
/// "AWS::Serverless::Connector").
fn connected(resource: &TreeValue) -> Vec<String> {
    let inner = member(resource, "Connectors").and_then(members);
    let inner = inner.unwrap_or_default().iter().map(|one| &one.value);
    let is_own =
        member(resource, "Type").and_then(text).as_deref() == Some("AWS::Serverless::Connector");
    let connectors = inner.chain(is_own.then_some(resource));
    connectors
        .filter_map(|connector| path(connector, &["Properties", "Destination"]))
        .flat_map(each)
        .filter_map(|destination| text(member(destination, "Id")?))
        .collect()
}
