//! `/rt/v1/stream/ticket`: leave for an `EventSource`, which sends no Authorization header, to open
//! one stream.
//!
//! The leave is sealed into cookies that a browser sends to one address alone, which nobody can
//! guess and which says nothing; it holds for half a minute and for one stream. Each stream that is
//! opened so brings the leave for the next one, since an `EventSource` comes back by itself to the
//! same address: it says by `Last-Event-ID` how far it is.
//!
//! The task where a leave was used knows that. Another task would accept it once more within its
//! time, from any client that has the cookies: that stream supersedes the first one, as any second
//! reader of a session does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::body::{self, SessionPlace};
use super::fault::ApiFault;
use super::sse::{self, BEGINNING};
use super::{Gateway, Shown, unopened};
use crate::gateway::bearer::Bearer;
use crate::gateway::cursor::Cursor;
use crate::gateway::seal::Purpose;
use crate::gateway::session::random;
use crate::gateway::sessions::unix_now;

/// Time that a ticket holds until its stream is opened, in seconds.
const TICKET_SECONDS: u64 = 30;

/// Time that the ticket for the stream after an open one holds, in seconds: the longest stream, and
/// some time to come back.
const NEXT_SECONDS: u64 = 160;

/// Characters of a sealed ticket in one cookie: browsers take 4,096 bytes of a cookie with its name
/// and attributes.
const COOKIE_CHARACTERS: usize = 3_600;

/// The most cookies of a ticket.
const MAX_COOKIES: usize = 7;

const COOKIE_NAME: &str = "eventcast-ticket-";

/// The last event id of an `EventSource` (HTML Standard, "The `Last-Event-ID` header").
const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Serialize, Deserialize)]
struct SealedTicket<'t> {
    session: std::borrow::Cow<'t, str>,
    cursor: std::borrow::Cow<'t, str>,
    token: Option<std::borrow::Cow<'t, str>>,
}

/// Tickets that were used here, until their time is over.
#[derive(Default)]
pub(in crate::gateway) struct UsedTickets(Mutex<HashMap<[u8; 16], u64>>);

impl UsedTickets {
    /// Returns `true` where a ticket is used for the first time.
    fn first_use(&self, ticket: &str, now: u64) -> bool {
        let mut hash = [0; 16];
        let whole = digest(&SHA256, ticket.as_bytes());
        if let Some(part) = whole.as_ref().first_chunk::<16>() {
            hash = *part;
        }
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until > now);
        used.insert(hash, now + NEXT_SECONDS + 1).is_none()
    }
}

