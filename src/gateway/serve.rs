//! The ports of a gateway, and its end: waiting polls are answered, streams end, the broker keeps
//! the sessions.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout_at};

use super::api::Gateway;
use crate::http_server::{self, HttpLimits};
use crate::telemetry::exposition::ExpositionFormat;

/// Listeners of a gateway.
pub struct Listeners {
    /// The listener for clients.
    pub api: TcpListener,
    /// The listener for operators, where there is one.
    pub metrics: Option<TcpListener>,
}

/// Connections beside those of sessions: probes, and requests that come and go.
const MORE_CONNECTIONS: usize = 1_000;

/// Interval between two looks at requests that are still being answered, and time for answers to
/// leave.
const LOOK: Duration = Duration::from_millis(20);
const WAY_OUT: Duration = Duration::from_millis(200);

/// Time that a draining gateway answers at least that it drains: load balancers take a moment to
/// see it.
const NOTICE: Duration = Duration::from_secs(1);

/// Serves until the gateway is asked to drain and has drained. Returns `false` where `drain` was
/// not enough time.
///
/// # Errors
/// Fails when a socket fails.
pub async fn serve(
    gateway: &Arc<Gateway>,
    listeners: Listeners,
    drain: Duration,
) -> io::Result<bool> {
    let sessions = gateway.options.limits.sessions.unwrap_or(100_000);
    let limits = HttpLimits {
        // A poll and a stream of one session may overlap.
        connections: sessions.saturating_mul(2).saturating_add(MORE_CONNECTIONS),
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(20),
        // Longer than a load balancer keeps its connections (60 s): it is to end them, not the
        // gateway.
        idle_timeout: Duration::from_secs(75),
        // Tickets come as cookies.
        buffer_bytes: 32 * 1_024,
    };
    let probes = Router::new()
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
        .with_state(Arc::clone(gateway));
    let router = gateway.router().merge(probes.clone());
    let serving = http_server::serve(listeners.api, router, limits);
    let probing = async {
        match listeners.metrics {
            Some(listener) => {
                let metrics = Router::new()
                    .route("/metrics", get(metrics))
                    .with_state(Arc::clone(gateway));
                let router = probes.merge(metrics);
                http_server::serve(listener, router, HttpLimits::PROBES).await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serving => served.map(|()| true),
        probed = probing => probed.map(|()| true),
        drained = drained(gateway, drain) => Ok(drained),
    }
}

async fn drained(gateway: &Arc<Gateway>, drain: Duration) -> bool {
    let since = gateway.shutdown.draining().await;
    let deadline = since + drain;
    let ends = async {
        while gateway.metrics().waiting() > 0 {
            sleep(LOOK).await;
        }
        sleep(WAY_OUT).await;
        gateway.sessions().close().await;
        tokio::time::sleep_until((since + NOTICE).min(Instant::now() + NOTICE)).await;
    };
    timeout_at(deadline, ends).await.is_ok()
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    if gateway.shutdown.is_draining() {
        let says = "the process is draining\n";
        return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = ExpositionFormat::preferred(&accept.join(","));
    match format.write(gateway.metrics().all()) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
