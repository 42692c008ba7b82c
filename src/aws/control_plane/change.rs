//! Changes of policies: one call for each step of a plan.

use super::calls::ControlAction;
use super::error::ControlError;
use super::{ControlPlane, found};
use crate::policy::deploy::plan::DeployStep;

impl ControlPlane {
    /// Takes one step of a plan; returns the id of the version that it made, if it made one. A
    /// deletion of something that is gone already is no error.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn take(
        &self,
        name: &str,
        step: &DeployStep,
        document: &str,
    ) -> Result<Option<String>, ControlError> {
        match step {
            DeployStep::Create => self.create(name, document).await,
            DeployStep::CreateVersion => self.create_version(name, document).await,
            DeployStep::Attach(target) => self.attach(name, target).await.map(|()| None),
            DeployStep::Detach(target) => gone(self.detach(name, target).await),
            DeployStep::DeleteVersion(id) => gone(self.delete_version(name, id).await),
            DeployStep::Delete => gone(self.delete(name).await),
        }
    }

    async fn create(&self, name: &str, document: &str) -> Result<Option<String>, ControlError> {
        let doing = format!("creating policy `{name}`");
        let send = || {
            let call = self.client.create_policy().policy_name(name);
            call.policy_document(document).send()
        };
        let answer = self
            .calls
            .call(ControlAction::CreatePolicy, &doing, send)
            .await?;
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
        let answer = self
            .calls
            .call(ControlAction::CreatePolicyVersion, &doing, send);
        Ok(answer.await?.policy_version_id)
    }

    async fn delete_version(&self, name: &str, version: &str) -> Result<(), ControlError> {
        let doing = format!("deleting version {version} of policy `{name}`");
        let send = || {
            let call = self.client.delete_policy_version().policy_name(name);
            call.policy_version_id(version).send()
        };
        let answer = self
            .calls
            .call(ControlAction::DeletePolicyVersion, &doing, send);
        answer.await.map(|_| ())
    }

    async fn attach(&self, name: &str, target: &str) -> Result<(), ControlError> {
        let doing = format!("attaching policy `{name}` to `{target}`");
        let send = || {
            let call = self.client.attach_policy().policy_name(name);
            call.target(target).send()
        };
        let answer = self.calls.call(ControlAction::AttachPolicy, &doing, send);
        answer.await.map(|_| ())
    }

    async fn detach(&self, name: &str, target: &str) -> Result<(), ControlError> {
        let doing = format!("detaching policy `{name}` from `{target}`");
        let send = || {
            let call = self.client.detach_policy().policy_name(name);
            call.target(target).send()
        };
        let answer = self.calls.call(ControlAction::DetachPolicy, &doing, send);
        answer.await.map(|_| ())
    }

    async fn delete(&self, name: &str) -> Result<(), ControlError> {
        let doing = format!("deleting policy `{name}`");
        let send = || self.client.delete_policy().policy_name(name).send();
        let answer = self.calls.call(ControlAction::DeletePolicy, &doing, send);
        answer.await.map(|_| ())
    }
}

/// Treats the deletion of a thing that is absent as done.
fn gone<T>(outcome: Result<(), ControlError>) -> Result<Option<T>, ControlError> {
    found(outcome).map(|_| None)
}
