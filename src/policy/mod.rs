//! IoT policies: who may connect, subscribe, receive and publish.
//!
//! Everything here is pure.

pub mod claims;
pub mod deploy;
pub mod grant;
pub mod principal;
pub mod role;
