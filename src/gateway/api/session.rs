//! `/rt/v1/session`: a session is made, its channels change, it ends.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::body::{ChannelChange, Farewell, NewSession};
use super::fault::ApiFault;
use super::{Gateway, answer, body};
use crate::gateway::bearer::Bearer;
use crate::gateway::cursor::Cursor;
use crate::gateway::limits::LimitName;
use crate::gateway::link::{BrokerLink, FilterAnswer, LinkEnd};
use crate::gateway::session::GatewaySession;
use crate::gateway::sessions::NotServed;
use crate::wire::ReasonCode;

/// A channel that is not granted.
struct Denied {
    channel: Box<str>,
    reason: &'static str,
    message: String,
}

/// Outcome for each requested channel.
#[derive(Default)]
struct ChannelOutcomes {
    granted: Vec<Box<str>>,
    denied: Vec<Denied>,
}

impl ChannelOutcomes {
    fn deny(&mut self, channel: Box<str>, reason: &'static str, message: impl Into<String>) {
        self.denied.push(Denied {
            channel,
            reason,
            message: message.into(),
        });
    }

    fn denied(&self) -> Value {
        let denied = self.denied.iter().map(|denied| {
            json!({
                "channel": denied.channel,
                "reason": denied.reason,
                "message": denied.message,
            })
        });
        denied.collect()
    }
}

/// The class of a refusal by the broker (MQTT 5.0, section 3.9.3).
fn class(reason: u8, words: &str) -> (&'static str, String) {
    let is = |known: ReasonCode| known.code() == reason;
    let class = if is(ReasonCode::QuotaExceeded) {
        "quota"
    } else if is(ReasonCode::FilterInvalid) {
        "limit"
    } else {
        "authorization"
    };
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    (
        class,
        format!("the broker refuses it with 0x{reason:02X}{words}"),
    )
}

pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, ApiFault> {
    let (
        Parts {
            headers,
            extensions,
            ..
        },
        body,
    ) = request.into_parts();
    if gateway.shutdown.is_draining() {
        return Err(ApiFault::draining());
    }
    gateway.check_address(&headers, &extensions)?;
    let bearer = gateway.bearer(&headers)?;
    let most = gateway.options.limits.body_bytes;
    let asked: NewSession = body::read(&headers, body, most).await?;
    let claims = bearer.as_ref().and_then(Bearer::claims);
    let name = gateway.sessions.directory().name(claims);
    let name = name.map_err(ApiFault::unauthorized)?;
    gateway.check_room(&name.principal)?;
    let adopts = asked.client_id.is_some();
    let client_id = match asked.client_id {
        Some(id) if name.has_client_id(&id) => id,
        Some(_) => {
            return Err(ApiFault::forbidden(
                "`client_id` is not the principal's: it is the principal, `-` and a suffix",
            ));
        }
        None => name
            .client_id()
            .ok_or_else(|| ApiFault::full("the system has no random numbers"))?,
    };
    let sessions = &gateway.sessions;
    let created = sessions.create(name.principal, client_id, bearer, adopts);
    let (mut session, link) = created.await.map_err(|why| match why {
        NotServed::Over(LinkEnd::NotAllowed(why)) if adopts => {
            ApiFault::forbidden(format!("the client id is refused: {why}"))
        }
        why => why.into(),
    })?;
    let _guard = link.guard();
    let outcome = gateway.subscribe(&link, &[], asked.channels).await;
    session.channels.clone_from(&outcome.granted);
    let cursor = Cursor {
        connected: link.connected,
        ..link.first_cursor()
    };
    let keys = &gateway.sessions.keys;
    let mut body = json!({
        "session": session.seal(keys),
        "cursor": cursor.seal(keys, session.serial, session.expires),
        "granted": outcome.granted,
        "denied": outcome.denied(),
        "advice": gateway.advice(),
    });
    if adopts && let Some(members) = body.as_object_mut() {
        members.insert("resumed".into(), link.session_present().into());
    }
    Ok(answer(StatusCode::CREATED, body.to_string()))
}

