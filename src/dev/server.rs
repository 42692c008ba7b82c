//! The endpoints on one port: which service a call is for, and what goes wrong on request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::Answer;
use super::broker::Broker;
use super::bus::api::Buses;
use super::control_plane::{self, ControlPlane, Parts};
use super::data_plane::DataPlane;
use super::faults::{Fault, Faults, Kind};
use super::inspector::Inspector;
use super::observers::Observations;
use super::query;
use super::queue::api::Queues;
use super::service::Service;
use super::sighting::Sighting;
use super::site_guard::guard;
use super::sites::AllowedSites;
use super::uuid::uuid;
use crate::http_server::{self, HttpLimits};

/// A batch of ten messages is 1 MiB; as JSON, with everything escaped, it is larger.
pub(super) const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// How the endpoints behave.
#[derive(Clone)]
pub struct Options {
    /// The Region in ARNs and events.
    pub region: String,
    /// How long each call takes at least, as in a real queue.
    pub delay: Duration,
    /// The broker beside them: its data plane is here, and its faults are asked for here too.
    pub broker: Option<Broker>,
    /// The broker's control plane, if it has a registry.
    pub control_plane: Option<Parts>,
    /// Hosts and origins whose requests are answered.
    pub sites: Arc<AllowedSites>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            delay: Duration::ZERO,
            broker: None,
            control_plane: None,
            sites: Arc::default(),
        }
    }
}

struct Server {
    queues: Arc<Queues>,
    buses: Buses,
    data_plane: Option<DataPlane>,
    control_plane: Option<ControlPlane>,
    faults: Faults,
    delay: Duration,
    sites: Arc<AllowedSites>,
}

/// The bus, the queues and the data plane, before anybody is let in.
pub struct Platform(Arc<Server>);

impl Platform {
    /// Nothing in them yet but the bus that every account has.
    pub fn new(options: Options) -> Self {
        let queues = Arc::new(Queues::new(&options.region));
        let control_plane = options.control_plane.zip(options.broker.clone());
        let control_plane =
            control_plane.map(|(parts, broker)| ControlPlane::new(parts, broker, options.delay));
        Self(Arc::new(Server {
            buses: Buses::new(&options.region, Arc::clone(&queues)),
            queues,
            faults: options
                .broker
                .as_ref()
                .map(Broker::faults)
                .unwrap_or_default(),
            data_plane: options
                .broker
                .map(|broker| DataPlane::new(broker, options.delay)),
            control_plane,
            delay: options.delay,
            sites: options.sites,
        }))
    }

    /// What happens to events and messages from now on.
    pub(super) fn observe(&self) -> Observations<Sighting> {
        self.0.queues.sightings().observe()
    }

    /// Does to queues what an SDK's call would do, from within; `base` is where they are reached.
    pub(super) async fn queues(&self, action: &str, body: &Value, base: &str) -> Answer {
        let body = body.to_string();
        self.0.queues.act(action, body.as_bytes(), base).await
    }

    /// Does to buses what an SDK's call would do, from within.
    pub(super) fn buses(&self, action: &str, body: &Value) -> Answer {
        self.0.buses.act(action, body.to_string().as_bytes())
    }

    /// Answers for ever, with the inspector beside the endpoints where there is one.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(
        &self,
        listener: TcpListener,
        inspector: Option<&Arc<Inspector>>,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/", post(call))
            .route("/health", get(|| async { "ok\n" }))
            .route(
                "/_dev/faults",
                post(add_fault).get(list_faults).delete(clear_faults),
            )
            .fallback(unknown)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(Arc::clone(&self.0));
        let router = match &self.0.data_plane {
            Some(data_plane) => router.merge(data_plane.router()),
            None => router,
        };
        let router = match &self.0.control_plane {
            Some(control_plane) => router.merge(control_plane.router()),
            None => router,
        };
        let router = match inspector {
            Some(inspector) => router.merge(Arc::clone(inspector).router()),
            None => router,
        };
        let sites = Arc::clone(&self.0.sites);
        let router = router.layer(axum::middleware::from_fn_with_state(sites, guard));
        let served = http_server::serve(listener, router, HttpLimits::CLIENTS);
        match inspector {
            Some(inspector) => tokio::select! {
                served = served => served,
                () = inspector.follow(self.observe()) => Ok(()),
            },
            None => served.await,
        }
    }
}

/// What the scope of an SDK's signature names for calls of IoT Core's control plane.
const CONTROL_PLANE: [&str; 2] = ["/iot/aws4_request", "/execute-api/aws4_request"];

async fn unknown(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let signed = headers.get(AUTHORIZATION);
    let signed = signed.and_then(|signed| signed.to_str().ok());
    if signed.is_some_and(|signed| CONTROL_PLANE.iter().any(|scope| signed.contains(scope))) {
        return control_plane::not_offered(method.as_str(), uri.path());
    }
    let says = "eventcast dev: the JSON protocols of SQS and EventBridge at POST /, IoT Core's data plane at /topics, /retainedMessage and /connections, its control plane at /policies, /certificates and others, faults at /_dev/faults, /health\n";
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

async fn list_faults(State(server): State<Arc<Server>>) -> Response {
    match serde_json::to_vec(&server.faults.list()) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
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
        return query::action(&body).map_or_else(unknown_service, query::answer);
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
pub(super) fn lost() -> Response {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other(
        "a fault that was asked for",
    ))]);
    axum::body::Body::from_stream(broken).into_response()
}
