//! Channels and topics: conversion between a person's notation and MQTT's.

use crate::channel::filter::Filter;
use crate::channel::template::channel;
use crate::config::Config;

/// Common prefix of all topics of a configuration.
fn prefix(config: &Config) -> String {
    let environment = config.environment.as_deref();
    environment.map_or_else(String::new, |name| format!("{name}/"))
}

/// Parses a person's notation of a topic: a channel such as `order:5b0c…`, or a topic.
///
/// # Errors
/// The mistake in the text, in one line.
pub(super) fn topic(text: &str, config: &Config) -> Result<Filter, String> {
    let named = channel(text, &config.kinds).map_err(|error| match &error.help {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    })?;
    let topic = match named {
        Some((kind, id)) if !kind.id().accepts(id) => {
            let format = kind.id();
            let kind = kind.name();
            return Err(format!(
                "`{id}` is not a valid id of channel `{kind}` (expected: {format})"
            ));
        }
        Some((kind, id)) => format!("{}{}/{id}", prefix(config), kind.name()),
        None => text.to_owned(),
    };
    if topic.contains(['+', '#']) {
        return Err(format!(
            "`{text}` has wildcards: enter one topic or channel, without wildcards"
        ));
    }
    Filter::exact(&topic).map_err(|error| error.to_string())
}

/// Returns the channel of a topic, such as `order:5b0c…`; `None` for other topics.
pub(super) fn channel_of(topic: &str, config: &Config) -> Option<String> {
    let (kind, id) = topic.strip_prefix(&prefix(config))?.split_once('/')?;
    let known = config.kinds.get(kind)?;
    known.id().accepts(id).then(|| format!("{kind}:{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigSource, load};

    const ID: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

    fn config(environment: &str) -> Config {
        let text = format!(
            "{environment}channels:\n  order: {{ id: uuid }}\nroutes:\n  - {{ name: r, match: {{ source: [s] }}, to: [t] }}\n"
        );
        let source = ConfigSource {
            file: "f",
            text: &text,
            ..ConfigSource::default()
        };
        load(&source).config.unwrap()
    }

    #[test]
    fn there_and_back() {
        for (environment, wanted) in [("", "order/"), ("environment: prod\n", "prod/order/")] {
            let config = config(environment);
            let found = topic(&format!("order:{ID}"), &config).unwrap();
            assert_eq!(found.as_str(), format!("{wanted}{ID}"));
            let channel = channel_of(found.as_str(), &config);
            assert_eq!(channel.as_deref(), Some(&*format!("order:{ID}")));
            assert_eq!(channel_of("board/north", &config), None);
            assert_eq!(channel_of("order/1", &config), None);
        }
    }

    #[test]
    fn what_is_no_topic() {
        let said = |text: &str| topic(text, &config("")).unwrap_err();
        let all = ["ordr:1", "order:1", "order/#", ""].map(said);
        insta::assert_snapshot!(all.join("\n"));
    }
}
