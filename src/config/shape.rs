//! One description of the configuration file: it drives the check of keys and types, the suggestions, the overrides and the
//! JSON Schema, so that none of them can say something else than the others.

mod bridge;

use DefaultValue::{Bool, Number, Text};

/// Form of the value at a place of the file.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text; the example is shown where something else was found.
    Text { example: &'static str },
    /// Text, or a list of texts with at least one entry.
    Texts { example: &'static str },
    /// A whole number within bounds, both included.
    Integer { least: u64, most: u64 },
    /// `true` or `false`.
    Bool,
    /// A time such as `30s`, `5m`, `1h`.
    Duration,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list with at least one entry.
    List(&'static Shape),
    /// A list that may be empty.
    PossiblyEmptyList(&'static Shape),
    /// A mapping with keys of the user's own.
    Map(&'static Shape),
    /// A mapping with known keys.
    Section(&'static [KnownKey]),
    /// An event pattern: a mapping, or JSON in a string.
    Pattern,
    /// The format of a channel's ids: `uuid`, or a mapping with a regular expression.
    IdFormat,
    /// A value that its reader checks by itself; `accepts` describes it in words.
    Read { accepts: &'static str },
}

/// A known key.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// The value in effect where the file has none.
    pub(crate) default: Option<DefaultValue>,
}

/// A default, as the file would have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    /// Text, a word or a time.
    Text(&'static str),
    /// A whole number.
    Number(u64),
    /// `true` or `false`.
    Bool(bool),
}

impl KnownKey {
    /// The same key with a default.
    pub(crate) const fn default(self, value: DefaultValue) -> Self {
        Self {
            default: Some(value),
            ..self
        }
    }
}

pub(crate) const fn optional(name: &'static str, shape: Shape, about: &'static str) -> KnownKey {
    KnownKey {
        name,
        about,
        shape,
        required: false,
        default: None,
    }
}

pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> KnownKey {
    KnownKey {
        required: true,
        ..optional(name, shape, about)
    }
}

/// The file as a whole.
pub(super) const FILE: &[KnownKey] = &[
    optional(
        "environment",
        Shape::Text { example: "prod" },
        "First level of every topic. One IoT Core endpoint serves a whole account and Region, so environments that share an \
         account need different ones. Without it topics begin with the channel's name.",
    ),
    optional(
        "envelope",
        Shape::Choice(ENVELOPES),
        "What bodies look like: eventbridge (classic events and version-2 deliveries with metadata, told apart by each body; \
         the default), sns (the same inside SNS notifications), or raw (any JSON object that a rule's input transformer makes).",
    ).default(Text("eventbridge")),
    optional(
        "channels",
        Shape::Map(&Shape::Section(CHANNEL)),
        "The kinds of channels, by name. A channel order:ID stands for the topic order/ID.",
    ),
    required(
        "routes",
        Shape::List(&Shape::Section(ROUTE)),
        "Which events go where. Every route is asked; one event may match many.",
    ),
    optional(
        "roles",
        Shape::Map(&Shape::Section(ROLE)),
        "What kinds of clients may subscribe and publish to, by name. Policies are generated from them.",
    ),
    optional(
        "authorizer",
        Shape::Section(super::authorizer::KEYS),
        "Whose tokens are believed, and what they say: for a custom authorizer of IoT Core, and for the broker of eventcast dev.",
    ),
    optional(
        "bridge",
        Shape::Section(bridge::KEYS),
        "The daemon: where events come from, where messages go, and how hard it works.",
    ),
    optional(
        "gateway",
        Shape::Section(super::gateway::KEYS),
        "Polls and streams over HTTP, for clients without WebSockets (eventcast gateway).",
    ),
];

const CHANNEL: &[KnownKey] = &[required(
    "id",
    Shape::IdFormat,
    "The format of the channel's ids: uuid, or { pattern: REGEX } which must match the whole id.",
)];

const ROLE: &[KnownKey] = &[
    required(
        "bind",
        Shape::Text {
            example: "user:{claims.sub}",
        },
        "The channel whose id is the principal: client ids are this id, alone or followed by `-` and anything (see client_ids).",
    ),
    optional(
        "client_ids",
        Shape::Choice(&["prefix", "exact"]),
        "The client ids of a principal: prefix (its id, alone or followed by `-` and anything) or exact (its id alone). Default \
         prefix where ids are UUIDs or never have a hyphen, otherwise exact.",
    ),
    optional(
        "subscribe",
        Shape::PossiblyEmptyList(&Shape::Text {
            example: "order:{claims.orders[*]}",
        }),
        "What may be subscribed to and received: channels (order:{claims.orders[*]}, an array grants each), all channels of a kind \
         (order:*), or topic filters (tenant/+/alerts). Wildcards are granted only where they are written.",
    ),
    optional(
        "publish",
        Shape::PossiblyEmptyList(&Shape::Text {
            example: "position:{claims.sub}",
        }),
        "What may be published to: channels or topics, as in `subscribe`, without MQTT wildcards.",
    ),
    optional(
        "retain",
        Shape::Bool,
        "Whether what is published may be retained. Default false.",
    )
    .default(Bool(false)),
];

const ROUTE: &[KnownKey] = &[
    required(
        "name",
        Shape::Text {
            example: "order-updates",
        },
        "The route's name, unique among routes.",
    ),
    required(
        "match",
        Shape::Pattern,
        "An EventBridge event pattern, as in a rule.",
    ),
    required(
        "to",
        Shape::List(&Shape::Text {
            example: "order:{detail.orderId}",
        }),
        "Where matching events go: channels (order:{detail.orderId}) or topics (status/{detail.region}). A placeholder takes one value; `[*]` makes a message for each \
         element of an array.",
    ),
    optional(
        "payload",
        Shape::Choice(PAYLOADS),
        "What clients receive: the whole event (the default), its detail, or a CloudEvent in structured mode.",
    ).default(Text("event")),
    optional(
        "oversize",
        Shape::Choice(OVERSIZE),
        "What becomes of an event whose payload is over IoT Core's 128 KB: dead_letter (the default), project (detail is cut to the \
         fields listed in `project`), pointer (detail says the event's id and size, for the client to fetch). The user property \
         eb-oversize marks both.",
    ).default(Text("dead_letter")),
    optional(
        "project",
        Shape::List(&Shape::Text {
            example: "detail.orderId",
        }),
        "The fields of detail that an oversize event keeps.",
    ),
    optional(
        "qos",
        Shape::Integer { least: 0, most: 1 },
        "MQTT quality of service asked of the broker: 1 (the default) is acknowledged, 0 is not.",
    ).default(Number(1)),
    optional(
        "expires",
        Shape::Duration,
        "How long after its event a message is worth delivering, 1s to 7d: what is older is not published, and what is gets the \
         rest of its time as MQTT 5 message expiry.",
    ),
    optional(
        "conflate",
        Shape::Bool,
        "Whether only the newest message of a topic is published while several wait for it. Right for states, wrong for \
         steps. Default false.",
    ).default(Bool(false)),
    optional(
        "order",
        Shape::Choice(ORDERS),
        "The order kept among the messages of one topic: strict (one is unacknowledged at a time, so that nothing overtakes what \
         failed; the default with a FIFO queue), pipelined (many are, on one connection and in order; after a failure what \
         follows may be out already; the default with a standard queue), none (a topic takes any connection, and more than \
         one connection's 100 messages a second).",
    ),
    optional(
        "retain",
        Shape::Bool,
        "Whether the broker keeps the message as the topic's last value. Default false.",
    ).default(Bool(false)),
    optional(
        "replay",
        Shape::Bool,
        "Whether events that a bus replays from an archive are pushed too: those with `replay-name`, and a version-2 bus's \
         deliveries of the type REPLAY. Default false.",
    ).default(Bool(false)),
    optional(
        "on_invalid_topic",
        Shape::Choice(ON_INVALID_TOPIC),
        "What becomes of an event of which a target of this route can make no right topic: dead_letter (the default: nothing of \
         the event is published, and it goes to the dead-letter queue; fail is another name for it), skip (leave this route out).",
    ).default(Text("dead_letter")),
];

const ENVELOPES: &[&str] = &["eventbridge", "raw", "sns"];
const ORDERS: &[&str] = &["strict", "pipelined", "none"];
const OVERSIZE: &[&str] = &["dead_letter", "project", "pointer"];
const PAYLOADS: &[&str] = &["event", "detail", "cloudevents"];
const ON_INVALID_TOPIC: &[&str] = &["dead_letter", "skip", "fail"];
