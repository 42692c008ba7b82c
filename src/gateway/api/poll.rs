//! `/rt/v1/poll`: messages, as soon as there are some.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::{BufMut as _, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::body::{self, PollRequest, SessionPlace};
use super::fault::ApiFault;
use super::{Gateway, Shown, answer};
use crate::gateway::cursor::Cursor;
use crate::gateway::inbox::Inbox;
use crate::gateway::link::{BrokerLink, LinkEnd, NotReadable};
use crate::gateway::metrics::GaugeGuard;
use crate::gateway::session::GatewaySession;

/// Bytes of messages from which on an answer takes no more of them.
const ANSWER_BYTES: usize = 1_024 * 1_024;

/// Time that a poll that does not want to wait may wait for the connection to the broker.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Messages for one answer.
struct MessageBatch {
    /// Objects of JSON, separated by commas.
    json: BytesMut,
    cursor: Cursor,
    more: bool,
    given: usize,
    again: usize,
}

pub(super) async fn poll(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiFault> {
    let asked: PollRequest = body::read(&headers, body, gateway.options.limits.body_bytes).await?;
    if gateway.shutdown.is_draining() {
        return Err(ApiFault::draining());
    }
    let shown = gateway.shown(&headers, &asked.session, &asked.cursor)?;
    let deadline = Instant::now() + asked.wait();
    let most = asked.most();
    // A poll waits for half a minute without its request: headers are slices of the connection's
    // read buffer, of which hyper would need a second one meanwhile.
    drop((headers, asked));
    let _counted = GaugeGuard::new(&gateway.metrics().polls);
    let polled = Box::pin(gateway.messages(shown, deadline, most));
    tokio::select! {
        biased;
        answer = polled => answer,
        _ = gateway.shutdown.draining() => Err(ApiFault::draining()),
    }
}

pub(super) async fn acknowledge(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiFault> {
    let asked: SessionPlace = body::read(&headers, body, gateway.options.limits.body_bytes).await?;
    let shown = gateway.shown(&headers, &asked.session, &asked.cursor)?;
    let bearer = shown.bearer.as_ref();
    let link = gateway
        .sessions
        .attach(&shown.session, &shown.cursor, bearer);
    let confirmed = link.await?.confirm(&shown.cursor);
    confirmed.map_err(|_| stale())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) fn stale() -> ApiFault {
    ApiFault::gone(
        "messages after this cursor were confirmed already, and cannot be returned again",
    )
}

impl Gateway {
    /// Waits for messages on the session's link, and on the next one when the connection is lost
    /// meanwhile.
    async fn messages(
        &self,
        mut shown: Shown,
        deadline: Instant,
        most: usize,
    ) -> Result<Response, ApiFault> {
        let mut is_first = true;
        loop {
            let bearer = shown.bearer.as_ref();
            let sessions = &self.sessions;
            let link = sessions
                .attach(&shown.session, &shown.cursor, bearer)
                .await?;
            let _guard = link.guard();
            let reader = link.begin(&shown.cursor).map_err(|_| stale())?;
            let connected = Instant::now() + CONNECT_WAIT;
            let read = async {
                if let Ok(Err(end)) = timeout_at(connected.max(deadline), link.opened()).await {
                    return Err(NotReadable::Over(end));
                }
                let reading = link.read(reader, |inbox| batch(inbox, most));
                match timeout_at(deadline, reading).await {
                    Ok(read) => read.map(Some),
                    Err(_) => Ok(None),
                }
            };
            match read.await {
                Ok(Some(batch)) => return Ok(self.batch(&shown.session, &link, batch)),
                Ok(None) => return self.nothing(&shown.session, &link, reader),
                Err(NotReadable::Superseded) => return Err(self.superseded()),
                // The next link reads from the cursor which messages the client has.
                Err(NotReadable::Over(LinkEnd::Lost(_) | LinkEnd::Closed))
                    if is_first || Instant::now() < deadline => {}
                Err(NotReadable::Over(end)) => return Err(ApiFault::of_end(end)),
            }
            is_first = false;
            shown.cursor.connected = shown.cursor.connected.max(link.connected);
        }
    }

    pub(super) fn superseded(&self) -> ApiFault {
        self.metrics().superseded.one();
        ApiFault::superseded()
    }

    fn batch(&self, session: &GatewaySession, link: &BrokerLink, batch: MessageBatch) -> Response {
        self.metrics().given.add(batch.given);
        self.metrics().given_again.add(batch.again);
        let cursor = self.sealed(session, link, batch.cursor);
        let advice = self.advice().to_string();
        let mut json = BytesMut::with_capacity(batch.json.len() + cursor.len() + advice.len() + 64);
        json.put_slice(b"{\"messages\":[");
        json.put_slice(&batch.json);
        json.put_slice(b"],\"cursor\":\"");
        json.put_slice(cursor.as_bytes());
        json.put_slice(b"\",\"more\":");
        json.put_slice(if batch.more { b"true" } else { b"false" });
        json.put_slice(b",\"advice\":");
        json.put_slice(advice.as_bytes());
        json.put_u8(b'}');
        answer(StatusCode::OK, json.freeze())
    }

    fn nothing(
        &self,
        session: &GatewaySession,
        link: &BrokerLink,
        reader: u64,
    ) -> Result<Response, ApiFault> {
        let cursor = link.cursor(reader).ok_or_else(ApiFault::superseded)?;
        let empty = MessageBatch {
            json: BytesMut::new(),
            cursor,
            more: false,
            given: 0,
            again: 0,
        };
        Ok(self.batch(session, link, empty))
    }

    /// The text of a cursor of this link.
    pub(super) fn sealed(
        &self,
        session: &GatewaySession,
        link: &BrokerLink,
        cursor: Cursor,
    ) -> String {
        let cursor = Cursor {
            connected: link.connected,
            ..cursor
        };
        cursor.seal(&self.sessions.keys, session.serial, session.expires)
    }
}

/// The messages that the client was given before and has not confirmed; without any, those that
/// wait.
fn batch(inbox: &mut Inbox, most: usize) -> Option<MessageBatch> {
    let mut json = BytesMut::new();
    let put = |json: &mut BytesMut, message: &[u8]| {
        if !json.is_empty() {
            json.put_u8(b',');
        }
        json.put_slice(message);
    };
    let again = inbox.unconfirmed_count();
    if again > 0 {
        for message in inbox.unconfirmed() {
            put(&mut json, &message.json);
        }
    } else {
        for _ in 0..most {
            let fits = |next: usize| json.is_empty() || json.len() + next <= ANSWER_BYTES;
            if !inbox.next_bytes().is_some_and(fits) {
                break;
            }
            if let Some(message) = inbox.give() {
                put(&mut json, &message.json);
            }
        }
    }
    let count = inbox.unconfirmed_count();
    (count > 0).then(|| MessageBatch {
        json,
        cursor: inbox.cursor(count),
        more: !inbox.is_empty(),
        given: count - again,
        again,
    })
}
