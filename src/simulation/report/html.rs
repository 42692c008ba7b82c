//! One HTML page: tables, plots, assumptions. No script, and nothing that is fetched.

use std::fmt::Write as _;

use super::plot::escaped;
use super::{NamedRun, RecoveryReport, panel, shown_count, shown_time, shown_until};
use crate::simulation::assumption::assumptions;
use crate::simulation::outcome::{LIVE_PERCENTS, LossCause};

const STYLE: &str = "\
:root{color-scheme:light;font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
body{max-width:920px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.4rem 0 .2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;border-bottom:1px solid #d8dde3;text-align:right}
th:first-child,td:first-child{text-align:left}th{font-weight:600}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:#4a5360}
path{fill:none;stroke-width:1.8;stroke-linejoin:round}.grid{stroke:#e4e8ec}.tick{stroke:#98a1ab}.band{fill:#f2d9d2}
.legend{margin:.2rem 0 0 74px;font-size:.87rem}.legend span{margin-right:1.4rem;white-space:nowrap}.key{width:24px;height:8px;display:inline-block;margin-right:.4rem}
.note{color:#4a5360}.wrong{color:#a11;font-weight:600}pre{background:#f5f7f9;padding:.8rem;overflow:auto;font-size:.85rem}";

pub(super) fn html(report: &RecoveryReport<'_>) -> String {
    let Some(first) = report.runs.first() else {
        return String::new();
    };
    let scenario = &first.outcome.scenario;
    let name = escaped(&scenario.name);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
    );
    // A String takes everything.
    let _ = writeln!(
        out,
        "<p class=\"note\">A simulation by eventcast: {} clients, seed {}. Shaded times are those of disturbances.</p>",
        shown_count(u64::from(scenario.clients.count)),
        scenario.seed
    );
    violations(report, &mut out);
    recoveries(report, &mut out);
    measured(report, &mut out);
    counts(report, &mut out);
    losses(report, &mut out);
    out.push_str("<h2>Over time</h2>\n");
    for plot in panel::plots(report) {
        let _ = writeln!(out, "<h3>{}</h3>\n{}", escaped(&plot.title), plot.svg());
    }
    out.push_str("<h2>Assumptions</h2>\n<ul>\n");
    for assumption in assumptions(scenario) {
        let _ = writeln!(out, "<li>{}</li>", escaped(&assumption));
    }
    out.push_str(
        "</ul>\n<h2>Scenario</h2>\n<details><summary>All values in effect</summary>\n<pre>",
    );
    let values = serde_json::to_string_pretty(scenario).unwrap_or_default();
    let _ = writeln!(
        out,
        "{}</pre></details>\n</body>\n</html>",
        escaped(&values)
    );
    out
}

fn violations(report: &RecoveryReport<'_>, out: &mut String) {
    for run in report.runs {
        for violation in &run.outcome.violations {
            let _ = writeln!(
                out,
                "<p class=\"wrong\">The model is at fault ({}): {}</p>",
                escaped(&run.label),
                escaped(violation)
            );
        }
    }
}

fn table(out: &mut String, head: &[String], rows: &[Vec<String>]) {
    let row = |cells: &[String], cell: &str| {
        let cells = cells
            .iter()
            .map(|text| format!("<{cell}>{}</{cell}>", escaped(text)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = rows.iter().map(|cells| row(cells, "td")).collect();
    let _ = writeln!(out, "<table>\n{}{body}</table>", row(head, "th"));
}

fn recoveries(report: &RecoveryReport<'_>, out: &mut String) {
    let waves = report.runs.first().map_or(0, |run| run.outcome.waves.len());
    for at in 0..waves {
        let wave = |run: &NamedRun| run.outcome.waves.get(at).cloned();
        let Some(first) = report.runs.first().and_then(wave) else {
            continue;
        };
        let _ = writeln!(
            out,
            "<h2>Recovery: {}</h2>\n<p class=\"note\">{} at {}, over at {}; {} clients cut off. Times count from its end.</p>",
            escaped(&first.name),
            escaped(first.kind),
            shown_time(first.began_ms),
            shown_time(first.reachable_ms),
            shown_count(first.affected)
        );
        let head = ["live again".to_owned()].into_iter();
        let head: Vec<String> = head
            .chain(LIVE_PERCENTS.map(|percent| format!("{percent} %")))
            .collect();
        let rows = report.runs.iter().map(|run| {
            let until = wave(run).map(|wave| wave.until_live).unwrap_or_default();
            [run.label.clone()]
                .into_iter()
                .chain(until.map(shown_until))
                .collect()
        });
        table(out, &head, &rows.collect::<Vec<_>>());
    }
}

fn measured(report: &RecoveryReport<'_>, out: &mut String) {
    let differences = report.differences();
    let Some(curve) = report.measured.filter(|_| !differences.is_empty()) else {
        return;
    };
    let _ = writeln!(
        out,
        "<h2>Measured</h2>\n<p class=\"note\">{}: {} real clients.</p>",
        escaped(&curve.name),
        shown_count(curve.clients)
    );
    let head = ["live again", "measured", "model", "difference"].map(str::to_owned);
    let rows = differences.iter().map(|one| {
        let difference = one.difference_percent;
        vec![
            format!("{} %", one.percent),
            shown_until(one.measured_ms),
            shown_until(one.model_ms),
            difference.map_or_else(|| "-".to_owned(), |percent| format!("{percent:+.1} %")),
        ]
    });
    table(out, &head, &rows.collect::<Vec<_>>());
}

/// A row of a table with a column for each run: its name, and the cell of a run.
type RunRow<'r> = (&'r str, &'r dyn Fn(&NamedRun) -> String);

/// A table with a column for each run.
fn by_run(report: &RecoveryReport<'_>, out: &mut String, rows: &[RunRow<'_>]) {
    let labels = report.runs.iter().map(|run| run.label.clone());
    let head: Vec<String> = [String::new()].into_iter().chain(labels).collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, cell)| {
            let cells = report.runs.iter().map(cell);
            [(*name).to_owned()].into_iter().chain(cells).collect()
        })
        .collect();
    table(out, &head, &rows);
}

fn counts(report: &RecoveryReport<'_>, out: &mut String) {
    out.push_str("<h2>Clients and attempts</h2>\n");
    let count = |value: fn(&NamedRun) -> u64| move |run: &NamedRun| shown_count(value(run));
    by_run(
        report,
        out,
        &[
            ("live at the end", &count(|run| run.outcome.clients.live)),
            (
                "with channels missing",
                &count(|run| run.outcome.clients.partly),
            ),
            ("away", &count(|run| run.outcome.clients.away)),
            (
                "live, a channel shown as refused",
                &count(|run| run.outcome.clients.shown_refused),
            ),
            ("attempts", &count(|run| run.outcome.connects.attempts)),
            ("let in", &count(|run| run.outcome.connects.admitted)),
            (
                "without a broker",
                &count(|run| run.outcome.connects.unreachable),
            ),
            (
                "refused: CONNECT quota",
                &count(|run| run.outcome.connects.connect_quota),
            ),
            (
                "refused: client id too soon",
                &count(|run| run.outcome.connects.client_id),
            ),
            (
                "refused: authorizer without room",
                &count(|run| run.outcome.connects.authorizer_throttled),
            ),
            (
                "refused: authorizer too slow",
                &count(|run| run.outcome.connects.authorizer_timeout),
            ),
            (
                "refused: gateway",
                &count(|run| run.outcome.connects.gateway),
            ),
            (
                "filters granted",
                &count(|run| run.outcome.subscribes.granted),
            ),
            (
                "filters refused",
                &count(|run| run.outcome.subscribes.refused),
            ),
            (
                "authorizer calls at a time, most",
                &count(|run| u64::from(run.outcome.authorizer_peak)),
            ),
            ("ended at", &|run| shown_time(run.outcome.ended_ms)),
            ("settled", &|run| {
                if run.outcome.is_settled { "yes" } else { "no" }.to_owned()
            }),
        ],
    );
}

fn losses(report: &RecoveryReport<'_>, out: &mut String) {
    if report.runs.iter().all(|run| run.outcome.messages.is_none()) {
        return;
    }
    out.push_str("<h2>Messages and events</h2>\n");
    let message = |value: fn(&crate::simulation::outcome::MessageTotals) -> u64| {
        move |run: &NamedRun| shown_count(run.outcome.messages.as_ref().map_or(0, value))
    };
    let event = |value: fn(&crate::simulation::outcome::QueueTotals) -> u64| {
        move |run: &NamedRun| shown_count(run.outcome.events.as_ref().map_or(0, value))
    };
    by_run(
        report,
        out,
        &[
            (
                "messages to clients",
                &message(|messages| messages.addressed),
            ),
            ("delivered", &message(|messages| messages.delivered)),
            (
                "of these late, from a session",
                &message(|messages| messages.delivered_late),
            ),
            ("stored at the end", &message(|messages| messages.stored)),
            (
                "waiting for the outbound quota",
                &message(|messages| messages.waiting),
            ),
        ],
    );
    let labels = report.runs.iter().map(|run| run.label.clone());
    let head: Vec<String> = ["lost".to_owned()].into_iter().chain(labels).collect();
    let cell = |run: &NamedRun, cause: LossCause| {
        let lost = run
            .outcome
            .messages
            .iter()
            .flat_map(|messages| &messages.lost);
        let count = lost
            .filter(|one| one.cause == cause)
            .map(|one| one.count)
            .sum();
        shown_count(count)
    };
    let rows = LossCause::ALL.map(|cause| {
        let cells = report.runs.iter().map(|run| cell(run, cause));
        [cause.about().to_owned()]
            .into_iter()
            .chain(cells)
            .collect()
    });
    table(out, &head, &rows);
    by_run(
        report,
        out,
        &[
            ("events", &event(|events| events.arrived)),
            ("published", &event(|events| events.published)),
            ("dead letters", &event(|events| events.dead_lettered)),
            ("waiting at the end", &event(|events| events.waiting)),
            ("waiting, most", &event(|events| events.peak_backlog)),
            ("oldest, most", &|run| {
                shown_time(
                    run.outcome
                        .events
                        .as_ref()
                        .map_or(0, |events| events.peak_age_ms),
                )
            }),
            ("tasks, most", &event(|events| u64::from(events.peak_tasks))),
            ("redelivered", &event(|events| events.redelivered)),
            ("published twice", &event(|events| events.duplicates)),
        ],
    );
}
