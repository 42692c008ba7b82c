//! `GetRetainedMessage` and `ListRetainedMessages`: the messages that the broker keeps for later
//! subscribers.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{DataPlaneApi, PAGE, RestAnswer, RestCall, behind, milliseconds, page, token};
use crate::dev::broker::Broker;
use crate::dev::broker::control::RetainedMessage;
use crate::dev::rest::refusal::RestError;

pub(super) async fn one(
    State(plane): State<Arc<DataPlaneApi>>,
    topic: Result<Path<String>, PathRejection>,
) -> Response {
    let topic = match topic {
        Ok(Path(topic)) => topic,
        Err(rejection) => return RestError::from(rejection).answer(),
    };
    let call = RestCall {
        action: "GetRetainedMessage",
        client: None,
        topic: Some(&topic),
    };
    plane
        .answer(call, |broker| match broker.retained(&topic) {
            Some(message) => Ok(Some(whole(&message))),
            None => Err(RestError::absent(format!(
                "there is no retained message on topic `{topic}`"
            ))),
        })
        .await
}

fn whole(message: &RetainedMessage) -> Value {
    let mut told = json!({
        "topic": message.topic,
        "payload": STANDARD.encode(&message.payload),
        "qos": message.qos,
        "lastModifiedTime": milliseconds(message.modified),
    });
    if !message.user_properties.is_empty() {
        let pairs = message.user_properties.iter();
        let objects = pairs.map(|(name, value)| {
            let object = Map::from_iter([(name.clone(), Value::from(value.as_str()))]);
            Value::Object(object)
        });
        let objects = Value::Array(objects.collect()).to_string();
        if let Some(told) = told.as_object_mut() {
            told.insert("userProperties".into(), STANDARD.encode(objects).into());
        }
    }
    told
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetainedQuery {
    max_results: Option<usize>,
    next_token: Option<String>,
}

pub(super) async fn list(
    State(plane): State<Arc<DataPlaneApi>>,
    asked: Result<Query<RetainedQuery>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(rejection) => return RestError::from(rejection).answer(),
    };
    let call = RestCall {
        action: "ListRetainedMessages",
        client: None,
        topic: None,
    };
    plane.answer(call, |broker| some(broker, &asked)).await
}

fn some(broker: &Broker, asked: &RetainedQuery) -> RestAnswer {
    let count = page(asked.max_results, PAGE)?;
    let behind = behind(asked.next_token.as_deref())?;
    let mut messages = broker.retained_after(&behind, count + 1);
    let has_more = messages.len() > count;
    messages.truncate(count);
    let next = messages.last().filter(|_| has_more);
    let next = next.map(|last| token(&last.topic));
    let summary = |message: &RetainedMessage| {
        json!({
            "topic": message.topic,
            "payloadSize": message.payload.len(),
            "qos": message.qos,
            "lastModifiedTime": milliseconds(message.modified),
        })
    };
    let topics: Vec<Value> = messages.iter().map(summary).collect();
    Ok(Some(json!({ "retainedTopics": topics, "nextToken": next })))
}
