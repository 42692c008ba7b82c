//! The scenarios: one table of the events that are put on the bus, the number of tasks that bridge
//! them, and the wanted figures.
//!
//! Latencies are wanted of all events of a run's measured part, those that never came included.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// The scenarios by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// The first ten seconds after a quiet start, at 1,000/s and 2,000/s on 200 topics
    FromRest,
    /// 2,000/s on 200 topics, after ten seconds of them
    Steady,
    /// 300/s on 200 topics, alone and beside 300/s on one topic
    HotTopic,
    /// 80/s and 100/s on one topic, each acknowledged after 30 ms
    SlowAcknowledgements,
    /// 10,000/s on 5,000 topics by two tasks
    TwoTasks,
    /// 1,500/s by two tasks where the account may publish 1,000/s
    Account,
}

/// Events a second, put on the bus by the clock.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Load {
    /// On all topics together but the hot one.
    pub(crate) rate: u32,
    pub(crate) topics: u32,
    /// On the hot topic; 0 where there is none.
    pub(crate) hot_rate: u32,
}

/// A quota of the account, which the broker enforces.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct AccountQuota {
    /// Publishes a second of all tasks together.
    pub(crate) publishes: u32,
    /// Number of tasks that share it by each task's configuration, whatever their number is.
    pub(crate) configured_tasks: u32,
}

/// A figure that a run should show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Half of the events come within so many milliseconds.
    P50Milliseconds(f64),
    /// All but one in a hundred come within so many milliseconds.
    P99Milliseconds(f64),
    /// The 99th percentile is at most so many times that of the run before.
    P99TimesTheRunBefore(f64),
    /// At the end of the load everything has come but the events of the last quarter of a second.
    NoBacklog,
    /// At least this part of the offered rate comes through.
    PartOfRate(f64),
    /// After ten seconds each task's publishes differ from an equal share by at most this part of
    /// it.
    ShareWithin(f64),
    /// All tasks together use at least this part of the account's quota.
    PartOfQuota(f64),
    /// Nothing is lost.
    NoLoss,
    /// The broker discards nothing for a limit of a connection or the account.
    NoDiscards,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) scenario: Scenario,
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    pub(crate) tasks: u32,
    /// Load before the measured part.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// Time for events that are under way after the load's end.
    pub(crate) drain: Duration,
    pub(crate) acknowledged_after: Duration,
    pub(crate) quota: Option<AccountQuota>,
    pub(crate) targets: &'static [Target],
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// The run that others begin with: IoT Core at its defaults.
const PLAIN: Run = Run {
    scenario: Scenario::FromRest,
    name: "",
    load: Load {
        rate: 2_000,
        topics: 200,
        hot_rate: 0,
    },
    tasks: 1,
    warm_up: Duration::ZERO,
    measured: TEN_SECONDS,
    drain: Duration::from_secs(30),
    acknowledged_after: Duration::ZERO,
    quota: None,
    targets: &[],
};

/// More than any daemon here is asked for: the rate that comes through is the rig's ceiling.
pub(crate) const FLOOD: Run = Run {
    name: "ceiling",
    load: Load {
        rate: 15_000,
        ..PLAIN.load
    },
    measured: Duration::from_secs(3),
    ..PLAIN
};

/// The targets of a daemon that had nothing to do before.
const FROM_REST: [Target; 4] = [
    Target::P50Milliseconds(5.0),
    Target::P99Milliseconds(100.0),
    Target::NoLoss,
    Target::NoDiscards,
];

