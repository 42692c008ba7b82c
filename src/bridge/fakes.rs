//! A queue and a publisher in memory. They keep the ports' contracts, on tokio's clock, and fail on command.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::port::{
    BatchOutcome, DeadLetter, Delivery, Hold, PublishError, Publisher, Queue, QueueError,
    QueueFacts, Receipt,
};
use crate::route::publication::Publication;

pub(super) const VISIBILITY: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Stored {
    body: Bytes,
    visible_at: Option<Instant>,
    receives: u32,
}

#[derive(Default)]
pub(super) struct Messages {
    stored: BTreeMap<u32, Stored>,
    sent: u32,
    letters: Vec<(String, &'static str)>,
}

/// A queue as SQS describes it: leases, receipts that go stale, redelivery.
#[derive(Default)]
pub(super) struct FakeQueue {
    pub(super) messages: Mutex<Messages>,
    /// Calls of receive that are open now, and the most that ever were.
    pub(super) polling: AtomicUsize,
    pub(super) most_polling: AtomicUsize,
    /// How many calls of delete fail before one succeeds.
    pub(super) failing_deletes: AtomicUsize,
    /// Whether there is a dead-letter queue.
    pub(super) buries: bool,
    /// Whether changes of visibility fail.
    pub(super) refusing_changes: AtomicBool,
    pub(super) max_receives: Option<u32>,
}

impl FakeQueue {
    pub(super) fn facts(&self) -> QueueFacts {
        QueueFacts {
            visibility: VISIBILITY,
            fifo: false,
            max_receives: self.max_receives,
        }
    }

    pub(super) fn send(&self, body: String) {
        let mut messages = self.messages.lock().unwrap();
        messages.sent += 1;
        let number = messages.sent;
        let body = Bytes::from(body);
        messages.stored.insert(
            number,
            Stored {
                body,
                ..Stored::default()
            },
        );
    }

    pub(super) fn left(&self) -> usize {
        self.messages.lock().unwrap().stored.len()
    }

    pub(super) fn visible(&self) -> usize {
        let now = Instant::now();
        let messages = self.messages.lock().unwrap();
        let visible = messages.stored.values();
        visible
            .filter(|stored| stored.visible_at.is_none_or(|at| at <= now))
            .count()
    }

    pub(super) fn letters(&self) -> Vec<(String, &'static str)> {
        self.messages.lock().unwrap().letters.clone()
    }

    fn take(&self, max: usize) -> Vec<Delivery> {
        let now = Instant::now();
        let mut messages = self.messages.lock().unwrap();
        let visible = messages
            .stored
            .iter_mut()
            .filter(|(_, stored)| stored.visible_at.is_none_or(|at| at <= now));
        let taken = visible.take(max).map(|(number, stored)| {
            stored.receives += 1;
            stored.visible_at = Some(now + VISIBILITY);
            Delivery {
                id: number.to_string().into(),
                body: stored.body.clone(),
                receipt: Receipt::new(format!("{number} {}", stored.receives)),
                lease: now + VISIBILITY,
                attempt: stored.receives,
                sent: None,
                group: None,
            }
        });
        taken.collect()
    }

    /// The number behind a receipt, while its lease lasts.
    fn leased(messages: &Messages, handle: &str) -> Result<u32, QueueError> {
        let (number, receives) = handle.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        let good = messages.stored.get(&number).is_some_and(|stored| {
            stored.receives.to_string() == receives
                && stored.visible_at.is_some_and(|at| at > Instant::now())
        });
        if good {
            Ok(number)
        } else {
            Err(QueueError::LeaseLost)
        }
    }
}

impl Queue for FakeQueue {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let polling = self.polling.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_polling.fetch_max(polling, Ordering::SeqCst);
        let until = Instant::now() + wait;
        let taken = loop {
            // A call over the network takes a while.
            sleep(Duration::from_millis(10)).await;
            let taken = self.take(max);
            if !taken.is_empty() || Instant::now() >= until {
                break taken;
            }
            sleep(Duration::from_millis(100)).await;
        };
        self.polling.fetch_sub(1, Ordering::SeqCst);
        Ok(taken)
    }

