//! Limits and rules by name, so that each can be set or switched off from outside.

use std::time::Duration;

use super::limits::{BrokerLimits, BrokerRules, KeepAlive};

/// Named override of a limit or rule.
pub struct LimitOverride {
    /// Name of the limit or rule.
    pub name: &'static str,
    /// Meaning of the limit, with its unit.
    pub about: &'static str,
    set: OverrideSetter,
}

/// Setter of a limit or rule; returns `false` for a value out of range.
#[derive(Clone, Copy)]
enum OverrideSetter {
    /// A number, or `off`.
    Limit(fn(&mut BrokerLimits, Option<u64>) -> bool),
    /// `on` or `off`.
    Rule(fn(&mut BrokerRules) -> &mut bool),
}

fn size(to: &mut Option<usize>, value: Option<u64>) -> bool {
    let read = value.map(usize::try_from).transpose();
    read.map(|value| *to = value).is_ok()
}

fn rate(to: &mut Option<u32>, value: Option<u64>) -> bool {
    let read = value.map(u32::try_from).transpose();
    read.map(|value| *to = value).is_ok()
}

/// Sets a number; `off` is the largest number of the type.
fn number<T: TryFrom<u64>>(to: &mut T, value: Option<u64>, off: T) -> bool {
    match value.map(T::try_from) {
        None => *to = off,
        Some(Ok(value)) => *to = value,
        Some(Err(_)) => return false,
    }
    true
}

const fn limit(
    name: &'static str,
    about: &'static str,
    set: fn(&mut BrokerLimits, Option<u64>) -> bool,
) -> LimitOverride {
    let set = OverrideSetter::Limit(set);
    LimitOverride { name, about, set }
}

const fn rule(
    name: &'static str,
    about: &'static str,
    rule: fn(&mut BrokerRules) -> &mut bool,
) -> LimitOverride {
    let set = OverrideSetter::Rule(rule);
    LimitOverride { name, about, set }
}

