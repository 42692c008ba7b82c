//! Topics and filters that the broker accepts: IoT Core's rules from [`crate::channel`], with the
//! configured limits.

use super::excess::{excess, quoted};
use super::limits::{BrokerLimits, BrokerRules};
use super::reserved::{self, ReservedError};
use crate::channel::filter::{Filter, FilterError};
use crate::channel::topic::{Topic, TopicError};

/// Class of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicClass {
    /// Messages go to subscribers.
    Plain,
    /// Basic Ingest: messages go to a rule only.
    Rule,
}

/// Protocol of a publish: HTTPS accepts fewer reserved topics than MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishOrigin {
    Mqtt,
    Https,
}

/// Reason why a topic or a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicRejection {
    /// The name is empty or malformed: the connection ends.
    Wrong(String),
    /// The name has a character that is not accepted: the connection ends.
    Refused(String),
    /// The name is reserved: an MQTT 5 client receives a reason code and keeps its connection.
    Reserved(String),
    /// The name exceeds a limit: an MQTT 5 client receives a reason code.
    Beyond(String),
}

fn reserved(what: &str, name: &str) -> impl FnOnce(ReservedError) -> TopicRejection {
    let name = format!("{what} {}", quoted(name));
    move |error| TopicRejection::Reserved(format!("{name}: {error}"))
}

/// Checks the topic of a message or a will.
pub(crate) fn topic(
    name: &str,
    way: PublishOrigin,
    limits: &BrokerLimits,
    rules: &BrokerRules,
) -> Result<TopicClass, TopicRejection> {
    match Topic::parse(unreserved(name)) {
        Ok(_) | Err(TopicError::TooLong(_) | TopicError::TooDeep(_)) => {}
        Err(error @ TopicError::Character(_)) => {
            return Err(TopicRejection::Refused(error.to_string()));
        }
        Err(error) => return Err(TopicRejection::Wrong(error.to_string())),
    }
    if !rules.reserved_topics || !name.starts_with('$') {
        measure("topic", name, true, limits)?;
        return Ok(TopicClass::Plain);
    }
    let open = match way {
        PublishOrigin::Mqtt => reserved::publish(name),
        PublishOrigin::Https => reserved::publish_by_https(name),
    };
    open.map_err(reserved("publish to", name))?;
    if name.starts_with("$aws/rules/") {
        measure("topic", behind(name, 3), true, limits)?;
        return Ok(TopicClass::Rule);
    }
    measure("topic", name, counts_slashes(name), limits)?;
    Ok(TopicClass::Plain)
}

/// Checks the filter of a subscription.
pub(crate) fn filter(
    text: &str,
    limits: &BrokerLimits,
    rules: &BrokerRules,
) -> Result<(), TopicRejection> {
    let is_shared = text.starts_with("$share/");
    let counted = if is_shared { behind(text, 2) } else { text };
    let share = text.get(..text.len() - counted.len()).unwrap_or_default();
    let parsed = if is_shared && (share.is_empty() || !counted.starts_with('$')) {
        Filter::parse(text)
    } else {
        Filter::parse(&[share, unreserved(counted)].concat())
    };
    match parsed {
        Ok(_) | Err(FilterError::TooLong(_) | FilterError::TooDeep(_)) => {}
        Err(FilterError::Share) if rules.reserved_topics => {
            return Err(reserved("subscribe to", text)(ReservedError::Share));
        }
        Err(error @ FilterError::Character(_)) => {
            return Err(TopicRejection::Refused(error.to_string()));
        }
        Err(error) => return Err(TopicRejection::Wrong(error.to_string())),
    }
    let is_reserved = rules.reserved_topics && counted.starts_with('$');
    if is_reserved {
        reserved::subscribe(counted).map_err(reserved("subscribe to", text))?;
    }
    let slashes = !is_reserved || counts_slashes(counted);
    measure("filter", counted, slashes, limits)
}

/// Returns `true` where the limit of slashes applies to a reserved name; names of commands have
/// eight by themselves.
fn counts_slashes(name: &str) -> bool {
    !name.starts_with("$aws/commands/")
}

/// Turns a name that IoT Core reserves into one that it does not: otherwise the same rules hold.
fn unreserved(name: &str) -> &str {
    match name.strip_prefix('$') {
        Some("") => "-",
        Some(rest) if !rest.starts_with('$') => rest,
        Some(rest) => unreserved(rest),
        None => name,
    }
}

/// Returns the part of a name behind the given number of slashes.
fn behind(name: &str, slashes: usize) -> &str {
    name.splitn(slashes + 1, '/').nth(slashes).unwrap_or(name)
}

