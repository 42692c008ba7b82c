//! A pool of connections. A topic always goes by the same one, so that its publications keep their order.
//!
//! The pool sizes itself: it opens connections while publications wait for room, and closes them after a long quiet time. A
//! topic whose connection changes with the pool's size stays with the old one until nothing of it is under way there.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustc_hash::FxHashMap;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, interval_at, sleep, sleep_until, timeout_at};

use super::Settings;
use super::connection::{Answer, Connection, acknowledged, transient};
use crate::channel::limits::PAYLOAD_BYTES;
use crate::channel::topic::Topic;
use crate::pace::{Pace, Shared};
use crate::port::{PublishError, Publisher};
use crate::route::publication::Publication;

type Outcome = Result<(), PublishError>;

/// A publication on its way to a connection, and who waits for its fate.
type Job = (Publication, oneshot::Sender<Outcome>);

/// The wait for what becomes of a publication on one connection. It names the publication by its number on the lane.
type Wait = BoxFuture<'static, (u64, Answer)>;

/// How often the pool looks at whether it has the right size.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How many looks without anybody waiting make a connection too many: five minutes.
const QUIET_LOOKS: u32 = 300;

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

/// Where topics go.
#[derive(Default)]
struct Lanes {
    open: Vec<mpsc::Sender<Job>>,
    /// The lanes of topics of which something is under way, and how much.
    busy: FxHashMap<Topic, (mpsc::Sender<Job>, usize)>,
}

impl Lanes {
    /// The lane of a topic, for one more publication.
    fn enter(&mut self, topic: &Topic) -> Option<mpsc::Sender<Job>> {
        if let Some((lane, count)) = self.busy.get_mut(topic) {
            *count += 1;
            return Some(lane.clone());
        }
        let lane = self
            .open
            .get(lane_of(topic.as_str(), self.open.len()))?
            .clone();
        self.busy.insert(topic.clone(), (lane.clone(), 1));
        Some(lane)
    }

    fn leave(&mut self, topic: &Topic) {
        if let Some((_, count)) = self.busy.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(topic);
            }
        }
    }
}

fn lock(lanes: &StdMutex<Lanes>) -> MutexGuard<'_, Lanes> {
    // Nothing in here panics half-way through a change.
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
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
            word: format!("{:08x}", fastrand::u32(..)),
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

    /// How many connections are up.
    pub fn connections(&self) -> usize {
        *self.up.borrow()
    }
}

/// Which lane a topic takes: a jump hash (Lamping and Veach, 2014) of FNV-1a over its bytes, the same in every process and
/// version. One more lane moves as few topics as can be.
fn lane_of(topic: &str, lanes: usize) -> usize {
    let mut key = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (mut lane, mut next) = (0_u64, 0_u64);
    while next < lanes as u64 {
        lane = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The next lane at which this topic would move, drawn from the key; 31 bits are exact in a float.
        let draw = ((key >> 33) + 1) as f64 / (1_u64 << 31) as f64;
        next = ((lane + 1) as f64 / draw) as u64;
    }
    usize::try_from(lane).unwrap_or(0)
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

impl Pool {
    /// How many connections are up, now and later.
    pub fn up(&self) -> watch::Receiver<usize> {
        self.up.clone()
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

/// Opens and closes connections as they are needed.
struct Keeper {
    settings: Arc<Settings>,
    shared: Shared,
    /// What sets this process's client ids apart.
    word: String,
    lanes: Arc<StdMutex<Lanes>>,
    waits: Arc<AtomicU32>,
    up: Arc<watch::Sender<usize>>,
    failure: Arc<watch::Sender<Option<String>>>,
    closing: watch::Receiver<Option<Instant>>,
    connections: JoinSet<()>,
    started: usize,
    /// Looks since anybody had to wait.
    quiet: u32,
}

impl Keeper {
    async fn run(mut self) {
        let mut looks = interval(BETWEEN_LOOKS);
        let mut closing = self.closing.clone();
        loop {
            tokio::select! {
                _ = looks.tick() => self.look(),
                () = asked_to_close(&mut closing) => break,
            }
        }
        while self.connections.join_next().await.is_some() {}
    }

    fn open(&mut self) {
        let (sender, jobs) = mpsc::channel(usize::from(self.settings.in_flight.max(1)));
        let lane = Lane {
            settings: Arc::clone(&self.settings),
            client_id: format!("{}-{}-{}", self.settings.client_id, self.word, self.started),
            shared: self.shared.clone(),
            jobs,
            unacknowledged: BTreeMap::new(),
            next: 0,
            up: Arc::clone(&self.up),
            failure: Arc::clone(&self.failure),
            closing: self.closing.clone(),
        };
        self.started += 1;
        self.connections.spawn(lane.run());
        lock(&self.lanes).open.push(sender);
    }

    /// Half as many again when somebody had to wait while all were up; one less after a long quiet time.
    fn look(&mut self) {
        while self.connections.try_join_next().is_some() {}
        let (least, most) = self.settings.connections;
        let waits = self.waits.swap(0, Ordering::Relaxed);
        let open = lock(&self.lanes).open.len();
        // While connections are down, more of them would not help.
        if waits > 0 && *self.up.borrow() >= open {
            self.quiet = 0;
            let more = (open / 2).max(1).min(most.saturating_sub(open));
            if more > 0 {
                tracing::info!(
                    connections = open + more,
                    "publications waited: opening connections"
                );
            }
            for _ in 0..more {
                self.open();
            }
            return;
        }
        self.quiet += 1;
        if self.quiet >= QUIET_LOOKS && open > least.max(1) {
            self.quiet = 0;
            // Its lane ends when the last topic that is busy there has left.
            lock(&self.lanes).open.pop();
            tracing::info!(
                connections = open - 1,
                "nothing waited for long: closing a connection"
            );
        }
    }
}

/// What was sent on one connection.
#[derive(Default)]
struct Sent {
    /// What has no answer yet.
    waits: FuturesUnordered<Wait>,
    /// Numbers and times in the order of sending, from the oldest that has no answer.
    times: VecDeque<(u64, Instant)>,
}

/// One connection's supervisor: connects, publishes, and starts again after a loss.
struct Lane {
    settings: Arc<Settings>,
    client_id: String,
    shared: Shared,
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

async fn asked_to_close(closing: &mut watch::Receiver<Option<Instant>>) {
    // An error means that the pool is gone.
    let _ = closing.wait_for(Option::is_some).await;
}

/// A random wait between `wait` and half as much again: never less, since a client id may connect once a second, and tasks that
/// lost a broker together must not come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_lane_moves_few_topics() {
        let topics: Vec<String> = (0..10_000).map(|n| format!("order/{n}")).collect();
        for lanes in 1..20 {
            let moved = |topic: &&String| lane_of(topic, lanes) != lane_of(topic, lanes + 1);
            let count = topics.iter().filter(moved).count();
            let fair = topics.len() / (lanes + 1);
            assert!(count < fair * 5 / 4, "{count} of {lanes} lanes");
            assert!(count > fair * 3 / 4, "{count} of {lanes} lanes");
            let onto_new = topics.iter().filter(moved);
            assert!(
                onto_new
                    .into_iter()
                    .all(|topic| lane_of(topic, lanes + 1) == lanes)
            );
        }
        assert_eq!(lane_of("order/1", 0), 0);
    }
}
