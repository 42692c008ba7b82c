//! TLS of the broker: rustls with ring, certificates from PEM, client certificates where an
//! authority is named.
//!
//! Browsers abort a WebSocket whose server requests a certificate. IoT Core requests none there: it
//! requests one for MQTT, and from a client that offers the ALPN protocol for certificates.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{Acceptor, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;

use super::certificates::{CertificateLookup, ClientCertificateVerifier};
use crate::port::PresentedTls;

/// ALPN protocols (developer guide, "Protocols, port mappings, and authentication"): a client that
/// offers one of the first two speaks MQTT on any listener.
const PROTOCOLS: [&str; 3] = ["mqtt", CERTIFICATES, "http/1.1"];

/// ALPN protocol for MQTT with a client certificate.
const CERTIFICATES: &str = "x-amzn-mqtt-ca";

/// TLS settings of a listener, already checked.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Configuration that requests a client certificate, where there is a verifier.
    asking: Arc<ServerConfig>,
    /// Configuration that never requests one.
    silent: Arc<ServerConfig>,
}

/// Reason why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenerTlsError {
    /// The text is no PEM, or holds no item of the kind.
    #[error("the {0} is no PEM text, or holds none")]
    Pem(&'static str),
    /// Certificate, key and authorities do not go together.
    #[error("certificate, key and authorities do not go together")]
    Together(#[source] rustls::Error),
    /// The authorities cannot verify certificates.
    #[error("the authorities cannot be used to check clients: {0}")]
    Authorities(String),
}

/// PEM texts of a listener with TLS.
#[derive(Clone, Copy)]
pub struct TlsTexts<'a> {
    /// Certificate chain of the broker.
    pub certificate: &'a [u8],
    /// Private key of the certificate.
    pub key: &'a [u8],
    /// Certificate authority for client certificates; without one, no certificate is requested.
    pub client_authority: Option<&'a [u8]>,
    /// `true` where a client without a certificate is refused.
    pub client_certificate_required: bool,
}

impl ListenerTls {
    /// Builds a configuration.
    ///
    /// # Errors
    /// [`ListenerTlsError`] when a text holds no certificate or key, or they do not match.
    pub fn try_new(texts: &TlsTexts<'_>) -> Result<Self, ListenerTlsError> {
        let verifier = texts
            .client_authority
            .map(|_| authority(texts))
            .transpose()?;
        Self::verifying(texts, verifier)
    }

    /// Like [`try_new`](Self::try_new), and always requests a client certificate. A registered
    /// certificate is accepted from any issuer, as IoT Core accepts registered certificates.
    ///
    /// # Errors
    /// [`ListenerTlsError`] as for `try_new`.
    pub fn knowing(
        texts: &TlsTexts<'_>,
        known: CertificateLookup,
    ) -> Result<Self, ListenerTlsError> {
        let signed = texts
            .client_authority
            .map(|_| authority(texts))
            .transpose()?;
        let provider = provider();
        let required = signed.is_some() && texts.client_certificate_required;
        Self::verifying(
            texts,
            Some(Arc::new(ClientCertificateVerifier {
                known,
                signed,
                required,
                provider,
            })),
        )
    }

    fn verifying(
        texts: &TlsTexts<'_>,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Self, ListenerTlsError> {
        let silent = Arc::new(config(texts, None)?);
        let asking = match verifier {
            None => Arc::clone(&silent),
            verifier => Arc::new(config(texts, verifier)?),
        };
        Ok(Self { asking, silent })
    }

    /// Performs the handshake. On a WebSocket listener, only a client that offers the ALPN protocol
    /// for certificates is asked for one.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        is_websocket: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let hand = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let asks = !is_websocket || {
            let mut offered = hand.client_hello().alpn().into_iter().flatten();
            offered.any(|name| name == CERTIFICATES.as_bytes())
        };
        let config = if asks { &self.asking } else { &self.silent };
        hand.into_stream(Arc::clone(config)).await
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Builds the verifier of the certificates that the client authority signed.
fn authority(texts: &TlsTexts<'_>) -> Result<Arc<dyn ClientCertVerifier>, ListenerTlsError> {
    let mut roots = RootCertStore::empty();
    let authority = texts.client_authority.unwrap_or_default();
    for certificate in certificates(authority, "client authority")? {
        roots.add(certificate).map_err(ListenerTlsError::Together)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = if texts.client_certificate_required {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    let verifier = verifier.build();
    verifier.map_err(|error| ListenerTlsError::Authorities(error.to_string()))
}

fn config(
    texts: &TlsTexts<'_>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, ListenerTlsError> {
    let chain = certificates(texts.certificate, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(texts.key).map_err(|_| ListenerTlsError::Pem("key"))?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(ListenerTlsError::Together)?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(ListenerTlsError::Together)?;
    config.alpn_protocols = PROTOCOLS.map(|name| name.as_bytes().to_vec()).to_vec();
    Ok(config)
}

fn certificates(
    text: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, ListenerTlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ListenerTlsError::Pem(what)),
    }
}

/// Returns what the handshake negotiated and the client presented.
pub(crate) fn told(connection: &ServerConnection) -> PresentedTls {
    let certificates = connection.peer_certificates().unwrap_or_default();
    let protocol = connection.alpn_protocol();
    PresentedTls {
        server_name: connection.server_name().map(str::to_owned),
        protocol: protocol.map(|name| String::from_utf8_lossy(name).into_owned()),
        certificate: certificates
            .first()
            .map(|certificate| bytes::Bytes::copy_from_slice(certificate)),
    }
}

/// Returns `true` where the client offers MQTT by ALPN.
pub(crate) fn asks_for_mqtt(told: &PresentedTls) -> bool {
    matches!(told.protocol.as_deref(), Some("mqtt" | CERTIFICATES))
}
