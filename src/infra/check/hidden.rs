//! Parts of templates that no check sees: nested stacks, loops, macros and modules make resources
//! of which nothing is known here.

use std::path::Path;

use serde::Serialize;

use super::TemplateFile;
use super::look::{each, elements, member, members, path, text};
use super::template::ParsedTemplate;
use crate::config::fault::ValuePlace;
use crate::event::pattern::tree::{ObjectMember, TreeValue};

/// A part of a template that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HiddenPart {
    /// Its file, line and column.
    pub place: ValuePlace,
    /// The part, and why it is hidden.
    pub message: String,
    /// The way to look at it.
    pub help: &'static str,
}

/// Macros of AWS that leave resources as they are, or that are understood (CloudFormation user
/// guide, "AWS-hosted macros").
const KNOWN_MACROS: [&str; 3] = [
    "AWS::Serverless-2016-10-31",
    "AWS::LanguageExtensions",
    "AWS::SecretsManager-",
];

/// Nesting of values that is searched.
const MAX_DEPTH: usize = 64;

/// Parts of templates that no check sees, in their order.
pub fn cannot_tell(files: &[TemplateFile<'_>]) -> Vec<HiddenPart> {
    let mut parts = Vec::new();
    for file in files {
        let Ok(template) = ParsedTemplate::parse(file, &[]) else {
            // A finding says so.
            continue;
        };
        let mut search = HiddenSearch {
            file: file.name,
            files,
            parts: &mut parts,
        };
        search.template(template.root());
    }
    parts
}

struct HiddenSearch<'s> {
    file: &'s str,
    files: &'s [TemplateFile<'s>],
    parts: &'s mut Vec<HiddenPart>,
}

impl HiddenSearch<'_> {
    fn add(&mut self, at: &TreeValue, message: String, help: &'static str) {
        self.parts.push(HiddenPart {
            place: ValuePlace::file(self.file, at.at),
            message,
            help,
        });
    }

    fn template(&mut self, root: &TreeValue) {
        for name in member(root, "Transform").map(each).unwrap_or_default() {
            let written = text(name).unwrap_or_else(|| "AWS::Include".to_owned());
            if !KNOWN_MACROS.iter().any(|known| written.starts_with(known)) {
                let message = format!("the macro `{written}` may change every resource");
                self.add(name, message, PROCESSED);
            }
        }
        for resource in member(root, "Resources")
            .and_then(members)
            .unwrap_or_default()
        {
            self.resource(resource);
        }
    }

    fn resource(&mut self, resource: &ObjectMember) {
        let (id, value) = (&*resource.key, &resource.value);
        if is_function(id) {
            return self.function(id, value);
        }
        let kind = member(value, "Type").and_then(text).unwrap_or_default();
        let properties = member(value, "Properties");
        let location = |keys: &[&str]| properties.and_then(|node| path(node, keys));
        let (what, location) = match &*kind {
            "AWS::CloudFormation::Stack" => ("a nested stack", location(&["TemplateURL"])),
            "AWS::CloudFormation::StackSet" => ("a stack set", location(&["TemplateURL"])),
            "AWS::Serverless::Application" => ("a nested application", location(&["Location"])),
            _ if kind.ends_with("::MODULE") => ("a module", None),
            _ => {
                if let Some(properties) = properties {
                    self.functions_in(properties, 0);
                }
                return;
            }
        };
        if !location.is_some_and(|location| self.is_given(location)) {
            let message = format!("`{id}` is {what}, whose template is not among the files");
            let help = match what {
                "a module" => PROCESSED,
                _ => "name its template as well; of its parameters the defaults are looked at",
            };
            self.add(value, message, help);
        }
    }

    /// Returns `true` where a location ends with the name of a file that is looked at.
    fn is_given(&self, location: &TreeValue) -> bool {
        // A text with a variable ends with the file's name all the same.
        let template =
            member(location, "Fn::Sub").map_or(location, |sub| each(sub).first().unwrap_or(sub));
        let Some(location) = text(template) else {
            return false;
        };
        let name = location.rsplit('/').next().unwrap_or_default();
        let mut given = self.files.iter().map(|file| Path::new(file.name));
        given.any(|file| file.file_name().is_some_and(|given| given == name))
    }

    fn function(&mut self, key: &str, value: &TreeValue) {
        let message = if let Some(name) = key.strip_prefix("Fn::ForEach::") {
            format!("the loop `{name}` makes resources or properties")
        } else {
            format!("`{key}` puts in what another file or a macro has")
        };
        self.add(value, message, PROCESSED);
    }

    fn functions_in(&mut self, node: &TreeValue, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for element in elements(node).unwrap_or_default() {
            self.functions_in(element, depth + 1);
        }
        for member in members(node).unwrap_or_default() {
            if is_function(&member.key) {
                self.function(&member.key, &member.value);
            } else {
                self.functions_in(&member.value, depth + 1);
            }
        }
    }
}

/// A cure for parts that CloudFormation alone works out.
const PROCESSED: &str = "look at the processed template: `aws cloudformation get-template --template-stage Processed`, of a change set or a stack";

/// Returns `true` for the functions that make members (CloudFormation user guide, `Fn::ForEach` and
/// `Fn::Transform`).
fn is_function(key: &str) -> bool {
    key.starts_with("Fn::ForEach::") || key == "Fn::Transform"
}
