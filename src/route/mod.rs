//! Routes: the publications that are made of events.
//!
//! A route pairs an event pattern with topic templates and a payload shape. Everything here is
//! pure; the daemon and the command line share it, so that `routes explain` shows what the bridge
//! would do.

pub mod example;
pub mod explain;
pub mod oversize;
pub mod payload;
mod placeholder_field;
pub mod publication;
pub mod rejection;
mod render;
pub mod table;
pub mod target;

#[cfg(test)]
mod tests;
