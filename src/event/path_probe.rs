//! The places where a path ends in an event without a value, so that a reason can describe the
//! value found there.
//!
//! A probe scans the event once more, for every part of one path. It runs only where a field has no value.

use std::fmt;

use bytes::Bytes;

use super::envelope::Envelope;
use super::fields::{FieldId, FieldTrie};
use super::scan::scan;
use super::scanned::{CapturedValue, ElementIndex, ValueKind};
use super::words::described;

/// One path, ready to be looked for in events.
#[derive(Clone, Debug)]
pub struct PathProbe {
    fields: FieldTrie,
    /// The beginnings of the path, one segment longer each.
    levels: Vec<FieldId>,
}

/// A place where the path ends without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEnd {
    /// The place, such as `detail.watchers[0].userId`.
    pub place: String,
    /// The value there; `None` where the event does not have the place.
    pub found: Option<String>,
}

impl fmt::Display for DeadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            None => write!(f, "the event has no `{}`", self.place),
            Some(found) => write!(f, "`{}` is {found}", self.place),
        }
    }
}

/// Places at which a path ends in one event.
#[derive(Debug, Default)]
pub struct DeadEnds {
    /// The first of all, in the order of the event.
    pub first: Option<DeadEnd>,
    /// The first that is more than a lack: a value of a type that the path cannot go through.
    pub blocked: Option<DeadEnd>,
}

impl PathProbe {
    /// A probe for a dotted path, with the names that the envelope gives it.
    pub fn new(path: &str, envelope: Envelope) -> Self {
        let mut fields = FieldTrie::new();
        envelope.add_aliases(&mut fields);
        let ends = path.match_indices('.').map(|(at, _)| at);
        let levels = ends
            .chain([path.len()])
            .map(|end| fields.add(path.get(..end).unwrap_or_default()))
            .collect();
        Self { fields, levels }
    }

    /// Finds where the path ends in an event. `arrays` are the depths at which the path wants an array: an object there that
    /// does not lead on blocks the path.
    pub fn dead_ends(&self, event: &Bytes, arrays: &[u16]) -> DeadEnds {
        let Ok(scanned) = scan(event, &self.fields) else {
            return DeadEnds::default();
        };
        let values: Vec<Vec<CapturedValue<'_>>> = self
            .levels
            .iter()
            .map(|field| scanned.values(*field).collect())
            .collect();
        let mut found: Vec<(usize, bool, DeadEnd)> = Vec::new();
        for (level, values_here) in values.iter().enumerate() {
            for value in values_here {
                let deeper = values.get(level + 1..).unwrap_or_default();
                if let Some((blocks, end)) =
                    self.dead_end(level, value, values_here, deeper, arrays)
                {
                    found.push((value.span.0, blocks, end));
                }
            }
        }
        if values.iter().all(Vec::is_empty) {
            found.push((0, false, self.end(0, &[], None)));
        }
        found.sort_by_key(|(start, ..)| *start);
        let blocked = found.iter().find(|(_, blocks, _)| *blocks);
        DeadEnds {
            blocked: blocked.map(|(.., end)| end.clone()),
            first: found.into_iter().next().map(|(.., end)| end),
        }
    }

