//! The services behind one port, told apart by what an SDK's call is addressed to.

use axum::http::StatusCode;

use super::refusal::Refusal;

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Amazon SQS: its JSON protocol 1.0.
    Queues,
    /// Amazon EventBridge, classic buses: its JSON protocol 1.1.
    Bus,
}

impl Service {
    /// The service and the action that a call's `X-Amz-Target` names.
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

    /// The beginning of an error's full name. Errors that SQS's model does not have come from the
    /// framework below it, whose names end in `Exception`.
    pub(super) fn namespace(self, kind: &str) -> &'static str {
        match self {
            Self::Queues if kind.ends_with("Exception") => "com.amazon.coral.service#",
            Self::Queues => "com.amazonaws.sqs#",
            Self::Bus => "",
        }
    }

    /// The refusal of a service that is not available.
    pub(super) fn unavailable(self) -> Refusal {
        Refusal::new("ServiceUnavailable", "a fault that was asked for")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The refusal of a service that throttles.
    pub(super) fn throttled(self) -> Refusal {
        let kind = match self {
            Self::Queues => "RequestThrottled",
            Self::Bus => "ThrottlingException",
        };
        Refusal::new(kind, "a fault that was asked for")
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
