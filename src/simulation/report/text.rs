//! Lines for a terminal.

use std::fmt::Write as _;

use super::{NamedRun, RecoveryReport, shown_count, shown_time, shown_until};
use crate::escape::escaped;
use crate::simulation::outcome::{LIVE_PERCENTS, SimulationOutcome};

pub(super) fn text(report: &RecoveryReport<'_>) -> String {
    let mut out = String::new();
    let Some(first) = report.runs.first() else {
        return out;
    };
    let scenario = &first.outcome.scenario;
    let clients = shown_count(u64::from(scenario.clients.count));
    // A String takes everything.
    let _ = writeln!(
        out,
        "{}: {clients} clients, seed {}",
        escaped(&scenario.name),
        scenario.seed
    );
    recoveries(report, &mut out);
    for run in report.runs {
        let _ = writeln!(out, "\n{}", escaped(&run.label));
        counts(&run.outcome, &mut out);
    }
    for one in report.differences() {
        let difference = one
            .difference_percent
            .map_or_else(|| "-".to_owned(), |percent| format!("{percent:+.1} %"));
        let _ = writeln!(
            out,
            "{}{:>3} % live: measured {}, model {}, difference {difference}",
            if one.percent == LIVE_PERCENTS[0] {
                "\n"
            } else {
                ""
            },
            one.percent,
            shown_until(one.measured_ms),
            shown_until(one.model_ms),
        );
    }
    out
}

/// A table for each disturbance that cut connections.
fn recoveries(report: &RecoveryReport<'_>, out: &mut String) {
    let width = report.runs.iter().map(|run| run.label.chars().count());
    let width = width.max().unwrap_or(0).clamp(10, 60);
    let waves = report.runs.first().map_or(0, |run| run.outcome.waves.len());
    for at in 0..waves {
        let wave = |run: &NamedRun| run.outcome.waves.get(at).cloned();
        let Some(first) = report.runs.first().and_then(wave) else {
            continue;
        };
        let lasted = match first.reachable_ms - first.began_ms {
            0 => String::new(),
            ms => format!(", for {}", shown_time(ms)),
        };
        let _ = writeln!(
            out,
            "\n{} ({}) at {}{lasted}: {} clients cut off",
            escaped(&first.name),
            first.kind,
            shown_time(first.began_ms),
            shown_count(first.affected)
        );
        let _ = write!(out, "  {:width$}", "live after");
        for percent in LIVE_PERCENTS {
            let _ = write!(out, "  {:>9}", format!("{percent} %"));
        }
        let _ = writeln!(out);
        for run in report.runs {
            let _ = write!(out, "  {:width$}", escaped(&run.label));
            let until = wave(run).map(|wave| wave.until_live);
            for ms in until.unwrap_or_default() {
                let _ = write!(out, "  {:>9}", shown_until(ms));
            }
            let _ = writeln!(out);
        }
    }
}

fn counts(outcome: &SimulationOutcome, out: &mut String) {
    let clients = &outcome.clients;
    let state = if outcome.is_settled {
        "settled"
    } else {
        "not settled"
    };
    let _ = writeln!(
        out,
        "  ended {state} at {}: {} live, {} with channels missing, {} away",
        shown_time(outcome.ended_ms),
        shown_count(clients.live),
        shown_count(clients.partly),
        shown_count(clients.away)
    );
    if clients.shown_refused > 0 {
        let _ = writeln!(
            out,
            "  {} live clients show a channel as refused that the broker delivers",
            shown_count(clients.shown_refused)
        );
    }
    let connects = &outcome.connects;
    let refusals = [
        ("broker away", connects.unreachable),
        ("CONNECT quota", connects.connect_quota),
        ("client id", connects.client_id),
        ("authorizer without room", connects.authorizer_throttled),
        ("authorizer too slow", connects.authorizer_timeout),
        ("gateway", connects.gateway),
    ];
    let _ = writeln!(
        out,
        "  {} attempts, {} let in{}",
        shown_count(connects.attempts),
        shown_count(connects.admitted),
        listed(&refusals)
    );
    let _ = writeln!(
        out,
        "  {} filters granted, {} refused",
        shown_count(outcome.subscribes.granted),
        shown_count(outcome.subscribes.refused)
    );
    if outcome.authorizer_peak > 0 {
        let peak = shown_count(u64::from(outcome.authorizer_peak));
        let _ = writeln!(out, "  authorizer: {peak} calls at a time at the most");
    }
    if let Some(messages) = &outcome.messages {
        let lost: Vec<_> = messages
            .lost
            .iter()
            .map(|one| (one.cause.about(), one.count))
            .collect();
        let _ = writeln!(
            out,
            "  {} messages to clients: {} delivered ({} late), {} stored, {} waiting, {} lost{}",
            shown_count(messages.addressed),
            shown_count(messages.delivered),
            shown_count(messages.delivered_late),
            shown_count(messages.stored),
            shown_count(messages.waiting),
            shown_count(messages.all_lost()),
            listed(&lost)
        );
    }
    if let Some(events) = &outcome.events {
        let _ = writeln!(
            out,
            "  {} events: {} published, {} dead letters, {} waiting; at the most {} waiting, the oldest {}, {} tasks",
            shown_count(events.arrived),
            shown_count(events.published),
            shown_count(events.dead_lettered),
            shown_count(events.waiting),
            shown_count(events.peak_backlog),
            shown_time(events.peak_age_ms),
            events.peak_tasks
        );
        if events.duplicates + events.redelivered > 0 {
            let _ = writeln!(
                out,
                "  {} redelivered, {} published twice",
                shown_count(events.redelivered),
                shown_count(events.duplicates)
            );
        }
    }
}

/// Counts that are not zero, in brackets.
fn listed(counts: &[(&str, u64)]) -> String {
    let some: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {}", shown_count(*count)))
        .collect();
    if some.is_empty() {
        String::new()
    } else {
        format!(" ({})", some.join(", "))
    }
}
