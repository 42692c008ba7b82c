//! Services behind one port, distinguished by the address of an SDK's call.

use axum::http::StatusCode;

use super::refusal::ApiRefusal;

/// AWS service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Amazon SQS: its JSON protocol 1.0.
    Queues,
    /// Amazon EventBridge, classic buses: its JSON protocol 1.1.
    Bus,
}

impl Service {
    /// Returns the service and the action of a call's `X-Amz-Target`.
    pub(super) fn addressed(target: &str) -> Option<(Self, &str)> {
        let (service, action) = target.split_once('.')?;
        match service {
            "AmazonSQS" => Some((Self::Queues, action)),
            "AWSEvents" => Some((Self::Bus, action)),
            _ => None,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Queues => "application/x-amz-json-1.0",
            Self::Bus => "application/x-amz-json-1.1",
        }
    }

    /// Returns the prefix of an error's full name. Errors that are absent from SQS's model come
    /// from the framework below it, and their names end in `Exception`.
    pub(super) fn namespace(self, kind: &str) -> &'static str {
        match self {
            Self::Queues if kind.ends_with("Exception") => "com.amazon.coral.service#",
            Self::Queues => "com.amazonaws.sqs#",
            Self::Bus => "",
        }
    }

    /// Returns the refusal of an unavailable service.
    pub(super) fn unavailable(self) -> ApiRefusal {
        ApiRefusal::new("ServiceUnavailable", "a fault that was asked for")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Returns the refusal of a throttled call.
    pub(super) fn throttled(self) -> ApiRefusal {
        let kind = match self {
            Self::Queues => "RequestThrottled",
            Self::Bus => "ThrottlingException",
        };
        ApiRefusal::new(kind, "a fault that was asked for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_a_service() {
        let addressed = Service::addressed;
        assert_eq!(
            addressed("AmazonSQS.SendMessage"),
            Some((Service::Queues, "SendMessage"))
        );
        assert_eq!(
            addressed("AWSEvents.PutEvents"),
            Some((Service::Bus, "PutEvents"))
        );
        for other in ["", "PutEvents", "DynamoDB_20120810.PutItem"] {
            assert_eq!(addressed(other), None, "{other}");
        }
    }
}
