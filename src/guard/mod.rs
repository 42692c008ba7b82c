//! The guard: real-time features of a platform stay on its real-time layer.
//!
//! Files of a feature team's repository come in as bytes, findings go out. Nothing here reads a
//! file, a clock or the environment: `src/cli/guard/` walks the repository and writes reports.
//!
//! Each rule has a file of its own in `rules/`, with its reason, its fix, a sample that it finds
//! and a near miss. `catalogue` lists all of them. `contract/` holds the rules over manifests.

pub mod baseline;
pub mod catalogue;
pub mod code;
pub mod contract;
mod dependencies;
pub mod description;
pub mod draft;
pub mod finding;
pub mod fingerprint;
pub mod manifest;
pub mod packages;
pub mod redact;
pub mod report;
pub mod review;
pub mod rule;
pub mod rules;
pub mod scan;
pub mod scope;
mod templates;
pub mod waiver;

#[cfg(test)]
mod tests;
