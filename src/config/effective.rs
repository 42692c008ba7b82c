//! The values that are in effect, and where each of them comes from: the file, a variable, a flag, or a default.

use serde::Serialize;
use serde_json::Value;

use super::check::{join, text_of};
use super::secret::{MASK, is_secret, masked_url};
use super::shape::{FILE, KnownKey, Shape};
use super::{ConfigSource, Loaded, load_tree};
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// One value in effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveValue {
    /// Its path, such as `routes.order-updates.qos`.
    pub key: String,
    /// The value; of a secret nothing is shown.
    pub value: Value,
    /// Source of the value.
    pub origin: ValueOrigin,
}

/// Sources of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueOrigin {
    /// A line of the file.
    File {
        /// Its name.
        file: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// A flag.
    Flag {
        /// The flag, such as `--set environment`.
        name: String,
    },
    /// The default.
    Default,
}

impl std::fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Variable { name } | Self::Flag { name } => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The values of a configuration in effect, in the order of its description, beside the result of
/// reading it.
pub fn effective(source: &ConfigSource<'_>) -> (Loaded, Vec<EffectiveValue>) {
    let (loaded, tree) = load_tree(source);
    let Some((root, origins)) = tree else {
        return (loaded, Vec::new());
    };
    let mut list = List {
        file: source.file,
        origins: &origins,
        values: Vec::new(),
    };
    list.section(Some(&root), FILE, "");
    (loaded, list.values)
}

struct List<'l> {
    file: &'l str,
    /// The names of overrides by the columns of their positions.
    origins: &'l [String],
    values: Vec<EffectiveValue>,
}

impl List<'_> {
    fn section(&mut self, node: Option<&TreeValue>, keys: &[KnownKey], path: &str) {
        for key in keys {
            let path = join(path, key.name);
            let value = node.and_then(|node| super::member(node, key.name));
            match (value, &key.shape) {
                (Some(value), shape) => self.value(value, shape, &path),
                // A section that is left out has defaults, unless it means nothing without a value of its own.
                (None, Shape::Section(keys)) if keys.iter().all(|key| !key.required) => {
                    self.section(None, keys, &path);
                }
                (None, _) => {
                    if let Some(default) = key.default {
                        self.values.push(EffectiveValue {
                            key: path,
                            value: default.to_json(),
                            origin: ValueOrigin::Default,
                        });
                    }
                }
            }
        }
    }

    fn value(&mut self, node: &TreeValue, shape: &Shape, path: &str) {
        match (shape, &node.value) {
            (Shape::Section(keys), _) => self.section(Some(node), keys, path),
            (Shape::Map(each), NodeValue::Object(members)) => {
                for member in members {
                    self.value(&member.value, each, &join(path, &member.key));
                }
            }
            (Shape::List(each), NodeValue::Array(elements))
                if matches!(each, Shape::Section(_)) =>
            {
                for (index, element) in elements.iter().enumerate() {
                    let name = super::text(element, "name");
                    let name = name.unwrap_or_else(|| index.to_string());
                    self.value(element, each, &join(path, &name));
                }
            }
            _ => {
                let value = if is_secret(path) {
                    MASK.into()
                } else {
                    json(node)
                };
                self.values.push(EffectiveValue {
                    key: path.to_owned(),
                    value,
                    origin: self.origin(node),
                });
            }
        }
    }

    fn origin(&self, node: &TreeValue) -> ValueOrigin {
        if node.at.line > 0 {
            return ValueOrigin::File {
                file: self.file.to_owned(),
                line: node.at.line,
            };
        }
        let name = self
            .origins
            .get(node.at.column)
            .cloned()
            .unwrap_or_default();
        if name.starts_with("--") {
            ValueOrigin::Flag { name }
        } else {
            ValueOrigin::Variable { name }
        }
    }
}

