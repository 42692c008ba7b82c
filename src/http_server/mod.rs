//! HTTP/1.1 on one listener, bounded in connections and in time.
//!
//! A port that others can reach must neither wait for them for ever nor use up the process's file
//! descriptors. So a connection has time limits (`progress`), and at most a fixed number of
//! connections is open: a new connection for which there is no room takes the place of the
//! connection that has been waiting for its peer the longest. A request that is being answered is
//! never cut off for another; when all connections are busy with one, the newcomer is closed.
//!
//! HTTP/2 is not spoken, with prior knowledge neither.

mod progress;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet, yield_now};
use tokio::time::sleep;

use self::progress::{ConnectionProgress, Tracked, TrackedRequest, TrackedResponse};
use crate::log_limit::LogLimit;

/// Pause after a connection could not be accepted, such as for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(250);

static ACCEPT_FAILED: LogLimit<()> = LogLimit::new();
static TURNED_AWAY: LogLimit<()> = LogLimit::new();

/// Bounds of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The most connections that are open at a time.
    pub connections: usize,
    /// Longest time for a request's head, from its first byte to its last; on a new connection,
    /// from the moment when it is accepted.
    pub head_timeout: Duration,
    /// Longest pause within a request's body.
    pub body_timeout: Duration,
    /// Longest time that a connection may stay without a request, or without taking its answer.
    pub idle_timeout: Duration,
    /// The most bytes of a request's head, and of bytes read ahead; at least 8,192.
    pub buffer_bytes: usize,
}

impl HttpLimits {
    /// Limits for health checks and scrapers: few connections, small requests. Prometheus asks once
    /// a minute unless configured otherwise, over one connection that it keeps.
    pub const PROBES: Self = Self {
        connections: 32,
        head_timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(90),
        buffer_bytes: 16 * 1024,
    };

    /// Limits for SDKs and browsers on this machine: connections of a pool, long polls, bodies of
    /// megabytes.
    pub const CLIENTS: Self = Self {
        connections: 1_024,
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(120),
        buffer_bytes: 400 * 1024,
    };
}

/// The other end of a request's connection, among the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// Serves a router for ever.
///
/// # Errors
/// Never now; a listener that fails is tried again.
pub async fn serve(listener: TcpListener, router: Router, limits: HttpLimits) -> io::Result<()> {
    let mut connections = OpenConnections::new(limits);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, PeerAddress(peer)),
                Err(error) if is_the_peers(&error) => continue,
                Err(error) => {
                    if let Some(suppressed) = ACCEPT_FAILED.admit(()) {
                        tracing::error!(%error, suppressed, "HTTP connection not accepted");
                    }
                    sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            },
            () = connections.one_ended() => continue,
        };
        if connections.make_room().await {
            connections.open(stream, peer, router.clone());
        } else if let Some(suppressed) = TURNED_AWAY.admit(()) {
            let most = limits.connections;
            tracing::warn!(most, suppressed, "HTTP connection closed: all are busy");
        }
        // Those that were accepted read their requests before others may take their places.
        yield_now().await;
    }
}

/// Failures of accept that concern one connection only (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// The open connections. Dropping it closes them.
struct OpenConnections {
    limits: HttpLimits,
    tasks: JoinSet<()>,
    open: HashMap<Id, (Arc<ConnectionProgress>, AbortHandle)>,
}

impl OpenConnections {
    fn new(limits: HttpLimits) -> Self {
        Self {
            limits,
            tasks: JoinSet::new(),
            open: HashMap::new(),
        }
    }

    fn open(&mut self, stream: TcpStream, peer: PeerAddress, router: Router) {
        let progress = Arc::new(ConnectionProgress::new(self.limits));
        let task = self.tasks.spawn(serve_connection(
            stream,
            peer,
            router,
            Arc::clone(&progress),
        ));
        self.open.insert(task.id(), (progress, task));
    }

    /// Resolves when a connection has ended; never while none is open. Cancel safe.
    async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => self.open.remove(&id),
            Some(Err(error)) => self.open.remove(&error.id()),
            None => std::future::pending().await,
        };
    }

    /// Closes the connection that waits for its peer the longest if there is no room for one more.
    /// False when there is none that could be closed.
    async fn make_room(&mut self) -> bool {
        if self.tasks.len() < self.limits.connections {
            return true;
        }
        let waiting = self
            .open
            .values()
            .filter_map(|(progress, task)| Some((progress.waiting_since()?, task)));
        let Some((_, longest)) = waiting.min_by_key(|(since, _)| *since) else {
            return false;
        };
        longest.abort();
        // Its file descriptor is free once the task has ended.
        while self.tasks.len() >= self.limits.connections {
            self.one_ended().await;
        }
        true
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: PeerAddress,
    router: Router,
    progress: Arc<ConnectionProgress>,
) {
    // Answers are small, and nobody waits for more to put into a packet.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let known = Arc::clone(&progress);
    let service = service_fn(move |request: Request<Incoming>| {
        let begun = known.request_begins(request.body().is_end_stream());
        let mut request = request.map(|body| TrackedRequest::new(body, Arc::clone(&known)));
        request.extensions_mut().insert(peer);
        let answer = router.call(request);
        async move {
            let response = answer.await?;
            Ok::<_, std::convert::Infallible>(
                response.map(|body| TrackedResponse::new(body, begun)),
            )
        }
    });
    let stream = TokioIo::new(Tracked::new(stream, Arc::clone(&progress)));
    let connection = http1::Builder::new()
        .max_buf_size(progress.limits().buffer_bytes)
        .serve_connection(stream, service);
    tokio::select! {
        // Failures of one connection concern its peer, which sees them.
        _ = connection => {}
        () = progress.overdue() => {}
    }
}

#[cfg(test)]
mod tests;