    /// The end of the path at one value, unless it goes on below; with whether the value blocks it.
    fn dead_end(
        &self,
        level: usize,
        value: &CapturedValue<'_>,
        same_level: &[CapturedValue<'_>],
        deeper: &[Vec<CapturedValue<'_>>],
        arrays: &[u16],
    ) -> Option<(bool, DeadEnd)> {
        let last = level + 1 == self.levels.len();
        let here = |found: String| self.end(level, value.elements, Some(found));
        match value.kind {
            ValueKind::Array => {
                let empty = !begins_inside(same_level, value);
                empty.then(|| (false, here(described(value))))
            }
            ValueKind::Object if deeper.iter().any(|values| begins_inside(values, value)) => None,
            ValueKind::Object => {
                let passed = |depth: &&u16| usize::from(**depth) <= level + 1;
                let in_array = |depth: &u16| value.elements.iter().any(|e| e.depth == *depth);
                let missed = arrays.iter().filter(passed).find(|depth| !in_array(depth));
                Some(match missed {
                    Some(depth) => {
                        let level = usize::from(*depth).saturating_sub(1);
                        let found = Some("an object, not an array".into());
                        (true, self.end(level, value.elements, found))
                    }
                    None if last => (true, here(described(value))),
                    None => (false, self.end(level + 1, value.elements, None)),
                })
            }
            ValueKind::Null => Some((false, here(described(value)))),
            _ if last => None,
            _ => Some((true, here(described(value)))),
        }
    }

    fn end(&self, level: usize, elements: &[ElementIndex], found: Option<String>) -> DeadEnd {
        let field = self.levels.get(level);
        let path = field.map_or("", |field| self.fields.path(*field));
        DeadEnd {
            place: place(path.split('.'), elements),
            found,
        }
    }
}

/// Returns `true` if one of some values, which are in the order of the event, begins inside another
/// value.
fn begins_inside(values: &[CapturedValue<'_>], outer: &CapturedValue<'_>) -> bool {
    let after = values.partition_point(|value| value.span.0 <= outer.span.0);
    let next = values.get(after);
    next.is_some_and(|value| value.span.0 < outer.span.1)
}

/// A place in an event: the segments of a path, with the elements of arrays that lead there.
pub fn place<'p>(segments: impl Iterator<Item = &'p str>, elements: &[ElementIndex]) -> String {
    let mut place = String::new();
    for (at, segment) in segments.enumerate() {
        if at > 0 {
            place.push('.');
        }
        place.push_str(segment);
        let depth = at + 1;
        for element in elements.iter().filter(|e| usize::from(e.depth) == depth) {
            place.push_str(&format!("[{}]", element.index));
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, arrays: &[u16], event: &str, first: &str, blocked: Option<&str>) {
        let probe = PathProbe::new(path, Envelope::EventBridge);
        let ends = probe.dead_ends(&Bytes::copy_from_slice(event.as_bytes()), arrays);
        let told = |end: Option<DeadEnd>| end.map(|end| end.to_string());
        assert_eq!(
            told(ends.first).as_deref(),
            Some(first),
            "{path} of {event}"
        );
        assert_eq!(told(ends.blocked).as_deref(), blocked, "{path} of {event}");
    }

    #[test]
    fn lacks() {
        check("detail.x", &[], "{}", "the event has no `detail`", None);
        check(
            "detail.x",
            &[],
            r#"{"detail":{}}"#,
            "the event has no `detail.x`",
            None,
        );
        check(
            "detail.x",
            &[],
            r#"{"Data":{}}"#,
            "the event has no `detail.x`",
            None,
        );
        check(
            "detail.x",
            &[],
            r#"{"detail":null}"#,
            "`detail` is null",
            None,
        );
        check(
            "detail.x",
            &[],
            r#"{"detail":{"x":[ ]}}"#,
            "`detail.x` is an empty array",
            None,
        );
        check(
            "a.b",
            &[1],
            r#"{"a":[{"c":1},{"b":null}]}"#,
            "the event has no `a[0].b`",
            None,
        );
        check(
            "a.b",
            &[1],
            r#"{"a":[{"b":1},{"b":[]}]}"#,
            "`a[1].b` is an empty array",
            None,
        );
    }

    #[test]
    fn values_in_the_way() {
        let both = |path: &str, arrays: &[u16], event: &str, end: &str| {
            check(path, arrays, event, end, Some(end));
        };
        both(
            "detail.x",
            &[],
            r#"{"detail":"{\"x\":1}"}"#,
            "`detail` is text, JSON in a string",
        );
        both(
            "detail.x",
            &[],
            r#"{"detail":{"x":{"y":1}}}"#,
            "`detail.x` is an object",
        );
        both("a.b.c", &[], r#"{"a":{"b":17}}"#, "`a.b` is a number");
        both("a.b", &[1], r#"{"a":{}}"#, "`a` is an object, not an array");
        both("a.b", &[1], r#"{"a":["u1"]}"#, "`a[0]` is text");
    }
}
