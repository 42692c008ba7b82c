//! What is wrong with a configuration: every fault with its place, the value, what is accepted, and what to do.

use std::fmt;

use serde::Serialize;

use crate::event::pattern::tree::TextPosition;

/// One finding about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// Which rule, from a closed set, such as `unknown-key`.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// Where the value comes from.
    pub place: Place,
    /// The key's path, such as `routes[2].to[0]`.
    pub key: String,
    /// What would be right, where that can be told.
    pub accepted: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
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

impl Place {
    /// A place in a file.
    pub fn file(file: &str, at: TextPosition) -> Self {
        Self::File {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Override { name } => f.write_str(name),
        }
    }
}
