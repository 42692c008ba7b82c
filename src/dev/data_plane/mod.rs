//! IoT Core's HTTPS data plane in front of the broker: publishing, retained messages, and connections that are looked at or ended.
//!
//! Paths, parameters and errors are those of the IoT data model (API reference, "AWS IoT data", 2026; developer guide, "HTTPS"), so
//! that every SDK works with `AWS_ENDPOINT_URL`. The broker's limits hold. Never asked: who calls (any credentials are taken, and what
//! they may do is not looked at). Not here: shadows, `SendDirectMessage`.

mod connections;
mod publish;
mod refusal;
mod retained;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::time::sleep;

use self::refusal::Refusal;
use super::broker::Broker;
use super::faults::Kind;
use super::server::{LARGEST_BODY, lost};
use super::uuid::uuid;

/// The data plane of one broker.
#[derive(Clone)]
pub(super) struct DataPlane(Arc<Plane>);

struct Plane {
    broker: Broker,
    /// How long each call takes at least.
    delay: Duration,
}

/// A call, as faults know it.
#[derive(Clone, Copy)]
struct Call<'a> {
    action: &'static str,
    client: Option<&'a str>,
    topic: Option<&'a str>,
}

/// What is answered; `None` for an answer without a body.
type Answer = Result<Option<Value>, Refusal>;

impl DataPlane {
    pub(super) fn new(broker: Broker, delay: Duration) -> Self {
        Self(Arc::new(Plane { broker, delay }))
    }

    /// Its addresses, each with IoT Core's answer to methods that it does not know.
    pub(super) fn router(&self) -> Router {
        let other = || async { Refusal::method().answer() };
        Router::new()
            .route("/topics/{*topic}", post(publish::publish).fallback(other))
            .route("/retainedMessage", get(retained::list).fallback(other))
            .route(
                "/retainedMessage/{*topic}",
                get(retained::one).fallback(other),
            )
            .route(
                "/connections/{client}",
                get(connections::facts)
                    .delete(connections::delete)
                    .fallback(other),
            )
            .route(
                "/connections/{client}/subscriptions",
                get(connections::subscriptions).fallback(other),
            )
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(Arc::clone(&self.0))
    }
}

impl Plane {
    /// Does what a call asks for, or what a fault makes of it.
    async fn answer(&self, call: Call<'_>, act: impl Fn(&Broker) -> Answer) -> Response {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        if !self.broker.may_call(call.action, call.client) {
            let why = "more of these calls a second than the account, or this client id, may have";
            return Refusal::throttled(why).answer();
        }
        let faults = self.broker.faults();
        let fault = faults.strike_call(call.action, call.client, call.topic);
        let answer = match fault {
            Some((Kind::Refuse, _)) => Err(Refusal::unavailable("a fault that was asked for")),
            Some((Kind::Throttle, _)) => Err(Refusal::throttled("a fault that was asked for")),
            Some((Kind::Disconnect, _)) => return lost(),
            Some((Kind::Delay, time)) => {
                sleep(time).await;
                act(&self.broker)
            }
            Some((Kind::Duplicate, _)) => act(&self.broker).and_then(|_| act(&self.broker)),
            Some((Kind::Drop, _)) => {
                // Whether it was done or refused, nobody hears of it.
                let _ = act(&self.broker);
                return lost();
            }
            None => act(&self.broker),
        };
        written(answer)
    }
}

/// An answer as it is sent.
fn written(answer: Answer) -> Response {
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

/// Milliseconds since 1970, which times are told in.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The largest page of a list, and what is asked for where nothing is said.
const PAGE: usize = 200;

/// How many results a page has.
fn page(asked: Option<usize>, usual: usize) -> Result<usize, Refusal> {
    match asked {
        None => Ok(usual),
        Some(count @ 1..=PAGE) => Ok(count),
        Some(count) => Err(Refusal::invalid(format!(
            "maxResults is `{count}`; from 1 to {PAGE} are possible"
        ))),
    }
}

/// A token that says behind which name the next page begins.
fn token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// The name behind which a page begins; the empty one stands before all.
fn behind(token: Option<&str>) -> Result<String, Refusal> {
    let Some(token) = token else {
        return Ok(String::new());
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| Refusal::invalid("nextToken is none that was given out"))
}
