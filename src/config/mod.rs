//! The configuration: one YAML file, with environment variables and flags above it, read into checked types.
//!
//! A held [`Config`] is right: everything that can be wrong was reported before, all of it in one run. This module is pure:
//! who calls it reads the file and the environment.

pub mod authorizer;
pub mod bridge;
mod check;
pub mod fault;
mod overrides;
pub mod permission;
pub mod policy_tests;
pub mod queue_name;
pub mod region;
mod role;
pub mod schema;
mod shape;
mod yaml;

use std::sync::Arc;
use std::time::Duration;

use check::{Faults, ParseDuration, text_of};
use fault::{Fault, Place, Severity};
use shape::Shape;

use crate::channel::limits::MESSAGE_EXPIRY_SECONDS;
use crate::channel::{IdFormat, Kind, Kinds};
use crate::event::envelope::Envelope;
use crate::event::pattern::tree::{Node, NodeValue, Position};
use crate::event::pattern::{Pattern, PatternError};
use crate::policy::claims::check_literal;
use crate::policy::role::Role;
use crate::route::oversize::{Oversize, Projection};
use crate::route::payload::Payload;
use crate::route::publication::Qos;
use crate::route::table::{OnInvalidTopic, Route, RouteTable};
use crate::route::target::Target;

/// What a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Source<'s> {
    /// The file's name, for messages.
    pub file: &'s str,
    /// Its text.
    pub text: &'s str,
    /// The environment variables that begin with `EVENTCAST_`.
    pub environment: Vec<(String, String)>,
    /// Flags of the form `key.path=value`. They win over the environment, which wins over the file.
    pub flags: Vec<String>,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The first level of every topic.
    pub environment: Option<String>,
    /// What bodies look like.
    pub envelope: Envelope,
    /// The kinds of channels.
    pub kinds: Kinds,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    /// The roles, in the order of the file.
    pub roles: Vec<Role>,
    /// Whose tokens are believed.
    pub authorizer: authorizer::Authorizer,
    /// The daemon.
    pub bridge: bridge::Bridge,
}

impl Config {
    /// The routes, compiled.
    pub fn route_table(&self) -> RouteTable {
        RouteTable::new(
            self.routes.clone(),
            self.envelope,
            self.environment.as_deref(),
        )
    }
}

/// What reading a configuration gives: warnings come with or without a configuration, errors only without.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, unless there are errors.
    pub config: Option<Config>,
    /// All findings, in the order of the file.
    pub faults: Vec<Fault>,
}

/// Reads a configuration and reports everything that is wrong with it.
pub fn load(source: &Source<'_>) -> Loaded {
    let root = match yaml::parse(source.text) {
        Ok(Some(root)) => root,
        Ok(None) => Node {
            value: NodeValue::Object(Vec::new()),
            at: Position { line: 1, column: 1 },
        },
        Err(error) => {
            let fault = Fault {
                severity: Severity::Error,
                code: "not-yaml",
                message: error.message,
                place: Place::file(source.file, error.at),
                key: String::new(),
                accepted: None,
                help: None,
            };
            return Loaded {
                config: None,
                faults: vec![fault],
            };
        }
    };
    let (root, origins, mut override_faults) = overrides::apply(root, source);
    let place = |at: Position| match at.line {
        0 => Place::Override {
            name: origins.get(at.column).cloned().unwrap_or_default(),
        },
        _ => Place::file(source.file, at),
    };
    let mut faults = Faults {
        place: &place,
        found: Vec::new(),
    };
    check::check(&root, &Shape::Section(shape::FILE), "", &mut faults);
    let config = read(&root, &mut faults);
    let mut found = faults.found;
    found.append(&mut override_faults);
    found.sort_by_key(|fault| match &fault.place {
        Place::Override { .. } => (0, 0),
        Place::File { line, column, .. } => (*line, *column),
    });
    let broken = found.iter().any(|fault| fault.severity == Severity::Error);
    Loaded {
        config: (!broken).then_some(config),
        faults: found,
    }
}

/// A time such as `30s`, `5m`, `1h`, `2d`.
pub fn duration(text: &str) -> Option<Duration> {
    text.to_owned().parse_duration()
}

/// The last value of a key, as the check reports repeated ones.
fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let NodeValue::Object(members) = &node.value else {
        return None;
    };
    let member = members.iter().rev().find(|member| *member.key == *key)?;
    Some(&member.value)
}

fn text(node: &Node, key: &str) -> Option<String> {
    match &member(node, key)?.value {
        NodeValue::String(text) => Some(text_of(text)),
        _ => None,
    }
}

