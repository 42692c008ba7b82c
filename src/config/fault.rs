//! Faults of a configuration: each with its place, the value, the accepted values, and the fix.

use std::fmt;

use serde::Serialize;

use crate::event::pattern::tree::TextPosition;

/// One finding about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Severity, which decides whether the configuration can be used.
    pub severity: Severity,
    /// Rule that is broken, from a closed set, such as `unknown-key`.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// Source of the value.
    pub place: ValuePlace,
    /// The key's path, such as `routes[2].to[0]`.
    pub key: String,
    /// Accepted values, where they are known.
    pub accepted: Option<String>,
    /// Advice on the fix.
    pub help: Option<String>,
}

/// Gravity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// Source of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ValuePlace {
    /// A place in the file, counted from 1, columns in characters.
    File {
        /// The file's name as it was given.
        file: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable or a flag.
    Override {
        /// Its name, such as `EVENTCAST_ENVIRONMENT` or `--set environment`.
        name: String,
    },
}

impl ValuePlace {
    /// A place in a file.
    pub fn file(file: &str, at: TextPosition) -> Self {
        Self::File {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
        }
    }
}

impl fmt::Display for ValuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Override { name } => f.write_str(name),
        }
    }
}
