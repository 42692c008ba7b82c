//! The keys of a load description, described.

use super::super::shape::{KnownKey, Shape, optional};

pub(super) const ACCEPTED_COUNT: &str = "a number such as `250000`, `250k` or `1.5M`";
pub(super) const ACCEPTED_NUMBER: &str = "a number of zero or more, such as `2.5`";
pub(super) const ACCEPTED_RATE: &str =
    "a rate such as `12/s`, `90/m`, `5k/h`, `1M/d`, or of each client: `20/d per client`";
pub(super) const ACCEPTED_SHARE: &str = "a share such as `30 %`, or a number from 0 to 1";
pub(super) const ACCEPTED_BYTES: &str = "a size from 1 to 1 MB, such as `900` (bytes) or `4 KB`";
pub(super) const ACCEPTED_FAN_OUT: &str = "a number of clients such as `1.2`, or `all`";

/// The file as a whole.
pub(super) const FILE: &[KnownKey] = &[
    optional(
        "region",
        Shape::Text {
            example: "eu-central-1",
        },
        "Region of quotas and prices. Default: that of bridge.queue.",
    ),
    optional(
        "clients",
        Shape::Read {
            accepts: ACCEPTED_COUNT,
        },
        "Clients that come in a day.",
    ),
    optional(
        "connected",
        Shape::Duration,
        "Time of a day that a client is connected. Default 24h.",
    ),
    optional(
        "reconnects",
        Shape::Read {
            accepts: ACCEPTED_NUMBER,
        },
        "Times a day that a client connects. Default 2.",
    ),
    optional(
        "channels",
        Shape::Read {
            accepts: ACCEPTED_NUMBER,
        },
        "Topic filters that a client subscribes to. Default 3.",
    ),
    optional(
        "peak",
        Shape::Read {
            accepts: ACCEPTED_NUMBER,
        },
        "The busiest second over the mean one. Default 3.",
    ),
    optional(
        "polling",
        Shape::Read {
            accepts: ACCEPTED_SHARE,
        },
        "Part of the clients that use the gateway. Default 0.",
    ),
    optional(
        "hidden",
        Shape::Read {
            accepts: ACCEPTED_SHARE,
        },
        "Part of its connected time for which a client's page is hidden. Default 0.",
    ),
    optional(
        "session_expiry",
        Shape::Duration,
        "Time for which the broker keeps a session without its client. Default 5m.",
    ),
    optional(
        "away",
        Shape::Duration,
        "Time from the loss of a connection to the next one. Default 30s.",
    ),
    optional(
        "outage",
        Shape::Duration,
        "Time that the outage lasts of which recovery is computed. Default 10m.",
    ),
    optional(
        "recover_within",
        Shape::Duration,
        "Time within which all clients are to be live after an outage; requests of increases then ask for it.",
    ),
    optional(
        "authorizer",
        Shape::Duration,
        "Time that the custom authorizer takes for a connection, 0s where there is none. Default 50ms.",
    ),
    optional(
        "authorizer_mb",
        Shape::Read {
            accepts: ACCEPTED_NUMBER,
        },
        "Memory of the authorizer's function, in MB. Default 256.",
    ),
    optional(
        "publications",
        Shape::Read {
            accepts: ACCEPTED_RATE,
        },
        "Messages that clients publish. Default none.",
    ),
    optional(
        "unrouted",
        Shape::Read {
            accepts: ACCEPTED_RATE,
        },
        "Events that reach the queue and that no route takes. Default none.",
    ),
    optional(
        "event_bytes",
        Shape::Read {
            accepts: ACCEPTED_BYTES,
        },
        "Bytes of an event on the bus. Default 1 KB.",
    ),
    optional(
        "retained_messages",
        Shape::Read {
            accepts: ACCEPTED_COUNT,
        },
        "Messages that are retained at a time. Default none.",
    ),
    optional(
        "task_vcpus",
        Shape::Read {
            accepts: ACCEPTED_NUMBER,
        },
        "vCPUs of a task. Default 0.5.",
    ),
    optional(
        "task_gb",
        Shape::Read {
            accepts: ACCEPTED_NUMBER,
        },
        "Memory of a task in GB. Default 1.",
    ),
    optional(
        "routes",
        Shape::Map(&Shape::Section(ROUTE)),
        "Loads of the configuration's routes, by their names.",
    ),
];

/// The description of a key by its path, such as `routes.orders.events`.
pub(super) fn about_key(path: &str) -> Option<&'static str> {
    let (keys, name) = match path.strip_prefix("routes.") {
        Some(route) => (ROUTE, route.rsplit_once('.')?.1),
        None => (FILE, path),
    };
    let key = keys.iter().find(|key| key.name == name);
    key.map(|key| key.about)
}

const ROUTE: &[KnownKey] = &[
    optional(
        "events",
        Shape::Read {
            accepts: ACCEPTED_RATE,
        },
        "Events that the route takes. Default 10/d per client.",
    ),
    optional(
        "topics",
        Shape::Read {
            accepts: ACCEPTED_COUNT,
        },
        "Messages that the route makes of an event. Default: one for each target.",
    ),
    optional(
        "subscribers",
        Shape::Read {
            accepts: ACCEPTED_FAN_OUT,
        },
        "Clients that receive a message in the mean, or all. Default 1.",
    ),
    optional(
        "payload",
        Shape::Read {
            accepts: ACCEPTED_BYTES,
        },
        "Bytes of a payload. Default 1 KB.",
    ),
    optional(
        "qos",
        Shape::Integer { least: 0, most: 1 },
        "QoS of deliveries. Default: the route's.",
    ),
    optional(
        "conflated",
        Shape::Read {
            accepts: ACCEPTED_SHARE,
        },
        "Part of the messages that a newer one of their topic replaces where the route conflates. Default 0.",
    ),
];
