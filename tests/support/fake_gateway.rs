//! A gateway without a broker behind it, which keeps the protocol, or breaks one rule of it on
//! request.
//!
//! It shows that the conformance suite finds faults: each member of [`Fault`] is one that real
//! servers have had.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(crate) const TOKEN: &str = "token-of-the-first-principal";
pub(crate) const OTHER_TOKEN: &str = "token-of-the-second-principal";
pub(crate) const CHANNEL: &str = "order:1";
pub(crate) const TOPIC: &str = "order/1";
pub(crate) const ORIGIN: &str = "https://shop.example";
/// Number of sessions that a principal may have.
pub(crate) const SESSIONS: usize = 12;

const HEARTBEAT: Duration = Duration::from_secs(15);
const STREAM_LIFE: Duration = Duration::from_secs(61);

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    AcknowledgesAtOnce,
    NothingOnTheSameCursor,
    ConfirmsNothing,
    Compresses,
    NoContent,
    AnswersAtOnce,
    HoldsUntilTheTimeout,
    TokenInLocation,
    CursorInTicket,
    TwoPolls,
    LosesAtSuperseding,
    AcknowledgesWhenWritten,
    AcknowledgesNothing,
    NoHeartbeat,
    HeartbeatLate,
    RetryZero,
    StreamOfPlainText,
    StreamWithoutIds,
    EndsEarly,
    BreaksStreams,
    AnyOrigin,
    EchoesOrigins,
    NoVary,
    CredentialsEverywhere,
    ShortMaxAge,
    HidesRetryAfter,
    Stores,
    LetsBuffer,
    Chunked,
    PlainErrors,
    NoChallenge,
    TokenInQuery,
    ForgetsDeleted,
    SharesSessions,
    TakesChangedSessions,
    IgnoresMax,
    Reorders,
    DropsBacklog,
    LosesWhenLeft,
    TicketTwice,
    TicketForEveryPath,
    NoTag,
    DeniesAll,
    NoDenied,
    PanicsOnBodies,
    AnyContentType,
    QuotaWithoutTime,
    DrainCuts,
    DrainSilent,
    IgnoresRemoval,
    NoChannel,
}

struct Session {
    principal: String,
    channels: BTreeSet<String>,
    /// Messages that are not confirmed, by a number that grows.
    queue: VecDeque<(u64, Value)>,
    /// Poll or stream that holds it.
    holder: u64,
    /// The cursor of the last poll.
    shown: Option<u64>,
    /// Number of polls that wait.
    waiting: usize,
}

#[derive(Default)]
struct Platform {
    sessions: HashMap<u64, Session>,
    tickets: HashMap<String, (u64, String, bool)>,
    next: u64,
    draining: bool,
}

/// A running server; it ends when it is dropped.
pub(crate) struct FakeGateway {
    pub(crate) port: u16,
    drain_file: PathBuf,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Fake {
    fault: Option<Fault>,
    platform: Arc<Mutex<Platform>>,
    changed: watch::Sender<u64>,
}

impl FakeGateway {
    pub(crate) async fn start(fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Fake {
            fault,
            platform: Arc::default(),
            changed: watch::channel(0).0,
        };
        let drain_file = std::env::temp_dir().join(format!("eventcast-drain-{port}"));
        let _ = std::fs::remove_file(&drain_file);
        let mut serving = JoinSet::new();
        let (drained, file) = (fake.clone(), drain_file.clone());
        serving.spawn(async move {
            while !file.exists() {
                sleep(Duration::from_millis(20)).await;
            }
            if drained.has(Fault::DrainSilent) {
                return;
            }
            drained.platform.lock().unwrap().draining = true;
            drained.stir();
        });
        let router = Router::new().fallback(answer).with_state(fake);
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            drain_file,
            _serving: serving,
        }
    }

    /// The command that makes it drain.
    pub(crate) fn drain_command(&self) -> String {
        format!("touch {}", self.drain_file.display())
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.drain_file);
    }
}

