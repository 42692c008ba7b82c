//! The description of manifests, as the one of the configuration: it drives the check of keys and
//! types.

use crate::config::shape::{KnownKey, Shape, optional, required};

pub(super) const FILE: &[KnownKey] = &[
    optional(
        "version",
        Shape::Integer { least: 1, most: 1 },
        "The version of this format.",
    ),
    required(
        "feature",
        Shape::Text {
            example: "order-tracking",
        },
        "The feature's name.",
    ),
    optional(
        "owner",
        Shape::Text {
            example: "team-orders",
        },
        "The team or person to ask.",
    ),
    required(
        "platform",
        Shape::Section(PLATFORM),
        "The platform's configuration, which the contract is proved with.",
    ),
    required(
        "channels",
        Shape::List(&Shape::Section(CHANNEL)),
        "What clients listen to.",
    ),
    optional(
        "events",
        Shape::List(&Shape::Section(EVENT)),
        "What the feature puts on the bus.",
    ),
    optional(
        "claims",
        Shape::Map(&Shape::Read { accepts: CLAIMS }),
        ROLE_CLAIMS,
    ),
];

/// The part of an AsyncAPI document's root.
pub(super) const ROOT_EXTENSION: &[KnownKey] = &[
    optional(
        "feature",
        Shape::Text {
            example: "order-tracking",
        },
        "The feature's name, in place of `info.title`.",
    ),
    optional(
        "owner",
        Shape::Text {
            example: "team-orders",
        },
        "The team or person to ask.",
    ),
    required(
        "platform",
        Shape::Section(PLATFORM),
        "The platform's configuration, which the contract is proved with.",
    ),
    optional(
        "claims",
        Shape::Map(&Shape::Read { accepts: CLAIMS }),
        ROLE_CLAIMS,
    ),
];

const ROLE_CLAIMS: &str =
    "Example claims by role, for roles whose claims cannot be made up from the configuration.";

