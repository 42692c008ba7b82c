//! Explanation of one event's routing. For each route: the fields that its pattern misses, the
//! topics of each target or the reason why there are none, and the publications. For the event as a
//! whole: exactly the daemon's outcome.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::publication::{Publication, TopicOrder};
use super::table::{Route, RouteRefusal, RouteTable, TargetTopics};
use crate::event::envelope::EventDecoder;
use crate::event::pattern::explain::{PatternExplainer, PatternMismatch};

/// Below this, the rest of a message's time cannot be written as MQTT 5 message expiry, and the
/// daemon drops the message.
pub const SHORTEST_EXPIRY: Duration = Duration::from_secs(1);

/// Effect of all routes on one event.
#[derive(Debug, Serialize)]
pub struct EventExplanation {
    /// The event.
    pub event: EventFacts,
    /// Outcome of the event in the daemon.
    pub outcome: EventOutcome,
    /// Reason why the event goes to the dead-letter queue, if so.
    pub refused: Option<UnpublishedReason>,
    /// Each route, in the order of the configuration.
    pub routes: Vec<RouteExplanation>,
}

/// Outcome of an event in the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventOutcome {
    /// Messages are published, then it is deleted.
    Published,
    /// Nothing of it is published, and it goes to the dead-letter queue.
    DeadLetter,
    /// It is deleted: no route takes it.
    Unrouted,
    /// It is deleted: routes take it, but it is replayed from an archive.
    HeldBack,
    /// It is deleted: routes take it, but it has nothing to fan out.
    NothingToPublish,
    /// It is deleted: the routes that take it make no right topic and are left out (`on_invalid_topic: skip`).
    Skipped,
    /// It is deleted: all its messages are too old.
    Expired,
}

impl EventExplanation {
    /// Returns `true` if anything would be published.
    pub fn publishes(&self) -> bool {
        self.outcome == EventOutcome::Published
    }
}

/// The event's facts about itself.
#[derive(Debug, Serialize)]
pub struct EventFacts {
    /// Its id; the queue's message id where it has none.
    pub id: String,
    /// Sender of the event.
    pub source: Option<String>,
    /// Kind of the event.
    pub detail_type: Option<String>,
    /// The length of the body.
    pub size_bytes: usize,
    /// `true` if an archive sends the event once more.
    pub replay: bool,
}

/// Effect of one route on the event.
#[derive(Debug, Serialize)]
pub struct RouteExplanation {
    /// The route's name.
    pub route: String,
    /// `true` if its pattern matches.
    pub matches: bool,
    /// Reasons why it does not match, one for each alternative of `$or`.
    pub mismatches: Vec<PatternMismatch>,
    /// Reason why it publishes nothing although it matches: a fault, or a replay that it holds
    /// back.
    pub refused: Option<UnpublishedReason>,
    /// Result of each of its targets for the event, where it matches.
    pub targets: Vec<TargetExplanation>,
    /// Publications of the route: none if the event as a whole goes to the dead-letter queue.
    pub publications: Vec<PublicationFacts>,
}

/// Result of one target for the event.
#[derive(Debug, Serialize)]
pub struct TargetExplanation {
    /// The target, as written.
    pub target: String,
    /// Its topics.
    pub topics: Vec<String>,
    /// Reason why it can make none: its fault.
    pub refused: Option<UnpublishedReason>,
    /// Reason why it makes none although it is not at fault: there is nothing to fan out.
    pub nothing: Option<String>,
}

impl From<TargetTopics> for TargetExplanation {
    fn from(made: TargetTopics) -> Self {
        let (topics, refused) = match made.topics {
            Ok(topics) => (topics, None),
            Err(refusal) => (Vec::new(), Some(refusal.into())),
        };
        Self {
            target: made.target,
            topics: topics.iter().map(ToString::to_string).collect(),
            refused,
            nothing: made.lack,
        }
    }
}

/// Reason why nothing is published.
#[derive(Debug, Serialize)]
pub struct UnpublishedReason {
    /// A word from a closed set.
    pub reason: &'static str,
    /// One line for a person.
    pub detail: String,
}

impl From<RouteRefusal> for UnpublishedReason {
    fn from(refusal: RouteRefusal) -> Self {
        Self {
            reason: refusal.reason,
            detail: refusal.detail,
        }
    }
}

/// A publication without its payload.
#[derive(Debug, Serialize)]
pub struct PublicationFacts {
    /// Topic of the publication.
    pub topic: String,
    /// The payload's length.
    pub size_bytes: usize,
    /// 0 or 1.
    pub qos: u8,
    /// `true` if the broker keeps it.
    pub retain: bool,
    /// Seconds for which it is worth delivering.
    pub expires_seconds: Option<u64>,
    /// `true` if it has expired at the moment that was asked about: the daemon drops it.
    pub expired: bool,
    /// Kind of replacement for a payload that is too large: `project` or `pointer`.
    pub oversize: Option<&'static str>,
    /// The order of its topic: strict, pipelined or none; absent where the queue decides (strict
    /// with FIFO, else pipelined).
    pub order: Option<&'static str>,
    /// MQTT 5 content type.
    pub content_type: &'static str,
    /// MQTT 5 user properties.
    pub user_properties: serde_json::Map<String, serde_json::Value>,
}

