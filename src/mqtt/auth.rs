//! Access to a broker: transport, TLS, and credentials.
//!
//! Credentials of the process's role come as a signed WebSocket address. Their holder makes it anew
//! for each connection ([`Sign`]): this module knows no AWS. Nothing in here is ever logged.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rumqttc::tokio_rustls::rustls;
use rumqttc::{Broker as Address, MqttOptions, TlsConfiguration, Transport as Wire};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::broker::{BrokerAddress, Transport};

/// Makes the query of a WebSocket's address, for a host as the `Host` header has it and a path; an error is one line.
pub type Sign = Arc<
    dyn Fn(String, String) -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>>
        + Send
        + Sync,
>;

/// Identity that the connection presents.
#[derive(Clone, Default)]
pub enum ConnectCredentials {
    /// Nobody, or the subject of the certificate.
    #[default]
    None,
    /// The signer of the WebSocket's address.
    Signed(Sign),
    /// The bearer of a token for a custom authorizer.
    Token(Token),
}

/// A token for an IoT custom authorizer (developer guide, "Custom authentication"): in the query of a WebSocket's address, elsewhere
/// in the MQTT user name.
#[derive(Clone)]
pub struct Token {
    /// The authorizer's name; without one the account's default authorizer decides.
    pub authorizer: Option<String>,
    /// The name under which the authorizer looks for the token.
    pub key: String,
    /// The token.
    pub token: String,
    /// The token's signature in Base64, where the authorizer asks for one.
    pub signature: Option<String>,
}

impl Token {
    /// The token with all that goes with it, as a URL's query has it.
    fn query(&self) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut pairs = Vec::new();
        if let Some(name) = &self.authorizer {
            pairs.push(format!("x-amz-customauthorizer-name={}", escaped(name)));
        }
        if let Some(signature) = &self.signature {
            pairs.push(format!(
                "x-amz-customauthorizer-signature={}",
                escaped(signature)
            ));
        }
        pairs.push(format!("{}={}", self.key, escaped(&self.token)));
        pairs.join("&")
    }
}

/// A PEM file as read.
#[derive(Clone, Debug)]
pub struct Pem {
    /// Its name in messages, such as the key and the file's name.
    pub name: String,
    /// Its content.
    pub text: Vec<u8>,
}

/// Files that TLS needs, as read.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificates of the authorities to trust; without them the system's are.
    pub authorities: Option<Pem>,
    /// A certificate with its chain, and its key.
    pub identity: Option<(Pem, Pem)>,
    /// The application protocol to ask for (ALPN), which IoT Core needs on port 443.
    pub protocol: Option<String>,
}

/// Reason why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// A file does not have the expected contents.
    #[error("{0}")]
    Pem(String),
    /// The system's authorities cannot be read.
    #[error("reading the system's certificate authorities: {0}; name a file with bridge.tls.ca")]
    System(String),
    /// Certificate and key do not make an identity.
    #[error("{0}")]
    Identity(String),
}

/// A TLS configuration, checked.
#[derive(Clone, Debug)]
pub struct TlsConfig(Arc<ClientConfig>);

impl TlsConfig {
    /// Puts a configuration together.
    ///
    /// # Errors
    /// [`ClientTlsError`] when a file holds no certificate or key, or they do not fit.
    pub fn try_new(files: &TlsFiles) -> Result<Self, ClientTlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in authorities(files)? {
            // The system's store may hold some that rustls does not take; a file's must be right.
            if let (Err(error), Some(file)) = (roots.add(certificate), &files.authorities) {
                return Err(ClientTlsError::Pem(format!("{}: {error}", file.name)));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientTlsError::Identity(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &files.identity {
            Some((chain, key)) => {
                let certificates = certificates(chain)?;
                let private = PrivateKeyDer::from_pem_slice(&key.text).map_err(|error| {
                    ClientTlsError::Pem(format!("{} holds no private key: {error}", key.name))
                })?;
                builder
                    .with_client_auth_cert(certificates, private)
                    .map_err(|error| {
                        ClientTlsError::Identity(format!(
                            "{} with {}: {error}",
                            chain.name, key.name
                        ))
                    })?
            }
            None => builder.with_no_client_auth(),
        };
        if let Some(protocol) = &files.protocol {
            config.alpn_protocols = vec![protocol.clone().into_bytes()];
        }
        Ok(Self(Arc::new(config)))
    }
}

impl TlsConfig {
    /// The configuration, for connections that another client opens.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

fn authorities(files: &TlsFiles) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
    if let Some(file) = &files.authorities {
        return certificates(file);
    }
    let system = rustls_native_certs::load_native_certs();
    match system.errors.first() {
        Some(error) if system.certs.is_empty() => Err(ClientTlsError::System(error.to_string())),
        _ => Ok(system.certs),
    }
}

fn certificates(file: &Pem) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.text).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(ClientTlsError::Pem(format!(
            "{} holds no certificate",
            file.name
        ))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(ClientTlsError::Pem(format!(
            "{} is no PEM file: {error}",
            file.name
        ))),
    }
}

