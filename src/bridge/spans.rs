//! Spans of deliveries, and of the publications made of them.
//!
//! Names, kinds and attributes are those of OpenTelemetry's semantic conventions 1.42.0 ("Messaging
//! spans" and "AWS SQS", whose status is development); names that they do not define begin with
//! `eventcast.`. A delivery's span hangs below the sender's and is linked to it. Topics are never
//! recorded: they are without number, and they name people.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use super::Bridge;
use super::dispose::DeliveryOutcome;
use super::work::{PublishJob, Work, WorkId};
use crate::event::envelope::{Event, MessageOrigin};
use crate::port::Delivery;
use crate::route::publication::Publication;
use crate::route::table::RouteTable;
use crate::telemetry::traces::{AttributeValue, Span, SpanBeginning, SpanRole, Traces};

/// Outcome of a delivery or a publication.
const OUTCOME: &str = "eventcast.outcome";

/// A route's name.
const ROUTE: &str = "eventcast.route";

/// The size of a delivery's body or a publication's payload.
const BODY_BYTES: &str = "messaging.message.body.size";

/// Begins the daemon's spans.
#[derive(Default)]
pub(super) struct Spans {
    traces: Traces,
    /// The name of all deliveries' spans.
    process: String,
    queue: Peer,
    broker: Peer,
}

impl Spans {
    /// Spans of deliveries from one queue, and of publications to one broker; both are URLs.
    pub(super) fn new(traces: Traces, queue: &str, broker: &str) -> Self {
        let queue = Peer::of(queue);
        Self {
            traces,
            process: format!("process {}", queue.name()),
            queue,
            broker: Peer::of(broker),
        }
    }

    /// Begins the span of a delivery that was received a while ago. The body is read for it once more.
    fn delivery(&self, delivery: &Delivery, ago: Duration, routes: &RouteTable) -> Span {
        let origin = MessageOrigin {
            message_id: &delivery.id,
            traceparent: delivery.traceparent.as_deref(),
        };
        let event = routes.decode(&delivery.body, origin).ok();
        let parent = match &event {
            Some(event) => event.traceparent(),
            None => delivery.traceparent.as_deref(),
        };
        let mut facts = vec![
            ("messaging.system", "aws_sqs".into()),
            ("messaging.operation.name", "process".into()),
            ("messaging.operation.type", "process".into()),
            ("messaging.destination.name", self.queue.name().into()),
        ];
        self.queue.address(&mut facts);
        let mut span = self.traces.begin(&SpanBeginning {
            name: &self.process,
            kind: SpanRole::Consumer,
            since: SystemTime::now()
                .checked_sub(ago)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            parent,
            links: parent.as_slice(),
            facts: &facts,
        });
        span.say("aws.sqs.queue.url", &*self.queue.url);
        span.say("messaging.message.id", &*delivery.id);
        span.say(BODY_BYTES, delivery.body.len());
        span.say("eventcast.delivery.attempt", delivery.attempt);
        if let Some(event) = event.as_ref().map(Event::id) {
            span.say("eventcast.event.id", event);
        }
        span
    }

    /// Begins a publication's span when it has its first turn, below that of the delivery it was made of, and names it as the
    /// parent of what its receivers do. Does nothing where that delivery's is not recorded.
    pub(super) fn publication(
        &self,
        job: &mut PublishJob,
        works: &FxHashMap<WorkId, Work>,
        publication: &mut Publication,
    ) {
        let mut works = job.works.iter().rev().filter_map(|work| works.get(work));
        let Some(parent) = works.next().and_then(|work| work.span.traceparent()) else {
            return;
        };
        if job.tries == 0 {
            // Those whose own publication it took the place of.
            let links: Vec<&str> = works.filter_map(|work| work.span.traceparent()).collect();
            let mut facts = vec![
                ("messaging.system", "mqtt".into()),
                ("messaging.operation.name", "publish".into()),
                ("messaging.operation.type", "send".into()),
                (ROUTE, (&*publication.route).into()),
            ];
            self.broker.address(&mut facts);
            job.span = self.traces.begin(&SpanBeginning {
                name: "publish",
                kind: SpanRole::Producer,
                since: SystemTime::now(),
                parent: Some(parent),
                links: &links,
                facts: &facts,
            });
            let qos = u32::from(publication.qos.level());
            job.span.say("eventcast.qos", qos);
            job.span.say(BODY_BYTES, publication.payload.len());
        }
        if let Some(ours) = job.span.traceparent() {
            publication.facts = publication.facts.with_traceparent(ours).into();
        }
    }
}

