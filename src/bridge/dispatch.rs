//! Routes deliveries in the order in which they came, hands their publications over, and watches for the acknowledgements.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dispose::{Outcome, dispose};
use super::settle::Settlement;
use super::{Batch, Bridge, give_up};
use crate::port::{Delivery, Publisher, Queue};
use crate::route::publication::Publication;

/// Publications handed over, with the routes they are of.
type Pendings<P> = Vec<(Arc<str>, <P as Publisher>::Pending)>;

impl<Q: Queue, P: Publisher> Bridge<Q, P> {
    /// Takes batches until there are no more, then waits for what is still watched.
    pub(super) async fn dispatch(
        &self,
        mut batches: mpsc::Receiver<Batch>,
        settlements: mpsc::Sender<Settlement>,
    ) {
        let mut watched = JoinSet::new();
        while let Some(batch) = batches.recv().await {
            for (delivery, place) in batch {
                self.begin(delivery, place, &settlements, &mut watched)
                    .await;
            }
            while watched.try_join_next().is_some() {}
        }
        while watched.join_next().await.is_some() {}
    }

    /// Publishes one delivery; a task of its own waits for the rest.
    async fn begin(
        &self,
        delivery: Delivery,
        place: OwnedSemaphorePermit,
        settlements: &mpsc::Sender<Settlement>,
        watched: &mut JoinSet<()>,
    ) {
        let until = self.give_up_at(&delivery);
        let (outcome, pendings) = if self.shutdown.is_draining() {
            self.counters.handed_back.one();
            (Outcome::NotStarted, Vec::new())
        } else if Instant::now() >= until {
            // It waited for too long in here: somebody else may have it already.
            (postponed("the lease was about to end"), Vec::new())
        } else {
            self.publish(&delivery, until).await
        };
        let watch = Watch {
            give_up: give_up(until, self.shutdown.clone(), self.settings.drain),
            counters: Arc::clone(&self.counters),
            settlements: settlements.clone(),
        };
        if pendings.is_empty() {
            watch.settle(delivery, place, outcome).await;
        } else {
            watched.spawn(watch.run(delivery, place, outcome, pendings));
        }
    }

    /// Routes one delivery and hands its publications over, in order.
    async fn publish(&self, delivery: &Delivery, until: Instant) -> (Outcome, Pendings<P>) {
        let routed = match self.routes.route(&delivery.body, &delivery.id) {
            Ok(routed) => routed,
            Err(refusal) => return (Outcome::Refused(refusal), Vec::new()),
        };
        self.counters.skipped.add(routed.skipped.len());
        for refusal in &routed.skipped {
            tracing::warn!(
                message_id = %delivery.id,
                route = refusal.route.as_deref(),
                reason = refusal.reason,
                detail = refusal.detail,
                "a route was left out"
            );
        }
        let mut outcome = routed.dead_letter.map_or(Outcome::Done, Outcome::Refused);
        if routed.publications.is_empty() && outcome == Outcome::Done && routed.skipped.is_empty() {
            self.counters.unrouted.one();
        }
        let mut pendings = Vec::with_capacity(routed.publications.len());
        let hand_over = async {
            for publication in routed.publications {
                let route = Arc::clone(&publication.route);
                match self.hand_over(publication).await {
                    Ok(pending) => pendings.push((route, pending)),
                    Err(refused) => {
                        outcome = std::mem::replace(&mut outcome, Outcome::Done).or(refused)
                    }
                }
            }
        };
        let handed_over = tokio::select! {
            () = hand_over => true,
            () = give_up(until, self.shutdown.clone(), self.settings.drain) => false,
        };
        if !handed_over {
            // What was handed over already is taken back as far as it can be: nobody waits for it.
            pendings.clear();
            outcome = postponed("the publisher took no more in time");
        }
        (outcome, pendings)
    }

    async fn hand_over(&self, publication: Publication) -> Result<P::Pending, Outcome> {
        let route = Arc::clone(&publication.route);
        let handed_over = self.publisher.publish(publication).await;
        handed_over.map_err(|error| Outcome::of(Err(error), &route))
    }
}

fn postponed(why: &str) -> Outcome {
    Outcome::Postponed { why: why.into() }
}

/// What waits for one delivery's acknowledgements.
struct Watch<G> {
    give_up: G,
    counters: Arc<crate::telemetry::counters::Counters>,
    settlements: mpsc::Sender<Settlement>,
}

impl<G: Future<Output = ()>> Watch<G> {
    async fn run<F>(
        self,
        delivery: Delivery,
        place: OwnedSemaphorePermit,
        mut outcome: Outcome,
        pendings: Vec<(Arc<str>, F)>,
    ) where
        F: Future<Output = Result<(), crate::port::PublishError>>,
    {
        let Self {
            give_up,
            counters,
            settlements,
        } = self;
        let all = async {
            for (route, pending) in pendings {
                let fate = Outcome::of(pending.await, &route);
                counters.published.add(usize::from(fate == Outcome::Done));
                outcome = std::mem::replace(&mut outcome, Outcome::Done).or(fate);
            }
        };
        let known = tokio::select! {
            () = all => true,
            () = give_up => false,
        };
        if !known {
            outcome = postponed("the broker did not acknowledge in time");
        }
        let rest = Watch {
            give_up: (),
            counters: Arc::clone(&counters),
            settlements,
        };
        rest.settle(delivery, place, outcome).await;
    }
}

impl<G> Watch<G> {
    async fn settle(self, delivery: Delivery, place: OwnedSemaphorePermit, outcome: Outcome) {
        if let Outcome::Postponed { why } = &outcome {
            self.counters.postponed.one();
            tracing::warn!(message_id = %delivery.id, attempt = delivery.attempt, why, "postponed");
        }
        let disposition = dispose(outcome, delivery.attempt, fastrand::f64());
        let settlement = Settlement {
            delivery,
            disposition,
            place,
        };
        // The receiver ends after this sender.
        let _ = self.settlements.send(settlement).await;
    }
}
