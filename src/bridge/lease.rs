//! Visibility timeouts: the time that the queue leaves a delivery to this process, its extension,
//! and its release.
//!
//! A visibility timeout is extended by the queue's own setting, in batches, once half of it is
//! gone. A delivery that cannot be finished is not extended for ever: after a while it is handed
//! back, so that another process may try. The last attempt before the queue's own redrive is held
//! for as long as SQS allows: a delivery that may succeed later must not be dead-lettered for want
//! of time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::dispatch::Desk;
use super::dispose::DeliveryOutcome;
use super::work::{Work, WorkId, WorkStep};
use crate::port::{Hold, Publisher, Queue, QueueError, QueueFacts};

/// The most entries of one batch (SQS API reference, ChangeMessageVisibilityBatch).
const PER_BATCH: usize = 10;

/// SQS keeps a message invisible for 12 hours from its receipt at most (developer guide, "Visibility timeout").
const LONGEST_HOLD: Duration = Duration::from_secs(11 * 3_600 + 1_800);

/// Rules for the extension of visibility timeouts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leases {
    visibility: Duration,
    hold: Duration,
    max_receives: Option<u32>,
}

/// Need of a delivery whose visibility timeout is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Extension,
    /// It was worked on for as long as it may be.
    Release,
    /// It has ended, or is so near its end that nothing new may be begun.
    Gone,
}

impl Leases {
    pub(super) fn new(facts: &QueueFacts, hold: Duration) -> Self {
        Self {
            visibility: facts.visibility,
            hold,
            max_receives: facts.max_receives,
        }
    }

    /// Interval between looks at the visibility timeouts: several tries fit into the second half of
    /// one.
    pub(super) fn between_looks(&self) -> Duration {
        let tenth = self.visibility / 10;
        tenth.clamp(Duration::from_millis(100), Duration::from_secs(10))
    }

    /// Time before its end at which a visibility timeout counts as ended. It must not end between
    /// two looks, and the answer to a receive took time on its way.
    fn margin(&self) -> Duration {
        self.between_looks() + (self.visibility / 20).min(Duration::from_secs(1))
    }

    fn need(&self, work: &Work, now: Instant) -> Need {
        let left = work.delivery.lease.saturating_duration_since(now);
        let last = |most| work.delivery.attempt >= most;
        let hold = if self.max_receives.is_some_and(last) {
            LONGEST_HOLD
        } else {
            self.hold
        };
        if left <= self.margin() {
            Need::Gone
        } else if now.saturating_duration_since(work.since) >= hold {
            Need::Release
        } else if left <= self.visibility / 2 && !work.extending {
            Need::Extension
        } else {
            Need::Nothing
        }
    }
}

impl<Q: Queue, P: Publisher> Desk<'_, Q, P> {
    /// Extends or releases each delivery that needs it.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        let mut needs: Vec<(WorkId, Need)> = self
            .works
            .iter()
            .map(|(id, work)| (*id, self.bridge.leases.need(work, now)))
            .filter(|(_, need)| *need != Need::Nothing)
            .collect();
        needs.sort_unstable_by_key(|(id, _)| *id);
        let mut extend = Vec::new();
        for (id, need) in needs {
            match need {
                Need::Nothing => {}
                Need::Extension => extend.push(id),
                Need::Release => self.give_up(
                    id,
                    DeliveryOutcome::postponed("it could not be published in time"),
                ),
                Need::Gone => self.give_up(id, DeliveryOutcome::Lost),
            }
        }
        for batch in extend.chunks(PER_BATCH) {
            self.extend(batch);
        }
    }

    fn extend(&mut self, batch: &[WorkId]) {
        let visibility = self.bridge.leases.visibility;
        let mut ids = Vec::with_capacity(batch.len());
        let mut holds: Vec<(Hold, Duration)> = Vec::with_capacity(batch.len());
        for id in batch {
            if let Some(work) = self.works.get_mut(id) {
                work.extending = true;
                ids.push(*id);
                holds.push((work.delivery.receipt.hold(), visibility));
            }
        }
        let queue = Arc::clone(&self.bridge.queue);
        self.steps.push(Box::pin(async move {
            let asked = Instant::now();
            // The wait for an answer must not last until the visibility timeout has ended.
            let answer = timeout(visibility / 5, queue.change_visibility(&holds)).await;
            WorkStep::Extended(ids, asked, answer.unwrap_or_default())
        }));
    }

    pub(super) fn extended(
        &mut self,
        ids: &[WorkId],
        asked: Instant,
        outcomes: Vec<Result<(), QueueError>>,
    ) {
        let mut outcomes = outcomes.into_iter();
        for id in ids {
            let outcome = outcomes.next();
            let Some(work) = self.works.get_mut(id) else {
                continue;
            };
            work.extending = false;
            match outcome {
                Some(Ok(())) => {
                    work.delivery.lease = asked + self.bridge.leases.visibility;
                    self.bridge.metrics.leases_extended.one();
                }
                Some(Err(QueueError::LeaseLost)) => self.give_up(*id, DeliveryOutcome::Lost),
                // The next look asks again, as long as the visibility timeout lasts.
                failed => {
                    if let Some(suppressed) = self.bridge.log_limits.not_extended.admit(()) {
                        let error = match failed {
                            Some(Err(error)) => error.to_string(),
                            _ => "the queue did not answer in time".to_owned(),
                        };
                        tracing::warn!(error, suppressed, "lease not extended");
                    }
                }
            }
        }
    }
}