impl<Q, P> Bridge<Q, P> {
    /// Begins a delivery's span, from the moment when it was received.
    pub(super) fn span(&self, delivery: &Delivery) -> Span {
        if !self.spans.traces.are_on() {
            return Span::default();
        }
        // Its visibility timeout began at its receipt.
        let received = delivery.lease.checked_sub(self.facts.visibility);
        let ago = received.map_or(Duration::ZERO, |received| received.elapsed());
        self.spans.delivery(delivery, ago, &self.routes.borrow())
    }
}

/// Records in a delivery's span which publications are made of it.
pub(super) fn routed(span: &mut Span, publications: &[Publication]) {
    if span.traceparent().is_some() {
        let mut routes: Vec<&str> = publications.iter().map(|one| &*one.route).collect();
        routes.dedup();
        span.say("eventcast.routes", AttributeValue::Texts(&routes));
        span.say("eventcast.publications", publications.len());
    }
}

/// Ends a publication's span with its fate.
pub(super) fn resolved(job: &mut PublishJob, fate: &'static str, outcome: &DeliveryOutcome) {
    let mut span = std::mem::take(&mut job.span);
    span.say(OUTCOME, fate);
    span.say("eventcast.tries", job.tries);
    if let DeliveryOutcome::Refused(refusal) = outcome {
        span.fail(refusal.reason);
    }
}

/// Records in a delivery's span how the work on it ended. The outcome of one that can never be
/// published is known when it is settled.
pub(super) fn ended(span: &mut Span, outcome: &DeliveryOutcome) {
    let fate = match outcome {
        DeliveryOutcome::Done => "finished",
        DeliveryOutcome::Postponed { .. } => "postponed",
        DeliveryOutcome::OverShare => "over_share",
        DeliveryOutcome::HandedBack => "handed_back",
        DeliveryOutcome::Lost => "lease_lost",
        DeliveryOutcome::Refused(refusal) => {
            if let Some(route) = &refusal.route {
                span.say(ROUTE, &**route);
            }
            return span.fail(refusal.reason);
        }
    };
    settled(span, fate);
    if matches!(
        outcome,
        DeliveryOutcome::Postponed { .. } | DeliveryOutcome::Lost
    ) {
        span.fail(fate);
    }
}

/// Records in a delivery's span how the delivery was settled.
pub(super) fn settled(span: &mut Span, fate: &'static str) {
    span.say(OUTCOME, fate);
}

/// Whom the daemon talks to.
#[derive(Default)]
struct Peer {
    url: Box<str>,
    host: Box<str>,
    port: Option<u32>,
}

impl Peer {
    /// Reads `SCHEME://HOST[:PORT][/PATH]`. Text of another form is kept as it is.
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or(rest);
        let port = authority
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port) = match port {
            Some((host, port)) => (host, Some(port.into())),
            None => (authority, None),
        };
        Self {
            url: url.into(),
            host: host.trim_matches(['[', ']']).into(),
            port,
        }
    }

    /// A queue's name: the last level of its URL.
    fn name(&self) -> &str {
        let name = self.url.rsplit('/').next();
        name.unwrap_or(&self.url)
    }

    fn address<'p>(&'p self, facts: &mut Vec<(&'static str, AttributeValue<'p>)>) {
        facts.push(("server.address", (&*self.host).into()));
        facts.extend(self.port.map(|port| ("server.port", port.into())));
    }
}
