//! Data files of quotas and prices: a JSON object a line, each with its Regions, date and source.
//!
//! A later line wins over an earlier one of the same name in the same Region, so that a file of the
//! user's own can follow the built-in one. A line for `*` holds in Regions that no other line
//! names.

use std::fmt;

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The age, in days, from which on a line is worth looking up again.
pub const STALE_DAYS: i32 = 180;

/// The sign for all Regions that have no line of their own.
pub const ANY_REGION: &str = "*";

/// Trust in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineStanding {
    /// AWS's own documentation or price list says so.
    Stated,
    /// Other people say so.
    SecondHand,
    /// Known from memory or by analogy; it needs a look before it is relied on.
    Unverified,
}

/// Origin of a value: the part that lines of all files have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LineOrigin {
    /// Regions that the line is about, or `*`.
    pub regions: Vec<String>,
    /// Day on which the source was read.
    pub read: Date,
    /// Address of the source.
    pub source: String,
    /// Trust in it.
    pub standing: LineStanding,
}

impl LineOrigin {
    /// Fit of the line to a Region: 2 by name, 1 by `*`, 0 for none.
    pub(super) fn fit(&self, region: &str) -> u8 {
        let named = |wanted: &str| self.regions.iter().any(|known| known == wanted);
        if named(region) {
            2
        } else {
            u8::from(named(ANY_REGION))
        }
    }

    /// Returns `true` for a line that was read more than [`STALE_DAYS`] before `today`.
    pub fn is_stale(&self, today: Date) -> bool {
        (today - self.read).get_days() > STALE_DAYS
    }
}

/// A line that is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLineFault {
    /// The file's name.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// One line of text.
    pub message: String,
}

impl fmt::Display for DataLineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Reads all lines of a file, each with its number. Empty lines, and those that begin with `#`, are
/// comments; members of a line that are not among `members` are faults.
///
/// # Errors
/// All lines that are none.
pub fn read_lines<L: DeserializeOwned>(
    file: &str,
    text: &str,
    members: &[&str],
) -> Result<Vec<(usize, L)>, Vec<DataLineFault>> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match read_line(line, members) {
            Ok(line) => lines.push((index + 1, line)),
            Err(message) => faults.push(DataLineFault {
                file: file.to_owned(),
                line: index + 1,
                message,
            }),
        }
    }
    if faults.is_empty() {
        Ok(lines)
    } else {
        Err(faults)
    }
}

fn read_line<L: DeserializeOwned>(line: &str, members: &[&str]) -> Result<L, String> {
    // A position within one line says no more than the line.
    let without_place = |error: serde_json::Error| {
        let text = error.to_string();
        let end = text.find(" at line ").unwrap_or(text.len());
        text.chars().take(end).collect::<String>()
    };
    let found: Map<String, Value> = serde_json::from_str(line).map_err(without_place)?;
    let known = |member: &str| members.contains(&member) || ORIGIN.contains(&member);
    if let Some(unknown) = found.keys().find(|member| !known(member)) {
        let accepted: Vec<&str> = members.iter().chain(&ORIGIN).copied().collect();
        let accepted = accepted.join(", ");
        return Err(format!("unknown member `{unknown}`; accepted: {accepted}"));
    }
    serde_json::from_value(Value::Object(found)).map_err(without_place)
}

/// Members of [`LineOrigin`].
const ORIGIN: [&str; 4] = ["regions", "read", "source", "standing"];
