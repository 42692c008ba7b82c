//! Listeners: TCP, WebSocket, and both over TLS.

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

/// Timeout for a TLS handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause in accepting after the system has no resources for a new connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// MQTT directly over TCP or TLS.
    Plain,
    /// MQTT inside a WebSocket, at `/mqtt`.
    WebSocket,
}

/// Listener endpoint of the broker.
#[derive(Debug)]
pub struct ListenerEndpoint {
    /// The bound socket.
    pub listener: TcpListener,
    /// Protocol of the listener. A client that offers `mqtt` by ALPN in its TLS handshake speaks
    /// plain MQTT, whatever this field says.
    pub carrier: ListenerProtocol,
    /// TLS settings; `None` for plain TCP.
    pub tls: Option<ListenerTls>,
}

/// Parts of the broker that every connection needs.
#[derive(Clone)]
pub(crate) struct ListenerContext {
    pub(crate) hub: Arc<SessionHub>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// Hosts and origins whose WebSockets are opened.
    pub(crate) sites: Arc<AllowedSites>,
}

impl ListenerContext {
    /// Accepts clients without end. Dropping the future ends their connections.
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
                        // Nagle's algorithm would delay small packets; a socket that cannot disable
                        // it still works.
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

    /// Serves one client. The state of the handshake is freed before.
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

    /// Admits one client, or refuses it with a reason.
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
