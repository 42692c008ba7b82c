//! A placeholder of a target and the values that one event has for it.
//!
//! A placeholder takes exactly one value, or with `[*]` one value for each element of the arrays that `[*]` marks. More than
//! one is refused: an array without `[*]`, or a key that occurs more than once in one object, would send one event to the
//! ids of several.

use super::rejection::{Problem, Rejection};
use crate::channel::template::{ArrayStar, Pick, Placeholder};
use crate::event::envelope::Envelope;
use crate::event::fields::{FieldId, Fields};
use crate::event::path_probe::{DeadEnds, PathProbe, place};
use crate::event::scanned::{Element, Kind, Scanned, Value};

/// A placeholder that knows its field.
#[derive(Clone, Debug)]
pub(super) struct PlaceholderField {
    pub(super) field: FieldId,
    pub(super) placeholder: Placeholder,
    probe: PathProbe,
}

/// What an event has for a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ValueSupply {
    /// Values, or a default in their place.
    Values,
    /// Nothing to fan out.
    Nothing,
}

impl PlaceholderField {
    pub(super) fn new(placeholder: &Placeholder, fields: &mut Fields, envelope: Envelope) -> Self {
        Self {
            field: fields.add(&placeholder.path),
            placeholder: placeholder.clone(),
            probe: PathProbe::new(&placeholder.path, envelope),
        }
    }

    /// The values of the field that came through the elements which the placeholder picks, arrays included.
    pub(super) fn values<'e>(
        &'e self,
        event: &'e Scanned,
    ) -> impl Iterator<Item = Value<'e>> + Clone {
        let picks = &self.placeholder.picks;
        event
            .values(self.field)
            .filter(move |value| picked(value, picks))
    }

    /// Whether the event has values for the placeholder, one for each choice of elements.
    pub(super) fn supply(&self, event: &Scanned) -> Result<ValueSupply, Rejection> {
        let mut previous: Option<Value<'_>> = None;
        let mut found = false;
        for value in self.values(event) {
            if let Some(previous) = &previous {
                self.check_distinct(previous, &value)?;
            }
            found |= value.kind != Kind::Array;
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
        Err(self.reject(Problem::Missing(end.map_or_else(
            || "the event's arrays have no such element".into(),
            |end| end.to_string(),
        ))))
    }

    /// The reason why there is nothing to fan out.
    pub(super) fn lack(&self, event: &Scanned) -> String {
        let end = self.dead_ends(event).first;
        end.map_or_else(
            || format!("no element has all of `{}`", self.placeholder.path),
            |end| end.to_string(),
        )
    }

    fn dead_ends(&self, event: &Scanned) -> DeadEnds {
        let stars = self.placeholder.stars.iter();
        let arrays: Vec<u16> = stars.map(|star| star.depth).collect();
        self.probe.dead_ends(event.body(), &arrays)
    }

    /// Whether two values that follow each other in the event are those of different elements of an array that `[*]` marks.
    /// Values come in the order of the event, so that any two which are not have such neighbours.
    fn check_distinct(&self, previous: &Value<'_>, value: &Value<'_>) -> Result<(), Rejection> {
        let inside = previous.kind == Kind::Array && value.span.1 <= previous.span.1;
        if inside {
            return Ok(());
        }
        let (before, here) = (previous.elements, value.elements);
        let same = |(a, b): &(&Element, &Element)| (a.array, a.index) == (b.array, b.index);
        let at = before.iter().zip(here).take_while(same).count();
        let outer = here.get(..at).unwrap_or_default();
        match (before.get(at), here.get(at)) {
            (Some(a), Some(b)) if a.array == b.array => {
                let nth = outer.iter().filter(|e| e.depth == b.depth).count();
                let star = ArrayStar {
                    depth: b.depth,
                    nth,
                };
                if self.placeholder.stars.contains(&star) {
                    return Ok(());
                }
                let depth = usize::from(b.depth);
                let place = place(self.segments().take(depth), outer);
                let advice = self.with_star(star);
                Err(self.reject(Problem::Several(format!(
                    "`{place}` is an array; write {advice} for one message each, or [0] for its first element"
                ))))
            }
            _ => {
                let place = place(self.segments(), outer);
                Err(self.reject(Problem::Several(format!("`{place}` occurs more than once"))))
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
            let here = stars.filter(|star| usize::from(star.depth) == depth);
            path.push_str(&"[*]".repeat(here.count()));
        }
        format!("{{{path}}}")
    }

    fn reject(&self, problem: Problem) -> Rejection {
        Rejection {
            placeholder: self.placeholder.written.clone(),
            problem,
        }
    }
}

/// The elements that bind other placeholders: not those that a placeholder picks by their number.
pub(super) fn binding<'v>(value: &Value<'v>, picks: &[Pick]) -> impl Iterator<Item = &'v Element> {
    let picked = |element: &&Element| picks.iter().any(|pick| pick.depth == element.depth);
    value
        .binding()
        .iter()
        .filter(move |element| !picked(element))
}

/// Whether a value came through the elements that a placeholder picks.
fn picked(value: &Value<'_>, picks: &[Pick]) -> bool {
    picks.iter().all(|pick| {
        value
            .elements
            .iter()
            .filter(|element| element.depth == pick.depth)
            .nth(pick.nth)
            .is_some_and(|element| element.index == pick.index)
    })
}
