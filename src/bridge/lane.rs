//! Lanes: what has the same key goes one after another, in the order in which it came; different keys do not wait for each
//! other.
//!
//! Topics are lanes of publications, so that a topic's order holds through refusals and retries; the message groups of a FIFO
//! queue are lanes of deliveries. A lane knows nothing of either.

use std::collections::VecDeque;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// All lanes in which something is under way.
pub(super) struct Lanes<K, J> {
    /// What waits in each lane behind the one job that is under way.
    busy: FxHashMap<K, VecDeque<J>>,
}

impl<K, J> Default for Lanes<K, J> {
    fn default() -> Self {
        Self {
            busy: FxHashMap::default(),
        }
    }
}

impl<K: Hash + Eq + Clone, J> Lanes<K, J> {
    /// Puts a job into its lane and gives it back when the lane was idle: it is under way now. Otherwise it waits.
    pub(super) fn enter(&mut self, key: &K, job: J) -> Option<J> {
        if let Some(waiting) = self.busy.get_mut(key) {
            waiting.push_back(job);
            return None;
        }
        self.busy.insert(key.clone(), VecDeque::new());
        Some(job)
    }

    /// The job that would go last; `None` when none waits.
    pub(super) fn last(&self, key: &K) -> Option<&J> {
        self.busy.get(key)?.back()
    }

    /// Ends the job that is under way and gives the one that follows it.
    pub(super) fn next(&mut self, key: &K) -> Option<J> {
        let following = self.busy.get_mut(key)?.pop_front();
        if following.is_none() {
            self.busy.remove(key);
        }
        following
    }

    /// Ends the job that is under way and gives all that waited for it: the lane is idle.
    pub(super) fn clear(&mut self, key: &K) -> VecDeque<J> {
        self.busy.remove(key).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_in_order() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.enter(&"a", 1), Some(1));
        assert_eq!((lanes.enter(&"a", 2), lanes.enter(&"a", 3)), (None, None));
        assert_eq!(lanes.enter(&"b", 4), Some(4), "another lane is idle");
        assert_eq!((lanes.last(&"a"), lanes.last(&"b")), (Some(&3), None));
        assert_eq!((lanes.next(&"a"), lanes.next(&"a")), (Some(2), Some(3)));
        assert_eq!(lanes.next(&"a"), None);
        assert_eq!(lanes.enter(&"a", 5), Some(5), "the lane is idle again");
        assert_eq!(lanes.enter(&"a", 6), None);
        assert_eq!(lanes.clear(&"a"), [6]);
        assert_eq!(lanes.enter(&"a", 7), Some(7));
    }
}
