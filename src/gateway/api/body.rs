//! Requests' bodies: JSON with known members, of a bounded size.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::fault::ApiFault;

/// Time that a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that a poll may wait, in seconds.
pub(super) const MAX_WAIT_SECONDS: u64 = 50;

/// Time that a poll waits unless its client says otherwise: shorter than the time-outs of proxies
/// (`docs/gateway.md`).
pub(super) const USUAL_WAIT_SECONDS: u64 = 25;

/// The most messages of one answer.
pub(super) const MAX_MESSAGES: usize = 100;

/// `POST /rt/v1/session`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSession {
    pub(super) channels: Vec<Box<str>>,
    /// The MQTT client id, where the client also connects by itself: its session at the broker goes
    /// on.
    #[serde(default)]
    pub(super) client_id: Option<Box<str>>,
}

/// `POST /rt/v1/poll`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PollRequest {
    pub(super) session: Box<str>,
    pub(super) cursor: Box<str>,
    #[serde(default)]
    timeout_s: Option<u64>,
    #[serde(default)]
    max: Option<u64>,
}

/// A session with a cursor: streams, tickets and acknowledgements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionPlace {
    pub(super) session: Box<str>,
    pub(super) cursor: Box<str>,
}

/// `PATCH /rt/v1/session`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelChange {
    pub(super) session: Box<str>,
    /// The client's cursor, where it has one: after it, another task can go on.
    #[serde(default)]
    pub(super) cursor: Option<Box<str>>,
    #[serde(default)]
    pub(super) add: Vec<Box<str>>,
    #[serde(default)]
    pub(super) remove: Vec<Box<str>>,
}

/// `DELETE /rt/v1/session`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Farewell {
    pub(super) session: Box<str>,
}

impl PollRequest {
    /// Time to wait, clamped to the allowed range.
    pub(super) fn wait(&self) -> Duration {
        let seconds = self.timeout_s.unwrap_or(USUAL_WAIT_SECONDS);
        Duration::from_secs(seconds.min(MAX_WAIT_SECONDS))
    }

    /// Number of messages that to return at most.
    pub(super) fn most(&self) -> usize {
        let most = self.max.and_then(|most| usize::try_from(most).ok());
        most.unwrap_or(MAX_MESSAGES).clamp(1, MAX_MESSAGES)
    }
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, ApiFault> {
    let content = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let essence = content.and_then(|content| content.split(';').next());
    if !essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json")) {
        // Pages of other sites may send other types without asking first (Fetch Standard,
        // "CORS-safelisted request-header").
        let message = "send JSON, with Content-Type: application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiFault::new(status, "unsupported_media_type", message));
    }
    let collected = timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await;
    let collected = collected.map_err(|_| {
        let message = "the body did not arrive in time";
        ApiFault::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })?;
    let bytes = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let message = format!("the body has more than {most} bytes");
            ApiFault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        } else {
            ApiFault::bad_request("the body broke off")
        }
    })?;
    parse(&bytes.to_bytes())
}

/// Returns `true` where a body is one that an endpoint takes, by the endpoint's name in
/// `docs/gateway.md`; for tests with hostile input.
///
/// # Errors
/// The refusal that a client would be answered.
pub fn check(endpoint: &str, bytes: &[u8]) -> Result<(), ApiFault> {
    let bytes = Bytes::copy_from_slice(bytes);
    match endpoint {
        "session" => parse::<NewSession>(&bytes).map(drop),
        "change" => parse::<ChannelChange>(&bytes).map(drop),
        "end" => parse::<Farewell>(&bytes).map(drop),
        "poll" => parse::<PollRequest>(&bytes).map(|poll| {
            debug_assert!(poll.wait().as_secs() <= MAX_WAIT_SECONDS);
            debug_assert!((1..=MAX_MESSAGES).contains(&poll.most()));
        }),
        _ => parse::<SessionPlace>(&bytes).map(drop),
    }
}

fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, ApiFault> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The library's words name members and kinds, and quote short values at most; the client
        // sent them itself.
        let words: String = error.to_string().chars().take(300).collect();
        ApiFault::bad_request(format!("the body is not what is wanted: {words}"))
    })
}
