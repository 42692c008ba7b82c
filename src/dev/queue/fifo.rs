//! Message groups of a FIFO queue: within one, a message is handed out only when no earlier one of
//! the group is hidden.
//!
//! A group is available again as soon as its first message is visible, also while later ones are in
//! flight; it then delivers up to the first hidden one (recorded from AWS by LocalStack's tests on
//! groups whose visibility changes for one message alone).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::message::SequenceNumber;

#[derive(Debug, Default)]
struct FifoGroup {
    /// Visible messages in the order of sending.
    visible: BTreeSet<SequenceNumber>,
    /// Messages that are in flight or delayed: none after them is handed out.
    hidden: BTreeSet<SequenceNumber>,
    /// `true` if the group is in the line.
    lined_up: bool,
}

impl FifoGroup {
    fn is_available(&self) -> bool {
        match (self.visible.first(), self.hidden.first()) {
            (Some(visible), Some(hidden)) => visible < hidden,
            (visible, None) => visible.is_some(),
            (None, Some(_)) => false,
        }
    }
}

/// The groups of a FIFO queue.
#[derive(Debug, Default)]
pub(super) struct FifoGroups {
    groups: HashMap<Arc<str>, FifoGroup>,
    /// Groups that may have something to hand out, each once.
    line: VecDeque<Arc<str>>,
}

impl FifoGroups {
    /// A message becomes visible: newly sent, or handed back.
    pub(super) fn show(&mut self, group: &Arc<str>, message: SequenceNumber) {
        let known = self.groups.entry(Arc::clone(group)).or_default();
        known.hidden.remove(&message);
        known.visible.insert(message);
        self.line_up(group);
    }

    /// A message is hidden before it was visible, by a delay.
    pub(super) fn hide(&mut self, group: &Arc<str>, message: SequenceNumber) {
        let known = self.groups.entry(Arc::clone(group)).or_default();
        known.hidden.insert(message);
    }

    /// A message leaves the queue.
    pub(super) fn forget(&mut self, group: &Arc<str>, message: SequenceNumber) {
        if let Some(known) = self.groups.get_mut(group) {
            known.visible.remove(&message);
            known.hidden.remove(&message);
        }
        self.line_up(group);
    }

    /// Takes up to `most` messages of the next group that has any to hand out. They count as
    /// hidden from now on.
    pub(super) fn take(&mut self, most: usize) -> Vec<SequenceNumber> {
        while let Some(name) = self.line.pop_front() {
            let Some(group) = self.groups.get_mut(&name) else {
                continue;
            };
            group.lined_up = false;
            let mut taken = Vec::new();
            let until = group.hidden.first().copied().unwrap_or(SequenceNumber::MAX);
            while taken.len() < most
                && let Some(message) = group.visible.first().copied()
                && message < until
            {
                group.visible.pop_first();
                taken.push(message);
            }
            if !taken.is_empty() {
                group.hidden.extend(&taken);
                return taken;
            }
        }
        Vec::new()
    }

    fn line_up(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        if group.visible.is_empty() && group.hidden.is_empty() {
            if !group.lined_up {
                self.groups.remove(name);
            }
        } else if !group.lined_up && group.is_available() {
            group.lined_up = true;
            self.line.push_back(Arc::clone(name));
        }
    }
}
