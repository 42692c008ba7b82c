//! Event buses as Amazon EventBridge has them (the classic ones): rules, their targets, and the protocol around them.
//!
//! Rules are matched by the same pattern engine as routes are. Targets are queues of this process.
//! Schedules, archives, API destinations and all other parts of EventBridge are refused, not
//! pretended.

pub(super) mod api;
mod constraint;
mod event;
mod page;
mod path;
mod put;
mod rule;
mod store;
mod target;
mod template;
mod wire;

#[cfg(test)]
mod tests;
