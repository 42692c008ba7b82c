//! Publications for which no connection has room, on another way: a publisher without a limit of a
//! connection.
//!
//! A call keeps its topic for as long as an acknowledgement may take on a connection, and no
//! longer: then its fate is unknown, and who waits for it decides. After a call that failed one is
//! tried at a time until one succeeds, so that a way that is closed costs few topics their time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::Shared;
use super::connections::{LinkId, Next};
use crate::log_limit::LogLimit;
use crate::mqtt::connection::transient;
use crate::port::{PublishError, Publisher};
use crate::telemetry::metrics::Metrics;

static NO_ANSWER: LogLimit<()> = LogLimit::new();

/// The other way, and its bounds.
pub(super) struct OverflowPath<P> {
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) publisher: P,
    /// Time that an answer may take.
    pub(super) within: Duration,
    pub(super) closing: watch::Receiver<Option<Instant>>,
}

impl<P: Publisher> OverflowPath<P> {
    /// Publishes the jobs that it is given until the pool closes, then closes the publisher.
    pub(super) async fn run(self, id: LinkId, wake: Arc<Notify>) {
        let within = self.within;
        let mut calls = FuturesUnordered::new();
        let mut jobs = VecDeque::new();
        loop {
            // In an expression of its own, so that the lock is given back.
            let next = self.shared.scheduler().next(id, &mut jobs);
            if matches!(next, Next::End) {
                break;
            }
            for mut job in jobs.drain(..) {
                match self.publisher.publish(job.publication.clone()) {
                    Ok(pending) => calls.push(async move {
                        let outcome = tokio::select! {
                            outcome = timeout(within, pending) => outcome.unwrap_or_else(|_| {
                                Err(transient("IoT Core's data plane did not answer in time"))
                            }),
                            // Nobody waits for it any more: it is not tried again.
                            () = job.fate.closed() => Err(PublishError::Expired),
                        };
                        (job, outcome)
                    }),
                    Err(refused) => self.shared.answer(id, [(job, Err(refused))]),
                }
            }
            tokio::select! {
                Some(answered) = calls.next() => {
                    self.judge(&answered.1);
                    self.shared.answer(id, [answered]);
                }
                () = wake.notified() => {}
            }
        }
        let deadline = *self.closing.borrow();
        let deadline = deadline.unwrap_or_else(Instant::now);
        self.publisher.close(deadline).await;
    }

    /// Counts an answer, and decides how much the way is trusted from now on.
    fn judge(&self, outcome: &Result<(), PublishError>) {
        let mut scheduler = self.shared.scheduler();
        match outcome {
            Err(PublishError::Transient { what }) => {
                scheduler.connections.overflow_failed(Instant::now());
                if let Some(suppressed) = NO_ANSWER.admit(()) {
                    tracing::warn!(
                        error = what,
                        suppressed,
                        "message of unknown fate by HTTPS: it is tried again where there is room"
                    );
                }
            }
            // Nobody waited for an answer.
            Err(PublishError::Expired) => {}
            Ok(()) => {
                self.metrics.published_by_https.one();
                scheduler.connections.overflow_answered();
            }
            // A refusal is an answer.
            Err(_) => scheduler.connections.overflow_answered(),
        }
    }
}
