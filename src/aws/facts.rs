//! Facts that IoT Core's data plane has of one client and of one topic (IoT data API reference:
//! GetConnection, ListSubscriptions, GetRetainedMessage). Read only.

use aws_config::SdkConfig;
use aws_sdk_iotdataplane::Client;
use aws_sdk_iotdataplane::config::Builder;
use aws_sdk_iotdataplane::config::retry::RetryConfig;
use aws_sdk_iotdataplane::error::{ProvideErrorMetadata, SdkError};

use super::causes::causes;

/// The most subscriptions of one page.
const PAGE: i32 = 200;

/// Maximum number of tries of a call: a person waits, and reading again does no harm.
const TRIES: u32 = 3;

/// The data plane, for reading.
pub struct DataPlaneFacts(Client);

/// State of a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownConnection {
    /// `true` if the client is connected.
    pub connected: bool,
    /// Since when there is, or is not; milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Reason why the last connection ended.
    pub disconnect_reason: Option<String>,
    /// Address that it comes from.
    pub source: Option<String>,
    /// In seconds.
    pub keep_alive: Option<u32>,
    /// Time for which its session outlives it, in seconds.
    pub session_expiry: i64,
    /// `true` if its session ends with it.
    pub clean: bool,
    /// The thing that it is.
    pub thing_name: Option<String>,
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The published payload.
    pub payload: Vec<u8>,
    /// 0 or 1.
    pub qos: u8,
    /// Time of the publication, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// Reason why the data plane gives no facts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FactsError(String);

impl DataPlaneFacts {
    /// The data plane at an address such as `https://abc-ats.iot.eu-central-1.amazonaws.com`.
    pub fn new(config: &SdkConfig, endpoint: &str) -> Self {
        let config = Builder::from(config)
            .endpoint_url(endpoint)
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .build();
        Self(Client::from_conf(config))
    }

    /// A client's connection; `None` when it has none and had none lately.
    ///
    /// # Errors
    /// [`FactsError`] when the data plane refuses or cannot be reached.
    pub async fn connection(&self, client_id: &str) -> Result<Option<KnownConnection>, FactsError> {
        let call = self.0.get_connection().client_id(client_id);
        let answer = match call.include_socket_information(true).send().await {
            Ok(answer) => answer,
            Err(error) => return absent(&error, "iot:GetConnection", client_id),
        };
        let since = if answer.connected {
            answer.connected_since
        } else {
            answer.disconnected_since
        };
        let port = answer.source_port;
        Ok(Some(KnownConnection {
            connected: answer.connected,
            since_ms: (since > 0).then_some(since),
            disconnect_reason: answer.disconnect_reason,
            source: answer.source_ip.map(|address| format!("{address}:{port}")),
            keep_alive: u32::try_from(answer.keep_alive_duration)
                .ok()
                .filter(|_| answer.connected),
            session_expiry: answer.session_expiry,
            clean: answer.clean_session,
            thing_name: answer.thing_name,
        }))
    }

    /// A client's filters with the QoS of each.
    ///
    /// # Errors
    /// [`FactsError`] when the data plane refuses or cannot be reached.
    pub async fn subscriptions(&self, client_id: &str) -> Result<Vec<(String, u8)>, FactsError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let call = self.0.list_subscriptions().client_id(client_id);
            let answer = call.max_results(PAGE).set_next_token(token).send().await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    return Ok(absent(&error, "iot:ListSubscriptions", client_id)?.unwrap_or(found));
                }
            };
            let subscriptions = answer.subscriptions.unwrap_or_default().into_iter();
            found.extend(subscriptions.map(|one| (one.topic_filter, level(one.qos))));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// A topic's retained message, where there is one.
    ///
    /// # Errors
    /// [`FactsError`] when the data plane refuses or cannot be reached.
    pub async fn retained(&self, topic: &str) -> Result<Option<Retained>, FactsError> {
        match self.0.get_retained_message().topic(topic).send().await {
            Ok(answer) => Ok(Some(Retained {
                payload: answer
                    .payload
                    .map(|payload| payload.into_inner())
                    .unwrap_or_default(),
                qos: level(answer.qos),
                modified_ms: answer.last_modified_time,
            })),
            Err(error) => absent(&error, "iot:GetRetainedMessage", topic),
        }
    }
}

fn level(qos: i32) -> u8 {
    u8::try_from(qos).unwrap_or_default()
}

/// Returns `None` for an absent item, which is no error; every other error is returned with advice.
fn absent<T, E, R>(
    error: &SdkError<E, R>,
    action: &str,
    name: &str,
) -> Result<Option<T>, FactsError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let SdkError::ServiceError(service) = error else {
        return Err(FactsError(format!(
            "{action} on `{name}`: {}",
            causes(error)
        )));
    };
    let error = service.err();
    let code = error.code().unwrap_or("Unknown");
    let code = code.rsplit('#').next().unwrap_or(code);
    let help = match code {
        "ResourceNotFoundException" => return Ok(None),
        "ForbiddenException" | "UnauthorizedException" | "AccessDeniedException" => {
            format!("; the credentials need {action}")
        }
        _ => String::new(),
    };
    let message = error.message().unwrap_or_default();
    Err(FactsError(format!(
        "{action} on `{name}`: {code}: {message}{help}"
    )))
}
