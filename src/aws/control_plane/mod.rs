//! IoT Core's control plane, as far as it is about policies: one method an action, each paced and repeated as `calls` says.
//!
//! What is to be done is decided elsewhere (`crate::policy::deploy`); here it is asked and done, and answers become the plan's
//! types.

mod calls;
mod error;

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_iot::Client;
use aws_sdk_iot::primitives::DateTime;
use jiff::Timestamp;

pub use self::calls::Action;
pub(in crate::aws) use self::calls::Calls;
pub use self::error::{ControlError, Told};
use crate::policy::deploy::plan::{Step, Version};

/// How many entries a page has at most (IoT API reference, pageSize).
const PAGE: i32 = 250;

/// The control plane of one account and Region.
pub struct ControlPlane {
    client: Client,
    calls: Arc<Calls>,
    region: String,
}

/// A policy as it is in force.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its ARN.
    pub arn: String,
    /// The default version's id.
    pub default_version: String,
    /// The default version's document, as it was sent.
    pub document: String,
    /// When the policy was made.
    pub created: Option<Timestamp>,
    /// When it was changed for the last time.
    pub changed: Option<Timestamp>,
}

impl ControlPlane {
    /// The control plane by the SDK's configuration, called at a multiple of the default quotas.
    ///
    /// # Errors
    /// [`ControlError::Hopeless`] when no Region is set, or no credentials can be found.
    pub async fn open(config: &SdkConfig, times: f64) -> Result<Self, ControlError> {
        let region = config.region().ok_or_else(|| {
            ControlError::hopeless(
                "there is no AWS Region",
                "set AWS_REGION, or a Region in the profile",
            )
        })?;
        let help =
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or give the task a role";
        let provider = config
            .credentials_provider()
            .ok_or_else(|| ControlError::hopeless("there are no AWS credentials", help))?;
        provider.provide_credentials().await.map_err(|error| {
            let error: &dyn std::error::Error = &error;
            let causes = std::iter::successors(Some(error), |error| error.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            ControlError::hopeless(
                format!("getting AWS credentials: {}", causes.join(": ")),
                help,
            )
        })?;
        Ok(Self {
            client: Client::new(config),
            calls: Arc::new(Calls::new(times)),
            region: region.to_string(),
        })
    }

    /// The Region whose policies these are.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// How many calls were made, by action: of this, and of what shares its calls.
    pub fn calls_made(&self) -> Vec<(&'static str, u64)> {
        self.calls.made().collect()
    }

    pub(in crate::aws) fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// A policy with its default version; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`ControlError`], as for all that follow.
    pub async fn policy(&self, name: &str) -> Result<Option<Deployed>, ControlError> {
        let doing = format!("reading policy `{name}`");
        let send = || self.client.get_policy().policy_name(name).send();
        let Some(answer) = found(self.calls.call(Action::GetPolicy, &doing, send).await)? else {
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
        let answer = self.calls.call(Action::GetPolicyVersion, &doing, send);
        Ok(found(answer.await)?.map(|answer| answer.policy_document.unwrap_or_default()))
    }

    /// All versions of a policy.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn versions(&self, name: &str) -> Result<Vec<Version>, ControlError> {
        let doing = format!("listing the versions of policy `{name}`");
        let send = || self.client.list_policy_versions().policy_name(name).send();
        let answer = self.calls.call(Action::ListPolicyVersions, &doing, send);
        let versions = answer.await?.policy_versions.unwrap_or_default();
        let version = |version: aws_sdk_iot::types::PolicyVersion| {
            Some(Version {
                id: version.version_id?,
                created: version.create_date.and_then(time),
                default: version.is_default_version,
            })
        };
        Ok(versions.into_iter().filter_map(version).collect())
    }

    /// What a policy is attached to; stops looking once all of `enough` are found, unless that is empty.
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
            let answer = self.calls.call(Action::ListTargetsForPolicy, &doing, send);
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
            let answer = self.calls.call(Action::ListAttachedPolicies, &doing, send);
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
                .call(Action::ListPolicies, "listing policies", send);
            let answer = answer.await?;
            let policies = answer.policies.unwrap_or_default().into_iter();
            names.extend(policies.filter_map(|policy| policy.policy_name));
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(names);
            }
        }
    }

    /// Takes one step of a plan; gives the id of the version that it made, if it made one. What is gone already is no error
    /// where it was to go.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn take(
        &self,
        name: &str,
        step: &Step,
        document: &str,
    ) -> Result<Option<String>, ControlError> {
        match step {
            Step::Create => self.create(name, document).await,
            Step::CreateVersion => self.create_version(name, document).await,
            Step::Attach(target) => self.attach(name, target).await.map(|()| None),
            Step::Detach(target) => gone(self.detach(name, target).await),
            Step::DeleteVersion(id) => gone(self.delete_version(name, id).await),
            Step::Delete => gone(self.delete(name).await),
        }
    }

    async fn create(&self, name: &str, document: &str) -> Result<Option<String>, ControlError> {
        let doing = format!("creating policy `{name}`");
        let send = || {
            let call = self.client.create_policy().policy_name(name);
            call.policy_document(document).send()
        };
        let answer = self.calls.call(Action::CreatePolicy, &doing, send).await?;
        Ok(answer.policy_version_id)
    }

    async fn create_version(
        &self,
        name: &str,
        document: &str,
    ) -> Result<Option<String>, ControlError> {
        let doing = format!("adding a version to policy `{name}`");
        let send = || {
            let call = self.client.create_policy_version().policy_name(name);
            call.policy_document(document).set_as_default(true).send()
        };
        let answer = self.calls.call(Action::CreatePolicyVersion, &doing, send);
        Ok(answer.await?.policy_version_id)
    }

    async fn delete_version(&self, name: &str, version: &str) -> Result<(), ControlError> {
        let doing = format!("deleting version {version} of policy `{name}`");
        let send = || {
            let call = self.client.delete_policy_version().policy_name(name);
            call.policy_version_id(version).send()
        };
        let answer = self.calls.call(Action::DeletePolicyVersion, &doing, send);
        answer.await.map(|_| ())
    }

    async fn attach(&self, name: &str, target: &str) -> Result<(), ControlError> {
        let doing = format!("attaching policy `{name}` to `{target}`");
        let send = || {
            let call = self.client.attach_policy().policy_name(name);
            call.target(target).send()
        };
        let answer = self.calls.call(Action::AttachPolicy, &doing, send);
        answer.await.map(|_| ())
    }

    async fn detach(&self, name: &str, target: &str) -> Result<(), ControlError> {
        let doing = format!("detaching policy `{name}` from `{target}`");
        let send = || {
            let call = self.client.detach_policy().policy_name(name);
            call.target(target).send()
        };
        let answer = self.calls.call(Action::DetachPolicy, &doing, send);
        answer.await.map(|_| ())
    }

    async fn delete(&self, name: &str) -> Result<(), ControlError> {
        let doing = format!("deleting policy `{name}`");
        let send = || self.client.delete_policy().policy_name(name).send();
        let answer = self.calls.call(Action::DeletePolicy, &doing, send);
        answer.await.map(|_| ())
    }
}

/// `None` where the thing is not there.
fn found<T>(outcome: Result<T, ControlError>) -> Result<Option<T>, ControlError> {
    match outcome {
        Ok(answer) => Ok(Some(answer)),
        Err(ControlError::Absent(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was to go and is not there has gone.
fn gone<T>(outcome: Result<(), ControlError>) -> Result<Option<T>, ControlError> {
    found(outcome).map(|_| None)
}

fn time(time: DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanoseconds).ok()
}
