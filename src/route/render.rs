//! From a template and one event to topics: values are chosen, filtered, checked and joined.
//!
//! An array that `[*]` marks gives one topic for each element; elements without the field, or with
//! `null`, give none. Placeholders under the same array take the same element; under different
//! arrays every combination counts. A value that cannot become a topic is refused with a reason,
//! never repaired. An array without `[*]` is refused, too, if placeholders want different elements
//! of it.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::placeholder_field::{PlaceholderField, ValueSupply, binding};
use super::rejection::{MAX_TOPICS, TargetRejection, TopicProblem};
use super::target::TopicTarget;
use crate::channel::template::{Part, Placeholder};
use crate::channel::topic::{Topic, check_value};
use crate::event::envelope::Envelope;
use crate::event::fields::FieldTrie;
use crate::event::scanned::{ArrayBindings, CapturedFields, CapturedValue, ValueKind};

/// Maximum number of values to look at to make one route's topics. Repeated values make no new
/// topic, so that the cap on topics alone would not bound the work.
const STEPS: u32 = 20_000;

/// Bytes of a refused value in a message: enough to recognise it, not enough to leak it.
const PREVIEW_BYTES: usize = 32;

/// A target whose placeholders know their fields.
#[derive(Clone, Debug)]
pub(super) struct TopicRenderer {
    target: TopicTarget,
    /// One for each distinct placeholder.
    slots: Vec<PlaceholderField>,
    /// The parts in order: text, or which slot.
    parts: Vec<RenderPart>,
}

#[derive(Clone, Debug)]
enum RenderPart {
    Text(Box<str>),
    Slot(usize),
}

impl TopicRenderer {
    pub(super) fn new(
        target: &TopicTarget,
        route: &str,
        fields: &mut FieldTrie,
        envelope: Envelope,
    ) -> Self {
        let mut slots: Vec<PlaceholderField> = Vec::new();
        let parts = target
            .template()
            .parts()
            .iter()
            .map(|part| match part {
                Part::Literal(text) => RenderPart::Text(text.clone()),
                Part::RouteName => RenderPart::Text(route.into()),
                Part::Placeholder(placeholder) => {
                    let known = slots
                        .iter()
                        .position(|slot| slot.placeholder == *placeholder);
                    RenderPart::Slot(known.unwrap_or_else(|| {
                        slots.push(PlaceholderField::new(placeholder, fields, envelope));
                        slots.len() - 1
                    }))
                }
            })
            .collect();
        Self {
            target: target.clone(),
            slots,
            parts,
        }
    }

    /// The target.
    pub(super) fn target(&self) -> &TopicTarget {
        &self.target
    }

    /// Appends the topics for one event, each once. An event that has nothing to fan out makes none.
    pub(super) fn topics(
        &self,
        event: &CapturedFields,
        prefix: &str,
        out: &mut Vec<Topic>,
    ) -> Result<(), TargetRejection> {
        let mut nothing = false;
        for slot in &self.slots {
            nothing |= slot.supply(event)? == ValueSupply::Nothing;
        }
        if nothing {
            return Ok(());
        }
        let mut search = ElementSearch {
            renderer: self,
            event,
            prefix,
            chosen: ArrayBindings::default(),
            values: SmallVec::new(),
            steps: STEPS,
            out,
        };
        search.fill()
    }

    /// The reason why an event that is not at fault makes no topic.
    pub(super) fn lack(&self, event: &CapturedFields) -> String {
        let supplies = |slot: &&PlaceholderField| slot.supply(event) == Ok(ValueSupply::Nothing);
        let slot = self.slots.iter().find(supplies).or(self.slots.first());
        slot.map_or_else(String::new, |slot| slot.lack(event))
    }