/// All limits and rules.
pub const SWITCHES: &[LimitOverride] = &[
    limit("topic-bytes", "bytes of a topic or filter", |l, v| {
        size(&mut l.topic_bytes, v)
    }),
    limit(
        "topic-slashes",
        "slashes in a topic or filter; never off",
        |l, v| v.is_some_and(|v| v <= 200) && size(&mut l.topic_slashes, v),
    ),
    limit("payload-bytes", "bytes of a payload", |l, v| {
        size(&mut l.payload_bytes, v)
    }),
    limit("packet-bytes", "bytes of a packet; never off", |l, v| {
        v.is_some_and(|v| v >= 128) && number(&mut l.packet_bytes, v, u32::MAX)
    }),
    limit(
        "least-packet-bytes",
        "the smallest maximum packet size of a client",
        |l, v| rate(&mut l.least_packet_bytes, v),
    ),
    limit("client-id-bytes", "bytes of a client id", |l, v| {
        size(&mut l.client_id_bytes, v)
    }),
    limit(
        "user-properties-bytes",
        "bytes of all user properties of a message",
        |l, v| size(&mut l.user_properties_bytes, v),
    ),
    limit(
        "correlation-data-bytes",
        "bytes of a message's correlation data",
        |l, v| size(&mut l.correlation_data_bytes, v),
    ),
    limit(
        "content-type-bytes",
        "bytes of a message's content type",
        |l, v| size(&mut l.content_type_bytes, v),
    ),
    limit(
        "topic-aliases",
        "topic aliases of a connection, each way",
        |l, v| number(&mut l.topic_aliases, v, u16::MAX),
    ),
    limit(
        "filters-per-subscribe",
        "filters in one SUBSCRIBE",
        |l, v| size(&mut l.filters_per_subscribe, v),
    ),
    limit(
        "subscriptions-per-connection",
        "subscriptions of a connection",
        |l, v| size(&mut l.subscriptions_per_connection, v),
    ),
    limit(
        "unacknowledged-in",
        "QoS 1 messages of a client without an acknowledgement",
        |l, v| v != Some(0) && number(&mut l.unacknowledged_in, v, u16::MAX),
    ),
    limit(
        "unacknowledged-out",
        "QoS 1 messages that a client leaves unacknowledged",
        |l, v| v != Some(0) && number(&mut l.unacknowledged_out, v, u16::MAX),
    ),
    limit(
        "queued-per-session",
        "messages that wait for a client; never off",
        |l, v| v.is_some() && number(&mut l.queued_per_session, v, usize::MAX),
    ),
    limit(
        "queued-per-group",
        "messages that wait for a shared subscription without a member; never off",
        |l, v| v.is_some() && number(&mut l.queued_per_group, v, usize::MAX),
    ),
    limit(
        "queued-bytes-per-session",
        "bytes of messages that wait for a client or are unacknowledged; never off",
        |l, v| v.is_some() && number(&mut l.queued_bytes_per_session, v, usize::MAX),
    ),
    limit(
        "queued-bytes",
        "bytes of messages in all queues together; never off",
        |l, v| v.is_some() && number(&mut l.queued_bytes, v, usize::MAX),
    ),
    limit(
        "retained-bytes",
        "bytes of all retained messages; never off",
        |l, v| v.is_some() && number(&mut l.retained_bytes, v, usize::MAX),
    ),
    limit(
        "publishes-per-second",
        "messages a second on a connection, both ways together",
        |l, v| rate(&mut l.publishes_per_second, v),
    ),
    limit(
        "bytes-per-second",
        "bytes a second on a connection, both ways together",
        |l, v| v != Some(0) && rate(&mut l.bytes_per_second, v),
    ),
    limit(
        "connects-per-second",
        "CONNECTs a second of a client id",
        |l, v| rate(&mut l.connects_per_second_per_client_id, v),
    ),
    limit(
        "retained-per-second",
        "retained messages a second on a topic",
        |l, v| rate(&mut l.retained_per_second_per_topic, v),
    ),
    limit(
        "stored-per-second",
        "stored messages a second for a client that came back",
        |l, v| v != Some(0) && rate(&mut l.stored_per_second, v),
    ),
    limit(
        "stored-per-second-shared",
        "stored messages a second for each member of a shared subscription",
        |l, v| v != Some(0) && rate(&mut l.stored_per_second_shared, v),
    ),
    limit(
        "redelivery-seconds",
        "how long an unacknowledged message is held",
        |l, v| {
            let time = v.map(Duration::from_secs);
            l.redelivery = time.map(|time| (time, time));
            true
        },
    ),
    limit(
        "resend-seconds",
        "after how long an unacknowledged message is sent again on its connection",
        |l, v| {
            l.resend = v.map(Duration::from_secs);
            v != Some(0)
        },
    ),
    limit(
        "session-expiry-seconds",
        "how long a session is kept without its client",
        |l, v| number(&mut l.session_expiry_seconds, v, u32::MAX),
    ),
    limit(
        "message-expiry-seconds",
        "the longest message expiry",
        |l, v| {
            match v.map(u32::try_from) {
                None => l.message_expiry_seconds = None,
                Some(Ok(most)) if most > 0 => l.message_expiry_seconds = Some(1..=most),
                Some(_) => return false,
            }
            true
        },
    ),
    limit(
        "least-keep-alive-seconds",
        "the shortest keep-alive",
        |l, v| {
            let most = match (&l.keep_alive, v) {
                (KeepAlive::Within(range), _) => *range.end(),
                (KeepAlive::Announced(_), None) => return true,
                (KeepAlive::Announced(most), Some(_)) => *most,
            };
            match v.map_or(Ok(1), u16::try_from) {
                Ok(least) if least > 0 => {
                    l.keep_alive = KeepAlive::Within(least..=most.max(least));
                    true
                }
                _ => false,
            }
        },
    ),
    limit("keep-alive-seconds", "the longest keep-alive", |l, v| {
        let least = match &l.keep_alive {
            KeepAlive::Within(range) => *range.start(),
            KeepAlive::Announced(_) => 1,
        };
        let most = v.unwrap_or(u64::from(u16::MAX));
        match u16::try_from(most) {
            Ok(most) if most > 0 => {
                l.keep_alive = KeepAlive::Within(least.min(most)..=most);
                true
            }
            _ => false,
        }
    }),
    limit("websocket-seconds", "how long a WebSocket lasts", |l, v| {
        l.websocket_life = v.map(Duration::from_secs);
        true
    }),
    limit(
        "account-publishes-in",
        "messages a second from all clients",
        |l, v| rate(&mut l.account_publishes_in, v),
    ),
    limit(
        "account-publishes-out",
        "messages a second to all clients",
        |l, v| v != Some(0) && rate(&mut l.account_publishes_out, v),
    ),
    limit(
        "account-connects",
        "CONNECTs a second of all clients",
        |l, v| rate(&mut l.account_connects, v),
    ),
    limit(
        "account-subscribes",
        "subscriptions a second of all clients",
        |l, v| rate(&mut l.account_subscribes, v),
    ),
    limit(
        "account-queued",
        "messages a second that are kept for clients that are away",
        |l, v| rate(&mut l.account_queued, v),
    ),
    limit(
        "account-retained",
        "retained messages a second of all clients",
        |l, v| rate(&mut l.account_retained, v),
    ),
    limit(
        "account-retained-gets",
        "calls of GetRetainedMessage a second",
        |l, v| rate(&mut l.account_retained_gets, v),
    ),
    limit(
        "account-retained-lists",
        "calls of ListRetainedMessages a second",
        |l, v| rate(&mut l.account_retained_lists, v),
    ),
    limit(
        "account-connection-calls",
        "calls of GetConnection, ListSubscriptions, DeleteConnection a second, each",
        |l, v| rate(&mut l.account_connection_calls, v),
    ),
    limit(
        "connection-calls-per-second",
        "the same calls a second of one client id, each",
        |l, v| rate(&mut l.connection_calls_per_second_per_client_id, v),
    ),
    rule("hash-matches-parent", "`a/#` matches `a`", |r| {
        &mut r.hash_matches_parent
    }),
    rule(
        "retained-by-wildcard",
        "filters with wildcards bring retained messages",
        |r| &mut r.retained_by_wildcard,
    ),
    rule(
        "reserved-topics",
        "`$` topics and filters are reserved",
        |r| &mut r.reserved_topics,
    ),
    rule(
        "subscription-ids",
        "subscriptions may have identifiers",
        |r| &mut r.subscription_ids,
    ),
    rule(
        "no-local",
        "No Local keeps a client's own messages away",
        |r| &mut r.no_local,
    ),
    rule(
        "listed-reasons-only",
        "only the reason codes that AWS lists are sent",
        |r| &mut r.listed_reasons_only,
    ),
    rule(
        "answer-v3-refusals",
        "MQTT 3 clients are told that they may not connect or subscribe",
        |r| &mut r.answer_v3_refusals,
    ),
    rule(
        "close-v5-refusals",
        "MQTT 5 connections close after \"not authorized\"",
        |r| &mut r.close_v5_refusals,
    ),
    rule(
        "original-ids",
        "unacknowledged messages come to a new connection with their identifier",
        |r| &mut r.original_ids,
    ),
    rule(
        "duplicate-flag",
        "messages that are sent again are marked as duplicates",
        |r| &mut r.duplicate_flag,
    ),
    rule(
        "answer-throttled",
        "MQTT 5 is told that a message was discarded",
        |r| &mut r.answer_throttled,
    ),
];

