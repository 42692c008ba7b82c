//! Publications for which no connection has room, on another way: a publisher without a limit of a
//! connection.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Shared;
use super::connections::{LinkId, Next};
use crate::port::{PublishError, Publisher};

/// Publishes what it is given until the pool closes, then closes the publisher.
pub(super) async fn run(
    shared: Arc<Shared>,
    (id, wake): (LinkId, Arc<Notify>),
    publisher: impl Publisher,
    closing: watch::Receiver<Option<Instant>>,
) {
    let mut calls = FuturesUnordered::new();
    let mut jobs = VecDeque::new();
    loop {
        // In an expression of its own, so that the lock is given back.
        let next = shared.scheduler().next(id, &mut jobs);
        if matches!(next, Next::End) {
            break;
        }
        for mut job in jobs.drain(..) {
            match publisher.publish(job.publication.clone()) {
                Ok(pending) => calls.push(async move {
                    let outcome = tokio::select! {
                        outcome = pending => outcome,
                        // Nobody waits for it any more: it is not tried again.
                        () = job.fate.closed() => Err(PublishError::Expired),
                    };
                    (job, outcome)
                }),
                Err(refused) => shared.answer(id, [(job, Err(refused))]),
            }
        }
        tokio::select! {
            Some(answered) = calls.next() => shared.answer(id, [answered]),
            () = wake.notified() => {}
        }
    }
    let deadline = *closing.borrow();
    publisher.close(deadline.unwrap_or_else(Instant::now)).await;
}
