//! Traces: the terms in which the daemon describes its spans, and the port to their recorder.
//!
//! Without a recorder nothing is made: a [`Span`] is then two empty words, and every call on it
//! returns at once. The caller decides on its spans and their attributes; the recorder decides how
//! spans are sampled, kept and sent.

use std::sync::Arc;
use std::time::SystemTime;

/// Recorder of spans.
pub trait Recorder: Send + Sync {
    /// Begins a span; `None` when it is not sampled.
    fn begin(&self, beginning: &SpanBeginning<'_>) -> Option<Box<dyn Recording>>;
}

/// A span that is being recorded. It ends when it is dropped.
pub trait Recording: Send + Sync {
    /// Its own context, as a W3C `traceparent`.
    fn traceparent(&self) -> &str;

    /// Says something of it. Each key is said once.
    fn say(&mut self, key: &'static str, value: AttributeValue<'_>);

    /// Marks it as failed, by a word from a closed set.
    fn fail(&mut self, kind: &'static str);
}

/// A span at its beginning.
#[derive(Debug)]
pub struct SpanBeginning<'b> {
    /// Operation and its object: the name that spans of one kind share.
    pub name: &'b str,
    /// Side of a message that it is on.
    pub kind: SpanRole,
    /// Time at which it began.
    pub since: SystemTime,
    /// The `traceparent` of the span that it hangs below; without one it begins a trace of its own.
    pub parent: Option<&'b str>,
    /// The `traceparent` of other spans that it has to do with.
    pub links: &'b [&'b str],
    /// Attributes that a sampler may want to know.
    pub facts: &'b [(&'static str, AttributeValue<'b>)],
}

/// Side of a message that a span is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanRole {
    /// It takes a message, whose sender's span is its parent.
    Consumer,
    /// It sends a message, whose receivers' spans hang below it.
    Producer,
}

/// Value of a span's attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeValue<'v> {
    /// A word or a name.
    Text(&'v str),
    /// Several of them.
    Texts(&'v [&'v str]),
    /// A number.
    Number(u64),
}

impl<'v> From<&'v str> for AttributeValue<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for AttributeValue<'_> {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<u32> for AttributeValue<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// Source of spans. Off, unless there is a recorder.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<dyn Recorder>>);

impl Traces {
    /// Traces that somebody records.
    pub fn to(recorder: Arc<dyn Recorder>) -> Self {
        Self(Some(recorder))
    }

    /// Returns `true` where a recorder exists.
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span.
    pub fn begin(&self, beginning: &SpanBeginning<'_>) -> Span {
        let recorder = self.0.as_ref();
        Span(recorder.and_then(|recorder| recorder.begin(beginning)))
    }
}

/// A span, which ends when it is dropped; or nothing, where it is not recorded.
#[derive(Default)]
pub struct Span(Option<Box<dyn Recording>>);

impl Span {
    /// Its own context, as a W3C `traceparent`; `None` where it is not recorded.
    pub fn traceparent(&self) -> Option<&str> {
        self.0.as_deref().map(Recording::traceparent)
    }

    /// Says something of it. Each key is said once.
    pub fn say<'v>(&mut self, key: &'static str, value: impl Into<AttributeValue<'v>>) {
        if let Some(span) = &mut self.0 {
            span.say(key, value.into());
        }
    }

    /// Marks it as failed, by a word from a closed set.
    pub fn fail(&mut self, kind: &'static str) {
        if let Some(span) = &mut self.0 {
            span.fail(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_without_a_recorder() {
        let traces = Traces::default();
        let mut span = traces.begin(&SpanBeginning {
            name: "process events",
            kind: SpanRole::Consumer,
            since: SystemTime::UNIX_EPOCH,
            parent: None,
            links: &[],
            facts: &[],
        });
        span.say("key", "value");
        span.fail("reason");
        assert!(!traces.are_on() && span.0.is_none() && span.traceparent().is_none());
        assert_eq!(size_of::<Span>(), size_of::<[usize; 2]>());
    }
}
