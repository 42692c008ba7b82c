//! Existing state: policies, their versions and documents, and the targets that they are attached
//! to.

use std::collections::BTreeSet;

use aws_sdk_iot::primitives::DateTime;
use jiff::Timestamp;

use super::calls::ControlAction;
use super::error::ControlError;
use super::{ControlPlane, found};
use crate::policy::deploy::plan::DeployedVersion;

/// Maximum number of entries on a page (IoT API reference, pageSize).
const PAGE: i32 = 250;

/// A policy as it is in force.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its ARN.
    pub arn: String,
    /// The default version's id.
    pub default_version: String,
    /// The default version's document, as it was sent.
    pub document: String,
    /// Time at which the policy was made.
    pub created: Option<Timestamp>,
    /// Time of its last change.
    pub changed: Option<Timestamp>,
}

impl ControlPlane {
    /// A policy with its default version; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`ControlError`], as for all that follow.
    pub async fn policy(&self, name: &str) -> Result<Option<Deployed>, ControlError> {
        let doing = format!("reading policy `{name}`");
        let send = || self.client.get_policy().policy_name(name).send();
        let Some(answer) = found(
            self.calls
                .call(ControlAction::GetPolicy, &doing, send)
                .await,
        )?
        else {
            return Ok(None);
        };
        Ok(Some(Deployed {
            arn: answer.policy_arn.unwrap_or_default(),
            default_version: answer.default_version_id.unwrap_or_default(),
            document: answer.policy_document.unwrap_or_default(),
            created: answer.creation_date.and_then(time),
            changed: answer.last_modified_date.and_then(time),
        }))
    }

    /// A version's document; `None` when there is no such version, or policy.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn document(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<String>, ControlError> {
        let doing = format!("reading version {version} of policy `{name}`");
        let send = || {
            let call = self.client.get_policy_version().policy_name(name);
            call.policy_version_id(version).send()
        };
        let answer = self
            .calls
            .call(ControlAction::GetPolicyVersion, &doing, send);
        Ok(found(answer.await)?.map(|answer| answer.policy_document.unwrap_or_default()))
    }

    /// All versions of a policy.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn versions(&self, name: &str) -> Result<Vec<DeployedVersion>, ControlError> {
        let doing = format!("listing the versions of policy `{name}`");
        let send = || self.client.list_policy_versions().policy_name(name).send();
        let answer = self
            .calls
            .call(ControlAction::ListPolicyVersions, &doing, send);
        let versions = answer.await?.policy_versions.unwrap_or_default();
        let version = |version: aws_sdk_iot::types::PolicyVersion| {
            Some(DeployedVersion {
                id: version.version_id?,
                created: version.create_date.and_then(time),
                default: version.is_default_version,
            })
        };
        Ok(versions.into_iter().filter_map(version).collect())
    }

    /// Returns the targets that a policy is attached to. It stops looking once all of `enough` are
    /// found, unless that is empty.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn targets(
        &self,
        name: &str,
        enough: &BTreeSet<&str>,
    ) -> Result<BTreeSet<String>, ControlError> {
        let doing = format!("listing the targets of policy `{name}`");
        let mut targets = BTreeSet::new();
        let mut marker = None;
        loop {
            let send = || {
                let call = self.client.list_targets_for_policy().policy_name(name);
                call.page_size(PAGE).set_marker(marker.clone()).send()
            };
            let answer = self
                .calls
                .call(ControlAction::ListTargetsForPolicy, &doing, send);
            let answer = answer.await?;
            targets.extend(answer.targets.unwrap_or_default());
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            let all = !enough.is_empty() && enough.iter().all(|target| targets.contains(*target));
            if marker.is_none() || all {
                return Ok(targets);
            }
        }
    }

    /// The names of the policies that are attached to a target: to itself, or by thing groups that it is in as well.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn policies_of(
        &self,
        target: &str,
        inherited: bool,
    ) -> Result<BTreeSet<String>, ControlError> {
        let doing = format!("listing the policies of `{target}`");
        let mut names = BTreeSet::new();
        let mut marker = None;
        loop {
            let send = || {
                let call = self.client.list_attached_policies().target(target);
                let call = call.recursive(inherited).page_size(PAGE);
                call.set_marker(marker.clone()).send()
            };
            let answer = self
                .calls
                .call(ControlAction::ListAttachedPolicies, &doing, send);
            let answer = answer.await?;
            let policies = answer.policies.unwrap_or_default().into_iter();
            names.extend(policies.filter_map(|policy| policy.policy_name));
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(names);
            }
        }
    }

    /// The names of all policies.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn names(&self) -> Result<BTreeSet<String>, ControlError> {
        let mut names = BTreeSet::new();
        let mut marker = None;
        loop {
            let send = || {
                let call = self.client.list_policies().page_size(PAGE);
                call.set_marker(marker.clone()).send()
            };
            let answer = self
                .calls
                .call(ControlAction::ListPolicies, "listing policies", send);
            let answer = answer.await?;
            let policies = answer.policies.unwrap_or_default().into_iter();
            names.extend(policies.filter_map(|policy| policy.policy_name));
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(names);
            }
        }
    }
}

fn time(time: DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanoseconds).ok()
}
