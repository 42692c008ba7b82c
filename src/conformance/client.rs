//! Requests of the suite: each on a connection of its own, so that one can be broken off without
//! another.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::address::GatewayAddress;
use super::answer::HttpAnswer;
use super::finding::{Finding, RuleOutcome, broken};
use super::transport::Dialer;

/// The most bytes that are read of one answer.
const ANSWER_BYTES: usize = 16 << 20;

/// Time that an answer may take beyond the time for which a poll waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// One request.
#[derive(Clone, Debug)]
pub(super) struct HttpCall {
    pub(super) method: &'static str,
    /// Below the base path, such as `/poll`.
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
    /// For how long the gateway may wait before it answers.
    pub(super) waits: Duration,
}

impl HttpCall {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            token: None,
            headers: Vec::new(),
            body: None,
            waits: Duration::ZERO,
        }
    }

    pub(super) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(Bytes::from(body.to_string()));
        self.header("content-type", "application/json")
    }

    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn waits(mut self, seconds: u64) -> Self {
        self.waits = Duration::from_secs(seconds);
        self
    }
}

/// One way to a gateway: directly, or through a relay.
#[derive(Clone)]
pub(super) struct GatewayClient {
    dialer: Dialer,
    host: String,
    base: String,
    /// `true` where each connection is for one request, which a relay sees end.
    is_closing: bool,
}

/// Connections of one client that are being spoken on.
struct Spoken {
    answer: hyper::Response<Incoming>,
    connection: HttpConnection,
}

/// The task-free half of a connection: the reader of an answer drives it.
type HttpConnection =
    Pin<Box<http1::Connection<TokioIo<Box<dyn super::transport::Wire>>, Full<Bytes>>>>;

impl GatewayClient {
    pub(super) fn new(address: &GatewayAddress, dialer: Dialer) -> Self {
        Self {
            dialer,
            host: address.host_header(),
            base: address.base.clone(),
            is_closing: false,
        }
    }

    /// The same deployment, reached through a relay on this machine.
    pub(super) fn through(&self, port: u16) -> Self {
        Self {
            dialer: Dialer::local(port),
            is_closing: true,
            ..self.clone()
        }
    }

    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Method and path of a call, for messages: without the query, which is a counter.
    pub(super) fn what(&self, call: &HttpCall) -> String {
        let path = call.path.split('?').next().unwrap_or_default();
        format!("{} {}{path}", call.method, self.base)
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn ask(&self, call: &HttpCall) -> RuleOutcome<HttpAnswer> {
        match self.try_ask(call).await {
            Ok(answer) => Ok(answer),
            Err(why) => broken(format!("{}: {why}", self.what(call))),
        }
    }

    /// As [`GatewayClient::ask`], for rules that expect no whole answer: the error says why there
    /// is none.
    pub(super) async fn try_ask(&self, call: &HttpCall) -> Result<HttpAnswer, String> {
        let bound = call.waits + ANSWER_TIMEOUT;
        let asking = async {
            let begin = Instant::now();
            let spoken = self.speak(call).await?;
            let (parts, mut body) = spoken.answer.into_parts();
            let mut connection = Some(spoken.connection);
            let mut bytes = Vec::new();
            while let Some(piece) = next_piece(&mut body, &mut connection).await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() > ANSWER_BYTES {
                    return Err(format!("an answer of more than {ANSWER_BYTES} bytes"));
                }
            }
            Ok(HttpAnswer {
                what: self.what(call),
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: bytes.into(),
                took: begin.elapsed(),
            })
        };
        timeout(bound, asking)
            .await
            .unwrap_or_else(|_| Err(format!("no answer in {} s", bound.as_secs())))
    }

