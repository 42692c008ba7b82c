//! IoT policies: who may connect, subscribe, receive and publish.
//!
//! Everything here is pure.

pub mod claims;
pub mod grant;
pub mod principal;
pub mod role;
