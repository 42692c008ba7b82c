//! Random schedules against the promises: deliver, duplicate, publish, confirm, refuse, disconnect,
//! end of a visibility timeout, failing deletes, reload, stop and kill, over a queue and a
//! publisher that tell the truth, on a paused clock.
//!
//! A schedule is one seed. `EVENTCAST_SEED=n` runs one of them alone; `EVENTCAST_SCHEDULES=n` says how many are run (1,000 unless set).

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fakes::{FakeQueue, Mischief};
use super::tests::{event, route, table};
use super::*;
use crate::port::PublishError;
use crate::route::publication::{Publication, TopicOrder};
use crate::route::table::Route;

/// Facts that are needed to check the promises.
#[derive(Default)]
struct Ledger {
    /// Topics that each event must reach. Events are numbered as their messages are.
    wanted: BTreeMap<u32, BTreeSet<String>>,
    group: BTreeMap<u32, usize>,
    /// Topics that acknowledged it, or a newer event in its place.
    acknowledged: BTreeMap<u32, BTreeSet<String>>,
    /// Events deleted before all of their topics had acknowledged them: only a dead-letter message
    /// may be.
    early: BTreeSet<u32>,
    /// Topics with publications that have no known fate, and how many.
    outstanding: BTreeMap<String, usize>,
    /// For each topic, the delivery whose publication was handed over last: its receive, and the place in it.
    last: BTreeMap<String, (usize, usize)>,
    /// Publications that were handed over before: topic, event, and the receive that brought it.
    known: BTreeSet<(String, u32, usize)>,
    broken: Vec<String>,
}

impl Ledger {
    fn acknowledge(&mut self, number: u32, topic: &str) {
        let acknowledged = self.acknowledged.entry(number).or_default();
        acknowledged.insert(topic.to_owned());
    }

    fn is_done(&self, number: u32) -> bool {
        let none = BTreeSet::new();
        let acknowledged = self.acknowledged.get(&number).unwrap_or(&none);
        self.wanted
            .get(&number)
            .is_some_and(|wanted| wanted.is_subset(acknowledged))
    }
}

/// A broker that takes its time, refuses, and loses connections.
struct ModelBroker {
    mischief: Arc<Mischief>,
    queue: Arc<FakeQueue>,
    ledger: Arc<Mutex<Ledger>>,
    /// The order that all routes but that of states ask for.
    order: Option<TopicOrder>,
    /// Until when it is away.
    away: Mutex<Instant>,
}

/// Counts a publication as outstanding until it has ended, in any way.
struct Outstanding(Arc<Mutex<Ledger>>, String);

impl Drop for Outstanding {
    fn drop(&mut self) {
        let mut ledger = self.0.lock().unwrap();
        *ledger.outstanding.get_mut(&self.1).unwrap() -= 1;
    }
}

impl ModelBroker {
    fn is_strict(&self) -> bool {
        match self.order {
            Some(order) => order == TopicOrder::Strict,
            None => self.queue.fifo,
        }
    }

