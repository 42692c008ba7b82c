//! Timeline of one event: its observations, with place and time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Maximum number of entries of one timeline; an event may go to thousands of clients.
const HOPS: usize = 200;

/// Microseconds since 1970, a number that JavaScript holds exactly.
pub type EpochMicros = i64;

/// Returns a time as microseconds since 1970; zero for an earlier time.
pub fn micros(at: SystemTime) -> EpochMicros {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Returns the time between two moments; zero where they are in reverse order.
pub fn between(earlier: EpochMicros, later: EpochMicros) -> Duration {
    Duration::from_micros(u64::try_from(later.saturating_sub(earlier)).unwrap_or_default())
}

/// Entry of an event's timeline.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// Time, in microseconds since 1970.
    pub at: EpochMicros,
    /// The step.
    #[serde(flatten)]
    pub step: TimelineStep,
}

/// Step of an event on its way.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum TimelineStep {
    /// The event was put on a bus.
    Put {
        /// The bus.
        bus: Box<str>,
        /// Number of rules that match; `None` where the bus does not exist.
        rules: Option<usize>,
    },
    /// A rule matched the event, but its target did not accept it.
    Unsent {
        /// The rule.
        rule: Box<str>,
        /// The target's ARN.
        target: Box<str>,
        /// Reason.
        why: Box<str>,
    },
    /// The event's message was added to a queue.
    Queued {
        /// The queue.
        queue: Arc<str>,
        /// Message id in the queue.
        message_id: Arc<str>,
        /// Rule that sent the message; `None` for another sender.
        rule: Option<Box<str>>,
        /// Reason why the event can never be published, where it reaches a dead-letter queue with a
        /// reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_letter: Option<Box<str>>,
    },
    /// A consumer received the message.
    Received {
        /// The queue.
        queue: Arc<str>,
        /// Number of receives, this one included.
        attempt: u32,
    },
    /// The consumer changed the visibility timeout; zero returns the message at once.
    Hidden {
        /// The queue.
        queue: Arc<str>,
        /// Visibility timeout, in seconds.
        seconds: u64,
    },
    /// The consumer deleted the message.
    Deleted {
        /// The queue.
        queue: Arc<str>,
    },
    /// The message exceeded its maximum receive count and moved to another queue.
    Redriven {
        /// Source queue.
        queue: Arc<str>,
        /// Target queue.
        to: Box<str>,
    },
    /// A message of the event was published.
    Published {
        /// Topic.
        topic: Box<str>,
        /// The route that created the message.
        route: Option<Box<str>>,
        /// Client id of the publisher; empty for HTTPS.
        client: Arc<str>,
        /// The payload's length.
        bytes: usize,
        /// 0 or 1.
        qos: u8,
        /// `true` where the broker retains the message.
        retain: bool,
        /// Number of sessions that the message goes to.
        sessions: usize,
    },
    /// A message of the event was written to a client.
    Delivered {
        /// Topic of the message.
        topic: Box<str>,
        /// The client.
        client: Arc<str>,
        /// 0 or 1.
        qos: u8,
        /// `true` where the message was retained and the client subscribed later.
        #[serde(default, skip_serializing_if = "is_false")]
        retained: bool,
    },
    /// A message of the event did not reach a subscriber.
    Withheld {
        /// Topic of the message.
        topic: Box<str>,
        /// The client.
        client: Arc<str>,
        /// Reason.
        why: Box<str>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Timeline of an event so far.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EventTimeline {
    /// Id of the event.
    pub id: Arc<str>,
    /// Source of the event.
    pub source: Option<Box<str>>,
    /// Detail type of the event.
    pub detail_type: Option<Box<str>>,
    /// Size of the envelope, in bytes.
    pub bytes: usize,
    /// Time of the first observation.
    pub began: EpochMicros,
    /// Time of the last observation.
    pub ended: EpochMicros,
    /// Number of published messages.
    pub published: u32,
    /// Number of messages that were written to clients.
    pub delivered: u32,
    /// Number of messages that were withheld from clients.
    pub withheld: u32,
    /// Time from the first step to the first delivery to a client, in microseconds.
    pub first_after: Option<u64>,
    /// `true` where the event went, or may have gone, to a dead-letter queue.
    pub dead: bool,
    /// `true` where the message was deleted from the queue.
    pub done: bool,
    /// Entries, sorted by time.
    pub hops: Vec<TimelineEntry>,
    /// Number of entries that are counted above, but absent from `hops`.
    pub more_hops: u64,
}

impl EventTimeline {
    /// Creates the timeline of a new event.
    pub fn new(id: Arc<str>, at: EpochMicros) -> Self {
        Self {
            id,
            source: None,
            detail_type: None,
            bytes: 0,
            began: at,
            ended: at,
            published: 0,
            delivered: 0,
            withheld: 0,
            first_after: None,
            dead: false,
            done: false,
            hops: Vec::new(),
            more_hops: 0,
        }
    }

    /// Adds a step. Endpoints report independently, so a step may arrive after its successor.
    pub fn add(&mut self, at: EpochMicros, step: TimelineStep) {
        self.began = self.began.min(at);
        self.ended = self.ended.max(at);
        match &step {
            TimelineStep::Published { .. } => self.published += 1,
            TimelineStep::Delivered { retained: true, .. } => self.delivered += 1,
            TimelineStep::Delivered { .. } => {
                self.delivered += 1;
                let after = between(self.began, at).as_micros() as u64;
                self.first_after = Some(self.first_after.map_or(after, |known| known.min(after)));
            }
            TimelineStep::Withheld { .. } => self.withheld += 1,
            TimelineStep::Deleted { .. } => self.done = true,
            TimelineStep::Unsent { .. } | TimelineStep::Redriven { .. } => self.dead = true,
            TimelineStep::Queued { dead_letter, .. } => self.dead |= dead_letter.is_some(),
            TimelineStep::Put { .. }
            | TimelineStep::Received { .. }
            | TimelineStep::Hidden { .. } => {}
        }
        // Among many steps, most are those of clients.
        let is_crowd = matches!(
            step,
            TimelineStep::Delivered { .. } | TimelineStep::Withheld { .. }
        );
        if self.hops.len() >= HOPS && (is_crowd || self.hops.len() >= 2 * HOPS) {
            self.more_hops += 1;
            return;
        }
        let place = self.hops.iter().rposition(|hop| hop.at <= at);
        let place = place.map_or(0, |place| place + 1);
        self.hops.insert(place, TimelineEntry { at, step });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(client: &str) -> TimelineStep {
        TimelineStep::Delivered {
            topic: "order/1".into(),
            client: client.into(),
            qos: 1,
            retained: false,
        }
    }

    #[test]
    fn steps_stand_in_the_order_of_time() {
        let mut trail = EventTimeline::new("e".into(), 5);
        let put = TimelineStep::Put {
            bus: "default".into(),
            rules: Some(1),
        };
        for (at, step) in [
            (9, delivered("b")),
            (3, put.clone()),
            (9, delivered("c")),
            (7, delivered("a")),
        ] {
            trail.add(at, step);
        }
        let steps: Vec<_> = trail.hops.iter().map(|hop| (hop.at, &hop.step)).collect();
        let wanted = [
            (3, put),
            (7, delivered("a")),
            (9, delivered("b")),
            (9, delivered("c")),
        ];
        let wanted: Vec<_> = wanted.iter().map(|(at, step)| (*at, step)).collect();
        assert_eq!(steps, wanted);
        assert_eq!((trail.began, trail.ended, trail.delivered), (3, 9, 3));
        assert_eq!(trail.first_after, Some(4));
    }

    #[test]
    fn a_crowd_is_counted() {
        let mut trail = EventTimeline::new("e".into(), 0);
        for at in 0..1_000 {
            trail.add(at, delivered("c"));
        }
        let deleted = TimelineStep::Deleted { queue: "q".into() };
        trail.add(2_000, deleted.clone());
        assert_eq!((trail.delivered, trail.more_hops), (1_000, 800));
        assert_eq!(trail.hops.last().map(|hop| &hop.step), Some(&deleted));
        assert!(trail.done);
    }

    #[test]
    fn a_hop_is_flat_json() {
        let hop = TimelineEntry {
            at: 1,
            step: delivered("c"),
        };
        let json = serde_json::to_string(&hop).unwrap();
        insta::assert_snapshot!(json, @r#"{"at":1,"step":"delivered","topic":"order/1","client":"c","qos":1}"#);
        assert_eq!(serde_json::from_str::<TimelineEntry>(&json).unwrap(), hop);
    }
}