pub(super) async fn issue(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiFault> {
    let asked: SessionPlace = body::read(&headers, body, gateway.options.limits.body_bytes).await?;
    let shown = gateway.shown(&headers, &asked.session, &asked.cursor)?;
    let random: [u8; 16] =
        random().ok_or_else(|| ApiFault::full("the system has no random numbers"))?;
    let place = URL_SAFE_NO_PAD.encode(random);
    let ticket = SealedTicket {
        session: (&*asked.session).into(),
        cursor: (&*asked.cursor).into(),
        token: shown.bearer.as_ref().map(|bearer| bearer.text().into()),
    };
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let path = path(&place);
    if let Ok(location) = HeaderValue::from_str(&path) {
        headers.insert(LOCATION, location);
    }
    gateway.put(&ticket, &place, TICKET_SECONDS, headers)?;
    Ok(response)
}

pub(super) async fn open(
    State(gateway): State<Arc<Gateway>>,
    Path(place): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiFault> {
    let sealed = cookies(&headers).ok_or_else(|| {
        ApiFault::unauthorized("no ticket: POST /rt/v1/stream/ticket gives one for one address")
    })?;
    let now = unix_now();
    let keys = &gateway.sessions.keys;
    let opened = keys.open(Purpose::Ticket, place.as_bytes(), &sealed, now);
    let opened = opened.map_err(|error| ApiFault::unauthorized(format!("the ticket: {error}")))?;
    let ticket: SealedTicket<'_> = serde_json::from_slice(&opened)
        .map_err(|_| ApiFault::unauthorized("the ticket is not one of this version"))?;
    if !gateway.used_tickets.first_use(&sealed, now) {
        return Err(ApiFault::unauthorized(
            "the ticket was used: ask for another",
        ));
    }
    let mut response = match gateway.open_ticket(&ticket, &headers).await {
        Ok(response) => response,
        // An EventSource gives up on any status but 200, and comes back after a stream that ends.
        Err(fault) if fault.retry_after.is_some() => brief(),
        Err(fault) => return Err(fault),
    };
    gateway.put(&ticket, &place, NEXT_SECONDS, response.headers_mut())?;
    Ok(response)
}

/// A stream that ends at once, in order.
fn brief() -> Response {
    let mut out = bytes::BytesMut::from(&BEGINNING[..]);
    sse::put_advice(&mut out, None);
    let content = [(axum::http::header::CONTENT_TYPE, "text/event-stream")];
    (content, out.freeze()).into_response()
}

fn path(place: &str) -> String {
    format!("/rt/v1/stream/{place}")
}

impl Gateway {
    async fn open_ticket(
        self: &Arc<Self>,
        ticket: &SealedTicket<'_>,
        headers: &HeaderMap,
    ) -> Result<Response, ApiFault> {
        if self.shutdown.is_draining() {
            return Err(ApiFault::draining());
        }
        let now = unix_now();
        let bearer = ticket.token.as_deref().map(Bearer::of).transpose()?;
        if bearer.as_ref().is_some_and(|bearer| bearer.is_expired(now)) {
            return Err(crate::gateway::bearer::BearerError::Expired.into());
        }
        let session = self.session(&ticket.session)?;
        let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
        let text = last.filter(|id| !id.is_empty()).unwrap_or(&ticket.cursor);
        let cursor = Cursor::open(&self.sessions.keys, session.serial, text, now)
            .map_err(|error| unopened("cursor", error))?;
        let shown = Shown {
            session,
            cursor,
            bearer,
        };
        self.stream(shown).await
    }

    /// Sets the cookies of a ticket for one address.
    fn put(
        &self,
        ticket: &SealedTicket<'_>,
        place: &str,
        seconds: u64,
        headers: &mut HeaderMap,
    ) -> Result<(), ApiFault> {
        let plain = serde_json::to_vec(ticket).unwrap_or_default();
        let keys = &self.sessions.keys;
        let expires = unix_now() + seconds;
        let sealed = keys.seal(Purpose::Ticket, place.as_bytes(), expires, &plain);
        // Letters of Base64 are a byte each.
        let parts = sealed.as_bytes().chunks(COOKIE_CHARACTERS);
        if parts.len() > MAX_COOKIES {
            let message = "session and token do not fit into cookies: stream by fetch instead";
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiFault::new(status, "too_large", message));
        }
        for (number, part) in parts.enumerate() {
            let part = String::from_utf8_lossy(part);
            let cookie = format!(
                "{COOKIE_NAME}{number}={part}; Path={}; Max-Age={seconds}; HttpOnly; Secure; SameSite=None",
                path(place)
            );
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                headers.append(SET_COOKIE, cookie);
            }
        }
        Ok(())
    }
}

/// The ticket of a request's cookies (RFC 6265, section 4.2), put together.
fn cookies(headers: &HeaderMap) -> Option<String> {
    let mut parts: [Option<&str>; MAX_COOKIES] = [None; MAX_COOKIES];
    let pairs = headers.get_all(COOKIE).iter();
    let pairs = pairs.filter_map(|value| value.to_str().ok());
    for pair in pairs.flat_map(|value| value.split(';')) {
        let Some((name, value)) = pair.trim().split_once('=') else {
            continue;
        };
        let number = name.strip_prefix(COOKIE_NAME);
        let number = number.and_then(|number| number.parse::<usize>().ok());
        if let Some(part) = number.and_then(|number| parts.get_mut(number)) {
            *part = Some(value);
        }
    }
    let sealed: String = parts.into_iter().map_while(|part| part).collect();
    (!sealed.is_empty()).then_some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_put_together() {
        let found = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookie.parse().unwrap());
            cookies(&headers)
        };
        let two = "a=b; eventcast-ticket-1=cd; eventcast-ticket-0=ab; eventcast-ticket-9=x";
        assert_eq!(found(two).as_deref(), Some("abcd"));
        for none in [
            "",
            "a",
            "eventcast-ticket-1=x",
            "eventcast-ticket-0=",
            "eventcast-ticket-x=y",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn tickets_are_used_once() {
        let used = UsedTickets::default();
        assert!(used.first_use("a", 10));
        assert!(used.first_use("b", 10));
        assert!(!used.first_use("a", 11));
        let late = 10 + NEXT_SECONDS + 2;
        assert!(used.first_use("c", late));
        assert_eq!(used.0.lock().unwrap().len(), 1);
    }
}
