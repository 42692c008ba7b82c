//! All routes together: one event in, its publications out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::oversize::Oversize;
use super::payload::{MissingEventField, PayloadShape};
use super::publication::{EnvelopeFacts, Publication, Qos, TopicOrder};
use super::rejection::TargetRejection;
use super::render::TopicRenderer;
use super::target::TopicTarget;
use crate::channel::limits::PAYLOAD_BYTES;
use crate::channel::topic::Topic;
use crate::event::decode_error::DecodeError;
use crate::event::envelope::{Envelope, Event, EventDecoder, MessageOrigin};
use crate::event::fields::FieldTrie;
use crate::event::pattern::Pattern;
use crate::event::pattern::matching::{BudgetExceeded, PatternSet};

/// The most topics that all routes together may make of one event.
pub const MAX_TOPICS_PER_EVENT: usize = 256;

/// The reason of a body that is no event at all.
pub const NOT_AN_EVENT: &str = "not_an_event";

/// One route, as configured.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, unique among routes.
    pub name: Arc<str>,
    /// Pattern of the events that it takes.
    pub pattern: Pattern,
    /// Targets that it sends them to.
    pub targets: Vec<TopicTarget>,
    /// Payload that it sends.
    pub payload: PayloadShape,
    /// Treatment of events that are too large.
    pub oversize: Oversize,
    /// The delivery guarantee asked of the broker.
    pub qos: Qos,
    /// `true` if the broker keeps the message as the topic's last value.
    pub retain: bool,
    /// Time after its event for which a message is worth delivering; `None` for ever.
    pub expires: Option<Duration>,
    /// `true` if only the newest message of a topic is published while several wait.
    pub conflate: bool,
    /// The order kept among the messages of a topic; `None` where the queue decides.
    pub order: Option<TopicOrder>,
    /// `true` if events that a bus replays from an archive are published too.
    pub replay: bool,
    /// Treatment of an event from which no right topic can be made.
    pub on_invalid_topic: OnInvalidTopic,
}

/// Treatment of an event from which a route cannot make a right topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInvalidTopic {
    /// The route is left out for this event, which is counted and logged.
    Skip,
    /// Nothing of the event is published, and it goes to the dead-letter queue: when it is replayed after the fault is mended,
    /// each message is published once.
    #[default]
    DeadLetter,
}

/// The routes of one configuration, compiled. Immutable and shared.
#[derive(Clone, Debug)]
pub struct RouteTable {
    decoder: EventDecoder,
    patterns: PatternSet,
    routes: Vec<(Route, Vec<TopicRenderer>)>,
    /// Beginning of every topic: the environment and a slash, or nothing.
    prefix: Box<str>,
}

/// Result of routing one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingResult {
    /// Publications, in the order of routes and targets. Empty if no route takes the event.
    pub publications: Vec<Publication>,
    /// Routes that take the event but are left out, because they make no right topic of it.
    pub skipped: Vec<RouteRefusal>,
    /// Number of routes that take the event but hold it back, because it is replayed from an
    /// archive.
    pub held_back: usize,
    /// Number of routes that take the event but have nothing to publish of it: their lists have no
    /// elements.
    pub empty: usize,
}

/// An event, or one route's part of it, that can never be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct RouteRefusal {
    /// A word from a closed set, for metrics and dead-letter messages.
    pub reason: &'static str,
    /// One line for a person, without the payload.
    pub detail: String,
    /// The route at fault, where one is.
    pub route: Option<Arc<str>>,
}

impl RouteRefusal {
    fn new(reason: &'static str, detail: impl ToString) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
            route: None,
        }
    }

    fn of(route: &Route, reason: &'static str, detail: impl ToString) -> Self {
        Self {
            route: Some(Arc::clone(&route.name)),
            ..Self::new(reason, detail)
        }
    }
}

impl From<DecodeError> for RouteRefusal {
    fn from(error: DecodeError) -> Self {
        Self::new(NOT_AN_EVENT, error)
    }
}

