//! The open-model load: events are put on the bus at times that are fixed beforehand, whatever the
//! answers do.
//!
//! A thread of its own keeps the time: the runtime's timers are a millisecond apart. Calls wait for
//! a connection where all are taken, and their events' latencies count from the time at which the
//! call was due.

use std::fmt::Write as _;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::http::Http;
use super::platform::SOURCE;
use super::record::Record;
use super::scenario::Load;

/// Calls of PutEvents under way at a time, at most.
const CALLS: usize = 16;

/// The most calls a second before they take more than one event each.
const CALLS_PER_SECOND: u32 = 200;

/// The most entries of one PutEvents (EventBridge API reference, PutEvents, "Entries").
const ENTRIES: u32 = 10;

/// A load that is later than this ends: the machine cannot make it.
const TOO_LATE: Duration = Duration::from_secs(5);

/// Filling of an event up to 1 KiB, together with its envelope.
const NOTE: usize = 700;

/// The draws of topics are the same in each run.
const SEED: u64 = 14;

/// One event of the schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    /// The moment at which it is to be put on the bus, from the load's start on.
    pub(crate) at: Duration,
    pub(crate) topic: u32,
}

/// All events in the order of their numbers, and which of them each call takes.
pub(crate) struct Schedule {
    pub(crate) events: Vec<Planned>,
    /// First number and count, by time.
    calls: Vec<(usize, usize)>,
    /// The number of the hot topic.
    pub(crate) hot: u32,
}

impl Schedule {
    pub(crate) fn new(load: Load, length: Duration) -> Self {
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut calls = Vec::new();
        let mut plan = |rate: u32, mut topic: Box<dyn FnMut() -> u32>| {
            let entries = (rate / CALLS_PER_SECOND).clamp(1, ENTRIES);
            let between = Duration::from_secs(1) * entries / rate;
            let mut at = Duration::ZERO;
            while at < length {
                let topics: Vec<u32> = (0..entries).map(|_| topic()).collect();
                calls.push((at, topics));
                at += between;
            }
        };
        plan(load.rate, Box::new(move || random.u32(0..load.topics)));
        let hot = load.topics;
        if load.hot_rate > 0 {
            plan(load.hot_rate, Box::new(move || hot));
        }
        calls.sort_by_key(|(at, _)| *at);
        let mut schedule = Self {
            events: Vec::new(),
            calls: Vec::new(),
            hot,
        };
        for (at, topics) in calls {
            schedule.calls.push((schedule.events.len(), topics.len()));
            let planned = topics.into_iter().map(|topic| Planned { at, topic });
            schedule.events.extend(planned);
        }
        schedule
    }

    /// Puts everything on the bus, and returns when the last call is answered. If calls are far too
    /// late, the rest is left out.
    ///
    /// # Errors
    /// Fails when the bus cannot be called, or refuses an event.
    pub(crate) async fn play(
        self: &Rc<Self>,
        record: &Rc<Record>,
        address: &str,
    ) -> anyhow::Result<()> {
        let mut callers = Vec::new();
        for _ in 0..CALLS {
            callers.push(Http::open(address).await?);
        }
        let start = record.start();
        let times: Vec<Duration> = self
            .calls
            .iter()
            .map(|(first, _)| self.events[*first].at)
            .collect();
        let (due, calls) = mpsc::channel(times.len().max(1));
        let clock = thread::spawn(move || {
            for (number, at) in times.into_iter().enumerate() {
                thread::sleep((start + at).saturating_duration_since(Instant::now()));
                if due.blocking_send(number).is_err() {
                    return;
                }
            }
        });
        let calls = Rc::new(Mutex::new(calls));
        let mut tasks = JoinSet::new();
        for mut http in callers {
            let (schedule, record, calls) = (Rc::clone(self), Rc::clone(record), Rc::clone(&calls));
            tasks.spawn_local(async move {
                let mut body = String::new();
                loop {
                    let Some(number) = calls.lock().await.recv().await else {
                        return anyhow::Ok(());
                    };
                    let (first, count) = schedule.calls[number];
                    let at = schedule.events[first].at;
                    if start.elapsed() > at + TOO_LATE {
                        return Ok(());
                    }
                    record.sending(at, count);
                    schedule.write(&mut body, first, count);
                    let answer = http
                        .call("AWSEvents.PutEvents", body.clone().into())
                        .await?;
                    let all = memchr::memmem::find(&answer, b"\"FailedEntryCount\":0").is_some();
                    anyhow::ensure!(all, "the bus refused an event: {answer:?}");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        // The clock ends when nobody receives from it any more.
        drop(calls);
        let _ = clock.join();
        Ok(())
    }

    fn write(&self, body: &mut String, first: usize, count: usize) {
        body.clear();
        body.push_str("{\"Entries\":[");
        for (offset, planned) in self.events[first..first + count].iter().enumerate() {
            if offset > 0 {
                body.push(',');
            }
            let (id, number) = (id(planned.topic), first + offset);
            // Writing to a String does not fail.
            let _ = write!(
                body,
                r#"{{"Source":"{SOURCE}","DetailType":"OrderUpdated","Detail":"{{\"orderId\":\"{id}\",\"n\":{number},\"total\":4200,\"note\":\"{:x<NOTE$}\"}}"}}"#,
                ""
            );
        }
        body.push_str("]}");
    }
}

/// The id of a topic's order: a UUID that looks drawn.
fn id(topic: u32) -> String {
    let mixed = u64::from(topic + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (high, low) = (mixed >> 32, mixed & 0xffff_ffff);
    format!(
        "{high:08x}-{:04x}-4{:03x}-8000-{topic:012x}",
        low >> 16,
        low & 0xfff
    )
}

/// The MQTT topic with this number.
pub(crate) fn topic_name(topic: u32) -> String {
    format!("order/{}", id(topic))
}
