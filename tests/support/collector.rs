//! A collector of traces for tests: it takes OTLP over HTTP, with TLS or without, and its answers
//! are set by the test.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a test that fails should say where"
)]

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::Listener;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rumqttc::tokio_rustls::TlsAcceptor;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject as _;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rumqttc::tokio_rustls::rustls::{self, ServerConfig};
use rumqttc::tokio_rustls::server::TlsStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The way in which requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Everything is taken.
    Takes,
    /// Nothing is, for now.
    Refuses,
    /// There is no answer.
    Hangs,
}

/// A collector on a port of its own; it ends when it is dropped.
pub(crate) struct Collector {
    port: u16,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    /// The bodies of all requests, as they came.
    bodies: Mutex<Vec<Bytes>>,
}

impl Collector {
    /// Starts one on plain HTTP. Must run inside a runtime that outlives it.
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::serve(listener, port, manner)
    }

    /// The same over TLS, with files of a certificate and its key.
    pub(crate) async fn start_secure(certificate: &Path, key: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let certificate = CertificateDer::from_pem_file(certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::serve(Secure { listener, acceptor }, port, Manner::Takes)
    }

    fn serve<L: Listener>(listener: L, port: u16, manner: Manner) -> Self
    where
        L::Addr: std::fmt::Debug,
    {
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            bodies: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            shared,
            _server: server,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on requests are answered otherwise.
    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let bodies = self.shared.bodies.lock().unwrap();
        let decoded = bodies.iter().map(|body| {
            let decoded = ExportTraceServiceRequest::decode(body.clone());
            decoded.unwrap()
        });
        decoded.collect()
    }

    /// Number of requests that came, answered or not.
    pub(crate) fn count(&self) -> usize {
        self.shared.bodies.lock().unwrap().len()
    }

    /// Returns `true` where some bytes appear in any request.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        let bodies = self.shared.bodies.lock().unwrap();
        let mut bodies = bodies.iter();
        bodies.any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let right = headers.get("content-type").map(|kind| kind.as_bytes());
    if right != Some(b"application/x-protobuf") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    shared.bodies.lock().unwrap().push(body);
    let manner = *shared.manner.lock().unwrap();
    match manner {
        Manner::Takes => StatusCode::OK,
        Manner::Refuses => StatusCode::SERVICE_UNAVAILABLE,
        Manner::Hangs => pending().await,
    }
}

/// A listener with TLS.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else {
                continue;
            };
            // A client that does not trust the certificate is gone again.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
