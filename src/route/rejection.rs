//! Reasons why a target of a route yields no topic for an event, with a word of a closed set for each.

use crate::channel::topic::{TopicError, ValueError};

/// The most topics that one route may make of one event. Over it the event is refused: truncating would lose messages
/// unseen.
pub const MAX_TOPICS: usize = 64;

/// Reason why a route yields no topic for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{placeholder}: {problem}")]
pub struct TargetRejection {
    /// The placeholder or target at fault, as written.
    pub placeholder: Box<str>,
    /// The fault.
    pub problem: TopicProblem,
}

/// Fault of a value or of the topic made of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicProblem {
    /// The event has no value for the placeholder: the place where its path ends, and the value
    /// there.
    #[error("{0}")]
    Missing(String),
    /// The event has more than one value for a placeholder that takes one.
    #[error("{0}")]
    Several(String),
    /// `null`, an object, or a number whose spelling is not stable.
    #[error("the value is {0}; a topic takes text, whole numbers and booleans")]
    Type(&'static str),
    /// The value would change the topic's shape.
    #[error("{error}: `{preview}`")]
    Value {
        /// The rule that the value breaks.
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

impl TopicProblem {
    /// A word from a closed set, for metrics and dead-letter messages.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "template_missing",
            Self::Several(_) => "several_values",
            Self::Type(_) => "value_type",
            Self::Value { .. } => "value_rejected",
            Self::ChannelId { .. } => "channel_id",
            Self::Topic(_) => "topic_rejected",
            Self::TooMany => "too_many_topics",
        }
    }
}