impl From<Publication> for PublicationFacts {
    fn from(publication: Publication) -> Self {
        Self {
            user_properties: publication
                .user_properties()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            topic: publication.topic.to_string(),
            size_bytes: publication.payload.len(),
            qos: publication.qos.level(),
            retain: publication.retain,
            expires_seconds: publication.expires.map(|expires| expires.as_secs()),
            expired: false,
            oversize: publication.oversize,
            order: publication.topic_order().map(TopicOrder::name),
            content_type: publication.content_type,
        }
    }
}

/// Explains one body as the queue hands it out. `at` is the moment at which the daemon has it; without one, no message is too
/// old.
///
/// # Errors
/// [`RouteRefusal`] when the body is no event, or takes too long to match.
pub fn explain(
    table: &RouteTable,
    body: &Bytes,
    message_id: &str,
    at: Option<Timestamp>,
) -> Result<EventExplanation, RouteRefusal> {
    let event = table.decode(body, message_id)?;
    let facts = EventFacts {
        id: event.id().to_owned(),
        source: event.source().map(str::to_owned),
        detail_type: event.detail_type().map(str::to_owned),
        size_bytes: body.len(),
        replay: event.is_replay(),
    };
    let age = age(event.time(), at);
    let routes = table.routes().enumerate();
    let mut routes = routes
        .map(|(index, route)| explain_route(table, index, route, body, message_id, age))
        .collect::<Result<Vec<_>, _>>()?;
    let (outcome, refused) = match table.route(body, message_id) {
        Err(refusal) => {
            for route in &mut routes {
                route.publications.clear();
            }
            (
                EventOutcome::DeadLetter,
                Some(UnpublishedReason::from(refusal)),
            )
        }
        Ok(routed) => {
            let mut made = routes.iter().flat_map(|route| &route.publications);
            let outcome = match (routed.held_back, routed.empty) {
                _ if made.any(|publication| !publication.expired) => EventOutcome::Published,
                _ if !routed.publications.is_empty() => EventOutcome::Expired,
                (0, 0) if routed.skipped.is_empty() => EventOutcome::Unrouted,
                (0, 0) => EventOutcome::Skipped,
                (0, _) => EventOutcome::NothingToPublish,
                _ => EventOutcome::HeldBack,
            };
            (outcome, None)
        }
    };
    Ok(EventExplanation {
        event: facts,
        outcome,
        refused,
        routes,
    })
}

/// The age of an event at a moment: nothing where its time is no date, or lies ahead.
fn age(time: Option<&str>, at: Option<Timestamp>) -> Duration {
    let time = time.and_then(|time| time.parse::<Timestamp>().ok());
    let age = at.zip(time).map(|(at, time)| at.duration_since(time));
    age.and_then(|age| Duration::try_from(age).ok())
        .unwrap_or_default()
}

fn explain_route(
    table: &RouteTable,
    index: usize,
    route: &Route,
    body: &Bytes,
    message_id: &str,
    age: Duration,
) -> Result<RouteExplanation, RouteRefusal> {
    let event = table.decode(body, message_id)?;
    let explainer = PatternExplainer::new(&route.pattern).with_envelope(table.envelope());
    let decoder = EventDecoder::new(table.envelope(), explainer.fields().clone());
    let scanned = decoder.decode(body, message_id)?;
    let verdict = explainer.explain(scanned.scanned())?;
    let mut explained = RouteExplanation {
        route: route.name.to_string(),
        matches: verdict.matches,
        mismatches: verdict.mismatches,
        refused: None,
        targets: Vec::new(),
        publications: Vec::new(),
    };
    if !explained.matches {
        return Ok(explained);
    }
    if event.is_replay() && !route.replay {
        explained.refused = Some(UnpublishedReason {
            reason: "replay",
            detail: "the event is replayed from an archive; the route does not say `replay: true`"
                .into(),
        });
        return Ok(explained);
    }
    let targets = table.topics_of(index, &event).into_iter();
    explained.targets = targets.map(Into::into).collect();
    match table.publications_of(index, &event) {
        Ok(publications) => {
            let facts = publications.into_iter().map(|publication| {
                let left = publication
                    .expires
                    .map(|expires| expires.saturating_sub(age));
                PublicationFacts {
                    expired: left.is_some_and(|left| left < SHORTEST_EXPIRY),
                    ..publication.into()
                }
            });
            explained.publications = facts.collect();
        }
        Err(refusal) => explained.refused = Some(refusal.into()),
    }
    Ok(explained)
}
