//! Deletes, releases and dead-letters deliveries in batches.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::dispose::{Disposition, back_off};
use super::log_limits::{LogLimits, cause};
use super::{Bridge, InFlightPlace, spans};
use crate::port::{DeadLetter, Delivery, Publisher, Queue, QueueError, Receipt};
use crate::route::table::{RouteRefusal, RouteTable};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Span;

/// The most entries of one batch (SQS API reference, DeleteMessageBatch).
const PER_BATCH: usize = 10;

/// Time for which an incomplete batch waits for more entries.
const LINGER: Duration = Duration::from_millis(20);

/// The most batches under way at a time.
const CONCURRENT: usize = 32;

/// Number of tries of an entry before its visibility timeout is left to end.
const TRIES: u32 = 4;

/// The longest id of an event that is logged: EventBridge's own are UUIDs, of 36 characters; other
/// senders name theirs.
const EVENT_ID_BYTES: usize = 128;

/// Parts of a delivery kept until it is settled: its place among those in flight, and its span.
pub(super) struct KeptDelivery {
    pub(super) _place: InFlightPlace,
    pub(super) span: Span,
}

/// A delivery that was decided upon.
pub(super) struct Settlement {
    pub(super) delivery: Delivery,
    pub(super) disposition: Disposition,
    pub(super) kept: KeptDelivery,
    /// Channel that reports if a dead-letter message left the queue.
    pub(super) left: Option<oneshot::Sender<bool>>,
}

/// The right to settle a delivery, and the parts of it kept until then.
type SettleEntry = (Receipt, KeptDelivery);

/// A dead-letter message, its entry, and the channel for its outcome.
type Burial = (DeadLetter, SettleEntry, Option<oneshot::Sender<bool>>);

impl<Q: Queue, P: Publisher> Bridge<Q, P> {
    /// Settles until there is nothing more to settle.
    pub(super) async fn settle(&self, mut settlements: mpsc::Receiver<Settlement>) {
        let mut calls = JoinSet::new();
        while let Some(first) = settlements.recv().await {
            let mut batch = vec![first];
            let until = Instant::now() + LINGER;
            while batch.len() < PER_BATCH {
                match timeout_at(until, settlements.recv()).await {
                    Ok(Some(settlement)) => batch.push(settlement),
                    Ok(None) | Err(_) => break,
                }
            }
            if calls.len() >= CONCURRENT {
                calls.join_next().await;
            }
            while calls.try_join_next().is_some() {}
            let call = BatchCall {
                queue: Arc::clone(&self.queue),
                metrics: Arc::clone(&self.metrics),
                health: Arc::clone(&self.health),
                log_limits: Arc::clone(&self.log_limits),
                routes: Arc::clone(&self.routes.borrow()),
            };
            calls.spawn(call.settle(batch));
        }
        while calls.join_next().await.is_some() {}
    }
}

/// One batch on its way.
struct BatchCall<Q> {
    queue: Arc<Q>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    log_limits: Arc<LogLimits>,
    /// Routes, which read an event's id out of a body.
    routes: Arc<RouteTable>,
}

impl<Q: Queue> BatchCall<Q> {
    async fn settle(self, batch: Vec<Settlement>) {
        let mut delete = Vec::new();
        let mut release = Vec::new();
        let mut bury = Vec::new();
        for settlement in batch {
            let Delivery { receipt, .. } = settlement.delivery;
            let entry = (receipt, settlement.kept);
            match settlement.disposition {
                Disposition::Delete => delete.push(entry),
                Disposition::Release { after } => release.push((entry, after)),
                Disposition::Bury(refusal) => {
                    let attempt = settlement.delivery.attempt;
                    let (id, body) = (&settlement.delivery.id, &settlement.delivery.body);
                    self.log_refusal((id, body, attempt), &refusal);
                    let RouteRefusal {
                        reason,
                        detail,
                        route,
                    } = refusal;
                    let letter = DeadLetter {
                        id: settlement.delivery.id,
                        body: settlement.delivery.body,
                        group: settlement.delivery.group,
                        reason,
                        detail,
                        route: route.map(|route| route.as_ref().into()),
                        attempt,
                    };
                    bury.push((letter, entry, settlement.left));
                }
            }
        }
        if !bury.is_empty() {
            self.bury(bury, &mut delete, &mut release).await;
        }
        self.delete(delete).await;
        self.release(release).await;
    }

    /// Logs that an event can never be published. The refusal's detail may quote the event, so that
    /// it goes into the dead-letter message only, which holds the whole body anyway.
    fn log_refusal(&self, (id, body, attempt): (&str, &Bytes, u32), refusal: &RouteRefusal) {
        let Some(suppressed) = self.log_limits.dead_lettered.admit(cause(refusal)) else {
            return;
        };
        let event_id = self.event_id(id, body);
        tracing::warn!(
            message_id = id,
            event_id,
            reason = refusal.reason,
            route = refusal.route.as_deref(),
            attempt,
            suppressed,
            "event cannot be published"
        );
    }

