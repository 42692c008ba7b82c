//! Routes deliveries in the order in which they came, and publishes their messages, each topic in
//! its order.
//!
//! One task owns all that is under way and learns of every change by a [`WorkStep`]. With strict
//! order, a topic has one unacknowledged publication: its order then holds even if the broker
//! refuses a publication or a connection loses one. With pipelined order, all are handed over at
//! once, and the publisher keeps them in order; while one of them is tried again, those that were
//! not handed over yet wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::dispose::{DeliveryOutcome, retry_after};
use super::lane::Lanes;
use super::log_limits::cause;
use super::route_counters::CountersByRoute;
use super::settle::Settlement;
use super::shares::Shares;
use super::spans;
use super::work::{JobId, PublishJob, Work, WorkId, WorkStep};
use super::{Bridge, DeliveryBatch, InFlightPlace};
use crate::channel::topic::Topic;
use crate::event::envelope::MessageOrigin;
use crate::pace::Limit;
use crate::port::{Delivery, PublishError, Publisher, Queue};
use crate::route::explain::SHORTEST_EXPIRY;
use crate::route::publication::{Publication, TopicOrder};
use crate::route::table::NOT_AN_EVENT;
use crate::telemetry::traces::Span;

/// The part of the drain time that is kept for settling.
const SETTLE_RESERVE: Duration = Duration::from_secs(2);

impl<Q: Queue, P: Publisher> Bridge<Q, P> {
    /// Works on batches until there are no more and nothing is under way.
    pub(super) async fn dispatch(
        &self,
        mut batches: mpsc::Receiver<DeliveryBatch>,
        settlements: mpsc::Sender<Settlement>,
    ) {
        let mut desk = Desk::new(self, settlements);
        let mut looks = interval(self.leases.between_looks());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let draining = self.shutdown.draining();
        tokio::pin!(draining);
        let cut = async {
            let since = self.shutdown.draining().await;
            let drain = self.settings.drain;
            sleep_until(since + drain.saturating_sub(SETTLE_RESERVE).max(drain / 2)).await;
        };
        tokio::pin!(cut);
        let (mut open, mut running, mut whole) = (true, true, true);
        while open || !desk.works.is_empty() {
            tokio::select! {
                Some(step) = desk.steps.next() => desk.step(step),
                batch = batches.recv(), if open => match batch {
                    Some(batch) => for (delivery, place) in batch {
                        desk.begin(delivery, place);
                    },
                    None => open = false,
                },
                _ = looks.tick() => {
                    self.health.turned();
                    desk.look();
                    desk.look_at_shares();
                }
                _ = &mut draining, if running => {
                    running = false;
                    desk.hand_back(|work| !work.started);
                }
                () = &mut cut, if whole => {
                    whole = false;
                    desk.hand_back(|_| true);
                }
            }
            desk.go_on();
        }
    }
}

/// Everything that is under way.
pub(super) struct Desk<'b, Q, P> {
    pub(super) bridge: &'b Bridge<Q, P>,
    pub(super) works: FxHashMap<WorkId, Work>,
    pub(super) jobs: FxHashMap<JobId, PublishJob>,
    pub(super) topics: Lanes<Topic, JobId>,
    pub(super) groups: Lanes<Arc<str>, WorkId>,
    /// Deliveries whose turn has come in their message group, or that have none.
    pub(super) begun: VecDeque<WorkId>,
    /// Publications whose turn has come in their topic.
    pub(super) turn: VecDeque<JobId>,
    pub(super) steps: FuturesUnordered<BoxFuture<'static, WorkStep>>,
    pub(super) settlements: mpsc::Sender<Settlement>,
    pub(super) shares: Shares,
    pub(super) counters: CountersByRoute,
    latest: u64,
}

impl<'b, Q: Queue, P: Publisher> Desk<'b, Q, P> {
    fn new(bridge: &'b Bridge<Q, P>, settlements: mpsc::Sender<Settlement>) -> Self {
        let mut counters = CountersByRoute::new(&bridge.metrics);
        // A counter that is zero is shown as well.
        counters.follow(&bridge.routes.borrow());
        Self {
            bridge,
            works: FxHashMap::default(),
            jobs: FxHashMap::default(),
            topics: Lanes::default(),
            groups: Lanes::default(),
            begun: VecDeque::new(),
            turn: VecDeque::new(),
            steps: FuturesUnordered::new(),
            settlements,
            shares: Shares::new(bridge.places()),
            counters,
            latest: 0,
        }
    }

    /// Begins work on a delivery, or lets it wait for the one before it in its message group.
    fn begin(&mut self, delivery: Delivery, place: InFlightPlace) {
        self.latest += 1;
        let id = self.latest;
        let group = self.group(&delivery);
        let span = self.bridge.span(&delivery);
        if group.is_none() {
            self.shares.enter(delivery.group.as_ref());
        }
        self.works.insert(id, Work::new(delivery, place, span));
        self.begun.extend(match group {
            Some(group) => self.groups.enter(&group, id, true),
            None => Some(id),
        });
    }

