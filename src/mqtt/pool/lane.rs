//! One connection's supervisor. What a lost connection left unacknowledged is sent again by the next, before anything newer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at, sleep, sleep_until};

use super::lanes::Job;
use crate::mqtt::Settings;
use crate::mqtt::connection::{Answer, Connection, acknowledged};
use crate::pace::{Pace, Shared};
use crate::port::PublishError;

/// The wait for what becomes of a publication on one connection. It names the publication by its number on the lane.
type Wait = BoxFuture<'static, (u64, Answer)>;

/// What was sent on one connection.
#[derive(Default)]
struct Sent {
    /// What has no answer yet.
    waits: FuturesUnordered<Wait>,
    /// Numbers and times in the order of sending, from the oldest that has no answer.
    times: VecDeque<(u64, Instant)>,
}

/// One connection's supervisor: connects, publishes, and starts again after a loss.
pub(super) struct Lane {
    pub(super) settings: Arc<Settings>,
    pub(super) client_id: String,
    pub(super) shared: Shared,
    pub(super) jobs: mpsc::Receiver<Job>,
    /// What was taken from `jobs` and has no known fate yet, in the order in which it was handed over.
    pub(super) unacknowledged: BTreeMap<u64, Job>,
    /// The number of the latest of them.
    pub(super) next: u64,
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
            if self.jobs.is_closed() && self.jobs.is_empty() && self.unacknowledged.is_empty() {
                return;
            }
            let mut closing = self.closing.clone();
            let attempt = tokio::select! {
                attempt = Connection::open(&self.settings, &self.client_id) => attempt,
                () = asked_to_close(&mut closing) => return,
            };
            match attempt {
                Ok(connection) => {
                    tracing::info!(client_id = %self.client_id, "connected to the broker");
                    let since = Instant::now();
                    self.up.send_modify(|up| *up += 1);
                    let done = self.serve(connection).await;
                    self.up.send_modify(|up| *up -= 1);
                    if done {
                        return;
                    }
                    // One that is ended as soon as it stands is not tried as eagerly as one that was lost.
                    if since.elapsed() >= longest {
                        wait = first;
                    }
                }
                Err(error) => {
                    tracing::warn!(client_id = %self.client_id, %error, "connecting to the broker failed");
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

    /// Publishes until the connection is lost (false) or the pool is closed and everything is acknowledged (true).
    async fn serve(&mut self, connection: Connection) -> bool {
        let mut sent = Sent::default();
        let done = self.feed(&connection, &mut sent).await;
        if done {
            connection.disconnect(Duration::from_secs(1)).await;
        } else {
            // Without its connection every wait ends at once; some of them with an acknowledgement that came before the loss.
            drop(connection);
            while let Some(answer) = sent.waits.next().await {
                self.resolve(answer);
            }
        }
        done
    }

    /// Puts publications on a connection: first, in their order, those that an earlier one did not see acknowledged.
    async fn feed(&mut self, connection: &Connection, sent: &mut Sent) -> bool {
        let mut turn: VecDeque<u64> = self.unacknowledged.keys().copied().collect();
        let mut pace = Pace::new(&self.settings.limits, &self.shared);
        let within = self.settings.publish_timeout;
        let between = (within / 4).max(Duration::from_millis(1));
        let mut looks = interval_at(Instant::now() + between, between);
        // Made once: asking anew on each turn would cost more than the turn.
        let lost = connection.lost();
        let mut closing = self.closing.clone();
        let closing = asked_to_close(&mut closing);
        tokio::pin!(lost, closing);
        let mut open = true;
        loop {
            let room = sent.waits.len() < usize::from(connection.in_flight);
            if room
                && turn.is_empty()
                && let Ok(job) = self.jobs.try_recv()
            {
                turn.push_back(self.take(job));
            }
            let mut due = None;
            if room && let Some(number) = turn.front().copied() {
                match self.may_send(number, &mut pace) {
                    Ok(wanted) => {
                        turn.pop_front();
                        if wanted && !self.send(number, connection, sent).await {
                            return false;
                        }
                        continue;
                    }
                    Err(later) => due = Some(later),
                }
            }
            if !open && turn.is_empty() && sent.waits.is_empty() {
                return true;
            }
            tokio::select! {
                () = &mut lost => return false,
                Some(answer) = sent.waits.next() => {
                    if !self.resolve(answer) {
                        return false;
                    }
                    self.trim(sent);
                }
                job = self.jobs.recv(), if room && turn.is_empty() && open => match job {
                    Some(job) => turn.push_back(self.take(job)),
                    None => open = false,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                _ = looks.tick() => if sent.times.front().is_some_and(|(_, since)| since.elapsed() >= within) {
                    tracing::warn!(client_id = %self.client_id, ?within, "no acknowledgement came in time: connecting anew");
                    return false;
                },
                // What was handed over before still comes out of the channel.
                () = &mut closing, if !self.jobs.is_closed() => self.jobs.close(),
            }
        }
    }

    /// Gives a publication its number.
    fn take(&mut self, job: Job) -> u64 {
        self.next += 1;
        self.unacknowledged.insert(self.next, job);
        self.next
    }

    /// Forgets the times of what has its answer, up to the oldest that has none.
    fn trim(&self, sent: &mut Sent) {
        while let Some((number, _)) = sent.times.front()
            && !self.unacknowledged.contains_key(number)
        {
            sent.times.pop_front();
        }
    }

    /// Whether a publication is still wanted, once the pace lets it go; or when to ask again. What nobody waits for any more is
    /// not sent.
    fn may_send(&mut self, number: u64, pace: &mut Pace) -> Result<bool, Instant> {
        match self.unacknowledged.get(&number) {
            Some((publication, fate)) if !fate.is_closed() => {
                pace.take(publication.payload.len()).map(|()| true)
            }
            _ => {
                self.unacknowledged.remove(&number);
                Ok(false)
            }
        }
    }

    /// Sends one publication; false when the connection is lost.
    async fn send(&mut self, number: u64, connection: &Connection, sent: &mut Sent) -> bool {
        let Some((publication, _)) = self.unacknowledged.get(&number) else {
            return true;
        };
        let notice = match connection.publish(publication).await {
            Ok(notice) => notice,
            Err(PublishError::Transient { .. }) => return false,
            Err(refused) => {
                if let Some((_, fate)) = self.unacknowledged.remove(&number) {
                    // Who waited may have gone.
                    let _ = fate.send(Err(refused));
                }
                return true;
            }
        };
        sent.times.push_back((number, Instant::now()));
        sent.waits.push(Box::pin(
            async move { (number, acknowledged(notice).await) },
        ));
        true
    }

    /// Tells whoever waits; false when the connection is not worth keeping.
    fn resolve(&mut self, (number, answer): (u64, Answer)) -> bool {
        let outcome = match answer {
            Answer::Acknowledged => Ok(()),
            Answer::Refused(error) => Err(error),
            Answer::Lost => return false,
        };
        if let Some((_, fate)) = self.unacknowledged.remove(&number) {
            // Who waited may have gone; the publication is not taken back.
            let _ = fate.send(outcome);
        }
        true
    }
}

/// Resolves once the pool closes.
pub(super) async fn asked_to_close(closing: &mut watch::Receiver<Option<Instant>>) {
    // An error means that the pool is gone.
    let _ = closing.wait_for(Option::is_some).await;
}

/// A random wait between `wait` and half as much again: never less, since a client id may connect once a second, and tasks that
/// lost a broker together must not come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 2.0)
}
