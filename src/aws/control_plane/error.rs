//! Meanings of the control plane's errors, by type and code (IoT API reference, each action's
//! errors; "Common error types").
//!
//! Decided here once: the caller acts on the variant, and people read its text. One call may be
//! made for each of thousands of policies, so that an error says which of them and what would mend
//! it.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::calls::ControlAction;
use crate::aws::causes::causes;

/// Text of an error for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ErrorText {
    /// The attempted action, the thing it was for, and the service's own words.
    pub what: String,
    /// Advice on what to do.
    pub help: String,
}

/// Reason why a call failed, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Too many calls, for longer than one is ready to wait: later.
    #[error("{0}")]
    Throttled(ErrorText),
    /// No answer, or a server's error, several times: later.
    #[error("{0}")]
    Unavailable(ErrorText),
    /// The known state of the policy is no longer current: look again, and plan again.
    #[error("{0}")]
    Outdated(ErrorText),
    /// The policy cannot be deleted yet: wait, look again, and plan again.
    #[error("{0}")]
    Held(ErrorText),
    /// The thing is not there.
    #[error("{0}")]
    Absent(ErrorText),
    /// This call can never succeed; calls for other things may.
    #[error("{0}")]
    Refused(ErrorText),
    /// No call will succeed: stop.
    #[error("{0}")]
    Hopeless(ErrorText),
}

impl ControlError {
    /// Returns the text for a person.
    pub fn text(&self) -> &ErrorText {
        match self {
            Self::Throttled(text)
            | Self::Unavailable(text)
            | Self::Outdated(text)
            | Self::Held(text)
            | Self::Absent(text)
            | Self::Refused(text)
            | Self::Hopeless(text) => text,
        }
    }

    /// Makes an error after which no call can succeed.
    pub(in crate::aws) fn hopeless(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Hopeless(ErrorText {
            what: what.into(),
            help: help.into(),
        })
    }
}

/// Error codes of credentials that no service takes for any call.
const CREDENTIALS: [&str; 9] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Classifies a failed call. `doing` says what was tried, to which thing.
pub(in crate::aws) fn meaning<E>(
    action: ControlAction,
    doing: &str,
    error: &SdkError<E, HttpResponse>,
) -> ControlError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            by_code(action, doing, status, code, message)
        }
        SdkError::ConstructionFailure(_) => ControlError::hopeless(
            format!("{doing}: {}", causes(error)),
            "check AWS_REGION and AWS_ENDPOINT_URL",
        ),
        _ => ControlError::Unavailable(ErrorText {
            what: format!("{doing}: {}", causes(error)),
            help: "check the network, AWS_REGION and AWS_ENDPOINT_URL, and run this again: what is done is not done twice".into(),
        }),
    }
}

/// Classifies an error by its status and code.
fn by_code(
    action: ControlAction,
    doing: &str,
    status: u16,
    code: &str,
    message: &str,
) -> ControlError {
    let what = match (code, message) {
        ("", "") => format!("{doing}: HTTP {status}"),
        ("", message) => format!("{doing}: HTTP {status}: {message}"),
        (code, "") => format!("{doing}: {code}"),
        (code, message) => format!("{doing}: {code}: {message}"),
    };
    let text = |help: &str| ErrorText {
        what: what.clone(),
        help: help.to_owned(),
    };
    if CREDENTIALS.contains(&code) {
        return ControlError::Hopeless(text(
            "check the AWS credentials and the clock; temporary ones may have ended",
        ));
    }
    match (code, status) {
        ("ThrottlingException" | "Throttling" | "TooManyRequestsException", _) | (_, 429) => {
            ControlError::Throttled(text(
                "others use up the account's quota for this action: run this again later, or more slowly with --rate 0.5",
            ))
        }
        ("ResourceAlreadyExistsException", _) => ControlError::Outdated(text(
            "somebody made it at the same moment: run this again, and what is there is compared first",
        )),
        ("VersionsLimitExceededException", _) => ControlError::Outdated(text(
            "somebody made versions at the same moment: run this again, and the oldest is deleted first",
        )),
        ("DeleteConflictException", _) => ControlError::Held(text(
            "IoT Core deletes a policy only once it is detached from everything, which it may notice 5 minutes late: run this again then",
        )),
        ("ResourceNotFoundException", _) => ControlError::Absent(text(&absent(action))),
        ("MalformedPolicyException", _) => ControlError::Refused(text(
            "IoT Core does not take the document: check its elements, actions and the form of its ARNs, e.g. with eventcast policy lint",
        )),
        ("LimitExceededException", _) => ControlError::Refused(text(
            "a certificate or Cognito identity has at most 10 policies: detach one, or put the permissions into fewer policies",
        )),
        ("InvalidRequestException", _) => ControlError::Refused(text(invalid(action))),
        ("UnauthorizedException" | "AccessDeniedException" | "ForbiddenException", _)
        | (_, 401 | 403) => ControlError::Refused(text(&format!(
            "grant whoever runs this {} on that resource",
            action.permission()
        ))),
        (_, 400..=499) => ControlError::Refused(text("check names, ARNs and the Region")),
        _ => {
            ControlError::Unavailable(text("run this again later: what is done is not done twice"))
        }
    }
}

