//! The report: a table with each run and build, the rig, and every target's verdict.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::judge::{Judgement, Verdict, median, worst};
use super::round::Outcome;
use super::scenario::Run;
use super::status_of;

/// All rounds of one run by one build.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) run: Run,
    pub(crate) build: String,
    pub(crate) rounds: Vec<Outcome>,
}

impl Measured {
    pub(crate) fn new(run: Run, build: &str) -> Self {
        Self {
            run,
            build: build.to_owned(),
            rounds: Vec::new(),
        }
    }
}

/// The machine with platform and generator, without a daemon.
#[derive(Debug, Serialize)]
pub(crate) struct Rig {
    /// Messages a second, at most.
    pub(crate) ceiling: f64,
    /// The rounds of each run.
    pub(crate) rounds: Vec<Vec<Outcome>>,
    pub(crate) warnings: Vec<String>,
}

impl Rig {
    /// No rounds yet; a warning for each run that is close to the ceiling.
    pub(crate) fn new(ceiling: f64, runs: &[Run]) -> Self {
        let warnings = runs.iter().filter_map(|run| {
            let rate = f64::from(run.load.rate + run.load.hot_rate);
            let part = rate / ceiling;
            (part > OF_CEILING).then(|| {
                let (name, percent) = (run.name, part * 100.0);
                format!(
                    "{name}: {rate:.0}/s is {percent:.0} % of what the rig does without a daemon"
                )
            })
        });
        Self {
            ceiling,
            rounds: vec![Vec::new(); runs.len()],
            warnings: warnings.collect(),
        }
    }
}

/// The part of the rig's ceiling above which a run says more about the rig than about a daemon.
const OF_CEILING: f64 = 0.7;

pub(crate) struct Report {
    pub(crate) rounds: u32,
    pub(crate) has_limits: bool,
    pub(crate) rig: Option<Rig>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) judgements: Vec<Judgement>,
}

impl Report {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let limits = if self.has_limits { "on" } else { "off" };
        let rounds = self.rounds;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "broker's limits {limits}, medians of {rounds} round(s), latencies in ms from PutEvents' intended time\n"
        );
        let _ = writeln!(text, "{HEAD}");
        let builds = self.measured.iter();
        let builds = builds.take_while(|one| one.run.name == self.measured[0].run.name);
        for (at, group) in self.measured.chunks(builds.count().max(1)).enumerate() {
            if let Some(rig) = &self.rig {
                let _ = writeln!(text, "{}", line(&group[0].run, "rig", &rig.rounds[at]));
            }
            for measured in group {
                let line = line(&measured.run, &measured.build, &measured.rounds);
                let _ = writeln!(text, "{line}");
            }
        }
        text.push('\n');
        if let Some(rig) = &self.rig {
            let _ = writeln!(
                text,
                "the rig without a daemon: at most {:.0}/s",
                rig.ceiling
            );
            for warning in &rig.warnings {
                let _ = writeln!(text, "warning: {warning}");
            }
        }
        let rounds = self.measured.iter().flat_map(|measured| &measured.rounds);
        let others = median(rounds.map(|round| round.others)) * 100.0;
        let _ = writeln!(text, "other processes took {others:.0} % of all cores\n");
        for judgement in &self.judgements {
            let Judgement {
                run,
                build,
                words,
                verdict,
                ..
            } = judgement;
            let verdict = match verdict {
                Verdict::Met => "met",
                Verdict::Missed => "MISSED",
                Verdict::Inconclusive => "inconclusive",
            };
            let _ = writeln!(text, "{verdict:12} {build:9} {run}: {words}");
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({
            "limits": self.has_limits,
            "cores": cores,
            "rig": self.rig,
            "measured": self.measured,
            "targets": self.judgements,
        })
        .to_string()
    }

    /// The status of the process: by the targets of the first build.
    pub(crate) fn status(&self) -> ExitCode {
        let first = self.measured.first().map(|measured| &measured.build);
        let own = self.judgements.iter();
        let own = own.filter(|judgement| Some(&judgement.build) == first);
        ExitCode::from(status_of(own.map(|judgement| &judgement.verdict)))
    }
}

const HEAD: &str = "run                       build         sent  received   lost  dup      p50      p99      max  backlog  discarded  conns  CPU-s/10k     /s  shares";

fn line(run: &Run, build: &str, rounds: &[Outcome]) -> String {
    let of = |figure: &dyn Fn(&Outcome) -> f64| median(rounds.iter().map(figure));
    let infinite = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
    let most = |figure: &dyn Fn(&Outcome) -> u64| worst(rounds.iter().map(figure));
    let milliseconds = |value: f64| match value {
        value if !value.is_finite() => "never".to_owned(),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    };
    let shares = rounds
        .last()
        .map(|round| &round.shares[..])
        .unwrap_or_default();
    let shares: Vec<String> = shares.iter().map(|share| format!("{share:.0}")).collect();
    let mut line = format!(
        "{:25} {build:9} {:8} {:9} {:6} {:4} {:>8} {:>8} {:>8} {:8} {:10} {:6} {:10.2} {:6.0}  {}",
        run.name,
        of(&|one| one.sent as f64),
        of(&|one| one.received as f64),
        most(&|one| one.lost),
        most(&|one| one.duplicates),
        milliseconds(of(&|one| infinite(one.latencies.p50))),
        milliseconds(of(&|one| infinite(one.latencies.p99))),
        milliseconds(of(&|one| infinite(one.latencies.max))),
        of(&|one| one.backlog as f64),
        most(&|one| one.discarded),
        of(&|one| one.connections as f64),
        of(&|one| one.cpu),
        of(&|one| one.rate),
        shares.join(" "),
    );
    if rounds.iter().any(|round| round.hot.is_some()) {
        let hot = |figure: &dyn Fn(&super::record::Latencies) -> f64| {
            median(
                rounds
                    .iter()
                    .filter_map(|round| round.hot.as_ref())
                    .map(figure),
            )
        };
        let _ = write!(
            line,
            "\n  its hot topic           {build:9} {:8} {:9}             {:>8} {:>8} {:>8}",
            hot(&|one| one.sent as f64),
            hot(&|one| one.received as f64),
            milliseconds(hot(&|one| infinite(one.p50))),
            milliseconds(hot(&|one| infinite(one.p99))),
            milliseconds(hot(&|one| infinite(one.max))),
        );
    }
    line
}

/// One round, as soon as it is over.
pub(crate) fn progress(run: &Run, build: &str, outcome: &Outcome) -> String {
    format!(
        "{} (generator {:.1} ms late, idle {:.0} %, others {:.0} %)",
        line(run, build, std::slice::from_ref(outcome)),
        outcome.lag,
        outcome.idle * 100.0,
        outcome.others * 100.0
    )
}
