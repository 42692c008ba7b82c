//! One description of the configuration file: it drives the check of keys and types, the suggestions, the overrides and the
//! JSON Schema, so that none of them can say something else than the others.

/// What may stand at a place of the file.
#[derive(Debug)]
pub(super) enum Shape {
    /// Text; the example is shown where something else was found.
    Text { example: &'static str },
    /// A whole number within bounds, both included.
    Integer { least: u64, most: u64 },
    /// `true` or `false`.
    Bool,
    /// A time such as `30s`, `5m`, `1h`.
    Duration,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A mapping with keys of the user's own.
    Map(&'static Shape),
    /// A mapping with known keys.
    Section(&'static [Key]),
    /// An event pattern: a mapping, or JSON in a string.
    Pattern,
    /// The format of a channel's ids: `uuid`, or a mapping with a regular expression.
    IdFormat,
    /// What its reader checks by itself; in words, what may stand there.
    Read { accepts: &'static str },
}

/// A known key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

pub(super) const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        about,
        shape,
        required: false,
    }
}

pub(super) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        required: true,
        ..optional(name, shape, about)
    }
}

/// The file as a whole.
pub(super) const FILE: &[Key] = &[
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
         the default), or raw (whatever a rule's input transformer makes).",
    ),
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
        Shape::Section(BRIDGE),
        "The daemon: where events come from, where messages go, and how hard it works.",
    ),
];

const BRIDGE: &[Key] = &[
    optional(
        "queue",
        Shape::Text {
            example: "https://sqs.eu-central-1.amazonaws.com/123456789012/events",
        },
        "URL of the SQS queue that a rule of the bus sends events to.",
    ),
    optional(
        "dead_letter_queue",
        Shape::Text {
            example: "https://sqs.eu-central-1.amazonaws.com/123456789012/events-dlq",
        },
        "URL of the queue for what can never be published. Without it, such events are left to the queue's own redrive.",
    ),
    optional(
        "publish",
        Shape::Choice(PUBLISH),
        "How messages are published: mqtt (the default), over MQTT 5 connections; https, by a call of IoT Core's data plane for each: no \
         limit for a connection, and dearer in CPU and latency.",
    ),
    optional(
        "broker",
        Shape::Text {
            example: "wss://abc-ats.iot.eu-central-1.amazonaws.com/mqtt",
        },
        "The MQTT broker: mqtt://HOST, mqtts://HOST (TLS), ws://HOST or wss://HOST (WebSocket, path /mqtt), each with :PORT unless it \
         is 1883, 8883, 80 or 443. Without it IoT Core is asked for the account's endpoint, and wss:// is used.",
    ),
    optional(
        "endpoint",
        Shape::Text {
            example: "https://abc-ats.iot.eu-central-1.amazonaws.com",
        },
        "IoT Core's data plane, for publish: https. Without it AWS_ENDPOINT_URL is used, or IoT Core is asked for the account's endpoint.",
    ),
    optional(
        "calls",
        Shape::Integer {
            least: 1,
            most: 10_000,
        },
        "The most calls under way at a time, for publish: https. Default 64.",
    ),
    optional(
        "credentials",
        Shape::Choice(CREDENTIALS),
        "Who the daemon is to the broker: aws (the task's role signs the WebSocket's address; the default for IoT Core by wss://), \
         authorizer (a token for a custom authorizer; the default with `authorizer`), none (nobody, or whom the certificate of `tls` names).",
    ),
    optional(
        "tls",
        Shape::Section(TLS),
        "Files for TLS. Without them the system's certificate authorities are trusted.",
    ),
    optional(
        "authorizer",
        Shape::Section(AUTHORIZER),
        "A token for an IoT custom authorizer.",
    ),
    optional(
        "client_id",
        Shape::Text {
            example: "eventcast",
        },
        "What the daemon's MQTT client ids begin with; a random word and a number follow. Default eventcast.",
    ),
    optional(
        "connections",
        Shape::Section(CONNECTIONS),
        "MQTT connections: more are opened while messages wait, up to a bound. A topic keeps to one of them.",
    ),
    optional(
        "pace",
        Shape::Section(PACE),
        "What may be sent in a second. IoT Core discards without a word what exceeds 100 publishes on a connection; a broker \
         without limits can have them lifted.",
    ),
    optional(
        "in_flight",
        Shape::Integer {
            least: 10,
            most: 100_000,
        },
        "The most events between receiving and settling. Default 1000.",
    ),
    optional(
        "pollers",
        Shape::Section(POLLERS),
        "Long polls at a time: they grow with load and shrink when idle.",
    ),
    optional(
        "wait",
        Shape::Duration,
        "How long a long poll waits for an event: 0s to 20s, which is the default.",
    ),
    optional(
        "hold",
        Shape::Duration,
        "How long an event may be worked on, its lease extended meanwhile, before it is handed back. Default 10m.",
    ),
    optional(
        "publish_timeout",
        Shape::Duration,
        "How long the broker may take to acknowledge a message before its connection counts as lost. Default 30s.",
    ),
    optional(
        "drain",
        Shape::Duration,
        "How long the daemon may take to finish after SIGTERM. Default 25s: ECS kills after 30s.",
    ),
    optional(
        "listen",
        Shape::Text {
            example: "0.0.0.0:9464",
        },
        "Where /livez, /readyz and /metrics are served over HTTP. Without it they are not.",
    ),
    optional(
        "embedded_metrics",
        Shape::Text { example: "shop" },
        "A namespace: metrics are written to standard output once a minute in CloudWatch's embedded metric format.",
    ),
];