fn absent(action: ControlAction) -> String {
    match action {
        ControlAction::AttachPolicy => "check the target's ARN or id: it must exist in this account and Region, and a Cognito identity must have signed in once".into(),
        ControlAction::DeleteConnection => "the client is not connected".into(),
        _ => "check the name, the account and the Region".into(),
    }
}

fn invalid(action: ControlAction) -> &'static str {
    match action {
        ControlAction::DeletePolicyVersion => {
            "the version may have become the default at the same moment: run this again"
        }
        ControlAction::AttachPolicy
        | ControlAction::DetachPolicy
        | ControlAction::ListAttachedPolicies => {
            "check the target: the ARN of a certificate or thing group, or the id of a Cognito identity, of this Region"
        }
        ControlAction::DeleteConnection => "check the client id: it must not begin with `$`",
        _ => "check the policy's name and document",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        let variant = |action, status, code| match by_code(action, "x", status, code, "words") {
            ControlError::Throttled(_) => "throttled",
            ControlError::Unavailable(_) => "unavailable",
            ControlError::Outdated(_) => "outdated",
            ControlError::Held(_) => "held",
            ControlError::Absent(_) => "absent",
            ControlError::Refused(_) => "refused",
            ControlError::Hopeless(_) => "hopeless",
        };
        for (status, code, meaning) in [
            (429, "ThrottlingException", "throttled"),
            (400, "ThrottlingException", "throttled"),
            (429, "", "throttled"),
            (409, "ResourceAlreadyExistsException", "outdated"),
            (409, "VersionsLimitExceededException", "outdated"),
            (409, "DeleteConflictException", "held"),
            (404, "ResourceNotFoundException", "absent"),
            (400, "MalformedPolicyException", "refused"),
            (400, "InvalidRequestException", "refused"),
            (410, "LimitExceededException", "refused"),
            (401, "UnauthorizedException", "refused"),
            (403, "AccessDeniedException", "refused"),
            (403, "ExpiredTokenException", "hopeless"),
            (403, "UnrecognizedClientException", "hopeless"),
            (403, "InvalidSignatureException", "hopeless"),
            (500, "InternalFailureException", "unavailable"),
            (503, "ServiceUnavailableException", "unavailable"),
            (500, "", "unavailable"),
            (418, "Teapot", "refused"),
        ] {
            let text = variant(ControlAction::CreatePolicy, status, code);
            assert_eq!(text, meaning, "{status} {code}");
        }
    }

    #[test]
    fn words() {
        let mut all = String::new();
        for (action, doing, status, code, message) in [
            (
                ControlAction::CreatePolicy,
                "creating policy `p`",
                409,
                "ResourceAlreadyExistsException",
                "Policy cannot be created",
            ),
            (
                ControlAction::CreatePolicy,
                "creating policy `p`",
                400,
                "MalformedPolicyException",
                "Policy document is Malformed",
            ),
            (
                ControlAction::CreatePolicy,
                "creating policy `p`",
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ),
            (
                ControlAction::CreatePolicyVersion,
                "adding a version to policy `p`",
                409,
                "VersionsLimitExceededException",
                "The policy p already has the maximum number of versions (5)",
            ),
            (
                ControlAction::GetPolicy,
                "reading policy `p`",
                401,
                "UnauthorizedException",
                "",
            ),
            (
                ControlAction::AttachPolicy,
                "attaching policy `p` to `t`",
                404,
                "ResourceNotFoundException",
                "The certificate given in the principal does not exist.",
            ),
            (
                ControlAction::AttachPolicy,
                "attaching policy `p` to `t`",
                410,
                "LimitExceededException",
                "Maximum number of policies",
            ),
            (
                ControlAction::AttachPolicy,
                "attaching policy `p` to `t`",
                429,
                "ThrottlingException",
                "Rate exceeded",
            ),
            (
                ControlAction::DeletePolicy,
                "deleting policy `p`",
                409,
                "DeleteConflictException",
                "The policy cannot be deleted",
            ),
            (
                ControlAction::DeletePolicyVersion,
                "deleting version 3 of policy `p`",
                400,
                "InvalidRequestException",
                "Cannot delete the default version of a policy",
            ),
            (
                ControlAction::DeleteConnection,
                "disconnecting client `c`",
                500,
                "",
                "",
            ),
        ] {
            let error = by_code(action, doing, status, code, message);
            all.push_str(&format!("error: {error}\nhelp: {}\n\n", error.text().help));
        }
        insta::assert_snapshot!(all);
    }
}
