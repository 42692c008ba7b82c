//! CloudFormation: YAML and JSON, short and long forms, AWS SAM, loops; what CDK synthesizes.

use super::{InfraFile, InfraResource, ReadOutcome, elements, member, members, text};
use crate::config::yaml;
use crate::event::pattern::tree::{NodeValue, ObjectMember, TreeValue};
use crate::infra::check::{TemplateFile, resources};

/// Transforms that leave the types of resources as they are written (CloudFormation template
/// reference, "Transforms").
const PLAIN_TRANSFORMS: [&str; 3] = [
    "AWS::Serverless-2016-10-31",
    "AWS::LanguageExtensions",
    "AWS::SecretsManager-2020-07-23",
];

/// The most elements of a loop, and the most loops in one another.
const MAX_LOOP: usize = 200;
const MAX_LOOPS: usize = 4;

/// The most copies that the loops of a template make, inner loops included: a stack has at most 500
/// resources (CloudFormation quotas), and each of them lies in at most four loops.
const MAX_COPIES: usize = 2_000;

/// Reads a template. A file that only looks like one is none, without a word.
pub(super) fn read(path: &str, content: &str) -> ReadOutcome {
    let file = TemplateFile {
        name: path,
        text: content,
    };
    let read = match resources(&file) {
        Ok(read) => read,
        Err(fault) => {
            let is_meant = content.contains("AWSTemplateFormatVersion")
                || content.contains("Type: AWS::")
                || content.contains("\"Type\": \"AWS::");
            let is_other = fault.message.contains("no mapping `Resources`");
            return match is_meant && !is_other {
                true => Err(fault.message),
                false => Ok(InfraFile::default()),
            };
        }
    };
    let mut out = InfraFile::default();
    for resource in read {
        out.resources.push(InfraResource {
            id: resource.id,
            kind: resource.kind,
            at: resource.at,
            properties: resource.properties,
        });
    }
    if let Ok(Some(root)) = tree(content) {
        transforms(&root, &mut out);
        let mut copies = 0;
        for entry in member(&root, "Resources").map(members).unwrap_or_default() {
            extend(entry, 0, &mut copies, &mut out);
            if copies > MAX_COPIES && entry.key.starts_with("Fn::ForEach") {
                let detail = format!(
                    "`{}`: the template's loops make more than {MAX_COPIES} copies",
                    entry.key
                );
                out.unknown.push((entry.key_at, detail));
            }
        }
    }
    Ok(out)
}

fn tree(content: &str) -> Result<Option<TreeValue>, String> {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    if content.trim_start().starts_with('{')
        && let Ok(node) = TreeValue::parse(content)
    {
        return Ok(Some(node));
    }
    yaml::parse_template(content).map_err(|error| error.message)
}

/// Macros write any resource: nothing is known of the resources that they make.
fn transforms(root: &TreeValue, out: &mut InfraFile) {
    let Some(transform) = member(root, "Transform") else {
        return;
    };
    let all = match elements(transform) {
        [] => std::slice::from_ref(transform),
        all => all,
    };
    for one in all {
        let name = text(one).or_else(|| member(one, "Name").and_then(text));
        if !name.is_some_and(|name| PLAIN_TRANSFORMS.contains(&name)) {
            let name = name.unwrap_or("a macro");
            let detail = format!("transform `{name}` may make any resource");
            out.unknown.push((one.at, detail));
        }
    }
}

/// Loops and includes among the resources. A loop ends early once `copies` is over [`MAX_COPIES`].
fn extend(entry: &ObjectMember, depth: usize, copies: &mut usize, out: &mut InfraFile) {
    if &*entry.key == "Fn::Transform" {
        let detail = "`Fn::Transform` may make any resource".to_owned();
        out.unknown.push((entry.key_at, detail));
    }
    if !entry.key.starts_with("Fn::ForEach") {
        return;
    }
    let [variable, values, body] = elements(&entry.value) else {
        let detail = format!("`{}` is no loop that can be read", entry.key);
        return out.unknown.push((entry.key_at, detail));
    };
    let variable = text(variable).unwrap_or_default();
    let literal: Option<Vec<&str>> = elements(values).iter().map(text).collect();
    let values = literal.filter(|values| !values.is_empty() && values.len() <= MAX_LOOP);
    let values = values.filter(|_| depth < MAX_LOOPS);
    // Values that are unknown leave the variable in the text, where it counts as unknown.
    let values = values.unwrap_or_else(|| vec![""]);
    for value in values {
        for inner in members(body) {
            *copies += 1;
            if *copies > MAX_COPIES {
                return;
            }
            let mut inner = inner.clone();
            if !value.is_empty() {
                inner.key = replaced(&inner.key, variable, value).into();
                substitute(&mut inner.value, variable, value);
            }
            if inner.key.starts_with("Fn::ForEach") {
                extend(&inner, depth + 1, copies, out);
                continue;
            }
            let kind = member(&inner.value, "Type")
                .and_then(text)
                .unwrap_or_default();
            if kind.is_empty() || kind.contains("${") {
                let detail = format!("the type of `{}`", inner.key);
                out.unknown.push((inner.key_at, detail));
                continue;
            }
            out.resources.push(InfraResource {
                id: inner.key.to_string(),
                kind: kind.to_owned(),
                at: inner.key_at,
                properties: member(&inner.value, "Properties")
                    .cloned()
                    .unwrap_or_else(|| TreeValue::empty_object(inner.key_at)),
            });
        }
    }
}

fn replaced(text: &str, variable: &str, value: &str) -> String {
    let text = text.replace(&format!("${{{variable}}}"), value);
    text.replace(&format!("&{{{variable}}}"), value)
}

fn substitute(node: &mut TreeValue, variable: &str, value: &str) {
    // `{"Ref": "Variable"}` and `{"Fn::Sub": "..."}` are texts once the variable has a value.
    let inner = match members(node) {
        [only] if &*only.key == "Ref" && text(&only.value) == Some(variable) => {
            Some(value.to_owned())
        }
        [only] if &*only.key == "Fn::Sub" => {
            text(&only.value).map(|text| replaced(text, variable, value))
        }
        _ => None,
    };
    if let Some(inner) = inner {
        node.value = NodeValue::String(inner.into_bytes().into());
        return;
    }
    match &mut node.value {
        NodeValue::Object(members) => {
            for one in members {
                // Keys of inner loops hold the variables of outer ones.
                one.key = replaced(&one.key, variable, value).into();
                substitute(&mut one.value, variable, value);
            }
        }
        NodeValue::Array(elements) => {
            for one in elements {
                substitute(one, variable, value);
            }
        }
        NodeValue::String(bytes) => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                *bytes = replaced(text, variable, value).into_bytes().into();
            }
        }
        _ => {}
    }
}
