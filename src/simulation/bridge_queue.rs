//! The queue with the bridge's tasks: arrival, publication, scaling on backlog and age, redelivery,
//! dead-letter messages. It moves in steps of [`STEP_MS`].
//!
//! An event is received by a task, published, and deleted. While the broker cannot be reached a
//! task holds as many events as it has places, and hands them back after `hold`. A task that is
//! killed leaves the events that it holds to the visibility timeout. Events that it had published
//! and not deleted are published again. Scaling is that of `infra/cloudformation/scaling.yaml`.

use std::collections::VecDeque;

use super::scenario::{AccountQuotas, BridgeModel};

/// Milliseconds of a step.
pub(crate) const STEP_MS: u32 = 100;

const STEPS_PER_SECOND: u64 = 10;

/// Events that came in the same step.
#[derive(Clone, Copy, Debug)]
struct EventBatch {
    /// The step in which they came.
    came: u32,
    /// The step in which they were received, or become visible again.
    until: u32,
    receives: u8,
    count: u64,
    /// `true` where they were published before.
    is_duplicate: bool,
}

/// The sums of a run; every event is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventTotals {
    pub(crate) arrived: u64,
    pub(crate) published: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) duplicates: u64,
    pub(crate) redelivered: u64,
}

/// The queue and the tasks.
#[derive(Clone, Debug)]
pub(crate) struct BridgeQueue {
    load: BridgeModel,
    inbound_quota: u32,
    visible: VecDeque<EventBatch>,
    held: VecDeque<EventBatch>,
    invisible: Vec<EventBatch>,
    /// Remainders of rates, in tenths of an event.
    arriving: u64,
    publishable: u64,
    inbound: u64,
    running: u32,
    /// The steps in which tasks that were asked for work.
    starting: Vec<u32>,
    last_published: u64,
    scaled_at: Option<u32>,
    small_since: Option<u32>,
    old_for: u32,
    factor: u32,
    pub(crate) is_cut: bool,
    pub(crate) totals: EventTotals,
    pub(crate) peak_tasks: u32,
}

impl BridgeQueue {
    pub(crate) fn new(load: &BridgeModel, quotas: &AccountQuotas) -> Self {
        Self {
            inbound_quota: quotas.inbound_quota,
            running: load.tasks,
            peak_tasks: load.tasks,
            load: load.clone(),
            visible: VecDeque::new(),
            held: VecDeque::new(),
            invisible: Vec::new(),
            arriving: 0,
            publishable: 0,
            inbound: 0,
            starting: Vec::new(),
            last_published: 0,
            scaled_at: None,
            small_since: None,
            old_for: 0,
            factor: 1,
            is_cut: false,
            totals: EventTotals::default(),
        }
    }

    /// Sets how many times as fast as usual events come.
    pub(crate) fn set_factor(&mut self, factor: u32) {
        self.factor = factor;
    }

    /// Makes a step, and returns the events that were published in it for the first time.
    pub(crate) fn step(&mut self, step: u32) -> u64 {
        self.arrive(step);
        self.start(step);
        self.reappear(step);
        let published = if self.is_cut {
            self.hold(step);
            0
        } else {
            self.publish()
        };
        self.last_published = published;
        if step > 0 && (step * STEP_MS).is_multiple_of(self.load.scale_interval_ms) {
            self.scale(step);
        }
        published
    }

    fn arrive(&mut self, step: u32) {
        self.arriving += u64::from(self.load.events_per_second) * u64::from(self.factor);
        let count = self.arriving / STEPS_PER_SECOND;
        self.arriving %= STEPS_PER_SECOND;
        self.totals.arrived += count;
        if count == 0 {
            return;
        }
        let second = step / 10 * 10;
        match self.visible.back_mut() {
            // One batch a second, so that a long backlog is a short list.
            Some(last) if last.came == second && last.receives == 0 => last.count += count,
            _ => self.visible.push_back(EventBatch {
                came: second,
                until: 0,
                receives: 0,
                count,
                is_duplicate: false,
            }),
        }
    }

    fn start(&mut self, step: u32) {
        let before = self.starting.len();
        self.starting.retain(|ready| *ready > step);
        self.running += u32::try_from(before - self.starting.len()).unwrap_or(0);
        self.peak_tasks = self.peak_tasks.max(self.running);
    }

    /// Events whose visibility time-out has passed.
    fn reappear(&mut self, step: u32) {
        let (back, still): (Vec<_>, Vec<_>) = self
            .invisible
            .drain(..)
            .partition(|batch| batch.until <= step);
        self.invisible = still;
        for batch in back {
            self.return_to_queue(batch);
        }
    }

    /// Hands a batch back to the queue, or buries it after the last receive.
    fn return_to_queue(&mut self, batch: EventBatch) {
        if batch.receives >= self.load.max_receives {
            // A duplicate was published before: its burial loses nothing.
            if !batch.is_duplicate {
                self.totals.dead_lettered += batch.count;
            }
        } else {
            self.totals.redelivered += batch.count;
            self.visible.push_front(batch);
        }
    }

    /// The broker is away: tasks hold as many events as they have places for.
    fn hold(&mut self, step: u32) {
        let longest = self.load.hold_ms / STEP_MS;
        while let Some(first) = self.held.front().copied()
            && step >= first.until + longest
        {
            self.held.pop_front();
            self.return_to_queue(first);
        }
        let places = u64::from(self.running) * u64::from(self.load.in_flight);
        let mut free = places.saturating_sub(count(&self.held));
        while free > 0
            && let Some(mut batch) = self.visible.pop_front()
        {
            let taken = batch.count.min(free);
            free -= taken;
            if taken < batch.count {
                batch.count -= taken;
                self.visible.push_front(batch);
            }
            self.held.push_back(EventBatch {
                until: step,
                receives: batch.receives + 1,
                count: taken,
                ..batch
            });
        }
    }

