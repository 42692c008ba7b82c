//! What operators ask over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::exposition::{OPEN_METRICS, open_metrics};
use super::health::Health;
use super::metrics::Metrics;

/// What the answers are made of.
#[derive(Clone)]
pub struct Vitals {
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The signs of life.
    pub health: Arc<Health>,
    /// How many connections to the broker are up.
    pub connections: watch::Receiver<usize>,
}

/// Answers for ever.
///
/// # Errors
/// When the socket fails.
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
    axum::serve(listener, router).await
}

async fn live(State(vitals): State<Vitals>) -> Response {
    said(vitals.health.hangs().into_iter().collect(), "live")
}

async fn ready(State(vitals): State<Vitals>) -> Response {
    let connections = *vitals.connections.borrow();
    said(vitals.health.lacks(connections), "ready")
}

fn said(problems: Vec<String>, otherwise: &str) -> Response {
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

async fn metrics(State(vitals): State<Vitals>) -> Response {
    let connections = *vitals.connections.borrow();
    vitals.metrics.connections.set(connections);
    match open_metrics(&vitals.metrics) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
