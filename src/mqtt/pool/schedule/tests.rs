//! The scheduler beside connections that keep a clock of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::mqtt::pool::flow::PublishResult;
use crate::port::PublishError;
use crate::route::publication::{EnvelopeFacts, Qos};

mod counted;
mod losses;

const IOT_CORE: PaceBounds = PaceBounds {
    publishes: Some(100),
    bytes: Some(512 * 1024),
    process: None,
};

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Connections that acknowledge everything after the same time.
struct SteadyBroker {
    scheduler: Scheduler,
    links: Vec<LinkId>,
    now: Instant,
    round_trip: Duration,
    /// Publications on their way, in the order of sending: time of the answer, and the connection.
    sent: VecDeque<(Instant, LinkId, QueuedPublish)>,
    /// Moment when each was acknowledged, in the order of time.
    acknowledged: Vec<Instant>,
    /// All that was sent: when, by which connection, to which topic, which number.
    log: Vec<(Instant, LinkId, String, u32)>,
    fates: Vec<oneshot::Receiver<PublishResult>>,
    /// Time at which each number was handed over.
    entered: BTreeMap<u32, Instant>,
}

impl SteadyBroker {
    fn new(limits: PaceBounds, connections: usize, round_trip: Duration) -> Self {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(limits, now);
        let links: Vec<LinkId> = (0..connections)
            .map(|_| scheduler.connections.open().0)
            .collect();
        for id in &links {
            scheduler.up(*id, 100, now);
        }
        Self {
            scheduler,
            links,
            now,
            round_trip,
            sent: VecDeque::new(),
            acknowledged: Vec::new(),
            log: Vec::new(),
            fates: Vec::new(),
            entered: BTreeMap::new(),
        }
    }

    fn publish(&mut self, topic: &str, order: Option<TopicOrder>) -> Option<Limit> {
        let number = u32::try_from(self.entered.len()).unwrap();
        let (fate, pending) = oneshot::channel();
        let publication = Publication {
            topic: Topic::parse(topic).unwrap(),
            payload: Bytes::from(number.to_string()),
            route: Arc::from("r"),
            qos: Qos::AtLeastOnce,
            retain: false,
            expires: None,
            conflate: false,
            order,
            content_type: "application/json",
            oversize: None,
            facts: Arc::new(EnvelopeFacts::new("e", [None; 4])),
        };
        let job = QueuedPublish {
            publication,
            fate,
            since: self.now,
        };
        self.fates.push(pending);
        self.entered.insert(number, self.now);
        let held = self.scheduler.enter(job, self.now);
        self.send();
        held
    }

    fn send(&mut self) {
        for id in self.links.clone() {
            let mut jobs = VecDeque::new();
            let next = self.scheduler.next(id, &mut jobs);
            assert!(matches!(next, Next::Send), "{id} is to end");
            for job in jobs {
                let number = std::str::from_utf8(&job.publication.payload).unwrap();
                let topic = job.publication.topic.as_str().to_owned();
                self.log
                    .push((self.now, id, topic, number.parse().unwrap()));
                self.sent.push_back((self.now + self.round_trip, id, job));
            }
        }
    }

    fn answer(&mut self, id: LinkId, job: QueuedPublish) {
        self.acknowledged.push(self.now);
        self.scheduler.answered(id, &job.publication, self.now);
        job.fate.send(Ok(())).unwrap();
    }

    /// Lets a millisecond pass.
    fn tick(&mut self) {
        self.now += milliseconds(1);
        while self.sent.front().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, id, job) = self.sent.pop_front().unwrap();
            self.answer(id, job);
        }
        if self.scheduler.due().is_some_and(|due| due <= self.now) {
            self.scheduler.serve(self.now);
        }
        self.send();
    }

    fn lose(&mut self, id: LinkId) {
        let (lost, rest): (VecDeque<_>, _) = self.sent.drain(..).partition(|(_, by, _)| *by == id);
        self.sent = rest;
        let lost = lost.into_iter().map(|(_, _, job)| job).collect();
        self.scheduler.down(id, lost, self.now);
        self.send();
    }

    /// The longest time from being handed over to being sent, of some topics.
    fn longest_wait(&self, of: impl Fn(&str) -> bool) -> Duration {
        let sent = self.log.iter().filter(|(_, _, topic, _)| of(topic));
        let waits = sent.map(|(at, _, _, number)| *at - self.entered[number]);
        waits.max().unwrap_or_default()
    }

    /// The most that a connection sent within any second.
    fn most_in_a_second(&self) -> usize {
        let most = |id: &LinkId| {
            let sent = self.log.iter().filter(|(_, by, ..)| by == id);
            most_in_a_second(&sent.map(|(at, ..)| *at).collect::<Vec<_>>())
        };
        self.links.iter().map(most).max().unwrap()
    }

    fn numbers(&self, topic: &str) -> Vec<u32> {
        let sent = self.log.iter().filter(|(_, _, of, _)| of == topic);
        sent.map(|(.., number)| *number).collect()
    }
}

fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |from: usize| {
        let end = times[from] + Duration::from_secs(1);
        times[from..].iter().take_while(|at| **at < end).count()
    };
    (0..times.len()).map(within).max().unwrap_or(0)
}

fn is_rising(numbers: &[u32]) -> bool {
    numbers.is_sorted_by(|one, next| one < next)
}

#[test]
fn a_topic_at_a_connections_limit_has_no_backlog() {
    let mut broker = SteadyBroker::new(IOT_CORE, 2, milliseconds(30));
    for second in 0..3_000 {
        if second % 10 == 0 {
            broker.publish("a", None);
        }
        broker.tick();
    }
    assert!(broker.scheduler.waiting() <= 5);
    assert!(broker.longest_wait(|_| true) <= milliseconds(100));
    assert!(broker.most_in_a_second() <= 100);
    assert!(is_rising(&broker.numbers("a")));
}

#[test]
fn a_busier_topic_is_carried_by_one_connection_after_the_other_in_order() {
    let mut broker = SteadyBroker::new(IOT_CORE, 5, milliseconds(20));
    for tick in 0..3_000 {
        if tick % 3 == 0 {
            broker.publish("a", None);
        }
        broker.tick();
    }
    assert!(
        broker.scheduler.waiting() <= 20,
        "{}",
        broker.scheduler.waiting()
    );
    assert!(broker.most_in_a_second() <= 100);
    assert!(is_rising(&broker.numbers("a")));
    let used: std::collections::BTreeSet<LinkId> =
        broker.log.iter().map(|(_, id, ..)| *id).collect();
    assert_eq!(used.len(), 5);
}

#[test]
fn a_topic_without_order_takes_all_connections_at_a_time() {
    let mut broker = SteadyBroker::new(IOT_CORE, 10, milliseconds(500));
    for _ in 0..100 {
        assert_eq!(broker.publish("a", Some(TopicOrder::Unordered)), None);
    }
    let held = broker.publish("a", Some(TopicOrder::Unordered));
    assert_eq!(held, Some(Limit::Connection));
    assert_eq!(broker.log.len(), 100);
    // The same with order: what the first connection may send at once, and then its
    // acknowledgements.
    let mut broker = SteadyBroker::new(IOT_CORE, 10, milliseconds(500));
    for _ in 0..100 {
        broker.publish("a", None);
    }
    assert_eq!(broker.log.len(), 10);
}

#[test]
fn others_do_not_wait_for_a_busy_topic() {
    let mut broker = SteadyBroker::new(IOT_CORE, 4, milliseconds(10));
    for _ in 0..2_000 {
        broker.publish("busy", None);
    }
    for tick in 0..2_000_u64 {
        if tick % 20 == 0 {
            broker.publish(&format!("quiet/{}", tick % 140), None);
        }
        broker.tick();
    }
    let wait = broker.longest_wait(|topic| topic != "busy");
    assert!(wait <= milliseconds(50), "{wait:?}");
    assert!(broker.most_in_a_second() <= 100);
    assert!(broker.numbers("busy").len() > 500);
    assert!(is_rising(&broker.numbers("busy")));
}

#[test]
fn all_connections_have_their_part() {
    let mut broker = SteadyBroker::new(IOT_CORE, 10, milliseconds(5));
    for tick in 0..2_000 {
        // 800 a second on 200 topics, for 900 that are possible.
        for n in 0..(if tick % 5 == 0 { 4 } else { 0 }) {
            broker.publish(&format!("t/{}", (tick * 4 + n) % 200), None);
        }
        broker.tick();
    }
    let wait = broker.longest_wait(|_| true);
    assert!(wait <= milliseconds(10), "{wait:?}");
}

