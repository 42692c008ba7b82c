//! End of the work on publications and deliveries, and the work that it lets go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::dispatch::Desk;
use super::dispose::{DeliveryOutcome, dispose};
use super::settle::{KeptDelivery, Settlement};
use super::spans;
use super::work::{JobId, Work, WorkId, WorkStep};
use crate::port::{Publisher, Queue};

/// IoT Core takes one retained publication a second for a topic (QUOTA, "Retained message inbound publish requests per second
/// per topic").
const BETWEEN_RETAINED: Duration = Duration::from_secs(1);

impl<Q: Queue, P: Publisher> Desk<'_, Q, P> {
    /// A publication's fate is known: its topic goes on, and so do the deliveries that waited for it.
    pub(super) fn resolve(&mut self, id: JobId, fate: &'static str, outcome: DeliveryOutcome) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        spans::resolved(&mut job, fate, &outcome);
        let topic = job.publication.topic;
        if job.holds {
            self.turn.extend(self.topics.release(&topic));
        }
        if job.publication.retain && job.tries > 0 {
            self.steps.push(Box::pin(async move {
                sleep(BETWEEN_RETAINED).await;
                WorkStep::Cooled(topic)
            }));
        } else {
            self.turn.extend(self.topics.leave(&topic));
        }
        for work in job.works {
            // The others come again and meet their own fate.
            let outcome = match &outcome {
                DeliveryOutcome::Refused(_) if work != job.source => {
                    DeliveryOutcome::postponed("the newer event in its place was refused")
                }
                outcome => outcome.clone(),
            };
            self.credit(work, id, outcome);
        }
    }

    /// Records the fate of one of a delivery's publications.
    fn credit(&mut self, id: WorkId, job: JobId, outcome: DeliveryOutcome) {
        let Some(work) = self.works.get_mut(&id) else {
            return;
        };
        work.jobs.retain(|known| *known != job);
        work.outcome = std::mem::replace(&mut work.outcome, DeliveryOutcome::Done).or(outcome);
        if work.jobs.is_empty() {
            self.end(id, DeliveryOutcome::Done);
        }
    }

    /// Takes a delivery's publications back, unless another delivery waits for them.
    fn withdraw(&mut self, id: WorkId) {
        let jobs = self
            .works
            .get_mut(&id)
            .map(|work| std::mem::take(&mut work.jobs));
        for job in jobs.into_iter().flatten() {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.works.retain(|work| *work != id);
                if job.works.is_empty() {
                    spans::resolved(job, "withdrawn", &DeliveryOutcome::Done);
                    if let Some(abort) = &job.abort {
                        abort.abort();
                    }
                }
            }
        }
    }

    /// Ends the work on a delivery before all of its publications have a fate.
    pub(super) fn give_up(&mut self, id: WorkId, outcome: DeliveryOutcome) {
        self.withdraw(id);
        self.end(id, outcome);
    }

    /// Gives up those that fit, for others to take over at once.
    pub(super) fn hand_back(&mut self, fits: impl Fn(&Work) -> bool) {
        let fitting = self.works.iter().filter(|(_, work)| fits(work));
        let mut ids: Vec<WorkId> = fitting.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            self.give_up(id, DeliveryOutcome::HandedBack);
        }
    }

    pub(super) fn hand_back_group(&mut self, group: &Arc<str>) {
        for id in self.groups.clear(group) {
            self.end(id, DeliveryOutcome::HandedBack);
        }
    }

    /// Ends the work on a delivery: it is settled, and its message group goes on or is handed back.
    pub(super) fn end(&mut self, id: WorkId, outcome: DeliveryOutcome) {
        let Some(mut work) = self.works.remove(&id) else {
            return;
        };
        let outcome = work.outcome.or(outcome);
        spans::ended(&mut work.span, &outcome);
        let group = self.group(&work.delivery);
        if group.is_none() {
            self.shares.leave(work.delivery.group.as_ref());
        }
        let group = group.filter(|_| !work.passed);
        let metrics = &self.bridge.metrics;
        let limits = &self.bridge.log_limits;
        match &outcome {
            DeliveryOutcome::Postponed { why } => {
                metrics.postponed.one();
                if let Some(suppressed) = limits.postponed.admit(()) {
                    let (message_id, attempt) = (&work.delivery.id, work.delivery.attempt);
                    tracing::warn!(%message_id, attempt, why, suppressed, "delivery released for a later attempt");
                }
            }
            DeliveryOutcome::HandedBack => metrics.handed_back.one(),
            DeliveryOutcome::Lost => {
                metrics.leases_lost.one();
                if let Some(suppressed) = limits.lease_lost.admit(()) {
                    let (message_id, attempt) = (&work.delivery.id, work.delivery.attempt);
                    tracing::warn!(%message_id, attempt, suppressed, "lease lost: the queue delivers the message again");
                }
            }
            // Counted and logged where the share is known.
            DeliveryOutcome::OverShare | DeliveryOutcome::Done | DeliveryOutcome::Refused(_) => {}
        }
        let mut left = None;
        if let Some(group) = group {
            match &outcome {
                DeliveryOutcome::Done => self.begun.extend(self.groups.leave(&group)),
                // Nothing may overtake it unless it leaves the queue.
                DeliveryOutcome::Refused(_) => {
                    let (sender, receiver) = oneshot::channel();
                    left = Some(sender);
                    self.steps.push(Box::pin(async move {
                        WorkStep::Buried(group, receiver.await.unwrap_or(false))
                    }));
                }
                _ => self.hand_back_group(&group),
            }
        }
        if let Some(disposition) = dispose(outcome, work.delivery.attempt, fastrand::f64()) {
            let settlement = Settlement {
                delivery: work.delivery,
                disposition,
                kept: KeptDelivery {
                    _place: work.place,
                    span: work.span,
                },
                left,
            };
            // There is room for as many as may be in flight, and the receiver ends after this sender.
            let _ = self.settlements.try_send(settlement);
        }
    }
}
