//! One connection's supervisor. What a lost connection left unacknowledged is sent again by the
//! next, before anything newer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at, sleep, sleep_until};

use super::lanes::Job;
use super::sent::Sent;
use crate::log_limit::LogLimit;
use crate::mqtt::connection::Connection;
use crate::mqtt::{Settings, client_id};
use crate::pace::{Pace, Shared};
use crate::port::PublishError;

static NOT_CONNECTED: LogLimit<()> = LogLimit::new();

/// One connection's supervisor: connects, publishes, and starts again after a loss.
pub(super) struct Lane {
    pub(super) settings: Arc<Settings>,
    /// Its number in the pool, which its client ids end with.
    pub(super) number: usize,
    pub(super) shared: Shared,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// What was taken from `jobs` and is to be sent, in the order in which it was handed over.
    pub(super) turn: VecDeque<Job>,
    pub(super) up: Arc<watch::Sender<usize>>,
    pub(super) failure: Arc<watch::Sender<Option<String>>>,
    pub(super) closing: watch::Receiver<Option<Instant>>,
}

impl Lane {
    /// Runs until there is nothing to do any more, or the pool closes.
    pub(super) async fn run(mut self) {
        let (first, longest) = self.settings.back_off;
        let mut wait = first;
        loop {
            if self.jobs.is_closed() && self.jobs.is_empty() && self.turn.is_empty() {
                return;
            }
            let mut closing = self.closing.clone();
            let attempt = tokio::select! {
                attempt = self.connect() => attempt,
                () = asked_to_close(&mut closing) => return,
            };
            match attempt {
                Ok((connection, client_id)) => {
                    tracing::info!(client_id, "connected to the broker");
                    let since = Instant::now();
                    self.up.send_modify(|up| *up += 1);
                    let done = self.serve(connection).await;
                    self.up.send_modify(|up| *up -= 1);
                    if done {
                        return;
                    }
                    // One that is ended as soon as it stands is not tried as eagerly as one that
                    // was lost.
                    if since.elapsed() >= longest {
                        wait = first;
                    }
                }
                Err(error) => {
                    if let Some(suppressed) = NOT_CONNECTED.admit(()) {
                        let connection = self.number;
                        tracing::warn!(
                            connection,
                            error,
                            suppressed,
                            "connecting to the broker failed"
                        );
                    }
                    self.failure.send_replace(Some(error));
                }
            }
            tokio::select! {
                () = sleep(jittered(wait)) => {}
                () = asked_to_close(&mut closing) => return,
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Connects with a client id that was never used before.
    async fn connect(&self) -> Result<(Connection, String), String> {
        let id = client_id::fresh(&self.settings.client_id, self.number)?;
        let connection = Connection::open(&self.settings, &id).await?;
        Ok((connection, id))
    }

    /// Publishes until the connection is lost (false) or the pool is closed and everything is
    /// acknowledged (true).
    async fn serve(&mut self, mut connection: Connection) -> bool {
        let mut sent = Sent::default();
        let done = self.feed(&mut connection, &mut sent).await;
        if done {
            connection.disconnect(Duration::from_secs(1)).await;
        } else {
            connection
                .last_answers()
                .for_each(|answer| sent.resolve(answer));
            for job in sent.unanswered().rev() {
                self.turn.push_front(job);
            }
        }
        done
    }

    /// Puts publications on a connection: first, in their order, those that an earlier one did not
    /// see acknowledged.
    async fn feed(&mut self, connection: &mut Connection, sent: &mut Sent) -> bool {
        let mut pace = Pace::new(&self.settings.limits, &self.shared);
        let in_flight = usize::from(connection.in_flight);
        let within = self.settings.publish_timeout;
        let between = (within / 4).max(Duration::from_millis(1));
        let mut looks = interval_at(Instant::now() + between, between);
        let mut closing = self.closing.clone();
        // Made once: asking anew on each turn would cost more than the turn.
        let closing = asked_to_close(&mut closing);
        tokio::pin!(closing);
        let mut answers = Vec::new();
        let mut open = true;
        loop {
            let room = sent.len() < in_flight;
            if room
                && self.turn.is_empty()
                && let Ok(job) = self.jobs.try_recv()
            {
                self.turn.push_back(job);
            }
            let mut due = None;
            if room && let Some(job) = self.turn.pop_front() {
                match may_send(&job, &mut pace) {
                    Ok(true) => {
                        if !send(job, connection, sent, &mut self.turn).await {
                            return false;
                        }
                        continue;
                    }
                    Ok(false) => continue,
                    Err(later) => {
                        self.turn.push_front(job);
                        due = Some(later);
                    }
                }
            }
            if !open && self.turn.is_empty() && sent.len() == 0 {
                return true;
            }
            tokio::select! {
                () = connection.answers(&mut answers) => {
                    if answers.is_empty() {
                        return false;
                    }
                    answers.drain(..).for_each(|answer| sent.resolve(answer));
                }
                job = self.jobs.recv(), if room && self.turn.is_empty() && open => match job {
                    Some(job) => self.turn.push_back(job),
                    None => open = false,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                _ = looks.tick() => if sent.oldest().is_some_and(|since| since.elapsed() >= within) {
                    tracing::warn!(connection = self.number, ?within, "no acknowledgement came in time: connecting anew");
                    return false;
                },
                // What was handed over before still comes out of the channel.
                () = &mut closing, if !self.jobs.is_closed() => self.jobs.close(),
            }
        }
    }
}

/// Whether a publication is still wanted, once the pace lets it go; or when to ask again. What
/// nobody waits for any more is not sent.
fn may_send((publication, fate): &Job, pace: &mut Pace) -> Result<bool, Instant> {
    if fate.is_closed() {
        return Ok(false);
    }
    pace.take(publication.payload.len()).map(|()| true)
}

/// Sends one publication; false when the connection is lost: then it has its turn again.
async fn send(
    job: Job,
    connection: &Connection,
    sent: &mut Sent,
    turn: &mut VecDeque<Job>,
) -> bool {
    match connection.publish(&job.0).await {
        Ok(()) => sent.push(job),
        Err(PublishError::Transient { .. }) => {
            turn.push_front(job);
            return false;
        }
        Err(refused) => {
            // Who waited may have gone.
            let _ = job.1.send(Err(refused));
        }
    }
    true
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
