//! Foreign errors, mapped once by type and code.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::causes::causes;
use crate::port::QueueError;

/// Classifies a failed call. `doing` says what was tried, to which thing.
pub(super) fn queue<E>(doing: &str, error: &SdkError<E>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let error = service.err();
            match error.code() {
                Some(code) => by_code(doing, code, error.message().unwrap_or_default()),
                None => by_status(doing, service.raw().status().as_u16()),
            }
        }
        SdkError::ConstructionFailure(_) => QueueError::Permanent {
            what: format!("{doing}: {}", causes(error)),
        },
        // Credentials that cannot be found come as a failed dispatch, as does a host that cannot be reached: both may mend.
        _ => QueueError::Transient {
            what: format!("{doing}: {}", causes(error)),
        },
    }
}

/// Classifies an error code of SQS (SQS API reference, "Common error types" and each action's
/// errors).
pub(super) fn by_code(doing: &str, code: &str, message: &str) -> QueueError {
    // The JSON protocol prefixes codes with a namespace.
    let name = code.rsplit(['#', '.']).next().unwrap_or(code);
    let what = |help: &str| {
        let help = if help.is_empty() {
            String::new()
        } else {
            format!("; {help}")
        };
        format!("{doing}: {name}: {message}{help}")
    };
    match name {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => QueueError::LeaseLost,
        "QueueDoesNotExist" | "NonExistentQueue" => QueueError::Permanent {
            what: what("check the queue's URL, account and Region"),
        },
        "AccessDenied" | "AccessDeniedException" => QueueError::Permanent {
            what: what("grant the task role this action on the queue"),
        },
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken" => QueueError::Permanent {
            what: what("check the credentials"),
        },
        "InvalidAddress"
        | "UnsupportedOperation"
        | "InvalidSecurity"
        | "KmsAccessDenied"
        | "KmsNotFound"
        | "KmsOptInRequired"
        | "KmsInvalidKeyUsage" => QueueError::Permanent { what: what("") },
        // Throttled, over the number of messages in flight, expired credentials that are about to be renewed, server errors,
        // and what is new since this was written.
        _ => QueueError::Transient { what: what("") },
    }
}

/// The meaning of an error code of a call that names messages by their receipt handles: as
/// [`by_code`], but that a FIFO queue refuses a handle whose visibility timeout has ended as an
/// invalid value (SQS API reference, DeleteMessage, "visibility timeout" of FIFO queues). The
/// calls' other values are within bounds.
pub(super) fn by_receipt_code(doing: &str, code: &str, message: &str) -> QueueError {
    match code.rsplit(['#', '.']).next() {
        Some("InvalidParameterValue") => QueueError::LeaseLost,
        _ => by_code(doing, code, message),
    }
}

/// Classifies an answer whose body names no code, such as that of a proxy: a forbidden call stays
/// forbidden, other failures may be temporary.
fn by_status(doing: &str, status: u16) -> QueueError {
    let what = format!("{doing}: HTTP {status} without an error code");
    match status {
        401 | 403 => QueueError::Permanent {
            what: format!("{what}; grant the task role this action on the queue"),
        },
        _ => QueueError::Transient { what },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_without_a_code() {
        let permanent = |status| matches!(by_status("x", status), QueueError::Permanent { .. });
        assert!(permanent(401) && permanent(403));
        assert!(!permanent(429) && !permanent(500) && !permanent(404));
    }

    #[test]
    fn an_ended_receipt_handle_of_a_fifo_queue_is_a_lost_lease() {
        let meaning = |code| by_receipt_code("deleting", code, "words");
        assert!(matches!(
            meaning("InvalidParameterValue"),
            QueueError::LeaseLost
        ));
        assert!(matches!(
            meaning("ReceiptHandleIsInvalid"),
            QueueError::LeaseLost
        ));
        assert!(matches!(
            meaning("RequestThrottled"),
            QueueError::Transient { .. }
        ));
        let sending = by_code("sending", "InvalidParameterValue", "words");
        assert!(matches!(sending, QueueError::Transient { .. }));
    }

    #[test]
    fn codes() {
        let told = |code: &str| match by_code("receiving", code, "words") {
            QueueError::Transient { what } => format!("transient: {what}"),
            QueueError::Permanent { what } => format!("permanent: {what}"),
            QueueError::LeaseLost => "lease lost".into(),
        };
        assert_eq!(
            told("RequestThrottled"),
            "transient: receiving: RequestThrottled: words"
        );
        assert_eq!(told("OverLimit"), "transient: receiving: OverLimit: words");
        assert_eq!(told("ReceiptHandleIsInvalid"), "lease lost");
        assert_eq!(
            told("AWS.SimpleQueueService.NonExistentQueue"),
            "permanent: receiving: NonExistentQueue: words; check the queue's URL, account and Region"
        );
        assert_eq!(
            told("com.amazonaws.sqs#AccessDenied"),
            "permanent: receiving: AccessDenied: words; grant the task role this action on the queue"
        );
    }
}
