//! The plots of a report: one for each measure, with a line for each run.

use super::plot::{LinePlot, PlotLine};
use super::{NamedRun, RecoveryReport};
use crate::simulation::outcome::RunSample;

/// A measure: title, unit, value of a sample, and whether it is a count that becomes a rate.
type Measure = (&'static str, &'static str, fn(&RunSample) -> f64, bool);

const MEASURES: [Measure; 12] = [
    ("Live clients", "", |sample| sample.live as f64, false),
    (
        "Connected clients",
        "",
        |sample| sample.connected as f64,
        false,
    ),
    (
        "Attempts to connect, a second",
        "",
        |sample| sample.attempts as f64,
        true,
    ),
    (
        "Clients let in, a second",
        "",
        |sample| sample.admitted as f64,
        true,
    ),
    (
        "Attempts refused or without a broker, a second",
        "",
        |sample| sample.refused as f64,
        true,
    ),
    (
        "Filters granted, a second",
        "",
        |sample| sample.granted as f64,
        true,
    ),
    (
        "Filters refused, a second",
        "",
        |sample| sample.filters_refused as f64,
        true,
    ),
    (
        "Calls of the authorizer at a time",
        "",
        |sample| f64::from(sample.authorizer),
        false,
    ),
    (
        "Messages stored for clients that are away",
        "",
        |sample| sample.stored as f64,
        false,
    ),
    (
        "Events that wait in the queue",
        "",
        |sample| sample.backlog as f64,
        false,
    ),
    (
        "Age of the oldest event",
        "s",
        |sample| f64::from(sample.age_ms) / 1_000.0,
        false,
    ),
    (
        "Tasks of the bridge",
        "",
        |sample| f64::from(sample.tasks),
        false,
    ),
];

/// The plots that show something.
pub(super) fn plots(report: &RecoveryReport<'_>) -> Vec<LinePlot> {
    let mut plots: Vec<LinePlot> = measured(report).into_iter().collect();
    let all = MEASURES.iter().map(|measure| LinePlot {
        title: measure.0.to_owned(),
        unit: measure.1,
        lines: report.runs.iter().map(|run| line(run, measure)).collect(),
        bands: bands(report),
    });
    plots.extend(all.filter(|plot| !plot.is_empty()));
    plots
}

fn line(run: &NamedRun, (_, _, value, is_rate): &Measure) -> PlotLine {
    let series = &run.outcome.series;
    let every = f64::from(series.every_ms.max(1));
    let scale = if *is_rate { 1_000.0 / every } else { 1.0 };
    let points = series.samples.iter().zip(1_u32..);
    PlotLine {
        name: run.label.clone(),
        points: points
            .map(|(sample, number)| (f64::from(number) * every, value(sample) * scale))
            .collect(),
        is_measured: false,
    }
}

/// The times of the disturbances of the scenario as written.
fn bands(report: &RecoveryReport<'_>) -> Vec<(f64, f64)> {
    let Some(run) = report.runs.first() else {
        return Vec::new();
    };
    let scenario = &run.outcome.scenario;
    let tasks = scenario.gateway.as_ref().map_or(0, |gateway| gateway.tasks);
    let times = scenario.disturbances.iter().map(|one| {
        let end = one.at_ms.saturating_add(one.kind.lasts_ms(tasks));
        (f64::from(one.at_ms), f64::from(end))
    });
    times.collect()
}

/// Real clients and the model, both from the time at which the broker could be reached.
fn measured(report: &RecoveryReport<'_>) -> Option<LinePlot> {
    let curve = report.measured?;
    let run = report.runs.first()?;
    let wave = run.outcome.waves.first()?;
    let series = &run.outcome.series;
    let others = u64::from(run.outcome.scenario.clients.count) - wave.affected;
    let percent = |live: u64, of: u64| live as f64 * 100.0 / of.max(1) as f64;
    let model = series
        .samples
        .iter()
        .zip(1_u32..)
        .filter_map(|(sample, number)| {
            let ms = (number * series.every_ms).checked_sub(wave.reachable_ms)?;
            let live = sample.live.saturating_sub(others);
            Some((f64::from(ms), percent(live, wave.affected)))
        });
    let real = curve.live.iter();
    Some(LinePlot {
        title: "Live again: real clients and the model".to_owned(),
        unit: " %",
        lines: vec![
            PlotLine {
                name: "model".to_owned(),
                points: model.collect(),
                is_measured: false,
            },
            PlotLine {
                name: curve.name.clone(),
                points: real
                    .map(|(ms, live)| (f64::from(*ms), percent(*live, curve.clients)))
                    .collect(),
                is_measured: true,
            },
        ],
        bands: Vec::new(),
    })
}