/// Everything that it takes to reach a broker.
#[derive(Clone)]
pub struct BrokerAccess {
    /// Address at which it listens.
    pub broker: BrokerAddress,
    /// TLS, for transports over it.
    pub tls: Option<TlsConfig>,
    /// Identity to present.
    pub credentials: ConnectCredentials,
}

impl BrokerAccess {
    /// A broker on plain TCP that asks for nothing, as for local work.
    pub fn plain(host: &str, port: u16) -> Self {
        Self {
            broker: BrokerAddress {
                transport: Transport::Tcp,
                host: host.to_owned(),
                port,
                path: String::new(),
            },
            tls: None,
            credentials: ConnectCredentials::None,
        }
    }

    /// The client library's options for one connection. Signs anew each time; the error is one line.
    pub(super) async fn options(&self, client_id: &str) -> Result<MqttOptions, String> {
        let BrokerAddress {
            transport,
            host,
            port,
            ..
        } = &self.broker;
        let tls = || {
            let missing = || "the broker asks for TLS, which is not set up".to_owned();
            let TlsConfig(config) = self.tls.as_ref().ok_or_else(missing)?;
            Ok::<_, String>(TlsConfiguration::Rustls(Arc::clone(config)))
        };
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut options = match transport {
            Transport::Tcp => MqttOptions::new(client_id, (host.clone(), *port)),
            Transport::Tls => {
                let mut options = MqttOptions::new(client_id, (host.clone(), *port));
                options.set_transport(Wire::tls_with_config(tls()?));
                options
            }
            Transport::WebSocket => {
                let address =
                    Address::websocket(self.url().await?).map_err(|error| text(&error))?;
                MqttOptions::new(client_id, address)
            }
            Transport::SecureWebSocket => {
                let url = self.url().await?;
                MqttOptions::websocket_with_tls_config(client_id, url, tls()?)
                    .map_err(|error| text(&error))?
            }
        };
        if let ConnectCredentials::Token(token) = &self.credentials
            && !transport.is_websocket()
        {
            options.set_credentials(format!("?{}", token.query()), "");
        }
        Ok(options)
    }

    /// The address of a WebSocket, signed anew each time where it is signed.
    async fn url(&self) -> Result<String, String> {
        let query = match &self.credentials {
            ConnectCredentials::None => return Ok(self.broker.to_string()),
            ConnectCredentials::Signed(sign) => {
                sign(self.broker.authority(), self.broker.path.clone()).await?
            }
            ConnectCredentials::Token(token) => token.query(),
        };
        Ok(format!("{}?{query}", self.broker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let token = Token {
            authorizer: Some("platform".into()),
            key: "token".into(),
            token: "a.b+c=".into(),
            signature: Some("c2ln/Q==".into()),
        };
        assert_eq!(
            token.query(),
            "x-amz-customauthorizer-name=platform&x-amz-customauthorizer-signature=c2ln%2FQ%3D%3D&token=a%2Eb%2Bc%3D"
        );
        let token = Token {
            authorizer: None,
            signature: None,
            ..token
        };
        assert_eq!(token.query(), "token=a%2Eb%2Bc%3D");
    }

    #[test]
    fn files_that_are_not_what_they_should_be() {
        let told = |text: &str| {
            let authorities = Pem {
                name: "`ca.pem`".into(),
                text: text.as_bytes().to_vec(),
            };
            let files = TlsFiles {
                authorities: Some(authorities),
                ..TlsFiles::default()
            };
            TlsConfig::try_new(&files).unwrap_err().to_string()
        };
        assert_eq!(told("nothing"), "`ca.pem` holds no certificate");
        let broken = told("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
        assert!(broken.starts_with("`ca.pem` is no PEM file"), "{broken}");
    }
}
