//! The configuration: one YAML file, with environment variables and flags above it, read into checked types.
//!
//! A held [`Config`] is right: everything that can be wrong was reported before, all of it in one run. This module is pure:
//! who calls it reads the file and the environment.

pub mod authorizer;
pub mod bridge;
pub(crate) mod check;
pub(crate) mod described;
pub mod effective;
mod envelope;
pub mod fault;
pub mod gateway;
mod leftover;
pub mod load_profile;
mod overrides;
mod pattern;
pub mod permission;
mod placeholder;
pub mod policy_tests;
pub mod queue_name;
pub mod region;
mod role;
pub mod schema;
pub mod secret;
mod section;
pub(crate) mod shape;
mod target;
mod unquoted;
pub mod yaml;

use std::sync::Arc;
use std::time::Duration;

use check::{Faults, ParseDuration, text_of};
use fault::{Fault, Severity, ValuePlace};
use shape::Shape;

use crate::channel::limits::MESSAGE_EXPIRY_SECONDS;
use crate::channel::{ChannelKind, IdFormat, Kinds};
use crate::event::envelope::Envelope;
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};
use crate::policy::claims::check_literal;
use crate::policy::role::Role;
use crate::route::oversize::{Oversize, Projection};
use crate::route::payload::PayloadShape;
use crate::route::publication::{Qos, TopicOrder};
use crate::route::table::{OnInvalidTopic, Route, RouteTable};

/// The most bytes that a configuration file may have.
pub const MAX_FILE_BYTES: usize = yaml::MAX_FILE_BYTES;

/// Input of a configuration: a file and its overrides.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource<'s> {
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
    /// Form of the bodies.
    pub envelope: Envelope,
    /// The kinds of channels.
    pub kinds: Kinds,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    /// The roles, in the order of the file.
    pub roles: Vec<Role>,
    /// Issuers whose tokens are accepted.
    pub authorizer: authorizer::AuthorizerConfig,
    /// The daemon.
    pub bridge: bridge::BridgeConfig,
    /// Polls and streams over HTTP.
    pub gateway: gateway::GatewayConfig,
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

/// Result of reading a configuration: warnings come with or without a configuration, errors only
/// without.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, unless there are errors.
    pub config: Option<Config>,
    /// All findings, in the order of the file. They name no secret.
    pub faults: Vec<Fault>,
    /// Values that must not be shown.
    secrets: Vec<String>,
}

impl Loaded {
    /// The text of the file as it can be shown: secrets are starred, and lines and columns stay where they are.
    pub fn redacted(&self, text: &str) -> String {
        secret::redacted(text, &self.secrets)
    }
}

impl Loaded {
    /// Returns `true` for a text that is no YAML that could be checked: syntax, depth, size.
    pub fn is_unreadable(&self) -> bool {
        self.faults.iter().any(|fault| fault.code == NOT_YAML)
    }
}

/// The finding about a text that is no YAML, which is then the only one.
const NOT_YAML: &str = "not-yaml";

/// Reads a configuration and reports everything that is wrong with it.
pub fn load(source: &ConfigSource<'_>) -> Loaded {
    load_tree(source).0
}

/// The tree of a configuration with overrides in place, and the names of the overrides by the columns of their positions.
type Tree = (TreeValue, Vec<String>);