fn seal(parts: &[u64]) -> String {
    let plain: Vec<String> = parts.iter().map(|part| format!("{part:08x}")).collect();
    let mut hasher = DefaultHasher::new();
    ("a secret", parts).hash(&mut hasher);
    let tag = hasher.finish();
    let mut all = plain.join("-");
    all.push_str(&format!("-{tag:016x}{:016x}", tag.rotate_left(17)));
    all
}

fn unseal<const N: usize>(text: &str) -> Option<[u64; N]> {
    let parts = text.split('-').take(N);
    let parts: Vec<u64> = parts
        .map(|part| u64::from_str_radix(part, 16).ok())
        .collect::<Option<_>>()?;
    (seal(&parts) == text).then(|| parts.try_into().ok())?
}

type Refused = Response;

fn error(status: u16, code: &str) -> Refused {
    let mut body = json!({ "error": code, "message": "as the protocol says" });
    if status == 410 {
        body["resync"] = true.into();
    }
    let mut response = json_answer(status, &body);
    let header = match status {
        401 => Some(("www-authenticate", "Bearer")),
        405 => Some(("allow", "POST")),
        429 => Some(("retry-after", "1")),
        503 => Some(("retry-after", "0")),
        _ => None,
    };
    if let Some((name, value)) = header {
        set(&mut response, name, value);
    }
    response
}

fn json_answer(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    set(&mut response, "content-type", "application/json");
    response
}

fn set(response: &mut Response, name: &'static str, value: &str) {
    let name = HeaderName::from_static(name);
    let value = HeaderValue::from_str(value).unwrap();
    response.headers_mut().insert(name, value);
}

/// The members of a request's body.
struct Asked(Value);

impl Asked {
    fn text(&self, name: &str) -> Result<&str, Refused> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or_else(|| error(400, "bad_request"))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Refused> {
        let wrong = || error(400, "bad_request");
        let list = self
            .0
            .get(name)
            .and_then(Value::as_array)
            .ok_or_else(wrong)?;
        let texts = list.iter().map(|one| one.as_str().map(str::to_owned));
        texts.collect::<Option<_>>().ok_or_else(wrong)
    }

