//! Quantities in words for a person: times and money.

use super::quota_use::count;

/// A time: `0.4 s`, `45 s`, `5.6 min`, `2.8 h`, `3.1 days`.
pub fn seconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{} s", trimmed(value)),
        value if value < 120.0 => format!("{value:.0} s"),
        value if value < 7_200.0 => format!("{} min", trimmed(value / 60.0)),
        value if value < 172_800.0 => format!("{} h", trimmed(value / 3_600.0)),
        value if value.is_finite() => format!("{} days", trimmed(value / 86_400.0)),
        _ => "never".to_owned(),
    }
}

/// A time that may never come.
pub fn seconds_or_never(value: Option<f64>) -> String {
    seconds(value.unwrap_or(f64::INFINITY))
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.trim_end_matches(".0").to_owned()
}

/// Money in whole dollars, or with cents where it is little.
pub fn dollars(value: f64) -> String {
    if value.abs() < 100.0 {
        format!("${value:.2}")
    } else {
        format!("${}", count(value.round()))
    }
}
