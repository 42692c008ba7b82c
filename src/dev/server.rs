//! HTTP endpoints on one port: dispatch of calls to services, and fault injection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::broker::Broker;
use super::bus::{self, api::EventBusService};
use super::control_plane::{self, ControlPlane, ControlPlaneParts};
use super::data_plane::{self, DataPlane};
use super::faults::{FaultKind, FaultyActions, PlannedFaults};
use super::inspector::Inspector;
use super::observers::Observations;
use super::query::{self, QueryCall};
use super::queue::{
    self,
    api::{CallOrigin, QueueService},
};
use super::refusal::ApiRefusal;
use super::service::Service;
use super::sighting::Sighting;
use super::site_guard::{check, guard};
use super::sites::{AllowedSites, is_cross_site};
use super::uuid::uuid;
use super::{ACCOUNT, ApiResult};
use crate::http_server::{self, HttpLimits};

/// Maximum size of a request body: a batch of ten messages is 1 MiB; as JSON, with everything
/// escaped, it is larger.
pub(super) const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// Options of the endpoints.
#[derive(Clone)]
pub struct EndpointOptions {
    /// Region in ARNs and events.
    pub region: String,
    /// Minimum duration of each call, as in a real queue.
    pub delay: Duration,
    /// Broker of the platform: its data plane is served here, and its faults are injected here too.
    pub broker: Option<Broker>,
    /// Control plane of the broker, if it has a registry.
    pub control_plane: Option<ControlPlaneParts>,
    /// Hosts and origins whose requests are accepted.
    pub sites: Arc<AllowedSites>,
    /// Additional routes on the same port.
    pub beside: Option<Router>,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            delay: Duration::ZERO,
            broker: None,
            control_plane: None,
            sites: Arc::default(),
            beside: None,
        }
    }
}

struct Server {
    queues: Arc<QueueService>,
    buses: EventBusService,
    broker: Option<Broker>,
    data_plane: Option<DataPlane>,
    control_plane: Option<ControlPlane>,
    faults: PlannedFaults,
    delay: Duration,
    sites: Arc<AllowedSites>,
    beside: Option<Router>,
    /// Calls that continue after their clients have gone.
    lingering: Mutex<JoinSet<()>>,
}

/// Platform of the bus, the queues and the data plane, before it listens.
pub struct Platform(Arc<Server>);

impl Platform {
    /// Creates a platform with the default bus and nothing else.
    pub fn new(options: EndpointOptions) -> Self {
        let queues = Arc::new(QueueService::new(&options.region));
        let control_plane = options.control_plane.zip(options.broker.clone());
        let control_plane =
            control_plane.map(|(parts, broker)| ControlPlane::new(parts, broker, options.delay));
        Self(Arc::new(Server {
            buses: EventBusService::new(&options.region, Arc::clone(&queues)),
            queues,
            faults: options
                .broker
                .as_ref()
                .map(Broker::faults)
                .unwrap_or_default(),
            data_plane: options
                .broker
                .clone()
                .map(|broker| DataPlane::new(broker, options.delay)),
            broker: options.broker,
            control_plane,
            delay: options.delay,
            sites: options.sites,
            beside: options.beside,
            lingering: Mutex::default(),
        }))
    }

    /// Subscribes to the steps of events and messages from now on.
    pub(super) fn observe(&self) -> Observations<Sighting> {
        self.0.queues.sightings().observe()
    }

    /// Calls an action of the queues in process, as an SDK would; `base` is the base of their URLs.
    pub(super) async fn queues(&self, action: &str, body: &Value, base: &str) -> ApiResult {
        let body = body.to_string();
        let origin = CallOrigin { base, trace: None };
        self.0.queues.act(action, body.as_bytes(), origin).await
    }

    /// Calls an action of the buses in process, as an SDK would.
    pub(super) fn buses(&self, action: &str, body: &Value) -> ApiResult {
        self.0.buses.act(action, body.to_string().as_bytes())
    }