/// As [`load`], with the tree where the text is one.
fn load_tree(source: &ConfigSource<'_>) -> (Loaded, Option<Tree>) {
    let root = match yaml::parse(source.text) {
        Ok(Some(root)) => root,
        Ok(None) => TreeValue::empty_object(TextPosition { line: 1, column: 1 }),
        Err(error) => {
            let fault = Fault {
                severity: Severity::Error,
                code: NOT_YAML,
                message: error.message,
                place: ValuePlace::file(source.file, error.at),
                key: String::new(),
                accepted: None,
                help: unquoted::advice_for_line(source.text, error.at.line),
            };
            let loaded = Loaded {
                config: None,
                faults: vec![fault],
                secrets: Vec::new(),
            };
            return (loaded, None);
        }
    };
    let mut secrets = Vec::new();
    secret::collect(&root, "", &mut secrets);
    let (root, origins, mut override_faults) = overrides::apply(root, source);
    secret::collect(&root, "", &mut secrets);
    // Longer ones first, so that one that is part of another leaves no rest of it.
    secrets.sort_by(|a: &String, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    secrets.dedup();
    let place = |at: TextPosition| match at.line {
        0 => ValuePlace::Override {
            name: origins.get(at.column).cloned().unwrap_or_default(),
        },
        _ => ValuePlace::file(source.file, at),
    };
    let mut faults = Faults {
        place: &place,
        found: Vec::new(),
    };
    check::check(&root, &Shape::Section(shape::FILE), "", &mut faults);
    leftover::warn(&root, "", &mut faults);
    let config = read(&root, &mut faults);
    let mut found = faults.found;
    found.append(&mut override_faults);
    found.sort_by_key(|fault| match &fault.place {
        ValuePlace::Override { .. } => (0, 0),
        ValuePlace::File { line, column, .. } => (*line, *column),
    });
    for fault in &mut found {
        fault.message = secret::masked(&fault.message, &secrets);
        fault.help = fault
            .help
            .as_ref()
            .map(|help| secret::masked(help, &secrets));
    }
    let broken = found.iter().any(|fault| fault.severity == Severity::Error);
    shorten(&mut found);
    let loaded = Loaded {
        config: (!broken).then_some(config),
        faults: found,
        secrets,
    };
    (loaded, Some((root, origins)))
}

/// The most findings that one run reports: a bound on output, and on the time it takes.
const MOST_FAULTS: usize = 1_000;

/// Leaves the first findings, and says how many more there are.
fn shorten(found: &mut Vec<Fault>) {
    let more = found.split_off(MOST_FAULTS.min(found.len()));
    if let Some(first) = more.first() {
        let is_error = |fault: &Fault| fault.severity == Severity::Error;
        found.push(Fault {
            severity: if more.iter().any(is_error) {
                Severity::Error
            } else {
                Severity::Warning
            },
            code: "more-findings",
            message: format!("{} more findings are not shown", more.len()),
            place: first.place.clone(),
            key: first.key.clone(),
            accepted: None,
            help: Some("correct the first ones, and check again".into()),
        });
    }
}

/// A time such as `30s`, `5m`, `1h`, `2d`.
pub fn duration(text: &str) -> Option<Duration> {
    text.to_owned().parse_duration()
}

/// The last value of a key, as the check reports repeated ones.
pub(crate) fn member<'n>(node: &'n TreeValue, key: &str) -> Option<&'n TreeValue> {
    let NodeValue::Object(members) = &node.value else {
        return None;
    };
    let member = members.iter().rev().find(|member| *member.key == *key)?;
    Some(&member.value)
}

pub(crate) fn text(node: &TreeValue, key: &str) -> Option<String> {
    match &member(node, key)?.value {
        NodeValue::String(text) => Some(text_of(text)),
        _ => None,
    }
}

pub(crate) fn elements<'n>(node: &'n TreeValue, key: &str) -> &'n [TreeValue] {
    match member(node, key).map(|node| &node.value) {
        Some(NodeValue::Array(elements)) => elements,
        _ => &[],
    }
}

pub(crate) fn flag(node: &TreeValue, key: &str) -> bool {
    matches!(
        member(node, key).map(|node| &node.value),
        Some(NodeValue::Bool(true))
    )
}

