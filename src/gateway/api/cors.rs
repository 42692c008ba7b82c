//! Origins whose pages may use the gateway (Fetch Standard, "CORS protocol"), and the refusal of
//! all others.
//!
//! Browsers keep the answer to a preflight request for two hours at most. Credentials are for
//! tickets alone: everything else shows a token in a header, and a page of another origin could not
//! read it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::fault::ApiFault;

/// Seconds that a browser keeps the answer to a preflight request; Chromium keeps it for two hours
/// at most.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins whose pages are served.
#[derive(Clone)]
pub enum Origins {
    /// These, such as `https://shop.example`; and the gateway's own.
    Listed(Arc<[String]>),
    /// The origins that something before the gateway lets through, which knows which of them may
    /// read answers.
    Checked(Arc<dyn Fn(&HeaderMap) -> bool + Send + Sync>),
}

impl Origins {
    /// Returns `true` where a page of the request's origin may read the answer; `Err` where it may
    /// not even ask.
    fn allow(&self, headers: &HeaderMap) -> Result<bool, ApiFault> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(false);
        };
        let origin = origin.to_str().unwrap_or_default();
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let own = origin.split_once("://").map(|(_, host)| host);
        if own.is_some() && own == host {
            return Ok(true);
        }
        match self {
            Self::Checked(check) => Ok(check(headers)),
            Self::Listed(listed) if listed.iter().any(|known| known == origin) => Ok(true),
            Self::Listed(_) => Err(ApiFault::forbidden(
                "pages of this origin are not served: gateway.origins lists those that are",
            )),
        }
    }
}

pub(super) async fn cors(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN);
    // A copy: a clone is a slice of the connection's read buffer, and keeps it while a poll waits.
    let origin = origin.and_then(|origin| HeaderValue::from_bytes(origin.as_bytes()).ok());
    let with_credentials = request.uri().path().starts_with("/rt/v1/stream/");
    let allowed = origins.allow(request.headers());
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &allowed {
        Err(fault) => fault.clone().into_response(),
        Ok(true) if is_preflight => preflight(),
        Ok(_) => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_name(ORIGIN));
    let (Ok(true), Some(origin)) = (allowed, origin) else {
        return response;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed = HeaderValue::from_static("location, retry-after, www-authenticate");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    if with_credentials {
        let yes = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    response
}

fn preflight() -> Response {
    let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE");
    let names = HeaderValue::from_static("authorization, content-type, last-event-id");
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, names),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
