//! The gateway of `eventcast dev`: in the same process and on the same port, with its own
//! connections to the broker over loopback.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;

use super::broker::Open;
use crate::broker::BrokerAddress;
use crate::cli::gateway::directory;
use crate::config::Config;
use crate::dev::sites::AllowedSites;
use crate::gateway::api::cors::Origins;
use crate::gateway::api::{Gateway, GatewayOptions};
use crate::gateway::directory::Directory;
use crate::gateway::limits::Limits;
use crate::gateway::link::BrokerSettings;
use crate::gateway::seal::{SealingKeys, SealingSecret};
use crate::gateway::sessions::Sessions;
use crate::shutdown::Shutdown;

/// The broker of `dev` takes one CONNECT a second of a client id; IoT Core in effect one in ten
/// seconds.
const CONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// Services beside the platform.
pub(super) struct Beside(Arc<Gateway>);

impl Beside {
    /// A gateway whose sessions end with this process: its key is nobody else's.
    pub(super) fn new(
        config: Option<&Config>,
        broker: &Open,
        sites: Arc<AllowedSites>,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let secret = SealingSecret::random().context("making a sealing key")?;
        let keys = SealingKeys::try_new(secret, None).context("making a sealing key")?;
        let urls = broker.urls();
        let address = urls.get("mqtt").and_then(|url| BrokerAddress::parse(url));
        let address = address.context("the broker has no port for MQTT")?;
        let plain = BrokerSettings::plain(address);
        let settings = BrokerSettings {
            connect_interval: CONNECT_INTERVAL,
            grants_interval: config.map_or(plain.grants_interval, |it| it.authorizer.refresh),
            ..plain
        };
        let directory = config.map_or_else(Directory::default, directory);
        let sessions = Sessions::new(keys, settings, directory);
        let options = GatewayOptions {
            limits: Limits::default(),
            origins: Origins::Checked(Arc::new(move |headers| {
                sites.readable_by(headers).is_some()
            })),
            is_forwarded: false,
        };
        Ok(Self(Gateway::new(sessions, shutdown, options)))
    }

    /// Its addresses.
    pub(super) fn router(&self) -> Option<Router> {
        Some(self.0.router())
    }

    /// Goes by another configuration from now on.
    pub(super) fn set_config(&self, config: &Config) {
        self.0.sessions().set_directory(directory(config));
    }

    /// Ends its connections in order.
    pub(super) async fn close(&self) {
        self.0.sessions().close().await;
    }
}
