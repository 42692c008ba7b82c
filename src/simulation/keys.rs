//! The description of scenario files: keys, bounds and defaults.

use crate::config::shape::DefaultValue::{Bool, Number, Text};
use crate::config::shape::{KnownKey, Shape, optional, required};

const PERCENT: Shape = Shape::Integer {
    least: 0,
    most: 100,
};
const RATE: Shape = Shape::Integer {
    least: 0,
    most: 10_000_000,
};
const COUNT: Shape = Shape::Integer {
    least: 1,
    most: 1_000_000,
};

/// The file as a whole.
pub(super) const FILE: &[KnownKey] = &[
    required(
        "name",
        Shape::Text {
            example: "Outage of ten minutes",
        },
        "Title of the report.",
    ),
    optional(
        "seed",
        Shape::Integer {
            least: 0,
            most: u64::MAX,
        },
        "Seed of the random numbers.",
    )
    .default(Number(1)),
    optional(
        "until",
        Shape::Duration,
        "The end of the run, at the latest.",
    )
    .default(Text("4h")),
    required(
        "clients",
        Shape::Section(CLIENTS),
        "The clients, and the way in which each connects again.",
    ),
    optional(
        "limits",
        Shape::Section(LIMITS),
        "Quotas of the account, a second each; 0 is no limit.",
    ),
    optional(
        "authorizer",
        Shape::Section(AUTHORIZER),
        "The custom authorizer's function; without it every client is let in at once.",
    ),
    optional(
        "bridge",
        Shape::Section(BRIDGE),
        "The queue and the bridge; without it no messages are simulated.",
    ),
    optional(
        "gateway",
        Shape::Section(GATEWAY),
        "Clients that poll the gateway; without it all use WebSockets.",
    ),
    required(
        "disturbances",
        Shape::List(&Shape::Section(DISTURBANCE)),
        "What happens.",
    ),
];

const CLIENTS: &[KnownKey] = &[
    required("count", Shape::Integer { least: 1, most: super::scenario::MOST_CLIENTS as u64 }, "How many clients."),
    optional("channels", Shape::Integer { least: 1, most: 50 }, "Channels that each subscribes to.").default(Number(3)),
    optional("session_expiry", Shape::Duration, "Life of a session without its client, at most 7 days; 0s is a session that ends with its connection.").default(Text("300s")),
    optional("backoff_first", Shape::Duration, "The longest first delay; it doubles with every failure.").default(Text("500ms")),
    optional("backoff_longest", Shape::Duration, "The longest delay.").default(Text("30s")),
    optional("jitter", Shape::Choice(&["full", "equal", "none"]), "Random part of a delay: full (from 0), equal (from half of it) or none.").default(Text("full")),
    optional("connect_interval", Shape::Duration, "The shortest time between two attempts of a client.").default(Text("1100ms")),
    optional("hidden_percent", PERCENT, "Clients in hidden tabs, which wait four times as long.").default(Number(0)),
    optional("round_trip", Shape::Duration, "Round trip between client and broker.").default(Text("80ms")),
    optional("stable_after", Shape::Duration, "Life of a connection that makes up for earlier failures.").default(Text("30s")),
    optional("connect_timeout", Shape::Duration, "The time in which an attempt that nobody answers fails.").default(Text("10s")),
    optional("heartbeat", Shape::Duration, "The pause before a quiet connection is asked whether it lives.").default(Text("30s")),
    optional("answer", Shape::Duration, "The time for the answer to that.").default(Text("12s")),
    optional("qos", Shape::Integer { least: 0, most: 1 }, "Quality of service of messages.").default(Number(1)),
    optional("refused_channel", Shape::Choice(&["stays", "retried"]), "A channel that SUBACK refuses for a quota stays refused until the client connects again, as in the client module, or is retried.").default(Text("stays")),
];

const LIMITS: &[KnownKey] = &[
    optional("connect_quota", RATE, "CONNECT packets.").default(Number(3_000)),
    optional("subscribe_quota", RATE, "Filters of SUBSCRIBE packets.").default(Number(3_000)),
    optional("client_id_interval", Shape::Duration, "The least time between two CONNECTs of a client id: 1s by the quota, 10s where both reach the same host of IoT Core.").default(Text("1s")),
    optional("inbound_quota", RATE, "Publishes to the broker.").default(Number(20_000)),
    optional("outbound_quota", RATE, "Publishes to subscribers.").default(Number(20_000)),
    optional("stored_quota", RATE, "Messages that are stored for clients which are away.").default(Number(500)),
    optional("stored_rate", Shape::Integer { least: 1, most: 1_000 }, "Stored messages a second that a client gets after it came back.").default(Number(10)),
    optional("stored_per_session", Shape::Integer { least: 0, most: 65_535 }, "The most messages that a session stores. AWS does not publish it.").default(Number(1_000)),
    optional("counting", Shape::Choice(&["bucket", "window"]), "How rates are counted: by a token bucket that holds a second of the rate, or by the second as eventcast dev does.").default(Text("bucket")),
];

const AUTHORIZER: &[KnownKey] = &[
    optional("concurrency", COUNT, "The most calls at a time.").default(Number(1_000)),
    optional("scaling", COUNT, "Environments of the function that may start in ten seconds.").default(Number(1_000)),
    optional("warm", Shape::Integer { least: 0, most: 1_000_000 }, "Environments that are there at the beginning.").default(Number(10)),
    optional("duration", Shape::Duration, "The usual call: from half of it to one and a half.").default(Text("50ms")),
    optional("slow_percent", PERCENT, "Slow calls.").default(Number(1)),
    optional("slow", Shape::Duration, "A slow call: from half of it to one and a half.").default(Text("400ms")),
    optional("cold_start", Shape::Duration, "The start of an environment.").default(Text("250ms")),
    optional("timeout", Shape::Duration, "The time after which IoT Core gives a call up.").default(Text("5s")),
    optional("before_quota", Shape::Bool, "Whether the function is called before the CONNECT quota is asked. AWS does not say; eventcast dev asks the quota first.").default(Bool(false)),
];

