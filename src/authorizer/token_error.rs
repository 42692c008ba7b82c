//! Reasons why a token is not valid. They name claims and times, never the token.

use jiff::Timestamp;
use serde_json::Value;

/// The longest token that is looked at. IoT Core hands 6,144 characters to an authorizer; a local
/// broker and the gateway see more.
pub const MAX_TOKEN_CHARACTERS: usize = 16_384;

/// Reason why a token is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token at all.
    #[error("not a token: three parts in base64url with dots between them are wanted")]
    Form,
    /// Its header is a JSON object, but not one of a JSON Web Signature (RFC 7515, section 4).
    #[error("its header is not right: {0}")]
    Header(String),
    /// None of the keys is for its algorithm; `none` is among these.
    #[error("signed with {}, but {}", quoted(.token), for_algorithms(.keys))]
    Algorithm {
        /// The algorithm that its header names.
        token: Option<String>,
        /// The algorithms of the keys.
        keys: Vec<&'static str>,
    },
    /// No accepted key could have signed it.
    #[error("no key is known for it: {0}")]
    Key(String),
    /// Somebody else signed it, or it was changed.
    #[error("the signature is not right: another key signed it, or it was changed")]
    Signature,
    /// It asks for something that has to be understood and is not.
    #[error("its header has `crit`, and nothing of that is understood")]
    Critical,
    /// It has expired.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It is not valid yet.
    #[error("it is not valid before {0}")]
    Early(Timestamp),
    /// A claim is missing that tokens must have.
    #[error("the claim `{0}` is missing{hint}", hint = missing_hint(.0))]
    Missing(String),
    /// A claim occurs more than once, so that two readers could read two values (RFC 7519, section
    /// 4).
    #[error("the claim `{0}` occurs more than once")]
    Repeated(String),
    /// A time beyond the calendar.
    #[error(
        "the claim `{0}` is {1}, which is after the year 9999: it is in seconds since 1970, not milliseconds"
    )]
    Late(String, Value),
    /// A claim is to be a time, and is none.
    #[error(
        "the claim `{0}` is {1}, which is no time: seconds since 1970 as a number are expected"
    )]
    NoTime(String, Value),
    /// A claim is not of its type.
    #[error("the claim `{0}` is not what it should be: {1}")]
    Type(String, &'static str),
    /// Somebody else made it.
    #[error("made by another issuer: {}", told(.0))]
    Issuer(Option<Value>),
    /// It was made for another audience.
    #[error("made for another audience: {}", told(.0))]
    Audience(Option<Value>),
    /// It has no audience, and was issued to another client.
    #[error("it has no `aud`, and was issued to another client: `client_id` is {}", told(.0))]
    Client(Option<Value>),
    /// A claim that the configuration asks for has another value.
    #[error("the claim `{0}` is {1}, which the configuration does not take")]
    Required(String, Value),
    /// It is longer than any that is looked at.
    #[error("it has {0} characters; {MAX_TOKEN_CHARACTERS} are looked at")]
    Long(usize),
    /// Something else is wrong with it.
    #[error("{0}")]
    Other(String),
}

fn quoted(algorithm: &Option<String>) -> String {
    algorithm
        .as_ref()
        .map_or_else(|| "no algorithm".into(), |name| format!("`{name}`"))
}

fn for_algorithms(algorithms: &[&str]) -> String {
    match algorithms {
        [] => "there are no keys here".into(),
        names => format!("the keys here are for {}", names.join(", ")),
    }
}

fn missing_hint(claim: &str) -> &'static str {
    match claim {
        "aud" => {
            ", and so is `client_id`, which stands in for it; without authorizer.audience neither is looked at"
        }
        _ => "",
    }
}

fn told(claim: &Option<Value>) -> String {
    claim
        .as_ref()
        .map_or_else(|| "it names none".into(), |claim| format!("`{claim}`"))
}
