//! IoT Core's HTTPS data plane as the daemon's publisher: one call for each message, and every
//! refusal is reported.
//!
//! A call that is throttled makes all wait for a moment. A call whose fate is unknown (no answer, a
//! server error) is made again before any other of its topic; beside MQTT connections it is given
//! back, since they may carry it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::config::Builder;
use aws_sdk_iotdataplane::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_iotdataplane::operation::publish::PublishError as Failure;
use aws_sdk_iotdataplane::primitives::Blob;
use aws_sdk_iotdataplane::types::PayloadFormatIndicator;
use rustc_hash::FxHashMap;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::causes::causes;
use crate::channel::limits::MESSAGE_EXPIRY_SECONDS;
use crate::channel::topic::Topic;
use crate::log_limit::LogLimit;
use crate::pace::task_rate::TaskRate;
use crate::pace::turn;
use crate::port::{PublishError, Publisher};
use crate::route::explain::SHORTEST_EXPIRY;
use crate::route::publication::{Publication, TopicOrder, whole_seconds};

/// Delay before a call whose fate is unknown is made again: the first one, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Pause of all calls after one call was throttled.
const THROTTLED: Duration = Duration::from_millis(500);

/// Time for which nothing is taken on after the data plane could not be reached, unless it is
/// reached before.
const DOWN: Duration = Duration::from_secs(5);

static CREDENTIALS_REFUSED: LogLimit<()> = LogLimit::new();

type PublishFate = Result<(), PublishError>;

/// The publisher over HTTPS.
pub struct DataPlanePublisher {
    shared: Arc<Ours>,
    most: u32,
    /// `true` beside MQTT connections: the caller then handles calls of unknown fate, and a rate
    /// that refusals lower.
    is_overflow: bool,
    closing: watch::Sender<bool>,
}

/// State that all calls share.
struct Ours {
    client: Client,
    calls: Semaphore,
    /// Rate of publications, which refusals lower.
    rate: Mutex<TaskRate>,
    /// The latest call of each topic that is under way: resolves when it is over.
    topics: Mutex<FxHashMap<Topic, (u64, oneshot::Receiver<()>)>>,
    /// 1 while the data plane answers.
    up: watch::Sender<usize>,
    /// Until when nothing is sent.
    pause: watch::Sender<Instant>,
}

impl DataPlanePublisher {
    /// A publisher to an endpoint such as `https://abc-ats.iot.eu-central-1.amazonaws.com`, with at most so many calls under way
    /// and so many a second.
    pub fn new(config: &SdkConfig, endpoint: &str, calls: u16, rate: Option<u32>) -> Self {
        let config = Builder::from(config).endpoint_url(endpoint).build();
        let most = calls.max(1).into();
        Self {
            shared: Arc::new(Ours {
                client: Client::from_conf(config),
                calls: Semaphore::new(calls.max(1).into()),
                rate: Mutex::new(TaskRate::new(rate)),
                topics: Mutex::default(),
                up: watch::Sender::new(1),
                pause: watch::Sender::new(Instant::now()),
            }),
            most,
            is_overflow: false,
            closing: watch::Sender::new(false),
        }
    }

    /// The same beside MQTT connections: a message of unknown fate is given back as transient, and
    /// the rate is kept by the pool.
    #[must_use]
    pub fn as_overflow(self) -> Self {
        Self {
            is_overflow: true,
            ..self
        }
    }

    /// 1 while the data plane answers, 0 otherwise.
    pub fn up(&self) -> watch::Receiver<usize> {
        self.shared.up.subscribe()
    }
}

/// A call, under way once it is polled.
pub struct Pending(Pin<Box<dyn Future<Output = PublishFate> + Send>>);

impl Future for Pending {
    type Output = PublishFate;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<PublishFate> {
        self.0.as_mut().poll(context)
    }
}

impl Publisher for DataPlanePublisher {
    type Pending = Pending;

    fn publish(&self, publication: Publication) -> Result<Pending, PublishError> {
        PublishError::unless_fits(&publication)?;
        if *self.closing.borrow() {
            return Err(transient("the publisher is closing"));
        }
        let unordered = publication.order == Some(TopicOrder::Unordered);
        let place = (!unordered).then(|| self.shared.enter(&publication.topic));
        let shared = Arc::clone(&self.shared);
        let closing = self.closing.subscribe();
        let since = Instant::now();
        let is_overflow = self.is_overflow;
        Ok(Pending(Box::pin(async move {
            let turn = (place, since);
            shared.send(publication, turn, is_overflow, closing).await
        })))
    }

    async fn ready(&self) {
        let mut up = self.shared.up.subscribe();
        tokio::select! {
            // The sender lives as long as `self`.
            _ = up.wait_for(|up| *up > 0) => {}
            () = sleep(DOWN) => {}
        }
        self.shared.paused().await;
    }

    fn set_share(&self, share: Option<u32>) {
        self.shared.rate().set_share(share);
    }

    async fn close(&self, deadline: Instant) {
        let all = self.shared.calls.acquire_many(self.most);
        let _ = timeout_at(deadline, all).await;
        self.closing.send_replace(true);
    }
}

/// A call's place in its topic's order: it gives way to the next when it is dropped.
struct TopicTurn {
    before: Option<oneshot::Receiver<()>>,
    shared: Arc<Ours>,
    topic: Topic,
    number: u64,
    _done: oneshot::Sender<()>,
}

impl Drop for TopicTurn {
    fn drop(&mut self) {
        let mut topics = self.shared.topics();
        if topics
            .get(&self.topic)
            .is_some_and(|(last, _)| *last == self.number)
        {
            topics.remove(&self.topic);
        }
    }
}

