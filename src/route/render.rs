//! From a template and one event to topics: values are chosen, filtered, checked and joined.
//!
//! An array gives one topic for each element. Placeholders under the same array take the same element; under different
//! arrays every combination counts. What cannot become a topic is refused with a reason, never repaired.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::target::Target;
use crate::channel::template::{Part, Pick, Placeholder};
use crate::channel::topic::{Topic, TopicError, ValueError, check_value};
use crate::event::fields::{FieldId, Fields};
use crate::event::scanned::{Chosen, Element, Kind, Scanned, Value};

/// The most topics that one route may make of one event. Over it the event is refused: truncating would lose messages
/// unseen.
pub const MAX_TOPICS: usize = 64;

/// How many values may be looked at to make one route's topics. Repeated values make no new topic, so that the cap on topics
/// alone would not bound the work.
const STEPS: u32 = 20_000;

/// How much of a refused value is told: enough to recognise it, not enough to leak it.
const PREVIEW_BYTES: usize = 32;

/// Why a route yields no topic for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{placeholder}: {problem}")]
pub struct Rejection {
    /// The placeholder or target at fault, as written.
    pub placeholder: Box<str>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a value or with the topic made of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The event does not have the field.
    #[error("the event has no such field")]
    Missing,
    /// `null`, an object, or a number whose spelling is not stable.
    #[error("the value is {0}; a topic takes text, whole numbers and booleans")]
    Type(&'static str),
    /// The value would change the topic's shape.
    #[error("{error}: `{preview}`")]
    Value {
        /// What is wrong with it.
        error: ValueError,
        /// The beginning of the value.
        preview: Box<str>,
    },
    /// The id is not of the channel's format.
    #[error("`{preview}` is no id of channel `{channel}`, which wants {format}")]
    ChannelId {
        /// The channel's name.
        channel: Box<str>,
        /// The format its ids must have.
        format: Box<str>,
        /// The beginning of the id.
        preview: Box<str>,
    },
    /// The topic as a whole breaks a rule.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The event's arrays make too many topics.
    #[error("more than {MAX_TOPICS} topics")]
    TooMany,
}

impl Problem {
    /// A word from a closed set, for metrics and dead letters.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "template_missing",
            Self::Type(_) => "value_type",
            Self::Value { .. } => "value_rejected",
            Self::ChannelId { .. } => "channel_id",
            Self::Topic(_) => "topic_rejected",
            Self::TooMany => "too_many_topics",
        }
    }
}

/// A target whose placeholders know their fields.
#[derive(Clone, Debug)]
pub(super) struct Renderer {
    target: Target,
    /// One for each distinct placeholder.
    slots: Vec<(FieldId, Placeholder)>,
    /// The parts in order: text, or which slot.
    parts: Vec<RenderPart>,
}

#[derive(Clone, Debug)]
enum RenderPart {
    Text(Box<str>),
    Slot(usize),
}

