//! Message groups: within one, nothing is handed out while an earlier receive's messages are in flight.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::store::Sequence;

#[derive(Debug, Default)]
struct Group {
    /// In the order of sending.
    waiting: BTreeSet<Sequence>,
    in_flight: usize,
    /// Whether it stands in the line.
    lined_up: bool,
}

/// The groups of a FIFO queue.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<Arc<str>, Group>,
    /// Groups that may be handed out, each once.
    line: VecDeque<Arc<str>>,
}

impl Groups {
    /// A message is waiting in its group: newly sent, or visible again.
    pub(super) fn wait(&mut self, group: &Arc<str>, message: Sequence) {
        self.groups
            .entry(Arc::clone(group))
            .or_default()
            .waiting
            .insert(message);
        self.line_up(group);
    }

    /// A message that was handed out is not in flight any more: deleted, or visible again.
    pub(super) fn landed(&mut self, group: &Arc<str>) {
        if let Some(known) = self.groups.get_mut(group) {
            known.in_flight = known.in_flight.saturating_sub(1);
        }
        self.line_up(group);
    }

    /// A waiting message is gone.
    pub(super) fn forget(&mut self, group: &Arc<str>, message: Sequence) {
        if let Some(known) = self.groups.get_mut(group) {
            known.waiting.remove(&message);
        }
        self.line_up(group);
    }

    /// Takes up to `most` messages of the next group that may be handed out.
    pub(super) fn take(&mut self, most: usize) -> Vec<Sequence> {
        while let Some(name) = self.line.pop_front() {
            let Some(group) = self.groups.get_mut(&name) else {
                continue;
            };
            group.lined_up = false;
            if group.in_flight > 0 {
                continue;
            }
            let mut taken = Vec::new();
            while taken.len() < most
                && let Some(message) = group.waiting.pop_first()
            {
                taken.push(message);
            }
            group.in_flight = taken.len();
            if !taken.is_empty() {
                return taken;
            }
        }
        Vec::new()
    }

    fn line_up(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.in_flight == 0 && group.waiting.is_empty() {
            if !group.lined_up {
                self.groups.remove(name);
            }
        } else if group.in_flight == 0 && !group.lined_up {
            group.lined_up = true;
            self.line.push_back(Arc::clone(name));
        }
    }
}
