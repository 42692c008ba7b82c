//! The IoT Core stand-in of `eventcast dev`: an MQTT broker that behaves, and limits, as AWS IoT Core does.
//!
//! What a general broker does not do and this one does: it asks an [`Authorizer`] who a client is and what it may do, closes or
//! answers as IoT Core on what a policy forbids, checks `iot:Receive` at each delivery, keeps every limit of
//! [`crate::channel::limits`], delivers retained messages on exact filters only, gives stored messages at a pace, and publishes
//! life-cycle events. Sources are the AWS developer guide ("MQTT", "Lifecycle events") and quotas of 2026, and MQTT 3.1, 3.1.1 and
//! 5.0 for the rest. With [`BrokerLimits::general`] and [`BrokerRules::general`] it is a broker like others, without QoS 2.
//!
//! It never persists anything, and does not know which authorizer it has.

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

/// A running broker; clones are the same one. It ends when the last of them, and of what they returned, is dropped.
#[derive(Clone)]
pub struct Broker {
    hub: Arc<SessionHub>,
    authorizer: Arc<dyn Authorizer>,
    sites: Arc<AllowedSites>,
    _tasks: Arc<JoinSet<()>>,
}

impl Broker {
    /// Starts a broker without a port. Needs tokio's runtime.
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

    /// Sets the hosts and origins whose WebSockets are opened; without it those of the loopback interface.
    #[must_use]
    pub fn with_sites(self, sites: Arc<AllowedSites>) -> Self {
        Self { sites, ..self }
    }

    /// Lets clients in at a port, for ever; dropping it cuts off those who came in there.
    ///
    /// # Errors
    /// When the port is lost.
    pub async fn serve(&self, endpoint: ListenerEndpoint) -> io::Result<()> {
        self.house().serve(endpoint).await
    }

    /// Serves one client on a connection that was made in another way, until it ends.
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
