//! Tasks of the bridge and of the gateway, and the bridge's connections to the broker.
//!
//! A task of the bridge is bounded by its connections' rates, by its CPU, by its limit of events in
//! flight and by its long polls; the tightest of these says how many tasks a rate takes.

use serde::Serialize;

use super::demand::LoadDemand;
use super::facts::PlatformFacts;
use super::quotas::{QuotaName, QuotaTable};
use crate::config::load_profile::LoadProfile;

/// CPU that the bridge takes for a message, in seconds: 0.24 CPU-s for 10,000 messages with 10 ms a
/// call of the queue (`docs/benchmarks.md`, "The daemon beside its peers").
const CPU_SECONDS_PER_MESSAGE: f64 = 24e-6;

/// Part of a task's CPU that a plan uses.
const CPU_SHARE: f64 = 0.6;

/// Time from receiving an event to its deletion, in seconds: a publish with its acknowledgement and
/// a call of the queue, each about 20 ms within a Region.
const SETTLE_SECONDS: f64 = 0.05;

/// Time of a call of the queue, in seconds (SQS developer guide, "Increasing throughput": 50 calls
/// a second of one thread at 20 ms).
const QUEUE_CALL_SECONDS: f64 = 0.02;

/// Messages that a call of the queue brings at most.
const MESSAGES_PER_CALL: f64 = 10.0;

/// The fewest tasks of a service: one for each of two zones.
pub const LEAST_TASKS: f64 = 2.0;

/// Capacity beyond the peak that the most tasks have, so that a backlog shrinks.
const CATCH_UP: f64 = 2.0;

/// Memory of the gateway for a client that waits, in KB: with TLS to the broker and HTTP.
const POLL_KB: f64 = 60.0;

/// Part of a task's memory that waiting clients may take.
const MEMORY_SHARE: f64 = 0.7;

/// Thing that limits a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskBound {
    /// Messages a second of its connections.
    Connections,
    /// Bytes a second of its connections.
    Bytes,
    /// Its CPU.
    Cpu,
    /// Events in flight.
    InFlight,
    /// Its long polls.
    Pollers,
    /// Its memory.
    Memory,
    /// Sessions that the configuration lets it have.
    Sessions,
}

impl TaskBound {
    /// Words for a person.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connections => "messages a second of its connections",
            Self::Bytes => "bytes a second of its connections",
            Self::Cpu => "its CPU",
            Self::InFlight => "events in flight",
            Self::Pollers => "its long polls",
            Self::Memory => "its memory",
            Self::Sessions => "sessions of a task",
        }
    }
}

/// Tasks of a service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TaskCount {
    /// Tasks that the mean load takes.
    pub mean: f64,
    /// Tasks that the peak takes.
    pub peak: f64,
    /// The fewest that the service is set to.
    pub least: f64,
    /// The most that it is set to.
    pub most: f64,
    /// Part of a task that the peak takes of one: above 1 there must be several.
    pub load: f64,
    /// Thing that limits a task.
    pub bound: TaskBound,
}

/// Tasks and connections of a platform.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FleetSize {
    /// Tasks of the bridge.
    pub bridge: TaskCount,
    /// Connections of the bridge to the broker at the peak.
    pub connections: f64,
    /// Messages a second that all tasks of the bridge may publish at most.
    pub capacity: f64,
    /// Tasks of the gateway; `None` where no client uses it.
    pub gateway: Option<TaskCount>,
}

