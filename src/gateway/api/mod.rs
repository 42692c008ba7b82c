//! HTTP: the API of `docs/gateway.md` under `/rt/v1`.
//!
//! A request is read, its token and its sealed texts are checked, and the link that serves its session is asked. Every answer says that
//! it must not be stored, held back or changed on its way.

mod body;
pub mod fault;
mod poll;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};

use self::fault::Fault;
use super::bearer::{Bearer, BearerError};
use super::cursor::Cursor;
use super::seal::OpenError;
use super::session::Session;
use super::sessions::{NotServed, Sessions, unix_now};
use crate::shutdown::Shutdown;

/// A gateway, shared by its requests.
pub struct Gateway {
    pub(super) sessions: Arc<Sessions>,
    pub(super) shutdown: Shutdown,
    pub(super) limits: Limits,
}

/// Bounds on what clients may ask for; each by itself, and `None` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Channels of one session.
    pub channels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1_024,
            channels: crate::channel::limits::SUBSCRIPTIONS_PER_CONNECTION,
        }
    }
}

/// A place in a session, opened, with the token that it was shown with.
pub(super) struct Shown {
    pub(super) session: Session,
    pub(super) cursor: Cursor,
    pub(super) bearer: Option<Bearer>,
}

impl Gateway {
    /// A gateway that serves nothing yet. It drains with `shutdown`.
    pub fn new(sessions: Sessions, shutdown: Shutdown, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            sessions: Arc::new(sessions),
            shutdown,
            limits,
        })
    }

    /// The sessions that it serves.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The API, below `/rt/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        let refuse = |allowed: &'static str| {
            any(move || async move {
                let message = format!("this address takes {allowed}");
                let fault = Fault::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    message,
                );
                ([("allow", allowed)], fault).into_response()
            })
        };
        let sessions = refuse("POST, PATCH, DELETE")
            .post(session::create)
            .patch(session::change)
            .delete(session::end);
        Router::new()
            .route("/rt/v1/session", sessions)
            .route("/rt/v1/poll", refuse("POST").merge(post(poll::poll)))
            .route("/rt/v1/ack", refuse("POST").merge(post(poll::acknowledge)))
            .route("/rt/v1/{*rest}", any(unknown))
            .layer(from_fn(marked))
            .with_state(Arc::clone(self))
    }

    /// The token of a request.
    fn bearer(&self, headers: &HeaderMap) -> Result<Option<Bearer>, Fault> {
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

    fn session(&self, text: &str) -> Result<Session, Fault> {
        Session::open(&self.sessions.keys, text, unix_now())
            .map_err(|error| unopened("session", error))
    }

    /// Opens what a request shows, for the bearer whose it is.
    fn shown(&self, headers: &HeaderMap, session: &str, cursor: &str) -> Result<Shown, Fault> {
        let bearer = self.bearer(headers)?;
        let session = self.session(session)?;
        self.check_owner(&session, bearer.as_ref())?;
        let keys = &self.sessions.keys;
        let cursor = Cursor::open(keys, session.serial, cursor, unix_now())
            .map_err(|error| unopened("cursor", error))?;
        Ok(Shown {
            session,
            cursor,
            bearer,
        })
    }

    /// A session is served to its principal alone. Whose a token is, its own words say; the broker proves it before it serves a
    /// session that another token began.
    fn check_owner(&self, session: &Session, bearer: Option<&Bearer>) -> Result<(), Fault> {
        let claims = bearer.and_then(Bearer::claims);
        let name = self.sessions.directory().name(claims);
        let name = name.map_err(Fault::unauthorized)?;
        if name.principal != session.principal {
            return Err(Fault::forbidden(
                "the session is another principal's: make one of your own",
            ));
        }
        Ok(())
    }

    /// What a client is advised to do.
    fn advice(&self) -> Value {
        json!({
            "timeout_s": body::USUAL_WAIT_SECONDS,
            "min_interval_ms": 0,
            "expires_in_s": self.sessions.settings.session_expiry.as_secs(),
        })
    }
}

fn unopened(what: &str, error: OpenError) -> Fault {
    match error {
        OpenError::Broken => Fault::bad_request(format!("the {what} {error}")),
        OpenError::Expired => Fault::gone("the session has expired"),
    }
}

impl From<NotServed> for Fault {
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

async fn unknown() -> Response {
    let message =
        "there are /rt/v1/session, /rt/v1/poll, /rt/v1/ack, /rt/v1/stream and /rt/v1/eventcast.js";
    Fault::new(StatusCode::NOT_FOUND, "not_found", message).into_response()
}

/// Marks every answer for what may stand between here and the client (`docs/gateway.md`, "Proxies").
async fn marked(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let uncached = HeaderValue::from_static("no-store, no-transform");
    headers.entry(CACHE_CONTROL).or_insert(uncached);
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}
