//! The question of a simulation: clients, quotas, the parts of the platform, and their
//! disturbances. All times are milliseconds.

use serde::Serialize;

/// The most clients of a run.
pub const MOST_CLIENTS: u32 = 16_000_000;

/// The most disturbances of a run.
pub const MOST_DISTURBANCES: usize = 16;

/// The most filters of one SUBSCRIBE (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub const FILTERS_PER_SUBSCRIBE: u8 = 8;

/// Everything that a run depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryScenario {
    /// Title of the report.
    pub name: String,
    /// Seed of the random numbers.
    pub seed: u64,
    /// The end of the run, at the latest.
    pub until_ms: u32,
    /// The clients.
    pub clients: ClientFleet,
    /// The quotas of the account.
    pub limits: AccountQuotas,
    /// The custom authorizer, where there is one.
    pub authorizer: Option<AuthorizerLoad>,
    /// The queue and the bridge's tasks, where messages are simulated.
    pub bridge: Option<BridgeModel>,
    /// The gateway, where some clients poll.
    pub gateway: Option<GatewayLoad>,
    /// The disturbances, in order of time.
    pub disturbances: Vec<Disturbance>,
}

/// The clients, and the way in which each connects again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientFleet {
    /// Number of clients.
    pub count: u32,
    /// Channels that each subscribes to.
    pub channels: u8,
    /// Life of a session without its client; 0 is a session that ends with its connection.
    pub session_expiry_ms: u32,
    /// The longest first delay.
    pub backoff_first_ms: u32,
    /// The longest delay.
    pub backoff_longest_ms: u32,
    /// Random part of a delay.
    pub jitter: JitterKind,
    /// The shortest time between two attempts of a client.
    pub connect_interval_ms: u32,
    /// Clients in hidden tabs, which wait four times as long, in per cent.
    pub hidden_percent: u8,
    /// Round trip between client and broker.
    pub round_trip_ms: u32,
    /// Life of a connection that makes up for earlier failures.
    pub stable_ms: u32,
    /// The time in which an attempt that nobody answers fails.
    pub connect_timeout_ms: u32,
    /// The pause before a quiet connection is asked whether it lives.
    pub heartbeat_ms: u32,
    /// The time for the answer to that.
    pub answer_ms: u32,
    /// Quality of service of the subscriptions: 0 or 1.
    pub qos: u8,
    /// Fate of a channel that SUBACK refuses for a quota.
    pub refused_channel: RefusedChannel,
}

/// Random part of a delay of `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JitterKind {
    /// Anything from 0 to `d`, as the client module does.
    Full,
    /// Anything from half of `d` to `d`.
    Equal,
    /// `d` itself.
    None,
}

/// Fate of a channel that SUBACK refuses for a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RefusedChannel {
    /// The channel stays refused until the client connects again, as the client module does.
    Stays,
    /// The client subscribes again, with the delays of connecting.
    Retried,
}

/// Rates of the account, a second each; 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountQuotas {
    /// CONNECT packets.
    pub connect_quota: u32,
    /// Filters of SUBSCRIBE packets.
    pub subscribe_quota: u32,
    /// The least time between two CONNECTs of a client id.
    pub client_id_interval_ms: u32,
    /// Publishes to the broker.
    pub inbound_quota: u32,
    /// Publishes to subscribers.
    pub outbound_quota: u32,
    /// Messages that are stored for clients which are away.
    pub stored_quota: u32,
    /// Stored messages a second that a client gets after it came back.
    pub stored_rate: u32,
    /// The most messages that a session stores.
    pub stored_per_session: u16,
    /// The way in which rates are counted.
    pub counting: QuotaCounting,
}

/// The way in which a rate is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaCounting {
    /// A token bucket that holds one second of the rate.
    Bucket,
    /// A count by the second, which begins with the first thing counted in it, as `eventcast dev`
    /// does.
    Window,
}

/// The custom authorizer's function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorizerLoad {
    /// The most calls at a time.
    pub concurrency: u32,
    /// Environments that may start in ten seconds.
    pub scaling: u32,
    /// Environments that are there at the beginning.
    pub warm: u32,
    /// The usual call: from half of it to one and a half.
    pub duration_ms: u32,
    /// Slow calls, in per cent.
    pub slow_percent: u8,
    /// A slow call: from half of it to one and a half.
    pub slow_ms: u32,
    /// The start of an environment.
    pub cold_start_ms: u32,
    /// The time after which IoT Core gives a call up.
    pub timeout_ms: u32,
    /// `true` where it is asked before the CONNECT quota is.
    pub before_quota: bool,
}

