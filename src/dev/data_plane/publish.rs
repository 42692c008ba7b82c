//! `Publish`: a message by HTTP, with MQTT 5 properties in the query and in headers.
//!
//! User properties are a JSON array of objects with one name and one text each, and they and correlation data are Base64 in their
//! headers (IoT data API reference, Publish).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{DataPlaneApi, RestCall};
use crate::dev::broker::control::InboundPublish;
use crate::dev::rest::refusal::RestError;
use crate::dev::uuid::uuid;

const USER_PROPERTIES: &str = "x-amz-mqtt5-user-properties";
const PAYLOAD_FORMAT: &str = "x-amz-mqtt5-payload-format-indicator";
const CORRELATION_DATA: &str = "x-amz-mqtt5-correlation-data";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublishQuery {
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    content_type: Option<String>,
    response_topic: Option<String>,
    message_expiry: Option<u64>,
}

pub(super) async fn publish(
    State(plane): State<Arc<DataPlaneApi>>,
    topic: Result<Path<String>, PathRejection>,
    asked: Result<Query<PublishQuery>, QueryRejection>,
    headers: HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Response {
    let post = match post(topic, asked, &headers, payload) {
        Ok(post) => post,
        Err(refusal) => return refusal.answer(),
    };
    let call = RestCall {
        // `Publish` is what an MQTT client does.
        action: "HttpPublish",
        client: None,
        topic: Some(&post.topic),
    };
    plane
        .answer(call, |broker| {
            broker.publish(&post)?;
            Ok(Some(json!({ "message": "OK", "traceId": uuid() })))
        })
        .await
}

fn post(
    topic: Result<Path<String>, PathRejection>,
    asked: Result<Query<PublishQuery>, QueryRejection>,
    headers: &HeaderMap,
    payload: Result<Bytes, BytesRejection>,
) -> Result<InboundPublish, RestError> {
    let (Path(topic), Query(asked)) = (topic?, asked?);
    if let Some(topic) = &asked.response_topic
        && (topic.is_empty() || topic.contains(['+', '#', '\0']))
    {
        return Err(RestError::invalid(format!(
            "responseTopic is `{topic}`; a topic without wildcards is wanted"
        )));
    }
    let expiry = asked.message_expiry;
    Ok(InboundPublish {
        topic,
        payload: payload?,
        qos: asked.qos,
        retain: asked.retain,
        expiry: expiry.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
        is_text: is_text(headers)?,
        content_type: asked.content_type,
        response_topic: asked.response_topic,
        correlation_data: decoded(headers, CORRELATION_DATA)?.map(Bytes::from),
        user_properties: user_properties(headers)?,
    })
}

fn is_text(headers: &HeaderMap) -> Result<bool, RestError> {
    let Some(value) = headers.get(PAYLOAD_FORMAT) else {
        return Ok(false);
    };
    match value.as_bytes() {
        b"UTF8_DATA" => Ok(true),
        b"UNSPECIFIED_BYTES" => Ok(false),
        other => Err(RestError::invalid(format!(
            "{PAYLOAD_FORMAT} is `{}`; it is UTF8_DATA or UNSPECIFIED_BYTES",
            String::from_utf8_lossy(other)
        ))),
    }
}

/// Decodes the Base64 value of a header, if there is one.
fn decoded(headers: &HeaderMap, name: &str) -> Result<Option<Vec<u8>>, RestError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(value.as_bytes());
    let bytes =
        bytes.map_err(|error| RestError::invalid(format!("{name} is no Base64: {error}")))?;
    Ok(Some(bytes))
}

fn user_properties(headers: &HeaderMap) -> Result<Vec<(String, String)>, RestError> {
    let Some(json) = decoded(headers, USER_PROPERTIES)? else {
        return Ok(Vec::new());
    };
    let wrong = || {
        RestError::invalid(format!(
            "{USER_PROPERTIES} is not as wanted: a JSON array of objects with one name and one text each"
        ))
    };
    let objects: Vec<Map<String, Value>> = serde_json::from_slice(&json).map_err(|_| wrong())?;
    let pair = |object: Map<String, Value>| {
        let mut pairs = object.into_iter();
        match (pairs.next(), pairs.next()) {
            (Some((name, Value::String(value))), None) => Some((name, value)),
            _ => None,
        }
    };
    let pairs: Option<Vec<_>> = objects.into_iter().map(pair).collect();
    pairs.ok_or_else(wrong)
}
