//! The authorizer: from a client's token to what it may do, as IoT Core's custom authorizers answer it.
//!
//! A token ([`token`]) is believed by the keys of its issuer ([`issuer`], [`key`], [`key_set`]).
//! Its claims name roles of the configuration and fill them in; what comes out are policy documents
//! and the answer around them ([`decide`], [`answer`]). The same decision serves IoT Core
//! ([`event`], [`function`]) and a broker in this process ([`access`]).

pub mod access;
pub mod answer;
mod claim_set;
pub mod decide;
pub mod event;
pub mod expected;
pub mod function;
mod header;
pub mod issuer;
pub mod key;
pub mod key_set;
mod presented_token;
pub mod revoked;
mod signature;
pub mod token;
pub mod token_error;

#[cfg(test)]
mod tests;
