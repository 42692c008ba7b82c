//! Endpoints for operators over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::exposition::ExpositionFormat;
use super::health::Health;
use super::metrics::Metrics;
use crate::http_server::{self, HttpLimits};

/// Sources of the answers.
#[derive(Clone)]
pub struct Vitals {
    /// The measurements.
    pub metrics: Arc<Metrics>,
    /// The signs of life.
    pub health: Arc<Health>,
}

/// Answers for ever, within [`HttpLimits::PROBES`].
///
/// # Errors
/// The socket's error, where it fails.
pub async fn serve(listener: TcpListener, vitals: Vitals) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz and /metrics\n",
            )
        })
        .with_state(vitals);
    http_server::serve(listener, router, HttpLimits::PROBES).await
}

async fn live(State(vitals): State<Vitals>) -> Response {
    verdict(vitals.health.hangs().into_iter().collect(), "live")
}

async fn ready(State(vitals): State<Vitals>) -> Response {
    verdict(vitals.health.lacks(), "ready")
}

/// 200, or 503 with one line for each problem.
fn verdict(problems: Vec<String>, otherwise: &str) -> Response {
    if problems.is_empty() {
        format!("{otherwise}\n").into_response()
    } else {
        let problems: String = problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect();
        (StatusCode::SERVICE_UNAVAILABLE, problems).into_response()
    }
}

async fn metrics(State(vitals): State<Vitals>, headers: HeaderMap) -> Response {
    let connections = vitals.health.connections();
    vitals.metrics.connections.set(connections);
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = ExpositionFormat::preferred(&accept.join(","));
    match format.render(&vitals.metrics) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
