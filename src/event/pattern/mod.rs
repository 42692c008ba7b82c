//! The event-pattern language of EventBridge: which events a route takes.
//!
//! Follows the EventBridge user guide ("Creating event patterns", "Comparison operators") and, where the guide is silent,
//! the verdicts of AWS's own matcher, aws/event-ruler. A pattern is read into a tree ([`tree`]), checked and compiled
//! ([`Pattern`]), and matched together with all other patterns against one scan of an event ([`matching`]).
//!
//! Two quirks of event-ruler are left out on purpose: `0.0.0.0/0` and `::/0` do not match numbers or addresses of the
//! other family, and case is ignored for all characters alike, also those outside the basic plane.

mod address;
mod anything_but;
mod compile;
mod example;
pub mod explain;
mod expression;
mod lint;
pub mod matching;
mod number;
mod numeric;
mod operator;
mod text;
pub mod tree;

use std::fmt;

use compile::CompiledAlternative;
use operator::FieldTest;
use tree::{TextPosition, TreeValue};

/// The most alternatives that `$or` may multiply to (EventBridge user guide: a pattern with more than 1,000 combinations is
/// refused).
pub const MAX_ALTERNATIVES: usize = 1_000;

/// The most fields that a pattern may name, and the most values and operators that it may ask for. EventBridge takes patterns
/// of 4,096 characters (EventBridge API reference, PutRule), which have room for some hundreds; a search goes one call deeper
/// for each field.
pub const MAX_FIELDS: usize = 1_000;
/// See [`MAX_FIELDS`].
pub const MAX_VALUES: usize = 10_000;

/// The most fields of all alternatives together.
pub const MAX_FIELDS_OF_ALTERNATIVES: usize = 500_000;

/// The longest wildcard, in bytes: four times the longest pattern that EventBridge takes.
pub const MAX_WILDCARD_BYTES: usize = 16_384;

/// A checked event pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The pattern as written.
    tree: TreeValue,
    /// Tests of the named fields; alternatives share them.
    leaves: Vec<FieldTest>,
    /// The alternatives that `$or` expands to; without `$or` there is one.
    rules: Vec<CompiledAlternative>,
    warnings: Vec<PatternWarning>,
}

impl Pattern {
    /// Reads a pattern from JSON text.
    ///
    /// # Errors
    /// [`PatternError`] with AWS's own words and the place in the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let node = TreeValue::parse(text).map_err(|error| PatternError {
            reason: error.to_string(),
            path: String::new(),
            at: error.at,
            help: None,
        })?;
        let mut pattern = Self::from_tree(&node)?;
        pattern.warnings.extend(lint::length(text));
        Ok(pattern)
    }

    /// Checks a pattern that was read elsewhere, such as from a part of a YAML file.
    ///
    /// # Errors
    /// [`PatternError`] with AWS's own words and the place of the node that is at fault.
    pub fn from_tree(node: &TreeValue) -> Result<Self, PatternError> {
        let (leaves, rules) = compile::compile(node)?;
        let warnings = lint::leaves(&leaves);
        Ok(Self {
            tree: node.clone(),
            leaves,
            rules,
            warnings,
        })
    }

    /// The pattern as written: numbers keep their spelling, and nodes their places.
    pub fn tree(&self) -> &TreeValue {
        &self.tree
    }

    /// The complexity of the wildcards of the field where they are most complex together; 0 without
    /// wildcards. EventBridge refuses rules that are too complex.
    pub fn wildcard_complexity(&self) -> usize {
        let of_field = |leaf: &FieldTest| {
            let wildcards = leaf.wildcards.iter();
            wildcards.map(|(wildcard, _)| wildcard.complexity()).sum()
        };
        self.leaves.iter().map(of_field).max().unwrap_or(0)
    }

    /// Warnings: EventBridge may object to the pattern, although it is right.
    pub fn warnings(&self) -> &[PatternWarning] {
        &self.warnings
    }
}

/// Reason why a pattern is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// AWS's description of such a pattern's fault, without its opening words.
    pub reason: String,
    /// The field at fault, such as `detail.state[0]`; empty for the pattern as a whole.
    pub path: String,
    /// Position of the fault.
    pub at: TextPosition,
    /// Advice on how to mend it, if there is any.
    pub help: Option<String>,
}

impl PatternError {
    /// The first line of the error that EventBridge's API gives.
    pub fn aws_text(&self) -> String {
        format!("Event pattern is not valid. Reason: {}", self.reason)
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TextPosition { line, column } = self.at;
        write!(f, "{} (line {line}, column {column}", self.aws_text())?;
        if !self.path.is_empty() {
            write!(f, ", at `{}`", self.path)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for PatternError {}

/// Something about a valid pattern that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternWarning {
    /// One line.
    pub message: String,
    /// The field concerned; empty for the pattern as a whole.
    pub path: String,
    /// Position of the concern in the pattern.
    pub at: TextPosition,
}

#[cfg(test)]
mod tests;
