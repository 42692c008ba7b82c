//! The tests of deployed policies, on the control plane of `eventcast dev`.

#![cfg(all(feature = "admin", feature = "dev"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "policy_deploy.rs"]
mod contract;
