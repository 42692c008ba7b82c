//! The answer for people: lines for a terminal, and one HTML page that needs nothing else.
//!
//! The same outcomes give the same bytes.

mod html;
mod panel;
mod plot;
mod text;

use super::measured::{CurveDifference, MeasuredCurve};
use super::outcome::SimulationOutcome;

/// One run, and its differences from the scenario as written.
#[derive(Clone, Debug)]
pub struct NamedRun {
    /// The settings of a variant; `as written` for the scenario itself.
    pub label: String,
    /// The result.
    pub outcome: SimulationOutcome,
}

/// Everything that a report is made of. The first run is the scenario as written.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryReport<'r> {
    /// The runs.
    pub runs: &'r [NamedRun],
    /// A curve of real clients.
    pub measured: Option<&'r MeasuredCurve>,
}

impl RecoveryReport<'_> {
    /// Lines for a terminal.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// An HTML page with plots.
    pub fn html(&self) -> String {
        html::html(self)
    }

    /// The measured curve against the scenario as written.
    pub fn differences(&self) -> Vec<CurveDifference> {
        match (self.measured, self.runs.first()) {
            (Some(measured), Some(run)) => measured.differences(&run.outcome),
            _ => Vec::new(),
        }
    }
}

/// A time such as `5m 36s`, `47.3s` or `1h 2m`.
fn shown_time(ms: u32) -> String {
    match ms {
        0..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{}m {}s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{}h {}m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// A number with commas: `1,000,000`.
fn shown_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A time, or `never`.
fn shown_until(ms: Option<u32>) -> String {
    ms.map_or_else(|| "never".to_owned(), shown_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts() {
        assert_eq!(shown_time(47_390), "47.3s");
        assert_eq!(shown_time(336_000), "5m 36s");
        assert_eq!(shown_time(3_720_000), "1h 2m");
        assert_eq!(shown_count(0), "0");
        assert_eq!(shown_count(999), "999");
        assert_eq!(shown_count(1_234_567), "1,234,567");
    }
}
