//! Records of one run: when each event was to be sent, when it came, and how late the generator
//! itself was.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use serde::Serialize;

use super::schedule::{Planned, Schedule};

/// The text before an event's number in its detail.
const NUMBER: &[u8] = b"\"n\":";

pub(crate) struct Record {
    schedule: Rc<Schedule>,
    start: Instant,
    finder: Finder<'static>,
    /// By number: microseconds from the intended time to the first receipt; `u32::MAX` before it.
    latencies: RefCell<Vec<u32>>,
    received: Cell<usize>,
    duplicates: Cell<u64>,
    /// Receipts that are no event of the schedule.
    foreign: Cell<u64>,
    sent: Cell<usize>,
    /// By call: microseconds from the intended time to the beginning of the call.
    lags: RefCell<Vec<u32>>,
}

/// Latencies in milliseconds over all events of a part; those that never came count as the longest.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latencies {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    /// `None` when so many did not come that there is none.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Of those that came.
    pub(crate) max: Option<f64>,
}

impl Latencies {
    fn of(mut all: Vec<u32>) -> Self {
        all.sort_unstable();
        let received = all.iter().filter(|one| **one < u32::MAX).count();
        let milliseconds = |one: &u32| f64::from(*one) / 1_000.0;
        let at = |part: f64| {
            let rank = (all.len() as f64 * part).ceil() as usize;
            let one = all.get(rank.saturating_sub(1))?;
            (*one < u32::MAX).then(|| milliseconds(one))
        };
        Self {
            sent: all.len(),
            received,
            p50: at(0.5),
            p99: at(0.99),
            max: received
                .checked_sub(1)
                .and_then(|last| all.get(last))
                .map(milliseconds),
        }
    }
}

impl Record {
    /// The load starts now.
    pub(crate) fn new(schedule: &Rc<Schedule>) -> Self {
        Self {
            schedule: Rc::clone(schedule),
            start: Instant::now(),
            finder: Finder::new(NUMBER),
            latencies: RefCell::new(vec![u32::MAX; schedule.events.len()]),
            received: Cell::new(0),
            duplicates: Cell::new(0),
            foreign: Cell::new(0),
            sent: Cell::new(0),
            lags: RefCell::default(),
        }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Notes that a call with so many events begins.
    pub(crate) fn sending(&self, intended: Duration, events: usize) {
        self.lags.borrow_mut().push(self.since(intended));
        self.sent.set(self.sent.get() + events);
    }

    /// Notes a message by the number in its payload.
    pub(crate) fn receipt(&self, payload: &[u8]) {
        let digits = self.finder.find(payload).map(|at| {
            let digits = payload[at + NUMBER.len()..].iter();
            digits
                .take_while(|byte| byte.is_ascii_digit())
                .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
        });
        let mut latencies = self.latencies.borrow_mut();
        let known = digits.and_then(|number| {
            let latency = latencies.get_mut(number)?;
            Some((self.schedule.events[number].at, latency))
        });
        let Some((intended, latency)) = known else {
            self.foreign.set(self.foreign.get() + 1);
            return;
        };
        if *latency == u32::MAX {
            *latency = self.since(intended);
            self.received.set(self.received.get() + 1);
        } else {
            self.duplicates.set(self.duplicates.get() + 1);
        }
    }

    fn since(&self, intended: Duration) -> u32 {
        let elapsed = self.start.elapsed().saturating_sub(intended);
        u32::try_from(elapsed.as_micros())
            .unwrap_or(u32::MAX - 1)
            .min(u32::MAX - 1)
    }

    pub(crate) fn received(&self) -> usize {
        self.received.get()
    }

    pub(crate) fn sent(&self) -> usize {
        self.sent.get()
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates.get()
    }

    pub(crate) fn foreign(&self) -> u64 {
        self.foreign.get()
    }

    /// Calls are made in the order of the schedule, so that the sent events are its beginning.
    fn sent_events(&self) -> impl Iterator<Item = &Planned> {
        self.schedule.events.iter().take(self.sent.get())
    }

    /// Latencies of the events that were due from `from` on, of the hot topic or of all others.
    pub(crate) fn latencies(&self, from: Duration, is_hot: bool) -> Latencies {
        let hot = self.schedule.hot;
        let latencies = self.latencies.borrow();
        let events = self.sent_events().zip(latencies.iter());
        let part = events.filter(|(event, _)| event.at >= from && (event.topic == hot) == is_hot);
        Latencies::of(part.map(|(_, latency)| *latency).collect())
    }

    /// Number of events that were due `before` have not come yet, but for the hot topic's.
    pub(crate) fn missing(&self, before: Duration) -> usize {
        let hot = self.schedule.hot;
        let latencies = self.latencies.borrow();
        let events = self.sent_events().zip(latencies.iter());
        events
            .filter(|(event, latency)| {
                event.at < before && event.topic != hot && **latency == u32::MAX
            })
            .count()
    }

    /// The 99th percentile of how late calls began, in milliseconds.
    pub(crate) fn lag(&self) -> f64 {
        Latencies::of(self.lags.borrow().clone())
            .p99
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_the_longest() {
        let micros = |count: u32| (1..=count).map(|n| n * 1_000);
        let all = Latencies::of(micros(100).collect());
        assert_eq!(
            (all.p50, all.p99, all.max),
            (Some(50.0), Some(99.0), Some(100.0))
        );
        let with_missing = micros(98).chain([u32::MAX; 2]).collect();
        let all = Latencies::of(with_missing);
        assert_eq!((all.sent, all.received), (100, 98));
        assert_eq!((all.p50, all.p99, all.max), (Some(50.0), None, Some(98.0)));
        assert_eq!(Latencies::of(vec![]).p99, None);
        assert_eq!(Latencies::of(vec![u32::MAX]).max, None);
    }
}
