//! Recovery of real clients from `eventcast dev`, for `eventcast simulate --measured`.
//! `bench/recovery/run` builds and runs this.
//!
//! So many clients of MQTT 5 connect to `eventcast dev` with the limits of a scenario, until all
//! have subscribed. Then every socket is closed at once, and each client comes back as
//! `browser/eventcast.js` does: the same full jitter, the same shortest time between two attempts.
//! The curve of those that are live again is written as JSON, and the model runs the same scenario
//! beside it.
//!
//! Exit status: 0 the model's time to 99 % live is within a tenth of the measured time, 1 it is
//! not, 2 it could not be run.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark: it prints, keeps the time of the real clock, and knows its own numbers"
)]

mod client;
#[path = "../interruptible.rs"]
mod interruptible;
mod platform;
#[allow(dead_code, reason = "the benchmark of limits uses the rest")]
#[path = "../limits/process.rs"]
mod process;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use eventcast::simulation::engine::simulate;
use eventcast::simulation::file::load;
use eventcast::simulation::measured::MeasuredCurve;
use eventcast::simulation::report::{NamedRun, RecoveryReport};
use eventcast::simulation::scenario::{DisturbanceKind, RecoveryScenario};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::client::RecoveringClient;
use self::platform::Platform;

/// The scenario without an argument.
const SCENARIO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/bench/scenarios/dev-recovery.yaml"
);

/// The difference of the time to 99 % live that is accepted, in per cent.
const MOST_DIFFERENCE: f64 = 10.0;

/// The time between two points of the curve.
const POINT: Duration = Duration::from_millis(100);

/// The pause between all clients being live and the cut, so that their failures are forgotten.
const STABLE: Duration = Duration::from_secs(31);

/// Recovery of real clients from eventcast dev.
#[derive(Debug, Parser)]
#[command(name = "bench/recovery/run")]
struct Arguments {
    /// The build that is measured
    #[arg(long, value_name = "BINARY")]
    eventcast: String,
    /// The scenario; one disconnect of all clients
    #[arg(long, value_name = "FILE", default_value = SCENARIO)]
    scenario: PathBuf,
    /// Set one value over the file, as eventcast simulate does (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the measured curve is written
    #[arg(long, value_name = "FILE", default_value = "measured.json")]
    curve: PathBuf,
    /// Where the report with both curves is written
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// State that all clients share.
pub(crate) struct Recovery {
    pub(crate) port: u16,
    pub(crate) scenario: RecoveryScenario,
    /// Live clients.
    pub(crate) live: Cell<u64>,
    /// The times at which clients were live again, after the cut.
    pub(crate) came: RefCell<Vec<Instant>>,
    /// Raised once, at the cut.
    pub(crate) cut: watch::Receiver<bool>,
    pub(crate) attempts: Cell<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    interruptible::run(measure(&arguments), |is_near| {
        ExitCode::from(u8::from(!is_near))
    })
}

fn scenario(arguments: &Arguments) -> anyhow::Result<RecoveryScenario> {
    let file = arguments.scenario.display().to_string();
    let text = std::fs::read_to_string(&file).context(file.clone())?;
    let scenario = load(&file, &text, &arguments.set).map_err(|faults| {
        let faults = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.place, fault.message));
        anyhow::Error::msg(faults.collect::<Vec<_>>().join("; "))
    })?;
    let kinds: Vec<&DisturbanceKind> = scenario.disturbances.iter().map(|one| &one.kind).collect();
    let [DisturbanceKind::Disconnect { percent: 100 }] = kinds[..] else {
        bail!("the scenario is not one `disconnect` of all clients");
    };
    ensure!(
        scenario.authorizer.is_none(),
        "eventcast dev has no authorizer's function"
    );
    Ok(scenario)
}

async fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let scenario = scenario(arguments)?;
    let clients = u64::from(scenario.clients.count);
    let platform = Platform::start(&arguments.eventcast, &scenario.limits).await?;
    let (raise, cut) = watch::channel(false);
    let recovery = Rc::new(Recovery {
        port: platform.mqtt,
        scenario: scenario.clone(),
        live: Cell::new(0),
        came: RefCell::new(Vec::new()),
        cut,
        attempts: Cell::new(0),
    });
    let mut tasks = JoinSet::new();
    for number in 0..scenario.clients.count {
        tasks.spawn_local(RecoveringClient::new(number, Rc::clone(&recovery)).run());
    }
    eprintln!("{clients} clients connect for the first time");
    wait(&mut tasks, &recovery, clients, scenario.until_ms).await?;
    sleep(STABLE).await;
    ensure!(
        recovery.live.get() == clients,
        "a connection was lost before the cut"
    );
    eprintln!("all are live; all connections are cut");
    recovery.attempts.set(0);
    let begin = Instant::now();
    raise.send(true)?;
    // Each client counts itself out before the first comes back: the cut reaches all in one turn.
    while recovery.live.get() == clients {
        tokio::task::yield_now().await;
    }
    wait(&mut tasks, &recovery, clients, scenario.until_ms).await?;
    let curve = curve(&recovery, begin, clients)?;
    std::fs::write(&arguments.curve, serde_json::to_string(&curve)?)?;
    eprintln!(
        "{} attempts; the curve is in {}",
        recovery.attempts.get(),
        arguments.curve.display()
    );
    compare(arguments, &scenario, &curve)
}

async fn wait(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    recovery: &Recovery,
    clients: u64,
    until_ms: u32,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    while recovery.live.get() < clients {
        if let Some(ended) = tasks.try_join_next() {
            ended??;
            bail!("a client ended");
        }
        ensure!(
            begin.elapsed() < Duration::from_millis(u64::from(until_ms)),
            "{} of {clients} clients are live",
            recovery.live.get()
        );
        sleep(POINT).await;
    }
    Ok(())
}

fn curve(recovery: &Recovery, begin: Instant, clients: u64) -> anyhow::Result<MeasuredCurve> {
    let mut times: Vec<u128> = recovery
        .came
        .borrow()
        .iter()
        .map(|came| (*came - begin).as_millis())
        .collect();
    times.sort_unstable();
    let last = times.last().copied().context("nobody came back")?;
    let mut live = Vec::new();
    let mut at = 0;
    while at < last + POINT.as_millis() {
        let count = times.partition_point(|time| *time <= at);
        live.push((u32::try_from(at)?, count as u64));
        at += POINT.as_millis();
    }
    Ok(MeasuredCurve {
        name: format!("eventcast dev, {clients} clients"),
        clients,
        live,
    })
}

/// The model beside the curve. Returns `true` where the time to 99 % live is near.
fn compare(
    arguments: &Arguments,
    scenario: &RecoveryScenario,
    curve: &MeasuredCurve,
) -> anyhow::Result<bool> {
    let outcome = simulate(scenario, &mut |_| true)?;
    let runs = [NamedRun {
        label: "model".to_owned(),
        outcome,
    }];
    let report = RecoveryReport {
        runs: &runs,
        measured: Some(curve),
    };
    print!("{}", report.text());
    if let Some(file) = &arguments.html {
        std::fs::write(file, report.html())?;
    }
    let differences = report.differences();
    let late = differences.iter().find(|one| one.percent == 99);
    let difference = late.and_then(|one| one.difference_percent);
    Ok(difference.is_some_and(|percent| percent.abs() <= MOST_DIFFERENCE))
}
