//! Guard of every service on the HTTP port: refuses requests by the rules of [`AllowedSites`], and
//! grants CORS to listed origins.
//!
//! CORS (Fetch Standard, "CORS protocol") is granted to origins of `--allow-origin` alone: other
//! pages on this machine may send requests and cannot read the answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::sites::{AllowedSites, SiteRefusal};
use crate::log_limit::LogLimit;

static REFUSED: LogLimit<()> = LogLimit::new();

/// Header that stops nginx from buffering a response.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Seconds for which a browser caches the answer to a preflight request.
const PREFLIGHT_AGE_SECONDS: &str = "600";

/// Header of a preflight for a page on the public network that calls this machine (WICG, "Private
/// Network Access").
const REQUEST_PRIVATE: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Refuses as [`guard`] does, in the gateway's own form; the gateway grants CORS itself.
pub(super) async fn check(
    State(sites): State<Arc<AllowedSites>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(refusal) = refused(&sites, &request) else {
        return next.run(request).await;
    };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store, no-transform"),
        (X_ACCEL_BUFFERING, "no"),
        (VARY, "origin"),
    ];
    let body = serde_json::json!({ "error": "forbidden", "message": refusal.to_string() });
    (refusal.status(), headers, body.to_string()).into_response()
}

fn refused(sites: &AllowedSites, request: &Request) -> Option<SiteRefusal> {
    let refusal = sites
        .check(request.method(), request.uri(), request.headers())
        .err()?;
    if let Some(suppressed) = REFUSED.admit(()) {
        tracing::warn!(%refusal, suppressed, "HTTP request refused");
    }
    Some(refusal)
}

/// Answers a request, or refuses it before any service sees it.
pub(super) async fn guard(
    State(sites): State<Arc<AllowedSites>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(refusal) = refused(&sites, &request) {
        return refuse(&refusal, request.headers());
    }
    let Some(origin) = sites.readable_by(request.headers()) else {
        return next.run(request).await;
    };
    let origin = HeaderValue::from_str(origin).ok();
    let headers = request.headers();
    let is_preflight =
        request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        preflight(headers)
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_name(ORIGIN));
    response
}

/// Allows everything that a page may request: a listed origin is trusted like a program on this
/// machine.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"),
    );
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if asked.contains_key(REQUEST_PRIVATE) {
        headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
    headers.insert(
        ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(PREFLIGHT_AGE_SECONDS),
    );
    response
}

/// Builds a refusal in the protocol of an SDK where one sent the request, else as text.
fn refuse(refusal: &SiteRefusal, headers: &HeaderMap) -> Response {
    let status = refusal.status();
    if headers.contains_key("x-amz-target") {
        let body = serde_json::json!({ "__type": "AccessDeniedException", "message": refusal.to_string() });
        let content = [(CONTENT_TYPE, "application/x-amz-json-1.1")];
        return (status, content, body.to_string()).into_response();
    }
    (status, format!("{refusal}\n")).into_response()
}
