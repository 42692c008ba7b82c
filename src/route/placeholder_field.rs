//! A placeholder of a target and the values that one event has for it.
//!
//! A placeholder takes exactly one value, or with `[*]` one value for each element of the arrays
//! that `[*]` marks. More than one is refused: an array without `[*]`, or a key on its path that
//! occurs more than once in one object, would send one event to the ids of several.

use super::rejection::{TargetRejection, TopicProblem};
use crate::channel::template::{ArrayStar, Pick, Placeholder};
use crate::event::envelope::Envelope;
use crate::event::fields::{FieldId, FieldTrie, NodeId};
use crate::event::path_probe::{DeadEnds, PathProbe, place};
use crate::event::scanned::{
    ArrayBindings, CapturedFields, CapturedValue, ElementIndex, ValueKind,
};

/// A placeholder that knows its field.
#[derive(Clone, Debug)]
pub(super) struct PlaceholderField {
    pub(super) field: FieldId,
    pub(super) placeholder: Placeholder,
    /// The places of the path, one segment longer each.
    way: Vec<NodeId>,
    probe: PathProbe,
}

/// Presence of values for a placeholder in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ValueSupply {
    /// Values, or a default in their place.
    Values,
    /// Nothing to fan out.
    Nothing,
}

impl PlaceholderField {
    pub(super) fn new(
        placeholder: &Placeholder,
        fields: &mut FieldTrie,
        envelope: Envelope,
    ) -> Self {
        let field = fields.add(&placeholder.path);
        Self {
            field,
            placeholder: placeholder.clone(),
            way: fields.way(&placeholder.path),
            probe: PathProbe::new(&placeholder.path, envelope),
        }
    }

