//! Common parts of IoT Core's two REST APIs: answers, delays and injected faults of calls, and
//! lists in pages.
//!
//! The caller is never checked: any credentials are taken, as everywhere on the endpoint's port.

pub(super) mod refusal;

use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::time::sleep;

use self::refusal::RestError;
use super::faults::{FaultKind, PlannedFaults};
use super::server::lost;
use super::uuid::uuid;

/// A call, as faults know it.
#[derive(Clone, Copy)]
pub(super) struct RestCall<'a> {
    pub(super) action: &'static str,
    pub(super) client: Option<&'a str>,
    pub(super) topic: Option<&'a str>,
}

impl RestCall<'_> {
    /// One that is about no client and no topic.
    pub(super) const fn of(action: &'static str) -> Self {
        Self {
            action,
            client: None,
            topic: None,
        }
    }
}

/// Body of an answer; `None` for an answer without a body.
pub(super) type RestAnswer = Result<Option<Value>, RestError>;

/// Settings by which calls are answered.
#[derive(Clone, Debug)]
pub(super) struct RestResponder {
    /// Minimum duration of each call.
    pub(super) delay: Duration,
    /// Faults that are injected on request.
    pub(super) faults: PlannedFaults,
    /// The status of a call that is throttled, which the two models have differently.
    pub(super) throttled: StatusCode,
}

impl RestResponder {
    /// Carries out a call, or the fault that hits it.
    pub(super) async fn answer(
        &self,
        call: RestCall<'_>,
        act: impl Fn() -> RestAnswer,
    ) -> Response {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let fault = self
            .faults
            .strike_call(call.action, call.client, call.topic);
        let answer = match fault {
            Some((FaultKind::Refuse, _)) => {
                Err(RestError::unavailable("a fault that was asked for"))
            }
            Some((FaultKind::Throttle, _)) => {
                let why = "a fault that was asked for";
                Err(RestError::throttled_with(self.throttled, why))
            }
            Some((FaultKind::Disconnect, _)) => return lost(),
            Some((FaultKind::Delay, time)) => {
                sleep(time).await;
                act()
            }
            Some((FaultKind::Duplicate, _)) => act().and_then(|_| act()),
            Some((FaultKind::Drop, _)) => {
                // The client never learns the result: the connection is lost.
                let _ = act();
                return lost();
            }
            Some((FaultKind::Linger, _)) | None => act(),
        };
        written(answer)
    }
}

/// An answer as it is sent.
fn written(answer: RestAnswer) -> Response {
    let mut response = match answer {
        Ok(Some(body)) => {
            let content = [(CONTENT_TYPE, "application/json")];
            (content, body.to_string()).into_response()
        }
        Ok(None) => StatusCode::OK.into_response(),
        Err(refusal) => return refusal.answer(),
    };
    if let Ok(id) = uuid().parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// Milliseconds since 1970, the unit of times in answers.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Number of results on a page, from the number asked for, the usual one and the maximum.
pub(super) fn page(
    name: &str,
    asked: Option<usize>,
    usual: usize,
    most: usize,
) -> Result<usize, RestError> {
    match asked {
        None => Ok(usual),
        Some(count) if (1..=most).contains(&count) => Ok(count),
        Some(count) => Err(RestError::invalid(format!(
            "{name} is `{count}`; from 1 to {most} are possible"
        ))),
    }
}

/// A token that says behind which name the next page begins.
pub(super) fn token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// Returns the name after which a page begins; the empty one comes before all.
pub(super) fn behind(name: &str, token: Option<&str>) -> Result<String, RestError> {
    let Some(token) = token else {
        return Ok(String::new());
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let last = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    last.ok_or_else(|| RestError::invalid(format!("{name} is none that was given out")))
}
