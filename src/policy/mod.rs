//! IoT policies.

pub mod deploy;