impl Ours {
    fn topics(&self) -> MutexGuard<'_, FxHashMap<Topic, (u64, oneshot::Receiver<()>)>> {
        // Nothing in here panics half-way through a change.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until calls may be made again.
    async fn paused(&self) {
        let until = *self.pause.borrow();
        sleep_until(until).await;
    }

    fn rate(&self) -> MutexGuard<'_, TaskRate> {
        // A panic while counting leaves numbers that are right.
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, topic: &Topic) -> TopicTurn {
        let (done, over) = oneshot::channel();
        let mut topics = self.topics();
        let number = topics.get(topic).map_or(0, |(last, _)| last + 1);
        let before = topics.insert(topic.clone(), (number, over));
        TopicTurn {
            before: before.map(|(_, over)| over),
            shared: Arc::clone(self),
            topic: topic.clone(),
            number,
            _done: done,
        }
    }

    async fn send(
        &self,
        mut publication: Publication,
        (mut place, since): (Option<TopicTurn>, Instant),
        is_overflow: bool,
        mut closing: watch::Receiver<bool>,
    ) -> PublishFate {
        if let Some(before) = place.as_mut().and_then(|place| place.before.take()) {
            // An error means the same: the one before is over.
            let _ = before.await;
        }
        // Closed only with the publisher itself.
        let Ok(_call) = self.calls.acquire().await else {
            return Err(transient("the publisher is closing"));
        };
        if !is_overflow {
            turn(|now| self.rate().try_take(now)).await;
        }
        if *closing.borrow() {
            return Err(transient("the publisher is closing"));
        }
        if let Some(expires) = &mut publication.expires {
            *expires = expires.saturating_sub(whole_seconds(since.elapsed()));
            if *expires < SHORTEST_EXPIRY {
                return Err(PublishError::Expired);
            }
        }
        let mut pause = AGAIN.0;
        loop {
            self.paused().await;
            let unknown = match self.call(&publication).await {
                CallOutcome::Fate(fate) => {
                    self.up.send_replace(1);
                    return fate;
                }
                CallOutcome::Unknown(what) => what,
            };
            if self.up.send_replace(0) > 0 {
                tracing::warn!(error = unknown, "IoT Core's data plane does not answer");
            }
            if is_overflow {
                return Err(PublishError::Transient { what: unknown });
            }
            let wait = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::select! {
                () = sleep(wait) => {}
                _ = closing.wait_for(|closing| *closing) => return Err(PublishError::Transient { what: unknown }),
            }
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    async fn call(&self, publication: &Publication) -> CallOutcome {
        let properties = publication.user_properties();
        let properties: Vec<_> = properties
            .map(|(name, value)| serde_json::json!({ name: value }))
            .collect();
        let expiry = publication.expires.map(|expires| {
            let bounds = MESSAGE_EXPIRY_SECONDS;
            let seconds = u32::try_from(expires.as_secs()).unwrap_or(*bounds.end());
            i64::from(seconds.clamp(*bounds.start(), *bounds.end()))
        });
        let answer = self
            .client
            .publish()
            .topic(publication.topic.as_str())
            .qos(publication.qos.level().into())
            .retain(publication.retain)
            .payload(Blob::new(publication.payload.to_vec()))
            .content_type(publication.content_type)
            .payload_format_indicator(PayloadFormatIndicator::Utf8Data)
            .user_properties(serde_json::Value::Array(properties).to_string())
            .set_message_expiry(expiry)
            .send()
            .await;
        match answer {
            Ok(_) => CallOutcome::Fate(Ok(())),
            Err(error) => self.meaning(&error),
        }
    }

    /// Classifies a failed call (IoT API reference, Publish, "Errors").
    fn meaning(&self, error: &SdkError<Failure>) -> CallOutcome {
        let SdkError::ServiceError(service) = error else {
            return CallOutcome::Unknown(causes(error));
        };
        let status = service.raw().status().as_u16();
        let code = service.err().code().unwrap_or("Unknown");
        let message = service.err().message().unwrap_or_default();
        let what = format!("HTTP {status}: {code}: {message}");
        let permanent = |reason| {
            CallOutcome::Fate(Err(PublishError::Permanent {
                reason,
                what: what.clone(),
            }))
        };
        match (status, code) {
            (429, _) => {
                let wait = THROTTLED.mul_f64(0.5 + fastrand::f64());
                self.pause.send_replace(Instant::now() + wait);
                self.rate().throttled(Instant::now());
                CallOutcome::Fate(Err(PublishError::Throttled { what }))
            }
            // The process's credentials are at fault, not the message: they may be renewed.
            (
                401 | 403,
                "ExpiredTokenException"
                | "InvalidSignatureException"
                | "MissingAuthenticationTokenException"
                | "UnrecognizedClientException",
            ) => {
                if let Some(suppressed) = CREDENTIALS_REFUSED.admit(()) {
                    tracing::error!(
                        error = what,
                        suppressed,
                        "IoT Core does not take the credentials"
                    );
                }
                CallOutcome::Unknown(what)
            }
            (401 | 403, _) => permanent("not_authorized"),
            (413, _) => permanent("too_large"),
            (400..=499, _) => permanent("refused"),
            _ => CallOutcome::Unknown(what),
        }
    }
}

/// Result of one call.
enum CallOutcome {
    Fate(PublishFate),
    /// The message may have been published, or not.
    Unknown(String),
}

fn transient(what: &str) -> PublishError {
    PublishError::Transient { what: what.into() }
}
