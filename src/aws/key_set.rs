//! An issuer's key set, fetched from its address over the SDK's HTTP client, so that the process
//! has one TLS stack with one set of root certificates. Nothing is signed, and no redirect is
//! followed.

use std::fmt;
use std::sync::OnceLock;

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;

use super::causes::causes;
use super::client::connector;
use crate::port::{KeySetAnswer, KeySetSource};

/// The most bytes of a key set. Microsoft Entra's, with certificates, has about 20,000.
const MAX_BYTES: usize = 256 << 10;

/// A key set at an address.
pub struct HttpsKeySet {
    url: String,
    /// Reading the root certificates takes milliseconds, so it waits for the first fetch.
    connector: OnceLock<Connector>,
}

impl fmt::Debug for HttpsKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl HttpsKeySet {
    /// The key set at an address that the configuration has checked.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connector: OnceLock::new(),
        }
    }

    async fn get(&self) -> Result<String, String> {
        let mut request = HttpRequest::empty();
        let built = request
            .set_method("GET")
            .and(request.set_uri(self.url.as_str()));
        built.map_err(|error| error.to_string())?;
        request
            .headers_mut()
            .insert("accept", "application/json, application/jwk-set+json");
        let connector = self.connector.get_or_init(connector);
        let response = connector.call(request).await;
        let response = response.map_err(|error| causes(&error))?;
        let status = response.status().as_u16();
        match status {
            200 => {}
            300..=399 => return Err(format!("HTTP {status}: redirects are not followed")),
            _ => return Err(format!("HTTP {status}")),
        }
        let mut body = ByteStream::new(response.into_body());
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| causes(&error))?;
            if bytes.len() + part.len() > MAX_BYTES {
                return Err(format!("more than {MAX_BYTES} bytes"));
            }
            bytes.extend_from_slice(&part);
        }
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }
}

impl KeySetSource for HttpsKeySet {
    fn fetch(&self) -> KeySetAnswer<'_> {
        Box::pin(async {
            let answer = self.get().await;
            answer.map_err(|why| format!("`{}`: {why}", self.url))
        })
    }
}
