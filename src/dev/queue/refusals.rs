//! The refusals of SQS, each in the service's own words where they were recorded (LocalStack's and
//! moto's tests that are marked as validated on AWS), else in the words of the API reference.

use std::fmt::Display;

use axum::http::StatusCode;

use super::super::refusal::ApiRefusal;

/// The characters that SQS takes in bodies and texts (SQS API reference, SendMessage).
pub(super) const CHARACTERS: &str =
    "#x9 | #xA | #xD | [#x20 to #xD7FF] | [#xE000 to #xFFFD] | [#x10000 to #x10FFFF]";

/// A request that is wrong in itself.
pub(super) fn invalid(message: impl Into<String>) -> ApiRefusal {
    ApiRefusal::coded(
        "InvalidParameterValueException",
        "InvalidParameterValue",
        message,
    )
}

/// A parameter with a value that SQS does not take.
pub(super) fn invalid_value(name: &str, value: impl Display, reason: &str) -> ApiRefusal {
    invalid(format!(
        "Value {value} for parameter {name} is invalid. Reason: {reason}"
    ))
}

/// A parameter that is left out.
pub(super) fn missing(name: &str) -> ApiRefusal {
    ApiRefusal::coded(
        "MissingRequiredParameterException",
        "MissingParameter",
        format!("The request must contain the parameter {name}."),
    )
}

/// An attribute that a queue does not have, or that cannot be set.
pub(super) fn unknown_attribute(name: &str) -> ApiRefusal {
    attribute_name(format!("Unknown Attribute {name}."))
}

pub(super) fn attribute_name(message: impl Into<String>) -> ApiRefusal {
    ApiRefusal::new("InvalidAttributeName", message)
}

/// An attribute with a value that it cannot have.
pub(super) fn attribute_value(name: &str, reason: &str) -> ApiRefusal {
    let message = format!("Invalid value for the parameter {name}. Reason: {reason}");
    ApiRefusal::new("InvalidAttributeValue", message)
}

pub(super) fn no_queue() -> ApiRefusal {
    ApiRefusal::coded(
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

/// A name that is taken by a queue that is set to something else.
pub(super) fn name_exists(attribute: &str) -> ApiRefusal {
    ApiRefusal::coded(
        "QueueNameExists",
        "QueueAlreadyExists",
        format!(
            "A queue already exists with the same name and a different value for attribute {attribute}"
        ),
    )
}

/// A name that a deleted queue had until a moment ago.
pub(super) fn deleted_recently() -> ApiRefusal {
    ApiRefusal::coded(
        "QueueDeletedRecently",
        "AWS.SimpleQueueService.QueueDeletedRecently",
        "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
    )
}

pub(super) fn purge_in_progress(queue: &str) -> ApiRefusal {
    ApiRefusal::coded(
        "PurgeQueueInProgress",
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        format!("Only one PurgeQueue operation on {queue} is allowed every 60 seconds."),
    )
    .with_status(StatusCode::FORBIDDEN)
}

/// Text with a character that SQS does not take.
pub(super) fn message_contents() -> ApiRefusal {
    ApiRefusal::new(
        "InvalidMessageContents",
        format!("Invalid characters found. Valid unicode characters are {CHARACTERS}"),
    )
}

/// More than may be held or in flight.
pub(super) fn over_limit(message: impl Into<String>) -> ApiRefusal {
    ApiRefusal::new("OverLimit", message).with_status(StatusCode::FORBIDDEN)
}

/// A batch that is refused as a whole.
pub(super) fn batch(
    kind: &'static str,
    code: &'static str,
    message: impl Into<String>,
) -> ApiRefusal {
    ApiRefusal::coded(kind, code, message)
}