    fn number(&self, name: &str, usual: u64) -> Result<u64, Refused> {
        match self.0.get(name) {
            None => Ok(usual),
            Some(value) => value.as_u64().ok_or_else(|| error(400, "bad_request")),
        }
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let method = parts.method.clone();
    let path = parts.uri.path().to_owned();
    if let Some(topic) = path.strip_prefix("/topics/") {
        let body = to_bytes(body, 1 << 20).await.unwrap();
        fake.publish(topic, &parts.headers, &body);
        return json_answer(200, &json!({ "message": "OK" }));
    }
    let Some(path) = path.strip_prefix("/rt/v1") else {
        return error(404, "not_found");
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let answered = fake
        .route(&method, path, &query, &parts.headers, body)
        .await;
    let mut response = answered.unwrap_or_else(|refused| refused);
    let is_file = path.starts_with("/eventcast.");
    fake.finish(&mut response, &parts.headers, path, is_file);
    if fake.has(Fault::Chunked) && response.headers().contains_key("content-type") {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20);
        if parts.headers["content-type"] == "text/event-stream" {
            return Response::from_parts(parts, bytes.await.unwrap().into());
        }
        let bytes = bytes.await.unwrap();
        let once = futures_util::stream::once(async move { Ok::<_, std::io::Error>(bytes) });
        return Response::from_parts(parts, Body::from_stream(once));
    }
    response
}

impl Fake {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn stir(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn publish(&self, topic: &str, headers: &HeaderMap, body: &[u8]) {
        let properties = headers["x-amz-mqtt5-user-properties"].as_bytes();
        let properties = base64::engine::general_purpose::STANDARD.decode(properties);
        let properties: Value = serde_json::from_slice(&properties.unwrap()).unwrap();
        let channel = topic.replacen('/', ":", 1);
        let payload: Value = serde_json::from_slice(body).unwrap();
        let mut message = json!({
            "id": properties[0]["eb-id"], "channel": channel, "topic": topic, "type": null,
            "time": null, "payload": payload, "retained": false,
        });
        if self.has(Fault::NoChannel) {
            message["channel"] = Value::Null;
        }
        let mut platform = self.platform.lock().unwrap();
        platform.next += 1;
        let number = platform.next;
        for session in platform.sessions.values_mut() {
            if self.has(Fault::LosesWhenLeft) && session.waiting == 0 {
                continue;
            }
            if self.has(Fault::DropsBacklog) && session.queue.len() >= 100 {
                continue;
            }
            if session.channels.contains(&channel) {
                session.queue.push_back((number, message.clone()));
            }
        }
        drop(platform);
        self.stir();
    }

    fn finish(&self, response: &mut Response, asked: &HeaderMap, path: &str, is_file: bool) {
        if !is_file && !self.has(Fault::Stores) {
            set(response, "cache-control", "no-store, no-transform");
        }
        if !is_file && !self.has(Fault::LetsBuffer) {
            set(response, "x-accel-buffering", "no");
        }
        if self.has(Fault::Compresses) {
            set(response, "content-encoding", "gzip");
        }
        if self.has(Fault::TokenInLocation) && response.status() == 201 {
            let location = format!("/rt/v1/session?token={TOKEN}");
            set(response, "location", &location);
        }
        if self.has(Fault::PlainErrors) && response.status().is_client_error() {
            *response.body_mut() = Body::from("not like this");
        }
        if !self.has(Fault::NoVary) {
            set(response, "vary", "Origin");
        }
        let origin = asked.get("origin").and_then(|origin| origin.to_str().ok());
        let Some(origin) = origin else { return };
        if self.has(Fault::AnyOrigin) {
            set(response, "access-control-allow-origin", "*");
        } else if origin == ORIGIN || self.has(Fault::EchoesOrigins) {
            set(response, "access-control-allow-origin", origin);
        }
        if !self.has(Fault::HidesRetryAfter) {
            set(response, "access-control-expose-headers", "Retry-After");
        }
        if path == "/stream/ticket" || self.has(Fault::CredentialsEverywhere) {
            set(response, "access-control-allow-credentials", "true");
        }
    }

    async fn route(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Refused> {
        if *method == Method::OPTIONS {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let age = if self.has(Fault::ShortMaxAge) {
                "5"
            } else {
                "7200"
            };
            set(
                &mut response,
                "access-control-allow-methods",
                "POST, PATCH, DELETE",
            );
            set(
                &mut response,
                "access-control-allow-headers",
                "Authorization, Content-Type",
            );
            set(&mut response, "access-control-max-age", age);
            return Ok(response);
        }
        if let ("/eventcast.js" | "/eventcast.d.ts", &Method::GET) = (path, method) {
            return Ok(self.file(headers));
        }
        if path.starts_with("/stream/") && *method == Method::GET {
            return self.ticket_stream(path, headers);
        }
        let known = match path {
            "/session" => &[Method::POST, Method::PATCH, Method::DELETE][..],
            "/poll" | "/stream" | "/ack" | "/stream/ticket" => &[Method::POST],
            _ => return Err(error(404, "not_found")),
        };
        if !known.contains(method) {
            return Err(error(405, "method_not_allowed"));
        }
        let principal = self.principal(headers, query)?;
        let kind = headers.get("content-type").map(HeaderValue::as_bytes);
        if kind != Some(b"application/json") && !self.has(Fault::AnyContentType) {
            return Err(error(415, "unsupported_media_type"));
        }
        let Ok(bytes) = to_bytes(body, 64 << 10).await else {
            return Err(error(413, "too_large"));
        };
        let asked: Result<Value, _> = serde_json::from_slice(&bytes);
        let asked = match asked {
            Ok(asked) if asked.is_object() => Asked(asked),
            _ if self.has(Fault::PanicsOnBodies) => return Err(error(500, "panic")),
            _ => return Err(error(400, "bad_request")),
        };
        match (method.as_str(), path) {
            ("POST", "/session") => self.open(&principal, &asked),
            ("PATCH", _) => self.change(&principal, &asked),
            ("DELETE", _) => self.delete(&principal, &asked),
            (_, "/poll") => self.poll(&principal, &asked).await,
            (_, "/ack") => {
                let (id, cursor) = self.cursor(&principal, &asked)?;
                if !self.has(Fault::AcknowledgesNothing) {
                    self.confirm(id, cursor);
                }
                Ok(no_content())
            }
            (_, "/stream") => {
                let (id, cursor) = self.cursor(&principal, &asked)?;
                Ok(self.stream(id, cursor))
            }
            _ => self.ticket(&principal, &asked),
        }
    }

    fn file(&self, headers: &HeaderMap) -> Response {
        let mut response = Response::new(Body::from("export {};\n"));
        if headers.contains_key("if-none-match") && !self.has(Fault::NoTag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        set(&mut response, "content-type", "text/javascript");
        if !self.has(Fault::NoTag) {
            set(&mut response, "etag", "\"1\"");
        }
        response
    }

    fn principal(&self, headers: &HeaderMap, query: &str) -> Result<String, Refused> {
        let shown = headers
            .get("authorization")
            .and_then(|one| one.to_str().ok());
        let mut token = shown.and_then(|one| one.strip_prefix("Bearer "));
        if self.has(Fault::TokenInQuery) {
            token = token.or_else(|| query.split_once("token=").map(|(_, token)| token));
        }
        match token {
            Some(TOKEN) => Ok("first".into()),
            Some(OTHER_TOKEN) => Ok("second".into()),
            _ => {
                let mut refused = error(401, "unauthorized");
                if self.has(Fault::NoChallenge) {
                    refused.headers_mut().remove("www-authenticate");
                }
                Err(refused)
            }
        }
    }

    fn open(&self, principal: &str, asked: &Asked) -> Result<Response, Refused> {
        let channels = asked.texts("channels")?;
        let (granted, denied): (Vec<_>, Vec<_>) =
            channels.into_iter().partition(|one| one == CHANNEL);
        if self.has(Fault::DeniesAll) && !denied.is_empty() {
            return Err(error(403, "forbidden"));
        }
        let mut platform = self.platform.lock().unwrap();
        let sessions = platform.sessions.values();
        if sessions.filter(|one| one.principal == principal).count() >= SESSIONS {
            let mut refused = error(429, "quota");
            if self.has(Fault::QuotaWithoutTime) {
                refused.headers_mut().remove("retry-after");
            }
            return Err(refused);
        }
        platform.next += 1;
        let (id, number) = (platform.next, platform.next);
        let session = Session {
            principal: principal.into(),
            channels: granted.iter().cloned().collect(),
            queue: VecDeque::new(),
            holder: 0,
            shown: None,
            waiting: 0,
        };
        platform.sessions.insert(id, session);
        let denied: Vec<Value> = denied
            .iter()
            .filter(|_| !self.has(Fault::NoDenied))
            .map(|one| json!({ "channel": one, "reason": "authorization" }))
            .collect();
        let body = json!({
            "session": seal(&[id]), "cursor": seal(&[id, number]),
            "granted": granted, "denied": denied, "advice": advice(),
        });
        Ok(json_answer(201, &body))
    }

    fn session(&self, principal: &str, asked: &Asked) -> Result<u64, Refused> {
        let text = asked.text("session")?;
        let unsealed = unseal::<1>(text);
        let id = match unsealed {
            Some([id]) => id,
            None if self.has(Fault::TakesChangedSessions) => {
                let first = text.split('-').next().unwrap_or_default();
                u64::from_str_radix(first, 16).map_err(|_| error(400, "bad_request"))?
            }
            None => return Err(error(400, "bad_request")),
        };
        let platform = self.platform.lock().unwrap();
        let Some(session) = platform.sessions.get(&id) else {
            let forgets = self.has(Fault::ForgetsDeleted);
            return Err(error(if forgets { 404 } else { 410 }, "gone"));
        };
        if session.principal != principal && !self.has(Fault::SharesSessions) {
            return Err(error(403, "forbidden"));
        }
        Ok(id)
    }

    fn cursor(&self, principal: &str, asked: &Asked) -> Result<(u64, u64), Refused> {
        let id = self.session(principal, asked)?;
        match unseal::<2>(asked.text("cursor")?) {
            Some([of, number]) if of == id => Ok((id, number)),
            _ => Err(error(400, "bad_request")),
        }
    }

    fn confirm(&self, id: u64, cursor: u64) {
        if self.has(Fault::ConfirmsNothing) {
            return;
        }
        let mut platform = self.platform.lock().unwrap();
        if let Some(session) = platform.sessions.get_mut(&id) {
            session.queue.retain(|(number, _)| *number > cursor);
        }
    }

    fn change(&self, principal: &str, asked: &Asked) -> Result<Response, Refused> {
        let id = self.session(principal, asked)?;
        let (add, remove) = (asked.texts("add")?, asked.texts("remove")?);
        let mut platform = self.platform.lock().unwrap();
        let session = platform.sessions.get_mut(&id).unwrap();
        let shown: BTreeSet<String> = match self.has(Fault::IgnoresRemoval) {
            true => BTreeSet::new(),
            false => {
                session.channels.retain(|one| !remove.contains(one));
                session.channels.extend(add);
                session.channels.clone()
            }
        };
        let body = json!({ "session": seal(&[id]), "granted": shown, "denied": [] });
        Ok(json_answer(200, &body))
    }

    fn delete(&self, principal: &str, asked: &Asked) -> Result<Response, Refused> {
        let id = self.session(principal, asked)?;
        self.platform.lock().unwrap().sessions.remove(&id);
        self.stir();
        Ok(no_content())
    }

    /// Takes a session for a poll or stream; the number under which it is held.
    fn hold(&self, id: u64) -> u64 {
        let mut platform = self.platform.lock().unwrap();
        platform.next += 1;
        let holder = platform.next;
        if let Some(session) = platform.sessions.get_mut(&id) {
            session.holder = holder;
        }
        drop(platform);
        self.stir();
        holder
    }

    async fn poll(&self, principal: &str, asked: &Asked) -> Result<Response, Refused> {
        let (id, cursor) = self.cursor(principal, asked)?;
        let wait = Duration::from_secs(asked.number("timeout_s", 25)?.min(50));
        let max = usize::try_from(asked.number("max", 100)?.min(100)).unwrap();
        let max = if self.has(Fault::IgnoresMax) {
            100
        } else {
            max
        };
        self.confirm(id, cursor);
        let mut changed = self.changed.subscribe();
        let holder = self.hold(id);
        let until = Instant::now() + wait;
        let is_repeated = {
            let mut platform = self.platform.lock().unwrap();
            let session = platform.sessions.get_mut(&id).unwrap();
            session.waiting += 1;
            session.shown.replace(cursor) == Some(cursor)
        };
        let _waiting = Waiting(self, id);
        loop {
            changed.borrow_and_update();
            let is_over = Instant::now() >= until || self.has(Fault::AnswersAtOnce);
            let answer = self.try_poll(id, cursor, holder, max, is_over, is_repeated)?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let _ = timeout(until - Instant::now(), changed.changed()).await;
        }
    }

    fn try_poll(
        &self,
        id: u64,
        cursor: u64,
        holder: u64,
        max: usize,
        is_over: bool,
        is_repeated: bool,
    ) -> Result<Option<Response>, Refused> {
        let mut platform = self.platform.lock().unwrap();
        let is_draining = platform.draining;
        let Some(session) = platform.sessions.get_mut(&id) else {
            return Err(error(410, "gone"));
        };
        if session.holder != holder && !self.has(Fault::TwoPolls) {
            if self.has(Fault::LosesAtSuperseding) {
                session.channels.clear();
            }
            return Err(error(409, "superseded"));
        }
        if is_draining {
            if self.has(Fault::DrainCuts) {
                let cut = futures_util::stream::once(async {
                    Err::<Bytes, _>(std::io::Error::other("cut"))
                });
                return Ok(Some(Response::new(Body::from_stream(cut))));
            }
            return Err(error(503, "draining"));
        }
        let hides = self.has(Fault::NothingOnTheSameCursor) && is_repeated;
        let waits = self.has(Fault::HoldsUntilTheTimeout) && !is_over;
        let mut found: Vec<(u64, Value)> = match hides || waits {
            true => Vec::new(),
            false => session.queue.iter().take(max).cloned().collect(),
        };
        if found.is_empty() && !is_over {
            return Ok(None);
        }
        if found.is_empty() && self.has(Fault::NoContent) {
            return Ok(Some(no_content()));
        }
        let next = found.last().map_or(cursor, |(number, _)| *number);
        let more = session.queue.len() > found.len();
        if self.has(Fault::AcknowledgesAtOnce) {
            session.queue.retain(|(number, _)| *number > next);
        }
        if self.has(Fault::Reorders) {
            found.reverse();
        }
        let messages: Vec<Value> = found.into_iter().map(|(_, message)| message).collect();
        let body = json!({
            "messages": messages, "cursor": seal(&[id, next]), "more": more, "advice": advice(),
        });
        Ok(Some(json_answer(200, &body)))
    }

    fn ticket(&self, principal: &str, asked: &Asked) -> Result<Response, Refused> {
        let (id, cursor) = self.cursor(principal, asked)?;
        let mut platform = self.platform.lock().unwrap();
        platform.next += 1;
        let random = seal(&[platform.next, 7]);
        let mut location = format!("/rt/v1/stream/{random}");
        if self.has(Fault::CursorInTicket) {
            location.push_str(&format!("?cursor={}", asked.text("cursor")?));
        }
        let ticket = (id, seal(&[id, cursor]), false);
        platform.tickets.insert(random.clone(), ticket);
        let path = match self.has(Fault::TicketForEveryPath) {
            true => "/".to_owned(),
            false => format!("/rt/v1/stream/{random}"),
        };
        let cookie = format!(
            "ticket={}; HttpOnly; Secure; SameSite=None; Path={path}; Max-Age=30",
            seal(&[platform.next, 8])
        );
        let mut response = no_content();
        set(&mut response, "location", &location);
        set(&mut response, "set-cookie", &cookie);
        Ok(response)
    }

    fn ticket_stream(&self, path: &str, headers: &HeaderMap) -> Result<Response, Refused> {
        let random = path.trim_start_matches("/stream/");
        let (id, cursor) = {
            let mut platform = self.platform.lock().unwrap();
            let Some(ticket) = platform.tickets.get_mut(random) else {
                return Err(error(404, "not_found"));
            };
            if !headers.contains_key("cookie") {
                return Err(error(401, "unauthorized"));
            }
            let is_used = std::mem::replace(&mut ticket.2, true);
            if is_used && !self.has(Fault::TicketTwice) {
                return Err(error(401, "unauthorized"));
            }
            let [id, cursor] = unseal::<2>(&ticket.1).unwrap();
            (id, cursor)
        };
        Ok(self.stream(id, cursor))
    }

    fn stream(&self, id: u64, cursor: u64) -> Response {
        self.confirm(id, cursor);
        let state = Streaming {
            fake: self.clone(),
            changed: self.changed.subscribe(),
            holder: self.hold(id),
            id,
            written: cursor,
            beat: None,
            end: Instant::now()
                + match self.has(Fault::EndsEarly) {
                    true => Duration::from_secs(2),
                    false => STREAM_LIFE,
                },
            is_over: false,
        };
        let pieces = unfold(state, |mut state| async move {
            let piece = state.next().await?;
            Some((piece, state))
        });
        let mut response = Response::new(Body::from_stream(pieces));
        let kind = match self.has(Fault::StreamOfPlainText) {
            true => "text/plain",
            false => "text/event-stream",
        };
        set(&mut response, "content-type", kind);
        response
    }
}

/// A poll that waits, until it is answered or its client leaves.
struct Waiting<'f>(&'f Fake, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut platform = self.0.platform.lock().unwrap();
        if let Some(session) = platform.sessions.get_mut(&self.1) {
            session.waiting -= 1;
        }
    }
}

/// A stream that is being written.
struct Streaming {
    fake: Fake,
    changed: watch::Receiver<u64>,
    holder: u64,
    id: u64,
    written: u64,
    /// Moment when the next heartbeat is due; none before the first.
    beat: Option<Instant>,
    end: Instant,
    is_over: bool,
}

impl Streaming {
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        if self.is_over {
            return None;
        }
        let Some(beat) = self.beat else {
            let every = match self.fake.has(Fault::HeartbeatLate) {
                true => HEARTBEAT * 2,
                false => HEARTBEAT,
            };
            self.beat = Some(Instant::now() + every);
            let retry = if self.fake.has(Fault::RetryZero) {
                0
            } else {
                2_000
            };
            return Some(Ok(format!(":\nretry: {retry}\n\n").into()));
        };
        loop {
            self.changed.borrow_and_update();
            if let Some(piece) = self.now() {
                return Some(piece);
            }
            tokio::select! {
                _ = self.changed.changed() => {}
                () = sleep_until(self.end) => {
                    self.is_over = true;
                    return Some(Ok("event: advice\ndata: {\"reconnect\": true}\n\n".into()));
                }
                () = sleep_until(beat), if !self.fake.has(Fault::NoHeartbeat) => {
                    self.beat = Some(Instant::now() + HEARTBEAT);
                    return Some(Ok(":\n\n".into()));
                }
            }
        }
    }

