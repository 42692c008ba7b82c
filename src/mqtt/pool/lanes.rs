//! Which lane a topic takes. A topic that something is under way of keeps its lane, whatever the pool's size becomes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

use crate::channel::topic::Topic;
use crate::port::PublishError;
use crate::route::publication::Publication;

/// A publication's fate.
pub(super) type Outcome = Result<(), PublishError>;

/// A publication on its way to a connection, and who waits for its fate.
pub(super) type Job = (Publication, oneshot::Sender<Outcome>);

/// Where topics go.
#[derive(Default)]
pub(super) struct Lanes {
    pub(super) open: Vec<mpsc::Sender<Job>>,
    /// The lanes of topics of which something is under way, and how much.
    busy: FxHashMap<Topic, (mpsc::Sender<Job>, usize)>,
}

impl Lanes {
    /// The lane of a topic, for one more publication.
    pub(super) fn enter(&mut self, topic: &Topic) -> Option<mpsc::Sender<Job>> {
        if let Some((lane, count)) = self.busy.get_mut(topic) {
            *count += 1;
            return Some(lane.clone());
        }
        let lane = self
            .open
            .get(lane_of(topic.as_str(), self.open.len()))?
            .clone();
        self.busy.insert(topic.clone(), (lane.clone(), 1));
        Some(lane)
    }

    /// One publication of a topic less.
    pub(super) fn leave(&mut self, topic: &Topic) {
        if let Some((_, count)) = self.busy.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(topic);
            }
        }
    }
}

pub(super) fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    // Nothing in here panics half-way through a change.
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which lane a topic takes: a jump hash (Lamping and Veach, 2014) of FNV-1a over its bytes, the same in every process and
/// version. One more lane moves as few topics as can be.
fn lane_of(topic: &str, lanes: usize) -> usize {
    let mut key = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (mut lane, mut next) = (0_u64, 0_u64);
    while next < lanes as u64 {
        lane = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The next lane at which this topic would move, drawn from the key; 31 bits are exact in a float.
        let draw = ((key >> 33) + 1) as f64 / (1_u64 << 31) as f64;
        next = ((lane + 1) as f64 / draw) as u64;
    }
    usize::try_from(lane).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_lane_moves_few_topics() {
        let topics: Vec<String> = (0..10_000).map(|n| format!("order/{n}")).collect();
        for lanes in 1..20 {
            let moved = |topic: &&String| lane_of(topic, lanes) != lane_of(topic, lanes + 1);
            let count = topics.iter().filter(moved).count();
            let fair = topics.len() / (lanes + 1);
            assert!(count < fair * 5 / 4, "{count} of {lanes} lanes");
            assert!(count > fair * 3 / 4, "{count} of {lanes} lanes");
            let onto_new = topics.iter().filter(moved);
            assert!(
                onto_new
                    .into_iter()
                    .all(|topic| lane_of(topic, lanes + 1) == lanes)
            );
        }
        assert_eq!(lane_of("order/1", 0), 0);
    }
}