fn elements<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    match member(node, key).map(|node| &node.value) {
        Some(NodeValue::Array(elements)) => elements,
        _ => &[],
    }
}

fn flag(node: &Node, key: &str) -> bool {
    matches!(
        member(node, key).map(|node| &node.value),
        Some(NodeValue::Bool(true))
    )
}

/// Reads the tree into types. What the check refused is passed over here: it was reported.
fn read(root: &Node, faults: &mut Faults<'_>) -> Config {
    let environment = text(root, "environment");
    if let (Some(name), Some(node)) = (&environment, member(root, "environment"))
        && let Err(error) = check_literal(name)
    {
        let fault = faults.error(
            "bad-environment",
            "environment",
            node.at,
            format!("`environment` is `{name}`: {error}"),
        );
        fault.accepted = Some("one topic level, such as `prod`".into());
    }
    let kinds = read_kinds(root, faults);
    let mut routes: Vec<Route> = Vec::new();
    for (index, node) in elements(root, "routes").iter().enumerate() {
        let key = format!("routes[{index}]");
        let Some(route) = read_route(node, &key, &kinds, faults) else {
            continue;
        };
        if routes.iter().any(|known| known.name == route.name) {
            let at = member(node, "name").unwrap_or(node).at;
            let message = format!("there is a route `{}` already", route.name);
            faults
                .error("repeated-route", &format!("{key}.name"), at, message)
                .help = Some("names tell routes apart in logs, metrics and overrides".into());
        }
        routes.push(route);
    }
    let bridge = bridge::read(root, faults);
    Config {
        environment,
        envelope: Envelope::NAMES
            .into_iter()
            .find(|(name, _)| Some(*name) == text(root, "envelope").as_deref())
            .map_or(Envelope::default(), |(_, envelope)| envelope),
        routes,
        roles: role::read(root, &kinds, &bridge.client_id, faults),
        authorizer: authorizer::read(root, faults),
        bridge,
        kinds,
    }
}

fn read_kinds(root: &Node, faults: &mut Faults<'_>) -> Kinds {
    let mut kinds = Kinds::new();
    let Some(NodeValue::Object(members)) = member(root, "channels").map(|node| &node.value) else {
        return kinds;
    };
    for channel in members {
        let key = format!("channels.{}", channel.key);
        let id = member(&channel.value, "id");
        let format = match id.map(|node| &node.value) {
            Some(NodeValue::String(word)) if &**word == b"uuid" => Ok(IdFormat::Uuid),
            Some(NodeValue::Object(members)) => match members.as_slice() {
                [only] if &*only.key == "pattern" => match &only.value.value {
                    NodeValue::String(expression) => IdFormat::pattern(&text_of(expression)),
                    _ => Ok(IdFormat::Uuid),
                },
                _ => Ok(IdFormat::Uuid),
            },
            _ => Ok(IdFormat::Uuid),
        };
        if let Some(node) = id
            && !is_id_format(node)
        {
            let message = format!("`{key}.id` is {}", node.to_json());
            faults
                .error("bad-id-format", &format!("{key}.id"), node.at, message)
                .accepted = Some(Shape::IdFormat.accepts());
        }
        match format.and_then(|format| Kind::try_new(&channel.key, format)) {
            Ok(kind) => {
                kinds.insert(channel.key.clone(), kind);
            }
            Err(error) => {
                let at = channel.key_at;
                faults
                    .error("bad-channel", &key, at, error.to_string())
                    .accepted = Some(
                    "a name of letters, digits, `-` and `_`, and ids of a format that compiles"
                        .into(),
                );
            }
        }
    }
    kinds
}

fn is_id_format(node: &Node) -> bool {
    match &node.value {
        NodeValue::String(word) => &**word == b"uuid",
        NodeValue::Object(members) => match members.as_slice() {
            [only] => &*only.key == "pattern" && matches!(only.value.value, NodeValue::String(_)),
            _ => false,
        },
        // Reported as a wrong type.
        _ => true,
    }
}

