//! Connections to a deployment: TCP, and TLS where its address is an https one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::address::GatewayAddress;

/// Time that a connection may take to be open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The client's side of TLS.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// Trusts the authorities of a PEM file's text, or those of the system.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the authorities.
    pub fn trusting(pem: Option<&[u8]>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match pem {
            Some(pem) => {
                let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
                let certificates =
                    certificates.map_err(|error| format!("it is no PEM file: {error}"))?;
                for certificate in certificates {
                    roots.add(certificate).map_err(|error| error.to_string())?;
                }
                if roots.is_empty() {
                    return Err("it holds no certificate".into());
                }
            }
            None => {
                let system = rustls_native_certs::load_native_certs();
                // The system's store may hold some that rustls does not take.
                roots.add_parsable_certificates(system.certs);
                if roots.is_empty() {
                    return Err("the system has no certificates of authorities".into());
                }
            }
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // HTTP/2 is not spoken here.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Bytes in both directions.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Opens connections to one address.
#[derive(Clone)]
pub(super) struct Dialer {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Dialer {
    /// A dialer for a gateway; TLS by the address's scheme.
    pub(super) fn of(address: &GatewayAddress, tls: Option<&TlsClient>) -> Self {
        let tls = tls.filter(|_| address.is_secure);
        Self {
            host: address.host.clone(),
            port: address.port,
            tls: tls.map(|tls| TlsConnector::from(Arc::clone(&tls.0))),
        }
    }

    /// A dialer for a port of this machine.
    pub(super) fn local(port: u16) -> Self {
        Self {
            host: "127.0.0.1".into(),
            port,
            tls: None,
        }
    }

    /// Opens a connection.
    pub(super) async fn dial(&self) -> io::Result<Box<dyn Wire>> {
        let dialing = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                return Ok(Box::new(stream) as Box<dyn Wire>);
            };
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            Ok(Box::new(tls.connect(name, stream).await?) as Box<dyn Wire>)
        };
        timeout(CONNECT_TIMEOUT, dialing)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
