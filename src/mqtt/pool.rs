//! A pool of connections. A topic always goes by the same one, so that its publications keep their order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::Settings;
use super::connection::{Connection, acknowledged, transient};
use crate::channel::limits::PAYLOAD_BYTES;
use crate::port::{PublishError, Publisher};
use crate::route::publication::Publication;

type Outcome = Result<(), PublishError>;

/// A publication on its way to a connection, and who waits for its fate.
type Job = (Publication, oneshot::Sender<Outcome>);

/// The publisher of the daemon over MQTT.
pub struct Pool {
    lanes: Vec<mpsc::Sender<Job>>,
    /// How many connections are up.
    up: watch::Receiver<usize>,
    closing: watch::Sender<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Pool {
    /// Starts the connections. It does not wait for them: see [`Publisher::ready`].
    pub fn start(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let (up_sender, up) = watch::channel(0);
        let up_sender = Arc::new(up_sender);
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
                    up: Arc::clone(&up_sender),
                    closing: closing_receiver.clone(),
                };
                tasks.spawn(lane.run());
                sender
            })
            .collect();
        Self {
            lanes,
            up,
            closing,
            tasks: Mutex::new(tasks),
        }
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
    up: Arc<watch::Sender<usize>>,
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
                }
            }
            tokio::select! {
                () = sleep(jittered(wait)) => {}
                () = asked_to_close(&mut closing) => return,
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Publishes until the connection is lost (false) or the pool is closed (true).
    async fn serve(&mut self, connection: Connection) -> bool {
        let mut waits = JoinSet::new();
        let closing = self.feed(&connection, &mut waits).await;
        if closing {
            while waits.join_next().await.is_some() {}
            connection.disconnect(Duration::from_secs(1)).await;
        } else {
            // Without its connection every wait ends at once, with an error.
            drop(connection);
            while waits.join_next().await.is_some() {}
        }
        closing
    }

    /// Puts publications on a connection, until it is lost (false) or there is nothing more to publish (true).
    async fn feed(&mut self, connection: &Connection, waits: &mut JoinSet<()>) -> bool {
        let places = Arc::new(Semaphore::new(usize::from(connection.in_flight)));
        let (stalled, mut stall) = mpsc::channel::<()>(1);
        let mut closing = self.closing.clone();
        loop {
            while waits.try_join_next().is_some() {}
            let place = tokio::select! {
                () = connection.lost() => return false,
                _ = stall.recv() => return false,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else {
                return false;
            };
            let (publication, fate) = tokio::select! {
                biased;
                () = connection.lost() => return false,
                _ = stall.recv() => return false,
                job = self.jobs.recv() => match job {
                    Some(job) => job,
                    None => return true,
                },
                () = asked_to_close(&mut closing) => return true,
            };
            let within = self.settings.publish_timeout;
            let stalled = stalled.clone();
            match connection.publish(&publication).await {
                Err(error) => {
                    let _ = fate.send(Err(error));
                }
                Ok(notice) => {
                    waits.spawn(async move {
                        let begin = Instant::now();
                        let outcome = acknowledged(notice, within).await;
                        if outcome.is_err() && begin.elapsed() >= within {
                            let _ = stalled.try_send(());
                        }
                        // Who waited may have gone; the publication is not taken back.
                        let _ = fate.send(outcome);
                        drop(place);
                    });
                }
            }
        }
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