/// A value as JSON, addresses without their secrets.
fn json(node: &TreeValue) -> Value {
    match &node.value {
        NodeValue::Object(members) => members
            .iter()
            .map(|member| (member.key.to_string(), json(&member.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        NodeValue::Array(elements) => elements.iter().map(json).collect(),
        NodeValue::String(text) => masked_url(&text_of(text)).into(),
        NodeValue::Number(number) => {
            serde_json::from_str(number).unwrap_or_else(|_| Value::from(number.to_string()))
        }
        NodeValue::Bool(value) => (*value).into(),
        NodeValue::Null => Value::Null,
    }
}

/// A description of every key, for the reference and its test: path, accepted values, default, and
/// effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// The path, with `NAME` for names of the user's own and `[]` for elements of lists.
    pub path: String,
    /// Indicates that it is required where its section is present.
    pub required: bool,
    /// Accepted values.
    pub accepts: String,
    /// The default, as JSON.
    pub default: Option<String>,
    /// Description of its effect.
    pub about: &'static str,
}

/// Every key of the configuration file.
pub fn keys() -> Vec<KeyDescription> {
    let mut found = Vec::new();
    describe(FILE, "", &mut found);
    found
}

fn describe(keys: &[KnownKey], path: &str, found: &mut Vec<KeyDescription>) {
    for key in keys {
        let path = join(path, key.name);
        found.push(KeyDescription {
            path: path.clone(),
            required: key.required,
            accepts: key.shape.accepts(),
            default: key.default.map(|default| match default.to_json() {
                Value::String(text) => text,
                other => other.to_string(),
            }),
            about: key.about,
        });
        below(&key.shape, &path, found);
    }
}

fn below(shape: &Shape, path: &str, found: &mut Vec<KeyDescription>) {
    match shape {
        Shape::Section(keys) => describe(keys, path, found),
        Shape::Map(each) => below(each, &join(path, "NAME"), found),
        Shape::List(each) | Shape::PossiblyEmptyList(each) => {
            below(each, &format!("{path}[]"), found)
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::ParseDuration as _;
    use crate::config::{Config, load};

    const FILE: &str = "environment: prod\nchannels: { order: { id: uuid } }\nroutes:\n  - name: a\n    match: { source: [s], detail: { n: [1.50] } }\n    to: [a/x, 'order:{detail.id}']\n    retain: true\nbridge:\n  queue: https://h/1/q\n  authorizer: { token: S3CRET }\n";

    fn source<'s>(text: &'s str, variables: &[(&str, &str)], flags: &[&str]) -> ConfigSource<'s> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ConfigSource {
            file: "eventcast.yaml",
            text,
            environment: variables.iter().map(owned).collect(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        }
    }

    #[test]
    fn values_and_their_origins() {
        let variables = [
            ("EVENTCAST_BRIDGE_WAIT", "5s"),
            ("EVENTCAST_BRIDGE_AUTHORIZER_TOKEN", "S3CRET2"),
        ];
        let flags = ["bridge.wait=10s", "routes.a.qos=0", "environment=2024"];
        let (loaded, values) = effective(&source(FILE, &variables, &flags));
        assert!(loaded.config.is_some(), "{:?}", loaded.faults);
        let lines: Vec<String> = values
            .iter()
            .map(|value| format!("{} = {}  ({})", value.key, value.value, value.origin))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// The defaults that are described are those in effect.
    #[test]
    fn defaults_are_what_reading_gives() {
        let minimal = "routes: [{ name: a, match: { source: [s] }, to: [a] }]\nroles: { r: { bind: 'user:{claims.sub}', publish: [a] } }\nchannels: { user: { id: uuid } }\n";
        let (loaded, values) = effective(&source(minimal, &[], &[]));
        let flags: Vec<String> = values
            .iter()
            .filter(|value| value.origin == ValueOrigin::Default && value.key != "bridge.calls")
            .map(|value| match &value.value {
                Value::String(text) => format!("{}={text}", value.key),
                other => format!("{}={other}", value.key),
            })
            .collect();
        assert!(flags.len() > 20, "{flags:?}");
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let explicit = load(&source(minimal, &[], &flags));
        let shown = |config: Option<Config>| {
            let config = config.unwrap();
            let routes: Vec<String> = config
                .routes
                .iter()
                .map(|route| {
                    format!(
                        "{:?}",
                        (
                            route.payload,
                            &route.oversize,
                            route.qos,
                            route.retain,
                            route.conflate,
                            route.order,
                            route.replay,
                            route.on_invalid_topic
                        )
                    )
                })
                .collect();
            format!(
                "{:?} {:?} {:?} {:?} {routes:?} {}",
                config.envelope,
                config.bridge,
                config.authorizer,
                config.gateway,
                config.roles[0].retain
            )
        };
        assert_eq!(shown(explicit.config), shown(loaded.config));
    }

    /// A key whose description names a default has it as data.
    #[test]
    fn defaults_are_described_once() {
        for key in keys() {
            let named = key.about.contains("Default ") || key.about.contains("the default)");
            let exempt = [
                "bridge.credentials",
                "bridge.tls.alpn",
                "roles.NAME.client_ids",
            ]
            .contains(&&*key.path);
            assert!(
                exempt || named == key.default.is_some() || key.default.is_some(),
                "{}: {}",
                key.path,
                key.about
            );
            if let Some(default) = &key.default {
                assert!(
                    key.about.contains(default.as_str())
                        || default.parse::<u64>().is_ok()
                        || key.about.contains("Default"),
                    "{}: {}",
                    key.path,
                    key.about
                );
            }
        }
    }

    /// Every default and every example of the schema is accepted by its key.
    #[test]
    fn times_fit_their_keys() {
        for key in keys() {
            if let Some(default) = key.default
                && key.accepts.contains("a time")
            {
                assert!(default.clone().parse_duration().is_some(), "{}", key.path);
            }
        }
    }
}