fn read_route(node: &Node, key: &str, kinds: &Kinds, faults: &mut Faults<'_>) -> Option<Route> {
    let pattern = member(node, "match").and_then(|node| read_pattern(node, key, faults));
    let targets = elements(node, "to")
        .iter()
        .enumerate()
        .filter_map(|(index, target)| {
            let NodeValue::String(written) = &target.value else {
                return None;
            };
            let written = text_of(written);
            match Target::parse(&written, kinds) {
                Ok(target) => Some(target),
                Err(error) => {
                    let message = format!("target `{written}`: {}", error.message);
                    let key = format!("{key}.to[{index}]");
                    faults.error("bad-target", &key, target.at, message).help = error.help;
                    None
                }
            }
        })
        .collect();
    let payload = text(node, "payload");
    Some(Route {
        name: Arc::from(text(node, "name")?),
        pattern: pattern?,
        targets,
        payload: Payload::NAMES
            .into_iter()
            .find(|(name, _)| Some(*name) == payload.as_deref())
            .map_or(Payload::default(), |(_, payload)| payload),
        oversize: read_oversize(node, key, faults),
        qos: match member(node, "qos").map(|node| &node.value) {
            Some(NodeValue::Number(level)) if &**level == "0" => Qos::AtMostOnce,
            _ => Qos::AtLeastOnce,
        },
        retain: flag(node, "retain"),
        expires: read_expires(node, key, faults),
        conflate: flag(node, "conflate"),
        replay: flag(node, "replay"),
        on_invalid_topic: match text(node, "on_invalid_topic").as_deref() {
            Some("skip") => OnInvalidTopic::Skip,
            _ => OnInvalidTopic::DeadLetter,
        },
    })
}

fn read_oversize(node: &Node, key: &str, faults: &mut Faults<'_>) -> Oversize {
    let fields = member(node, "project");
    let paths: Vec<(String, Position)> = elements(node, "project")
        .iter()
        .filter_map(|path| match &path.value {
            NodeValue::String(text) => Some((text_of(text), path.at)),
            _ => None,
        })
        .collect();
    let word = text(node, "oversize");
    let at = member(node, "oversize").or(fields).unwrap_or(node).at;
    match (word.as_deref(), fields) {
        (Some("project"), None) => {
            let message = format!("`{key}.oversize` is `project`, and there is no `project`");
            faults
                .error("does-not-fit", &format!("{key}.oversize"), at, message)
                .help = Some("list the fields to send, such as project: [detail.orderId]".into());
        }
        (Some("project"), Some(_)) => {}
        (_, Some(_)) => {
            let message = format!("`{key}.project` stands without `oversize: project`");
            faults
                .error("does-not-fit", &format!("{key}.project"), at, message)
                .help = Some("add `oversize: project`, or leave the list out".into());
        }
        (Some("pointer"), None) => return Oversize::Pointer,
        _ => {}
    }
    match Projection::parse(paths.iter().map(|(path, _)| path.as_str())) {
        Ok(projection) if word.as_deref() == Some("project") => Oversize::Project(projection),
        Ok(_) => Oversize::DeadLetter,
        Err(path) => {
            let known = paths.iter().find(|(known, _)| known == path);
            let at = known.map_or(at, |(_, at)| *at);
            let key = format!("{key}.project");
            faults
                .error("bad-path", &key, at, format!("`{path}` in `{key}`"))
                .accepted = Some("dotted paths such as `detail.order.id`".into());
            Oversize::DeadLetter
        }
    }
}

fn read_expires(node: &Node, key: &str, faults: &mut Faults<'_>) -> Option<Duration> {
    let expires = text(node, "expires")?.parse_duration()?;
    let within =
        u32::try_from(expires.as_secs()).is_ok_and(|s| MESSAGE_EXPIRY_SECONDS.contains(&s));
    if !within {
        let at = member(node, "expires").unwrap_or(node).at;
        let key = format!("{key}.expires");
        let message = format!("`{key}` is {expires:?}");
        faults.error("out-of-range", &key, at, message).accepted =
            Some("1s to 7d, which is what IoT Core keeps".into());
    }
    Some(expires)
}

fn read_pattern(node: &Node, key: &str, faults: &mut Faults<'_>) -> Option<Pattern> {
    let pattern = match &node.value {
        NodeValue::Object(_) => Pattern::from_tree(node),
        // JSON in a string, as it stands in a rule. Places inside it are not places of the file.
        NodeValue::String(json) => Pattern::parse(&text_of(json)).map_err(|error| PatternError {
            at: node.at,
            ..error
        }),
        _ => return None,
    };
    let path = |path: &str| check::join(&format!("{key}.match"), path);
    match pattern {
        Ok(pattern) => {
            for warning in pattern.warnings() {
                let key = path(&warning.path);
                faults
                    .error("pattern-warning", &key, node.at, &warning.message)
                    .severity = Severity::Warning;
            }
            Some(pattern)
        }
        Err(error) => {
            let message = error.aws_text();
            faults
                .error("bad-pattern", &path(&error.path), error.at, message)
                .help = error.help;
            None
        }
    }
}

#[cfg(test)]
mod tests;
