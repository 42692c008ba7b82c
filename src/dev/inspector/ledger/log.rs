//! Log of the latest client activity.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use crate::dev::broker::observe::BrokerEvent;
use crate::dev::inspector::trail::EpochMicros;

/// Event of one client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientActivity {
    /// Version of the entry, in the sequence of all changes.
    #[serde(skip)]
    pub version: u64,
    /// Time, in microseconds since 1970.
    pub at: EpochMicros,
    /// Client id; empty where it is unknown.
    pub client: Arc<str>,
    /// The event.
    #[serde(flatten)]
    pub what: BrokerEvent,
}

/// Bounded log of the latest entries.
#[derive(Default)]
pub(super) struct RecentLog(VecDeque<ClientActivity>);

impl RecentLog {
    pub(super) fn add(&mut self, doing: ClientActivity, most: usize) {
        if self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back(doing);
    }

    /// Returns the entries since a version, the latest first.
    pub(super) fn since(
        &self,
        version: u64,
        count: usize,
        wanted: impl Fn(&ClientActivity) -> bool,
    ) -> Vec<ClientActivity> {
        let newest = self.0.iter().rev();
        let newer = newest.take_while(|doing| doing.version > version);
        newer
            .filter(|doing| wanted(doing))
            .take(count)
            .cloned()
            .collect()
    }
}
