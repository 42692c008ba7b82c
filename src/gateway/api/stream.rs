//! `/rt/v1/stream`: messages as they come, until the stream ends by itself.
//!
//! A stream reads a session as a poll does. Written bytes count for nothing: messages stay
//! unacknowledged until the client shows their cursor, by an acknowledgement, its next stream or a
//! poll. So a stream whose connection to the broker is lost ends, and the next one begins where the
//! client is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use futures_util::stream::unfold;
use tokio::time::{Instant, timeout_at};

use super::body::{self, SessionPlace};
use super::fault::ApiFault;
use super::poll::stale;
use super::sse::{self, BEGINNING, EventId, EventName, HEARTBEAT};
use super::{Gateway, Shown};
use crate::gateway::bearer::Bearer;
use crate::gateway::link::{BrokerLink, LinkEnd, LinkGuard, NotReadable};
use crate::gateway::session::GatewaySession;
use crate::gateway::sessions::unix_now;

/// Time that a stream lasts, in milliseconds: from the first to the second, at random, so that
/// streams that began together do not end together.
const LIFE_MS: std::ops::Range<u64> = 60_000..100_000;

/// Time that a stream may be silent.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Bytes of one write.
const CHUNK_BYTES: usize = 64 * 1_024;

pub(super) async fn stream(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiFault> {
    if gateway.shutdown.is_draining() {
        return Err(ApiFault::draining());
    }
    let asked: SessionPlace = body::read(&headers, body, gateway.options.limits.body_bytes).await?;
    let shown = gateway.shown(&headers, &asked.session, &asked.cursor)?;
    gateway.stream(shown).await
}

/// Progress of a stream.
enum StreamProgress {
    /// Nothing is written.
    Beginning,
    /// Events are read from the link.
    Reading,
    /// The last event is written.
    Ended,
}

struct Stream {
    gateway: Arc<Gateway>,
    session: GatewaySession,
    link: Arc<BrokerLink>,
    _guard: LinkGuard,
    reader: u64,
    /// The number of the last message that was written.
    written: u64,
    ends: Instant,
    /// Moment when the token expires, in seconds since 1970.
    expires: Option<u64>,
    progress: StreamProgress,
}

impl Gateway {
    /// A stream of a session from the client's place on.
    pub(super) async fn stream(self: &Arc<Self>, shown: Shown) -> Result<Response, ApiFault> {
        let bearer = shown.bearer.as_ref();
        let link = self.sessions.attach(&shown.session, &shown.cursor, bearer);
        let link = link.await?;
        let guard = link.guard();
        let reader = link.begin(&shown.cursor).map_err(|_| stale())?;
        self.metrics().streams.change(1);
        let life = Duration::from_millis(fastrand::u64(LIFE_MS));
        let stream = Stream {
            gateway: Arc::clone(self),
            session: shown.session,
            link,
            _guard: guard,
            reader,
            written: 0,
            ends: Instant::now() + life,
            expires: bearer.and_then(Bearer::expires),
            progress: StreamProgress::Beginning,
        };
        let frames = unfold(stream, |mut stream| async move {
            let frame = stream.next().await?;
            Some((Ok::<_, std::convert::Infallible>(frame), stream))
        });
        let content = [(CONTENT_TYPE, "text/event-stream")];
        Ok((content, Body::from_stream(Box::pin(frames))).into_response())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.gateway.metrics().streams.change(-1);
    }
}

impl Stream {
    /// Returns the next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.progress {
            StreamProgress::Beginning => {
                self.progress = StreamProgress::Reading;
                return Some(BEGINNING);
            }
            StreamProgress::Reading => {}
            StreamProgress::Ended => return None,
        }
        let shutdown = self.gateway.shutdown.clone();
        tokio::select! {
            biased;
            _ = shutdown.draining() => Some(self.advised()),
            frame = self.read() => Some(frame),
        }
    }

    async fn read(&mut self) -> Bytes {
        let silent = Instant::now() + HEARTBEAT_INTERVAL;
        let deadline = self.ends.min(silent);
        match timeout_at(deadline, self.link.opened()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(end)) => return self.failed(ApiFault::of_end(end)),
        }
        let (gateway, session, link) = (&self.gateway, &self.session, &self.link);
        let (mut written, mut given) = (self.written, 0);
        let reading = link.read(self.reader, |inbox| {
            let mut out = BytesMut::new();
            while out.len() < CHUNK_BYTES {
                let Some((number, json, cursor)) = inbox.give_after(written) else {
                    break;
                };
                written = number;
                given += 1;
                let id = EventId::try_new(gateway.sealed(session, link, cursor));
                sse::put(&mut out, EventName::Message, id.as_ref(), &json);
            }
            (!out.is_empty()).then_some(out)
        });
        let read = timeout_at(deadline, reading).await;
        self.written = written;
        self.gateway.metrics().given.add(given);
        match read {
            Ok(Ok(out)) => out.freeze(),
            Ok(Err(NotReadable::Superseded)) => {
                let fault = self.gateway.superseded();
                self.failed(fault)
            }
            // The client knows how far it is, and the next stream goes on from there.
            Ok(Err(NotReadable::Over(LinkEnd::Lost(_) | LinkEnd::Closed))) => self.advised(),
            Ok(Err(NotReadable::Over(end))) => self.failed(ApiFault::of_end(end)),
            Err(_) if self.is_expired() => {
                self.failed(crate::gateway::bearer::BearerError::Expired.into())
            }
            Err(_) if self.ends <= Instant::now() => self.advised(),
            Err(_) => HEARTBEAT,
        }
    }

    fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= unix_now())
    }

    /// The planned end.
    fn advised(&mut self) -> Bytes {
        self.progress = StreamProgress::Ended;
        let mut out = BytesMut::new();
        sse::put_advice(&mut out, None);
        out.freeze()
    }

    fn failed(&mut self, fault: ApiFault) -> Bytes {
        self.progress = StreamProgress::Ended;
        let mut out = BytesMut::new();
        sse::put_error(&mut out, &fault.body());
        out.freeze()
    }
}
