//! The endpoints on one port: which service a call is for, and what goes wrong on request.

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
use super::bus::Buses;
use super::faults::{Fault, Faults, Kind};
use super::queue::Queues;
use super::service::Service;
use super::uuid::uuid;

/// A batch of ten messages is 1 MiB; as JSON, with everything escaped, it is larger.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// How the endpoints behave.
#[derive(Clone)]
pub struct Options {
    /// The Region in ARNs and events.
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
    queues: Arc<Queues>,
    buses: Buses,
    faults: Faults,
    delay: Duration,
}

/// Answers for ever.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, options: Options) -> std::io::Result<()> {
    let queues = Arc::new(Queues::new(&options.region));
    let server = Server {
        buses: Buses::new(&options.region, Arc::clone(&queues)),
        queues,
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
    let says = "eventcast dev: the JSON protocols of SQS and EventBridge at POST /, faults at /_dev/faults, /health\n";
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
    let Some((service, action)) = Service::addressed(target) else {
        return unknown_service();
    };
    if !server.delay.is_zero() {
        sleep(server.delay).await;
    }
    let fault = server.faults.strike(action);
    let refused = match fault {
        Some((Kind::Refuse, _)) => Some(service.unavailable()),
        Some((Kind::Throttle, _)) => Some(service.throttled()),
        Some((Kind::Delay, time)) => {
            sleep(time).await;
            None
        }
        Some((Kind::Disconnect, _)) => return lost(),
        Some((Kind::Drop | Kind::Duplicate, _)) | None => None,
    };
    let mut response = match refused {
        Some((status, refusal)) => refusal.answer(status, service),
        None => server.act(service, action, &headers, &body).await,
    };
    if matches!(fault, Some((Kind::Drop, _))) {
        return lost();
    }
    if let Ok(id) = uuid().parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

impl Server {
    async fn act(
        &self,
        service: Service,
        action: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        let answer = match service {
            Service::Queues => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                let base = format!("http://{}", host.unwrap_or("127.0.0.1"));
                self.queues.act(action, body, &base).await
            }
            Service::Bus => self.buses.act(action, body),
        };
        match answer {
            Ok(body) => ([(CONTENT_TYPE, service.content_type())], body).into_response(),
            Err(refusal) => refusal.answer(StatusCode::BAD_REQUEST, service),
        }
    }
}

/// What AWS answers to a call that no service knows.
fn unknown_service() -> Response {
    let body = serde_json::json!({
        "__type": "UnknownOperationException",
        "message": "eventcast dev speaks the JSON protocols of SQS and EventBridge",
    });
    let content = [(CONTENT_TYPE, Service::Bus.content_type())];
    (StatusCode::BAD_REQUEST, content, body.to_string()).into_response()
}

/// An answer that breaks off, and the connection with it.
fn lost() -> Response {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other(
        "a fault that was asked for",
    ))]);
    axum::body::Body::from_stream(broken).into_response()
}
