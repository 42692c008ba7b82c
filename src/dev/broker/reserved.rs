//! Reserved topics, those that begin with `$`: rules for publishing and subscribing.
//!
//! The lists are closed. They are the column "Client operations allowed" of the developer guide,
//! "Reserved topics"
//! (<https://docs.aws.amazon.com/iot/latest/developerguide/reserved-topics.html>): AWS itself
//! publishes to the topics that have only "Subscribe" there. Any other topic below `$aws/rules/`
//! and `$aws/things/` accepts publishes, and HTTPS accepts fewer topics than MQTT; both facts are
//! second-hand, from ministack 1.5.33 (`services/iot.py`, `services/iot_data.py`). The services
//! behind these topics are absent here: a message goes to its subscribers only.

use smallvec::SmallVec;

/// Levels of a topic or filter.
type TopicLevels<'n> = SmallVec<[&'n str; 10]>;

/// Reason why a reserved name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReservedError {
    /// The topic is not in the list.
    #[error("a reserved topic that clients may not publish to")]
    Publish,
    /// A mosquitto bridge publishes its state to the topic.
    #[error(
        "a reserved topic that clients may not publish to: in mosquitto's bridge set `notifications false`"
    )]
    Bridge,
    /// The topic carries answers and notices of AWS.
    #[error("a reserved topic that only AWS itself publishes to")]
    Reply,
    /// The topic accepts MQTT only.
    #[error("a reserved topic that is published to by MQTT only, not by HTTPS")]
    MqttOnly,
    /// The filter is not in the list.
    #[error("a reserved filter that clients may not subscribe to")]
    Subscribe,
    /// The filter begins like a shared subscription, but is none.
    #[error(
        "a reserved filter: a shared subscription is `$share/<name>/<filter>`, without wildcards in its name"
    )]
    Share,
}

fn levels(name: &str) -> TopicLevels<'_> {
    name.split('/').collect()
}

/// Checks a reserved topic that a client publishes to, as a message or a will.
///
/// # Errors
/// [`ReservedError`] where clients may not publish to it.
pub(crate) fn publish(topic: &str) -> Result<(), ReservedError> {
    match levels(topic).as_slice() {
        ["$aws", "things", name, rest @ ..] if !name.is_empty() => {
            if is_reply(rest) {
                return Err(ReservedError::Reply);
            }
            Ok(())
        }
        ["$aws", "rules", rule, ..] if !rule.is_empty() => Ok(()),
        ["$aws", "certificates", "create" | "create-from-csr", _]
        | ["$aws", "provisioning-templates", _, "provision", _]
        | ["$aws", "device_location", _, "get_position_estimate"]
        | [
            "$aws",
            "commands",
            _,
            _,
            "executions",
            _,
            "response",
            "json" | "cbor",
        ] => Ok(()),
        ["$SYS", "broker", "connection", _, "state"] => Err(ReservedError::Bridge),
        _ => Err(ReservedError::Publish),
    }
}

/// Checks a reserved topic of HTTPS `Publish`.
///
/// # Errors
/// [`ReservedError`] where the call does not accept it.
pub(crate) fn publish_by_https(topic: &str) -> Result<(), ReservedError> {
    match levels(topic).as_slice() {
        ["$aws", "things", _, "jobs" | "defender", ..] | ["$aws", "commands", ..] => {
            Err(ReservedError::MqttOnly)
        }
        _ => publish(topic),
    }
}

/// Returns `true` where AWS publishes to a topic of a thing; `levels` follow the thing's name.
fn is_reply(levels: &[&str]) -> bool {
    let shadow = match levels {
        ["shadow", "name", _, rest @ ..] | ["shadow", rest @ ..] => rest,
        _ => &[],
    };
    matches!(
        shadow,
        ["get" | "update" | "delete", "accepted" | "rejected"] | ["update", "delta" | "documents"]
    ) || matches!(
        levels,
        ["jobs", "notify" | "notify-next"]
            | ["jobs", "get" | "start-next", "accepted" | "rejected"]
            | ["jobs", _, "get" | "update", "accepted" | "rejected"]
            | ["defender", "metrics", _, "accepted" | "rejected"]
            | ["streams", _, "data" | "description" | "rejected", _]
            | ["tunnels", "notify"]
    )
}

