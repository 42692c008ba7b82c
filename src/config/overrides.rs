//! Environment variables and flags above the file.
//!
//! Every scalar has a path (`environment`, `channels.order.id`, `routes.order-updates.qos`: routes
//! go by their names) and a variable: the path in capitals, with `_` for every character that is no
//! letter or digit, after `EVENTCAST_`. A value from an override is at line 0 of the tree, and its
//! column identifies the override.

use saphyr_parser::ScalarStyle;

use super::check::{did_you_mean, join, text_of};
use super::fault::{Fault, Severity, ValuePlace};
use super::secret::MASK;
use super::shape::{FILE, Shape};
use super::{ConfigSource, yaml};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// Variables with this beginning that are not overrides.
pub(super) const OTHER_VARIABLES: [&str; 12] = [
    "EVENTCAST_CONFIG",
    "EVENTCAST_CONFIG_PARAMETER",
    "EVENTCAST_CONFIG_TEXT",
    "EVENTCAST_LOG",
    // Those of the build and of its tests.
    "EVENTCAST_CACHE",
    "EVENTCAST_CHROMIUM",
    "EVENTCAST_COMMIT",
    "EVENTCAST_SCHEDULES",
    "EVENTCAST_SEED",
    "EVENTCAST_VECTORS",
    "EVENTCAST_VENV",
    "EVENTCAST_WRITE_MANUAL",
];

const PREFIX: &str = "EVENTCAST_";

/// The flag that takes out the environment of the file, for topics without its level.
const NO_ENVIRONMENT: &str = "environment=";

/// The tree with overrides in place, the names of the overrides by their column, and their faults.
pub(super) fn apply(
    mut root: TreeValue,
    source: &ConfigSource<'_>,
) -> (TreeValue, Vec<String>, Vec<Fault>) {
    let mut paths = Vec::new();
    scalars(&root, &Shape::Section(FILE), "", &mut paths);
    let mut origins = Vec::new();
    let mut faults = Vec::new();
    let mut set = |path: &str, shape: &Shape, value: &str, name: String| {
        let at = TextPosition {
            line: 0,
            column: origins.len(),
        };
        origins.push(name);
        // Text that looks like another type, such as `2024` and `true`, stays text where text is
        // wanted.
        let style = match shape {
            Shape::Text { .. } | Shape::Texts { .. } => ScalarStyle::DoubleQuoted,
            _ => ScalarStyle::Plain,
        };
        let value = yaml::scalar(value, style);
        put(&mut root, path, TreeValue { value, at });
    };
    for (variable, value) in &source.environment {
        match paths
            .iter()
            .find(|(path, _)| variable_of(path) == *variable)
        {
            // Set to nothing, it is as if it were not set.
            Some(_) if value.is_empty() => {}
            Some((path, shape)) => set(path, shape, value, variable.clone()),
            None if OTHER_VARIABLES.contains(&&**variable) => {}
            None => {
                let known: Vec<_> = paths.iter().map(|(path, _)| variable_of(path)).collect();
                faults.push(Fault {
                    severity: Severity::Warning,
                    help: did_you_mean(variable, known.iter().map(String::as_str)),
                    ..fault(variable, "this variable sets nothing")
                });
            }
        }
    }
    for flag in &source.flags {
        let Some((path, value)) = flag.split_once('=') else {
            faults.push(Fault {
                accepted: Some("key=value, such as environment=prod".into()),
                ..fault(
                    &format!("--set {}", without_secret(flag)),
                    "there is no `=`",
                )
            });
            continue;
        };
        let name = format!("--set {path}");
        match paths.iter().find(|(known, _)| known == path) {
            // No environment: it is taken out below.
            Some(_) if flag == NO_ENVIRONMENT => {}
            Some((_, shape)) => set(path, shape, value, name),
            None => faults.push(Fault {
                help: did_you_mean(path, paths.iter().map(|(path, _)| path.as_str())),
                ..fault(&name, &format!("there is no scalar `{path}` to set"))
            }),
        }
    }
    let mut environments = source.flags.iter().rev();
    let last = environments.find(|flag| flag.starts_with(NO_ENVIRONMENT));
    if last.is_some_and(|flag| flag == NO_ENVIRONMENT)
        && let NodeValue::Object(members) = &mut root.value
    {
        members.retain(|member| &*member.key != "environment");
    }
    (root, origins, faults)
}

