//! Upgrade from HTTP to a WebSocket: `/mqtt`, sub-protocol `mqtt` (or `mqttv3.1`), as on IoT Core.
//!
//! The authorizer decides before the response is sent, so that a client with a bad token or
//! signature receives HTTP's 403, as on IoT Core.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::ListenerContext;
use crate::dev::broker::connection::transport::{WebSocketIo, websocket_config};
use crate::dev::broker::hub::SessionHub;
use crate::dev::sites::SiteRefusal;
use crate::port::{Authentication, AuthenticationRefusal, Identity, Presented, PresentedUpgrade};

/// Path of IoT Core's WebSocket endpoint.
const PATH: &str = "/mqtt";

/// Supported sub-protocols.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

const PROTOCOL_HEADER: &str = "sec-websocket-protocol";

/// Maximum size of a request: a query may have 4,096 bytes, a header 8,192 (iot authorizers'
/// limits).
const LARGEST: usize = 32 * 1024;

/// Timeout for the HTTP request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Refusal of a WebSocket upgrade: the HTTP status, and the reason.
struct UpgradeRefusal(&'static str, String);

impl From<&SiteRefusal> for UpgradeRefusal {
    fn from(refusal: &SiteRefusal) -> Self {
        let status = match refusal {
            SiteRefusal::NoHost => "400 Bad Request",
            SiteRefusal::Host(_) => "421 Misdirected Request",
            SiteRefusal::Origin(_) | SiteRefusal::CrossSite => "403 Forbidden",
        };
        Self(status, refusal.to_string())
    }
}

/// Opens a WebSocket, or answers with the refusal. Also returns the client's identity, where the
/// request proves it.
pub(crate) async fn upgrade<T: AsyncRead + AsyncWrite + Send + Unpin>(
    ListenerContext {
        hub,
        authorizer,
        sites,
    }: &ListenerContext,
    mut io: T,
    presented: &mut Presented,
) -> Option<(WebSocketIo<T>, Option<Identity>)> {
    let source = presented.source;
    let mut arrived = Vec::new();
    let read = timeout(PATIENCE, read_request(&mut io, &mut arrived)).await;
    let (length, request) = match read {
        Ok(Ok(request)) => request,
        Ok(Err(no)) => return refuse(hub, &mut io, source, no).await,
        Err(_) => return None,
    };
    if let Err(foreign) = sites.check(request.method(), request.uri(), request.headers()) {
        return refuse(hub, &mut io, source, UpgradeRefusal::from(&foreign)).await;
    }
    let protocol = match check(&request) {
        Ok(protocol) => protocol,
        Err(no) => return refuse(hub, &mut io, source, no).await,
    };
    presented.upgrade = Some(told(&request));
    let identity = match authorizer.authenticate(presented).await {
        Ok(Authentication::Known(identity)) => Some(identity),
        Ok(Authentication::AtConnect) => None,
        Err(
            AuthenticationRefusal::BadCredentials(why) | AuthenticationRefusal::NothingShown(why),
        ) => {
            return refuse(hub, &mut io, source, UpgradeRefusal("403 Forbidden", why)).await;
        }
        Err(AuthenticationRefusal::Unavailable(why)) => {
            return refuse(
                hub,
                &mut io,
                source,
                UpgradeRefusal("503 Service Unavailable", why),
            )
            .await;
        }
    };
    let answer = answer(&request, protocol)?;
    io.write_all(&answer).await.ok()?;
    let behind = arrived.split_off(length.min(arrived.len()));
    let config = Some(websocket_config(hub.limits.packet_bytes as usize + 16));
    let socket = if behind.is_empty() {
        WebSocketStream::from_raw_socket(io, Role::Server, config).await
    } else {
        WebSocketStream::from_partially_read(io, behind, Role::Server, config).await
    };
    Some((WebSocketIo::new(socket), identity))
}

async fn read_request<T: AsyncRead + Unpin>(
    io: &mut T,
    arrived: &mut Vec<u8>,
) -> Result<(usize, Request), UpgradeRefusal> {
    loop {
        match Request::try_parse(arrived) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if arrived.len() > LARGEST => {
                let why = "the request is too large".to_owned();
                return Err(UpgradeRefusal("431 Request Header Fields Too Large", why));
            }
            Ok(None) => {}
            Err(error) => return Err(UpgradeRefusal("400 Bad Request", error.to_string())),
        }
        let gone = || UpgradeRefusal("400 Bad Request", "the request breaks off".to_owned());
        if io.read_buf(arrived).await.map_err(|_| gone())? == 0 {
            return Err(gone());
        }
    }
}

/// Checks the request and returns the sub-protocol.
fn check(request: &Request) -> Result<&'static str, UpgradeRefusal> {
    if request.uri().path() != PATH {
        let why = format!(
            "there is nothing at `{}`; MQTT over WebSocket is at {PATH}",
            request.uri().path()
        );
        return Err(UpgradeRefusal("404 Not Found", why));
    }
    let offered = request.headers().get_all(PROTOCOL_HEADER).iter();
    let offered = offered.filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|value| value.split(',').map(str::trim));
    let spoken =
        offered.find_map(|offered| PROTOCOLS.into_iter().find(|spoken| *spoken == offered));
    let missing = "the sub-protocol `mqtt` must be offered in Sec-WebSocket-Protocol";
    spoken.ok_or_else(|| UpgradeRefusal("400 Bad Request", missing.to_owned()))
}

fn told(request: &Request) -> PresentedUpgrade {
    let headers = request.headers().iter();
    PresentedUpgrade {
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(str::to_owned),
        headers: headers
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect(),
    }
}

fn answer(request: &Request, protocol: &'static str) -> Option<Vec<u8>> {
    let mut response = create_response(request).ok()?;
    let headers = response.headers_mut();
    headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(protocol));
    let mut out = Vec::new();
    write_response(&mut out, &response).ok()?;
    Some(out)
}

async fn refuse<T: AsyncRead + AsyncWrite + Unpin, R>(
    hub: &SessionHub,
    io: &mut T,
    source: SocketAddr,
    UpgradeRefusal(status, why): UpgradeRefusal,
) -> Option<R> {
    // The client id is unknown before CONNECT.
    hub.turn_away(&"".into(), source, &why);
    let body = format!("{why}\n");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let words = async {
        if io.write_all((head + &body).as_bytes()).await.is_ok() && io.shutdown().await.is_ok() {
            let mut part = [0; 256];
            while io.read(&mut part).await.is_ok_and(|count| count > 0) {}
        }
    };
    // A peer that does not close in time is cut off.
    let _ = timeout(Duration::from_secs(1), words).await;
    None
}