impl From<BudgetExceeded> for RouteRefusal {
    fn from(error: BudgetExceeded) -> Self {
        Self::new("match_budget", error)
    }
}

impl RouteTable {
    /// Compiles routes. Topics get `environment` as their first level where one is given.
    pub fn new(routes: Vec<Route>, envelope: Envelope, environment: Option<&str>) -> Self {
        let mut fields = FieldTrie::new();
        let patterns = PatternSet::compile(routes.iter().map(|route| &route.pattern), &mut fields);
        let routes = routes
            .into_iter()
            .map(|route| {
                let renderers = route
                    .targets
                    .iter()
                    .map(|target| TopicRenderer::new(target, &route.name, &mut fields, envelope))
                    .collect();
                (route, renderers)
            })
            .collect();
        Self {
            decoder: EventDecoder::new(envelope, fields),
            patterns,
            routes,
            prefix: environment
                .map_or_else(String::new, |name| format!("{name}/"))
                .into(),
        }
    }

    /// The routes, in the order of the configuration.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Route> {
        self.routes.iter().map(|(route, _)| route)
    }

    /// The shapes of body that are events.
    pub fn envelope(&self) -> Envelope {
        self.decoder.envelope()
    }

    /// Returns the publications of one body.
    ///
    /// # Errors
    /// [`RouteRefusal`] if the body is no event, or nothing of it may be published.
    pub fn route<'m>(
        &self,
        body: &Bytes,
        origin: impl Into<MessageOrigin<'m>>,
    ) -> Result<RoutingResult, RouteRefusal> {
        let event = self.decoder.decode(body, origin)?;
        let mut matched = Vec::new();
        self.patterns.matching(event.scanned(), &mut matched)?;
        let mut routed = RoutingResult::default();
        for index in matched {
            let Some((route, renderers)) = self.routes.get(index) else {
                continue;
            };
            if event.is_replay() && !route.replay {
                routed.held_back += 1;
                continue;
            }
            let before = routed.publications.len();
            match self.publications(route, renderers, &event, &mut routed.publications) {
                Ok(()) => routed.empty += usize::from(routed.publications.len() == before),
                Err(refusal) => match route.on_invalid_topic {
                    OnInvalidTopic::Skip => routed.skipped.push(refusal),
                    OnInvalidTopic::DeadLetter => return Err(refusal),
                },
            }
        }
        if routed.publications.len() > MAX_TOPICS_PER_EVENT {
            let detail = format!(
                "{} topics for one event; at most {MAX_TOPICS_PER_EVENT} are made",
                routed.publications.len()
            );
            return Err(RouteRefusal::new("too_many_topics", detail));
        }
        Ok(routed)
    }

    /// Appends one route's publications: all of them, or none.
    fn publications(
        &self,
        route: &Route,
        renderers: &[TopicRenderer],
        event: &Event<'_>,
        out: &mut Vec<Publication>,
    ) -> Result<(), RouteRefusal> {
        let mut topics: Vec<Topic> = Vec::new();
        for renderer in renderers {
            renderer
                .topics(event.scanned(), &self.prefix, &mut topics)
                .map_err(|rejection| rejected(route, &rejection))?;
        }
        if topics.is_empty() {
            return Ok(());
        }
        let (payload, oversize) = payload(route, event)?;
        let facts = Arc::new(facts(event));
        out.extend(topics.into_iter().map(|topic| Publication {
            topic,
            payload: payload.clone(),
            route: Arc::clone(&route.name),
            qos: route.qos,
            retain: route.retain,
            expires: route.expires,
            conflate: route.conflate,
            order: route.order,
            content_type: route.payload.content_type(),
            oversize,
            facts: Arc::clone(&facts),
        }));
        Ok(())
    }

    /// The first level of a topic that these routes made, without their environment: its channel's
    /// kind.
    pub fn kind_of<'t>(&self, topic: &'t Topic) -> &'t str {
        let topic = topic.as_str();
        let topic = topic.strip_prefix(&*self.prefix).unwrap_or(topic);
        topic.split('/').next().unwrap_or(topic)
    }

    /// Reads a body as the daemon would, for an explanation of its routing.
    ///
    /// # Errors
    /// [`RouteRefusal`] when the body is no event.
    pub fn decode<'m>(
        &self,
        body: &Bytes,
        origin: impl Into<MessageOrigin<'m>>,
    ) -> Result<Event<'m>, RouteRefusal> {
        Ok(self.decoder.decode(body, origin)?)
    }

    /// One route's publications of one event, whether its pattern matches or not.
    ///
    /// # Errors
    /// [`RouteRefusal`] when it can make none.
    pub fn publications_of(
        &self,
        index: usize,
        event: &Event<'_>,
    ) -> Result<Vec<Publication>, RouteRefusal> {
        let mut publications = Vec::new();
        if let Some((route, renderers)) = self.routes.get(index) {
            self.publications(route, renderers, event, &mut publications)?;
        }
        Ok(publications)
    }

    /// The topics of each target of one route by itself, whether its pattern matches or not.
    pub fn topics_of(&self, index: usize, event: &Event<'_>) -> Vec<TargetTopics> {
        let Some((route, renderers)) = self.routes.get(index) else {
            return Vec::new();
        };
        let of_target = |renderer: &TopicRenderer| {
            let mut topics = Vec::new();
            let made = renderer.topics(event.scanned(), &self.prefix, &mut topics);
            let topics = made.map(|()| topics);
            TargetTopics {
                target: renderer.target().to_string(),
                lack: match &topics {
                    Ok(topics) if topics.is_empty() => Some(renderer.lack(event.scanned())),
                    _ => None,
                },
                topics: topics.map_err(|rejection| rejected(route, &rejection)),
            }
        };
        renderers.iter().map(of_target).collect()
    }
}

