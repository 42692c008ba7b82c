//! Work under way: deliveries, the publications made of them, and the steps that bring news of
//! either.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::AbortHandle;
use jiff::Timestamp;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::InFlightPlace;
use super::dispose::DeliveryOutcome;
use crate::channel::topic::Topic;
use crate::port::{BatchOutcome, Delivery, PublishError};
use crate::route::publication::Publication;
use crate::telemetry::metrics::RouteCounters;
use crate::telemetry::traces::Span;

/// A delivery's number while it is under way.
pub(super) type WorkId = u64;

/// A publication's number while it is under way.
pub(super) type JobId = u64;

/// One delivery under way.
pub(super) struct Work {
    pub(super) delivery: Delivery,
    /// Its place among the deliveries in flight, given up when it is settled.
    pub(super) place: InFlightPlace,
    /// Span of the delivery in traces.
    pub(super) span: Span,
    /// Time at which work on it began.
    pub(super) since: Instant,
    /// Age of its event at that time.
    pub(super) age: Duration,
    /// Its publications without a known fate.
    pub(super) jobs: SmallVec<[JobId; 4]>,
    /// Outcome so far.
    pub(super) outcome: DeliveryOutcome,
    /// `true` once anything of it was handed to the publisher.
    pub(super) started: bool,
    /// The next of its message group did not have to wait for its end.
    pub(super) passed: bool,
    /// `true` while a call that extends its visibility timeout is under way.
    pub(super) extending: bool,
}

impl Work {
    pub(super) fn new(delivery: Delivery, place: InFlightPlace, span: Span) -> Self {
        Self {
            delivery,
            place,
            span,
            since: Instant::now(),
            age: Duration::ZERO,
            jobs: SmallVec::new(),
            outcome: DeliveryOutcome::Done,
            started: false,
            passed: false,
            extending: false,
        }
    }

    /// Reads how old the event is: by its own time where that is one, or by when it was sent to the queue.
    pub(super) fn read_age(&mut self, time: Option<&str>) {
        let event = time.and_then(|time| time.parse::<Timestamp>().ok());
        let age = |then: Timestamp| Duration::try_from(Timestamp::now().duration_since(then)).ok();
        // An event of the future, by a clock that is ahead, is new.
        self.age = event
            .or(self.delivery.sent)
            .and_then(age)
            .unwrap_or_default();
    }

    /// Age of its event now.
    pub(super) fn age_now(&self) -> Duration {
        self.age + self.since.elapsed()
    }
}

/// One publication under way, or waiting for its topic.
pub(super) struct PublishJob {
    pub(super) publication: Publication,
    /// Counters of its route.
    pub(super) counters: Arc<RouteCounters>,
    /// The delivery that it was made of, which may have been given up.
    pub(super) source: WorkId,
    /// The deliveries that wait for it: that one, and those whose own publication it took the place
    /// of.
    pub(super) works: SmallVec<[WorkId; 1]>,
    /// Number of times that it was handed to the publisher.
    pub(super) tries: u32,
    /// Nothing of its topic begins before it was handed over again.
    pub(super) holds: bool,
    /// Time at which it was handed to the publisher last.
    pub(super) sent: Instant,
    /// Span of the publication in traces.
    pub(super) span: Span,
    /// Ends what is under way for it.
    pub(super) abort: Option<AbortHandle>,
}

/// News of something that was under way.
pub(super) enum WorkStep {
    /// The publisher reported a publication's fate.
    Answered(JobId, Result<(), PublishError>),
    /// It is time to try a publication again.
    Again(JobId),
    /// No delivery waits for a publication any more.
    Withdrawn(JobId),
    /// The next retained publication may be made to a topic.
    Cooled(Topic),
    /// The queue answered a call that extends visibility timeouts, made at a moment.
    Extended(Vec<WorkId>, Instant, BatchOutcome),
    /// A delivery of a message group was settled as one that never can be published: whether it left the queue.
    Buried(Arc<str>, bool),
}