    /// Serves without end, with the inspector beside the endpoints where there is one.
    ///
    /// # Errors
    /// An error of the listening socket.
    pub async fn serve(
        &self,
        listener: TcpListener,
        inspector: Option<&Arc<Inspector>>,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/", post(call))
            .route(
                &format!("/{ACCOUNT}/{{queue}}"),
                post(call).get(call_by_address),
            )
            .route("/health", get(|| async { "ok\n" }))
            // The daemon has the same endpoint, for `eventcast healthcheck`.
            .route("/livez", get(|| async { "live\n" }))
            .route("/readyz", get(|| async { "ready\n" }))
            .route(
                "/_dev/faults",
                post(add_fault).get(list_faults).delete(clear_faults),
            )
            .route("/_dev/counts", get(counts))
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
        let router = router.layer(from_fn_with_state(Arc::clone(&sites), guard));
        let router = match &self.0.beside {
            Some(beside) => router.merge(beside.clone().layer(from_fn_with_state(sites, check))),
            None => router,
        };
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

/// Signing scopes of SDK calls to IoT Core's control plane.
const CONTROL_PLANE: [&str; 2] = ["/iot/aws4_request", "/execute-api/aws4_request"];

async fn unknown(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let signed = headers.get(AUTHORIZATION);
    let signed = signed.and_then(|signed| signed.to_str().ok());
    if signed.is_some_and(|signed| CONTROL_PLANE.iter().any(|scope| signed.contains(scope))) {
        return control_plane::not_offered(method.as_str(), uri.path());
    }
    let says = "eventcast dev: the JSON protocols of SQS and EventBridge at POST /, IoT Core's data plane at /topics, /retainedMessage and /connections, its control plane at /policies, /certificates and others, the gateway at /rt/v1, faults at /_dev/faults, the broker's counters at /_dev/counts, /health, /livez, /readyz\n";
    (StatusCode::NOT_FOUND, says).into_response()
}

async fn add_fault(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    let actions = FaultyActions {
        messaging: [&queue::api::ACTIONS[..], &bus::api::ACTIONS[..]].concat(),
        iot: control_plane::actions()
            .chain(data_plane::ACTIONS)
            .collect(),
    };
    match actions.fault(&body) {
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

/// Answers with the broker's counters; programs verify by them that no limit discarded a message.
async fn counts(State(server): State<Arc<Server>>) -> Response {
    let Some(broker) = &server.broker else {
        return (StatusCode::NOT_FOUND, "there is no broker here\n").into_response();
    };
    match serde_json::to_vec(&broker.counts()) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Wire protocol of a call.
#[derive(Clone, Copy)]
enum Protocol {
    Json,
    Query,
}

/// Handles a call that names its service and its action in a header, or in its body in the query
/// protocol; for queues also at a queue's own address.
async fn call(
    State(server): State<Arc<Server>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    if let Some((service, action)) = Service::addressed(target.unwrap_or_default()) {
        return server
            .perform(service, action, Protocol::Json, &headers, &body)
            .await;
    }
    let form = std::str::from_utf8(&body).unwrap_or_default();
    match QueryCall::parse(form) {
        Some(call) => server.query(&call, &uri, &headers).await,
        None => unknown_service(),
    }
}

/// Handles a call at a queue's own address with its parameters in the URL.
async fn call_by_address(
    State(server): State<Arc<Server>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    // Pages of other sites may link to the page of this port, but must not call actions by a link.
    if is_cross_site(&headers) {
        let message = "a web page of another site may not call this (Sec-Fetch-Site: cross-site)";
        let refusal = ApiRefusal::new("AccessDenied", message).with_status(StatusCode::FORBIDDEN);
        return query::xml(refusal.status, queue::query::refused(&refusal));
    }
    match QueryCall::parse(uri.query().unwrap_or_default()) {
        // Any page can load a URL as an image, and older browsers and plain HTTP do not send its
        // origin.
        Some(call) if call.is_for_queues(true) && !call.only_reads() => call.not_by_address(),
        Some(call) => server.query(&call, &uri, &headers).await,
        None => query::no_action(),
    }
}

fn base(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("127.0.0.1"))
}

impl Server {
    async fn query(self: &Arc<Self>, call: &QueryCall, uri: &Uri, headers: &HeaderMap) -> Response {
        let at_queue = uri.path() != "/";
        if !call.is_for_queues(at_queue) {
            return call.other();
        }
        let url = at_queue.then(|| format!("{}{}", base(headers), uri.path()));
        let (service, action) = (Service::Queues, call.action.as_str());
        match queue::query::call(&call.form, action, url.as_deref()) {
            Ok(body) => {
                self.perform(service, action, Protocol::Query, headers, &body)
                    .await
            }
            Err(refusal) => query::xml(refusal.status, queue::query::refused(&refusal)),
        }
    }

    /// Performs a call, or applies a fault to it.
    async fn perform(
        self: &Arc<Self>,
        service: Service,
        action: &str,
        protocol: Protocol,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let fault = self.faults.strike(action);
        let refused = match fault {
            Some((FaultKind::Refuse, _)) => Some(service.unavailable()),
            Some((FaultKind::Throttle, _)) => Some(service.throttled()),
            Some((FaultKind::Delay, time)) => {
                sleep(time).await;
                None
            }
            Some((FaultKind::Disconnect, _)) => return lost(),
            Some((FaultKind::Drop | FaultKind::Duplicate | FaultKind::Linger, _)) | None => None,
        };
        let answer = match refused {
            Some(refusal) => Err(refusal),
            None if matches!(fault, Some((FaultKind::Linger, _))) => {
                self.linger(service, action, headers, body).await
            }
            None => self.act(service, action, headers, body).await,
        };
        if matches!(fault, Some((FaultKind::Drop, _))) {
            return lost();
        }
        let mut response = match (answer, protocol) {
            (Ok(body), Protocol::Json) => {
                ([(CONTENT_TYPE, service.content_type())], body).into_response()
            }
            (Ok(body), Protocol::Query) => {
                query::xml(StatusCode::OK, queue::query::answer(action, &body))
            }
            (Err(refusal), Protocol::Json) => refusal.answer(service),
            (Err(refusal), Protocol::Query) => {
                query::xml(refusal.status, queue::query::refused(&refusal))
            }
        };
        if let Ok(id) = uuid().parse() {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }

    /// Performs a call in a task of its own, which continues after the client has gone.
    async fn linger(
        self: &Arc<Self>,
        service: Service,
        action: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ApiResult {
        let (sender, answer) = oneshot::channel();
        let server = Arc::clone(self);
        let (action, headers, body) = (action.to_owned(), headers.clone(), body.to_vec());
        {
            let lingering = self.lingering.lock();
            let mut lingering = lingering.unwrap_or_else(PoisonError::into_inner);
            while lingering.try_join_next().is_some() {}
            lingering.spawn(async move {
                let answer = server.act(service, &action, &headers, &body).await;
                // The client may have gone, which is the purpose of this fault.
                let _ = sender.send(answer);
            });
        }
        let ended = |_| Err(ApiRefusal::new("InternalFailure", "the call was ended"));
        answer.await.unwrap_or_else(ended)
    }

    async fn act(
        &self,
        service: Service,
        action: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ApiResult {
        match service {
            Service::Queues => {
                let trace = headers.get("x-amzn-trace-id");
                let base = base(headers);
                let origin = CallOrigin {
                    base: &base,
                    trace: trace.and_then(|trace| trace.to_str().ok()),
                };
                self.queues.act(action, body, origin).await
            }
            Service::Bus => self.buses.act(action, body),
        }
    }
}

/// Returns AWS's answer to a call of an unknown service.
fn unknown_service() -> Response {
    let body = serde_json::json!({
        "__type": "UnknownOperationException",
        "message": "eventcast dev speaks the JSON protocols of SQS and EventBridge",
    });
    let content = [(CONTENT_TYPE, Service::Bus.content_type())];
    (StatusCode::BAD_REQUEST, content, body.to_string()).into_response()
}

/// Returns an answer that breaks off with its connection.
pub(super) fn lost() -> Response {
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other(
        "a fault that was asked for",
    ))]);
    axum::body::Body::from_stream(broken).into_response()
}