pub(super) fn fault(name: &str, message: &str) -> Fault {
    Fault {
        severity: Severity::Error,
        code: "bad-override",
        message: message.to_owned(),
        place: ValuePlace::Override {
            name: name.to_owned(),
        },
        key: String::new(),
        accepted: None,
        help: None,
    }
}

/// A flag as a message may show it: the text after the path of a secret is one.
fn without_secret(flag: &str) -> String {
    let end = flag.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-')));
    let (path, rest) = flag.split_at(end.unwrap_or(flag.len()));
    if rest.is_empty() {
        path.to_owned()
    } else {
        format!("{path}{MASK}")
    }
}

/// The variable that sets a path.
fn variable_of(path: &str) -> String {
    let word = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    PREFIX.chars().chain(path.chars().map(word)).collect()
}

/// The paths of all scalars that a file has or may have.
pub(super) fn scalars<'s>(
    node: &TreeValue,
    shape: &'s Shape,
    path: &str,
    out: &mut Vec<(String, &'s Shape)>,
) {
    match (shape, &node.value) {
        // A section that the file leaves out can be set all the same.
        (Shape::Section(keys), NodeValue::Null) => {
            for key in *keys {
                scalars(node, &key.shape, &join(path, key.name), out);
            }
        }
        (Shape::Section(keys), NodeValue::Object(members)) => {
            let empty = TreeValue {
                value: NodeValue::Null,
                at: node.at,
            };
            for key in *keys {
                let member = members.iter().find(|member| *member.key == *key.name);
                let value = member.map_or(&empty, |member| &member.value);
                scalars(value, &key.shape, &join(path, key.name), out);
            }
        }
        (Shape::Map(each), NodeValue::Object(members)) => {
            for member in members {
                scalars(&member.value, each, &join(path, &member.key), out);
            }
        }
        (Shape::List(each) | Shape::PossiblyEmptyList(each), NodeValue::Array(elements)) => {
            for element in elements {
                if let Some(name) = name_of(element) {
                    scalars(element, each, &join(path, &name), out);
                }
            }
        }
        (
            Shape::Section(_)
            | Shape::Map(_)
            | Shape::List(_)
            | Shape::PossiblyEmptyList(_)
            | Shape::Pattern,
            _,
        ) => {}
        _ => out.push((path.to_owned(), shape)),
    }
}

fn name_of(element: &TreeValue) -> Option<String> {
    let NodeValue::Object(members) = &element.value else {
        return None;
    };
    members.iter().find_map(|member| match &member.value.value {
        NodeValue::String(text) if &*member.key == "name" => Some(text_of(text)),
        _ => None,
    })
}

/// A section that the file leaves out, with one value in it.
fn section_with(path: &str, value: TreeValue) -> TreeValue {
    let mut section = TreeValue::empty_object(value.at);
    put(&mut section, path, value);
    section
}

/// Puts a value at a path that [`scalars`] gave.
pub(super) fn put(node: &mut TreeValue, path: &str, value: TreeValue) {
    match &mut node.value {
        NodeValue::Object(members) => {
            // Names of the user's own may have dots in them: the longest key that fits is meant.
            let below = members
                .iter_mut()
                .filter(|member| {
                    path.strip_prefix(&*member.key)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
                .max_by_key(|member| member.key.len());
            match below {
                None => {
                    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
                    let at = value.at;
                    let value = if rest.is_empty() {
                        value
                    } else {
                        section_with(rest, value)
                    };
                    members.push(ObjectMember {
                        key: key.into(),
                        key_at: at,
                        value,
                    });
                }
                Some(member) => {
                    let rest = path.get(member.key.len() + 1..).unwrap_or_default();
                    if rest.is_empty() {
                        member.value = value;
                    } else {
                        put(&mut member.value, rest, value);
                    }
                }
            }
        }
        NodeValue::Array(elements) => {
            for element in elements {
                let rest =
                    name_of(element).and_then(|name| path.strip_prefix(&name)?.strip_prefix('.'));
                if let Some(rest) = rest {
                    put(element, rest, value);
                    return;
                }
            }
        }
        _ => {}
    }
}