    fn publish(&mut self) -> u64 {
        let second = u64::from(self.running) * u64::from(self.load.events_per_task);
        self.publishable += second;
        let mut room = self.publishable / STEPS_PER_SECOND;
        self.publishable %= STEPS_PER_SECOND;
        if self.inbound_quota > 0 {
            self.inbound += u64::from(self.inbound_quota);
            let most = self.inbound / STEPS_PER_SECOND;
            self.inbound %= STEPS_PER_SECOND;
            room = room.min(most);
        }
        let mut published = 0;
        while room > 0 {
            // Events that tasks held while the broker was away go first: the tasks have them
            // already.
            let from_tasks = self.held.pop_front();
            let is_held = from_tasks.is_some();
            let Some(mut batch) = from_tasks.or_else(|| self.visible.pop_front()) else {
                break;
            };
            let taken = batch.count.min(room);
            room -= taken;
            if batch.is_duplicate {
                self.totals.duplicates += taken;
            } else {
                published += taken;
            }
            if taken < batch.count {
                batch.count -= taken;
                let queue = if is_held {
                    &mut self.held
                } else {
                    &mut self.visible
                };
                queue.push_front(batch);
            }
        }
        self.totals.published += published;
        published
    }

    /// Kills tasks; the service starts others in their place.
    pub(crate) fn kill(&mut self, tasks: u32, step: u32) {
        let killed = tasks.min(self.running);
        if killed == 0 {
            return;
        }
        let share = |whole: u64| whole * u64::from(killed) / u64::from(self.running);
        let until = step + self.load.visibility_ms / STEP_MS;
        // Published and not yet deleted: these come twice.
        let settling = self.last_published * u64::from(self.load.settle_ms) / u64::from(STEP_MS);
        let twice = share(settling);
        if twice > 0 {
            self.invisible.push(EventBatch {
                came: step,
                until,
                receives: 1,
                count: twice,
                is_duplicate: true,
            });
        }
        let mut lost = share(count(&self.held));
        while lost > 0
            && let Some(mut batch) = self.held.pop_front()
        {
            let taken = batch.count.min(lost);
            lost -= taken;
            if taken < batch.count {
                batch.count -= taken;
                self.held.push_front(batch);
            }
            self.invisible.push(EventBatch {
                until,
                count: taken,
                ..batch
            });
        }
        self.running -= killed;
        let ready = step + self.load.task_start_ms / STEP_MS;
        self.starting.extend((0..killed).map(|_| ready));
    }

    fn scale(&mut self, step: u32) {
        let asked = self.running + u32::try_from(self.starting.len()).unwrap_or(0);
        let waiting = count(&self.visible);
        let wanted = waiting.div_ceil(u64::from(self.load.backlog_per_task));
        let mut wanted = u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .clamp(self.load.tasks, self.load.max_tasks);
        // Step scaling on age: two periods above it add half, a minute beyond it doubles.
        let age = self.oldest_ms(step);
        self.old_for = if age > self.load.max_age_ms {
            self.old_for + 1
        } else {
            0
        };
        if self.old_for >= 2 {
            let is_far = age > self.load.max_age_ms + 60_000;
            let more = if is_far { asked } else { asked.div_ceil(2) };
            wanted = wanted.max((asked + more).min(self.load.max_tasks));
        }
        let rested = self
            .scaled_at
            .is_none_or(|at| (step - at) * STEP_MS >= self.load.scale_out_cooldown_ms);
        if wanted > asked && rested {
            let ready = step + self.load.task_start_ms / STEP_MS;
            self.starting.extend((asked..wanted).map(|_| ready));
            self.scaled_at = Some(step);
        }
        if wanted < asked {
            let since = *self.small_since.get_or_insert(step);
            // A task that is taken away drains: it hands back events that it has not begun.
            if (step - since) * STEP_MS >= self.load.scale_in_after_ms {
                self.running = self.running.min(wanted.max(self.load.tasks));
                self.starting.clear();
                self.small_since = None;
            }
        } else {
            self.small_since = None;
        }
    }

    /// Events that wait in the queue, those that nobody sees for now included.
    pub(crate) fn backlog(&self) -> u64 {
        count(&self.visible) + count(&self.held) + self.unseen()
    }

    fn unseen(&self) -> u64 {
        let first = self.invisible.iter().filter(|batch| !batch.is_duplicate);
        first.map(|batch| batch.count).sum()
    }

    /// Returns `true` where nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.visible.is_empty() && self.held.is_empty() && self.invisible.is_empty()
    }

    /// Age of the oldest event.
    pub(crate) fn oldest_ms(&self, step: u32) -> u32 {
        let all = self.visible.front().into_iter().chain(self.held.front());
        let oldest = all.chain(&self.invisible).map(|batch| batch.came).min();
        oldest.map_or(0, |came| (step - came) * STEP_MS)
    }

    /// Tasks that work.
    pub(crate) fn running(&self) -> u32 {
        self.running
    }

    /// Every event is published, buried, or waits.
    pub(crate) fn is_conserved(&self) -> bool {
        let duplicates: u64 = self
            .visible
            .iter()
            .chain(&self.held)
            .filter(|batch| batch.is_duplicate)
            .map(|batch| batch.count)
            .sum();
        let totals = &self.totals;
        totals.arrived == totals.published + totals.dead_lettered + self.backlog() - duplicates
    }
}

fn count(batches: &VecDeque<EventBatch>) -> u64 {
    batches.iter().map(|batch| batch.count).sum()
}

#[cfg(test)]
mod tests;