/// Reads the tree into types. Parts that the check refused are passed over here: they were
/// reported.
fn read(root: &TreeValue, faults: &mut Faults<'_>) -> Config {
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
    let envelope = Envelope::NAMES
        .into_iter()
        .find(|(name, _)| Some(*name) == text(root, "envelope").as_deref())
        .map_or(Envelope::default(), |(_, envelope)| envelope);
    let mut routes: Vec<Route> = Vec::new();
    for (index, node) in elements(root, "routes").iter().enumerate() {
        let key = format!("routes[{index}]");
        let Some(route) = read_route(node, &key, &kinds, envelope, faults) else {
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
    let roles = role::read(root, &kinds, &bridge.client_id, faults);
    Config {
        environment,
        envelope,
        routes,
        authorizer: authorizer::read(root, &roles, faults),
        gateway: gateway::read(root, faults),
        roles,
        bridge,
        kinds,
    }
}

fn read_kinds(root: &TreeValue, faults: &mut Faults<'_>) -> Kinds {
    let mut kinds = Kinds::new();
    let Some(NodeValue::Object(members)) = member(root, "channels").map(|node| &node.value) else {
        return kinds;
    };
    for channel in members {
        let key = format!("channels.{}", channel.key);
        let id = member(&channel.value, "id");
        if let Some(node) = id
            && !is_id_format(node)
        {
            let message = format!("`{key}.id` is {}", node.to_json());
            faults
                .error("bad-id-format", &format!("{key}.id"), node.at, message)
                .accepted = Some(Shape::IdFormat.accepts());
        }
        let format = id.and_then(id_pattern).map(|(expression, at)| {
            IdFormat::pattern(&expression).unwrap_or_else(|error| {
                let fault = faults.error(
                    "bad-id-format",
                    &format!("{key}.id.pattern"),
                    at,
                    error.to_string(),
                );
                fault.accepted = Some("a regular expression that an id matches as a whole".into());
                fault.help = std::error::Error::source(&error).and_then(regex_help);
                // Ids of the channel are not known, and get no faults of their own.
                IdFormat::pattern("(?s).*").unwrap_or(IdFormat::Uuid)
            })
        });
        match ChannelKind::try_new(&channel.key, format.unwrap_or(IdFormat::Uuid)) {
            Ok(kind) => {
                kinds.insert(channel.key.clone(), kind);
            }
            Err(error) => {
                let at = channel.key_at;
                faults
                    .error("bad-channel", &key, at, error.to_string())
                    .accepted = Some("a name of letters, digits, `-` and `_`".into());
            }
        }
    }
    kinds
}

/// The regular expression of an id's format, where it has one.
fn id_pattern(node: &TreeValue) -> Option<(String, TextPosition)> {
    let node = member(node, "pattern")?;
    match &node.value {
        NodeValue::String(expression) => Some((text_of(expression), node.at)),
        _ => None,
    }
}

/// The last line of an error of the regular-expression parser, which names the fault.
fn regex_help(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let text = error.to_string();
    let last = text.lines().last()?.trim();
    Some(last.strip_prefix("error: ").unwrap_or(last).to_owned())
}

fn is_id_format(node: &TreeValue) -> bool {
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

fn read_route(
    node: &TreeValue,
    key: &str,
    kinds: &Kinds,
    envelope: Envelope,
    faults: &mut Faults<'_>,
) -> Option<Route> {
    let pattern = member(node, "match")
        .and_then(|node| pattern::read(node, &format!("{key}.match"), envelope, faults));
    let targets = target::read(node, key, kinds, envelope, faults);
    let payload = text(node, "payload");
    Some(Route {
        name: Arc::from(text(node, "name")?),
        pattern: pattern?,
        targets,
        payload: PayloadShape::NAMES
            .into_iter()
            .find(|(name, _)| Some(*name) == payload.as_deref())
            .map_or(PayloadShape::default(), |(_, payload)| payload),
        oversize: read_oversize(node, key, faults),
        qos: match member(node, "qos").map(|node| &node.value) {
            Some(NodeValue::Number(level)) if &**level == "0" => Qos::AtMostOnce,
            _ => Qos::AtLeastOnce,
        },
        retain: flag(node, "retain"),
        expires: read_expires(node, key, faults),
        conflate: flag(node, "conflate"),
        order: read_order(node, key, faults),
        replay: flag(node, "replay"),
        on_invalid_topic: match text(node, "on_invalid_topic").as_deref() {
            Some("skip") => OnInvalidTopic::Skip,
            _ => OnInvalidTopic::DeadLetter,
        },
    })
}

fn read_oversize(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Oversize {
    let fields = member(node, "project");
    let paths: Vec<(String, TextPosition)> = elements(node, "project")
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
            let message = format!("`{key}.project` has no `oversize: project` beside it");
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

fn read_order(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Option<TopicOrder> {
    let order = text(node, "order")?;
    let mut names = TopicOrder::NAMES.into_iter();
    let (_, order) = names.find(|(name, _)| *name == order)?;
    let one_at_a_time = ["conflate", "retain"];
    let cause = one_at_a_time
        .into_iter()
        .find(|flagged| flag(node, flagged));
    if let Some(cause) = cause.filter(|_| order != TopicOrder::Strict) {
        let at = member(node, "order").unwrap_or(node).at;
        let key = format!("{key}.order");
        let message = format!(
            "`{key}` is `{}`, and the route says `{cause}: true`",
            order.name()
        );
        faults.error("does-not-fit", &key, at, message).help = Some(format!(
            "messages of a route with `{cause}` go one at a time: leave `order` out, or `{cause}`"
        ));
    }
    Some(order)
}

fn read_expires(node: &TreeValue, key: &str, faults: &mut Faults<'_>) -> Option<Duration> {
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

/// A configuration that has no fault, for tests.
#[cfg(test)]
#[track_caller]
pub(crate) fn valid(text: &str) -> Config {
    let loaded = load(&ConfigSource {
        file: "eventcast.yaml",
        text,
        ..ConfigSource::default()
    });
    loaded
        .config
        .unwrap_or_else(|| panic!("{:?}", loaded.faults))
}

#[cfg(test)]
mod tests;
