//! The authorizer: from a client's token to what it may do, as IoT Core's custom authorizers answer it.
//!
//! A token ([`token`]) is believed by public keys ([`key`]). Its claims name a role of the configuration and fill it in; what comes out are
//! policy documents and the answer around them ([`decide`], [`answer`]). The same decision serves a broker in this process ([`access`]).

pub mod access;
pub mod answer;
mod claim_set;
pub mod decide;
mod header;
pub mod key;
mod signature;
pub mod token;

#[cfg(test)]
mod tests;
