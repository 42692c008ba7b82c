//! A pool of connections. A topic always goes by the same one, so that its publications keep their order.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use super::Settings;
use super::connection::{Answer, Connection, acknowledged, transient};
use crate::channel::limits::PAYLOAD_BYTES;
use crate::port::{PublishError, Publisher};
use crate::route::publication::Publication;

type Outcome = Result<(), PublishError>;

/// A publication on its way to a connection, and who waits for its fate.
type Job = (Publication, oneshot::Sender<Outcome>);

/// A publication's number on its lane, and what became of it on one connection.
type Wait = (u64, Answer);

/// The publisher of the daemon over MQTT.
pub struct Pool {
    lanes: Vec<mpsc::Sender<Job>>,
    /// How many connections are up.
    up: watch::Receiver<usize>,
    /// Why the latest attempt to connect failed.
    failure: watch::Receiver<Option<String>>,
    closing: watch::Sender<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Pool {
    /// Starts the connections. It does not wait for them: see [`Publisher::ready`].
    pub fn start(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let (up_sender, up) = watch::channel(0);
        let up_sender = Arc::new(up_sender);
        let (failure_sender, failure) = watch::channel(None);
        let failure_sender = Arc::new(failure_sender);
        let (closing, closing_receiver) = watch::channel(None);
        let word = format!("{:08x}", fastrand::u32(..));
        let mut tasks = JoinSet::new();
        let lanes = (0..settings.connections.max(1))
            .map(|number| {
                let (sender, jobs) = mpsc::channel(usize::from(settings.in_flight.max(1)));
                let lane = Lane {
                    settings: Arc::clone(&settings),
                    client_id: format!("{}-{word}-{number}", settings.client_id),
                    jobs,
                    unacknowledged: BTreeMap::new(),
                    next: 0,
                    up: Arc::clone(&up_sender),
                    failure: Arc::clone(&failure_sender),
                    closing: closing_receiver.clone(),
                };
                tasks.spawn(lane.run());
                sender
            })
            .collect();
        Self {
            lanes,
            up,
            failure,
            closing,
            tasks: Mutex::new(tasks),
        }
    }

    /// Why the latest attempt to connect failed, in one line; `None` when none has.
    pub fn last_error(&self) -> Option<String> {
        self.failure.borrow().clone()
    }
}

/// Which lane a topic takes: FNV-1a over its bytes, the same in every process and version.
fn lane_of(topic: &str, lanes: usize) -> usize {
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % lanes.max(1) as u64).unwrap_or(0)
}

/// Resolves to a publication's fate.
pub struct Pending(oneshot::Receiver<Outcome>);

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let gone = |_| {
            Err(transient(
                "the connection was closed before the message was sent",
            ))
        };
        Pin::new(&mut self.0)
            .poll(context)
            .map(|outcome| outcome.unwrap_or_else(gone))
    }
}

impl Publisher for Pool {
    type Pending = Pending;

    async fn publish(&self, publication: Publication) -> Result<Pending, PublishError> {
        if publication.payload.len() > PAYLOAD_BYTES {
            return Err(PublishError::Permanent {
                reason: "too_large",
                what: format!(
                    "the payload has {} bytes; IoT Core takes {PAYLOAD_BYTES}",
                    publication.payload.len()
                ),
            });
        }
        let closed = || transient("the publisher is closing");
        if self.closing.borrow().is_some() {
            return Err(closed());
        }
        let lane = lane_of(publication.topic.as_str(), self.lanes.len());
        let lane = self.lanes.get(lane).ok_or_else(closed)?;
        let place = lane.reserve().await.map_err(|_| closed())?;
        let (fate, pending) = oneshot::channel();
        place.send((publication, fate));
        Ok(Pending(pending))
    }

    async fn ready(&self) {
        // The lanes hold the sender for as long as the pool lives.
        let _ = self.up.clone().wait_for(|up| *up > 0).await;
    }

    async fn close(&self, deadline: Instant) {
        self.closing.send_replace(Some(deadline));
        let mut tasks = self.tasks.lock().await;
        let all = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout_at(deadline, all).await;
        tasks.abort_all();
    }
}

