//! Foreign errors, mapped once by type and code.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::causes::causes;
use crate::port::QueueError;

/// What a failed call means. `doing` says what was tried, to which thing.
pub(super) fn queue<E, R>(doing: &str, error: &SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let error = service.err();
            by_code(
                doing,
                error.code().unwrap_or("Unknown"),
                error.message().unwrap_or_default(),
            )
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

/// What an error code of SQS means (SQS API reference, "Common error types" and each action's errors).
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

#[cfg(test)]
mod tests {
    use super::*;

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