    /// The values of the field that came through the elements which the placeholder picks, arrays included.
    pub(super) fn values<'e>(
        &'e self,
        event: &'e CapturedFields,
    ) -> impl Iterator<Item = CapturedValue<'e>> + Clone {
        let picks = &self.placeholder.picks;
        event
            .values(self.field)
            .filter(move |value| picked(value, picks))
    }

    /// Determines if the event has values for the placeholder, one for each choice of elements.
    pub(super) fn supply(&self, event: &CapturedFields) -> Result<ValueSupply, TargetRejection> {
        self.check_repeats(event)?;
        let mut previous: Option<CapturedValue<'_>> = None;
        let mut found = false;
        for value in self.values(event) {
            if let Some(previous) = &previous {
                self.check_distinct(previous, &value)?;
            }
            found |= value.kind != ValueKind::Array;
            previous = Some(value);
        }
        if found || self.placeholder.filters.default.is_some() {
            return Ok(ValueSupply::Values);
        }
        let ends = self.dead_ends(event);
        if !self.placeholder.stars.is_empty() && ends.blocked.is_none() {
            return Ok(ValueSupply::Nothing);
        }
        let end = ends.blocked.or(ends.first);
        Err(self.reject(TopicProblem::Missing(end.map_or_else(
            || "the event's arrays have no such element".into(),
            |end| end.to_string(),
        ))))
    }

    /// The reason why there is nothing to fan out.
    pub(super) fn lack(&self, event: &CapturedFields) -> String {
        let end = self.dead_ends(event).first;
        end.map_or_else(
            || format!("no element has all of `{}`", self.placeholder.path),
            |end| end.to_string(),
        )
    }

    fn dead_ends(&self, event: &CapturedFields) -> DeadEnds {
        let stars = self.placeholder.stars.iter();
        let arrays: Vec<u16> = stars.map(|star| star.depth).collect();
        self.probe.dead_ends(event.body(), &arrays)
    }

    /// Checks that each key on the way to the values occurs once, where the placeholder looks.
    fn check_repeats(&self, event: &CapturedFields) -> Result<(), TargetRejection> {
        let picks = &self.placeholder.picks;
        for (node, elements) in event.repeats() {
            let at = self.way.iter().position(|place| *place == node);
            if let Some(at) = at.filter(|_| reached(elements, picks)) {
                let place = place(self.segments().take(at + 1), elements);
                return Err(self.reject(TopicProblem::Several(format!(
                    "`{place}` occurs more than once"
                ))));
            }
        }
        Ok(())
    }

    /// Returns `true` where a value whose elements contradict those that were chosen is no loss:
    /// `[*]` marks the array where they part. `slots` are the placeholders that were given values,
    /// this one included.
    pub(super) fn check_parting(
        &self,
        value: &CapturedValue<'_>,
        chosen: &ArrayBindings,
        slots: &[Self],
    ) -> Result<(), TargetRejection> {
        let parting = binding(value, &self.placeholder.picks).find(|e| chosen.contradicts(e));
        let Some(parting) = parting else {
            return Ok(());
        };
        let before = value.elements.iter().take_while(|e| *e != parting).count();
        let outer = value.elements.get(..before).unwrap_or_default();
        let star = star_of(parting, outer);
        let depth = usize::from(star.depth);
        let prefix = || self.segments().take(depth);
        let single = slots.iter().find(|slot| {
            let picks = &slot.placeholder.picks;
            !slot.placeholder.stars.contains(&star)
                && !picks.iter().any(|pick| pick.depth == star.depth)
                && slot.segments().take(depth).eq(prefix())
        });
        single.map_or(Ok(()), |slot| Err(slot.array_without_star(star, outer)))
    }

    fn array_without_star(&self, star: ArrayStar, outer: &[ElementIndex]) -> TargetRejection {
        let place = place(self.segments().take(usize::from(star.depth)), outer);
        let advice = self.with_star(star);
        self.reject(TopicProblem::Several(format!(
            "`{place}` is an array; write {advice} for one message each, or [0] for its first element"
        )))
    }

    /// Checks that two values that follow each other in the event are those of different elements
    /// of an array that `[*]` marks. Values come in the order of the event, so that any two which
    /// are not have such neighbours.
    fn check_distinct(
        &self,
        previous: &CapturedValue<'_>,
        value: &CapturedValue<'_>,
    ) -> Result<(), TargetRejection> {
        let inside = previous.kind == ValueKind::Array && value.span.1 <= previous.span.1;
        if inside {
            return Ok(());
        }
        let (before, here) = (previous.elements, value.elements);
        let same =
            |(a, b): &(&ElementIndex, &ElementIndex)| (a.array, a.index) == (b.array, b.index);
        let at = before.iter().zip(here).take_while(same).count();
        let outer = here.get(..at).unwrap_or_default();
        match (before.get(at), here.get(at)) {
            (Some(a), Some(b)) if a.array == b.array => {
                let star = star_of(b, outer);
                if self.placeholder.stars.contains(&star) {
                    return Ok(());
                }
                Err(self.array_without_star(star, outer))
            }
            _ => {
                let place = place(self.segments(), outer);
                Err(self.reject(TopicProblem::Several(format!(
                    "`{place}` occurs more than once"
                ))))
            }
        }
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.placeholder.path.split('.')
    }

    /// The placeholder as it has to be written to take every element of one more array.
    fn with_star(&self, star: ArrayStar) -> String {
        let mut path = String::new();
        let mut depth = 0;
        for segment in &self.placeholder.segments {
            let dot = if depth == 0 { "" } else { "." };
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '@');
            if segment.chars().all(plain) {
                path.push_str(&format!("{dot}{segment}"));
            } else {
                path.push_str(&format!("{dot}\"{segment}\""));
            }
            // A quoted segment with dots is as deep as it has parts.
            depth += segment.split('.').count();
            let stars = self.placeholder.stars.iter().chain([&star]);
            let stars = stars.filter(|star| usize::from(star.depth) == depth);
            let picks = self.placeholder.picks.iter();
            let picks: Vec<&Pick> = picks.filter(|p| usize::from(p.depth) == depth).collect();
            let arrays = stars.map(|star| star.nth + 1);
            let arrays = arrays.chain(picks.iter().map(|pick| pick.nth + 1)).max();
            for nth in 0..arrays.unwrap_or_default() {
                match picks.iter().find(|pick| pick.nth == nth) {
                    Some(pick) => path.push_str(&format!("[{}]", pick.index)),
                    None => path.push_str("[*]"),
                }
            }
        }
        format!("{{{path}}}")
    }

    fn reject(&self, problem: TopicProblem) -> TargetRejection {
        TargetRejection {
            placeholder: self.placeholder.written.clone(),
            problem,
        }
    }
}

/// The elements that bind other placeholders: not those that a placeholder picks by their number.
pub(super) fn binding<'v>(
    value: &CapturedValue<'v>,
    picks: &[Pick],
) -> impl Iterator<Item = &'v ElementIndex> {
    let picked = |element: &&ElementIndex| picks.iter().any(|pick| pick.depth == element.depth);
    value
        .binding()
        .iter()
        .filter(move |element| !picked(element))
}

/// The `[*]` that marks the array of an element; `outer` are the elements around it.
fn star_of(element: &ElementIndex, outer: &[ElementIndex]) -> ArrayStar {
    ArrayStar {
        depth: element.depth,
        nth: outer.iter().filter(|e| e.depth == element.depth).count(),
    }
}

/// Returns `true` if a place is in the elements that a placeholder picks, as far as it is in arrays
/// at all.
fn reached(elements: &[ElementIndex], picks: &[Pick]) -> bool {
    picks.iter().all(|pick| {
        let mut here = elements.iter().filter(|e| e.depth == pick.depth);
        here.nth(pick.nth).is_none_or(|e| e.index == pick.index)
    })
}

/// Returns `true` if a value came through the elements that a placeholder picks.
fn picked(value: &CapturedValue<'_>, picks: &[Pick]) -> bool {
    picks.iter().all(|pick| {
        value
            .elements
            .iter()
            .filter(|element| element.depth == pick.depth)
            .nth(pick.nth)
            .is_some_and(|element| element.index == pick.index)
    })
}
