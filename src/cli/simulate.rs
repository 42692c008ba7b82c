//! `eventcast simulate`: the duration of a recovery, and the losses meanwhile.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::diagnostic::render;
use super::input::{INPUT_BYTES, read_text, shown};
use super::json::write_json;
use super::user_error::{UserError, write_error};
use super::{OutputFormat, Status, progress, runtime};
use crate::simulation::assumption::assumptions;
use crate::simulation::engine::{InterruptedRun, RunProgress, simulate};
use crate::simulation::file::load;
use crate::simulation::measured::{CurveDifference, MeasuredCurve};
use crate::simulation::outcome::SimulationOutcome;
use crate::simulation::report::{NamedRun, RecoveryReport};
use crate::simulation::scenario::RecoveryScenario;

/// The label of the run without variants.
const AS_WRITTEN: &str = "as written";

/// The most variants of one report whose lines can still be distinguished.
const MOST_VARIANTS: usize = 5;

/// The scenario of a command without a file.
const EXAMPLE: &str = include_str!("simulate/outage.yaml");
const EXAMPLE_NAME: &str = "the built-in scenario";

#[derive(Debug, Args)]
#[command(after_help = "\
A scenario says how many clients there are, which quotas hold, and what happens: an outage, cut connections, a restart of the \
gateway, lost tasks, a burst. bench/scenarios/ in the repository has several; without a file a built-in one runs, which --example \
prints. docs/capacity.md has all keys, and what the model assumes.

Examples:
  eventcast simulate
  eventcast simulate --example > outage.yaml
  eventcast simulate outage.yaml --set clients.count=200000 --set connect-quota=1000
  eventcast simulate outage.yaml --compare connect-quota=6000 --compare jitter=none
  eventcast simulate outage.yaml --compare connect-quota=6000,subscribe-quota=6000
  eventcast simulate outage.yaml --set disturbances.outage.for=10m --html report.html
  eventcast simulate - --format json < outage.yaml

Exit status: 0 simulated, 2 the scenario, a setting or a curve is not right, 3 it was interrupted, a file cannot be written, or the \
model broke one of its own invariants.")]
pub(super) struct Command {
    /// The scenario; `-` is standard input. Without it a built-in one: an outage of three minutes,
    /// 50,000 clients
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set one value over the file, such as `limits.connect_quota=1000`; the end of its path is
    /// enough where no other path ends so (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run once more with other values, and lay both over each other (repeatable)
    #[arg(long, value_name = "KEY=VALUE,...")]
    compare: Vec<String>,
    /// Seed of the random numbers, over the file's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Lay a curve of real clients over the model's: JSON as bench/recovery/run writes it
    #[arg(long, value_name = "FILE")]
    measured: Option<PathBuf>,
    /// Write a report with plots, which needs no other file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Format of the answer: json has all curves
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    /// Print the built-in scenario, to start from
    #[arg(long, conflicts_with_all = ["file", "set", "compare", "seed", "measured", "html"])]
    example: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct SimulationAnswer<'a> {
    runs: Vec<LabelledRun<'a>>,
    assumptions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measured: Vec<CurveDifference>,
}

#[derive(Serialize)]
struct LabelledRun<'a> {
    label: &'a str,
    #[serde(flatten)]
    outcome: &'a SimulationOutcome,
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if command.example {
        out.write_all(EXAMPLE.as_bytes())?;
        return Ok(Status::Yes);
    }
    let Some(scenarios) = scenarios(command, messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let measured = match command.measured.as_deref().map(curve).transpose() {
        Ok(measured) => measured,
        Err(error) => {
            error.write(messages)?;
            return Ok(Status::CannotAnswer);
        }
    };
    let assumed = scenarios.first().map(|(_, scenario)| assumptions(scenario));
    let Ok(runs) = run_all(scenarios)? else {
        let help = "nothing was written; fewer clients or an earlier `until` take less time";
        write_error(messages, InterruptedRun, help)?;
        return Ok(Status::Failed);
    };
    let report = RecoveryReport {
        runs: &runs,
        measured: measured.as_ref(),
    };
    if let Some(file) = &command.html {
        fs::write(file, report.html())
            .with_context(|| format!("writing the report `{}`", file.display()))?;
    }
    match command.format {
        OutputFormat::Text => out.write_all(report.text().as_bytes())?,
        OutputFormat::Json => {
            let labelled = runs.iter().map(|run| LabelledRun {
                label: &run.label,
                outcome: &run.outcome,
            });
            let answer = SimulationAnswer {
                runs: labelled.collect(),
                assumptions: assumed.unwrap_or_default(),
                measured: report.differences(),
            };
            write_json(&answer, out)?;
        }
    }
    let violations = runs.iter().flat_map(|run| &run.outcome.violations);
    let mut status = Status::Yes;
    for violation in violations {
        let what = format!("an invariant of the model does not hold: {violation}");
        write_error(
            messages,
            what,
            "this is a fault of eventcast: please report it with the scenario",
        )?;
        status = Status::Failed;
    }
    Ok(status)
}