    /// The id of a delivery's event, where its body is an event whose id is no longer than ids are.
    /// The body is read once more, for the few lines that are logged.
    fn event_id(&self, message_id: &str, body: &Bytes) -> Option<String> {
        let event = self.routes.decode(body, message_id).ok()?;
        let id = event.id();
        (id.len() <= EVENT_ID_BYTES).then(|| id.to_owned())
    }

    /// Sends messages to the dead-letter queue. Messages that arrived there may be deleted; the
    /// rest is released. A dropped sender of the outcome means that the message stays.
    async fn bury(
        &self,
        mut burials: Vec<Burial>,
        delete: &mut Vec<SettleEntry>,
        release: &mut Vec<(SettleEntry, Duration)>,
    ) {
        let later = |letter: &DeadLetter| back_off(letter.attempt, fastrand::f64());
        let tell = |waits: Option<oneshot::Sender<bool>>, left| {
            // The receiver may be gone.
            let _ = waits.map(|waits| waits.send(left));
        };
        for attempt in 1..=TRIES {
            let mut letters = Vec::with_capacity(burials.len());
            let mut rest = Vec::with_capacity(burials.len());
            for (letter, entry, waits) in burials {
                letters.push(letter);
                rest.push((entry, waits));
            }
            let Some(outcomes) = self.queue.bury(&letters).await else {
                self.metrics.left_to_redrive.add(letters.len());
                let entries = rest.into_iter().map(|((receipt, mut kept), _)| {
                    spans::settled(&mut kept.span, "left_to_redrive");
                    (receipt, kept)
                });
                release.extend(entries.zip(letters.iter().map(later)));
                return;
            };
            burials = Vec::new();
            for ((letter, ((receipt, mut kept), waits)), outcome) in
                letters.into_iter().zip(rest).zip(outcomes)
            {
                match outcome {
                    Ok(()) => {
                        let route = letter.route.as_deref().map(Arc::from);
                        self.metrics.dead_lettered.one(letter.reason, route);
                        spans::settled(&mut kept.span, "dead_lettered");
                        tell(waits, true);
                        delete.push((receipt, kept));
                    }
                    Err(QueueError::Transient { .. }) if attempt < TRIES => {
                        burials.push((letter, (receipt, kept), waits));
                    }
                    Err(error) => {
                        if let Some(suppressed) = self.log_limits.not_dead_lettered.admit(()) {
                            tracing::error!(message_id = %letter.id, %error, suppressed, "dead letter not taken by the dead-letter queue: the message stays in its queue");
                        }
                        spans::settled(&mut kept.span, "not_dead_lettered");
                        release.push(((receipt, kept), later(&letter)));
                    }
                }
            }
            if burials.is_empty() {
                return;
            }
            pause(attempt).await;
        }
    }

    async fn delete(&self, mut entries: Vec<SettleEntry>) {
        for attempt in 1..=TRIES {
            if entries.is_empty() {
                return;
            }
            let (receipts, kept): (Vec<Receipt>, Vec<KeptDelivery>) = entries.into_iter().unzip();
            let outcomes = self.queue.delete(&receipts).await;
            entries = Vec::new();
            for ((receipt, mut kept), outcome) in receipts.into_iter().zip(kept).zip(outcomes) {
                match outcome {
                    Ok(()) => {
                        self.metrics.deleted.one();
                        self.health.queue_answered();
                    }
                    Err(QueueError::Transient { .. }) if attempt < TRIES => {
                        entries.push((receipt, kept))
                    }
                    Err(error) => {
                        self.metrics.possible_duplicates.one();
                        kept.span.fail("not_deleted");
                        if let Some(suppressed) = self.log_limits.not_deleted.admit(()) {
                            tracing::warn!(%error, suppressed, "finished message not deleted: it may come again");
                        }
                    }
                }
            }
            if !entries.is_empty() {
                pause(attempt).await;
            }
        }
    }

    async fn release(&self, entries: Vec<(SettleEntry, Duration)>) {
        let hold =
            |((receipt, kept), after): (SettleEntry, Duration)| ((receipt.hold(), after), kept);
        let mut held: Vec<_> = entries.into_iter().map(hold).collect();
        for attempt in 1..=TRIES {
            if held.is_empty() {
                return;
            }
            let (holds, kept): (Vec<_>, Vec<KeptDelivery>) = held.into_iter().unzip();
            let outcomes = self.queue.change_visibility(&holds).await;
            held = Vec::new();
            for (entry, outcome) in holds.into_iter().zip(kept).zip(outcomes) {
                match outcome {
                    // A message whose visibility timeout has ended is visible already.
                    Ok(()) | Err(QueueError::LeaseLost) => {}
                    Err(QueueError::Transient { .. }) if attempt < TRIES => held.push(entry),
                    Err(error) => {
                        if let Some(suppressed) = self.log_limits.not_released.admit(()) {
                            tracing::warn!(%error, suppressed, "message not handed back: it comes again when its lease ends");
                        }
                    }
                }
            }
            if !held.is_empty() {
                pause(attempt).await;
            }
        }
    }
}

async fn pause(attempt: u32) {
    sleep(back_off(attempt, fastrand::f64()) / 20).await;
}
