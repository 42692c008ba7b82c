//! The authorizer: from a client's token to its permissions, in the form that IoT Core's custom
//! authorizers answer.
//!
//! The keys of its issuer ([`issuer`], [`key`], [`key_set`]) verify a token ([`token`]). Its claims
//! name roles of the configuration and fill them in; the result is policy documents and the answer
//! around them ([`decide`], [`answer`]). The same decision serves IoT Core ([`event`],
//! [`function`]) and a broker in this process ([`access`]).

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
