//! The latest of what clients did.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use crate::dev::broker::observe::BrokerEvent;
use crate::dev::inspector::trail::EpochMicros;

/// Something that a client did, or that happened to it.
#[derive(Clone, Debug, Serialize)]
pub struct ClientActivity {
    /// When it was written down, among all changes.
    #[serde(skip)]
    pub version: u64,
    /// When, in microseconds since 1970.
    pub at: EpochMicros,
    /// The client id; empty where it is not known.
    pub client: Arc<str>,
    /// What.
    #[serde(flatten)]
    pub what: BrokerEvent,
}

/// The latest of many.
#[derive(Default)]
pub(super) struct RecentLog(VecDeque<ClientActivity>);

impl RecentLog {
    pub(super) fn add(&mut self, doing: ClientActivity, most: usize) {
        if self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back(doing);
    }

    /// The latest first.
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