#[test]
fn what_limits_a_publication_is_said() {
    let mut broker = SteadyBroker::new(IOT_CORE, 0, milliseconds(5));
    assert_eq!(broker.publish("a", None), Some(Limit::Broker));
    let limits = PaceBounds {
        process: Some(10),
        ..IOT_CORE
    };
    let mut broker = SteadyBroker::new(limits, 3, milliseconds(5));
    assert_eq!(broker.publish("a", None), None);
    assert_eq!(broker.publish("b", None), Some(Limit::Account));
    let free = PaceBounds {
        publishes: None,
        bytes: None,
        process: None,
    };
    let mut broker = SteadyBroker::new(free, 1, milliseconds(5));
    for n in 0..100 {
        assert_eq!(broker.publish(&format!("t/{n}"), None), None);
    }
    assert_eq!(broker.publish("a", None), Some(Limit::Broker));
    assert_eq!(broker.publish("t/1", None), Some(Limit::Broker));
    for _ in 0..10 {
        broker.tick();
    }
    assert_eq!(broker.log.len(), 102);
}

#[test]
fn what_nobody_waits_for_and_what_expired_is_not_sent() {
    let mut broker = SteadyBroker::new(IOT_CORE, 0, milliseconds(5));
    for _ in 0..3 {
        broker.publish("a", None);
    }
    broker.fates.remove(0);
    broker.now += Duration::from_secs(100);
    broker.links.push(broker.scheduler.connections.open().0);
    broker.scheduler.up(0, 100, broker.now);
    broker.send();
    assert_eq!(broker.numbers("a"), [1, 2]);
    let (fate, mut pending) = oneshot::channel();
    let (_, _, job) = broker.sent.pop_back().unwrap();
    let mut broker = SteadyBroker::new(IOT_CORE, 0, milliseconds(5));
    let job = QueuedPublish {
        publication: Publication {
            expires: Some(Duration::from_millis(1_500)),
            ..job.publication
        },
        fate,
        since: broker.now,
    };
    broker.scheduler.enter(job, broker.now);
    broker.now += milliseconds(1_600);
    broker.links.push(broker.scheduler.connections.open().0);
    broker.scheduler.up(0, 100, broker.now);
    assert_eq!(pending.try_recv(), Ok(Err(PublishError::Expired)));
}

#[test]
fn an_idle_connection_can_end_and_its_number_is_used_again() {
    let mut broker = SteadyBroker::new(IOT_CORE, 2, milliseconds(5));
    broker.publish("a", None);
    assert_eq!(broker.scheduler.connections.opened(), 2);
    assert!(broker.scheduler.connections.end_one());
    assert!(
        !broker.scheduler.connections.end_one(),
        "the other has something under way"
    );
    let idle = broker.links.iter().copied();
    let ending =
        idle.filter(|id| matches!(broker.scheduler.next(*id, &mut VecDeque::new()), Next::End));
    let ending: Vec<LinkId> = ending.collect();
    assert_eq!(
        (ending.len(), broker.scheduler.connections.opened()),
        (1, 1)
    );
    broker.scheduler.connections.ended(ending[0]);
    assert_eq!(broker.scheduler.connections.open().0, ending[0]);
}

#[test]
fn what_finds_no_room_overflows_one_of_a_topic_at_a_time() {
    let mut broker = SteadyBroker::new(IOT_CORE, 1, milliseconds(10));
    let (overflow, _) = broker.scheduler.connections.open_overflow(3);
    broker.links.push(overflow);
    for n in 0..10 {
        assert_eq!(broker.publish(&format!("t/{n}"), None), None);
    }
    assert!(!broker.scheduler.connections.is_pressed());
    for n in 10..13 {
        assert_eq!(broker.publish(&format!("t/{n}"), None), None);
    }
    assert!(
        broker.scheduler.connections.take_pressed(),
        "more connections are asked for"
    );
    let held = broker.publish("t/13", None);
    assert_eq!(held, Some(Limit::Connection), "three calls are under way");
    let carried = |broker: &SteadyBroker| {
        let sent = broker.log.iter();
        sent.filter(|(_, id, ..)| *id == overflow).count()
    };
    assert_eq!(carried(&broker), 3);
    // A topic that a connection carries does not overflow before that is acknowledged, and then one
    // by one.
    let mut broker = SteadyBroker::new(IOT_CORE, 1, milliseconds(10));
    let (overflow, _) = broker.scheduler.connections.open_overflow(3);
    broker.links.push(overflow);
    for _ in 0..40 {
        broker.publish("a", None);
    }
    assert_eq!(carried(&broker), 0);
    for _ in 0..1_000 {
        broker.tick();
        let calls = broker.sent.iter().filter(|(_, id, _)| *id == overflow);
        assert!(calls.count() <= 1);
    }
    assert!(carried(&broker) > 0);
    assert_eq!(broker.numbers("a"), (0..40).collect::<Vec<u32>>());
    assert_eq!(
        broker.scheduler.connections.opened(),
        1,
        "it is no connection"
    );
}
