//! Refusals of IoT Core's REST APIs: the error's name in a header, and a message with a trace id as
//! JSON (IoT data API reference, "Errors").

use axum::extract::rejection::{
    BytesRejection, PathRejection, QueryRejection, RawPathParamsRejection,
};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::dev::broker::control::PostError;
use crate::dev::uuid::uuid;

/// Reason why a call was not carried out.
#[derive(Debug)]
pub(in crate::dev) struct RestError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// Resource that exists already: its name or id, and its ARN.
    resource: Option<(String, String)>,
}

impl RestError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            resource: None,
        }
    }

    pub(in crate::dev) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedPolicyException", message)
    }

    pub(in crate::dev) fn bad_certificate(message: impl Into<String>) -> Self {
        let kind = "CertificateValidationException";
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    pub(in crate::dev) fn certificate_state(message: impl Into<String>) -> Self {
        let kind = "CertificateStateException";
        Self::new(StatusCode::NOT_ACCEPTABLE, kind, message)
    }

    /// Something of that name, or id, is there already.
    pub(in crate::dev) fn exists(message: impl Into<String>, id: &str, arn: String) -> Self {
        let kind = "ResourceAlreadyExistsException";
        Self {
            resource: Some((id.to_owned(), arn)),
            ..Self::new(StatusCode::CONFLICT, kind, message)
        }
    }

    pub(in crate::dev) fn in_use(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "DeleteConflictException", message)
    }

    pub(in crate::dev) fn too_many_versions(message: impl Into<String>) -> Self {
        let kind = "VersionsLimitExceededException";
        Self::new(StatusCode::CONFLICT, kind, message)
    }

    pub(in crate::dev) fn beyond(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "LimitExceededException", message)
    }

    pub(in crate::dev) fn not_offered(message: impl Into<String>) -> Self {
        let kind = "UnknownOperationException";
        Self::new(StatusCode::NOT_FOUND, kind, message)
    }

    pub(in crate::dev) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestException", message)
    }

    pub(in crate::dev) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(in crate::dev) fn too_large(message: impl Into<String>) -> Self {
        let kind = "RequestEntityTooLargeException";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, kind, message)
    }

    pub(in crate::dev) fn throttled(message: impl Into<String>) -> Self {
        Self::throttled_with(StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// Throttled, with the status that an API has for it.
    pub(in crate::dev) fn throttled_with(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "ThrottlingException", message)
    }

    pub(in crate::dev) fn unavailable(message: impl Into<String>) -> Self {
        let kind = "ServiceUnavailableException";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, message)
    }

    pub(in crate::dev) fn method() -> Self {
        let kind = "MethodNotAllowedException";
        let message = "the path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, message)
    }

    pub(in crate::dev) fn answer(&self) -> Response {
        let id = uuid();
        let mut body = json!({ "message": self.message, "traceId": id });
        if let (Some((id, arn)), Some(body)) = (&self.resource, body.as_object_mut()) {
            body.insert("resourceId".into(), json!(id));
            body.insert("resourceArn".into(), json!(arn));
        }
        let body = body.to_string();
        let headers = [
            (CONTENT_TYPE.as_str(), "application/json"),
            ("x-amzn-errortype", self.kind),
            ("x-amzn-requestid", &id),
        ];
        (self.status, headers, body).into_response()
    }
}

impl From<PostError> for RestError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Invalid(why) => Self::invalid(why),
            PostError::TooLarge(why) => Self::too_large(why),
            PostError::Throttled(why) => Self::throttled(why),
        }
    }
}

impl From<PathRejection> for RestError {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<RawPathParamsRejection> for RestError {
    fn from(rejection: RawPathParamsRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<QueryRejection> for RestError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<BytesRejection> for RestError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::too_large("the payload is larger than the broker takes")
        } else {
            Self::invalid(rejection.body_text())
        }
    }
}
