//! Explanation of a pattern that does not match an event: the field, its values in the event, and
//! the values asked for.

use std::fmt;

use super::Pattern;
use super::compile::CompiledAlternative;
use super::matching::{BudgetExceeded, PatternSet};
use super::tree::quoted;
use crate::event::envelope::Envelope;
use crate::event::fields::FieldTrie;
use crate::event::path_probe::PathProbe;
use crate::event::scanned::{CapturedFields, CapturedValue, ValueKind};

/// Maximum number of values of a field in an explanation.
const VALUES: usize = 5;

/// Reason why one alternative of a pattern does not hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum PatternMismatch {
    /// The event does not have the field.
    Missing {
        /// The field's path.
        field: String,
        /// The condition on the field, as written.
        wanted: String,
    },
    /// The path of the field ends at something that is no value for a pattern: an object, an empty array, or a value that has
    /// no members.
    Shape {
        /// The field's path.
        field: String,
        /// The condition on the field, as written.
        wanted: String,
        /// The place where the path ends, such as `detail.items[0]`.
        place: String,
        /// The value at that place, in words.
        found: String,
    },
    /// The field has values, but none that is asked for.
    Value {
        /// The field's path.
        field: String,
        /// The condition on the field, as written.
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

/// Returns `true` if a place, which may have indices of elements, is that of the field as a whole.
fn is_whole(field: &str, place: &str) -> bool {
    let depth = |path: &str| path.split('.').count();
    depth(field) == depth(place)
}

impl fmt::Display for PatternMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field, wanted } => {
                write!(f, "the event has no `{field}`; wanted {wanted}")
            }
            Self::Shape {
                field,
                wanted,
                place,
                found,
            } => {
                let note = match &**found {
                    "an object" if is_whole(field, place) => {
                        ", and patterns match only the values in it"
                    }
                    "an object" => "",
                    "an empty array" => ", which counts as absent",
                    _ => ", not an object",
                };
                write!(f, "`{place}` is {found}{note}; wanted {wanted}")
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
pub struct PatternExplanation {
    /// `true` if the pattern matches.
    pub matches: bool,
    /// If not, why: one reason for each alternative that `$or` makes.
    pub mismatches: Vec<PatternMismatch>,
}

/// A pattern with the fields to scan for, ready to be asked about events.
#[derive(Debug)]
pub struct PatternExplainer<'p> {
    pattern: &'p Pattern,
    set: PatternSet,
    fields: FieldTrie,
    envelope: Envelope,
}

impl<'p> PatternExplainer<'p> {
    /// Prepares a pattern for events whose members have the names that the pattern gives them.
    pub fn new(pattern: &'p Pattern) -> Self {
        let mut fields = FieldTrie::new();
        let set = PatternSet::compile([pattern], &mut fields);
        Self {
            pattern,
            set,
            fields,
            envelope: Envelope::Raw,
        }
    }

    /// Lets reasons find the names that an envelope gives the members.
    #[must_use]
    pub fn with_envelope(self, envelope: Envelope) -> Self {
        Self { envelope, ..self }
    }

    /// The fields that an event has to be scanned for.
    pub fn fields(&self) -> &FieldTrie {
        &self.fields
    }

    /// Matches an event that was scanned for [`fields`](Self::fields), and explains a mismatch.
    ///
    /// # Errors
    /// [`BudgetExceeded`] as for [`PatternSet::matching`].
    pub fn explain(&self, event: &CapturedFields) -> Result<PatternExplanation, BudgetExceeded> {
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
        Ok(PatternExplanation {
            matches,
            mismatches,
        })
    }

    fn mismatch(&self, rule: &CompiledAlternative, event: &CapturedFields) -> PatternMismatch {
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
                let ends = PathProbe::new(path, self.envelope).dead_ends(event.body(), &[]);
                let end = ends.blocked.or(ends.first);
                return match end.and_then(|end| Some((end.place, end.found?))) {
                    None => PatternMismatch::Missing { field, wanted },
                    Some((place, found)) => PatternMismatch::Shape {
                        field,
                        wanted,
                        place,
                        found,
                    },
                };
            }
            if !holds {
                let found = values.iter().take(VALUES).map(json).collect();
                return PatternMismatch::Value {
                    field,
                    wanted,
                    found,
                };
            }
        }
        let fields = rule.fields.iter().map(|(path, _)| path.to_string());
        PatternMismatch::Elements {
            fields: fields.collect(),
        }
    }
}

fn json(value: &CapturedValue<'_>) -> String {
    match value.kind {
        ValueKind::String => quoted(value.text),
        _ => String::from_utf8_lossy(value.text).into_owned(),
    }
}
