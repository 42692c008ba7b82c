//! IoT Core stand-in of `eventcast dev`: an MQTT broker with the behavior and the limits of AWS IoT
//! Core.
//!
//! Differences from a general broker: it asks an [`Authorizer`] for each client's identity and
//! permissions, closes the connection or answers as IoT Core does where a policy denies, checks
//! `iot:Receive` at each delivery, keeps every limit of [`crate::channel::limits`], delivers
//! retained messages on exact filters only, limits the rate of stored messages, and publishes
//! life-cycle events. Sources are the AWS developer guide ("MQTT", "Lifecycle events") and quotas
//! of 2026, and MQTT 3.1, 3.1.1 and 5.0 for the rest. With [`BrokerLimits::general`] and
//! [`BrokerRules::general`] it is a general broker without QoS 2.
//!
//! The broker never persists anything, and does not know its kind of authorizer.

mod connection;
pub mod control;
pub mod door;
pub mod everybody;
mod excess;
mod hub;
pub mod limits;
mod names;
mod notices;
pub mod observe;
mod reserved;
mod signature;
pub mod signed;
pub mod switch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use self::door::{ListenerContext, ListenerEndpoint, ListenerProtocol};
use self::hub::SessionHub;
use self::limits::{BrokerLimits, BrokerRules};
use super::sites::AllowedSites;
use crate::port::{Authorizer, Presented};

/// Running broker; clones share it. It ends when the last clone, and the last of their returned
/// values, is dropped.
#[derive(Clone)]
pub struct Broker {
    hub: Arc<SessionHub>,
    authorizer: Arc<dyn Authorizer>,
    sites: Arc<AllowedSites>,
    _tasks: Arc<JoinSet<()>>,
}

impl Broker {
    /// Starts a broker without a listener. Needs a tokio runtime.
    pub fn start(
        limits: BrokerLimits,
        rules: BrokerRules,
        authorizer: Arc<dyn Authorizer>,
    ) -> Self {
        let hub = Arc::new(SessionHub::new(limits, rules));
        let mut tasks = JoinSet::new();
        tasks.spawn(hub::timers::keep_time(Arc::clone(&hub)));
        Self {
            hub,
            authorizer,
            sites: Arc::default(),
            _tasks: Arc::new(tasks),
        }
    }

    /// Sets the hosts and origins that may open WebSockets; the default is those of the loopback
    /// interface.
    #[must_use]
    pub fn with_sites(self, sites: Arc<AllowedSites>) -> Self {
        Self { sites, ..self }
    }

    /// Accepts clients on a port without end. Dropping the future cuts off the clients of that
    /// port.
    ///
    /// # Errors
    /// An error of the listening socket.
    pub async fn serve(&self, endpoint: ListenerEndpoint) -> io::Result<()> {
        self.house().serve(endpoint).await
    }

    /// Serves one client on an existing connection, until it ends.
    pub async fn receive<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        io: T,
        source: SocketAddr,
        carrier: ListenerProtocol,
    ) {
        let presented = Presented {
            source,
            tls: None,
            upgrade: None,
            login: None,
        };
        let house = self.house();
        if let Some(connection) = Box::pin(house.receive(io, presented, carrier)).await {
            connection.serve().await;
        }
    }

    fn house(&self) -> ListenerContext {
        ListenerContext {
            hub: Arc::clone(&self.hub),
            authorizer: Arc::clone(&self.authorizer),
            sites: Arc::clone(&self.sites),
        }
    }
}
