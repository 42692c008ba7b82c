//! One call of a service that speaks AWS's JSON protocol 1.0 or 1.1, for services of which one
//! action is of use: EventBridge and KMS, which `eventcast doctor --upstream` asks a few questions,
//! ECS, which the daemon asks once a minute where it counts tasks, DynamoDB for the list of revoked
//! tokens, the parameters of Systems Manager for the authorizer's function, and Service Quotas,
//! which `eventcast plan --live-quotas` asks.
//!
//! The SDK's clients of EventBridge and KMS alone would be a tenth of a release build.

use std::sync::OnceLock;

use aws_config::SdkConfig;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::client::connector;
use super::exchange::{address, exchange_over, quoted};
use super::sign::{SignError, Signer};

#[cfg(feature = "authorizer")]
const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

/// A connection that several calls use. The root certificates are read for the first of them.
#[derive(Default)]
pub(super) struct JsonConnection(OnceLock<Connector>);

/// A service with the beginning of its action names.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonService {
    /// The name in signatures, and in its endpoint.
    name: &'static str,
    /// The part of `X-Amz-Target` before the action.
    target: &'static str,
    /// The version of the protocol, as a content type.
    content_type: &'static str,
}

pub(super) const EVENTBRIDGE: JsonService = JsonService {
    name: "events",
    target: "AWSEvents",
    content_type: JSON_1_1,
};
pub(super) const ECS: JsonService = JsonService {
    name: "ecs",
    target: "AmazonEC2ContainerServiceV20141113",
    content_type: JSON_1_1,
};
pub(super) const KMS: JsonService = JsonService {
    name: "kms",
    target: "TrentService",
    content_type: JSON_1_1,
};
pub(super) const SERVICE_QUOTAS: JsonService = JsonService {
    name: "servicequotas",
    target: "ServiceQuotasV20190624",
    content_type: JSON_1_1,
};
#[cfg(feature = "authorizer")]
pub(super) const DYNAMODB: JsonService = JsonService {
    name: "dynamodb",
    target: "DynamoDB_20120810",
    content_type: JSON_1_0,
};
#[cfg(feature = "lambda")]
pub(super) const SSM: JsonService = JsonService {
    name: "ssm",
    target: "AmazonSSM",
    content_type: JSON_1_1,
};

/// Reason why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is nothing to sign with.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The service cannot be reached.
    #[error("{action}: {why}")]
    Unreachable {
        /// Such as `events:DescribeRule`.
        action: String,
        /// One line.
        why: String,
    },
    /// The service refuses.
    #[error("{action}: HTTP {status}: {answer}")]
    Refused {
        /// Such as `events:DescribeRule`.
        action: String,
        /// The HTTP status.
        status: u16,
        /// The answer's beginning.
        answer: String,
    },
}

impl JsonService {
    /// Calls an action.
    pub(super) async fn call(
        self,
        config: &SdkConfig,
        action: &str,
        input: &Value,
    ) -> Result<Value, CallError> {
        let connection = JsonConnection::default();
        self.call_over(&connection, config, action, input).await
    }

    /// Calls an action over a connection that other calls use as well.
    pub(super) async fn call_over(
        self,
        connection: &JsonConnection,
        config: &SdkConfig,
        action: &str,
        input: &Value,
    ) -> Result<Value, CallError> {
        let named = format!("{}:{action}", self.name);
        let unreachable = |why: String| CallError::Unreachable {
            action: named.clone(),
            why,
        };
        let signer = Signer::try_new(config)?;
        let base = address(config, self.name, signer.region());
        let url = format!("{base}/");
        let body = input.to_string();
        let target = format!("{}.{action}", self.target);
        let host = base.split_once("://").map_or(&*base, |(_, host)| host);
        let own = [
            ("host", host),
            ("content-type", self.content_type),
            ("x-amz-target", target.as_str()),
        ];
        let signed = signer
            .post_headers(self.name, &url, &own, body.as_bytes())
            .await?;
        let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
        let built = request
            .set_method("POST")
            .and(request.set_uri(url.as_str()));
        built.map_err(|error| unreachable(error.to_string()))?;
        for (name, value) in own.into_iter().skip(1) {
            request.headers_mut().insert(name, value.to_owned());
        }
        for (name, value) in signed {
            request.headers_mut().insert(name, value);
        }
        let (status, answer) = exchange_over(connection.0.get_or_init(connector), request)
            .await
            .map_err(unreachable)?;
        match serde_json::from_slice(&answer) {
            Ok(value) if status == 200 => Ok(value),
            _ => Err(CallError::Refused {
                action: named,
                status,
                answer: quoted(&answer),
            }),
        }
    }
}