impl FleetSize {
    /// The fleet of a demand.
    pub fn of(
        profile: &LoadProfile,
        facts: &PlatformFacts,
        demand: &LoadDemand,
        quotas: &QuotaTable,
    ) -> Self {
        let peak = BridgeLoad::of(profile, facts, demand, |pair| pair.peak);
        let mean = BridgeLoad::of(profile, facts, demand, |pair| pair.mean);
        let tasks = |load: f64| load.ceil().max(LEAST_TASKS);
        // As many messages a second as the account may publish need no more tasks than these.
        let quota = quotas.value(QuotaName::InboundPublishesPerSecond);
        let fed = (peak.load * quota / demand.published.peak.max(1e-9)).ceil();
        let at_peak = tasks(peak.load);
        let most = tasks(peak.load * CATCH_UP).min(fed.max(at_peak));
        let most = facts.fixed_tasks.unwrap_or(most).max(LEAST_TASKS);
        let capacity = if peak.load > 0.0 {
            most * demand.published.peak / peak.load
        } else {
            quota
        };
        Self {
            bridge: TaskCount {
                mean: tasks(mean.load).min(most),
                peak: at_peak,
                least: tasks(mean.load).min(most),
                most,
                load: peak.load,
                bound: peak.bound,
            },
            connections: peak.connections,
            capacity: capacity.min(quota),
            gateway: (profile.polling_share > 0.0).then(|| gateway(profile, facts, demand)),
        }
    }

    /// All tasks at their most.
    pub fn most_tasks(&self) -> f64 {
        self.bridge.most + self.gateway.map_or(0.0, |gateway| gateway.most)
    }
}

/// Load on the bridge in tasks.
struct BridgeLoad {
    load: f64,
    bound: TaskBound,
    connections: f64,
}

impl BridgeLoad {
    fn of(
        profile: &LoadProfile,
        facts: &PlatformFacts,
        demand: &LoadDemand,
        part: impl Fn(super::demand::RatePair) -> f64,
    ) -> Self {
        let (events, messages) = (part(demand.events), part(demand.published));
        let routes = demand.routes.iter();
        let bytes: f64 = routes
            .map(|route| part(route.published) * route.payload_bytes)
            .sum();
        let by_rate = messages / facts.publishes_per_connection;
        let by_bytes = bytes / facts.bytes_per_connection;
        // The figure is of one message an event; an event without a message is received and deleted
        // all the same.
        let cpu = messages.max(events) * CPU_SECONDS_PER_MESSAGE;
        let calls_per_second = facts.pollers / QUEUE_CALL_SECONDS;
        let mut bounds = vec![
            (TaskBound::Cpu, cpu / (profile.task_vcpus * CPU_SHARE)),
            (
                TaskBound::InFlight,
                events * SETTLE_SECONDS / facts.in_flight,
            ),
            (
                TaskBound::Pollers,
                events / (calls_per_second * MESSAGES_PER_CALL),
            ),
        ];
        if !facts.publishes_by_https {
            bounds.push((TaskBound::Connections, by_rate / facts.connections_per_task));
            bounds.push((TaskBound::Bytes, by_bytes / facts.connections_per_task));
        }
        let first = (TaskBound::Cpu, 0.0);
        let (bound, load) =
            bounds.into_iter().fold(
                first,
                |most, next| if next.1 > most.1 { next } else { most },
            );
        let connections = if facts.publishes_by_https {
            0.0
        } else {
            by_rate.max(by_bytes).ceil().max(LEAST_TASKS)
        };
        Self {
            load,
            bound,
            connections,
        }
    }
}

fn gateway(profile: &LoadProfile, facts: &PlatformFacts, demand: &LoadDemand) -> TaskCount {
    let by_memory = profile.task_gb * 1_048_576.0 * MEMORY_SHARE / POLL_KB;
    let by_sessions = facts.sessions_per_task.unwrap_or(f64::INFINITY);
    let (per_task, bound) = if by_sessions < by_memory {
        (by_sessions, TaskBound::Sessions)
    } else {
        (by_memory, TaskBound::Memory)
    };
    let tasks = |clients: f64| (clients / per_task).ceil().max(LEAST_TASKS);
    let (mean, peak) = (tasks(demand.polling.mean), tasks(demand.polling.peak));
    TaskCount {
        mean,
        peak,
        least: mean,
        // One zone may fail: the tasks that are left serve all.
        most: (peak * 1.5).ceil(),
        load: demand.polling.peak / per_task,
        bound,
    }
}
