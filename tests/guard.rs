//! The guard on sample repositories, through the program itself.

#![cfg(feature = "guard")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "guard_contract/mod.rs"]
mod guard_contract;
#[path = "guard_scan/mod.rs"]
mod guard_scan;
#[path = "support/moto.rs"]
mod moto;