/// The scenario as written, and its variants, with their labels; `None` where something is wrong,
/// which is reported.
fn scenarios(
    command: &Command,
    messages: &mut impl Write,
) -> io::Result<Option<Vec<(String, RecoveryScenario)>>> {
    let (name, text) = match &command.file {
        None => (EXAMPLE_NAME.to_owned(), EXAMPLE.to_owned()),
        Some(file) => match read_text(file, INPUT_BYTES) {
            Ok(text) => (shown(file), text),
            Err(error) => {
                let what = format!("reading the scenario `{}`: {error}", shown(file));
                let help = "name a file; eventcast simulate --example prints one";
                write_error(messages, what, help)?;
                return Ok(None);
            }
        },
    };
    if command.compare.len() > MOST_VARIANTS {
        let what = format!("--compare is given {} times", command.compare.len());
        write_error(messages, what, format!("at most {MOST_VARIANTS} times"))?;
        return Ok(None);
    }
    let mut base = command.set.clone();
    base.extend(command.seed.map(|seed| format!("seed={seed}")));
    let mut variants = vec![(AS_WRITTEN.to_owned(), base.clone())];
    for variant in &command.compare {
        let mut settings = base.clone();
        settings.extend(variant.split(',').map(|one| one.trim().to_owned()));
        variants.push((variant.clone(), settings));
    }
    let mut scenarios = Vec::new();
    for (label, settings) in variants {
        match load(&name, &text, &settings) {
            Ok(scenario) => scenarios.push((label, scenario)),
            Err(faults) => {
                for fault in faults {
                    render(&fault, &text, messages)?;
                }
                return Ok(None);
            }
        }
    }
    Ok(Some(scenarios))
}

fn curve(file: &Path) -> Result<MeasuredCurve, UserError> {
    let fault = |error: String| {
        let what = format!("the measured curve `{}`: {error}", shown(file));
        let help =
            "JSON such as {\"name\": \"dev\", \"clients\": 100, \"live\": [[0, 0], [5000, 100]]}";
        UserError::new(what, help)
    };
    let text = read_text(file, INPUT_BYTES).map_err(|error| fault(error.to_string()))?;
    MeasuredCurve::parse(&text).map_err(fault)
}

/// Runs all scenarios, as many at a time as there are processors, until they are done or a signal
/// ends them.
fn run_all(
    scenarios: Vec<(String, RecoveryScenario)>,
) -> anyhow::Result<Result<Vec<NamedRun>, InterruptedRun>> {
    let stop = AtomicBool::new(false);
    let all: u64 = scenarios
        .iter()
        .map(|(_, scenario)| u64::from(scenario.until_ms))
        .sum();
    let bar = progress::bar(
        all / 1_000,
        "{msg} [{bar:30}] {pos} of {len} s at the most, {elapsed}",
        "simulating",
    );
    let watch = |progress: RunProgress| {
        if progress.now_ms > 0 {
            bar.inc(1);
        }
        !stop.load(Relaxed)
    };
    let at_a_time = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut runs = Vec::new();
        for some in scenarios.chunks(at_a_time) {
            let done: Vec<_> = thread::scope(|scope| {
                let watch = &watch;
                let started: Vec<_> = some
                    .iter()
                    .map(|(_, scenario)| {
                        scope.spawn(move || simulate(scenario, &mut |progress| watch(progress)))
                    })
                    .collect();
                started
                    .into_iter()
                    .map(thread::ScopedJoinHandle::join)
                    .collect()
            });
            for ((label, _), outcome) in some.iter().zip(done) {
                let outcome = match outcome {
                    Ok(outcome) => outcome?,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                runs.push(NamedRun {
                    label: label.clone(),
                    outcome,
                });
            }
        }
        Ok(runs)
    };
    let runs = thread::scope(|scope| {
        let (done, ended) = tokio::sync::oneshot::channel();
        let work = scope.spawn(move || {
            let runs = work();
            // The wait for a signal is over.
            let _ = done.send(());
            runs
        });
        runtime::block_on(async {
            tokio::select! {
                _ = ended => {}
                _ = tokio::signal::ctrl_c() => stop.store(true, Relaxed),
            }
        })?;
        match work.join() {
            Ok(runs) => anyhow::Ok(runs),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    bar.finish_and_clear();
    runs
}

#[cfg(test)]
mod tests;
