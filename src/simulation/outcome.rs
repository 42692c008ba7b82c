//! The answer of a simulation.

use serde::Serialize;

use super::scenario::RecoveryScenario;

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
pub struct SimulationOutcome {
    /// The question.
    pub scenario: RecoveryScenario,
    /// End of the run, in milliseconds.
    pub ended_ms: u32,
    /// `true` where everything had settled by then.
    pub is_settled: bool,
    /// Recovery from each disturbance that cut connections.
    pub waves: Vec<RecoveryWave>,
    /// Clients at the end.
    pub clients: ClientTotals,
    /// CONNECT packets.
    pub connects: ConnectTotals,
    /// Filters of SUBSCRIBE packets.
    pub subscribes: SubscribeTotals,
    /// The most calls of the authorizer at a time.
    pub authorizer_peak: u32,
    /// Messages to subscribers, where there are any.
    pub messages: Option<MessageTotals>,
    /// Events in the queue, where there are any.
    pub events: Option<QueueTotals>,
    /// The curves.
    pub series: SampleSeries,
    /// Invariants that do not hold: faults of the model. Always empty but for a defect.
    pub violations: Vec<String>,
}

/// Recovery of the clients that one disturbance cut off.
#[derive(Clone, Debug, Serialize)]
pub struct RecoveryWave {
    /// The disturbance.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Begin of the disturbance, in milliseconds.
    pub began_ms: u32,
    /// End of its cause, in milliseconds.
    pub reachable_ms: u32,
    /// Clients that it cut off, and that no later disturbance cut off before they were live.
    pub affected: u64,
    /// Affected clients that were live again.
    pub recovered: u64,
    /// Milliseconds from the end of the cause until a part of them was live: 50, 90, 99, 100 per
    /// cent. Absent where that did not happen.
    pub until_live: [Option<u32>; 4],
}

/// The parts of [`RecoveryWave::until_live`], in per cent.
pub const LIVE_PERCENTS: [u64; 4] = [50, 90, 99, 100];

/// Clients at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientTotals {
    /// All channels heard.
    pub live: u64,
    /// Connected, with some channels that were refused or are not subscribed yet.
    pub partly: u64,
    /// Not connected.
    pub away: u64,
    /// Live clients some of whose channels were shown as refused: the broker kept the subscription.
    pub shown_refused: u64,
}

/// CONNECT packets, and attempts that sent none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectTotals {
    /// Attempts.
    pub attempts: u64,
    /// Clients let in.
    pub admitted: u64,
    /// Attempts that did not reach the broker.
    pub unreachable: u64,
    /// Refused by the account's CONNECT quota.
    pub connect_quota: u64,
    /// Refused because the client id connected shortly before.
    pub client_id: u64,
    /// Refused because the authorizer's function had no environment.
    pub authorizer_throttled: u64,
    /// Refused because it did not answer in time.
    pub authorizer_timeout: u64,
    /// Refused by the gateway.
    pub gateway: u64,
}

/// Filters that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubscribeTotals {
    /// Granted.
    pub granted: u64,
    /// Refused by the account's SUBSCRIBE quota.
    pub refused: u64,
}

/// Messages to subscribers: each is delivered, stored, waits, or is lost by one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageTotals {
    /// Published events times their subscribers.
    pub addressed: u64,
    /// Delivered.
    pub delivered: u64,
    /// Delivered messages that came from a session's store.
    pub delivered_late: u64,
    /// Messages in sessions at the end.
    pub stored: u64,
    /// Waiting for the outbound quota at the end.
    pub waiting: u64,
    /// Lost, by cause.
    pub lost: Vec<LossCount>,
}

impl MessageTotals {
    /// All that were lost.
    pub fn all_lost(&self) -> u64 {
        self.lost.iter().map(|one| one.count).sum()
    }
}

/// Messages lost by one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LossCount {
    /// The cause.
    pub cause: LossCause,
    /// Number of messages.
    pub count: u64,
}

/// Reason why a message does not reach a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// QoS 0, and the client was away.
    OfflineQos0,
    /// The account stores no more messages in that second.
    StoredQuota,
    /// The session stores no more.
    SessionFull,
    /// It was stored, and the session expired.
    SessionExpired,
    /// The client was away and had no session any more.
    NoSession,
    /// It was stored, and the broker lost the session.
    SessionLost,
    /// The client was connected and had not subscribed to the channel.
    NotSubscribed,
    /// QoS 0, and the account sends no more in that second.
    OutboundQuota,
}

impl LossCause {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::OfflineQos0,
        Self::StoredQuota,
        Self::SessionFull,
        Self::SessionExpired,
        Self::NoSession,
        Self::SessionLost,
        Self::NotSubscribed,
        Self::OutboundQuota,
    ];

    /// Description for a report.
    pub fn about(self) -> &'static str {
        match self {
            Self::OfflineQos0 => "QoS 0, client away",
            Self::StoredQuota => "quota of stored messages",
            Self::SessionFull => "session full",
            Self::SessionExpired => "stored, session expired",
            Self::NoSession => "client away without a session",
            Self::SessionLost => "stored, session lost by the broker",
            Self::NotSubscribed => "connected, channel not subscribed",
            Self::OutboundQuota => "QoS 0, outbound quota",
        }
    }
}

/// Events in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueTotals {
    /// Arrived.
    pub arrived: u64,
    /// Published.
    pub published: u64,
    /// Dead-letter messages.
    pub dead_lettered: u64,
    /// Waiting at the end.
    pub waiting: u64,
    /// Published a second time after a task was killed.
    pub duplicates: u64,
    /// Received again.
    pub redelivered: u64,
    /// The most that waited.
    pub peak_backlog: u64,
    /// The oldest that waited, in milliseconds.
    pub peak_age_ms: u32,
    /// The most tasks.
    pub peak_tasks: u32,
}

/// The curves, in samples of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SampleSeries {
    /// Length of a sample in milliseconds; the first ends at this time.
    pub every_ms: u32,
    /// The samples.
    pub samples: Vec<RunSample>,
}

/// One sample: counts of its time, and the state at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunSample {
    /// Live clients at the end.
    pub live: u64,
    /// Connected clients at the end.
    pub connected: u64,
    /// Attempts.
    pub attempts: u64,
    /// Clients let in.
    pub admitted: u64,
    /// Attempts that were refused or did not arrive.
    pub refused: u64,
    /// Filters granted.
    pub granted: u64,
    /// Filters refused.
    pub filters_refused: u64,
    /// The most calls of the authorizer at a time.
    pub authorizer: u32,
    /// Messages stored at the end.
    pub stored: u64,
    /// The most events that waited.
    pub backlog: u64,
    /// The oldest event, in milliseconds.
    pub age_ms: u32,
    /// Tasks of the bridge at the end.
    pub tasks: u32,
}
