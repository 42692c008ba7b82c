//! The IoT Core stand-in.

mod ending;
mod hub;
mod ledger;
mod lifecycle;
pub mod limits;
mod message;
mod names;
pub mod observe;
mod outbox;
mod rate;
mod retained;
mod routing;
mod session;
mod timers;
mod trie;
pub mod wire;