const PLATFORM: &[KnownKey] = &[
    required(
        "config",
        Shape::Text {
            example: "platform/eventcast.yaml",
        },
        "The path of the platform's eventcast.yaml from the root of the repository.",
    ),
    optional(
        "sha256",
        Shape::Text {
            example: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
        "The SHA-256 of that file: the guard refuses another one.",
    ),
    optional(
        "quotas",
        Shape::Section(QUOTAS),
        "Quotas of the AWS account that were raised.",
    ),
];

const A_RATE: Shape = Shape::Integer {
    least: 1,
    most: 100_000_000,
};

const QUOTAS: &[KnownKey] = &[
    optional(
        "inbound_per_second",
        A_RATE,
        "Publishes a second from all clients of the account (20000 unless it was raised).",
    ),
    optional(
        "outbound_per_second",
        A_RATE,
        "Publishes a second to all subscribers of the account (20000 unless it was raised).",
    ),
    optional(
        "subscriptions_per_connection",
        A_RATE,
        "Filters of one connection (50 unless it was raised).",
    ),
];

const A_CHANNEL: Shape = Shape::Text {
    example: "order:{orderId}",
};

pub(super) const CHANNEL: &[KnownKey] = &[
    required(
        "channel",
        A_CHANNEL,
        "The channel, with parameters: order:{orderId}, or a topic such as tenant/{tenantId}/alerts.",
    ),
    optional(
        "about",
        Shape::Text {
            example: "where an order is",
        },
        "Its purpose.",
    ),
    required(
        "audience",
        Shape::Read { accepts: AUDIENCE },
        "The roles of the platform that may hear it, and no others.",
    ),
    DELIVERY_KEY,
    SCALE_KEY,
    SNAPSHOT_KEY,
    FALLBACK_KEY,
];

/// The part of a channel of an AsyncAPI document.
pub(super) const CHANNEL_EXTENSION: &[KnownKey] = &[
    optional(
        "channel",
        A_CHANNEL,
        "The channel, in place of the document's `address`.",
    ),
    required(
        "audience",
        Shape::Read { accepts: AUDIENCE },
        "The roles of the platform that may hear it, and no others.",
    ),
    DELIVERY_KEY,
    SCALE_KEY,
    SNAPSHOT_KEY,
    FALLBACK_KEY,
];

const DELIVERY_KEY: KnownKey = optional(
    "delivery",
    Shape::Section(DELIVERY),
    "The delivery that clients rely on.",
);

const SCALE_KEY: KnownKey = optional("scale", Shape::Section(SCALE), "How much there is of it.");

const SNAPSHOT_KEY: KnownKey = optional(
    "snapshot",
    Shape::Text {
        example: "GET /orders/{orderId}",
    },
    "The request that gives a client the state before its first message.",
);

const FALLBACK_KEY: KnownKey = optional(
    "fallback",
    Shape::Choice(&["gateway", "none"]),
    "The way of clients without WebSockets: gateway (polls and streams of the platform) or none.",
);

const DELIVERY: &[KnownKey] = &[
    optional(
        "qos",
        Shape::Integer { least: 0, most: 1 },
        "MQTT quality of service, at least.",
    ),
    optional(
        "expires",
        Shape::Duration,
        "How long a message is kept for a client that is away, at least.",
    ),
    optional(
        "conflate",
        Shape::Bool,
        "Whether intermediate messages may be left out.",
    ),
    optional(
        "retain",
        Shape::Bool,
        "Whether the last message is kept for clients that come later.",
    ),
];

const SCALE: &[KnownKey] = &[
    optional(
        "peak_per_second",
        A_RATE,
        "Messages a second at peak, over all channels of the address.",
    ),
    optional(
        "channel_peak_per_second",
        A_RATE,
        "Messages a second at peak on one channel.",
    ),
    optional("subscribers", A_RATE, "Subscribers of one channel at most."),
    optional(
        "channels_per_client",
        A_RATE,
        "Channels of the address that one client follows at most.",
    ),
];

pub(super) const EVENT: &[KnownKey] = &[
    required(
        "name",
        Shape::Text {
            example: "order-placed",
        },
        "The event's name, unique in the manifest.",
    ),
    SOURCE_KEY,
    DETAIL_TYPE_KEY,
    required(
        "to",
        Shape::List(&A_CHANNEL),
        "The channels of the manifest that its messages go to.",
    ),
    optional(
        "schema",
        Shape::Read { accepts: SCHEMA },
        "The JSON Schema of its `detail`.",
    ),
    required("examples", Shape::List(&AN_EXAMPLE), EXAMPLES_ABOUT),
    COUNTER_EXAMPLES_KEY,
];

/// The part of a message of an AsyncAPI document.
pub(super) const MESSAGE_EXTENSION: &[KnownKey] = &[
    SOURCE_KEY,
    DETAIL_TYPE_KEY,
    optional("examples", Shape::List(&AN_EXAMPLE), EXAMPLES_ABOUT),
    COUNTER_EXAMPLES_KEY,
];

const EXAMPLES_ABOUT: &str = "Events that must reach the channels.";
const AN_EXAMPLE: Shape = Shape::Read { accepts: EXAMPLE };
const COUNTER_EXAMPLES_KEY: KnownKey = optional(
    "counter_examples",
    Shape::List(&AN_EXAMPLE),
    "Events that must not reach the channels.",
);
const SOURCE_KEY: KnownKey = required(
    "source",
    Shape::Text {
        example: "shop.orders",
    },
    "The event's source, as PutEvents has it.",
);
const DETAIL_TYPE_KEY: KnownKey = required(
    "detail-type",
    Shape::Text {
        example: "OrderPlaced",
    },
    "The event's detail type, as PutEvents has it.",
);

// The accepted forms, in words.
pub(super) const AUDIENCE: &str = "a list of roles, such as [customer], or a mapping of roles to own, all, or a list of \
     parameters, such as { customer: own, support: all }";
pub(super) const CLAIMS: &str = "a mapping of claims, such as { sub: u-1, orders: [o-1] }";
pub(super) const SCHEMA: &str =
    "a JSON Schema: a mapping such as { type: object, properties: { orderId: { type: string } } }";
pub(super) const EXAMPLE: &str = "a mapping with `detail`, such as { detail: { orderId: 1 } }, or with `body` as the queue has it";