    /// The message group whose order counts.
    pub(super) fn group(&self, delivery: &Delivery) -> Option<Arc<str>> {
        let group = delivery.group.as_ref();
        group.filter(|_| self.bridge.facts.fifo).map(Arc::clone)
    }

    fn route(&mut self, id: WorkId) {
        let Some(work) = self.works.get_mut(&id) else {
            return;
        };
        if self.bridge.shutdown.is_draining() {
            return self.end(id, DeliveryOutcome::HandedBack);
        }
        let routes = Arc::clone(&self.bridge.routes.borrow());
        self.counters.follow(&routes);
        let metrics = &self.bridge.metrics;
        let origin = MessageOrigin {
            message_id: &work.delivery.id,
            traceparent: work.delivery.traceparent.as_deref(),
        };
        let routed = match routes.route(&work.delivery.body, origin) {
            Ok(routed) => routed,
            Err(refusal) => {
                metrics.decoded.add((refusal.reason != NOT_AN_EVENT).into());
                return self.end(id, DeliveryOutcome::Refused(refusal));
            }
        };
        spans::routed(&mut work.span, &routed.publications);
        metrics.decoded.one();
        metrics.routed.add((!routed.publications.is_empty()).into());
        for refusal in &routed.skipped {
            if let Some(route) = &refusal.route {
                self.counters.of(route).skipped.one();
            }
            // The detail may quote the event: it stays out of the log.
            if let Some(suppressed) = self.bridge.log_limits.skipped.admit(cause(refusal)) {
                tracing::warn!(
                    message_id = %work.delivery.id,
                    route = refusal.route.as_deref(),
                    reason = refusal.reason,
                    suppressed,
                    "route left out for an event"
                );
            }
        }
        if routed.publications.is_empty() {
            match (routed.held_back, routed.empty) {
                (0, 0) if routed.skipped.is_empty() => metrics.unrouted.one(),
                (0, 0) => {}
                (0, _) => metrics.nothing_to_publish.one(),
                _ => metrics.replays_held_back.one(),
            }
            tracing::debug!(
                message_id = %work.delivery.id,
                held_back = routed.held_back,
                empty = routed.empty,
                "no publication of an event"
            );
            return self.end(id, DeliveryOutcome::Done);
        }
        let time = routed.publications.first().and_then(|one| one.facts.time());
        work.read_age(time);
        if self.is_over_share(id, &routed.publications) {
            return self.end(id, DeliveryOutcome::OverShare);
        }
        let group = self.works.get(&id);
        let group = group.and_then(|work| self.group(&work.delivery));
        let alone = |publication: &Publication| self.goes_alone(publication);
        let passed = group.filter(|_| !routed.publications.iter().any(alone));
        // All of them are entered on the work before any may end.
        for publication in routed.publications {
            self.enter(id, publication);
        }
        if let Some(group) = passed {
            self.pass(id, &group);
        }
    }

    /// Returns `true` for a publication beside which nothing of its topic may be under way.
    fn goes_alone(&self, publication: &Publication) -> bool {
        let by_queue = if self.bridge.facts.fifo {
            TopicOrder::Strict
        } else {
            TopicOrder::Pipelined
        };
        publication.topic_order().unwrap_or(by_queue) == TopicOrder::Strict
    }

    /// Lets the next of a delivery's message group begin, once all publications of the delivery are
    /// in their topics' order.
    fn pass(&mut self, id: WorkId, group: &Arc<str>) {
        if let Some(work) = self.works.get_mut(&id) {
            work.passed = true;
            self.begun.extend(self.groups.leave(group));
        }
    }

    /// The publication that waits last for the same topic, where this one takes its place.
    pub(super) fn conflated(&self, publication: &Publication) -> Option<JobId> {
        if !publication.conflate {
            return None;
        }
        let last = *self.topics.last(&publication.topic)?;
        let job = self.jobs.get(&last)?;
        (job.publication.route == publication.route).then_some(last)
    }

