//! The browser module, as the repository has it in `browser/`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ring::digest::{SHA256, digest};

const MODULE: &[u8] = include_bytes!("../../../browser/eventcast.js");
const TYPES: &[u8] = include_bytes!("../../../browser/eventcast.d.ts");

static MODULE_TAG: LazyLock<String> = LazyLock::new(|| tag(MODULE));
static TYPES_TAG: LazyLock<String> = LazyLock::new(|| tag(TYPES));

/// A strong entity tag (RFC 9110, section 8.8.3).
fn tag(content: &[u8]) -> String {
    let hash = digest(&SHA256, content);
    let mut tag = String::from("\"");
    for byte in hash.as_ref().iter().take(12) {
        // A text takes what is written.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

pub(super) async fn module(headers: HeaderMap) -> Response {
    file(
        &headers,
        MODULE,
        &MODULE_TAG,
        "text/javascript; charset=utf-8",
    )
}

pub(super) async fn types(headers: HeaderMap) -> Response {
    file(
        &headers,
        TYPES,
        &TYPES_TAG,
        "application/typescript; charset=utf-8",
    )
}

fn file(
    headers: &HeaderMap,
    content: &'static [u8],
    tag: &'static str,
    kind: &'static str,
) -> Response {
    // Kept, and asked for anew with its tag: a page never runs with an old module after a
    // deployment.
    let marks = [(CACHE_CONTROL, "no-cache, no-transform"), (ETAG, tag)];
    let known = headers.get_all(IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(','));
    if known.any(|known| known.trim().trim_start_matches("W/") == tag) {
        return (StatusCode::NOT_MODIFIED, marks).into_response();
    }
    (marks, [(CONTENT_TYPE, kind)], content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_kept_by_its_tag() {
        let ask = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, tag.parse().unwrap());
            file(&headers, MODULE, &MODULE_TAG, "text/javascript").status()
        };
        assert_eq!(ask("\"other\""), StatusCode::OK);
        assert_eq!(ask(&MODULE_TAG), StatusCode::NOT_MODIFIED);
        assert_eq!(
            ask(&format!("\"a\", W/{}", &*MODULE_TAG)),
            StatusCode::NOT_MODIFIED
        );
        assert_ne!(*MODULE_TAG, *TYPES_TAG);
    }
}
