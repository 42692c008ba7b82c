//! Lanes: jobs with the same key begin in the order in which they came; different keys do not wait
//! for each other.
//!
//! A job that goes alone begins when nothing of its lane is under way, and nothing begins before it
//! has ended. Others are under way together. Topics are lanes of publications, so that a topic's
//! order holds through refusals and retries; the message groups of a FIFO queue are lanes of
//! deliveries. A lane knows nothing of either.

use std::collections::VecDeque;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// All lanes in which something is under way.
pub(super) struct Lanes<K, J> {
    busy: FxHashMap<K, TopicLane<J>>,
}

/// One lane.
struct TopicLane<J> {
    /// The number of jobs under way.
    out: usize,
    /// The job that is under way goes alone.
    alone: bool,
    /// The number of reasons for which nothing may begin.
    holds: usize,
    /// Those that wait, and which of them go alone.
    waiting: VecDeque<(J, bool)>,
}

impl<J> TopicLane<J> {
    fn takes(&self, alone: bool) -> bool {
        self.holds == 0 && (self.out == 0 || !(alone || self.alone))
    }

    fn begin(&mut self, alone: bool) {
        self.out += 1;
        self.alone = alone;
    }
}

impl<K, J> Default for Lanes<K, J> {
    fn default() -> Self {
        Self {
            busy: FxHashMap::default(),
        }
    }
}

impl<K: Hash + Eq + Clone, J> Lanes<K, J> {
    /// Puts a job into its lane and gives it back when it begins at once. Otherwise it waits.
    pub(super) fn enter(&mut self, key: &K, job: J, alone: bool) -> Option<J> {
        let Some(lane) = self.busy.get_mut(key) else {
            let lane = TopicLane {
                out: 1,
                alone,
                holds: 0,
                waiting: VecDeque::new(),
            };
            self.busy.insert(key.clone(), lane);
            return Some(job);
        };
        if lane.waiting.is_empty() && lane.takes(alone) {
            lane.begin(alone);
            return Some(job);
        }
        lane.waiting.push_back((job, alone));
        None
    }

    /// The job that would begin last; `None` when none waits.
    pub(super) fn last(&self, key: &K) -> Option<&J> {
        self.busy.get(key)?.waiting.back().map(|(job, _)| job)
    }

    /// The number of lanes in which something is under way.
    pub(super) fn busy(&self) -> usize {
        self.busy.len()
    }

    /// The number of jobs under way and waiting.
    pub(super) fn len(&self, key: &K) -> usize {
        self.busy
            .get(key)
            .map_or(0, |lane| lane.out + lane.waiting.len())
    }

    /// Ends a job that is under way and gives those that begin now.
    pub(super) fn leave(&mut self, key: &K) -> Vec<J> {
        if let Some(lane) = self.busy.get_mut(key) {
            lane.out = lane.out.saturating_sub(1);
        }
        self.begin(key)
    }

    /// Lets nothing begin until [`release`](Self::release) was called as often.
    pub(super) fn hold(&mut self, key: &K) {
        if let Some(lane) = self.busy.get_mut(key) {
            lane.holds += 1;
        }
    }

    /// Takes a hold back and gives the jobs that begin now.
    pub(super) fn release(&mut self, key: &K) -> Vec<J> {
        if let Some(lane) = self.busy.get_mut(key) {
            lane.holds = lane.holds.saturating_sub(1);
        }
        self.begin(key)
    }

    fn begin(&mut self, key: &K) -> Vec<J> {
        // As a rule none waits, which allocates nothing.
        let mut begun = Vec::new();
        let Some(lane) = self.busy.get_mut(key) else {
            return begun;
        };
        while let Some((_, alone)) = lane.waiting.front()
            && lane.takes(*alone)
            && let Some((job, alone)) = lane.waiting.pop_front()
        {
            lane.begin(alone);
            begun.push(job);
        }
        if lane.out == 0 && lane.waiting.is_empty() {
            self.busy.remove(key);
        }
        begun
    }

    /// Ends the job under way and returns all that waited for it: the lane is idle.
    pub(super) fn clear(&mut self, key: &K) -> impl Iterator<Item = J> + use<K, J> {
        let lane = self.busy.remove(key);
        let waiting = lane.map(|lane| lane.waiting).unwrap_or_default();
        waiting.into_iter().map(|(job, _)| job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_and_in_order() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.enter(&"a", 1, true), Some(1));
        assert_eq!(lanes.enter(&"a", 2, true), None);
        assert_eq!(lanes.enter(&"a", 3, true), None);
        assert_eq!(lanes.enter(&"b", 4, true), Some(4), "another lane is idle");
        assert_eq!((lanes.last(&"a"), lanes.last(&"b")), (Some(&3), None));
        assert_eq!((lanes.leave(&"a"), lanes.leave(&"a")), (vec![2], vec![3]));
        assert_eq!(lanes.leave(&"a"), [0; 0]);
        assert_eq!(
            lanes.enter(&"a", 5, true),
            Some(5),
            "the lane is idle again"
        );
        assert_eq!(lanes.enter(&"a", 6, true), None);
        assert_eq!(lanes.clear(&"a").collect::<Vec<_>>(), [6]);
        assert_eq!(lanes.enter(&"a", 7, true), Some(7));
    }

    #[test]
    fn several_at_a_time_but_for_one_that_goes_alone() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.enter(&"a", 1, false), Some(1));
        assert_eq!(lanes.enter(&"a", 2, false), Some(2));
        assert_eq!(lanes.enter(&"a", 3, true), None);
        assert_eq!(lanes.enter(&"a", 4, false), None, "nothing overtakes");
        assert_eq!(lanes.enter(&"a", 5, false), None);
        assert_eq!(lanes.len(&"a"), 5);
        assert_eq!(lanes.leave(&"a"), [0; 0]);
        assert_eq!(lanes.leave(&"a"), [3]);
        assert_eq!(lanes.leave(&"a"), [4, 5]);
        lanes.hold(&"a");
        assert_eq!(lanes.enter(&"a", 6, false), None);
        assert_eq!(lanes.leave(&"a"), [0; 0]);
        assert_eq!(lanes.leave(&"a"), [0; 0]);
        assert_eq!(lanes.release(&"a"), [6]);
        assert_eq!(lanes.leave(&"a"), [0; 0]);
        assert_eq!(lanes.len(&"a"), 0);
    }
}
