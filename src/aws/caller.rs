//! The caller's account, which the credentials belong to, as STS reports it. The call needs no
//! permission.

use aws_config::SdkConfig;

use super::control_plane::ControlPlane;
use super::control_plane::calls::{Calls, ControlAction};
use super::control_plane::error::ControlError;

/// The account that a control plane's calls are made for, such as `123456789012`.
///
/// # Errors
/// [`ControlError`] when STS cannot be asked, or does not take the credentials.
pub async fn account(config: &SdkConfig, plane: &ControlPlane) -> Result<String, ControlError> {
    let client = aws_sdk_sts::Client::new(config);
    let calls: &Calls = &plane.calls();
    let send = || client.get_caller_identity().send();
    let doing = "asking whose credentials these are";
    let answer = calls
        .call(ControlAction::GetCallerIdentity, doing, send)
        .await?;
    Ok(answer.account.unwrap_or_default())
}
