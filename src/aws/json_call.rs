//! One call of a service that speaks AWS's JSON protocol 1.1, for services that nothing calls often
//! enough to have a client of: EventBridge and KMS, which `eventcast doctor --upstream` asks a few
//! questions, and ECS, which the daemon asks once a minute where it counts tasks.
//!
//! The SDK's clients of EventBridge and KMS alone would be a tenth of a release build.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::exchange::{address, exchange, quoted};
use super::sign::{SignError, Signer};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A service with the beginning of its action names.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonService {
    /// The name in signatures, and in its endpoint.
    name: &'static str,
    /// The part of `X-Amz-Target` before the action.
    target: &'static str,
}

pub(super) const EVENTBRIDGE: JsonService = JsonService {
    name: "events",
    target: "AWSEvents",
};
pub(super) const ECS: JsonService = JsonService {
    name: "ecs",
    target: "AmazonEC2ContainerServiceV20141113",
};
pub(super) const KMS: JsonService = JsonService {
    name: "kms",
    target: "TrentService",
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
            ("content-type", CONTENT_TYPE),
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
        let (status, answer) = exchange(request).await.map_err(unreachable)?;
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