    /// The part that can be written at once.
    fn now(&mut self) -> Option<std::io::Result<Bytes>> {
        let mut platform = self.fake.platform.lock().unwrap();
        let is_draining = platform.draining;
        let session = platform.sessions.get_mut(&self.id);
        let held = session.filter(|session| session.holder == self.holder);
        let Some(session) = held else {
            self.is_over = true;
            if self.fake.has(Fault::BreaksStreams) {
                return Some(Err(std::io::Error::other("cut")));
            }
            return Some(Ok(
                "event: error\ndata: {\"error\": \"superseded\"}\n\n".into()
            ));
        };
        if is_draining {
            self.is_over = true;
            return Some(Ok("event: advice\ndata: {\"reconnect\": true}\n\n".into()));
        }
        let next = session
            .queue
            .iter()
            .find(|(number, _)| *number > self.written);
        let (number, message) = next.cloned()?;
        self.written = number;
        if self.fake.has(Fault::AcknowledgesWhenWritten) {
            session.queue.retain(|(one, _)| *one > number);
        }
        let id = match self.fake.has(Fault::StreamWithoutIds) {
            true => String::new(),
            false => format!("id: {}\n", seal(&[self.id, number])),
        };
        Some(Ok(format!("event: message\n{id}data: {message}\n\n").into()))
    }
}

fn advice() -> Value {
    json!({ "timeout_s": 25, "min_interval_ms": 0, "expires_in_s": 300 })
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