/// Reason why a limit or rule cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// The name is unknown.
    #[error("there is no limit `{0}`")]
    Unknown(String),
    /// The limit or rule does not accept the value.
    #[error("`{value}` is no value of {name}: {wanted}")]
    Value {
        /// The limit's name.
        name: &'static str,
        /// The value as it was written.
        value: String,
        /// Accepted values.
        wanted: &'static str,
    },
}

/// Sets one limit or rule by its name.
///
/// # Errors
/// [`SwitchError`] for an unknown name or an invalid value.
pub fn set(
    limits: &mut BrokerLimits,
    rules: &mut BrokerRules,
    name: &str,
    value: &str,
) -> Result<(), SwitchError> {
    let Some(switch) = SWITCHES.iter().find(|switch| switch.name == name) else {
        return Err(SwitchError::Unknown(name.to_owned()));
    };
    let wrong = |wanted| SwitchError::Value {
        name: switch.name,
        value: value.to_owned(),
        wanted,
    };
    match (switch.set, value) {
        (OverrideSetter::Limit(set), "off") => set(limits, None)
            .then_some(())
            .ok_or_else(|| wrong("a number; it is never off")),
        (OverrideSetter::Limit(set), number) => number
            .parse()
            .is_ok_and(|number| set(limits, Some(number)))
            .then_some(())
            .ok_or_else(|| wrong("a number in its range, or off")),
        (OverrideSetter::Rule(rule), "on") => {
            *rule(rules) = true;
            Ok(())
        }
        (OverrideSetter::Rule(rule), "off") => {
            *rule(rules) = false;
            Ok(())
        }
        (OverrideSetter::Rule(_), _) => Err(wrong("on or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each override changes the limits or the rules.
    #[test]
    fn each_switch_does_something() {
        for switch in SWITCHES {
            let mut states = Vec::new();
            for value in ["150", "151", "on", "off"] {
                let (mut limits, mut rules) = (BrokerLimits::iot_core(), BrokerRules::iot_core());
                if set(&mut limits, &mut rules, switch.name, value).is_ok() {
                    states.push(format!("{limits:?}{rules:?}"));
                }
            }
            states.dedup();
            assert!(states.len() > 1, "{} does nothing", switch.name);
        }
    }

    #[test]
    fn what_is_not_taken() {
        let (mut limits, mut rules) = (BrokerLimits::iot_core(), BrokerRules::iot_core());
        let mut told = |name, value| {
            let error = set(&mut limits, &mut rules, name, value).unwrap_err();
            error.to_string()
        };
        insta::assert_snapshot!(
            [
                told("topics", "1"),
                told("topic-bytes", "many"),
                told("packet-bytes", "off"),
                told("unacknowledged-in", "70000"),
                told("reserved-topics", "1"),
            ]
            .join("\n")
        );
    }
}
