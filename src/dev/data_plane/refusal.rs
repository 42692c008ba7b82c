//! How the data plane says no: the error's name in a header, and a message with a trace id as JSON (IoT data API reference, "Errors").

use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::dev::broker::control::PostError;
use crate::dev::uuid::uuid;

/// Why a call was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestException", message)
    }

    pub(super) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        let kind = "RequestEntityTooLargeException";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, kind, message)
    }

    pub(super) fn throttled(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "ThrottlingException",
            message,
        )
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        let kind = "ServiceUnavailableException";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, message)
    }

    pub(super) fn method() -> Self {
        let kind = "MethodNotAllowedException";
        let message = "the path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, message)
    }

    pub(super) fn answer(&self) -> Response {
        let id = uuid();
        let body = json!({ "message": self.message, "traceId": id }).to_string();
        let headers = [
            (CONTENT_TYPE.as_str(), "application/json"),
            ("x-amzn-errortype", self.kind),
            ("x-amzn-requestid", &id),
        ];
        (self.status, headers, body).into_response()
    }
}

impl From<PostError> for Refusal {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Invalid(why) => Self::invalid(why),
            PostError::TooLarge(why) => Self::too_large(why),
            PostError::Throttled(why) => Self::throttled(why),
        }
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::too_large("the payload is larger than the broker takes")
        } else {
            Self::invalid(rejection.body_text())
        }
    }
}