    /// Puts a publication into its topic's lane.
    fn enter(&mut self, work: WorkId, publication: Publication) {
        if let Some(id) = self.conflated(&publication)
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.counters.conflated.one();
            job.publication = publication;
            job.source = work;
            job.works.push(work);
            self.note(work, id);
            return;
        }
        self.latest += 1;
        let id = self.latest;
        self.note(work, id);
        let alone = self.goes_alone(&publication);
        self.turn
            .extend(self.topics.enter(&publication.topic, id, alone));
        if alone && self.topics.len(&publication.topic) > 1 {
            self.held_back(&publication, Limit::Topic);
        }
        let job = PublishJob {
            counters: self.counters.of(&publication.route),
            publication,
            source: work,
            works: smallvec::smallvec![work],
            tries: 0,
            holds: false,
            sent: Instant::now(),
            span: Span::default(),
            abort: None,
        };
        self.jobs.insert(id, job);
    }

    fn note(&mut self, work: WorkId, job: JobId) {
        if let Some(work) = self.works.get_mut(&work) {
            work.jobs.push(job);
        }
    }

    /// Goes on with every delivery and topic that has its turn.
    fn go_on(&mut self) {
        loop {
            if let Some(id) = self.begun.pop_front() {
                self.route(id);
            } else if let Some(id) = self.turn.pop_front() {
                self.send(id);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, id: JobId) {
        self.hand_over(id);
        // It is before those that waited for it now.
        if let Some(job) = self.jobs.get_mut(&id)
            && std::mem::take(&mut job.holds)
        {
            let begun = self.topics.release(&job.publication.topic);
            self.turn.extend(begun);
        }
    }

    fn hand_over(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(age) = self.works.get(&job.source).map(Work::age_now) else {
            // Its event was given up while it waited: others may hold it, and newer ones, by now.
            let outcome = DeliveryOutcome::postponed("the newer event in its place was given up");
            return self.resolve(id, "withdrawn", outcome);
        };
        let mut publication = job.publication.clone();
        let spans = &self.bridge.spans;
        spans.publication(job, &self.works, &mut publication);
        if let Some(expires) = &mut publication.expires {
            *expires = expires.saturating_sub(age);
            if *expires < SHORTEST_EXPIRY {
                job.counters.expired.one();
                return self.resolve(id, "expired", DeliveryOutcome::Done);
            }
        }
        for work in &job.works {
            if let Some(work) = self.works.get_mut(work) {
                work.started = true;
            }
        }
        job.tries += 1;
        job.sent = Instant::now();
        let (abort, registration) = AbortHandle::new_pair();
        job.abort = Some(abort);
        let step: BoxFuture<'static, WorkStep> = match self.bridge.publisher.publish(publication) {
            Ok(pending) => Box::pin(async move {
                match Abortable::new(pending, registration).await {
                    Ok(fate) => WorkStep::Answered(id, fate),
                    Err(_) => WorkStep::Withdrawn(id),
                }
            }),
            Err(refused) => Box::pin(std::future::ready(WorkStep::Answered(id, Err(refused)))),
        };
        self.steps.push(step);
    }

    fn step(&mut self, step: WorkStep) {
        match step {
            WorkStep::Answered(id, Ok(())) => {
                self.published(id);
                self.resolve(id, "published", DeliveryOutcome::Done);
            }
            WorkStep::Answered(
                id,
                Err(PublishError::Transient { what } | PublishError::Throttled { what }),
            ) => self.try_again(id, &what),
            WorkStep::Answered(id, Err(PublishError::Expired)) => {
                if let Some(job) = self.jobs.get(&id) {
                    job.counters.expired.one();
                }
                self.resolve(id, "expired", DeliveryOutcome::Done);
            }
            WorkStep::Answered(id, Err(PublishError::Permanent { reason, what })) => {
                let route = self.jobs.get(&id).map(|job| &job.publication.route);
                let route = route.map(Arc::clone);
                let key = (reason, route.clone());
                if let Some(suppressed) = self.bridge.log_limits.refused.admit(key) {
                    let route = route.as_deref();
                    tracing::warn!(route, reason, why = what, suppressed, "publication refused");
                }
                self.resolve(id, "refused", DeliveryOutcome::refused(reason, what, route));
            }
            WorkStep::Again(id) => self.turn.push_back(id),
            WorkStep::Withdrawn(id) => self.resolve(id, "withdrawn", DeliveryOutcome::Done),
            WorkStep::Cooled(topic) => self.turn.extend(self.topics.leave(&topic)),
            WorkStep::Extended(ids, asked, outcomes) => self.extended(&ids, asked, outcomes),
            WorkStep::Buried(group, true) => self.begun.extend(self.groups.leave(&group)),
            WorkStep::Buried(group, false) => self.hand_back_group(&group),
        }
    }

    fn published(&self, id: JobId) {
        let metrics = &self.bridge.metrics;
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        job.counters.published.one();
        metrics.publish_seconds.observe(job.sent.elapsed());
        if let Some(work) = self.works.get(&job.source) {
            metrics.end_to_end_seconds.observe(work.age_now());
        }
    }

    /// Handles a refusal that may not last: only publications that were handed over already
    /// overtake this one in its topic.
    fn try_again(&mut self, id: JobId, why: &str) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.publication.order != Some(TopicOrder::Unordered) && !job.holds {
            job.holds = true;
            self.topics.hold(&job.publication.topic);
        }
        job.counters.throttled.one();
        let wait = retry_after(job.tries, fastrand::f64());
        let route = &job.publication.route;
        if job.tries.is_power_of_two()
            && let Some(suppressed) = self.bridge.log_limits.retried.admit(Arc::clone(route))
        {
            let tries = job.tries;
            tracing::warn!(%route, tries, ?wait, why, suppressed, "publication refused for now: it is tried again");
        }
        let (abort, registration) = AbortHandle::new_pair();
        job.abort = Some(abort);
        self.steps.push(Box::pin(async move {
            match Abortable::new(sleep(wait), registration).await {
                Ok(()) => WorkStep::Again(id),
                Err(_) => WorkStep::Withdrawn(id),
            }
        }));
    }
}
