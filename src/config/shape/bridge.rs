//! The section `bridge` of the configuration file, described.

use super::DefaultValue::{Number, Text};
use super::{KnownKey, Shape, optional, required};

/// Keys of the daemon's section.
pub(super) const KEYS: &[KnownKey] = &[
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
         limit for a connection, and dearer in CPU and latency; auto, over MQTT, and by HTTPS what finds no connection with room.",
    ).default(Text("mqtt")),
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
        "IoT Core's data plane, for publish: https and auto. Without it AWS_ENDPOINT_URL is used, or IoT Core is asked for the account's endpoint.",
    ),
    optional(
        "calls",
        Shape::Integer {
            least: 1,
            most: 10_000,
        },
        "The most calls under way at a time, for publish: https and auto. Default 64.",
    ).default(Number(64)),
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
        "What the daemon's MQTT client ids begin with; 16 random digits, new for each connection, and a number follow. Default eventcast.",
    ).default(Text("eventcast")),
    optional(
        "connections",
        Shape::Section(CONNECTIONS),
        "MQTT connections: as many as what is published needs are opened at once, up to a bound, and closed slowly. A topic with \
         something unacknowledged keeps to one of them.",
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
        "The most events between receiving and settling. Default 1000. While more than half of these places are taken, one topic \
         has a fair share of them at the most; what is beyond it goes back to the queue for a while.",
    ).default(Number(1_000)),
    optional(
        "in_flight_bytes",
        Shape::Integer {
            least: 1_048_576,
            most: 17_179_869_184,
        },
        "The bytes of their bodies from which on nothing more is received. Default 67108864.",
    ).default(Number(67_108_864)),
    optional(
        "pollers",
        Shape::Section(POLLERS),
        "Long polls at a time: they grow with load and shrink when idle.",
    ),
    optional(
        "wait",
        Shape::Duration,
        "How long a long poll waits for an event: 0s to 20s, which is the default.",
    ).default(Text("20s")),
    optional(
        "hold",
        Shape::Duration,
        "How long an event may be worked on, its lease extended meanwhile, before it is handed back. Default 10m.",
    ).default(Text("10m")),
    optional(
        "publish_timeout",
        Shape::Duration,
        "How long the broker may take to acknowledge a message before its connection counts as lost, and with publish: auto the data plane to answer a call. Default 30s.",
    ).default(Text("30s")),
    optional(
        "drain",
        Shape::Duration,
        "How long the daemon may take to finish after SIGTERM. Default 25s: ECS kills after 30s.",
    ).default(Text("25s")),
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

const TLS: &[KnownKey] = &[
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

const AUTHORIZER: &[KnownKey] = &[
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
    )
    .default(Text("token")),
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

const CONNECTIONS: &[KnownKey] = &[
    optional(
        "min",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "The fewest connections, held whether they are needed or not. Default 2.",
    )
    .default(Number(2)),
    optional(
        "max",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "The most connections of one task. Default 200, which carry 18,000 messages a second on IoT Core; its default quota for \
         all tasks of an account is 20,000.",
    )
    .default(Number(200)),
];

const PACE: &[KnownKey] = &[
    optional(
        "publishes",
        Shape::Integer {
            least: 0,
            most: 1_000_000,
        },
        "Publishes a second on one connection; 0 for no limit. Default 100, IoT Core's.",
    ).default(Number(100)),
    optional(
        "bytes",
        Shape::Integer {
            least: 0,
            most: 1_000_000_000,
        },
        "Bytes a second on one connection, 1024 or more; 0 for no limit. Default 524288, IoT Core's.",
    ).default(Number(524_288)),
    optional(
        "unacknowledged",
        Shape::Integer {
            least: 1,
            most: 65_535,
        },
        "Unacknowledged messages on one connection. Default 100, IoT Core's.",
    ).default(Number(100)),
    optional(
        "account",
        Shape::Integer {
            least: 0,
            most: 1_000_000,
        },
        "Publishes a second of all running tasks together; 0, the default, for no limit. IoT Core's quota for an account is \
         20,000, in small Regions 2,000.",
    ).default(Number(0)),
    optional(
        "tasks",
        Shape::Integer {
            least: 1,
            most: 10_000,
        },
        "How many tasks share `account`, which it needs. Default 1.",
    ).default(Number(1)),
    optional(
        "count_tasks",
        Shape::Choice(COUNT_TASKS),
        "Who says once a minute how many tasks share `account`: ecs (the running tasks of this task's family; the role needs \
         ecs:ListTasks). Until it is known, and without it, `tasks` holds.",
    ),
];

const POLLERS: &[KnownKey] = &[
    optional(
        "min",
        Shape::Integer {
            least: 1,
            most: 256,
        },
        "The least long polls. Default 1.",
    )
    .default(Number(1)),
    optional(
        "max",
        Shape::Integer {
            least: 1,
            most: 256,
        },
        "The most long polls. Default 16.",
    )
    .default(Number(16)),
];

const COUNT_TASKS: &[&str] = &["ecs"];
const PUBLISH: &[&str] = &["mqtt", "https", "auto"];
const CREDENTIALS: &[&str] = &["none", "aws", "authorizer"];
