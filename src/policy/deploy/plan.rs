//! The plan: from the current state to the wanted one, in the fewest steps that are safe in their
//! order.
//!
//! Permissions are widened before they are narrowed: a new version comes before attachments, attachments before detachments. The
//! default version is never deleted but with its policy.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::target::{AttachmentTarget, PolicyName};
use super::text::PolicyText;

/// The most versions of a policy that IoT Core keeps (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub const VERSIONS: usize = 5;

/// A policy that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDocument {
    /// Its name.
    pub name: PolicyName,
    /// Its document.
    pub text: PolicyText,
    /// Targets that it is to be attached to.
    pub targets: BTreeSet<AttachmentTarget>,
    /// Indicates that it is to be detached from every other target.
    pub only_these: bool,
}

/// A version of a policy that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedVersion {
    /// IoT Core's id: a number, counted up.
    pub id: String,
    /// Time at which it was made.
    pub created: Option<Timestamp>,
    /// Indicates the default version, which is in force.
    pub default: bool,
}

/// A policy that is there, as far as the plan depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentPolicy {
    /// The canonical form of the default version's document; `None` when it cannot be read.
    pub canonical: Option<String>,
    /// All versions. May be left out while the document is the wanted one and the policy stays.
    pub versions: Vec<DeployedVersion>,
    /// Targets that it is attached to; those that are not asked for may be left out.
    pub targets: BTreeSet<String>,
}

/// One call that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeployStep {
    /// Make the policy, with its first version.
    Create,
    /// Make a version of the wanted document, and the default at once.
    CreateVersion,
    /// Delete a version that is not the default.
    DeleteVersion(String),
    /// Attach the policy to a target.
    Attach(String),
    /// Detach the policy from a target.
    Detach(String),
    /// Delete the policy with its last version.
    Delete,
}

/// Returns the steps from a policy, there or not, to the wanted one; empty when it is already as
/// wanted.
pub fn apply(wanted: &WantedDocument, current: Option<&CurrentPolicy>) -> Vec<DeployStep> {
    let none = CurrentPolicy::default();
    let mut steps = Vec::new();
    match current {
        None => steps.push(DeployStep::Create),
        Some(current) if current.canonical.as_deref() != Some(wanted.text.canonical()) => {
            steps.extend(room(&current.versions).map(DeployStep::DeleteVersion));
            steps.push(DeployStep::CreateVersion);
        }
        Some(_) => {}
    }
    let attached = &current.unwrap_or(&none).targets;
    let wanted_targets: BTreeSet<&str> = wanted
        .targets
        .iter()
        .map(AttachmentTarget::as_str)
        .collect();
    let missing = wanted_targets.iter().filter(|t| !attached.contains(**t));
    steps.extend(missing.map(|target| DeployStep::Attach((*target).to_owned())));
    if wanted.only_these {
        let others = attached
            .iter()
            .filter(|t| !wanted_targets.contains(t.as_str()));
        steps.extend(others.cloned().map(DeployStep::Detach));
    }
    steps
}

/// The oldest versions that must go so that there is room for one more.
fn room(versions: &[DeployedVersion]) -> impl Iterator<Item = String> {
    let surplus = (versions.len() + 1).saturating_sub(VERSIONS);
    let mut old: Vec<&DeployedVersion> =
        versions.iter().filter(|version| !version.default).collect();
    // Ids are numbers that only grow; a date may be missing, and two versions may be of one second.
    old.sort_by_key(|version| {
        (
            version.id.parse::<u64>().unwrap_or(u64::MAX),
            version.created,
        )
    });
    old.into_iter()
        .take(surplus)
        .map(|version| version.id.clone())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Permissions to take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRevocation {
    /// The policy.
    pub name: PolicyName,
    /// Targets that it is detached from; `None` for all.
    pub targets: Option<BTreeSet<AttachmentTarget>>,
    /// Indicates that the policy itself is deleted, with all its versions.
    pub delete: bool,
}

/// Reason why a policy cannot be deleted: it would stay attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy `{name}` would stay attached to {others} other targets, such as `{example}`")]
pub struct StaysAttached {
    name: PolicyName,
    others: usize,
    example: String,
}

/// Returns the steps that take back what a policy permits; empty when it is missing or not
/// attached.
///
/// # Errors
/// [`StaysAttached`] where the policy is to be deleted but has targets from which it is not to be
/// detached.
pub fn revoke(
    revocation: &PolicyRevocation,
    current: Option<&CurrentPolicy>,
) -> Result<Vec<DeployStep>, StaysAttached> {
    let Some(current) = current else {
        return Ok(Vec::new());
    };
    let wanted = |target: &&String| {
        let named = revocation.targets.as_ref();
        named.is_none_or(|named| named.iter().any(|known| known.as_str() == *target))
    };
    let (detached, others): (Vec<_>, Vec<_>) = current.targets.iter().partition(wanted);
    let mut steps: Vec<DeployStep> = detached
        .into_iter()
        .cloned()
        .map(DeployStep::Detach)
        .collect();
    if revocation.delete {
        if let Some(example) = others.first() {
            return Err(StaysAttached {
                name: revocation.name.clone(),
                others: others.len(),
                example: (*example).clone(),
            });
        }
        let old = current.versions.iter().filter(|version| !version.default);
        steps.extend(old.map(|version| DeployStep::DeleteVersion(version.id.clone())));
        steps.push(DeployStep::Delete);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests;
