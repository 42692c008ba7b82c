//! Many patterns against one event.
//!
//! Each alternative of each pattern that asks some field for exact strings is found by looking up the event's value of that
//! field, so that a thousand routes which differ in their source or type cost little more than one; the rest is tried one by
//! one. An alternative holds when each of its fields has a value that is asked for, and the values do not come from
//! different elements of one array.

use rustc_hash::FxHashMap;

use super::Pattern;
use super::operator::FieldTest;
use crate::event::fields::{FieldId, FieldTrie};
use crate::event::scanned::{ArrayBindings, CapturedFields};

/// Maximum number of values to look at for one event and set of patterns before matching gives up.
/// Sibling arrays multiply, so without a bound a hostile event could hold the daemon; ordinary
/// events need some tens of steps a pattern.
pub const STEPS: u32 = 100_000;

/// Matching took more steps than it was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("matching took more than {STEPS} steps: the event's arrays multiply too far")]
pub struct BudgetExceeded;

/// A set of patterns, compiled against the fields that a scan captures.
#[derive(Clone, Debug)]
pub struct PatternSet {
    rules: Vec<CompiledFields>,
    leaves: Vec<FieldTest>,
    /// For each field that some alternative is found by: its exact strings, and the alternatives that ask for each.
    index: Vec<(FieldId, ByText)>,
    /// Alternatives that cannot be looked up.
    scanned: Vec<u32>,
}

/// The alternatives that ask for each of some exact strings.
type ByText = FxHashMap<Box<[u8]>, Vec<u32>>;

/// One alternative of one pattern.
#[derive(Clone, Debug)]
struct CompiledFields {
    pattern: usize,
    /// In the order of paths.
    fields: Box<[(FieldId, u32)]>,
}

impl PatternSet {
    /// Compiles patterns, asking `fields` for all that they name.
    pub fn compile<'p>(
        patterns: impl IntoIterator<Item = &'p Pattern>,
        fields: &mut FieldTrie,
    ) -> Self {
        let mut set = Self {
            rules: Vec::new(),
            leaves: Vec::new(),
            index: Vec::new(),
            scanned: Vec::new(),
        };
        for (index, pattern) in patterns.into_iter().enumerate() {
            let offset = set.leaves.len();
            set.leaves.extend(pattern.leaves.iter().cloned());
            for rule in &pattern.rules {
                let fields = rule
                    .fields
                    .iter()
                    .map(|(path, leaf)| (fields.add(path), (offset + leaf) as u32))
                    .collect();
                set.rules.push(CompiledFields {
                    pattern: index,
                    fields,
                });
            }
        }
        set.build_index();
        set
    }

    /// Replaces `out` by the places, in the compiled order, of all patterns that match: ascending, once each.
    ///
    /// # Errors
    /// [`BudgetExceeded`] when more than [`STEPS`] steps were needed; nothing is known of the event then.
    pub fn matching(
        &self,
        event: &CapturedFields,
        out: &mut Vec<usize>,
    ) -> Result<(), BudgetExceeded> {
        out.clear();
        let mut steps = STEPS;
        for &rule in &self.scanned {
            self.try_rule(rule, event, &mut steps, out)?;
        }
        for (field, texts) in &self.index {
            for value in event.values(*field) {
                let rules = texts.get(value.text).map_or(&[][..], Vec::as_slice);
                for &rule in rules {
                    self.try_rule(rule, event, &mut steps, out)?;
                }
            }
        }
        out.sort_unstable();
        out.dedup();
        Ok(())
    }

    fn try_rule(
        &self,
        rule: u32,
        event: &CapturedFields,
        steps: &mut u32,
        out: &mut Vec<usize>,
    ) -> Result<(), BudgetExceeded> {
        let Some(rule) = self.rules.get(rule as usize) else {
            return Ok(());
        };
        let mut walk = BindingSearch {
            leaves: &self.leaves,
            event,
            steps,
            chosen: ArrayBindings::default(),
        };
        if walk.holds(&rule.fields)? {
            out.push(rule.pattern);
        }
        Ok(())
    }

    /// Gives each alternative the field by which it is looked up: the one whose strings the fewest others ask for.
    fn build_index(&mut self) {
        let mut asked: FxHashMap<(FieldId, &[u8]), u32> = FxHashMap::default();
        for rule in &self.rules {
            for (field, texts) in lookups(rule, &self.leaves) {
                for text in texts {
                    *asked.entry((field, text)).or_default() += 1;
                }
            }
        }
        let mut index: FxHashMap<FieldId, ByText> = FxHashMap::default();
        let mut scanned = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let number = number as u32;
            let rivals = |(field, texts): &(FieldId, Vec<&[u8]>)| -> u32 {
                texts
                    .iter()
                    .map(|text| asked.get(&(*field, *text)).copied().unwrap_or_default())
                    .sum()
            };
            match lookups(rule, &self.leaves).min_by_key(rivals) {
                None => scanned.push(number),
                Some((field, texts)) => {
                    let entries = index.entry(field).or_default();
                    for text in texts {
                        let rules = entries.entry(text.into()).or_default();
                        if rules.last() != Some(&number) {
                            rules.push(number);
                        }
                    }
                }
            }
        }
        let mut index: Vec<_> = index.into_iter().collect();
        index.sort_unstable_by_key(|(field, _)| *field);
        self.scanned = scanned;
        self.index = index;
    }
}

/// The fields of an alternative that ask for nothing but exact strings.
fn lookups<'l>(
    rule: &CompiledFields,
    leaves: &'l [FieldTest],
) -> impl Iterator<Item = (FieldId, Vec<&'l [u8]>)> {
    rule.fields.iter().filter_map(|&(field, leaf)| {
        let texts = leaves.get(leaf as usize)?.exact_strings()?;
        Some((field, texts.collect()))
    })
}

/// A search for values that fit together.
struct BindingSearch<'w> {
    leaves: &'w [FieldTest],
    event: &'w CapturedFields,
    steps: &'w mut u32,
    chosen: ArrayBindings,
}

impl BindingSearch<'_> {
    fn holds(&mut self, fields: &[(FieldId, u32)]) -> Result<bool, BudgetExceeded> {
        let Some((&(field, leaf), rest)) = fields.split_first() else {
            return Ok(true);
        };
        let Some(leaf) = self.leaves.get(leaf as usize) else {
            return Ok(false);
        };
        let before = self.chosen.count();
        // Set once the rest was tried with nothing chosen in addition: it would fail again.
        let mut tried_unchanged = false;
        let mut absent = true;
        for value in self
            .event
            .values(field)
            .filter(|value| value.kind.is_leaf())
        {
            *self.steps = self.steps.checked_sub(1).ok_or(BudgetExceeded)?;
            let fits = self.chosen.add(value.binding());
            if fits {
                absent = false;
                let unchanged = self.chosen.count() == before;
                if !(unchanged && tried_unchanged) && leaf.accepts(&value) {
                    if self.holds(rest)? {
                        return Ok(true);
                    }
                    tried_unchanged |= unchanged;
                }
            }
            self.chosen.forget(before);
        }
        if leaf.may_be_absent && absent && !tried_unchanged {
            return self.holds(rest);
        }
        Ok(false)
    }
}
