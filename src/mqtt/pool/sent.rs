//! Publications that one connection was given, until their answers come.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::flow::{PublishResult, QueuedPublish};
use crate::mqtt::connection::PublishAck;

/// Publications by their places among all that the connection was given.
#[derive(Default)]
pub(super) struct SentWindow {
    jobs: FxHashMap<u64, QueuedPublish>,
    /// Places and times in the order of sending, from the oldest that has no answer.
    times: VecDeque<(u64, Instant)>,
    count: u64,
}

impl SentWindow {
    /// Adds the one that was sent last.
    pub(super) fn push(&mut self, job: QueuedPublish) {
        self.times.push_back((self.count, Instant::now()));
        self.jobs.insert(self.count, job);
        self.count += 1;
    }

    /// Time since which the oldest of them waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.times.front().map(|(_, since)| *since)
    }

    /// Finds the publication that an answer belongs to.
    pub(super) fn answered(
        &mut self,
        (place, outcome): PublishAck,
    ) -> Option<(QueuedPublish, PublishResult)> {
        let job = self.jobs.remove(&place);
        while let Some((oldest, _)) = self.times.front()
            && !self.jobs.contains_key(oldest)
        {
            self.times.pop_front();
        }
        job.map(|job| (job, outcome))
    }

    /// Publications without an answer, in the order of sending.
    pub(super) fn unanswered(mut self) -> impl DoubleEndedIterator<Item = QueuedPublish> {
        let mut places: Vec<u64> = self.jobs.keys().copied().collect();
        places.sort_unstable();
        let jobs: Vec<QueuedPublish> = places
            .into_iter()
            .filter_map(|place| self.jobs.remove(&place))
            .collect();
        jobs.into_iter()
    }
}
