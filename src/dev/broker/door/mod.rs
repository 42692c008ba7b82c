//! Where clients come in: TCP, WebSocket, and both over TLS.

mod admission;
pub mod certificates;
mod handshake;
pub mod tls;
mod upgrade;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::handshake::{PendingConnection, greet};
use self::tls::ListenerTls;
use self::upgrade::upgrade;
use crate::dev::broker::connection::ClientConnection;
use crate::dev::broker::hub::SessionHub;
use crate::dev::sites::AllowedSites;
use crate::port::{Authorizer, Presented};

/// How long a TLS handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nobody is let in after the system had no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// MQTT as it is.
    Plain,
    /// MQTT inside a WebSocket, at `/mqtt`.
    WebSocket,
}

/// A port that clients come to.
#[derive(Debug)]
pub struct ListenerEndpoint {
    /// The port.
    pub listener: TcpListener,
    /// What is spoken there. A client that asks for `mqtt` in its TLS handshake speaks MQTT as it is, whatever this says.
    pub carrier: ListenerProtocol,
    /// With TLS where there is one.
    pub tls: Option<ListenerTls>,
}

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct ListenerContext {
    pub(crate) hub: Arc<SessionHub>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// Hosts and origins whose WebSockets are opened.
    pub(crate) sites: Arc<AllowedSites>,
}

impl ListenerContext {
    /// Lets clients in for ever. Dropping it ends their connections.
    pub(crate) async fn serve(self, endpoint: ListenerEndpoint) -> io::Result<()> {
        let mut connections = JoinSet::new();
        let ListenerEndpoint {
            listener,
            carrier,
            tls,
        } = endpoint;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, source)) => {
                        // Small packets must not wait for one another; a socket that cannot do this works all the same.
                        let _ = stream.set_nodelay(true);
                        let house = self.clone();
                        connections.spawn(house.welcome(stream, source, carrier, tls.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a client could not be let in");
                        sleep(NO_ROOM).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Serves one client. What it takes to let it in is not held while it is served.
    async fn welcome(
        self,
        stream: TcpStream,
        source: SocketAddr,
        carrier: ListenerProtocol,
        tls: Option<ListenerTls>,
    ) {
        if let Some(connection) = Box::pin(self.let_in(stream, source, carrier, tls)).await {
            connection.serve().await;
        }
    }

    async fn let_in(
        self,
        stream: TcpStream,
        source: SocketAddr,
        carrier: ListenerProtocol,
        tls: Option<ListenerTls>,
    ) -> Option<Box<ClientConnection>> {
        let mut presented = Presented {
            source,
            tls: None,
            upgrade: None,
            login: None,
        };
        let Some(tls) = tls else {
            return self.receive(stream, presented, carrier).await;
        };
        let accepting = timeout(
            PATIENCE,
            tls.accept(stream, carrier == ListenerProtocol::WebSocket),
        );
        let stream = accepting.await.ok()?.ok()?;
        let told = tls::told(stream.get_ref().1);
        let carrier = if tls::asks_for_mqtt(&told) {
            ListenerProtocol::Plain
        } else {
            carrier
        };
        presented.tls = Some(told);
        self.receive(stream, presented, carrier).await
    }

    /// Lets one client in, or tells it why not.
    pub(crate) async fn receive<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        self,
        io: T,
        presented: Presented,
        carrier: ListenerProtocol,
    ) -> Option<Box<ClientConnection>> {
        let visitor = match carrier {
            ListenerProtocol::Plain => PendingConnection {
                io: Box::new(io),
                presented,
                identity: None,
                end: None,
            },
            ListenerProtocol::WebSocket => self.open(io, presented).await?,
        };
        greet(&self.hub, &self.authorizer, visitor).await
    }

    async fn open<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        io: T,
        mut presented: Presented,
    ) -> Option<PendingConnection> {
        let begin = Instant::now();
        let (io, identity) = upgrade(self, io, &mut presented).await?;
        let life = self.hub.limits.websocket_life;
        Some(PendingConnection {
            io: Box::new(io),
            presented,
            identity,
            end: life.map(|life| begin + life),
        })
    }
}
