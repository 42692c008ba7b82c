//! IoT Core's control plane, as far as it is about policies: one method an action, each paced and repeated as `calls` says.
//!
//! Decisions are made elsewhere (`crate::policy::deploy`). This module calls the service, and turns
//! its answers into the plan's types.

pub mod calls;
mod change;
pub mod error;
pub mod read;

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_iot::Client;

use self::calls::Calls;
use self::error::ControlError;

/// The control plane of one account and Region.
pub struct ControlPlane {
    client: Client,
    calls: Arc<Calls>,
    region: String,
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

    /// Numbers of calls made, by action: of this client, and of those that share its calls.
    pub fn calls_made(&self) -> Vec<(&'static str, u64)> {
        self.calls.made().collect()
    }

    pub(in crate::aws) fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
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