    fn join(&self, prefix: &str, values: &[Cow<'_, str>]) -> Result<Topic, TargetRejection> {
        let mut id = String::with_capacity(64);
        for part in &self.parts {
            match part {
                RenderPart::Text(text) => id.push_str(text),
                RenderPart::Slot(slot) => id.push_str(values.get(*slot).map_or("", |value| value)),
            }
        }
        let reject = |problem| TargetRejection {
            placeholder: self.target.to_string().into(),
            problem,
        };
        let topic = match self.target.kind() {
            None if prefix.is_empty() => id,
            None => [prefix, &id].concat(),
            Some(kind) if kind.id().accepts(&id) && check_value(&id).is_ok() => {
                [prefix, kind.name(), "/", &id].concat()
            }
            Some(kind) => {
                return Err(reject(TopicProblem::ChannelId {
                    channel: kind.name().into(),
                    format: kind.id().to_string().into(),
                    preview: preview(&id),
                }));
            }
        };
        Topic::parse(&topic).map_err(|error| reject(error.into()))
    }
}

struct ElementSearch<'s> {
    renderer: &'s TopicRenderer,
    event: &'s CapturedFields,
    prefix: &'s str,
    chosen: ArrayBindings,
    /// The texts chosen for the slots so far.
    values: SmallVec<[Cow<'s, str>; 4]>,
    steps: u32,
    out: &'s mut Vec<Topic>,
}

impl ElementSearch<'_> {
    fn fill(&mut self) -> Result<(), TargetRejection> {
        let renderer = self.renderer;
        let Some(slot) = renderer.slots.get(self.values.len()) else {
            let topic = self.renderer.join(self.prefix, &self.values)?;
            if !self.out.contains(&topic) {
                self.out.push(topic);
            }
            if self.out.len() > MAX_TOPICS {
                return Err(self.too_many());
            }
            return Ok(());
        };
        let placeholder = &slot.placeholder;
        let before = self.chosen.count();
        let mut found = false;
        // An element that is `null` has nothing to fan out.
        let absent = !placeholder.stars.is_empty();
        let values = slot.values(self.event).filter(|value| match value.kind {
            ValueKind::Array => false,
            ValueKind::Null => !absent,
            _ => true,
        });
        for value in values {
            self.steps = self.steps.checked_sub(1).ok_or_else(|| self.too_many())?;
            if self.chosen.add(binding(&value, &placeholder.picks)) {
                let text = text(&value, placeholder);
                match (text, &placeholder.filters.default) {
                    (
                        Err(TargetRejection {
                            problem: TopicProblem::Type(_),
                            ..
                        }),
                        Some(_),
                    ) => {}
                    (Err(rejection), _) => return Err(rejection),
                    (Ok(text), _) => {
                        found = true;
                        self.values.push(text);
                        self.fill()?;
                        self.values.pop();
                    }
                }
            } else {
                let slots = renderer.slots.get(..=self.values.len());
                slot.check_parting(&value, &self.chosen, slots.unwrap_or_default())?;
            }
            self.chosen.forget(before);
        }
        if found {
            return Ok(());
        }
        if let Some(default) = &placeholder.filters.default {
            self.values.push(Cow::Borrowed(default));
            self.fill()?;
            self.values.pop();
        }
        Ok(())
    }

    fn too_many(&self) -> TargetRejection {
        TargetRejection {
            placeholder: self.renderer.target.to_string().into(),
            problem: TopicProblem::TooMany,
        }
    }
}

/// The text that a value puts into a topic.
fn text<'v>(
    value: &CapturedValue<'v>,
    placeholder: &Placeholder,
) -> Result<Cow<'v, str>, TargetRejection> {
    let reject = |problem| TargetRejection {
        placeholder: placeholder.written.clone(),
        problem,
    };
    let whole = || {
        value
            .text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'-'))
    };
    let refused = match value.kind {
        ValueKind::String | ValueKind::True | ValueKind::False => None,
        ValueKind::Number if whole() => None,
        ValueKind::Number => Some("a number with a fraction or an exponent"),
        ValueKind::Null => Some("null"),
        ValueKind::Object => Some("an object"),
        ValueKind::Array => Some("an array"),
    };
    if let Some(kind) = refused {
        return Err(reject(TopicProblem::Type(kind)));
    }
    let Some(text) = value.as_str() else {
        return Err(reject(TopicProblem::Type("text with a lone surrogate")));
    };
    let text = placeholder.filters.apply(text);
    let checked = if placeholder.filters.path {
        text.split('/').try_for_each(check_value)
    } else {
        check_value(&text)
    };
    match checked {
        Ok(()) => Ok(text),
        Err(error) => Err(reject(TopicProblem::Value {
            error,
            preview: preview(&text),
        })),
    }
}

/// The beginning of a value, without control characters.
fn preview(text: &str) -> Box<str> {
    let mut end = text.len().min(PREVIEW_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = text.get(..end).unwrap_or_default();
    let ellipsis = if end < text.len() { "…" } else { "" };
    format!("{}{ellipsis}", cut.escape_debug()).into()
}