fn measure(
    what: &str,
    name: &str,
    slashes_count: bool,
    limits: &BrokerLimits,
) -> Result<(), TopicRejection> {
    let beyond = |count: usize, unit: &str, limit: &str, most: usize| {
        let sent = format!("a {what} of {count} {unit}");
        Err(TopicRejection::Beyond(
            excess(&sent, limit, most, "").into(),
        ))
    };
    let slashes = memchr::memchr_iter(b'/', name.as_bytes()).count();
    match (limits.topic_bytes, limits.topic_slashes) {
        (Some(most), _) if name.len() > most => beyond(name.len(), "bytes", "topic-bytes", most),
        (_, Some(most)) if slashes > most && slashes_count => {
            beyond(slashes, "slashes", "topic-slashes", most)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iot_core() -> (BrokerLimits, BrokerRules) {
        (BrokerLimits::iot_core(), BrokerRules::iot_core())
    }

    fn general() -> (BrokerLimits, BrokerRules) {
        (BrokerLimits::general(), BrokerRules::general())
    }

    #[test]
    fn topics() {
        let (limits, rules) = iot_core();
        let take = |name: &str| topic(name, PublishOrigin::Mqtt, &limits, &rules);
        assert_eq!(take("a/b"), Ok(TopicClass::Plain));
        assert_eq!(take("$aws/rules/r/a/b"), Ok(TopicClass::Rule));
        assert_eq!(take("$aws/rules/r/1/2/3/4/5/6/7/8"), Ok(TopicClass::Rule));
        assert_eq!(take("$aws/things/t/shadow/update"), Ok(TopicClass::Plain));
        let commands = "$aws/commands/things/t/executions/e/response/json";
        assert_eq!(take(commands), Ok(TopicClass::Plain));
        for name in ["$aws/events/x", "$SYS/x", "$", "$$", "$share/g/a"] {
            assert!(
                matches!(take(name), Err(TopicRejection::Reserved(_))),
                "{name}"
            );
        }
        assert!(matches!(
            take("$aws/things/+/x"),
            Err(TopicRejection::Wrong(_))
        ));
        assert!(matches!(take("$SYS/#"), Err(TopicRejection::Wrong(_))));
        assert!(matches!(
            take("$aws/things/t/\u{1}"),
            Err(TopicRejection::Refused(_))
        ));
        assert!(matches!(
            take("1/2/3/4/5/6/7/8/9"),
            Err(TopicRejection::Beyond(_))
        ));
        let deep = "$aws/things/1/2/3/4/5/6/7";
        assert!(matches!(take(deep), Err(TopicRejection::Beyond(_))));
        assert!(matches!(
            take(&"x".repeat(257)),
            Err(TopicRejection::Beyond(_))
        ));
        let https = topic(commands, PublishOrigin::Https, &limits, &rules);
        assert!(matches!(https, Err(TopicRejection::Reserved(_))));
        let (limits, rules) = general();
        let take = |name: &str| topic(name, PublishOrigin::Mqtt, &limits, &rules);
        assert_eq!(take("$SYS/x"), Ok(TopicClass::Plain));
        assert_eq!(take("$"), Ok(TopicClass::Plain));
        assert_eq!(take("$aws/rules/r/a"), Ok(TopicClass::Plain));
        assert_eq!(take(&"x/".repeat(100)), Ok(TopicClass::Plain));
        assert_eq!(take(&"x".repeat(10_000)), Ok(TopicClass::Plain));
        assert!(matches!(
            take(&"x/".repeat(300)),
            Err(TopicRejection::Beyond(_))
        ));
    }

    #[test]
    fn filters() {
        let (limits, rules) = iot_core();
        let take = |text: &str| filter(text, &limits, &rules);
        assert_eq!(take("a/+/#"), Ok(()));
        assert_eq!(take("$aws/events/#"), Ok(()));
        assert_eq!(take("$share/g/1/2/3/4/5/6/7/8"), Ok(()));
        assert_eq!(take("$share/g/$aws/events/#"), Ok(()));
        let commands = "$aws/commands/things/t/executions/+/response/accepted/json";
        assert_eq!(take(commands), Ok(()));
        for text in [
            "$SYS/#",
            "$",
            "$share",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/g/$SYS/#",
            "$share/g/$share/h/a",
            "$aws/#",
        ] {
            let refused = take(text);
            // An empty filter behind the share name is no filter at all.
            let is_empty = text == "$share/g/";
            assert_eq!(
                matches!(refused, Err(TopicRejection::Wrong(_))),
                is_empty,
                "{text}"
            );
            assert!(
                is_empty || matches!(refused, Err(TopicRejection::Reserved(_))),
                "{text}"
            );
        }
        assert!(matches!(take("a\u{1}"), Err(TopicRejection::Refused(_))));
        assert!(matches!(take("a/#/b"), Err(TopicRejection::Wrong(_))));
        assert!(matches!(
            take("$aws/events/#/b"),
            Err(TopicRejection::Wrong(_))
        ));
        assert!(matches!(
            take("1/2/3/4/5/6/7/8/+"),
            Err(TopicRejection::Beyond(_))
        ));
        let (limits, rules) = general();
        let take = |text: &str| filter(text, &limits, &rules);
        assert_eq!(take("$SYS/#"), Ok(()));
        assert_eq!(take("$share/g/$SYS/#"), Ok(()));
        assert_eq!(take(&"+/".repeat(100)), Ok(()));
        assert!(matches!(take("$x/a#"), Err(TopicRejection::Wrong(_))));
        assert!(matches!(take("$share/g"), Err(TopicRejection::Wrong(_))));
    }
}