const BRIDGE: &[KnownKey] = &[
    required(
        "events_per_second",
        Shape::Integer {
            least: 0,
            most: 1_000_000,
        },
        "Events a second.",
    ),
    optional(
        "fan_out",
        Shape::Integer {
            least: 1,
            most: super::scenario::MOST_CLIENTS as u64,
        },
        "Subscribers that each event goes to.",
    )
    .default(Number(1)),
    optional(
        "tasks",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "Tasks at the beginning, and at the least.",
    )
    .default(Number(2)),
    optional(
        "max_tasks",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "Tasks at the most.",
    )
    .default(Number(6)),
    optional(
        "events_per_task",
        COUNT,
        "Events a second that a task publishes.",
    )
    .default(Number(3_000)),
    optional(
        "backlog_per_task",
        COUNT,
        "Waiting events for each task that scaling aims at.",
    )
    .default(Number(1_000)),
    optional(
        "max_age",
        Shape::Duration,
        "Age of the oldest event above which tasks are added.",
    )
    .default(Text("30s")),
    optional(
        "task_start",
        Shape::Duration,
        "The time from the decision to a task that works.",
    )
    .default(Text("45s")),
    optional(
        "scale_interval",
        Shape::Duration,
        "The time between two decisions.",
    )
    .default(Text("60s")),
    optional(
        "scale_out_cooldown",
        Shape::Duration,
        "Pause after tasks were added.",
    )
    .default(Text("30s")),
    optional(
        "scale_in_after",
        Shape::Duration,
        "The time that the backlog stays small before tasks are taken away.",
    )
    .default(Text("15m")),
    optional("in_flight", COUNT, "Events that a task holds at the most.").default(Number(1_000)),
    optional(
        "hold",
        Shape::Duration,
        "The longest that a task holds an event which it cannot publish.",
    )
    .default(Text("10m")),
    optional(
        "visibility",
        Shape::Duration,
        "Visibility time-out of the queue.",
    )
    .default(Text("30s")),
    optional(
        "max_receives",
        Shape::Integer {
            least: 1,
            most: 100,
        },
        "Receives before an event is a dead letter.",
    )
    .default(Number(5)),
    optional(
        "settle",
        Shape::Duration,
        "The time between an event's publication and its deletion from the queue.",
    )
    .default(Text("250ms")),
];

const GATEWAY: &[KnownKey] = &[
    required("percent", PERCENT, "Clients that poll."),
    optional(
        "tasks",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "Tasks of the gateway.",
    )
    .default(Number(2)),
    optional(
        "sessions_per_second",
        RATE,
        "New sessions a second of one task; 0 is no limit.",
    )
    .default(Number(0)),
];

const DISTURBANCE: &[KnownKey] = &[
    required(
        "name",
        Shape::Text { example: "outage" },
        "Its name in reports and in --set, without dots.",
    ),
    required(
        "kind",
        Shape::Choice(&[
            "outage",
            "disconnect",
            "authorizer_outage",
            "gateway_restart",
            "tasks_lost",
            "burst",
        ]),
        "What happens: outage (clients cannot reach the broker), disconnect (connections are cut), authorizer_outage (its function does not answer), gateway_restart (its tasks restart one after the other), tasks_lost (tasks of the bridge are killed), burst (events come faster).",
    ),
    optional("at", Shape::Duration, "When it begins.").default(Text("10s")),
    optional(
        "for",
        Shape::Duration,
        "How long it lasts: outage, authorizer_outage, burst.",
    )
    .default(Text("60s")),
    optional(
        "percent",
        Shape::Integer {
            least: 1,
            most: 100,
        },
        "Clients that it hits: outage, disconnect.",
    )
    .default(Number(100)),
    optional(
        "fails",
        Shape::Choice(&["refused", "silent"]),
        "How attempts fail: refused (at once) or silent (nobody answers): outage.",
    )
    .default(Text("refused")),
    optional(
        "sessions",
        Shape::Choice(&["kept", "lost"]),
        "Fate of sessions: outage.",
    )
    .default(Text("kept")),
    optional(
        "bridge",
        Shape::Bool,
        "Whether the bridge cannot reach the broker either: outage.",
    )
    .default(Bool(false)),
    optional(
        "every",
        Shape::Duration,
        "The time between two tasks: gateway_restart.",
    )
    .default(Text("60s")),
    optional(
        "tasks",
        Shape::Integer {
            least: 1,
            most: 1_000,
        },
        "Tasks that are killed: tasks_lost.",
    )
    .default(Number(1)),
    optional(
        "factor",
        Shape::Integer {
            least: 2,
            most: 1_000,
        },
        "How many times as fast: burst.",
    )
    .default(Number(10)),
];

/// The keys that belong to one kind of disturbance, beside its name, kind and time.
pub(super) fn keys_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "outage" => &["for", "percent", "fails", "sessions", "bridge"],
        "disconnect" => &["percent"],
        "authorizer_outage" => &["for"],
        "gateway_restart" => &["every"],
        "tasks_lost" => &["tasks"],
        _ => &["for", "factor"],
    }
}

/// All keys of disturbances that belong to some kinds.
pub(super) const KIND_KEYS: [&str; 8] = [
    "for", "percent", "fails", "sessions", "bridge", "every", "tasks", "factor",
];
