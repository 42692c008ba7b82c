//! A pool of connections, and the publications that wait for one.
//!
//! The scheduler decides which connection a publication takes (`schedule`); each connection has a
//! task that publishes what it is given (`link`); another publisher may take what finds no room
//! (`overflow`); the keeper opens connections when what is published needs more of them, and closes
//! them later (`keeper`).

mod connections;
mod demand;
mod flow;
mod keeper;
mod link;
mod overflow;
mod schedule;
mod sent;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::connections::LinkId;
use self::flow::{PublishResult, QueuedPublish};
use self::keeper::Keeper;
use self::overflow::OverflowPath;
use self::schedule::Scheduler;
use super::MqttSettings;
use super::connection::transient;
use crate::port::{PublishError, Publisher};
use crate::route::publication::Publication;
use crate::telemetry::metrics::Metrics;

/// State that the pool, its keeper and its connections share.
struct Shared {
    scheduler: StdMutex<Scheduler>,
    /// Notified when the scheduler has something to do at another time than before, or too few
    /// connections.
    changed: Notify,
    /// Number of connections that are up.
    up: watch::Sender<usize>,
    /// Error of the latest failed attempt to connect.
    failure: watch::Sender<Option<String>>,
}

impl Shared {
    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        // Nothing in there panics half-way through a change.
        self.scheduler
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands answers to the waiting callers, and the room that they give to the scheduler.
    fn answer(
        &self,
        id: LinkId,
        answered: impl IntoIterator<Item = (QueuedPublish, PublishResult)>,
    ) {
        let now = Instant::now();
        let mut scheduler = self.scheduler();
        let before = scheduler.due();
        for (job, outcome) in answered {
            if matches!(outcome, Err(PublishError::Throttled { .. })) {
                scheduler.task.throttled(now);
            }
            scheduler.answered(id, &job.publication, now);
            // The receiver may have gone; the publication is not taken back.
            let _ = job.fate.send(outcome);
        }
        if scheduler.due() != before {
            self.changed.notify_one();
        }
    }
}

/// The publisher of the daemon over MQTT.
pub struct Pool {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    /// Time that an answer may take.
    publish_timeout: Duration,
    closing: watch::Sender<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Pool {
    /// Starts the connections. It does not wait for them: see [`Publisher::ready`].
    pub fn start(settings: MqttSettings) -> Self {
        Self::measured(settings, Arc::default())
    }

    /// Starts the connections, and counts in `metrics` which limits hold publications back.
    pub fn measured(settings: MqttSettings, metrics: Arc<Metrics>) -> Self {
        let settings = Arc::new(settings);
        let closing = watch::Sender::new(None);
        let shared = Arc::new(Shared {
            scheduler: StdMutex::new(Scheduler::new(settings.limits, Instant::now())),
            changed: Notify::new(),
            up: watch::Sender::new(0),
            failure: watch::Sender::new(None),
        });
        let publish_timeout = settings.publish_timeout;
        let mut keeper = Keeper::new(settings, Arc::clone(&shared), closing.subscribe());
        keeper.begin();
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run());
        Self {
            shared,
            metrics,
            publish_timeout,
            closing,
            tasks: Mutex::new(tasks),
        }
    }

    /// Gives publications for which no connection has room to another publisher, at most `window`
    /// at a time. Of a topic it has one at a time, and none while a connection has any, so that
    /// order holds. It is no connection that is up. It is to give back what it knows no fate of:
    /// after the time that a connection's acknowledgement may take it is not waited for.
    #[must_use]
    pub fn with_overflow(mut self, publisher: impl Publisher, window: u16) -> Self {
        let (id, wake) = self
            .shared
            .scheduler()
            .connections
            .open_overflow(window.into());
        let overflow = OverflowPath {
            shared: Arc::clone(&self.shared),
            metrics: Arc::clone(&self.metrics),
            publisher,
            within: self.publish_timeout,
            closing: self.closing.subscribe(),
        };
        self.tasks.get_mut().spawn(overflow.run(id, wake));
        self
    }

    /// Error of the latest failed attempt to connect, in one line; `None` when none has failed.
    pub fn last_error(&self) -> Option<String> {
        self.shared.failure.borrow().clone()
    }

    /// Number of connections that are up, now and later.
    pub fn up(&self) -> watch::Receiver<usize> {
        self.shared.up.subscribe()
    }

    /// Number of connections that are up.
    pub fn connections(&self) -> usize {
        *self.shared.up.borrow()
    }
}

/// Resolves to a publication's fate.
pub struct Pending(oneshot::Receiver<PublishResult>);

impl Future for Pending {
    type Output = PublishResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<PublishResult> {
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

    fn publish(&self, publication: Publication) -> Result<Pending, PublishError> {
        PublishError::unless_fits(&publication)?;
        if self.closing.borrow().is_some() {
            return Err(transient("the publisher is closing"));
        }
        let (fate, pending) = oneshot::channel();
        let route = Arc::clone(&publication.route);
        let since = Instant::now();
        let job = QueuedPublish {
            publication,
            fate,
            since,
        };
        let (held, pressed) = {
            let mut scheduler = self.shared.scheduler();
            (
                scheduler.enter(job, since),
                scheduler.connections.is_pressed(),
            )
        };
        if let Some(limit) = held {
            self.metrics.held_back.one(limit.name(), Some(route));
        }
        if held.is_some() || pressed {
            self.shared.changed.notify_one();
        }
        Ok(Pending(pending))
    }

    async fn ready(&self) {
        // The sender lives as long as the pool.
        let _ = self.shared.up.subscribe().wait_for(|up| *up > 0).await;
    }

    fn set_share(&self, share: Option<u32>) {
        self.shared.scheduler().task.set_share(share);
        self.shared.changed.notify_one();
    }

    async fn close(&self, deadline: Instant) {
        self.closing.send_replace(Some(deadline));
        self.shared.scheduler().close();
        let mut tasks = self.tasks.lock().await;
        let mut up = self.shared.up.subscribe();
        let all = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = sleep_until(deadline) => {}
            // Publications that wait for a connection wait in vain once none is up.
            _ = up.wait_for(|up| *up == 0) => {}
        }
        tasks.abort_all();
        self.shared.scheduler().clear();
    }
}