    fn hand_over(&self, publication: &Publication) -> (u32, String) {
        let (_, id) = publication.user_properties().next().unwrap();
        let number: u32 = id.strip_prefix('e').unwrap().parse().unwrap();
        let topic = publication.topic.as_str().to_owned();
        let messages = self.queue.messages.lock().unwrap();
        let mut ledger = self.ledger.lock().unwrap();
        let ledger = &mut *ledger;
        let mut broken = |what: &str| ledger.broken.push(format!("{what}: {id} to {topic}"));
        // No message may be published while its visibility timeout has ended.
        match messages.stored.get(&number) {
            Some(stored) if stored.is_visible(Instant::now()) => {
                broken("published without a lease")
            }
            Some(_) => {}
            None => broken("published after it had left the queue"),
        }
        let outstanding = ledger.outstanding.entry(topic.clone()).or_default();
        *outstanding += 1;
        let strict = self.is_strict();
        if *outstanding > 1 && (strict || topic.starts_with("state/")) {
            let what = format!("two at a time: {id} to {topic}");
            ledger.broken.push(what);
        }
        let now = messages.brought[&number];
        let again = !ledger.known.insert((topic.clone(), number, now.0));
        // Refused publications come after those that were out already, where order is not strict.
        if (strict || !again)
            && let Some(before) = ledger.last.insert(topic.clone(), now)
            && before.0 == now.0
            && before.1 > now.1
            // Between the groups of a FIFO queue there is no order.
            && !self.queue.fifo
        {
            ledger
                .broken
                .push(format!("D3, out of the order received: {id} to {topic}"));
        }
        if strict && let Some(group) = ledger.group.get(&number) {
            let earlier = ledger.group.range(..number).filter(|(_, g)| *g == group);
            let open: Vec<u32> = earlier
                .map(|(number, _)| *number)
                .filter(|n| messages.stored.contains_key(n) && !ledger.is_done(*n))
                .filter(|n| !messages.letters.iter().any(|(id, ..)| *id == n.to_string()))
                .collect();
            if !open.is_empty() {
                let what = format!("D3, {id} of group {group} overtook {open:?}");
                ledger.broken.push(what);
            }
        }
        (number, topic)
    }
}

fn transient() -> PublishError {
    PublishError::Throttled {
        what: "quota exceeded".into(),
    }
}

impl Publisher for ModelBroker {
    type Pending = Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>;

    fn publish(&self, publication: Publication) -> Result<Self::Pending, PublishError> {
        // A full connection makes a publication wait, sometimes for longer than a visibility
        // timeout.
        let mut waits = 0;
        if self.mischief.once_in(5) {
            let longest = if self.mischief.once_in(4) {
                60_000
            } else {
                3_000
            };
            waits = self.mischief.below(longest);
        }
        let (number, topic) = self.hand_over(&publication);
        let mut takes = self.mischief.below(30);
        if self.mischief.once_in(10) {
            // Longer than a visibility timeout, sometimes longer than a delivery may be worked on.
            takes = self.mischief.below(120_000);
        }
        let refused = self.mischief.once_in(8);
        let expired = self.mischief.once_in(50) && topic.starts_with("state/");
        let ledger = Arc::clone(&self.ledger);
        let guard = Outstanding(Arc::clone(&ledger), topic.clone());
        let back = *self.away.lock().unwrap();
        Ok(Box::pin(async move {
            sleep(Duration::from_millis(waits.into())).await;
            tokio::time::sleep_until(back).await;
            sleep(Duration::from_millis(takes.into())).await;
            let guard = guard;
            if topic.starts_with("never/") {
                return Err(PublishError::Permanent {
                    reason: "not_authorized",
                    what: "no".into(),
                });
            }
            if refused {
                return Err(transient());
            }
            let mut ledger = ledger.lock().unwrap();
            let conflates = topic.starts_with("state/");
            let reached: Vec<u32> = ledger
                .wanted
                .iter()
                // A newer state replaces all older ones.
                .filter(|(n, wanted)| **n == number || (conflates && wanted.contains(&topic)))
                .map(|(n, _)| *n)
                .collect();
            for number in reached {
                ledger.acknowledge(number, &topic);
            }
            drop(ledger);
            drop(guard);
            // An expired publication counts as done, and so do the older ones that it replaces.
            if expired {
                Err(PublishError::Expired)
            } else {
                Ok(())
            }
        }))
    }

    async fn ready(&self) {
        let back = *self.away.lock().unwrap();
        tokio::time::sleep_until(back).await;
    }

    async fn close(&self, _: Instant) {}
}

const KEYS: u32 = 3;

