//! Page of the inspector: files in this binary, and the browser's permissions for them.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Inspector;

macro_rules! files {
    ($($name:literal: $kind:literal,)*) => {
        /// Files of the page, with their content types.
        const FILES: &[(&str, &str, &str)] = &[
            $((concat!("/_dev/page/", $name), $kind, include_str!(concat!("page/", $name))),)*
        ];
    };
}

files! {
    "style.css": "text/css",
    "main.js": "text/javascript",
    "dom.js": "text/javascript",
    "live.js": "text/javascript",
    "list.js": "text/javascript",
    "events.js": "text/javascript",
    "channels.js": "text/javascript",
    "clients.js": "text/javascript",
    "try.js": "text/javascript",
    "snippet.js": "text/javascript",
    "mqtt.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

const INDEX: &str = include_str!("page/index.html");

pub(super) fn router() -> Router<Arc<Inspector>> {
    let mut router = Router::new().route("/", get(index));
    for (path, kind, text) in FILES {
        router = router.route(path, get(async move || file(kind, text)));
    }
    router
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        // Another version of the binary has other files at the same URL.
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

async fn index(State(inspector): State<Arc<Inspector>>, headers: HeaderMap) -> Response {
    let mut response = file("text/html; charset=utf-8", INDEX);
    let policy = policy(
        host(&headers).unwrap_or_default(),
        inspector.websocket_port(),
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Builds the Content-Security-Policy: the page may load and reach itself, and the broker's
/// WebSocket on the same host. No content of an event or a topic can become a script or a style.
fn policy(host: &str, websocket_port: Option<u16>) -> String {
    let broker = websocket_port.map_or_else(String::new, |port| format!(" ws://{host}:{port}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{broker}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// Returns the host of a request, without the port; `None` where it is missing or invalid.
fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let name = match host.strip_prefix('[') {
        Some(_) => host.split_inclusive(']').next()?,
        None => host.split(':').next()?,
    };
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    name.chars().all(fits).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, text.parse().unwrap());
            host(&headers).map(str::to_owned)
        };
        assert_eq!(host("localhost:4566").as_deref(), Some("localhost"));
        assert_eq!(host("[::1]:4566").as_deref(), Some("[::1]"));
        assert_eq!(host("127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(host("x; script-src *"), None);
    }

    #[test]
    fn nothing_of_the_page_is_inline() {
        for word in [
            "<style",
            "style=",
            "onclick",
            "onload",
            "javascript:",
            "http://",
            "https://",
        ] {
            assert!(!INDEX.contains(word), "{word}");
        }
        for (path, _, text) in FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "https://",
            ] {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
        insta::assert_snapshot!(policy("localhost", Some(9001)));
    }
}
