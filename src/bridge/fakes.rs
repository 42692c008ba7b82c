//! A queue and a publisher in memory. They keep the ports' contracts on tokio's clock: the queue
//! redelivers, reorders unless it is FIFO, and lets receipts go stale; the publisher refuses and
//! takes its time. Both fail on command, or at random from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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

/// Random trouble, the same for the same seed.
pub(super) struct Mischief {
    random: Mutex<fastrand::Rng>,
    pub(super) on: AtomicBool,
}

impl Mischief {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            on: AtomicBool::new(true),
        }
    }

    /// True once in `n` times, while there is trouble at all.
    pub(super) fn once_in(&self, n: u32) -> bool {
        self.on.load(Ordering::SeqCst) && self.below(n) == 0
    }

    pub(super) fn below(&self, n: u32) -> u32 {
        self.random.lock().unwrap().u32(..n)
    }

    /// Waits as long as a call takes: some milliseconds as a rule, seconds now and then.
    async fn delay(&self) {
        let longest = if self.once_in(30) { 8_000 } else { 40 };
        sleep(Duration::from_millis(self.below(longest).into())).await;
    }
}

fn busy() -> QueueError {
    QueueError::Transient {
        what: "busy".into(),
    }
}

#[derive(Default)]
pub(super) struct Stored {
    pub(super) body: Bytes,
    group: Option<Arc<str>>,
    /// Until when it is hidden.
    visible_at: Option<Instant>,
    pub(super) receives: u32,
}

impl Stored {
    pub(super) fn is_visible(&self, now: Instant) -> bool {
        self.visible_at.is_none_or(|at| at <= now)
    }
}

#[derive(Default)]
pub(super) struct FakeMessages {
    pub(super) stored: BTreeMap<u32, Stored>,
    sent: u32,
    /// Dead-letter messages: the message, its body, and the reason.
    pub(super) letters: Vec<(String, Bytes, &'static str)>,
    /// Receives so far; and which of them, and which place in it, brought each message last.
    pub(super) receives: usize,
    pub(super) brought: BTreeMap<u32, (usize, usize)>,
}

/// A queue as SQS describes it: visibility timeouts, receipts that go stale, redelivery; message
/// groups when it is FIFO.
#[derive(Default)]
pub(super) struct FakeQueue {
    pub(super) messages: Mutex<FakeMessages>,
    /// Calls of receive that are open now, and the most that ever were.
    pub(super) polling: AtomicUsize,
    pub(super) most_polling: AtomicUsize,
    /// Number of calls of delete that fail before one succeeds.
    pub(super) failing_deletes: AtomicUsize,
    /// `true` if there is a dead-letter queue.
    pub(super) buries: bool,
    /// `true` while changes of visibility fail.
    pub(super) refusing_changes: AtomicBool,
    pub(super) max_receives: Option<u32>,
    pub(super) fifo: bool,
    pub(super) mischief: Option<Arc<Mischief>>,
    /// Called with each message that was deleted.
    pub(super) on_delete: Option<Box<dyn Fn(u32) + Send + Sync>>,
}

impl FakeQueue {
    pub(super) fn facts(&self) -> QueueFacts {
        QueueFacts {
            visibility: VISIBILITY,
            fifo: self.fifo,
            backlog: 0,
            max_receives: self.max_receives,
        }
    }

    pub(super) fn send(&self, body: String) -> u32 {
        self.send_to(None, body)
    }

    pub(super) fn send_to(&self, group: Option<&str>, body: String) -> u32 {
        let mut messages = self.messages.lock().unwrap();
        messages.sent += 1;
        let number = messages.sent;
        let stored = Stored {
            body: Bytes::from(body),
            group: group.map(Arc::from),
            ..Stored::default()
        };
        messages.stored.insert(number, stored);
        number
    }

    pub(super) fn left(&self) -> usize {
        self.messages.lock().unwrap().stored.len()
    }

    pub(super) fn visible(&self) -> usize {
        let now = Instant::now();
        let messages = self.messages.lock().unwrap();
        let stored = messages.stored.values();
        stored.filter(|stored| stored.is_visible(now)).count()
    }

    pub(super) fn letters(&self) -> Vec<(String, &'static str)> {
        let messages = self.messages.lock().unwrap();
        let letters = messages.letters.iter();
        letters
            .map(|(id, _, reason)| (id.clone(), *reason))
            .collect()
    }