pub(super) async fn change(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiFault> {
    if gateway.shutdown.is_draining() {
        return Err(ApiFault::draining());
    }
    let bearer = gateway.bearer(&headers)?;
    let most = gateway.options.limits.body_bytes;
    let asked: ChannelChange = body::read(&headers, body, most).await?;
    let mut session = gateway.session(&asked.session)?;
    gateway.check_owner(&session, bearer.as_ref())?;
    gateway.check_rate(&session)?;
    let link = gateway
        .link_for_change(&session, &asked, bearer.as_ref())
        .await?;
    let _guard = link.guard();
    link.opened().await.map_err(ApiFault::of_end)?;
    let (removed, kept) = std::mem::take(&mut session.channels)
        .into_iter()
        .partition(|name| asked.remove.contains(name));
    session.channels = kept;
    gateway.unsubscribe(&link, removed).await?;
    let outcome = gateway.subscribe(&link, &session.channels, asked.add).await;
    for granted in &outcome.granted {
        if !session.channels.contains(granted) {
            session.channels.push(granted.clone());
        }
    }
    let body = json!({
        "session": session.seal(&gateway.sessions.keys),
        "granted": outcome.granted,
        "denied": outcome.denied(),
    });
    Ok(answer(StatusCode::OK, body.to_string()))
}

pub(super) async fn end(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiFault> {
    let bearer = gateway.bearer(&headers)?;
    let most = gateway.options.limits.body_bytes;
    let asked: Farewell = body::read(&headers, body, most).await?;
    let session = gateway.session(&asked.session)?;
    gateway.check_owner(&session, bearer.as_ref())?;
    gateway.check_rate(&session)?;
    // A session at another task expires at the broker.
    if let Some(link) = gateway.sessions.find(&session) {
        gateway.check_token(&link, bearer.as_ref())?;
        link.close(true);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Gateway {
    /// Returns `true` where there is room for another session.
    fn check_room(&self, principal: &str) -> Result<(), ApiFault> {
        let limits = &self.options.limits;
        let is_reached = |most: Option<usize>, count: usize| most.is_some_and(|most| count >= most);
        if is_reached(limits.sessions, self.sessions.count()) {
            self.metrics().limited(LimitName::Sessions);
            return Err(ApiFault::full(
                "this task has all the sessions that it takes: ask again",
            ));
        }
        if limits.sessions_per_principal.is_some()
            && is_reached(
                limits.sessions_per_principal,
                self.sessions.count_of(principal),
            )
        {
            let linger = self.sessions.settings.linger;
            return Err(self.limited(LimitName::SessionsPerPrincipal, linger));
        }
        Ok(())
    }

    /// Subscribes to channels beside those that a session has. Every channel is either granted or
    /// denied.
    async fn subscribe(
        &self,
        link: &BrokerLink,
        present: &[Box<str>],
        channels: Vec<Box<str>>,
    ) -> ChannelOutcomes {
        let directory = self.sessions.directory();
        let most = self.options.limits.channels.unwrap_or(usize::MAX);
        let mut outcome = ChannelOutcomes::default();
        let (mut names, mut filters) = (Vec::new(), Vec::new());
        for name in channels {
            if names.contains(&name) {
                continue;
            }
            match directory.filter(&name) {
                Err(why) => outcome.deny(name, "authorization", why),
                Ok(_) if present.len() + names.len() >= most => {
                    let message = format!("a session has {most} channels at most");
                    outcome.deny(name, "limit", message);
                }
                Ok(filter) => {
                    names.push(name);
                    filters.push(Box::from(filter.as_str()));
                }
            }
        }
        if names.is_empty() {
            return outcome;
        }
        let answers = link.ask(filters, true).await;
        let lost = || {
            vec![Err((
                0x80,
                Box::from("the connection to the broker is lost"),
            ))]
        };
        let is_lost = answers.is_none();
        let mut answers = answers.unwrap_or_else(lost).into_iter();
        for name in names {
            let unanswered = || -> FilterAnswer { Err((0x80, "no answer came".into())) };
            match answers.next().unwrap_or_else(unanswered) {
                Ok(()) => outcome.granted.push(name),
                Err(_) if is_lost => {
                    outcome.deny(name, "network", "the connection to the broker is lost");
                }
                Err((reason, words)) => {
                    let (class, message) = class(reason, &words);
                    outcome.deny(name, class, message);
                }
            }
        }
        outcome
    }

    async fn unsubscribe(
        &self,
        link: &BrokerLink,
        channels: Vec<Box<str>>,
    ) -> Result<(), ApiFault> {
        let directory = self.sessions.directory();
        let filters = channels
            .iter()
            .filter_map(|name| directory.filter(name).ok());
        let filters: Vec<Box<str>> = filters.map(|filter| filter.as_str().into()).collect();
        if filters.is_empty() {
            return Ok(());
        }
        match link.ask(filters, false).await {
            Some(_) => Ok(()),
            None => Err(ApiFault::of_end(LinkEnd::Closed)),
        }
    }

    async fn link_for_change(
        &self,
        session: &GatewaySession,
        asked: &ChannelChange,
        bearer: Option<&Bearer>,
    ) -> Result<Arc<BrokerLink>, ApiFault> {
        let cursor = match &asked.cursor {
            Some(text) => {
                let keys = &self.sessions.keys;
                let now = super::unix_now();
                let opened = Cursor::open(keys, session.serial, text, now);
                Some(opened.map_err(|error| super::unopened("cursor", error))?)
            }
            None => None,
        };
        if let Some(link) = self.sessions.find(session) {
            self.check_token(&link, bearer)?;
            return Ok(link);
        }
        // Without a cursor the messages that the client has are not known: the broker sends them
        // again.
        let cursor = cursor.unwrap_or_default();
        Ok(self.sessions.attach(session, &cursor, bearer).await?)
    }

    /// A link serves the token that the broker accepted. A poll shows another token to the broker.
    fn check_token(&self, link: &BrokerLink, bearer: Option<&Bearer>) -> Result<(), ApiFault> {
        let hash = bearer.map(Bearer::hash);
        if hash.is_none_or(|hash| hash == link.token) {
            return Ok(());
        }
        Err(ApiFault::unauthorized(
            "the token is not the one that the session was last polled with: poll with it first",
        ))
    }
}
