//! IoT policies: documents, and what they decide for one request.
//!
//! Follows the developer guide of AWS IoT Core ("AWS IoT Core policies" and the pages below it) and, where that says nothing,
//! the IAM user guide whose language it is. A document is read and compiled once ([`document`]); a decision ([`evaluate`]) then
//! costs about a comparison for each resource. `docs/policies.md` tells which rules AWS states and which are derived.
//!
//! This module is pure: no sockets, clock or environment.

pub mod arn;
mod compare;
pub mod condition;
pub mod context;
pub mod document;
pub mod evaluate;
pub mod explain;
pub mod facts;
mod glob;
mod read;
pub mod scope;
pub mod simulate;
pub mod variable;
