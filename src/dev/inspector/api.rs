//! HTTP API of the inspector below `/_dev/`: JSON for the page and for the command line.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::hear::{KnownClient, hear};
use super::trail::micros;
use super::views::{
    ClientView, EventView, OutcomeView, PlatformView, PolicyReport, RetainedView, RouteView,
    SubscriberView, TopicView, WholeClientView,
};
use super::{Inspector, live, load, names, page};
use crate::channel::filter::Filter;
use crate::port::Grounds;
use crate::route::explain::explain;

/// Default and maximum number of items in an answer.
const COUNT: usize = 100;
const MOST: usize = 1_000;

/// Characters of a retained payload in an answer.
const PAYLOAD: usize = 2_000;

type EventsQuery<T> = Query<T>;
type InspectorState = State<Arc<Inspector>>;

/// Builds the router of all endpoints.
pub(super) fn router(inspector: Arc<Inspector>) -> Router {
    let api = Router::new()
        .route("/_dev/platform", get(platform))
        .route("/_dev/live", get(live::live))
        .route("/_dev/pulse", get(pulse))
        .route("/_dev/events", get(events))
        .route("/_dev/event", get(event))
        .route("/_dev/clients", get(clients))
        .route("/_dev/client", get(client))
        .route("/_dev/hear", get(hears))
        .route("/_dev/channels", get(channels))
        .route("/_dev/channel", get(channel))
        .route("/_dev/route", get(route))
        .route("/_dev/held-back", get(held_back))
        .route("/_dev/load", get(load::load))
        .route("/_dev/plan", get(load::plan))
        .route("/_dev/tokens", post(token));
    api.merge(page::router()).with_state(inspector)
}