/// Sends one event and notes which topics it must reach.
fn send(queue: &FakeQueue, ledger: &Mutex<Ledger>, mischief: &Mischief, n: u32) {
    let key = mischief.below(KEYS);
    let (kind, topics) = match mischief.below(10) {
        0 => ("Other", vec![]),
        1 => ("Never", vec![format!("never/{key}"), format!("one/{key}")]),
        2 | 3 => ("State", vec![format!("state/{key}")]),
        4 | 5 => ("One", vec![format!("one/{key}")]),
        _ => (
            "Two",
            vec![
                format!("one/{key}"),
                format!("two/{key}"),
                format!("also/{key}"),
            ],
        ),
    };
    let body = match mischief.below(20) {
        0 => "nonsense".to_owned(),
        // Some are large: bytes in flight are bounded as well.
        1 => event(kind, n, key) + &" ".repeat(3_000),
        _ => event(kind, n, key),
    };
    let group = queue.fifo.then(|| mischief.below(3) as usize);
    let mut ledger = ledger.lock().unwrap();
    ledger.wanted.insert(n, topics.into_iter().collect());
    if let Some(group) = group {
        ledger.group.insert(n, group);
    }
    let name = group.map(|group| group.to_string());
    assert_eq!(queue.send_to(name.as_deref(), body), n);
}

fn routes(order: Option<TopicOrder>) -> RouteTable {
    let mut state = route(
        "state",
        r#"{"detail-type":["State"]}"#,
        &["state/{detail.n}"],
    );
    state.conflate = true;
    let routes = vec![
        route(
            "one",
            r#"{"detail-type":["One","Two","Never"]}"#,
            &["one/{detail.n}"],
        ),
        route(
            "two",
            r#"{"detail-type":["Two"]}"#,
            &["two/{detail.n}", "also/{detail.n}"],
        ),
        route(
            "never",
            r#"{"detail-type":["Never"]}"#,
            &["never/{detail.n}"],
        ),
    ];
    let ordered = routes.into_iter().map(|route| Route { order, ..route });
    table(ordered.chain([state]).collect())
}

/// Runs one schedule; returns the promises that were broken.
async fn schedule(seed: u64) -> Vec<String> {
    let mischief = Arc::new(Mischief::new(seed));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let told = Arc::clone(&ledger);
    let queue = Arc::new(FakeQueue {
        fifo: mischief.below(2) == 0,
        buries: true,
        max_receives: (mischief.below(2) == 0).then_some(4),
        mischief: Some(Arc::clone(&mischief)),
        on_delete: Some(Box::new(move |number| {
            let mut ledger = told.lock().unwrap();
            if !ledger.is_done(number) {
                ledger.early.insert(number);
            }
        })),
        ..FakeQueue::default()
    });
    let orders = TopicOrder::NAMES.map(|(_, order)| Some(order));
    let order = orders.get(mischief.below(4) as usize).copied().flatten();
    let in_flight = [20, 40][mischief.below(2) as usize];
    let broker = Arc::new(ModelBroker {
        mischief: Arc::clone(&mischief),
        queue: Arc::clone(&queue),
        ledger: Arc::clone(&ledger),
        order,
        away: Mutex::new(Instant::now()),
    });
    let (reload, latest) = watch::channel(Arc::new(routes(order)));
    let begin = || {
        let shutdown = Shutdown::default();
        let settings = BridgeSettings {
            pollers: (1, 3),
            wait: Duration::from_secs(2),
            in_flight,
            in_flight_bytes: 10_000,
            hold: Duration::from_secs(45),
            drain: Duration::from_secs(5),
        };
        let parts = (Arc::clone(&queue), queue.facts());
        let bridge = Bridge::new(
            parts,
            Arc::clone(&broker),
            latest.clone(),
            settings,
            shutdown.clone(),
        );
        let mut task = JoinSet::new();
        task.spawn(bridge.run());
        (task, shutdown)
    };
    let (mut task, mut shutdown) = begin();
    let mut sent = 0;
    for _ in 0..20 {
        let burst = if mischief.once_in(10) { 40 } else { 5 };
        for _ in 0..mischief.below(burst) {
            sent += 1;
            send(&queue, &ledger, &mischief, sent);
        }
        match mischief.below(12) {
            0 => {
                // Killed: nothing of the process is left.
                (task, shutdown) = begin();
            }
            1 => {
                shutdown.step();
                task.join_next().await;
                (task, shutdown) = begin();
            }
            2 => {
                let gone = Duration::from_millis(mischief.below(60_000).into());
                *broker.away.lock().unwrap() = Instant::now() + gone;
            }
            3 | 4 => {
                // For a while no visibility timeout can be extended, and nothing handed back.
                let refusing = mischief.below(2) == 0;
                queue.refusing_changes.store(refusing, Ordering::SeqCst);
            }
            5 => {
                let _ = reload.send(Arc::new(routes(order)));
            }
            _ => {}
        }
        let longest = if mischief.once_in(4) { 40_000 } else { 3_000 };
        sleep(Duration::from_millis(mischief.below(longest).into())).await;
    }
    mischief.on.store(false, Ordering::SeqCst);
    queue.refusing_changes.store(false, Ordering::SeqCst);
    for _ in 0..1_000 {
        if queue.left() == 0 {
            break;
        }
        sleep(Duration::from_secs(10)).await;
    }
    shutdown.step();
    let ending = task.join_next().await;
    let mut ledger = ledger.lock().unwrap();
    if !matches!(ending, Some(Ok(Ending::Drained))) {
        ledger.broken.push(format!("it ended as {ending:?}"));
    }
    verdict(&queue, &mut ledger);
    std::mem::take(&mut ledger.broken)
}

