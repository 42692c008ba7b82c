//! The order of clients' events: a calendar queue of four-millisecond ticks.
//!
//! A client has one event that waits, so that an event can be everything that an attempt which is
//! refused needs: it is read and written in sequence, and no other memory is touched. A heap would
//! compare ten million events at random places.

use std::collections::BTreeMap;

/// Milliseconds of a tick, as a power of two: 4.
const TICK_BITS: u32 = 2;

/// Ticks of one turn of the wheel, which is longer than the longest usual delay: 131 seconds.
const SLOTS: u32 = 1 << 15;

/// Buckets that are kept for use again, which bounds the memory that is not in use.
const SPARE: usize = 4_096;

/// The next step of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEvent {
    /// Which client.
    pub(crate) client: u32,
    /// What it does.
    pub(crate) phase: Phase,
    /// Failures so far, for its next delay.
    pub(crate) failures: u8,
    /// Filters that it is still to ask for in this pass.
    pub(crate) filters: u8,
    /// The client's turn when the event was made: after a loss, what was under way counts no more.
    pub(crate) turn: u8,
}

/// The steps of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
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

/// Events by tick.
pub(crate) struct EventWheel {
    slots: Vec<Vec<ClientEvent>>,
    /// Events beyond this turn, by turn.
    later: BTreeMap<u32, Vec<(u32, ClientEvent)>>,
    spare: Vec<Vec<ClientEvent>>,
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
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            later: BTreeMap::new(),
            spare: Vec::new(),
            next: 0,
            waiting: 0,
        }
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Adds an event at a time in milliseconds; the next tick where that has passed.
    pub(crate) fn push(&mut self, ms: u32, event: ClientEvent) {
        self.waiting += 1;
        let tick = tick_of(ms).max(self.next);
        if tick - self.next < SLOTS {
            self.insert(tick, event);
        } else {
            self.later
                .entry(tick / SLOTS)
                .or_default()
                .push((tick, event));
        }
    }

    fn insert(&mut self, tick: u32, event: ClientEvent) {
        // A remainder is below the number of slots.
        if let Some(slot) = self.slots.get_mut((tick % SLOTS) as usize) {
            if slot.capacity() == 0
                && let Some(spare) = self.spare.pop()
            {
                *slot = spare;
            }
            slot.push(event);
        }
    }

    /// Takes the events of the next tick, in the order in which they were added.
    pub(crate) fn take(&mut self) -> Vec<ClientEvent> {
        let tick = self.next;
        if tick.is_multiple_of(SLOTS)
            && let Some(events) = self.later.remove(&(tick / SLOTS))
        {
            for (tick, event) in events {
                self.insert(tick, event);
            }
        }
        self.next += 1;
        let slot = self.slots.get_mut((tick % SLOTS) as usize);
        let events = slot.map(std::mem::take).unwrap_or_default();
        self.waiting -= events.len() as u64;
        events
    }

    /// Takes back a bucket whose events have been dealt with.
    pub(crate) fn give_back(&mut self, mut bucket: Vec<ClientEvent>) {
        if bucket.capacity() > 0 && self.spare.len() < SPARE {
            bucket.clear();
            self.spare.push(bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(client: u32) -> ClientEvent {
        ClientEvent {
            client,
            phase: Phase::Connect,
            failures: 0,
            filters: 0,
            turn: 0,
        }
    }

    #[test]
    fn events_come_at_their_tick_however_far_it_is() {
        let mut wheel = EventWheel::new();
        let turn = ms_of(SLOTS);
        let times = [0, 3, 4, 1_000, turn - 1, turn, turn + 4, 5 * turn + 8];
        for (client, ms) in times.into_iter().enumerate() {
            wheel.push(ms, event(client as u32));
        }
        let mut seen = Vec::new();
        for tick in 0..=tick_of(6 * turn) {
            let bucket = wheel.take();
            seen.extend(bucket.iter().map(|event| (event.client, tick)));
            wheel.give_back(bucket);
            if tick == 10 {
                // What is due already comes next.
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
