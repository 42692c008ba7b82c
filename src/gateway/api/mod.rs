//! HTTP: the API of `docs/gateway.md` under `/rt/v1`.
//!
//! A request is read, its token and its sealed texts are checked, and the link that serves its
//! session is asked. Every answer says that it must not be stored, held back or changed on its way.

pub mod body;
pub mod cors;
pub mod fault;
mod module;
mod poll;
mod session;
mod sse;
mod stream;
mod ticket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Extensions, HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::cors::{Origins, cors};
use self::fault::ApiFault;
use self::ticket::UsedTickets;
use super::bearer::{Bearer, BearerError};
use super::cursor::Cursor;
use super::limits::{LimitName, Limits, Rates};
use super::metrics::GatewayMetrics;
use super::seal::OpenError;
use super::session::GatewaySession;
use super::sessions::{NotServed, Sessions, unix_now};
use crate::http_server::PeerAddress;
use crate::shutdown::Shutdown;

/// A gateway, shared by its requests.
pub struct Gateway {
    pub(super) sessions: Arc<Sessions>,
    pub(super) shutdown: Shutdown,
    pub(super) options: GatewayOptions,
    rates: Rates,
    used_tickets: UsedTickets,
}

/// Whom a gateway serves, and with how much.
pub struct GatewayOptions {
    /// Limits of clients.
    pub limits: Limits,
    /// Origins whose pages are served.
    pub origins: Origins,
    /// `true` where the last address in `X-Forwarded-For` is the client's: a load balancer before
    /// the gateway has added it.
    pub is_forwarded: bool,
}

/// A place in a session, opened, with the token that it was shown with.
pub(super) struct Shown {
    pub(super) session: GatewaySession,
    pub(super) cursor: Cursor,
    pub(super) bearer: Option<Bearer>,
}

impl Gateway {
    /// A gateway that serves nothing yet. It drains with `shutdown`.
    pub fn new(sessions: Sessions, shutdown: Shutdown, options: GatewayOptions) -> Arc<Self> {
        Arc::new(Self {
            sessions: Arc::new(sessions),
            shutdown,
            rates: Rates::new(&options.limits),
            options,
            used_tickets: UsedTickets::default(),
        })
    }

    /// The sessions that it serves.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Its metrics.
    pub fn metrics(&self) -> &GatewayMetrics {
        &self.sessions.metrics
    }

    /// The API, below `/rt/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        let sessions = post(session::create)
            .patch(session::change)
            .delete(session::end);
        let only = |allowed: &'static str| move || async move { not_allowed(allowed) };
        Router::new()
            .route(
                "/rt/v1/session",
                sessions.fallback(only("POST, PATCH, DELETE")),
            )
            .route("/rt/v1/poll", post(poll::poll).fallback(only("POST")))
            .route("/rt/v1/ack", post(poll::acknowledge).fallback(only("POST")))
            .route("/rt/v1/stream", post(stream::stream).fallback(only("POST")))
            .route(
                "/rt/v1/stream/ticket",
                post(ticket::issue).fallback(only("POST")),
            )
            .route(
                "/rt/v1/stream/{place}",
                get(ticket::open).fallback(only("GET")),
            )
            .route(
                "/rt/v1/eventcast.js",
                get(module::module).fallback(only("GET")),
            )
            .route(
                "/rt/v1/eventcast.d.ts",
                get(module::types).fallback(only("GET")),
            )
            .route("/rt/v1/{*rest}", any(unknown))
            .layer(from_fn_with_state(self.options.origins.clone(), cors))
            .layer(from_fn_with_state(Arc::clone(self), marked))
            .with_state(Arc::clone(self))
    }

    /// The token of a request.
    fn bearer(&self, headers: &HeaderMap) -> Result<Option<Bearer>, ApiFault> {
        let asks = self.sessions.directory().asks_for_tokens();
        let bearer = match headers.get(AUTHORIZATION) {
            Some(header) => Some(Bearer::parse(header.as_bytes())?),
            None if asks => return Err(BearerError::Missing.into()),
            None => None,
        };
        if bearer.as_ref().is_some_and(|it| it.is_expired(unix_now())) {
            return Err(BearerError::Expired.into());
        }
        Ok(bearer)
    }

    fn session(&self, text: &str) -> Result<GatewaySession, ApiFault> {
        GatewaySession::open(&self.sessions.keys, text, unix_now())
            .map_err(|error| unopened("session", error))
    }

    /// Opens the session and the cursor of a request, for the bearer that owns them.
    fn shown(&self, headers: &HeaderMap, session: &str, cursor: &str) -> Result<Shown, ApiFault> {
        let bearer = self.bearer(headers)?;
        let session = self.session(session)?;
        self.check_owner(&session, bearer.as_ref())?;
        self.check_rate(&session)?;
        let keys = &self.sessions.keys;
        let cursor = Cursor::open(keys, session.serial, cursor, unix_now())
            .map_err(|error| unopened("cursor", error))?;
        Ok(Shown {
            session,
            cursor,
            bearer,
        })
    }

    /// A session is served to its principal alone. A token's own claims name its owner; the broker
    /// proves them before it serves a session that another token began.
    fn check_owner(
        &self,
        session: &GatewaySession,
        bearer: Option<&Bearer>,
    ) -> Result<(), ApiFault> {
        let claims = bearer.and_then(Bearer::claims);
        let name = self.sessions.directory().name(claims);
        let name = name.map_err(ApiFault::unauthorized)?;
        if name.principal != session.principal {
            return Err(ApiFault::forbidden(
                "the session is another principal's: make one of your own",
            ));
        }
        Ok(())
    }

    /// Counts a request for the session's principal: a session proves its owner.
    fn check_rate(&self, session: &GatewaySession) -> Result<(), ApiFault> {
        let principal = session.principal.clone();
        let taken = self.rates.principals.take(principal, Instant::now());
        taken.map_err(|wait| self.limited(LimitName::RequestsPerSecond, wait))
    }

    /// One of the sessions that an address may ask for. A request without an address comes from
    /// within the process.
    fn check_address(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), ApiFault> {
        let Some(address) = self.address(headers, extensions) else {
            return Ok(());
        };
        let taken = self.rates.addresses.take(address, Instant::now());
        taken.map_err(|wait| self.limited(LimitName::SessionsPerSecond, wait))
    }

    /// Address of a client. Of `X-Forwarded-For` the last entry counts, which the load balancer has
    /// seen itself: the client may have made up the entries before it.
    fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
        if !self.options.is_forwarded {
            return peer;
        }
        let last = headers.get_all("x-forwarded-for").iter().next_back();
        let last = last.and_then(|value| value.to_str().ok());
        let last = last.and_then(|value| value.rsplit(',').next());
        let written = last.map(str::trim);
        let address = written.and_then(|text| text.parse::<IpAddr>().ok());
        let with_port = || written?.parse::<SocketAddr>().ok().map(|it| it.ip());
        address.or_else(with_port).or(peer)
    }

    /// The refusal by a limit.
    fn limited(&self, limit: LimitName, wait: Duration) -> ApiFault {
        self.metrics().limited(limit);
        ApiFault::quota(limit.as_str(), wait)
    }

    /// Advice for a client.
    fn advice(&self) -> Value {
        json!({
            "timeout_s": body::USUAL_WAIT_SECONDS,
            "min_interval_ms": 0,
            "expires_in_s": self.sessions.settings.session_expiry.as_secs(),
        })
    }
}