    /// Sends a request and reads the head of the answer; the body comes piece by piece.
    pub(super) async fn open(&self, call: &HttpCall) -> RuleOutcome<OpenAnswer> {
        let begin = Instant::now();
        let spoken = timeout(ANSWER_TIMEOUT, self.speak(call)).await;
        let spoken = spoken.unwrap_or_else(|_| {
            Err(format!(
                "no head of an answer in {} s",
                ANSWER_TIMEOUT.as_secs()
            ))
        });
        let spoken =
            spoken.map_err(|why| Finding::Broken(format!("{}: {why}", self.what(call))))?;
        let (parts, body) = spoken.answer.into_parts();
        Ok(OpenAnswer {
            what: self.what(call),
            status: parts.status.as_u16(),
            headers: parts.headers,
            took: begin.elapsed(),
            body,
            connection: Some(spoken.connection),
        })
    }

    /// Sends a request; nothing is read. Dropping the returned value breaks the connection off.
    async fn speak(&self, call: &HttpCall) -> Result<Spoken, String> {
        let io = self.dialer.dial().await;
        let io = io.map_err(|error| format!("connecting: {error}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(io))
            .await
            .map_err(|error| said(&error))?;
        let mut connection: HttpConnection = Box::pin(connection);
        let request = self.request(call)?;
        let answering = sender.send_request(request);
        tokio::pin!(answering);
        let answer = tokio::select! {
            biased;
            answer = &mut answering => answer,
            // The peer closed; an answer may have come before that.
            ended = &mut connection => match answering.await {
                Ok(answer) => Ok(answer),
                Err(error) => return Err(match ended {
                    Err(error) => said(&error),
                    Ok(()) => said(&error),
                }),
            },
        };
        let answer = answer.map_err(|error| said(&error))?;
        Ok(Spoken { answer, connection })
    }

    fn request(&self, call: &HttpCall) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header("host", &self.host)
            // As browsers have it: an answer that may not be compressed must not be.
            .header("accept-encoding", "gzip, deflate, br, zstd")
            .header("user-agent", "eventcast-conformance");
        if let Some(token) = &call.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if self.is_closing {
            request = request.header("connection", "close");
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let body = Full::new(call.body.clone().unwrap_or_default());
        request.body(body).map_err(|error| error.to_string())
    }
}

/// An answer whose body is read as it comes.
pub(super) struct OpenAnswer {
    pub(super) what: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) took: Duration,
    body: Incoming,
    connection: Option<HttpConnection>,
}

impl OpenAnswer {
    /// The next bytes; `None` at a proper end, an error where the answer breaks off.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        next_piece(&mut self.body, &mut self.connection).await
    }

    /// The whole answer, for one that is short.
    pub(super) async fn whole(mut self) -> RuleOutcome<HttpAnswer> {
        let reading = async {
            let mut bytes = Vec::new();
            while let Some(piece) = self.next().await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() > ANSWER_BYTES {
                    return Err(format!("an answer of more than {ANSWER_BYTES} bytes"));
                }
            }
            Ok(bytes)
        };
        let read = timeout(ANSWER_TIMEOUT, reading).await;
        let read = read.unwrap_or_else(|_| Err("the body does not end".into()));
        let body = read.map_err(|why| Finding::Broken(format!("{}: {why}", self.what)))?;
        Ok(HttpAnswer {
            what: self.what,
            status: self.status,
            headers: self.headers,
            body: body.into(),
            took: self.took,
        })
    }
}

/// The next bytes of a body, while its connection is driven.
async fn next_piece(
    body: &mut Incoming,
    connection: &mut Option<HttpConnection>,
) -> Result<Option<Bytes>, String> {
    loop {
        let frame = std::future::poll_fn(|context: &mut Context<'_>| {
            if let Some(driven) = connection
                && driven.as_mut().poll(context).is_ready()
            {
                *connection = None;
            }
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(frame) => Poll::Ready(frame),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(said(&error)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// An error with its causes, each said once.
fn said(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A number that no poll of this process had before.
pub(super) fn counter() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    COUNTER.fetch_add(1, Relaxed)
}
