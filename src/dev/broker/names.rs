//! Which topics and filters the broker takes: IoT Core's rules as [`crate::channel`] knows them, with the limits as they are set.

use super::limits::{Limits, Rules};
use crate::channel::filter::{Filter, FilterError};
use crate::channel::topic::{Topic, TopicError};

/// What a topic is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Messages go to subscribers.
    Plain,
    /// Basic Ingest: messages go to a rule and to nobody else.
    Rule,
}

/// Why a topic or a filter is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is none at all: the connection ends.
    Wrong(String),
    /// It could be one, but is reserved or has a character that is not taken: the connection ends.
    Refused(String),
    /// It is beyond a limit: MQTT 5 is told.
    Beyond(String),
}

/// Checks the topic of a message.
pub(crate) fn topic(name: &str, limits: &Limits, rules: &Rules) -> Result<Use, Unfit> {
    let is_ingest = rules.reserved_topics && name.starts_with("$aws/rules/");
    let checked = if rules.reserved_topics {
        name
    } else {
        unreserved(name)
    };
    match Topic::parse(checked) {
        Ok(_) | Err(TopicError::TooLong(_) | TopicError::TooDeep(_)) => {}
        Err(error @ (TopicError::Reserved | TopicError::Character(_))) => {
            return Err(Unfit::Refused(error.to_string()));
        }
        Err(error) => return Err(Unfit::Wrong(error.to_string())),
    }
    let counted = if is_ingest { behind(name, 3) } else { name };
    measure("topic", counted, limits)?;
    Ok(if is_ingest { Use::Rule } else { Use::Plain })
}

/// Checks the filter of a subscription.
pub(crate) fn filter(text: &str, limits: &Limits, rules: &Rules) -> Result<(), Unfit> {
    let is_shared = text.starts_with("$share/");
    let checked = if rules.reserved_topics || is_shared {
        text
    } else {
        unreserved(text)
    };
    match Filter::parse(checked) {
        Ok(_) | Err(FilterError::TooLong(_) | FilterError::TooDeep(_)) => {}
        Err(error @ (FilterError::Reserved | FilterError::Character(_))) => {
            return Err(Unfit::Refused(error.to_string()));
        }
        Err(error) => return Err(Unfit::Wrong(error.to_string())),
    }
    let counted = if is_shared { behind(text, 2) } else { text };
    measure("filter", counted, limits)
}

/// A name that would be reserved on IoT Core, as one that is not: otherwise the same rules hold.
fn unreserved(name: &str) -> &str {
    match name.strip_prefix('$') {
        Some("") | None => name,
        Some(rest) => rest,
    }
}

/// What follows so many slashes.
fn behind(name: &str, slashes: usize) -> &str {
    name.splitn(slashes + 1, '/').nth(slashes).unwrap_or(name)
}

fn measure(what: &str, name: &str, limits: &Limits) -> Result<(), Unfit> {
    let beyond = |count: usize, unit: &str, most: usize| {
        Err(Unfit::Beyond(format!(
            "the {what} has {count} {unit}; the broker takes {most}"
        )))
    };
    let slashes = memchr::memchr_iter(b'/', name.as_bytes()).count();
    match (limits.topic_bytes, limits.topic_slashes) {
        (Some(most), _) if name.len() > most => beyond(name.len(), "bytes", most),
        (_, Some(most)) if slashes > most => beyond(slashes, "slashes", most),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iot_core() -> (Limits, Rules) {
        (Limits::iot_core(), Rules::iot_core())
    }

    fn general() -> (Limits, Rules) {
        (Limits::general(), Rules::general())
    }

    #[test]
    fn topics() {
        let (limits, rules) = iot_core();
        let take = |name: &str| topic(name, &limits, &rules);
        assert_eq!(take("a/b"), Ok(Use::Plain));
        assert_eq!(take("$aws/rules/r/a/b"), Ok(Use::Rule));
        assert_eq!(take("$aws/rules/r/1/2/3/4/5/6/7/8"), Ok(Use::Rule));
        assert!(matches!(take("$aws/events/x"), Err(Unfit::Refused(_))));
        assert!(matches!(take("1/2/3/4/5/6/7/8/9"), Err(Unfit::Beyond(_))));
        assert!(matches!(take(&"x".repeat(257)), Err(Unfit::Beyond(_))));
        let (limits, rules) = general();
        let take = |name: &str| topic(name, &limits, &rules);
        assert_eq!(take("$SYS/x"), Ok(Use::Plain));
        assert_eq!(take("$aws/rules/r/a"), Ok(Use::Plain));
        assert_eq!(take(&"x/".repeat(100)), Ok(Use::Plain));
        assert_eq!(take(&"x".repeat(10_000)), Ok(Use::Plain));
        assert!(matches!(take(&"x/".repeat(300)), Err(Unfit::Beyond(_))));
    }

    #[test]
    fn filters() {
        let (limits, rules) = iot_core();
        let take = |text: &str| filter(text, &limits, &rules);
        assert_eq!(take("a/+/#"), Ok(()));
        assert_eq!(take("$aws/events/#"), Ok(()));
        assert_eq!(take("$share/g/1/2/3/4/5/6/7/8"), Ok(()));
        assert!(matches!(take("$SYS/#"), Err(Unfit::Refused(_))));
        assert!(matches!(take("a\u{1}"), Err(Unfit::Refused(_))));
        assert!(matches!(take("a/#/b"), Err(Unfit::Wrong(_))));
        assert!(matches!(take("$share/g"), Err(Unfit::Wrong(_))));
        assert!(matches!(take("1/2/3/4/5/6/7/8/+"), Err(Unfit::Beyond(_))));
        let (limits, rules) = general();
        let take = |text: &str| filter(text, &limits, &rules);
        assert_eq!(take("$SYS/#"), Ok(()));
        assert_eq!(take(&"+/".repeat(100)), Ok(()));
        assert!(matches!(take("$x/a#"), Err(Unfit::Wrong(_))));
    }
}
