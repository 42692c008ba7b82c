//! The order of clients' events: a calendar queue of four-millisecond ticks, in two levels.
//!
//! A client has one event that waits, so that an event can be everything that an attempt which is
//! refused needs: it is read and written in sequence, and no other memory is touched. A heap would
//! compare ten million events at random places. Events go to a period of half a second first, and
//! to a tick once their period begins: some sixty periods and 128 ticks are written at a time,
//! which the caches and the TLB hold, where thousands of ticks would miss at each write.

use std::collections::BTreeMap;

/// Milliseconds of a tick, as a power of two: 4.
const TICK_BITS: u32 = 2;

/// Ticks of a period: half a second. They fit a byte.
const TICKS: u32 = 128;

/// Periods of one turn of the wheel, which is longer than the longest usual delay: 131 seconds.
const PERIODS: u32 = 256;

/// Buckets that are kept for use again, which bounds the memory that is not in use.
const SPARE: usize = 256;

/// The next step of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEvent {
    /// Number of the client.
    pub(crate) client: u32,
    /// The client's next action.
    pub(crate) phase: ClientPhase,
    /// Failures so far, for its next delay.
    pub(crate) failures: u8,
    /// Filters that it is still to ask for in this pass.
    pub(crate) filters: u8,
    /// The client's turn when the event was made: after a loss, steps that were under way count no
    /// more.
    pub(crate) turn: u8,
}

/// The steps of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientPhase {
    /// Its CONNECT arrives.
    Connect,
    /// Its CONNECT arrives earlier after the last one than a client id may.
    ConnectTooSoon,
    /// The authorizer lets it in.
    Authorized,
    /// The authorizer, or its time-out, does not.
    NotAuthorized,
    /// Its SUBSCRIBE arrives.
    Subscribe,
}

/// Events of one period, and the tick of each within it.
#[derive(Default)]
struct PeriodBucket {
    events: Vec<ClientEvent>,
    ticks: Vec<u8>,
}

/// Events by period, and those of the current period by tick.
pub(crate) struct EventWheel {
    ticks: Vec<Vec<ClientEvent>>,
    periods: Vec<PeriodBucket>,
    /// Events beyond this turn, by turn.
    later: BTreeMap<u32, Vec<(u32, ClientEvent)>>,
    spare_ticks: Vec<Vec<ClientEvent>>,
    spare_periods: Vec<PeriodBucket>,
    /// The first tick that was not taken.
    next: u32,
    waiting: u64,
}

/// The tick of a time in milliseconds.
pub(crate) fn tick_of(ms: u32) -> u32 {
    ms >> TICK_BITS
}

/// The time at which a tick begins, in milliseconds.
pub(crate) fn ms_of(tick: u32) -> u32 {
    tick << TICK_BITS
}

impl EventWheel {
    pub(crate) fn new() -> Self {
        Self {
            ticks: (0..TICKS).map(|_| Vec::new()).collect(),
            periods: (0..PERIODS).map(|_| PeriodBucket::default()).collect(),
            later: BTreeMap::new(),
            spare_ticks: Vec::new(),
            spare_periods: Vec::new(),
            next: 0,
            waiting: 0,
        }
    }

    /// Number of events that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Adds an event at a time in milliseconds; the next tick where that has passed.
    pub(crate) fn push(&mut self, ms: u32, event: ClientEvent) {
        self.waiting += 1;
        self.insert(tick_of(ms).max(self.next), event);
    }

    fn insert(&mut self, tick: u32, event: ClientEvent) {
        let (period, current) = (tick / TICKS, self.next / TICKS);
        if period == current {
            self.insert_tick((tick % TICKS) as u8, event);
        } else if period - current < PERIODS {
            // A remainder is below the number of periods.
            if let Some(bucket) = self.periods.get_mut((period % PERIODS) as usize) {
                if bucket.events.capacity() == 0
                    && let Some(spare) = self.spare_periods.pop()
                {
                    *bucket = spare;
                }
                bucket.events.push(event);
                bucket.ticks.push((tick % TICKS) as u8);
            }
        } else {
            let turn = self.later.entry(period / PERIODS).or_default();
            turn.push((tick, event));
        }
    }

    fn insert_tick(&mut self, tick: u8, event: ClientEvent) {
        if let Some(bucket) = self.ticks.get_mut(usize::from(tick)) {
            if bucket.capacity() == 0
                && let Some(spare) = self.spare_ticks.pop()
            {
                *bucket = spare;
            }
            bucket.push(event);
        }
    }

    /// Takes the events of the next tick.
    pub(crate) fn take(&mut self) -> Vec<ClientEvent> {
        if self.next.is_multiple_of(TICKS) {
            self.begin_period(self.next / TICKS);
        }
        let bucket = self.ticks.get_mut((self.next % TICKS) as usize);
        let events = bucket.map(std::mem::take).unwrap_or_default();
        self.next += 1;
        self.waiting -= events.len() as u64;
        events
    }

    /// Distributes the events of a period to its ticks.
    fn begin_period(&mut self, period: u32) {
        if period.is_multiple_of(PERIODS)
            && let Some(events) = self.later.remove(&(period / PERIODS))
        {
            for (tick, event) in events {
                self.insert(tick, event);
            }
        }
        let bucket = self.periods.get_mut((period % PERIODS) as usize);
        let mut bucket = bucket.map(std::mem::take).unwrap_or_default();
        for (event, tick) in bucket.events.iter().zip(&bucket.ticks) {
            self.insert_tick(*tick, *event);
        }
        if bucket.events.capacity() > 0 && self.spare_periods.len() < SPARE {
            bucket.events.clear();
            bucket.ticks.clear();
            self.spare_periods.push(bucket);
        }
    }

    /// Takes back a bucket whose events have been dealt with.
    pub(crate) fn give_back(&mut self, mut bucket: Vec<ClientEvent>) {
        if bucket.capacity() > 0 && self.spare_ticks.len() < SPARE {
            bucket.clear();
            self.spare_ticks.push(bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(client: u32) -> ClientEvent {
        ClientEvent {
            client,
            phase: ClientPhase::Connect,
            failures: 0,
            filters: 0,
            turn: 0,
        }
    }

    #[test]
    fn events_come_at_their_tick_however_far_it_is() {
        let mut wheel = EventWheel::new();
        let turn = ms_of(TICKS * PERIODS);
        let period = ms_of(TICKS);
        let times = [
            0,
            3,
            4,
            period - 1,
            period,
            1_000,
            turn - 1,
            turn,
            turn + 4,
            5 * turn + 8,
        ];
        for (client, ms) in times.into_iter().enumerate() {
            wheel.push(ms, event(client as u32));
        }
        let mut seen = Vec::new();
        for tick in 0..=tick_of(6 * turn) {
            let bucket = wheel.take();
            seen.extend(bucket.iter().map(|event| (event.client, tick)));
            wheel.give_back(bucket);
            if tick == 10 {
                // An event that is due already comes next.
                wheel.push(0, event(99));
            }
        }
        let mut expected: Vec<(u32, u32)> = (0..).zip(times.map(tick_of)).collect();
        expected.insert(3, (99, 11));
        assert_eq!(seen, expected);
        assert_eq!(wheel.waiting(), 0);
    }

    #[test]
    fn an_event_is_eight_bytes() {
        assert_eq!(size_of::<ClientEvent>(), 8);
    }
}
