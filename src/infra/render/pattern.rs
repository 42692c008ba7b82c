//! One event pattern for all routes.
//!
//! An event that matches two rules comes twice, so that there is one rule, and its pattern is the
//! union of the routes' patterns. If that does not fit, the pattern becomes wider: the bridge drops
//! events that no route takes (`eventcast_unrouted_total`), and an event that a rule does not match
//! is lost.

use crate::event::pattern::Pattern;
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// The most characters of a rule's pattern (EventBridge quotas, "Event pattern size": 2,048,
/// adjustable).
pub const MAX_PATTERN_CHARACTERS: usize = 2_048;

/// The pattern of the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePattern {
    /// The pattern.
    pub tree: TreeValue,
    /// Fields that it leaves to the bridge.
    pub extent: PatternExtent,
}

/// Part of the routes' patterns that the rule's has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternExtent {
    /// All: it matches exactly the events that a route takes.
    Exact,
    /// `source` and `detail-type`.
    SourceAndType,
    /// `source`.
    Source,
    /// Nothing: every event of the bus.
    Everything,
}

impl RulePattern {
    /// The narrowest pattern that fits.
    pub fn of(patterns: &[&TreeValue]) -> Self {
        for (extent, kept) in [
            (PatternExtent::Exact, None),
            (
                PatternExtent::SourceAndType,
                Some(&["source", "detail-type"][..]),
            ),
            (PatternExtent::Source, Some(&["source"][..])),
        ] {
            let parts = patterns.iter().map(|pattern| match kept {
                None => Some((*pattern).clone()),
                Some(names) => only(pattern, names),
            });
            let Some(parts) = parts.collect::<Option<Vec<TreeValue>>>() else {
                continue;
            };
            if let Some(tree) = union(parts)
                && tree.to_json().chars().count() <= MAX_PATTERN_CHARACTERS
                && Pattern::from_tree(&tree).is_ok()
            {
                return Self { tree, extent };
            }
        }
        Self {
            tree: everything(),
            extent: PatternExtent::Everything,
        }
    }

    /// Remark for a person; none where the pattern is exact.
    pub fn note(&self) -> Option<String> {
        let fields = match self.extent {
            PatternExtent::Exact => return None,
            PatternExtent::SourceAndType => "`source` and `detail-type` alone",
            PatternExtent::Source => "`source` alone",
            PatternExtent::Everything => "nothing: the queue gets every event of the bus",
        };
        Some(format!(
            "the routes' patterns have more than {MAX_PATTERN_CHARACTERS} characters or alternatives together; the rule asks for {fields}, and the bridge drops what no route takes"
        ))
    }
}

/// The union of patterns; `None` where there are none.
pub(super) fn union(patterns: Vec<TreeValue>) -> Option<TreeValue> {
    let mut merged = merged(patterns);
    match merged.len() {
        0 => None,
        1 => merged.pop(),
        _ => Some(object(vec![("$or", array(merged))])),
    }
}

/// Patterns that together match the same events, as few as merging pairs makes.
fn merged(patterns: Vec<TreeValue>) -> Vec<TreeValue> {
    let mut kept: Vec<TreeValue> = Vec::new();
    for mut pattern in patterns {
        // A merged pattern may merge with others in its turn.
        while let Some((at, both)) = kept
            .iter()
            .enumerate()
            .find_map(|(at, known)| Some((at, merge(known, &pattern)?)))
        {
            kept.remove(at);
            pattern = both;
        }
        kept.push(pattern);
    }
    kept
}

/// One pattern for two that differ in one field at most: its alternatives are those of both.
fn merge(one: &TreeValue, other: &TreeValue) -> Option<TreeValue> {
    if one.to_json() == other.to_json() {
        return Some(one.clone());
    }
    let (NodeValue::Object(ones), NodeValue::Object(others)) = (&one.value, &other.value) else {
        return None;
    };
    if ones.len() != others.len() {
        return None;
    }
    let mut different = None;
    for (at, member) in ones.iter().enumerate() {
        let mut same_key = others.iter().filter(|other| other.key == member.key);
        let counterpart = same_key.next()?;
        if member.value.to_json() != counterpart.value.to_json()
            && different.replace((at, counterpart)).is_some()
        {
            return None;
        }
    }
    let (at, counterpart) = different?;
    let member = ones.get(at)?;
    let value = match (&member.value.value, &counterpart.value.value) {
        (NodeValue::Array(a), NodeValue::Array(b)) if &*member.key != "$or" => {
            let mut all = a.clone();
            let new = b.iter().filter(|test| {
                let text = test.to_json();
                a.iter().all(|known| known.to_json() != text)
            });
            all.extend(new.cloned());
            array(all)
        }
        (NodeValue::Object(_), NodeValue::Object(_)) => merge(&member.value, &counterpart.value)?,
        _ => return None,
    };
    let mut members = ones.clone();
    members.get_mut(at)?.value = value;
    Some(TreeValue {
        value: NodeValue::Object(members),
        at: one.at,
    })
}

/// The pattern with some of its fields; `None` where it has none of them, so that it takes events
/// of any.
pub(super) fn only(pattern: &TreeValue, names: &[&str]) -> Option<TreeValue> {
    let NodeValue::Object(members) = &pattern.value else {
        return None;
    };
    let kept: Vec<ObjectMember> = members
        .iter()
        .filter(|member| names.contains(&&*member.key))
        .cloned()
        .collect();
    (!kept.is_empty()).then_some(TreeValue {
        value: NodeValue::Object(kept),
        at: pattern.at,
    })
}

fn everything() -> TreeValue {
    let any = object(vec![("prefix", text(""))]);
    object(vec![("source", array(vec![any]))])
}

const NOWHERE: TextPosition = TextPosition { line: 0, column: 0 };

fn node(value: NodeValue) -> TreeValue {
    TreeValue { value, at: NOWHERE }
}

pub(super) fn array(elements: Vec<TreeValue>) -> TreeValue {
    node(NodeValue::Array(elements))
}

fn text(text: &str) -> TreeValue {
    node(NodeValue::String(text.as_bytes().into()))
}

pub(super) fn object(members: Vec<(&str, TreeValue)>) -> TreeValue {
    let member = |(key, value): (&str, TreeValue)| ObjectMember {
        key: key.into(),
        key_at: NOWHERE,
        value,
    };
    node(NodeValue::Object(members.into_iter().map(member).collect()))
}