const TLS: &[Key] = &[
    optional(
        "ca",
        Shape::Text { example: "ca.pem" },
        "PEM file with the certificate authorities to trust instead of the system's.",
    ),
    optional(
        "certificate",
        Shape::Text {
            example: "bridge.pem",
        },
        "PEM file with the daemon's certificate and its chain, for mutual TLS.",
    ),
    optional(
        "key",
        Shape::Text {
            example: "bridge.key",
        },
        "PEM file with the certificate's private key.",
    ),
    optional(
        "alpn",
        Shape::Text {
            example: "x-amzn-mqtt-ca",
        },
        "The application protocol to ask for. Default on port 443 of IoT Core: x-amzn-mqtt-ca with a certificate, mqtt with a \
         custom authorizer.",
    ),
];

const AUTHORIZER: &[Key] = &[
    optional(
        "name",
        Shape::Text {
            example: "platform",
        },
        "The authorizer's name. Without it the account's default authorizer decides.",
    ),
    optional(
        "token_key",
        Shape::Text { example: "token" },
        "The name under which the authorizer looks for the token. Default token.",
    ),
    required(
        "token",
        Shape::Text {
            example: "eyJhbGciOi…",
        },
        "The token. Keep it out of the file: set EVENTCAST_BRIDGE_AUTHORIZER_TOKEN.",
    ),
    optional(
        "signature",
        Shape::Text {
            example: "c2lnbmVk",
        },
        "The token's signature in Base64, for an authorizer that checks signatures.",
    ),
];

const CONNECTIONS: &[Key] = &[
    optional(
        "min",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "The fewest connections. Default 2.",
    ),
    optional(
        "max",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "The most connections. Default 32, which makes 3,200 publishes a second on IoT Core.",
    ),
];

