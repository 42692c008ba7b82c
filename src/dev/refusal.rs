//! How a service says no: one shape for all of them, written as the AWS JSON protocols have it.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::service::Service;

/// Why a call was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The error's name in the JSON protocol.
    pub(super) kind: &'static str,
    /// The code that SDKs of the older query protocol know it by.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The HTTP status of the answer.
    pub(super) status: StatusCode,
}

impl Refusal {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: kind,
            message: message.into(),
            status: StatusCode::BAD_REQUEST,
        }
    }

    /// For those whose code differs from their type.
    pub(super) fn coded(
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            ..Self::new(kind, message)
        }
    }

    /// For those whose status is not 400.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The answer as a service writes it.
    pub(super) fn answer(&self, service: Service) -> Response {
        let status = self.status;
        let kind = format!("{}{}", service.namespace(self.kind), self.kind);
        let body = serde_json::json!({ "__type": kind, "message": self.message }).to_string();
        let content = [(CONTENT_TYPE, service.content_type())];
        match service {
            // SDKs that knew SQS's query protocol look for its codes here.
            Service::Queues => {
                let code = format!("{};Sender", self.code);
                (status, content, [("x-amzn-query-error", code)], body).into_response()
            }
            Service::Bus => (status, content, body).into_response(),
        }
    }
}