/// Checks a reserved filter, without `$share/<name>/`.
///
/// # Errors
/// [`ReservedError`] where clients may not subscribe to it.
pub(crate) fn subscribe(filter: &str) -> Result<(), ReservedError> {
    match levels(filter).as_slice() {
        ["$aws", "things" | "events", first, ..] if !first.is_empty() => Ok(()),
        [
            "$aws",
            "sitewise",
            "asset-models",
            _,
            "assets",
            _,
            "properties",
            property,
        ] if *property != "#" => Ok(()),
        [
            "$aws",
            "certificates",
            "create" | "create-from-csr",
            _,
            "accepted" | "rejected",
        ]
        | [
            "$aws",
            "provisioning-templates",
            _,
            "provision",
            _,
            "accepted" | "rejected",
        ]
        | [
            "$aws",
            "device_location",
            _,
            "get_position_estimate",
            "accepted" | "rejected",
        ]
        | ["$aws", "commands", _, _, "executions", _, "request"]
        | [
            "$aws",
            "commands",
            _,
            _,
            "executions",
            _,
            "request",
            "json" | "cbor",
        ]
        | [
            "$aws",
            "commands",
            _,
            _,
            "executions",
            _,
            "response",
            "accepted" | "rejected",
            "json" | "cbor",
        ] => Ok(()),
        _ => Err(ReservedError::Subscribe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_clients_publish_to() {
        for topic in [
            "$aws/things/hub/shadow/update",
            "$aws/things/hub/shadow/get",
            "$aws/things/hub/shadow/name/config/delete",
            "$aws/things/hub/jobs/start-next",
            "$aws/things/hub/jobs/17/update",
            "$aws/things/hub/defender/metrics/json",
            "$aws/things/hub/streams/s/get/json",
            "$aws/things/hub/anything/else",
            "$aws/rules/store",
            "$aws/rules/store/a/b",
            "$aws/certificates/create/json",
            "$aws/certificates/create-from-csr/cbor",
            "$aws/provisioning-templates/t/provision/json",
            "$aws/device_location/d/get_position_estimate",
            "$aws/commands/things/d/executions/e/response/json",
        ] {
            assert_eq!(publish(topic), Ok(()), "{topic}");
        }
        for (topic, error) in [
            ("$aws/things/hub/shadow/update/delta", ReservedError::Reply),
            ("$aws/things/hub/shadow/get/rejected", ReservedError::Reply),
            (
                "$aws/things/hub/shadow/name/config/update/documents",
                ReservedError::Reply,
            ),
            ("$aws/things/hub/jobs/notify-next", ReservedError::Reply),
            ("$aws/things/hub/jobs/17/get/accepted", ReservedError::Reply),
            (
                "$aws/things/hub/defender/metrics/json/rejected",
                ReservedError::Reply,
            ),
            ("$aws/things/hub/streams/s/data/json", ReservedError::Reply),
            ("$aws/things/hub/tunnels/notify", ReservedError::Reply),
            ("$aws/things/", ReservedError::Publish),
            ("$aws/rules/", ReservedError::Publish),
            ("$aws/events/presence/connected/hub", ReservedError::Publish),
            (
                "$aws/certificates/create/json/accepted",
                ReservedError::Publish,
            ),
            ("$AWS/things/hub/shadow/update", ReservedError::Publish),
            ("$SYS/broker/uptime", ReservedError::Publish),
            ("$SYS/broker/connection/edge/state", ReservedError::Bridge),
            ("$share/g/a", ReservedError::Publish),
            ("$queue/a", ReservedError::Publish),
            ("$", ReservedError::Publish),
        ] {
            assert_eq!(publish(topic), Err(error), "{topic}");
        }
    }

    #[test]
    fn topics_by_https() {
        for topic in [
            "$aws/rules/store/a",
            "$aws/things/hub/shadow/update",
            "$aws/certificates/create/json",
            "$aws/provisioning-templates/t/provision/json",
            "$aws/device_location/d/get_position_estimate",
        ] {
            assert_eq!(publish_by_https(topic), Ok(()), "{topic}");
        }
        for topic in [
            "$aws/things/hub/jobs/get",
            "$aws/things/hub/defender/metrics/json",
            "$aws/commands/things/d/executions/e/response/json",
        ] {
            let error = Err(ReservedError::MqttOnly);
            assert_eq!(publish_by_https(topic), error, "{topic}");
        }
        let reply = publish_by_https("$aws/things/hub/shadow/update/accepted");
        assert_eq!(reply, Err(ReservedError::Reply));
        let events = publish_by_https("$aws/events/presence/connected/hub");
        assert_eq!(events, Err(ReservedError::Publish));
    }

    #[test]
    fn filters_that_clients_subscribe_to() {
        for filter in [
            "$aws/things/hub/shadow/update/accepted",
            "$aws/things/+/shadow/#",
            "$aws/things/#",
            "$aws/events/#",
            "$aws/events/presence/+/hub",
            "$aws/sitewise/asset-models/+/assets/+/properties/+",
            "$aws/certificates/create/+/accepted",
            "$aws/provisioning-templates/t/provision/json/rejected",
            "$aws/device_location/d/get_position_estimate/accepted",
            "$aws/commands/things/d/executions/+/request",
            "$aws/commands/things/d/executions/+/request/cbor",
            "$aws/commands/things/d/executions/+/response/rejected/json",
        ] {
            assert_eq!(subscribe(filter), Ok(()), "{filter}");
        }
        for filter in [
            "$SYS/#",
            "$aws",
            "$aws/#",
            "$aws/+/hub",
            "$aws/things",
            "$aws/events/",
            "$aws/rules/store/a",
            "$aws/certificates/create/json",
            "$aws/commands/#",
            "$aws/sitewise/asset-models/m/assets/a/properties/#",
            "$Aws/events/#",
            "$queue/a",
            "$/a",
        ] {
            assert_eq!(subscribe(filter), Err(ReservedError::Subscribe), "{filter}");
        }
    }
}
