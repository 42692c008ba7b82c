//! Dependencies that a repository declares: manifests and lock files of package managers.
//!
//! A lock file is asked for what the repository itself depends on, and not for what its
//! dependencies do: those are not the feature's choice.

pub mod npm;

use super::finding::{GuardFinding, SourceRegion};
use super::packages::{PackageEcosystem, dependency};
use super::rules::realtime_dependency::RULE;

/// Outcome of reading a manifest: its findings, or the reason why it does not parse.
pub type ManifestOutcome = Result<Vec<GuardFinding>, String>;

/// The finding for one declared dependency, if it is one.
fn declared(
    ecosystem: PackageEcosystem,
    path: &str,
    name: &str,
    line: usize,
    column: usize,
) -> Option<GuardFinding> {
    let known = dependency(ecosystem, name)?;
    known.is_whole().then(|| {
        let region = SourceRegion::at(line, column);
        let message = format!("the dependency `{name}` is a real-time layer of its own");
        GuardFinding::new(&RULE, path, region, name, message)
    })
}