/// The queue and the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BridgeModel {
    /// Events a second.
    pub events_per_second: u32,
    /// Subscribers that each event goes to.
    pub fan_out: u32,
    /// Tasks at the beginning, and at the least.
    pub tasks: u32,
    /// Tasks at the most.
    pub max_tasks: u32,
    /// Events a second that a task publishes.
    pub events_per_task: u32,
    /// Waiting events for each task that scaling aims at.
    pub backlog_per_task: u32,
    /// Age of the oldest event above which tasks are added.
    pub max_age_ms: u32,
    /// The time from the decision to a task that works.
    pub task_start_ms: u32,
    /// The time between two decisions.
    pub scale_interval_ms: u32,
    /// Pause after tasks were added.
    pub scale_out_cooldown_ms: u32,
    /// The time that the backlog stays small before tasks are taken away.
    pub scale_in_after_ms: u32,
    /// Events that a task holds at the most.
    pub in_flight: u32,
    /// The longest that a task holds an event which it cannot publish.
    pub hold_ms: u32,
    /// Visibility time-out of the queue.
    pub visibility_ms: u32,
    /// Receives after which an event becomes a dead-letter message.
    pub max_receives: u8,
    /// The time between an event's publication and its deletion from the queue.
    pub settle_ms: u32,
}

/// The gateway for clients without WebSockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayLoad {
    /// Clients that poll, in per cent.
    pub percent: u8,
    /// Tasks.
    pub tasks: u32,
    /// New sessions a second of one task; 0 is no limit.
    pub sessions_per_second: u32,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disturbance {
    /// Its name in reports.
    pub name: String,
    /// Begin of the disturbance.
    pub at_ms: u32,
    /// Kind of the disturbance.
    #[serde(flatten)]
    pub kind: DisturbanceKind,
}

/// Kind of a disturbance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DisturbanceKind {
    /// The broker cannot be reached.
    Outage {
        /// Duration.
        for_ms: u32,
        /// Affected clients, in per cent.
        percent: u8,
        /// Failure of an attempt.
        fails: AttemptFailure,
        /// `true` where sessions outlive it.
        keeps_sessions: bool,
        /// `true` where the bridge cannot reach it either.
        cuts_bridge: bool,
    },
    /// Connections are cut; the broker can be reached.
    Disconnect {
        /// Clients that lose their connection, in per cent.
        percent: u8,
    },
    /// The authorizer's function does not answer.
    AuthorizerOutage {
        /// Duration.
        for_ms: u32,
    },
    /// Gateway tasks restart one after the other.
    GatewayRestart {
        /// The time between two of them.
        every_ms: u32,
    },
    /// Tasks of the bridge are killed.
    TasksLost {
        /// Number of tasks.
        tasks: u32,
    },
    /// Events come faster.
    Burst {
        /// Duration.
        for_ms: u32,
        /// Factor of the rate.
        factor: u32,
    },
}

/// Failure of an attempt to reach a broker that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptFailure {
    /// At once: the connection is refused.
    Refused,
    /// Nobody answers, and a time-out passes.
    Silent,
}

impl DisturbanceKind {
    /// Its word in files and reports.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Outage { .. } => "outage",
            Self::Disconnect { .. } => "disconnect",
            Self::AuthorizerOutage { .. } => "authorizer_outage",
            Self::GatewayRestart { .. } => "gateway_restart",
            Self::TasksLost { .. } => "tasks_lost",
            Self::Burst { .. } => "burst",
        }
    }

    /// The time that it lasts, gateway tasks known.
    pub fn lasts_ms(&self, gateway_tasks: u32) -> u32 {
        match self {
            Self::Outage { for_ms, .. }
            | Self::AuthorizerOutage { for_ms }
            | Self::Burst { for_ms, .. } => *for_ms,
            Self::GatewayRestart { every_ms } => {
                every_ms.saturating_mul(gateway_tasks.saturating_sub(1))
            }
            Self::Disconnect { .. } | Self::TasksLost { .. } => 0,
        }
    }
}
