//! Refusals of the services: one shape for all of them, in the form of the AWS JSON protocols.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::service::Service;

/// Reason why a call failed.
#[derive(Debug)]
pub(super) struct ApiRefusal {
    /// Name of the error in the JSON protocol.
    pub(super) kind: &'static str,
    /// Error code in the older query protocol.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// HTTP status of the answer.
    pub(super) status: StatusCode,
}

impl ApiRefusal {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: kind,
            message: message.into(),
            status: StatusCode::BAD_REQUEST,
        }
    }

    /// Creates a refusal whose code differs from its type.
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

    /// Sets a status other than 400.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Builds the answer in a service's protocol.
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
