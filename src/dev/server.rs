//! The endpoints on one port.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::broker::Broker;
use super::faults::{Fault, Faults, Kind};
use super::queue::Queues;

/// A batch of ten messages is 1 MiB; as JSON, with everything escaped, it is larger.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// How the endpoints behave.
#[derive(Clone)]
pub struct Options {
    /// The Region in ARNs.
    pub region: String,
    /// How long each call takes at least, as in a real queue.
    pub delay: Duration,
    /// The broker beside them, whose faults are asked for here too.
    pub broker: Option<Broker>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            delay: Duration::ZERO,
            broker: None,
        }
    }
}

struct Server {
    queues: Queues,
    faults: Faults,
    delay: Duration,
}

/// Answers for ever.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, options: Options) -> std::io::Result<()> {
    let server = Server {
        queues: Queues::new(&options.region),
        faults: options
            .broker
            .map(|broker| broker.faults())
            .unwrap_or_default(),
        delay: options.delay,
    };
    let router = Router::new()
        .route("/", post(call))
        .route("/health", get(|| async { "ok\n" }))
        .route("/_dev/faults", post(add_fault).delete(clear_faults))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(Arc::new(server));
    axum::serve(listener, router).await
}

async fn unknown() -> Response {
    let says = "eventcast dev: SQS's JSON protocol at POST /, faults at /_dev/faults, /health\n";
    (StatusCode::NOT_FOUND, says).into_response()
}

async fn add_fault(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Fault>(&body) {
        Ok(fault) => {
            server.faults.add(fault);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn clear_faults(State(server): State<Arc<Server>>) -> StatusCode {
    server.faults.clear();
    StatusCode::NO_CONTENT
}

async fn call(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let target = header("x-amz-target").unwrap_or_default();
    let Some(action) = target.strip_prefix("AmazonSQS.") else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            "UnknownOperationException",
            "eventcast dev speaks SQS's JSON protocol",
        );
    };
    if !server.delay.is_zero() {
        sleep(server.delay).await;
    }
    let fault = server.faults.strike(action);
    match fault {
        Some((Kind::Refuse, _)) => {
            let code = "ServiceUnavailable";
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                code,
                code,
                "a fault that was asked for",
            );
        }
        Some((Kind::Throttle, _)) => {
            let code = "RequestThrottled";
            return refuse(
                StatusCode::BAD_REQUEST,
                code,
                code,
                "a fault that was asked for",
            );
        }
        Some((Kind::Delay, time)) => sleep(time).await,
        Some((Kind::Disconnect, _)) => return lost(),
        Some((Kind::Drop | Kind::Duplicate, _)) | None => {}
    }
    let base = format!("http://{}", header(HOST.as_str()).unwrap_or("127.0.0.1"));
    let answer = server.queues.act(action, &body, &base).await;
    if matches!(fault, Some((Kind::Drop, _))) {
        return lost();
    }
    match answer {
        Ok(body) => ([(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response(),
        Err(refusal) => refuse(
            StatusCode::BAD_REQUEST,
            refusal.kind,
            refusal.code,
            &refusal.message,
        ),
    }
}

/// An answer that breaks off, and the connection with it.
fn lost() -> Response {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other(
        "a fault that was asked for",
    ))]);
    axum::body::Body::from_stream(broken).into_response()
}

fn refuse(status: StatusCode, kind: &str, code: &str, message: &str) -> Response {
    let body =
        serde_json::json!({ "__type": format!("com.amazonaws.sqs#{kind}"), "message": message });
    let headers = [
        (
            CONTENT_TYPE.as_str(),
            "application/x-amz-json-1.0".to_owned(),
        ),
        ("x-amzn-query-error", format!("{code};Sender")),
    ];
    (status, headers, body.to_string()).into_response()
}
