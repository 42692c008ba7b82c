//! The daemon at IoT Core's own limits: the delay of events, and the fate of others, when
//! connections are paced as IoT Core demands it. `bench/limits/run` builds and runs this;
//! `docs/benchmarks.md` has figures.
//!
//! Everything runs on this machine: `eventcast dev` with bus, queue and broker, one or two tasks of
//! `eventcast bridge`, and the generator here, which puts events on the bus by the clock and
//! receives every topic over MQTT. With `--beside` a second build has the same rounds, in
//! alternation. The rig separates the machine's limits from the daemon's: the same load, led from
//! the queue to the broker by a loop of this program.
//!
//! Exit status: 0 every target is met, 1 one is missed, 2 it could not be run, 3 none is missed but
//! some are inconclusive.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark: it prints, keeps the time of the real clock, and knows its own numbers"
)]

mod daemon;
mod http;
#[path = "../interruptible.rs"]
mod interruptible;
mod judge;
mod platform;
mod process;
mod record;
mod relay;
mod report;
mod round;
mod scenario;
mod schedule;
mod subscriber;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use self::daemon::Build;
use self::judge::{Figures, Judgement, Verdict, judge};
use self::report::{Measured, Report, Rig};
use self::round::{Outcome, round};
use self::scenario::{FLOOD, Run, Scenario, runs};
use self::subscriber::MESSAGES_PER_SECOND;

/// The daemon at IoT Core's own limits, on this machine.
#[derive(Debug, Parser)]
#[command(name = "bench/limits/run")]
struct Arguments {
    /// The build whose targets are checked
    #[arg(long, value_name = "BINARY")]
    eventcast: String,
    /// Another build, for comparison: the same rounds in alternation
    #[arg(long, value_name = "BINARY")]
    beside: Option<String>,
    /// The build that serves bus, queue and broker; without it that of --eventcast
    #[arg(long, value_name = "BINARY")]
    platform: Option<String>,
    /// Which scenarios to run; all without it
    #[arg(long, value_enum, num_args = 1.., value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// How long the measured part of each run lasts, in seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// How many topics there are in runs on many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=20_000))]
    topics: Option<u32>,
    /// How often each run is repeated; figures are medians
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Whether the broker has IoT Core's limits: with them what a daemon sends too fast is
    /// discarded, and seen here
    #[arg(long, value_enum, default_value = "on")]
    limits: Switch,
    /// Whether the rig is measured alone first; without it no target is inconclusive for it
    #[arg(long, value_enum, default_value = "on")]
    rig: Switch,
    /// A setting of the build whose targets are checked, such as bridge.connections.min=8
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A setting of the other build
    #[arg(long, value_name = "KEY=VALUE")]
    set_beside: Vec<String>,
    /// How figures are written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Without limits a subscriber may receive from many topics.
const FLOOD_MESSAGES_PER_SECOND: u32 = 1_000;

const RIG_WARM_UP: Duration = Duration::from_secs(1);
const RIG_MEASURED: Duration = Duration::from_secs(5);
const RIG_DRAIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    interruptible::run(measure(&arguments), |report| {
        match arguments.format {
            Format::Text => print!("{}", report.text()),
            Format::Json => println!("{}", report.json()),
        }
        report.status()
    })
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let runs = runs(&arguments.scenario, arguments.seconds, arguments.topics);
    let platform = arguments.platform.as_deref();
    let platform = platform.unwrap_or(&arguments.eventcast);
    let has_limits = arguments.limits == Switch::On;
    let mut builds = vec![Build {
        name: "eventcast".into(),
        binary: arguments.eventcast.clone(),
        settings: arguments.set.clone(),
    }];
    builds.extend(arguments.beside.as_ref().map(|binary| Build {
        name: "beside".into(),
        binary: binary.clone(),
        settings: arguments.set_beside.clone(),
    }));
    let mut rig = match arguments.rig {
        Switch::On => Some(Rig::new(ceiling(platform).await?, &runs)),
        Switch::Off => None,
    };
    let mut measured: Vec<Measured> = runs
        .iter()
        .flat_map(|run| builds.iter().map(|build| Measured::new(*run, &build.name)))
        .collect();
    for number in 0..arguments.rounds {
        for (at, run) in runs.iter().enumerate() {
            if let Some(rig) = &mut rig {
                let run = shorter(run);
                let outcome = round(&run, None, platform, false, MESSAGES_PER_SECOND).await?;
                eprintln!("{}", report::progress(&run, "rig", &outcome));
                rig.rounds[at].push(outcome);
            }
            // The build that runs first changes with the round.
            for turn in 0..builds.len() {
                let which = (turn + number as usize) % builds.len();
                let build = Some(&builds[which]);
                let outcome = round(run, build, platform, has_limits, MESSAGES_PER_SECOND).await?;
                eprintln!("{}", report::progress(run, &builds[which].name, &outcome));
                measured[at * builds.len() + which].rounds.push(outcome);
            }
        }
    }
    let judgements = judgements(&runs, builds.len(), &measured, rig.as_ref());
    Ok(Report {
        rounds: arguments.rounds,
        has_limits,
        rig,
        measured,
        judgements,
    })
}

/// Messages a second that bus, queue, broker and generator do without a daemon.
async fn ceiling(platform: &str) -> anyhow::Result<f64> {
    let outcome = round(&FLOOD, None, platform, false, FLOOD_MESSAGES_PER_SECOND).await?;
    eprintln!("{}", report::progress(&FLOOD, "rig", &outcome));
    Ok(outcome.rate)
}

/// A run as the rig has it: nothing there needs long to settle.
fn shorter(run: &Run) -> Run {
    Run {
        warm_up: run.warm_up.min(RIG_WARM_UP),
        measured: run.measured.min(RIG_MEASURED),
        drain: RIG_DRAIN,
        ..*run
    }
}

/// Every target of every run, for each build.
fn judgements(
    runs: &[Run],
    builds: usize,
    measured: &[Measured],
    rig: Option<&Rig>,
) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    let rounds_of = |run: usize, build: usize| -> &[Outcome] {
        measured
            .get(run * builds + build)
            .map_or(&[], |one| &one.rounds)
    };
    let rig_of = |run: usize| -> &[Outcome] {
        rig.and_then(|rig| rig.rounds.get(run))
            .map_or(&[], Vec::as_slice)
    };
    for (at, run) in runs.iter().enumerate() {
        let before = at.checked_sub(1);
        for build in 0..builds {
            let figures = Figures {
                rounds: rounds_of(at, build),
                before: before.map_or(&[], |before| rounds_of(before, build)),
            };
            let rig = rig.map(|_| Figures {
                rounds: rig_of(at),
                before: before.map_or(&[], &rig_of),
            });
            let name = &measured[at * builds + build].build;
            let judged = run.targets.iter();
            judgements.extend(judged.map(|target| judge(*target, run, name, figures, rig)));
        }
    }
    judgements
}

/// The status that verdicts of one build come to.
fn status_of<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> u8 {
    verdicts
        .map(|verdict| match verdict {
            Verdict::Met => (0, 0),
            Verdict::Inconclusive => (1, 3),
            Verdict::Missed => (2, 1),
        })
        .max()
        .map_or(0, |(_, status)| status)
}
