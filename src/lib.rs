//! eventcast: the real-time layer of a platform whose event bus is Amazon EventBridge.
//!
//! Events arrive through SQS, are routed to channels, and are published to AWS IoT Core, which delivers them to browsers
//! and phones. The modules, in reading order; imports point down the list only, and `tests/architecture.rs` checks it:

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that fails should say where"
    )
)]

// The contract suites name the library as those outside do.
#[cfg(test)]
extern crate self as eventcast;

// The edge.
pub mod cli;

// The parts.
#[cfg(feature = "authorizer")]
pub mod authorizer;
pub mod bridge;
#[cfg(feature = "gateway")]
pub mod conformance;
#[cfg(feature = "dev")]
pub mod dev;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "guard")]
pub mod guard;

// The adapters and the seams.
pub mod access;
pub mod aws;
pub mod mqtt;
pub mod port;
pub mod wire;

// Beside the core: parts that follow from a configuration, pure as well.
pub mod infra;
pub mod plan;
pub mod simulation;

// The core and its foundations: pure.
pub mod config;
pub mod policy;
pub mod route;

pub mod broker;
pub mod channel;
pub mod event;

// Beside them: parts that every other part may use.
pub mod escape;
pub mod http_server;
pub mod log_limit;
pub mod pace;
pub mod shutdown;
pub mod telemetry;
pub mod version;
