//! The question that IoT Core asks a custom authorizer, as far as it is of use here.
//!
//! AWS IoT Core developer guide, "Defining your Lambda function": members that are not relevant are
//! left out, and which those are differs between protocols. So every member may be missing, null or
//! of another type, which counts as missing, and unknown ones are ignored.
//!
//! ```json
//! {"token": "…", "signatureVerified": true, "protocols": ["tls", "http", "mqtt"],
//!  "protocolData": {"tls": {"serverName": "x.iot.eu-central-1.amazonaws.com"},
//!                   "http": {"headers": {"name": "value"}, "queryString": "?name=value"},
//!                   "mqtt": {"username": "anybody", "password": "aGVsbG8=", "clientId": "phone"}},
//!  "connectionMetadata": {"id": "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11"}}
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::answer::principal_id;
use super::presented_token;
use crate::port::{Presented, PresentedLogin, PresentedTls, PresentedUpgrade};

/// One question. Tokens and passwords are in here: it has no `Debug`.
pub struct ConnectQuestion {
    /// The token that IoT Core took out of a query string or a header by the name `tokenKeyName`.
    token: Option<String>,
    presented: Presented,
    certificate: Option<String>,
    connection: Option<String>,
}

impl ConnectQuestion {
    /// Reads a question; `None` for a value that is no object.
    pub fn read(event: &Value) -> Option<Self> {
        event.as_object()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let data = |protocol: &str| {
            let data = event.get("protocolData")?.get(protocol)?;
            data.is_object().then_some(data)
        };
        let login = data("mqtt").map(|mqtt| PresentedLogin {
            client_id: mqtt.get("clientId").and_then(text).unwrap_or_default(),
            user_name: mqtt.get("username").and_then(text),
            password: mqtt
                .get("password")
                .and_then(Value::as_str)
                .map(|password| password_bytes(password).into()),
        });
        let upgrade = data("http").map(|http| PresentedUpgrade {
            path: String::new(),
            query: http
                .get("queryString")
                .and_then(Value::as_str)
                .map(|query| query.trim_start_matches('?').to_owned()),
            headers: headers(http.get("headers")),
        });
        let server_name = data("tls").and_then(|tls| tls.get("serverName").and_then(text));
        Some(Self {
            token: event.get("token").and_then(text),
            presented: Presented {
                // IoT Core does not say it.
                source: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                tls: server_name.map(|name| PresentedTls {
                    server_name: Some(name),
                    ..PresentedTls::default()
                }),
                upgrade,
                login,
            },
            certificate: data("tls")
                .and_then(|tls| tls.get("principalId").and_then(text))
                .filter(|id| principal_id(id) == *id),
            connection: event
                .get("connectionMetadata")
                .and_then(|metadata| metadata.get("id"))
                .and_then(text),
        })
    }

    /// The token, wherever the client put it.
    pub(super) fn token(&self, token_key: &str) -> Option<String> {
        let own = self.token.clone().filter(|token| !token.is_empty());
        own.or_else(|| presented_token::find(&self.presented, token_key))
    }

    /// The client id, where CONNECT has come and has one.
    pub(super) fn client_id(&self) -> Option<&str> {
        let login = self.presented.login.as_ref()?;
        Some(&*login.client_id).filter(|id| !id.is_empty())
    }

    /// The id of the certificate that the client showed as well. The answer's principal must be
    /// this (AWS IoT Core developer guide, "Custom authentication with X.509 client certificates").
    pub(super) fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// The id by which IoT Core's logs name the connection.
    pub(super) fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }
}

/// The bytes of a password, which IoT Core writes in Base64. A token has dots, which Base64 has
/// not: one that is written as it is is taken as it is, for events that people write.
fn password_bytes(password: &str) -> Vec<u8> {
    if password.contains('.') {
        return password.as_bytes().to_vec();
    }
    STANDARD
        .decode(password)
        .unwrap_or_else(|_| password.as_bytes().to_vec())
}

fn headers(headers: Option<&Value>) -> Vec<(String, String)> {
    let Some(Value::Object(headers)) = headers else {
        return Vec::new();
    };
    let texts = headers.iter().filter_map(|(name, value)| {
        let value = value.as_str()?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    });
    texts.collect()
}