fn unopened(what: &str, error: OpenError) -> ApiFault {
    match error {
        OpenError::Broken => ApiFault::bad_request(format!("the {what} {error}")),
        OpenError::Expired => ApiFault::gone("the session has expired"),
    }
}

impl From<NotServed> for ApiFault {
    fn from(why: NotServed) -> Self {
        match why {
            NotServed::Superseded => Self::superseded(),
            NotServed::NoRandomness => Self::full("the system has no random numbers"),
            NotServed::Over(end) => Self::of_end(end),
        }
    }
}

/// An answer of JSON in one piece: its length says whether all of it has come.
fn answer(status: StatusCode, body: impl Into<axum::body::Bytes>) -> Response {
    let content = [(CONTENT_TYPE, "application/json")];
    (status, content, body.into()).into_response()
}

fn not_allowed(allowed: &'static str) -> Response {
    let message = format!("this address takes {allowed}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let fault = ApiFault::new(status, "method_not_allowed", message);
    ([("allow", allowed)], fault).into_response()
}

async fn unknown() -> Response {
    let message = "the API has /rt/v1/session, poll, ack, stream, stream/ticket, eventcast.js and eventcast.d.ts";
    ApiFault::new(StatusCode::NOT_FOUND, "not_found", message).into_response()
}

/// The name of an endpoint, for metrics.
fn endpoint(method: &Method, path: &str) -> &'static str {
    match (path.strip_prefix("/rt/v1/").unwrap_or_default(), method) {
        ("session", &Method::POST) => "session_create",
        ("session", &Method::PATCH) => "session_change",
        ("session", &Method::DELETE) => "session_end",
        ("poll", _) => "poll",
        ("ack", _) => "ack",
        ("stream", _) => "stream",
        ("stream/ticket", _) => "ticket",
        ("eventcast.js" | "eventcast.d.ts", _) => "module",
        (other, _) if other.starts_with("stream/") => "ticket_stream",
        _ => "other",
    }
}

/// Marks every answer for proxies between here and the client (`docs/gateway.md`, "Proxies"), and
/// counts it.
async fn marked(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let endpoint = endpoint(request.method(), request.uri().path());
    let mut response = next.run(request).await;
    gateway
        .metrics()
        .answered(endpoint, response.status().as_u16());
    let headers = response.headers_mut();
    let uncached = HeaderValue::from_static("no-store, no-transform");
    headers.entry(CACHE_CONTROL).or_insert(uncached);
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}