    fn take(&self, max: usize) -> Vec<Delivery> {
        let now = Instant::now();
        let mut messages = self.messages.lock().unwrap();
        let FakeMessages {
            stored,
            receives,
            brought,
            ..
        } = &mut *messages;
        // A group of which a message is hidden hands out nothing.
        let hidden = stored.values().filter(|stored| !stored.is_visible(now));
        let locked: BTreeSet<Arc<str>> = if self.fifo {
            hidden.filter_map(|stored| stored.group.clone()).collect()
        } else {
            BTreeSet::new()
        };
        let free = |stored: &Stored| {
            let group = stored.group.as_ref();
            stored.is_visible(now) && group.is_none_or(|group| !locked.contains(group))
        };
        let mut numbers: Vec<u32> = stored
            .iter()
            .filter(|(_, stored)| free(stored))
            .map(|(number, _)| *number)
            .collect();
        if let Some(mischief) = &self.mischief
            && !self.fifo
            && mischief.once_in(5)
        {
            mischief.random.lock().unwrap().shuffle(&mut numbers);
        }
        *receives += 1;
        let taken = numbers.into_iter().take(max).enumerate();
        let taken = taken.filter_map(|(place, number)| {
            let stored = stored.get_mut(&number)?;
            stored.receives += 1;
            stored.visible_at = Some(now + VISIBILITY);
            brought.insert(number, (*receives, place));
            Some(Delivery {
                traceparent: None,
                id: number.to_string().into(),
                body: stored.body.clone(),
                receipt: Receipt::new(format!("{number} {}", stored.receives)),
                lease: now + VISIBILITY,
                attempt: stored.receives,
                sent: None,
                group: stored.group.clone(),
            })
        });
        taken.collect()
    }

    /// Returns the message number of a receipt, unless its visibility timeout has ended.
    fn leased(messages: &FakeMessages, handle: &str) -> Result<u32, QueueError> {
        let (number, receives) = handle.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        let good = messages.stored.get(&number).is_some_and(|stored| {
            stored.receives.to_string() == receives && !stored.is_visible(Instant::now())
        });
        if good {
            Ok(number)
        } else {
            Err(QueueError::LeaseLost)
        }
    }

    /// Decides if a call, or an entry of one, fails.
    fn trouble(&self, once_in: u32) -> bool {
        let mischief = self.mischief.as_ref();
        mischief.is_some_and(|mischief| mischief.once_in(once_in))
    }

    async fn way(&self) {
        match &self.mischief {
            Some(mischief) => mischief.delay().await,
            None => sleep(Duration::from_millis(10)).await,
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
            self.way().await;
            let taken = self.take(max);
            if !taken.is_empty() || Instant::now() >= until {
                break taken;
            }
            sleep(Duration::from_millis(100)).await;
        };
        self.polling.fetch_sub(1, Ordering::SeqCst);
        // The answer may be lost on its way: what was taken comes back when its visibility timeout
        // ends.
        if self.trouble(20) {
            Err(busy())
        } else {
            Ok(taken)
        }
    }

    async fn delete(&self, receipts: &[Receipt]) -> BatchOutcome {
        self.way().await;
        let fails = self
            .failing_deletes
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        let mut messages = self.messages.lock().unwrap();
        let each = receipts.iter().enumerate().map(|(index, receipt)| {
            // The first half of a failing batch succeeds.
            if self.trouble(15) || (fails.is_ok() && index >= receipts.len() / 2) {
                return Err(busy());
            }
            let number = Self::leased(&messages, receipt.handle())?;
            messages.stored.remove(&number);
            if let Some(told) = &self.on_delete {
                told(number);
            }
            // Done, but the answer says otherwise.
            if self.trouble(30) {
                Err(busy())
            } else {
                Ok(())
            }
        });
        each.collect()
    }

    async fn change_visibility(&self, holds: &[(Hold, Duration)]) -> BatchOutcome {
        if self.mischief.is_some() {
            self.way().await;
        }
        let mut messages = self.messages.lock().unwrap();
        let each = holds.iter().map(|(hold, after)| {
            if self.refusing_changes.load(Ordering::SeqCst) || self.trouble(10) {
                return Err(busy());
            }
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
        if self.mischief.is_some() {
            self.way().await;
        }
        let mut messages = self.messages.lock().unwrap();
        let each = letters.iter().map(|letter| {
            if self.trouble(10) {
                return Err(busy());
            }
            let letter = (letter.id.to_string(), letter.body.clone(), letter.reason);
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

/// A publisher that keeps publications until a test decides on their outcome.
pub(super) struct FakePublisher {
    /// Publications in the order in which they were handed over.
    pub(super) handed_over: Mutex<Vec<Publication>>,
    waiting: Mutex<VecDeque<Fate>>,
    /// `true` if publications are acknowledged at once.
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

    fn publish(&self, publication: Publication) -> Result<Self::Pending, PublishError> {
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
