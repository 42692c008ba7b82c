//! The HTTP client that spans leave by.
//!
//! The SDK sends from a thread of its own. The client has a runtime on that thread, apart from the daemon's: whatever a collector
//! does, nobody else waits for it. One TLS stack: rustls with ring, trusting whom the system trusts.

use std::sync::Arc;

use async_trait::async_trait;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;

use super::settings::ExportSettings;
use super::tally::Tally;

/// A client with its runtime.
#[derive(Debug)]
pub(super) struct Collector {
    client: Box<dyn HttpClient>,
    runtime: Runtime,
    tally: Arc<Tally>,
}

impl Collector {
    /// Sets a client up. Connects to nobody yet.
    ///
    /// # Errors
    /// One line, when TLS is wanted and the system's authorities cannot be read.
    pub(super) fn open(settings: &ExportSettings, tally: &Arc<Tally>) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("starting the runtime of the export: {error}"))?;
        let timeout = settings.timeout;
        let client: Box<dyn HttpClient> = if settings.secure {
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(tls()?)
                .https_only()
                .enable_http1()
                .build();
            Box::new(HyperClient::new(connector, timeout, None))
        } else {
            Box::new(HyperClient::new(HttpConnector::new(), timeout, None))
        };
        Ok(Self {
            client,
            runtime,
            tally: Arc::clone(tally),
        })
    }
}

/// TLS that trusts the system's authorities.
fn tls() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first();
        let why = why.map_or_else(|| "there are none".into(), ToString::to_string);
        return Err(format!(
            "reading the system's certificate authorities: {why}"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Nothing else runs on the thread that waits here.
        let answer = self.runtime.block_on(self.client.send_bytes(request));
        if let Err(error) = &answer {
            self.tally.blame(&**error);
        }
        answer
    }
}
