//! Long polls: as many as the load asks for, none that could bring more than there is room for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::dispose::back_off;
use super::{Bridge, DeliveryBatch, InFlightPlace, Room};
use crate::pace::Limit;
use crate::port::{Delivery, Publisher, Queue, QueueError};

/// The most messages of one receive (SQS API reference, ReceiveMessage).
pub(super) const PER_RECEIVE: usize = 10;

/// Time that open polls are given to answer when the process is to end. A message that a dropped
/// poll brings comes again when its visibility timeout ends, which takes longer than handing it
/// back.
const LAST_CALL: Duration = Duration::from_secs(1);

type ReceivePoll = (OwnedSemaphorePermit, Result<Vec<Delivery>, QueueError>);

impl<Q: Queue, P: Publisher> Bridge<Q, P> {
    /// Receives until draining begins.
    pub(super) async fn intake(&self, received: mpsc::Sender<DeliveryBatch>) {
        let (least, most) = self.settings.pollers;
        let least = least.max(1);
        let room = Room::new(self.places(), self.settings.in_flight_bytes);
        let mut polls: JoinSet<ReceivePoll> = JoinSet::new();
        let mut wanted = least;
        let mut failures = 0;
        loop {
            tokio::select! {
                () = self.open(&mut polls, wanted, &room) => {}
                _ = self.shutdown.draining() => break,
            }
            let poll = tokio::select! {
                poll = polls.join_next() => poll,
                _ = self.shutdown.draining() => break,
            };
            // A poll that panicked is gone with its places given back; the next turn opens another.
            let Some(Ok((places, answer))) = poll else {
                continue;
            };
            match answer {
                Ok(deliveries) => {
                    failures = 0;
                    self.health.queue_answered();
                    self.metrics.unusable.raise_to(self.queue.unusable());
                    // With most places taken, more polls would bring nothing that could be begun.
                    if deliveries.len() >= PER_RECEIVE && wanted >= most && room.is_half_free() {
                        self.metrics.held_back.one(Limit::Queue.name(), None);
                    }
                    wanted = match deliveries.len() {
                        PER_RECEIVE.. => (wanted * 2).min(most.max(least)),
                        0 => (wanted - 1).max(least),
                        _ => wanted,
                    };
                    self.pass_on(places, deliveries, &room, &received).await;
                }
                Err(error) => {
                    drop(places);
                    failures += 1;
                    wanted = least;
                    self.metrics.receive_errors.one();
                    let wait = back_off(failures, fastrand::f64()) / 2;
                    match error {
                        QueueError::Permanent { what } => tracing::error!(
                            error = what,
                            ?wait,
                            "receiving failed and needs an operator"
                        ),
                        error => tracing::warn!(%error, ?wait, "receiving failed"),
                    }
                    tokio::select! {
                        () = sleep(wait) => {}
                        _ = self.shutdown.draining() => break,
                    }
                }
            }
        }
        let last = async {
            while let Some(poll) = polls.join_next().await {
                if let Ok((places, Ok(deliveries))) = poll {
                    self.pass_on(places, deliveries, &room, &received).await;
                }
            }
        };
        // Polls that have not answered by then are dropped.
        let _ = timeout(LAST_CALL.min(self.settings.drain / 4), last).await;
    }

    /// Opens polls until as many are open as are wanted, or there is no room for what they may bring.
    async fn open(&self, polls: &mut JoinSet<ReceivePoll>, wanted: usize, room: &Room) {
        while polls.len() < wanted {
            // Nothing is taken while nothing can be published.
            let places = if polls.is_empty() {
                self.publisher.ready().await;
                room.take().await
            } else if self.publisher.ready().now_or_never().is_some() {
                room.try_take()
            } else {
                None
            };
            let Some(places) = places else {
                return;
            };
            let (queue, wait) = (Arc::clone(&self.queue), self.settings.wait);
            polls.spawn(async move { (places, queue.receive(PER_RECEIVE, wait).await) });
        }
    }

    async fn pass_on(
        &self,
        mut places: OwnedSemaphorePermit,
        deliveries: Vec<Delivery>,
        room: &Arc<Room>,
        received: &mpsc::Sender<DeliveryBatch>,
    ) {
        self.metrics.received.add(deliveries.len());
        let again = deliveries.iter().filter(|delivery| delivery.attempt > 1);
        self.metrics.redelivered.add(again.count());
        if let Some(sent) = deliveries.last().and_then(|delivery| delivery.sent) {
            let age = Timestamp::now().duration_since(sent).as_secs();
            self.metrics
                .queue_age_seconds
                .set(usize::try_from(age).unwrap_or(0));
        } else {
            self.metrics.queue_age_seconds.set(0);
        }
        let batch: DeliveryBatch = deliveries
            .into_iter()
            // A queue never brings more than it was asked for; if it did, the rest would come again.
            .filter_map(|delivery| {
                let (place, bytes) = (places.split(1)?, delivery.body.len());
                Some((
                    delivery,
                    InFlightPlace::new(place, bytes, room, &self.metrics),
                ))
            })
            .collect();
        if !batch.is_empty() {
            // The receiver ends after this sender.
            let _ = received.send(batch).await;
        }
    }
}