impl Renderer {
    pub(super) fn new(target: &Target, route: &str, fields: &mut Fields) -> Self {
        let mut slots: Vec<(FieldId, Placeholder)> = Vec::new();
        let parts = target
            .template()
            .parts()
            .iter()
            .map(|part| match part {
                Part::Literal(text) => RenderPart::Text(text.clone()),
                Part::RouteName => RenderPart::Text(route.into()),
                Part::Placeholder(placeholder) => {
                    let known = slots.iter().position(|(_, slot)| slot == placeholder);
                    RenderPart::Slot(known.unwrap_or_else(|| {
                        slots.push((fields.add(&placeholder.path), placeholder.clone()));
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

    /// Appends the topics for one event, each once.
    pub(super) fn topics(
        &self,
        event: &Scanned,
        prefix: &str,
        out: &mut Vec<Topic>,
    ) -> Result<(), Rejection> {
        let mut search = Search {
            renderer: self,
            event,
            prefix,
            chosen: Chosen::default(),
            values: SmallVec::new(),
            missing: None,
            steps: STEPS,
            out,
        };
        let before = search.out.len();
        search.fill()?;
        match search.missing {
            Some(placeholder) if search.out.len() == before => Err(Rejection {
                placeholder,
                problem: Problem::Missing,
            }),
            _ => Ok(()),
        }
    }

    fn join(&self, prefix: &str, values: &[Cow<'_, str>]) -> Result<Topic, Rejection> {
        let mut id = String::with_capacity(64);
        for part in &self.parts {
            match part {
                RenderPart::Text(text) => id.push_str(text),
                RenderPart::Slot(slot) => id.push_str(values.get(*slot).map_or("", |value| value)),
            }
        }
        let reject = |problem| Rejection {
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
                return Err(reject(Problem::ChannelId {
                    channel: kind.name().into(),
                    format: kind.id().to_string().into(),
                    preview: preview(&id),
                }));
            }
        };
        Topic::parse(&topic).map_err(|error| reject(error.into()))
    }
}

struct Search<'s> {
    renderer: &'s Renderer,
    event: &'s Scanned,
    prefix: &'s str,
    chosen: Chosen,
    /// The texts chosen for the slots so far.
    values: SmallVec<[Cow<'s, str>; 4]>,
    missing: Option<Box<str>>,
    steps: u32,
    out: &'s mut Vec<Topic>,
}

impl Search<'_> {
    fn fill(&mut self) -> Result<(), Rejection> {
        let renderer = self.renderer;
        let Some((field, placeholder)) = renderer.slots.get(self.values.len()) else {
            let topic = self.renderer.join(self.prefix, &self.values)?;
            if !self.out.contains(&topic) {
                self.out.push(topic);
            }
            if self.out.len() > MAX_TOPICS {
                return Err(self.too_many());
            }
            return Ok(());
        };
        let before = self.chosen.count();
        let mut found = false;
        let event = self.event;
        let values = event
            .values(*field)
            .filter(|value| value.kind != Kind::Array && picked(value, &placeholder.picks));
        for value in values {
            self.steps = self.steps.checked_sub(1).ok_or_else(|| self.too_many())?;
            if self.chosen.add(binding(&value, &placeholder.picks)) {
                let text = text(&value, placeholder);
                match (text, &placeholder.filters.default) {
                    (
                        Err(Rejection {
                            problem: Problem::Type(_),
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
            }
            self.chosen.forget(before);
        }
        if found {
            return Ok(());
        }
        match &placeholder.filters.default {
            Some(default) => {
                self.values.push(Cow::Borrowed(default));
                self.fill()?;
                self.values.pop();
            }
            None => self.missing = Some(placeholder.written.clone()),
        }
        Ok(())
    }

    fn too_many(&self) -> Rejection {
        Rejection {
            placeholder: self.renderer.target.to_string().into(),
            problem: Problem::TooMany,
        }
    }
}

/// The elements that bind other placeholders: not those that a placeholder picks by their number.
fn binding<'v>(value: &Value<'v>, picks: &[Pick]) -> impl Iterator<Item = &'v Element> {
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

/// The text that a value puts into a topic.
fn text<'v>(value: &Value<'v>, placeholder: &Placeholder) -> Result<Cow<'v, str>, Rejection> {
    let reject = |problem| Rejection {
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
        Kind::String | Kind::True | Kind::False => None,
        Kind::Number if whole() => None,
        Kind::Number => Some("a number with a fraction or an exponent"),
        Kind::Null => Some("null"),
        Kind::Object | Kind::Array => Some("an object or an array"),
    };
    if let Some(kind) = refused {
        return Err(reject(Problem::Type(kind)));
    }
    let Some(text) = value.as_str() else {
        return Err(reject(Problem::Type("text with a lone surrogate")));
    };
    let text = placeholder.filters.apply(text);
    let checked = if placeholder.filters.path {
        text.split('/').try_for_each(check_value)
    } else {
        check_value(&text)
    };
    match checked {
        Ok(()) => Ok(text),
        Err(error) => Err(reject(Problem::Value {
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
