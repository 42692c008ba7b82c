//! A route's message for one topic, made of one event and ready to be published.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::channel::topic::Topic;

/// One message for one topic. Cloning is cheap: the payload is a reference to the received bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Publication {
    /// Topic to publish to.
    pub topic: Topic,
    /// Payload that clients receive: a slice of the received event wherever the route passes it
    /// through.
    pub payload: Bytes,
    /// The route that made it.
    pub route: Arc<str>,
    /// The delivery guarantee asked of the broker.
    pub qos: Qos,
    /// `true` if the broker keeps it as the topic's last value.
    pub retain: bool,
    /// Time for which it is worth delivering, counted from the event's time; `None` for ever.
    pub expires: Option<Duration>,
    /// `true` if a newer publication of the same route takes its place while both wait for the same
    /// topic.
    pub conflate: bool,
    /// The order kept among the publications to its topic; `None` where the queue decides.
    pub order: Option<TopicOrder>,
    /// MQTT 5 content type, such as `application/json`.
    pub content_type: &'static str,
    /// Kind of replacement for a payload that was too large: `project` or `pointer`.
    pub oversize: Option<&'static str>,
    /// Facts of the event's envelope, for MQTT 5 user properties.
    pub facts: Arc<EnvelopeFacts>,
}

/// The part of a wait that counts for a message's expiry: whole seconds, as MQTT has them.
pub fn whole_seconds(waited: Duration) -> Duration {
    Duration::from_secs(waited.as_secs())
}

/// The order in which publications to one topic reach the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicOrder {
    /// One is unacknowledged at a time: nothing overtakes a failed publication.
    Strict,
    /// Many are unacknowledged at a time, on one connection and in order: what follows a
    /// publication that failed may be out already.
    Pipelined,
    /// None: they take any connection.
    Unordered,
}

impl TopicOrder {
    /// All orders by their names in the configuration.
    pub const NAMES: [(&str, Self); 3] = [
        ("strict", Self::Strict),
        ("pipelined", Self::Pipelined),
        ("none", Self::Unordered),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Pipelined => "pipelined",
            Self::Unordered => "none",
        }
    }
}

impl Publication {
    /// The order of its topic, as far as the route decides it: conflated and retained messages go
    /// one at a time.
    pub fn topic_order(&self) -> Option<TopicOrder> {
        if self.conflate || self.retain {
            Some(TopicOrder::Strict)
        } else {
            self.order
        }
    }

    /// MQTT 5 user properties, in order: the event's id, source, detail-type, time and trace context, as far as it has them, the
    /// route, and how an oversize event was made smaller.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let route = [("eb-route", &*self.route)];
        let oversize = self.oversize.map(|how| ("eb-oversize", how));
        self.facts.iter().chain(route).chain(oversize)
    }
}

/// The facts of an event's envelope that every message carries on. One allocation for all: they are made for each event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeFacts {
    text: Box<str>,
    /// End of each fact in `text`; `None` if the event does not have it.
    ends: [Option<u32>; FACTS.len()],
}

/// The names of the facts as user properties.
const FACTS: [&str; 5] = [
    "eb-id",
    "eb-source",
    "eb-detail-type",
    "eb-time",
    "traceparent",
];

impl EnvelopeFacts {
    /// The facts of an event: its id, source, detail-type, time and W3C trace context.
    pub fn new(id: &str, others: [Option<&str>; FACTS.len() - 1]) -> Self {
        let [source, detail_type, time, traceparent] = others;
        let facts = [Some(id), source, detail_type, time, traceparent];
        let mut text = String::with_capacity(facts.iter().flatten().map(|fact| fact.len()).sum());
        let ends = facts.map(|fact| {
            text.push_str(fact?);
            // A body is smaller than 4 GiB, and these are parts of it.
            u32::try_from(text.len()).ok()
        });
        Self {
            text: text.into(),
            ends,
        }
    }

    /// Time of the event, as written; not trusted to be a date.
    pub fn time(&self) -> Option<&str> {
        let mut facts = self.iter();
        facts.find_map(|(name, time)| (name == "eb-time").then_some(time))
    }

    /// The same facts with another trace context: that of the span which is the parent for the
    /// message's receivers.
    pub fn with_traceparent(&self, traceparent: &str) -> Self {
        // The trace context comes last.
        let [id, source, detail_type, time, _] = self.ends;
        let before = [id, source, detail_type, time].into_iter().flatten().max();
        let others = self.text.get(..before.unwrap_or(0) as usize);
        let text = [others.unwrap_or_default(), traceparent].concat();
        let end = u32::try_from(text.len()).ok();
        Self {
            text: text.into(),
            ends: [id, source, detail_type, time, end],
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let mut start = 0;
        FACTS
            .into_iter()
            .zip(self.ends)
            .filter_map(move |(name, end)| {
                let end = end? as usize;
                let fact = self.text.get(start..end)?;
                start = end;
                Some((name, fact))
            })
    }
}

impl fmt::Debug for Publication {
    /// Never shows the payload: publications end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("topic", &self.topic.as_str())
            .field("payload_bytes", &self.payload.len())
            .field("route", &self.route)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}

/// MQTT's quality of service, as far as IoT Core offers it (there is no QoS 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// 0: sent once, not acknowledged.
    AtMostOnce,
    /// 1: sent until the broker acknowledges it.
    AtLeastOnce,
}

impl Qos {
    /// The number in packets and in the configuration: 0 or 1.
    pub const fn level(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_trace_context_takes_the_place_of_the_first() {
        let told = |facts: &EnvelopeFacts| {
            let facts = facts.iter().map(|(name, fact)| format!("{name}={fact}"));
            facts.collect::<Vec<_>>().join(" ")
        };
        let whole = EnvelopeFacts::new("1", [Some("shop"), None, Some("noon"), Some("theirs")]);
        let bare = EnvelopeFacts::new("1", [None; 4]);
        assert_eq!(
            told(&whole),
            "eb-id=1 eb-source=shop eb-time=noon traceparent=theirs"
        );
        assert_eq!(
            told(&whole.with_traceparent("ours")),
            "eb-id=1 eb-source=shop eb-time=noon traceparent=ours"
        );
        assert_eq!(
            told(&bare.with_traceparent("ours")),
            "eb-id=1 traceparent=ours"
        );
    }
}