fn json_of(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Returns an error in the form that all errors have.
fn said(status: StatusCode, error: &str) -> Response {
    let body = json!({ "error": error }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Deserialize)]
struct ListQuery {
    /// Substring that a name must contain.
    #[serde(default)]
    q: String,
    #[serde(default)]
    count: Option<usize>,
}

impl ListQuery {
    fn count(&self) -> usize {
        self.count.unwrap_or(COUNT).min(MOST)
    }
}

async fn platform(State(here): InspectorState) -> Response {
    let issuer = here.issuer.is_some();
    let config = here.config();
    let platform = PlatformView::new(&config, &here.addresses, here.started, issuer);
    json_of(&platform)
}

async fn pulse(State(here): InspectorState) -> Response {
    json_of(&here.pulse())
}

async fn events(State(here): InspectorState, Query(list): EventsQuery<ListQuery>) -> Response {
    json_of(&here.ledger.news(0, list.count()).events)
}

#[derive(Deserialize)]
struct ById {
    id: String,
}

async fn event(State(here): InspectorState, Query(by): EventsQuery<ById>) -> Response {
    let Some((trail, body)) = here.ledger.trail(&by.id) else {
        let error = format!(
            "no event `{}` was seen, or it is forgotten: the latest 1,000 are kept",
            by.id
        );
        return said(StatusCode::NOT_FOUND, &error);
    };
    let explained = body.as_ref();
    let explained = explained.map(|body| explain(&here.ledger.routes(), body, &trail.id, None));
    let mut told = (Vec::new(), None, None);
    match explained {
        Some(Ok(explanation)) => {
            let routes = explanation.routes.into_iter();
            told.0 = routes.map(OutcomeView::from).collect();
            told.1 = explanation.refused.map(|reason| reason.detail);
        }
        Some(Err(refusal)) => told.2 = Some(refusal.to_string()),
        None => {}
    }
    let (routes, refused, not_an_event) = told;
    json_of(&EventView {
        body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        trail,
        routes,
        refused,
        not_an_event,
    })
}

async fn clients(State(here): InspectorState, Query(list): EventsQuery<ListQuery>) -> Response {
    let wanted = |id: &str| id.contains(&list.q);
    let (ids, count) = here.broker.clients(list.count(), wanted);
    let clients: Vec<ClientView> = ids.iter().map(|id| here.client(id)).collect();
    json_of(&json!({ "count": count, "clients": clients }))
}

async fn client(State(here): InspectorState, Query(by): EventsQuery<ById>) -> Response {
    let facts = here.broker.connection(&by.id);
    let (doings, denials) = here.ledger.of_client(&by.id, COUNT);
    if facts.is_none() && doings.is_empty() && denials.is_empty() {
        let strangers = here.ledger.strangers();
        let strangers = strangers.map_or_else(String::new, |line| format!("; {line}"));
        let error = format!("no client `{}` has been here{strangers}", by.id);
        return said(StatusCode::NOT_FOUND, &error);
    }
    let grounds = here.grounds(&by.id);
    let policies = grounds.iter().flat_map(|grounds| {
        let policies = &grounds.policies;
        policies.names.iter().zip(&policies.texts)
    });
    let is_connected = facts.as_ref().is_some_and(|facts| facts.is_connected);
    json_of(&WholeClientView {
        free: is_connected && grounds.is_none(),
        client: here.client(&by.id),
        keep_alive: facts.as_ref().and_then(|facts| facts.keep_alive),
        session_expiry: facts.as_ref().map(|facts| facts.session_expiry),
        clean: facts.as_ref().map(|facts| facts.is_clean),
        policies: policies
            .map(|(name, text)| PolicyReport {
                name: name.clone(),
                text: text.clone(),
            })
            .collect(),
        doings,
        denials,
    })
}

#[derive(Deserialize)]
struct DiagnosisQuery {
    client: String,
    topic: String,
}

async fn hears(State(here): InspectorState, Query(asked): EventsQuery<DiagnosisQuery>) -> Response {
    let topic = match names::topic(&asked.topic, &here.config()) {
        Ok(topic) => topic,
        Err(error) => return said(StatusCode::BAD_REQUEST, &error),
    };
    let known = KnownClient::of(&asked.client, &here.broker, &here.ledger);
    json_of(&hear(&known, &topic, &here.config()))
}

async fn channels(State(here): InspectorState, Query(list): EventsQuery<ListQuery>) -> Response {
    json_of(
        &here
            .ledger
            .channels(list.count(), |topic| topic.contains(&list.q)),
    )
}

#[derive(Deserialize)]
struct ByTopic {
    topic: String,
}

async fn channel(State(here): InspectorState, Query(by): EventsQuery<ByTopic>) -> Response {
    let topic = match names::topic(&by.topic, &here.config()) {
        Ok(topic) => topic,
        Err(error) => return said(StatusCode::BAD_REQUEST, &error),
    };
    let name = topic.as_str();
    let rates = here.ledger.channels(1, |known| known == name).channels;
    let rates = rates.first();
    let subscribers = here.subscribers(&topic);
    let retained = here.broker.retained(name).map(|message| RetainedView {
        at: micros(message.modified),
        qos: message.qos,
        size_bytes: message.payload.len(),
        text: std::str::from_utf8(&message.payload)
            .ok()
            .map(|text| text.chars().take(PAYLOAD).collect()),
    });
    json_of(&TopicView {
        topic: name.to_owned(),
        channel: names::channel_of(name, &here.config()),
        published: rates.map_or(0, |rates| rates.published),
        delivered: rates.map_or(0, |rates| rates.delivered),
        published_per_second: rates.map_or(0.0, |rates| rates.published_per_second),
        delivered_per_second: rates.map_or(0.0, |rates| rates.delivered_per_second),
        subscriber_count: subscribers.len(),
        subscribers: subscribers.into_iter().take(COUNT).collect(),
        retained,
    })
}

#[derive(Deserialize)]
struct ByName {
    name: String,
}

async fn route(State(here): InspectorState, Query(by): EventsQuery<ByName>) -> Response {
    let route = match RouteView::of(&by.name, &here.config()) {
        Ok(route) => route,
        Err(why) => return said(StatusCode::NOT_FOUND, &why),
    };
    let (published, per_second) = here.ledger.of_route(&by.name);
    let mut held_back = here.held_back();
    held_back.retain(|held| held.route.as_deref() == Some(&*by.name));
    let told = json!({
        "route": route,
        "published": published,
        "published_per_second": per_second,
        "held_back": held_back,
    });
    json_of(&told)
}

async fn held_back(State(here): InspectorState) -> Response {
    json_of(&json!({ "held_back": here.held_back() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MintQuery {
    role: String,
    claims: Map<String, Value>,
}

async fn token(State(here): InspectorState, body: Bytes) -> Response {
    let Some(issuer) = &here.issuer else {
        let error = "there are no roles: every client may do everything, without a token";
        return said(StatusCode::CONFLICT, error);
    };
    let mint: MintQuery = match serde_json::from_slice(&body) {
        Ok(mint) => mint,
        Err(error) => return said(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match issuer.issue(&mint.role, &mint.claims) {
        Ok(issued) => json_of(&json!({
            "token": issued.token,
            "key": issued.key,
            "principal": issued.principal,
            "subscribe": issued.subscribe,
            "publish": issued.publish,
        })),
        Err(error) => said(StatusCode::BAD_REQUEST, &error),
    }
}

impl Inspector {
    /// Returns the policies behind the decisions on a client, as of now or of its last connection.
    fn grounds(&self, id: &str) -> Option<Grounds> {
        let rights = self.broker.rights(id).or_else(|| self.ledger.rights(id))?;
        rights.access.grounds(&rights.client)
    }

    fn client(&self, id: &str) -> ClientView {
        let role = self.grounds(id).and_then(|grounds| grounds.role);
        let subscriptions = self.broker.subscriptions(id);
        ClientView::new(
            id,
            self.broker.connection(id),
            subscriptions,
            role.map(String::from),
        )
    }

    /// Returns the subscribers of a topic, each with its first matching filter.
    fn subscribers(&self, topic: &Filter) -> Vec<SubscriberView> {
        let matches =
            |filter: &str| Filter::parse(filter).is_ok_and(|filter| filter.matches(topic.as_str()));
        let (ids, _) = self.broker.clients(usize::MAX, |_| true);
        let mut found = Vec::new();
        for id in ids {
            let subscriptions = self.broker.subscriptions(&id).unwrap_or_default();
            let by = subscriptions
                .into_iter()
                .find(|(filter, _)| matches(filter));
            let Some((filter, qos)) = by else {
                continue;
            };
            let rights = self.broker.rights(&id);
            let action = crate::port::ClientAction::Receive(topic.as_str());
            let may = rights.as_ref().map(|rights| {
                rights.access.decide(&rights.client, action) == crate::port::AccessDecision::Allowed
            });
            found.push(SubscriberView {
                client: id.to_string(),
                filter,
                qos,
                connected: rights.is_some(),
                may_receive: may,
            });
        }
        found
    }
}