/// The topics that one target makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTopics {
    /// The target, as written.
    pub target: String,
    /// Its topics, or why it can make none.
    pub topics: Result<Vec<Topic>, RouteRefusal>,
    /// The reason why it makes no topic of an event that is not at fault.
    pub lack: Option<String>,
}

fn rejected(route: &Route, rejection: &TargetRejection) -> RouteRefusal {
    RouteRefusal::of(route, rejection.problem.reason(), rejection)
}

/// Returns the payload that a route sends of an event, and the replacement used if the payload is
/// too large.
fn payload(
    route: &Route,
    event: &Event<'_>,
) -> Result<(Bytes, Option<&'static str>), RouteRefusal> {
    let lacking = |lacks: MissingEventField| RouteRefusal::of(route, "payload", lacks);
    let whole = route.payload.of(event).map_err(lacking)?;
    if whole.len() <= PAYLOAD_BYTES {
        return Ok((whole, None));
    }
    let too_large = |what: &str, bytes: usize| {
        let detail = format!("{what} has {bytes} bytes; IoT Core takes {PAYLOAD_BYTES}");
        RouteRefusal::of(route, "too_large", detail)
    };
    let detail = event.detail().map(|detail| event.scanned().slice(&detail));
    let stand = detail.and_then(|detail| route.oversize.replace(event.id(), &detail, whole.len()));
    let Some(stand) = stand else {
        return Err(too_large("the payload", whole.len()));
    };
    let how = stand.how;
    let small = route.payload.with_detail(event, stand.detail);
    let small = small.map_err(lacking)?;
    if small.len() > PAYLOAD_BYTES {
        return Err(too_large("what stands in for the payload", small.len()));
    }
    Ok((small, Some(how)))
}

/// Facts of a message that a client may need without reading its payload.
fn facts(event: &Event<'_>) -> EnvelopeFacts {
    let others = [
        event.source(),
        event.detail_type(),
        event.time(),
        event.traceparent(),
    ];
    EnvelopeFacts::new(event.id(), others)
}
