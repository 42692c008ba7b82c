//! IoT Core's HTTPS data plane in front of the broker: publishing, retained messages, and connections that are looked at or ended.
//!
//! Paths, parameters and errors are those of the IoT data model (API reference, "AWS IoT data",
//! 2026; developer guide, "HTTPS"), so that every SDK works with `AWS_ENDPOINT_URL`. The broker's
//! limits hold. Never checked: the caller (any credentials are taken, and their permissions are not
//! looked at). Not here: shadows, `SendDirectMessage`.

mod connections;
mod publish;
mod retained;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::broker::Broker;
use super::rest::refusal::RestError;
use super::rest::{self, RestAnswer, RestCall, RestResponder, milliseconds, token};
use super::server::LARGEST_BODY;

/// The data plane of one broker.
#[derive(Clone)]
pub(super) struct DataPlane(Arc<DataPlaneApi>);

struct DataPlaneApi {
    broker: Broker,
    manner: RestResponder,
}

/// The calls that are offered, as faults name them.
pub(super) const ACTIONS: [&str; 6] = [
    "DeleteConnection",
    "GetConnection",
    "GetRetainedMessage",
    "HttpPublish",
    "ListRetainedMessages",
    "ListSubscriptions",
];

impl DataPlane {
    pub(super) fn new(broker: Broker, delay: Duration) -> Self {
        let faults = broker.faults();
        Self(Arc::new(DataPlaneApi {
            broker,
            manner: RestResponder {
                delay,
                faults,
                throttled: StatusCode::TOO_MANY_REQUESTS,
            },
        }))
    }

    /// Its addresses, each with IoT Core's answer to methods that it does not know.
    pub(super) fn router(&self) -> Router {
        let other = || async { RestError::method().answer() };
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

impl DataPlaneApi {
    /// Carries out a call, or the fault that hits it.
    async fn answer(&self, call: RestCall<'_>, act: impl Fn(&Broker) -> RestAnswer) -> Response {
        let done = || {
            if !self.broker.may_call(call.action, call.client) {
                let why =
                    "more of these calls a second than the account, or this client id, may have";
                return Err(RestError::throttled(why));
            }
            act(&self.broker)
        };
        self.manner.answer(call, done).await
    }
}

/// The largest page of a list, which is also the default.
const PAGE: usize = 200;

/// Returns the number of results on a page.
fn page(asked: Option<usize>, usual: usize) -> Result<usize, RestError> {
    rest::page("maxResults", asked, usual, PAGE)
}

/// The name behind which a page begins.
fn behind(token: Option<&str>) -> Result<String, RestError> {
    rest::behind("nextToken", token)
}
