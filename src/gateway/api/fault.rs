//! The answer to a request that cannot be done: a status, a word, a sentence that says what to do.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::super::bearer::BearerError;
use super::super::link::LinkEnd;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiFault {
    /// The status.
    pub status: StatusCode,
    /// A word of a closed set.
    pub code: &'static str,
    /// The fault, and its cure.
    pub message: String,
    /// `true` where the client has to load a snapshot and make a new session.
    pub resync: bool,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
}

/// Time that a client waits before it asks a broker again that failed, in seconds.
const BROKER_RETRY_SECONDS: u64 = 2;

impl ApiFault {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            resync: false,
            retry_after: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn superseded() -> Self {
        let message = "a newer poll or stream holds the session: do not repeat this one";
        Self::new(StatusCode::CONFLICT, "superseded", message)
    }

    pub(super) fn gone(why: &str) -> Self {
        let message = format!("{why}: load a snapshot, and make a new session");
        Self {
            resync: true,
            ..Self::new(StatusCode::GONE, "gone", message)
        }
    }

    pub(super) fn quota(limit: &'static str, wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let message = format!("the limit {limit} is reached: wait as Retry-After says");
        Self {
            retry_after: Some(seconds.max(1)),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "quota", message)
        }
    }

    pub(super) fn draining() -> Self {
        let message = "this task ends: ask again, and another one answers";
        Self {
            retry_after: Some(0),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message)
        }
    }

    pub(super) fn full(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(BROKER_RETRY_SECONDS),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "full", message)
        }
    }

    /// The refusal of a request whose link is over.
    pub(super) fn of_end(end: LinkEnd) -> Self {
        let retry = |status, code, message: String| Self {
            retry_after: Some(BROKER_RETRY_SECONDS),
            ..Self::new(status, code, message)
        };
        match end {
            LinkEnd::Unauthorized(why) | LinkEnd::NotAllowed(why) => {
                Self::unauthorized(format!("the token is refused: {why}"))
            }
            LinkEnd::Forbidden(filter) => Self::forbidden(format!(
                "`{filter}` is granted no more: make a new session without it"
            )),
            LinkEnd::Gone => Self::gone("the broker has the session no more"),
            LinkEnd::Busy(why) => retry(StatusCode::SERVICE_UNAVAILABLE, "full", why.into()),
            LinkEnd::Unreachable(why) | LinkEnd::Lost(why) => {
                let message = format!("the broker cannot be reached: {why}; ask again");
                retry(StatusCode::BAD_GATEWAY, "broker", message)
            }
            LinkEnd::TakenOver => Self::superseded(),
            LinkEnd::Closed => retry(
                StatusCode::BAD_GATEWAY,
                "broker",
                "the connection was closed meanwhile: ask again".into(),
            ),
        }
    }

    /// As JSON.
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("error".into(), self.code.into());
        body.insert("message".into(), self.message.clone().into());
        if self.resync {
            body.insert("resync".into(), true.into());
        }
        body.into()
    }
}

impl From<BearerError> for ApiFault {
    fn from(error: BearerError) -> Self {
        Self::unauthorized(error.to_string())
    }
}

impl IntoResponse for ApiFault {
    fn into_response(self) -> Response {
        let content = [(CONTENT_TYPE, "application/json")];
        let mut response = (self.status, content, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3: a request without a token gets the scheme alone.
            let challenge = if self.message.starts_with("no token") {
                "Bearer realm=\"eventcast\""
            } else {
                "Bearer realm=\"eventcast\", error=\"invalid_token\""
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}
