//! Why a pattern does not match an event: which field, which values were there, what was asked for.

use std::fmt;

use super::Pattern;
use super::compile::Rule;
use super::matching::{BudgetExceeded, PatternSet};
use super::tree::quoted;
use crate::event::fields::Fields;
use crate::event::scanned::{Kind, Scanned, Value};

/// How many values of a field are told at most.
const VALUES: usize = 5;

/// Why one alternative of a pattern does not hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Mismatch {
    /// The event does not have the field.
    Missing {
        /// The field's path.
        field: String,
        /// What was asked for, as written.
        wanted: String,
    },
    /// The field has values, but none that is asked for.
    Value {
        /// The field's path.
        field: String,
        /// What was asked for, as written.
        wanted: String,
        /// Some of the values, as JSON.
        found: Vec<String>,
    },
    /// Each field alone holds, but only with values from different elements of an array.
    Elements {
        /// The fields' paths.
        fields: Vec<String>,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field, wanted } => {
                write!(f, "the event has no `{field}`; wanted {wanted}")
            }
            Self::Value {
                field,
                wanted,
                found,
            } => {
                write!(f, "`{field}` is {}; wanted {wanted}", found.join(", "))
            }
            Self::Elements { fields } => write!(
                f,
                "`{}` hold each by itself, but not in the same array elements",
                fields.join("`, `")
            ),
        }
    }
}

/// The answer for one pattern and one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the pattern matches.
    pub matches: bool,
    /// If not, why: one reason for each alternative that `$or` makes.
    pub mismatches: Vec<Mismatch>,
}

/// A pattern with the fields to scan for, ready to be asked about events.
#[derive(Debug)]
pub struct Explainer<'p> {
    pattern: &'p Pattern,
    set: PatternSet,
    fields: Fields,
}

impl<'p> Explainer<'p> {
    /// Prepares a pattern.
    pub fn new(pattern: &'p Pattern) -> Self {
        let mut fields = Fields::new();
        let set = PatternSet::compile([pattern], &mut fields);
        Self {
            pattern,
            set,
            fields,
        }
    }

    /// The fields that an event has to be scanned for.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Whether the pattern matches an event that was scanned for [`fields`](Self::fields), and if not, why.
    ///
    /// # Errors
    /// [`BudgetExceeded`] as for [`PatternSet::matching`].
    pub fn explain(&self, event: &Scanned) -> Result<Explanation, BudgetExceeded> {
        let mut found = Vec::new();
        self.set.matching(event, &mut found)?;
        let matches = !found.is_empty();
        let mismatches = if matches {
            Vec::new()
        } else {
            let rules = &self.pattern.rules;
            rules
                .iter()
                .map(|rule| self.mismatch(rule, event))
                .collect()
        };
        Ok(Explanation {
            matches,
            mismatches,
        })
    }

    fn mismatch(&self, rule: &Rule, event: &Scanned) -> Mismatch {
        for (path, leaf) in &rule.fields {
            let (Some(leaf), Some(field)) =
                (self.pattern.leaves.get(*leaf), self.fields.find(path))
            else {
                continue;
            };
            let values: Vec<_> = event
                .values(field)
                .filter(|value| value.kind.is_leaf())
                .collect();
            let holds = values.iter().any(|value| leaf.accepts(value))
                || (values.is_empty() && leaf.may_be_absent);
            let (field, wanted) = (path.to_string(), leaf.written.to_string());
            if !holds && values.is_empty() {
                return Mismatch::Missing { field, wanted };
            }
            if !holds {
                let found = values.iter().take(VALUES).map(json).collect();
                return Mismatch::Value {
                    field,
                    wanted,
                    found,
                };
            }
        }
        let fields = rule.fields.iter().map(|(path, _)| path.to_string());
        Mismatch::Elements {
            fields: fields.collect(),
        }
    }
}

fn json(value: &Value<'_>) -> String {
    match value.kind {
        Kind::String => quoted(value.text),
        _ => String::from_utf8_lossy(value.text).into_owned(),
    }
}
