//! A pool of connections. A topic always goes by the same one, so that its publications keep their order.
//!
//! The pool sizes itself: it opens connections while publications wait for room, and closes them after a long quiet time. A
//! topic whose connection changes with the pool's size stays with the old one until nothing of it is under way there.

mod keeper;
mod lane;
mod lanes;
mod sent;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll};

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::keeper::Keeper;
use self::lanes::{Lanes, Outcome, lock};
use super::Settings;
use super::connection::transient;
use crate::channel::topic::Topic;
use crate::pace::Shared;
use crate::port::{PublishError, Publisher};
use crate::route::publication::Publication;

/// The publisher of the daemon over MQTT.
pub struct Pool {
    lanes: Arc<StdMutex<Lanes>>,
    /// How many connections are up.
    up: watch::Receiver<usize>,
    /// Why the latest attempt to connect failed.
    failure: watch::Receiver<Option<String>>,
    closing: watch::Sender<Option<Instant>>,
    /// How often somebody had to wait for room since the last look.
    waits: Arc<AtomicU32>,
    tasks: Mutex<JoinSet<()>>,
}

impl Pool {
    /// Starts the connections. It does not wait for them: see [`Publisher::ready`].
    pub fn start(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let (up_sender, up) = watch::channel(0);
        let (failure_sender, failure) = watch::channel(None);
        let (closing, closing_receiver) = watch::channel(None);
        let lanes = Arc::default();
        let waits = Arc::default();
        let mut keeper = Keeper {
            shared: Shared::new(&settings.limits),
            settings,
            lanes: Arc::clone(&lanes),
            waits: Arc::clone(&waits),
            up: Arc::new(up_sender),
            failure: Arc::new(failure_sender),
            closing: closing_receiver,
            connections: JoinSet::new(),
            started: 0,
            quiet: 0,
        };
        for _ in 0..keeper.settings.connections.0.max(1) {
            keeper.open();
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run());
        Self {
            lanes,
            up,
            failure,
            closing,
            waits,
            tasks: Mutex::new(tasks),
        }
    }

    /// Why the latest attempt to connect failed, in one line; `None` when none has.
    pub fn last_error(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// How many connections are up, now and later.
    pub fn up(&self) -> watch::Receiver<usize> {
        self.up.clone()
    }

    /// How many connections are up.
    pub fn connections(&self) -> usize {
        *self.up.borrow()
    }
}

/// Resolves to a publication's fate.
pub struct Pending {
    fate: oneshot::Receiver<Outcome>,
    lanes: Arc<StdMutex<Lanes>>,
    topic: Topic,
}

impl Drop for Pending {
    fn drop(&mut self) {
        lock(&self.lanes).leave(&self.topic);
    }
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let gone = |_| Err(closed());
        Pin::new(&mut self.fate)
            .poll(context)
            .map(|outcome| outcome.unwrap_or_else(gone))
    }
}

fn closed() -> PublishError {
    transient("the connection was closed before the message was sent")
}

impl Publisher for Pool {
    type Pending = Pending;

    async fn publish(&self, publication: Publication) -> Result<Pending, PublishError> {
        PublishError::unless_fits(&publication)?;
        if self.closing.borrow().is_some() {
            return Err(transient("the publisher is closing"));
        }
        let (sender, fate) = oneshot::channel();
        let lane = lock(&self.lanes)
            .enter(&publication.topic)
            .ok_or_else(closed)?;
        // From here on its drop gives up the topic.
        let pending = Pending {
            fate,
            lanes: Arc::clone(&self.lanes),
            topic: publication.topic.clone(),
        };
        let place = match lane.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Closed(())) => return Err(closed()),
            Err(mpsc::error::TrySendError::Full(())) => {
                self.waits.fetch_add(1, Ordering::Relaxed);
                lane.reserve().await.map_err(|_| closed())?
            }
        };
        place.send((publication, sender));
        Ok(pending)
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
