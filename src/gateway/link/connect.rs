//! Opening a connection: TCP, TLS, CONNECT with the client's own token, CONNACK.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use super::LinkEnd;
use super::transport::BrokerStream;
use crate::broker::BrokerAddress;
use crate::channel::limits::{PACKET_BYTES, UNACKNOWLEDGED_PER_CONNECTION};
use crate::gateway::bearer::Bearer;
use crate::wire::answer::{ServerPacket, answer};
use crate::wire::request::{self, ConnectRequest};
use crate::wire::{ReasonCode, frame};

/// The largest packet that is read: IoT Core's, and some for brokers without limits.
pub(super) const LARGEST_PACKET: usize = PACKET_BYTES as usize + 16 * 1_024;

/// The user property by which brokers and logs distinguish these connections from others, and its
/// value.
pub const LABEL: (&str, &str) = ("eventcast", "gateway");

/// Settings of the broker for clients.
#[derive(Clone)]
pub struct BrokerSettings {
    /// Its address: MQTT over TCP or TLS.
    pub broker: BrokerAddress,
    /// TLS, where the broker's address asks for it.
    pub tls: Option<Arc<ClientConfig>>,
    /// The custom authorizer's name; without one the account's default authorizer decides.
    pub authorizer: Option<String>,
    /// The name under which the authorizer looks for the token in the MQTT user name; without one
    /// the token is the password.
    pub token_key: Option<String>,
    /// Time that the broker keeps a session without a connection.
    pub session_expiry: Duration,
    /// The keep-alive asked for.
    pub keep_alive: Duration,
    /// Time that a connection attempt may take.
    pub connect_timeout: Duration,
    /// The least time between two CONNECTs of one client id.
    pub connect_interval: Duration,
    /// Time that a connection stays open that nobody polls.
    pub linger: Duration,
    /// Time after which the broker is asked again for the channels of a connection. A grant that is
    /// removed ends deliveries without a word; a refused SUBSCRIBE says so.
    pub grants_interval: Duration,
}

/// A connection that the broker has let in.
pub(super) struct Opened {
    pub(super) stream: BrokerStream,
    /// Bytes that came after CONNACK.
    pub(super) input: BytesMut,
    pub(super) session_present: bool,
    pub(super) keep_alive: Duration,
}

impl BrokerSettings {
    /// For a broker on plain TCP, with IoT Core's limits.
    pub fn plain(broker: BrokerAddress) -> Self {
        Self {
            broker,
            tls: None,
            authorizer: None,
            token_key: None,
            session_expiry: Duration::from_secs(300),
            keep_alive: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            connect_interval: Duration::from_secs(10),
            linger: Duration::from_secs(30),
            grants_interval: Duration::from_secs(900),
        }
    }

    /// User name and password of CONNECT (AWS IoT Core developer guide, "Connecting to AWS IoT Core
    /// by using custom authentication": the user name's query names the authorizer, and the
    /// password is handed to it as it is).
    fn credentials(&self, bearer: Option<&Bearer>) -> (Option<String>, Option<String>) {
        let Some(bearer) = bearer else {
            return (None, None);
        };
        let escaped = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let mut pairs = Vec::new();
        if let Some(name) = &self.authorizer {
            pairs.push(format!("x-amz-customauthorizer-name={}", escaped(name)));
        }
        if let Some(key) = &self.token_key {
            pairs.push(format!("{key}={}", escaped(bearer.text())));
        }
        let password = self.token_key.is_none().then(|| bearer.text().to_owned());
        let user_name = if pairs.is_empty() {
            "eventcast".to_owned()
        } else {
            format!("?{}", pairs.join("&"))
        };
        (Some(user_name), password)
    }

    /// Opens a connection within the time for it.
    pub(super) async fn open(
        &self,
        client_id: &str,
        bearer: Option<&Bearer>,
        clean_start: bool,
    ) -> Result<Opened, LinkEnd> {
        let lost = |error: std::io::Error| LinkEnd::Unreachable(error.to_string().into());
        let opening = async {
            let (host, port) = (&self.broker.host, self.broker.port);
            let tls = self.tls.clone();
            let mut stream = BrokerStream::open(host, port, tls).await.map_err(lost)?;
            let (user_name, password) = self.credentials(bearer);
            let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            let request = ConnectRequest {
                clean_start,
                keep_alive: u16::try_from(self.keep_alive.as_secs()).unwrap_or(u16::MAX),
                client_id,
                user_name: user_name.as_deref(),
                password: password.as_deref().map(str::as_bytes),
                session_expiry: seconds(self.session_expiry),
                receive_maximum: UNACKNOWLEDGED_PER_CONNECTION,
                packet_bytes: PACKET_BYTES,
                user_properties: &[LABEL],
            };
            let mut out = BytesMut::new();
            request::connect(&mut out, &request)
                .map_err(|error| LinkEnd::Unauthorized(error.to_string().into()))?;
            stream.send(&out).await.map_err(lost)?;
            self.connack(stream).await
        };
        match timeout(self.connect_timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(LinkEnd::Unreachable("the broker does not answer".into())),
        }
    }

    async fn connack(&self, mut stream: BrokerStream) -> Result<Opened, LinkEnd> {
        let mut input = BytesMut::new();
        let broken = |breach: crate::wire::ProtocolError| LinkEnd::Unreachable(breach.what.into());
        let found = loop {
            if let Some(found) = frame(&input, LARGEST_PACKET).map_err(broken)? {
                break found;
            }
            let filled = stream.fill(&mut input).await;
            filled.map_err(|error| LinkEnd::Unreachable(error.to_string().into()))?;
        };
        let body = input.get(found.begin..found.end).unwrap_or_default();
        let ServerPacket::Connected(connected) = answer(found.header, body).map_err(broken)? else {
            return Err(LinkEnd::Unreachable(
                "the broker does not begin with CONNACK".into(),
            ));
        };
        if connected.reason != 0 {
            return Err(refused(connected.reason, connected.why));
        }
        let session_present = connected.session_present;
        let granted = connected.keep_alive.map(u64::from).map(Duration::from_secs);
        input.advance(found.end);
        Ok(Opened {
            stream,
            input,
            session_present,
            keep_alive: granted.unwrap_or(self.keep_alive),
        })
    }
}

/// Meaning of a CONNACK that refuses.
fn refused(reason: u8, why: Option<&str>) -> LinkEnd {
    let words = why.unwrap_or("the broker gives no reason");
    let says = format!("the broker refuses the connection with 0x{reason:02X}: {words}").into();
    let is = |known: ReasonCode| known.code() == reason;
    if is(ReasonCode::BadCredentials) {
        LinkEnd::Unauthorized(says)
    } else if is(ReasonCode::NotAuthorized) {
        LinkEnd::NotAllowed(says)
    } else if is(ReasonCode::QuotaExceeded) || reason == 0x89 || reason == 0x9F {
        // Server busy, connection rate exceeded (MQTT 5.0, section 3.2.2.2).
        LinkEnd::Busy(says)
    } else {
        LinkEnd::Unreachable(says)
    }
}
