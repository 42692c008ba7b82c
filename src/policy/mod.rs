//! IoT policies: who may connect, subscribe, receive and publish.
//!
//! Everything here is pure.

pub mod account;
pub mod claims;
pub mod draft;
pub mod generate;
pub mod grant;
pub mod pack;
pub mod principal;
pub mod role;
