//! One connection's supervisor. Publications that a lost connection left unacknowledged go back to
//! the scheduler, before anything newer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, interval_at, sleep};

use super::Shared;
use super::connections::{LinkId, Next};
use super::flow::QueuedPublish;
use super::sent::SentWindow;
use crate::log_limit::LogLimit;
use crate::mqtt::connection::PublisherConnection;
use crate::mqtt::{MqttSettings, client_id};
use crate::port::PublishError;

static NOT_CONNECTED: LogLimit<()> = LogLimit::new();

/// One connection's supervisor: connects, publishes, and starts again after a loss.
pub(super) struct ConnectionSupervisor {
    pub(super) settings: Arc<MqttSettings>,
    pub(super) shared: Arc<Shared>,
    /// Its number in the pool, which its client ids end with.
    pub(super) id: LinkId,
    /// Notified when it has something to do.
    pub(super) wake: Arc<Notify>,
    /// The moment by which all is to be closed, once it is.
    pub(super) closing: watch::Receiver<Option<Instant>>,
}

impl ConnectionSupervisor {
    /// Runs until there is nothing to do any more, or the pool closes.
    pub(super) async fn run(mut self) {
        let (first, longest) = self.settings.back_off;
        let mut wait = first;
        loop {
            let mut closing = self.closing.clone();
            let attempt = tokio::select! {
                attempt = self.connect() => attempt,
                () = asked_to_close(&mut closing) => break,
            };
            match attempt {
                Ok((connection, client_id)) => {
                    tracing::info!(client_id, "connected to the broker");
                    let since = Instant::now();
                    self.shared.up.send_modify(|up| *up += 1);
                    let done = self.serve(connection).await;
                    self.shared.up.send_modify(|up| *up -= 1);
                    if done {
                        break;
                    }
                    // The wait is reset only after a connection that lasted: one that ends as soon
                    // as it is made is tried again less eagerly than one that was lost.
                    if since.elapsed() >= longest {
                        wait = first;
                    }
                }
                Err(error) => {
                    if let Some(suppressed) = NOT_CONNECTED.admit(()) {
                        let connection = self.id;
                        tracing::warn!(
                            connection,
                            error,
                            suppressed,
                            "connecting to the broker failed"
                        );
                    }
                    self.shared.failure.send_replace(Some(error));
                    let mut scheduler = self.shared.scheduler();
                    scheduler.down(self.id, Vec::new(), Instant::now());
                }
            }
            tokio::select! {
                () = sleep(jittered(wait)) => {}
                () = asked_to_close(&mut closing) => break,
            }
            if self.shared.scheduler().connections.is_ending(self.id) {
                break;
            }
            wait = (wait * 2).min(longest);
        }
        self.shared.scheduler().connections.ended(self.id);
    }

    /// Connects with a client id that was never used before.
    async fn connect(&self) -> Result<(PublisherConnection, String), String> {
        let id = client_id::fresh(&self.settings.client_id, self.id)?;
        let connection = PublisherConnection::open(&self.settings, &id).await?;
        Ok((connection, id))
    }

    /// Publishes until the connection is lost (false) or has nothing to do any more (true).
    async fn serve(&mut self, mut connection: PublisherConnection) -> bool {
        let window = usize::from(connection.in_flight);
        let up = Instant::now();
        self.shared.scheduler().up(self.id, window, up);
        self.shared.changed.notify_one();
        let mut sent = SentWindow::default();
        match self.feed(&mut connection, &mut sent).await {
            Ok(()) => {
                connection.disconnect(Duration::from_secs(1)).await;
                true
            }
            Err(unsent) => {
                // Those that came before the end count.
                let answers = connection.last_answers();
                let answered = answers.filter_map(|answer| sent.answered(answer));
                self.shared.answer(self.id, answered);
                let unanswered: Vec<QueuedPublish> = sent.unanswered().chain(unsent).collect();
                let mut scheduler = self.shared.scheduler();
                scheduler.down(self.id, unanswered, Instant::now());
                drop(scheduler);
                self.shared.changed.notify_one();
                false
            }
        }
    }

    /// Puts on a connection what it is given. When the connection is lost, what was given and not
    /// sent comes back.
    async fn feed(
        &mut self,
        connection: &mut PublisherConnection,
        sent: &mut SentWindow,
    ) -> Result<(), Vec<QueuedPublish>> {
        let within = self.settings.publish_timeout;
        let between = (within / 4).max(Duration::from_millis(1));
        let mut looks = interval_at(Instant::now() + between, between);
        let mut answers = Vec::new();
        let mut jobs = VecDeque::new();
        loop {
            // In an expression of its own, so that the lock is given back.
            let next = self.shared.scheduler().next(self.id, &mut jobs);
            if matches!(next, Next::End) {
                return Ok(());
            }
            while let Some(job) = jobs.pop_front() {
                match connection.publish(&job.publication).await {
                    Ok(()) => sent.push(job),
                    Err(PublishError::Transient { .. }) => {
                        return Err(std::iter::once(job).chain(jobs).collect());
                    }
                    Err(refused) => self.shared.answer(self.id, [(job, Err(refused))]),
                }
            }
            tokio::select! {
                () = connection.answers(&mut answers) => {
                    if answers.is_empty() {
                        return Err(Vec::new());
                    }
                    let answered = answers.drain(..);
                    let answered: Vec<_> = answered.filter_map(|answer| sent.answered(answer)).collect();
                    self.shared.answer(self.id, answered);
                }
                () = self.wake.notified() => {}
                _ = looks.tick() => if sent.oldest().is_some_and(|since| since.elapsed() >= within) {
                    tracing::warn!(connection = self.id, ?within, "no acknowledgement came in time: connecting anew");
                    return Err(Vec::new());
                },
            }
        }
    }
}

/// Resolves once the pool closes.
pub(super) async fn asked_to_close(closing: &mut watch::Receiver<Option<Instant>>) {
    // An error means that the pool is gone.
    let _ = closing.wait_for(Option::is_some).await;
}

/// A random wait between `wait` and half as much again: tasks that lost a broker together must not
/// come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 2.0)
}
