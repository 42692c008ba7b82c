//! The current state of policies, read in the fewest calls that the plan can do with.

use std::collections::BTreeSet;

use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::ControlError;
use crate::policy::deploy::canonical::canonical;
use crate::policy::deploy::plan::{CurrentPolicy, PolicyRevocation, WantedDocument};
use crate::policy::deploy::target::AttachmentTarget;

/// Up to so many targets are asked for their policies; with more, the policy is asked for its
/// targets, of which there may be many pages.
const FEW: usize = 4;

/// The current state of a policy that is wanted, with its document; `None` when it does not exist.
///
/// # Errors
/// [`ControlError`]; outdated when it went away meanwhile.
pub(super) async fn before_apply(
    plane: &ControlPlane,
    wanted: &WantedDocument,
) -> Result<Option<(CurrentPolicy, String)>, ControlError> {
    let name = wanted.name.as_str();
    let Some(deployed) = plane.policy(name).await? else {
        return Ok(None);
    };
    let canonical = canonical(&deployed.document);
    let versions = if canonical.as_deref() == Some(wanted.text.canonical()) {
        Vec::new()
    } else {
        plane.versions(name).await.map_err(outdated)?
    };
    let targets = if wanted.only_these {
        plane
            .targets(name, &BTreeSet::new())
            .await
            .map_err(outdated)?
    } else {
        attached(plane, name, &wanted.targets).await?
    };
    let current = CurrentPolicy {
        canonical,
        versions,
        targets,
    };
    Ok(Some((current, deployed.document)))
}

/// The current state of a policy that is to be revoked; `None` when it does not exist.
///
/// # Errors
/// [`ControlError`].
pub(super) async fn before_revoke(
    plane: &ControlPlane,
    revocation: &PolicyRevocation,
) -> Result<Option<CurrentPolicy>, ControlError> {
    let name = revocation.name.as_str();
    let targets = match &revocation.targets {
        Some(named) if !revocation.delete => attached(plane, name, named).await,
        _ => plane.targets(name, &BTreeSet::new()).await,
    };
    let targets = match targets {
        Err(ControlError::Absent(_)) => return Ok(None),
        targets => targets?,
    };
    let versions = if revocation.delete {
        plane.versions(name).await.map_err(outdated)?
    } else {
        Vec::new()
    };
    Ok(Some(CurrentPolicy {
        canonical: None,
        versions,
        targets,
    }))
}

/// Those of these targets that a policy is attached to; others may be among them.
async fn attached(
    plane: &ControlPlane,
    name: &str,
    targets: &BTreeSet<AttachmentTarget>,
) -> Result<BTreeSet<String>, ControlError> {
    if targets.len() > FEW {
        let enough = targets.iter().map(AttachmentTarget::as_str).collect();
        return plane.targets(name, &enough).await;
    }
    let mut found = BTreeSet::new();
    for target in targets {
        match plane.policies_of(target.as_str(), false).await {
            Ok(policies) if policies.contains(name) => {
                found.insert(target.as_str().to_owned());
            }
            // Attaching reports a target that does not exist.
            Ok(_) | Err(ControlError::Absent(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// An error about something that was there a moment ago and went away.
fn outdated(error: ControlError) -> ControlError {
    match error {
        ControlError::Absent(told) => ControlError::Outdated(told),
        other => other,
    }
}
