//! Quantities of load descriptions: counts such as `1M`, rates such as `50/d per client`, shares
//! such as `30 %`, sizes such as `4 KB`.

use std::fmt;

/// Rate of events or messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventRate {
    /// Number in a second, of all or of each client.
    per_second: f64,
    /// The rate is that of each client.
    is_per_client: bool,
}

impl EventRate {
    /// A rate that does not depend on the number of clients.
    pub const fn fixed(per_second: f64) -> Self {
        Self {
            per_second,
            is_per_client: false,
        }
    }

    /// A rate of each client.
    pub const fn per_client(per_second: f64) -> Self {
        Self {
            per_second,
            is_per_client: true,
        }
    }

    /// Number in a second, of so many clients.
    pub fn per_second(self, clients: f64) -> f64 {
        if self.is_per_client {
            self.per_second * clients
        } else {
            self.per_second
        }
    }
}

impl fmt::Display for EventRate {
    /// As a load description has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = if self.is_per_client {
            " per client"
        } else {
            ""
        };
        // By the day where it is seldom: a rate of a second would have many zeros.
        if self.per_second > 0.0 && self.per_second < 0.1 {
            write!(f, "{}/d{whom}", rounded(self.per_second * 86_400.0))
        } else {
            write!(f, "{}/s{whom}", rounded(self.per_second))
        }
    }
}

/// A number with as many digits as are of use.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A number that is finite and not below zero.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = text.parse().ok().filter(|_| is_plain)?;
    value.is_finite().then_some(value)
}

/// A count: a number, with `k`, `M` or `G` behind it where it is large.
pub(super) fn count(text: &str) -> Option<f64> {
    let (digits, factor) = match text.trim_end_matches(['k', 'M', 'G']) {
        digits if digits.len() == text.len() => (digits, 1.0),
        digits => match text.get(digits.len()..)? {
            "k" => (digits, 1e3),
            "M" => (digits, 1e6),
            "G" => (digits, 1e9),
            _ => return None,
        },
    };
    Some(number(digits.trim_end())? * factor)
}

/// A share: `30 %`, or a number from 0 to 1.
pub(super) fn share(text: &str) -> Option<f64> {
    let value = match text.strip_suffix('%') {
        Some(percent) => number(percent.trim_end())? / 100.0,
        None => number(text)?,
    };
    (0.0..=1.0).contains(&value).then_some(value)
}

/// A rate: a count, `/`, one of `s`, `m`, `h`, `d`, and `per client` where it is that of each.
pub(super) fn rate(text: &str) -> Option<EventRate> {
    let (text, is_per_client) = match text.strip_suffix("per client") {
        Some(text) => (text.trim_end(), true),
        None => (text, false),
    };
    let (events, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(EventRate {
        per_second: count(events.trim())? / seconds,
        is_per_client,
    })
}

/// A size in bytes: a number, with `B`, `KB` or `MB` behind it; a KB has 1,024 bytes, as AWS
/// counts.
pub(super) fn bytes(text: &str) -> Option<f64> {
    let units = [("MB", 1_048_576.0), ("KB", 1_024.0), ("B", 1.0)];
    let unit = units.into_iter().find(|(unit, _)| text.ends_with(unit));
    let (digits, factor) = match unit {
        Some((unit, factor)) => (text.strip_suffix(unit)?, factor),
        None => (text, 1.0),
    };
    Some(number(digits.trim_end())? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        for (text, expected) in [
            ("1M", Some(1e6)),
            ("2.5k", Some(2_500.0)),
            ("10 G", Some(1e10)),
            ("7", Some(7.0)),
            ("", None),
            ("M", None),
            ("1kk", None),
            ("-1", None),
            ("1e9", None),
            ("inf", None),
            ("NaN", None),
            ("+3", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
        for (text, expected) in [
            ("30 %", Some(0.3)),
            ("0.25", Some(0.25)),
            ("100%", Some(1.0)),
            ("101%", None),
            ("2", None),
        ] {
            assert_eq!(share(text), expected, "{text}");
        }
        for (text, expected) in [
            ("5/s", Some(EventRate::fixed(5.0))),
            ("120/m", Some(EventRate::fixed(2.0))),
            ("1M/d", Some(EventRate::fixed(1e6 / 86_400.0))),
            (
                "24/d per client",
                Some(EventRate::per_client(24.0 / 86_400.0)),
            ),
            ("5", None),
            ("5/w", None),
            ("/s", None),
            ("5/s per user", None),
        ] {
            assert_eq!(rate(text), expected, "{text}");
        }
        for (text, expected) in [
            ("900", Some(900.0)),
            ("4 KB", Some(4_096.0)),
            ("1MB", Some(1_048_576.0)),
            ("12B", Some(12.0)),
            ("12 kb", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "5/s",
            "20/d per client",
            "0/s",
            "12.5/s per client",
            "1440/d",
        ] {
            let read = rate(text).unwrap();
            assert_eq!(rate(&read.to_string()), Some(read), "{text}");
        }
    }
}
