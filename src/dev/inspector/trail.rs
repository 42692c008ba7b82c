//! One event's way: what was seen of it, where and when.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The most hops of one event that are told one by one; an event may go to thousands of clients.
const HOPS: usize = 200;

/// Microseconds since 1970: what a browser's number holds exactly.
pub type EpochMicros = i64;

/// The time as microseconds since 1970; zero for what lies before.
pub fn micros(at: SystemTime) -> EpochMicros {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// The time between two moments; zero when they stand the wrong way round.
pub fn between(earlier: EpochMicros, later: EpochMicros) -> Duration {
    Duration::from_micros(u64::try_from(later.saturating_sub(earlier)).unwrap_or_default())
}

/// One step on an event's way.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// When, in microseconds since 1970.
    pub at: EpochMicros,
    /// What.
    #[serde(flatten)]
    pub step: TimelineStep,
}

/// What happened to an event.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum TimelineStep {
    /// It was put on a bus.
    Put {
        /// The bus.
        bus: Box<str>,
        /// How many rules take it; `None` where there is no such bus.
        rules: Option<usize>,
    },
    /// A rule took it, but its target could not.
    Unsent {
        /// The rule.
        rule: Box<str>,
        /// The target's ARN.
        target: Box<str>,
        /// Why.
        why: Box<str>,
    },
    /// It came to a queue.
    Queued {
        /// The queue.
        queue: Arc<str>,
        /// The queue's id of the message.
        message_id: Arc<str>,
        /// The rule that sent it; `None` when somebody else did.
        rule: Option<Box<str>>,
        /// Why it can never be published, when it comes to a dead-letter queue with a reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dead_letter: Option<Box<str>>,
    },
    /// A consumer took it from the queue.
    Received {
        /// The queue.
        queue: Arc<str>,
        /// How often it was taken, this time included.
        attempt: u32,
    },
    /// The consumer said how long it stays invisible to others from then on: zero to give it back at once.
    Hidden {
        /// The queue.
        queue: Arc<str>,
        /// How long.
        seconds: u64,
    },
    /// The consumer has done with it.
    Deleted {
        /// The queue.
        queue: Arc<str>,
    },
    /// It was taken too often, and moved to another queue.
    Redriven {
        /// The queue it left.
        queue: Arc<str>,
        /// The queue it came to.
        to: Box<str>,
    },
    /// A message made of it was published.
    Published {
        /// Where.
        topic: Box<str>,
        /// The route that made it.
        route: Option<Box<str>>,
        /// Who published it; empty for HTTPS.
        client: Arc<str>,
        /// The payload's length.
        bytes: usize,
        /// 0 or 1.
        qos: u8,
        /// Whether the broker keeps it.
        retain: bool,
        /// How many sessions it goes to.
        sessions: usize,
    },
    /// A message made of it was written to a client.
    Delivered {
        /// Where it was published.
        topic: Box<str>,
        /// The client.
        client: Arc<str>,
        /// 0 or 1.
        qos: u8,
        /// Whether it was kept for the client, which subscribed later.
        #[serde(default, skip_serializing_if = "is_false")]
        retained: bool,
    },
    /// A message made of it did not come to a client that had subscribed.
    Withheld {
        /// Where it was published.
        topic: Box<str>,
        /// The client.
        client: Arc<str>,
        /// Why.
        why: Box<str>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// An event and its way so far.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EventTimeline {
    /// The event's id.
    pub id: Arc<str>,
    /// Who sent it.
    pub source: Option<Box<str>>,
    /// What it tells.
    pub detail_type: Option<Box<str>>,
    /// Its envelope's length.
    pub bytes: usize,
    /// When it was first seen.
    pub began: EpochMicros,
    /// When it was seen last.
    pub ended: EpochMicros,
    /// Messages that were published.
    pub published: u32,
    /// Messages that were written to clients.
    pub delivered: u32,
    /// Messages that were kept from clients.
    pub withheld: u32,
    /// From the first step to the first message that was written to a client, in microseconds.
    pub first_after: Option<u64>,
    /// Whether it went, or may have gone, to a dead-letter queue.
    pub dead: bool,
    /// Whether it left the queue.
    pub done: bool,
    /// The steps, in the order in which they happened.
    pub hops: Vec<TimelineEntry>,
    /// Steps that are counted above, but not among `hops`.
    pub more_hops: u64,
}

impl EventTimeline {
    /// An event that was seen just now.
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

    /// Adds a step. Endpoints tell of theirs independently, so a step may come after one that followed it.
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
        // Where there are many steps, clients are what there are many of.
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
