//! Recovery of a platform, simulated: a discrete-event model of up to ten million clients, the
//! quotas of IoT Core, the authorizer's function, stored messages, the queue and the bridge.
//!
//! A run is a function of its scenario and seed: the same pair gives the same bytes. Every run ends
//! with the checks of `invariant`. Nothing here reads a file, a clock or the environment.
//!
//! - [`scenario`] is the question, [`file`](mod@file) its form in YAML;
//! - [`engine`] is the loop: `wheel` orders clients' events, `population` holds clients,
//!   `quota` and `function_pool` admit them, `ledger` counts their messages, `bridge_queue`
//!   is the queue with the bridge's tasks;
//! - [`outcome`] is the answer, [`measured`] a curve of real clients to lay over it, [`report`] the
//!   pages for people.

pub mod assumption;
pub(crate) mod bridge_queue;
pub(crate) mod disturbance;
pub mod engine;
pub mod file;
pub(crate) mod function_pool;
pub(crate) mod invariant;
pub(crate) mod keys;
pub(crate) mod ledger;
pub mod measured;
pub mod outcome;
pub(crate) mod population;
pub(crate) mod quota;
pub mod report;
pub mod scenario;
pub(crate) mod series;
pub(crate) mod wheel;

#[cfg(test)]
mod tests;