const RUNS: [Run; 10] = [
    Run {
        name: "from rest to 1,000/s",
        load: Load {
            rate: 1_000,
            ..PLAIN.load
        },
        targets: &FROM_REST,
        ..PLAIN
    },
    Run {
        name: "from rest to 2,000/s",
        targets: &FROM_REST,
        ..PLAIN
    },
    Run {
        scenario: Scenario::Steady,
        name: "steady 2,000/s",
        warm_up: TEN_SECONDS,
        targets: &[
            Target::P99Milliseconds(15.0),
            Target::NoLoss,
            Target::NoDiscards,
        ],
        ..PLAIN
    },
    Run {
        scenario: Scenario::HotTopic,
        name: "300/s alone",
        load: Load {
            rate: 300,
            ..PLAIN.load
        },
        warm_up: Duration::from_secs(5),
        targets: &[Target::NoLoss, Target::NoDiscards],
        ..PLAIN
    },
    Run {
        scenario: Scenario::HotTopic,
        name: "300/s beside a hot topic",
        load: Load {
            rate: 300,
            topics: 200,
            hot_rate: 300,
        },
        warm_up: Duration::from_secs(5),
        measured: Duration::from_secs(15),
        // The hot topic's backlog would take longer than anybody waits.
        drain: Duration::from_secs(5),
        targets: &[
            Target::P99TimesTheRunBefore(1.5),
            Target::NoLoss,
            Target::NoDiscards,
        ],
        ..PLAIN
    },
    Run {
        scenario: Scenario::SlowAcknowledgements,
        name: "80/s on a topic, 30 ms",
        load: Load {
            rate: 80,
            topics: 1,
            hot_rate: 0,
        },
        measured: Duration::from_secs(15),
        acknowledged_after: Duration::from_millis(30),
        targets: &[Target::NoBacklog, Target::NoLoss, Target::NoDiscards],
        ..PLAIN
    },
    Run {
        scenario: Scenario::SlowAcknowledgements,
        name: "100/s on a topic, 30 ms",
        load: Load {
            rate: 100,
            topics: 1,
            hot_rate: 0,
        },
        measured: Duration::from_secs(15),
        acknowledged_after: Duration::from_millis(30),
        targets: &[Target::NoBacklog, Target::NoLoss, Target::NoDiscards],
        ..PLAIN
    },
    Run {
        scenario: Scenario::TwoTasks,
        name: "10,000/s by two tasks",
        load: Load {
            rate: 10_000,
            topics: 5_000,
            hot_rate: 0,
        },
        tasks: 2,
        warm_up: Duration::from_secs(5),
        targets: &[Target::PartOfRate(0.95), Target::NoLoss, Target::NoDiscards],
        ..PLAIN
    },
    Run {
        scenario: Scenario::Account,
        name: "quota 1,000/s, two tasks",
        load: Load {
            rate: 1_500,
            ..PLAIN.load
        },
        tasks: 2,
        warm_up: TEN_SECONDS,
        drain: Duration::ZERO,
        quota: Some(AccountQuota {
            publishes: 1_000,
            configured_tasks: 2,
        }),
        targets: &[Target::ShareWithin(0.2), Target::PartOfQuota(0.8)],
        ..PLAIN
    },
    Run {
        scenario: Scenario::Account,
        name: "the same, each told 1 task",
        load: Load {
            rate: 1_500,
            ..PLAIN.load
        },
        tasks: 2,
        warm_up: TEN_SECONDS,
        drain: Duration::ZERO,
        quota: Some(AccountQuota {
            publishes: 1_000,
            configured_tasks: 1,
        }),
        targets: &[Target::ShareWithin(0.2), Target::PartOfQuota(0.8)],
        ..PLAIN
    },
];

/// The runs of some scenarios, all when none is named, with other numbers where the command line
/// has them.
pub(crate) fn runs(scenarios: &[Scenario], seconds: Option<u64>, topics: Option<u32>) -> Vec<Run> {
    let wanted = |run: &Run| scenarios.is_empty() || scenarios.contains(&run.scenario);
    let mut runs: Vec<Run> = RUNS.into_iter().filter(wanted).collect();
    for run in &mut runs {
        if let Some(seconds) = seconds {
            run.measured = Duration::from_secs(seconds);
        }
        // Runs on one topic are about that topic.
        if let Some(topics) = topics.filter(|_| run.load.topics > 1) {
            run.load.topics = topics;
        }
    }
    runs
}
