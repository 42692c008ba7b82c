//! Figures as a table, with a verdict for each target.

use std::fmt::Write as _;

use super::round::Figures;

/// The most that a waiting poll may cost, with all that the process has besides: 200 MB for 5,000,
/// 400 MB for 10,000.
const BYTES_A_POLL: u64 = 40_000;

/// Delay of a poll behind a WebSocket client at the 99th percentile, at most.
const LATER_MS: f64 = 20.0;

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(at.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn is_small(figures: &Figures) -> bool {
    figures.waiting <= BYTES_A_POLL * figures.polls as u64
}

fn is_fast(figures: &Figures) -> bool {
    let later =
        percentile(&figures.poll_latencies, 99) - percentile(&figures.websocket_latencies, 99);
    later <= LATER_MS
}

fn is_whole(figures: &Figures) -> bool {
    figures.poll_latencies.len() >= figures.events
        && figures.websocket_latencies.len() >= figures.events
}

/// Returns `true` where every target of a round is met.
pub(crate) fn is_met(figures: &Figures) -> bool {
    is_small(figures) && is_fast(figures) && is_whole(figures)
}

/// The table.
pub(crate) fn text(rounds: &[Figures]) -> String {
    let mut out = String::new();
    let word = |holds: bool| if holds { "met" } else { "missed" };
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    // A String takes everything.
    let _ = writeln!(
        out,
        "| waiting polls | empty, MB | waiting, MB | kB a poll | memory | poll p50, ms | p99 | WebSocket p50, ms | p99 | latency | lost |\n\
         | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- | --- |"
    );
    for one in rounds {
        let a_poll = one.waiting.saturating_sub(one.empty) as f64 / one.polls as f64 / 1e3;
        let (poll, websocket) = (&one.poll_latencies, &one.websocket_latencies);
        let _ = writeln!(
            out,
            "| {} | {:.1} | {:.1} | {a_poll:.1} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {} | {} |",
            one.polls,
            megabytes(one.empty),
            megabytes(one.waiting),
            word(is_small(one)),
            percentile(poll, 50),
            percentile(poll, 99),
            percentile(websocket, 50),
            percentile(websocket, 99),
            word(is_fast(one)),
            if is_whole(one) { "none" } else { "some" },
        );
    }
    out
}