/// One connection's supervisor: connects, publishes, and starts again after a loss.
struct Lane {
    settings: Arc<Settings>,
    client_id: String,
    jobs: mpsc::Receiver<Job>,
    /// What was taken from `jobs` and has no known fate yet, in the order in which it was handed over.
    unacknowledged: BTreeMap<u64, Job>,
    /// The number of the latest of them.
    next: u64,
    up: Arc<watch::Sender<usize>>,
    failure: Arc<watch::Sender<Option<String>>>,
    closing: watch::Receiver<Option<Instant>>,
}

impl Lane {
    async fn run(mut self) {
        let (first, longest) = self.settings.back_off;
        let mut wait = first;
        loop {
            let mut closing = self.closing.clone();
            let attempt = tokio::select! {
                attempt = Connection::open(&self.settings, &self.client_id) => attempt,
                () = asked_to_close(&mut closing) => return,
            };
            match attempt {
                Ok(connection) => {
                    tracing::info!(client_id = %self.client_id, "connected to the broker");
                    wait = first;
                    self.up.send_modify(|up| *up += 1);
                    let done = self.serve(connection).await;
                    self.up.send_modify(|up| *up -= 1);
                    if done {
                        return;
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
        let mut waits = JoinSet::new();
        let done = self.feed(&connection, &mut waits).await;
        if done {
            connection.disconnect(Duration::from_secs(1)).await;
        } else {
            // Without its connection every wait ends at once; some of them with an acknowledgement that came before the loss.
            drop(connection);
            while let Some(wait) = waits.join_next().await {
                self.resolve(wait);
            }
        }
        done
    }

    /// Puts publications on a connection: first, in their order, those that an earlier one did not see acknowledged.
    async fn feed(&mut self, connection: &Connection, waits: &mut JoinSet<Wait>) -> bool {
        // What nobody waits for any more is not sent again.
        self.unacknowledged.retain(|_, (_, fate)| !fate.is_closed());
        let mut again: VecDeque<u64> = self.unacknowledged.keys().copied().collect();
        let mut closing = self.closing.clone();
        let mut open = true;
        loop {
            let room = waits.len() < usize::from(connection.in_flight);
            if room && let Some(number) = again.pop_front() {
                if !self.send(number, connection, waits).await {
                    return false;
                }
                continue;
            }
            if !open && again.is_empty() && waits.is_empty() {
                return true;
            }
            tokio::select! {
                () = connection.lost() => return false,
                Some(wait) = waits.join_next() => if !self.resolve(wait) {
                    return false;
                },
                job = self.jobs.recv(), if room && again.is_empty() && open => match job {
                    Some(job) => {
                        self.next += 1;
                        self.unacknowledged.insert(self.next, job);
                        if !self.send(self.next, connection, waits).await {
                            return false;
                        }
                    }
                    None => open = false,
                },
                // What was handed over before still comes out of the channel.
                () = asked_to_close(&mut closing), if !self.jobs.is_closed() => self.jobs.close(),
            }
        }
    }

    /// Sends one publication; false when the connection is lost.
    async fn send(&self, number: u64, connection: &Connection, waits: &mut JoinSet<Wait>) -> bool {
        let Some((publication, _)) = self.unacknowledged.get(&number) else {
            return true;
        };
        let Ok(notice) = connection.publish(publication).await else {
            return false;
        };
        let within = self.settings.publish_timeout;
        waits.spawn(async move { (number, acknowledged(notice, within).await) });
        true
    }

    /// Tells whoever waits; false when the connection is not worth keeping.
    fn resolve(&mut self, wait: Result<Wait, JoinError>) -> bool {
        // A wait that panicked leaves its publication to be sent again.
        let Ok((number, answer)) = wait else {
            return false;
        };
        let outcome = match answer {
            Answer::Acknowledged => Ok(()),
            Answer::Refused(error) => Err(error),
            Answer::Lost | Answer::Late => return false,
        };
        if let Some((_, fate)) = self.unacknowledged.remove(&number) {
            // Who waited may have gone; the publication is not taken back.
            let _ = fate.send(outcome);
        }
        true
    }
}

async fn asked_to_close(closing: &mut watch::Receiver<Option<Instant>>) {
    // An error means that the pool is gone.
    let _ = closing.wait_for(Option::is_some).await;
}

/// A random wait between half of `wait` and all of it: tasks that lost a broker together must not come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}
