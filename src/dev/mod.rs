//! A platform on one machine, for development, tests and benchmarks: endpoints that speak AWS's protocols. In memory only.
//!
//! Today there is the queue: SQS's JSON protocol, so that every SDK works with `AWS_ENDPOINT_URL`. Faults can be asked for at
//! `/_dev/faults`.

pub mod broker;
mod faults;
mod queue;
mod server;

pub use server::{Options, serve};