    async fn delete(&self, receipts: &[Receipt]) -> BatchOutcome {
        sleep(Duration::from_millis(10)).await;
        let fails = self
            .failing_deletes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        let mut messages = self.messages.lock().unwrap();
        let each = receipts.iter().enumerate().map(|(index, receipt)| {
            // The first half of a failing batch succeeds.
            if fails.is_ok() && index >= receipts.len() / 2 {
                return Err(QueueError::Transient {
                    what: "busy".into(),
                });
            }
            let number = Self::leased(&messages, receipt.handle())?;
            messages.stored.remove(&number);
            Ok(())
        });
        each.collect()
    }

    async fn change_visibility(&self, holds: &[(Hold, Duration)]) -> BatchOutcome {
        if self.refusing_changes.load(Ordering::SeqCst) {
            let busy = || QueueError::Transient {
                what: "busy".into(),
            };
            return holds.iter().map(|_| Err(busy())).collect();
        }
        let mut messages = self.messages.lock().unwrap();
        let each = holds.iter().map(|(hold, after)| {
            let number = Self::leased(&messages, hold.handle())?;
            if let Some(stored) = messages.stored.get_mut(&number) {
                stored.visible_at = Some(Instant::now() + *after);
            }
            Ok(())
        });
        each.collect()
    }

    async fn bury(&self, letters: &[DeadLetter]) -> Option<BatchOutcome> {
        if !self.buries {
            return None;
        }
        let mut messages = self.messages.lock().unwrap();
        let each = letters.iter().map(|letter| {
            let letter = (letter.id.to_string(), letter.reason);
            messages.letters.push(letter);
            Ok(())
        });
        Some(each.collect())
    }

    async fn describe(&self) -> Result<QueueFacts, QueueError> {
        Ok(self.facts())
    }
}

type Fate = oneshot::Sender<Result<(), PublishError>>;

/// A publisher that keeps what it is given until a test says what becomes of it.
pub(super) struct FakePublisher {
    /// Publications in the order in which they were handed over.
    pub(super) handed_over: Mutex<Vec<Publication>>,
    waiting: Mutex<VecDeque<Fate>>,
    /// Whether publications are acknowledged at once.
    pub(super) prompt: bool,
    pub(super) up: watch::Sender<bool>,
}

impl FakePublisher {
    pub(super) fn new(prompt: bool) -> Self {
        Self {
            handed_over: Mutex::default(),
            waiting: Mutex::default(),
            prompt,
            up: watch::Sender::new(true),
        }
    }

    /// Decides over the publication that waits for longest.
    pub(super) fn decide(&self, fate: Result<(), PublishError>) {
        let waiting = self.waiting.lock().unwrap().pop_front();
        let _ = waiting.expect("a publication that waits").send(fate);
    }

    pub(super) fn count(&self) -> usize {
        self.handed_over.lock().unwrap().len()
    }
}

/// A publication's fate, which a dropped sender leaves open for ever.
pub(super) async fn fate(
    pending: oneshot::Receiver<Result<(), PublishError>>,
) -> Result<(), PublishError> {
    match pending.await {
        Ok(fate) => fate,
        Err(_) => std::future::pending().await,
    }
}

impl Publisher for FakePublisher {
    type Pending = std::pin::Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>;

    async fn publish(&self, publication: Publication) -> Result<Self::Pending, PublishError> {
        let (sender, pending) = oneshot::channel();
        self.handed_over.lock().unwrap().push(publication);
        if self.prompt {
            let _ = sender.send(Ok(()));
        } else {
            self.waiting.lock().unwrap().push_back(sender);
        }
        Ok(Box::pin(fate(pending)))
    }

    async fn ready(&self) {
        let _ = self.up.subscribe().wait_for(|up| *up).await;
    }

    async fn close(&self, _: Instant) {}
}