/// Everything has left the queue by now: to all of its topics, or to the dead-letter queue with its reason.
fn verdict(queue: &FakeQueue, ledger: &mut Ledger) {
    let messages = queue.messages.lock().unwrap();
    let left: Vec<&u32> = messages.stored.keys().collect();
    if !left.is_empty() {
        ledger.broken.push(format!("still in the queue: {left:?}"));
    }
    let numbers: Vec<u32> = ledger.wanted.keys().copied().collect();
    for number in numbers {
        let letter = messages
            .letters
            .iter()
            .find(|(id, ..)| *id == number.to_string());
        let done = ledger.is_done(number);
        match letter {
            Some((_, body, "not_an_event")) if body == "nonsense" => {}
            Some((_, body, "not_authorized")) if body != "nonsense" => {
                // The rest of it was published before.
                let acknowledged = &ledger.acknowledged.get(&number);
                let rest = ledger.wanted[&number]
                    .iter()
                    .filter(|topic| !topic.starts_with("never/"));
                let missing: Vec<_> = rest
                    .filter(|topic| acknowledged.is_none_or(|known| !known.contains(*topic)))
                    .cloned()
                    .collect();
                if !missing.is_empty() {
                    let what = format!("D1, buried before it reached {missing:?}: e{number}");
                    ledger.broken.push(what);
                }
            }
            Some((_, _, reason)) => ledger
                .broken
                .push(format!("D4, buried as {reason}: e{number}")),
            None if done && !ledger.early.contains(&number) => {}
            None => ledger
                .broken
                .push(format!("D1, deleted too early: e{number}")),
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_schedules_keep_the_promises() {
    let seeds = match setting("EVENTCAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("EVENTCAST_SCHEDULES").unwrap_or(1_000),
    };
    let run = |seed: u64| {
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let broken = runtime.block_on(schedule(seed));
        assert!(broken.is_empty(), "EVENTCAST_SEED={seed}: {broken:#?}");
    };
    std::thread::scope(|scope| {
        for part in 0..2 {
            let seeds = seeds.clone();
            scope.spawn(move || seeds.filter(|seed| seed % 2 == part).for_each(run));
        }
    });
}
