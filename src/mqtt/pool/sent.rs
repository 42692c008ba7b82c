//! Publications that one connection was given, until their answers come.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::flow::{Job, Outcome};
use crate::mqtt::connection::Answer;

/// Publications by their places among all that the connection was given.
#[derive(Default)]
pub(super) struct Sent {
    jobs: FxHashMap<u64, Job>,
    /// Places and times in the order of sending, from the oldest that has no answer.
    times: VecDeque<(u64, Instant)>,
    count: u64,
}

impl Sent {
    /// Adds the one that was sent last.
    pub(super) fn push(&mut self, job: Job) {
        self.times.push_back((self.count, Instant::now()));
        self.jobs.insert(self.count, job);
        self.count += 1;
    }

    /// Time since which the oldest of them waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.times.front().map(|(_, since)| *since)
    }

    /// Finds the publication that an answer belongs to.
    pub(super) fn answered(&mut self, (place, outcome): Answer) -> Option<(Job, Outcome)> {
        let job = self.jobs.remove(&place);
        while let Some((oldest, _)) = self.times.front()
            && !self.jobs.contains_key(oldest)
        {
            self.times.pop_front();
        }
        job.map(|job| (job, outcome))
    }

    /// Publications without an answer, in the order of sending.
    pub(super) fn unanswered(mut self) -> impl DoubleEndedIterator<Item = Job> {
        let mut places: Vec<u64> = self.jobs.keys().copied().collect();
        places.sort_unstable();
        let jobs: Vec<Job> = places
            .into_iter()
            .filter_map(|place| self.jobs.remove(&place))
            .collect();
        jobs.into_iter()
    }
}
