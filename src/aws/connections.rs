//! Live connections, which IoT Core's data plane ends on request (IoT data API reference, DeleteConnection).
//!
//! It does not keep a client away: a client that may connect connects again at once. Take the
//! permission first.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::config::Builder;

use super::control_plane::ControlPlane;
use super::control_plane::calls::{Calls, ControlAction};
use super::control_plane::error::ControlError;

/// The connections of one account and Region.
pub struct LiveConnections {
    client: Client,
    calls: Arc<Calls>,
}

impl LiveConnections {
    /// By the data plane's address, such as `https://abc-ats.iot.eu-central-1.amazonaws.com`. Calls are paced and counted with
    /// the control plane's.
    pub fn new(config: &SdkConfig, endpoint: &str, plane: &ControlPlane) -> Self {
        let config = Builder::from(config).endpoint_url(endpoint).build();
        Self {
            client: Client::from_conf(config),
            calls: plane.calls(),
        }
    }

    /// Ends a client's connection; `false` when it had none. Its session goes too with `clean_session`, and its will is not
    /// published with `prevent_will`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn end(
        &self,
        client_id: &str,
        clean_session: bool,
        prevent_will: bool,
    ) -> Result<bool, ControlError> {
        let doing = format!("disconnecting client `{client_id}`");
        let send = || {
            self.client
                .delete_connection()
                .client_id(client_id)
                .clean_session(clean_session)
                .prevent_will_message(prevent_will)
                .send()
        };
        match self
            .calls
            .call(ControlAction::DeleteConnection, &doing, send)
            .await
        {
            Ok(_) => Ok(true),
            Err(ControlError::Absent(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