const PACE: &[Key] = &[
    optional(
        "publishes",
        Shape::Integer {
            least: 0,
            most: 1_000_000,
        },
        "Publishes a second on one connection; 0 for no limit. Default 100, IoT Core's.",
    ),
    optional(
        "bytes",
        Shape::Integer {
            least: 0,
            most: 1_000_000_000,
        },
        "Bytes a second on one connection; 0 for no limit. Default 524288, IoT Core's.",
    ),
    optional(
        "unacknowledged",
        Shape::Integer {
            least: 1,
            most: 65_535,
        },
        "Unacknowledged messages on one connection. Default 100, IoT Core's.",
    ),
    optional(
        "account",
        Shape::Integer {
            least: 0,
            most: 1_000_000,
        },
        "Publishes a second of all running tasks together; 0, the default, for no limit. IoT Core's quota for an account is \
         20,000, in small Regions 2,000.",
    ),
    optional(
        "tasks",
        Shape::Integer {
            least: 1,
            most: 10_000,
        },
        "How many tasks share `account`. Default 1.",
    ),
];

const POLLERS: &[Key] = &[
    optional(
        "min",
        Shape::Integer {
            least: 1,
            most: 256,
        },
        "The least long polls. Default 1.",
    ),
    optional(
        "max",
        Shape::Integer {
            least: 1,
            most: 256,
        },
        "The most long polls. Default 16.",
    ),
];

const CHANNEL: &[Key] = &[required(
    "id",
    Shape::IdFormat,
    "The format of the channel's ids: uuid, or { pattern: REGEX } which must match the whole id.",
)];

const ROLE: &[Key] = &[
    required(
        "bind",
        Shape::Text {
            example: "user:{claims.sub}",
        },
        "The channel whose id is the principal: client ids are this id, alone or followed by `-` and anything.",
    ),
    optional(
        "subscribe",
        Shape::List(&Shape::Text {
            example: "order:{claims.orders[*]}",
        }),
        "What may be subscribed to and received: channels (order:{claims.orders[*]}, an array grants each), all channels of a kind \
         (order:*), or topic filters (tenant/+/alerts). Wildcards are granted only where they are written.",
    ),
    optional(
        "publish",
        Shape::List(&Shape::Text {
            example: "position:{claims.sub}",
        }),
        "What may be published to: channels or topics, as in `subscribe`, without MQTT wildcards.",
    ),
    optional(
        "retain",
        Shape::Bool,
        "Whether what is published may be retained. Default false.",
    ),
];

const ROUTE: &[Key] = &[
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
        "Where matching events go: channels (order:{detail.orderId}) or topics (status/{detail.region}). An array fans out.",
    ),
    optional(
        "payload",
        Shape::Choice(PAYLOADS),
        "What clients receive: the whole event (the default), its detail, or a CloudEvent in structured mode.",
    ),
    optional(
        "oversize",
        Shape::Choice(OVERSIZE),
        "What becomes of an event whose payload is over IoT Core's 128 KB: dead_letter (the default), project (detail is cut to the \
         fields listed in `project`), pointer (detail says the event's id and size, for the client to fetch). The user property \
         eb-oversize marks both.",
    ),
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
    ),
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
    ),
    optional(
        "retain",
        Shape::Bool,
        "Whether the broker keeps the message as the topic's last value. Default false.",
    ),
    optional(
        "replay",
        Shape::Bool,
        "Whether deliveries that a version-2 bus replays from its archive are pushed too. Default false.",
    ),
    optional(
        "on_invalid_topic",
        Shape::Choice(ON_INVALID_TOPIC),
        "What becomes of an event from which no right topic can be made: dead_letter (the default; other routes publish first), \
         skip (leave this route out), fail (publish nothing of the event).",
    ),
];

pub(super) const ENVELOPES: &[&str] = &["eventbridge", "raw"];
pub(super) const PUBLISH: &[&str] = &["mqtt", "https"];
pub(super) const CREDENTIALS: &[&str] = &["none", "aws", "authorizer"];
pub(super) const OVERSIZE: &[&str] = &["dead_letter", "project", "pointer"];
pub(super) const PAYLOADS: &[&str] = &["event", "detail", "cloudevents"];
pub(super) const ON_INVALID_TOPIC: &[&str] = &["dead_letter", "skip", "fail"];
