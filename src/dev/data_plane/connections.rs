//! `GetConnection`, `ListSubscriptions` and `DeleteConnection`: the broker's facts about a client
//! id, and the end of its connection.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DataPlaneApi, RestAnswer, RestCall, behind, milliseconds, page, token};
use crate::dev::broker::Broker;
use crate::dev::broker::control::ConnectionFacts;
use crate::dev::rest::refusal::RestError;

/// The longest client id, in characters.
const LONGEST: usize = 128;

/// Default number of subscriptions on a page.
const SUBSCRIPTIONS: usize = 20;

type ClientPath = Result<Path<String>, PathRejection>;
type GetConnectionQuery<T> = Result<Query<T>, QueryRejection>;

/// The client id and the query, if they are as the model has them.
fn checked<T>(client: ClientPath, asked: GetConnectionQuery<T>) -> Result<(String, T), RestError> {
    let (Path(client), Query(asked)) = (client?, asked?);
    if client.starts_with('$') || client.chars().count() > LONGEST {
        return Err(RestError::invalid(format!(
            "the client id is `{client}`; one of up to {LONGEST} characters without `$` at its beginning is wanted"
        )));
    }
    Ok((client, asked))
}

fn about<'a>(action: &'static str, client: &'a str) -> RestCall<'a> {
    RestCall {
        action,
        client: Some(client),
        topic: None,
    }
}

fn unknown(client: &str) -> RestError {
    RestError::absent(format!(
        "client `{client}` has no connection and no session"
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteConnectionQuery {
    #[serde(default)]
    clean_session: bool,
    #[serde(default)]
    prevent_will_message: bool,
}

pub(super) async fn delete(
    State(plane): State<Arc<DataPlaneApi>>,
    client: ClientPath,
    asked: GetConnectionQuery<DeleteConnectionQuery>,
) -> Response {
    let (client, asked) = match checked(client, asked) {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(),
    };
    let call = about("DeleteConnection", &client);
    let (clean, silent) = (asked.clean_session, asked.prevent_will_message);
    plane
        .answer(call, |broker| {
            if broker.delete_connection(&client, clean, silent) {
                Ok(None)
            } else {
                Err(RestError::absent(format!(
                    "client `{client}` is not connected"
                )))
            }
        })
        .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListSubscriptionsQuery {
    #[serde(default)]
    include_socket_information: bool,
}

pub(super) async fn facts(
    State(plane): State<Arc<DataPlaneApi>>,
    client: ClientPath,
    asked: GetConnectionQuery<ListSubscriptionsQuery>,
) -> Response {
    let (client, asked) = match checked(client, asked) {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(),
    };
    let call = about("GetConnection", &client);
    plane
        .answer(call, |broker| {
            let facts = broker.connection(&client).ok_or_else(|| unknown(&client))?;
            let told = ConnectionDetails::new(&client, &facts, asked.include_socket_information);
            let told = serde_json::to_value(told);
            let told = told.map_err(|error| RestError::unavailable(error.to_string()))?;
            Ok(Some(told))
        })
        .await
}

/// Answer of `GetConnection`, without the address that the client has reached: it is not known
/// here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionDetails<'a> {
    client_id: &'a str,
    connected: bool,
    clean_session: bool,
    session_expiry: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive_duration: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnected_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
}

impl<'a> ConnectionDetails<'a> {
    fn new(client_id: &'a str, facts: &ConnectionFacts, with_socket: bool) -> Self {
        let since = facts.since.map(milliseconds);
        let source = facts.source.filter(|_| with_socket);
        Self {
            client_id,
            connected: facts.is_connected,
            clean_session: facts.is_clean,
            session_expiry: facts.session_expiry,
            keep_alive_duration: facts.keep_alive,
            connected_since: since.filter(|_| facts.is_connected),
            disconnected_since: since.filter(|_| !facts.is_connected),
            disconnect_reason: facts.disconnect_reason,
            source_ip: source.map(|source| source.ip().to_string()),
            source_port: source.map(|source| source.port()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionPage {
    max_results: Option<usize>,
    next_token: Option<String>,
}

pub(super) async fn subscriptions(
    State(plane): State<Arc<DataPlaneApi>>,
    client: ClientPath,
    asked: GetConnectionQuery<SubscriptionPage>,
) -> Response {
    let (client, asked) = match checked(client, asked) {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(),
    };
    let call = about("ListSubscriptions", &client);
    plane
        .answer(call, |broker| some(broker, &client, &asked))
        .await
}

fn some(broker: &Broker, client: &str, asked: &SubscriptionPage) -> RestAnswer {
    let count = page(asked.max_results, SUBSCRIPTIONS)?;
    let behind = behind(asked.next_token.as_deref())?;
    let mut all = broker
        .subscriptions(client)
        .ok_or_else(|| unknown(client))?;
    all.retain(|(filter, _)| *filter > behind);
    let has_more = all.len() > count;
    all.truncate(count);
    let next = all.last().filter(|_| has_more);
    let next = next.map(|(filter, _)| token(filter));
    let summary = |(filter, qos): &(String, u8)| json!({ "topicFilter": filter, "qos": qos });
    let subscriptions: Vec<Value> = all.iter().map(summary).collect();
    Ok(Some(
        json!({ "subscriptions": subscriptions, "nextToken": next }),
    ))
}
