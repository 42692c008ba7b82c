//! IoT policies: documents, their decision on one request, and their generation from roles.
//!
//! Follows the developer guide of AWS IoT Core ("AWS IoT Core policies" and the pages below it)
//! and, where that is silent, the IAM user guide whose language it is. A document is read and
//! compiled once ([`document`]); a decision ([`evaluate`]) then costs about a comparison for each
//! resource. `docs/policies.md` says which rules AWS states and which are derived.
//!
//! The other way: a role ([`role`]) and a token's claims come to grants ([`grant`]), and grants to documents ([`generate`]).
//!
//! This module is pure: no sockets, clock or environment.

pub mod action;
pub mod arn;
pub mod ask;
mod check;
pub mod claim_path;
pub mod claims;
mod compare;
pub mod condition;
pub mod context;
pub mod deploy;
pub mod diff;
pub mod document;
pub mod draft;
pub mod evaluate;
mod example;
pub mod explain;
pub mod facts;
pub mod generate;
mod glob;
pub mod grant;
pub mod lint;
mod misfit;
mod operator;
pub mod pack;
pub mod principal;
pub mod query_report;
mod read;
pub mod role;
pub mod role_claim;
pub mod scope;
pub mod simulate;
pub mod variable;
