//! AWS's older query protocol, whose answers are XML: who calls (STS API reference, GetCallerIdentity), since tools that change an account ask
//! first whose it is, and a no that its SDKs can read for everything else.
//!
//! Never here: SQS by this protocol, which its SDKs spoke until 2023.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::ACCOUNT;
use super::uuid::uuid;

/// The action that a body of the query protocol asks for.
pub(super) fn action(body: &[u8]) -> Option<&str> {
    let mut pairs = body.split(|byte| *byte == b'&');
    let value = pairs.find_map(|pair| pair.strip_prefix(b"Action="))?;
    let is_name = value.iter().all(u8::is_ascii_alphanumeric);
    std::str::from_utf8(value).ok().filter(|_| is_name)
}

/// What is answered to it.
pub(super) fn answer(action: &str) -> Response {
    let (status, body) = if action == "GetCallerIdentity" {
        (StatusCode::OK, caller())
    } else {
        (StatusCode::BAD_REQUEST, unknown(action))
    };
    (status, [(CONTENT_TYPE, "text/xml")], body).into_response()
}

/// Everybody is the same user.
fn caller() -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
        <Arn>arn:aws:iam::{ACCOUNT}:user/developer</Arn><UserId>DEVELOPER</UserId><Account>{ACCOUNT}</Account>\
        </GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        uuid()
    )
}

fn unknown(action: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>eventcast dev does not offer {action} by the query \
        protocol. SQS and EventBridge are spoken to in JSON, as their SDKs do since 2023.</Message></Error>\
        <RequestId>{}</RequestId></ErrorResponse>",
        uuid()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_bodies() {
        for (body, asked) in [
            (
                "Action=GetCallerIdentity&Version=2011-06-15",
                Some("GetCallerIdentity"),
            ),
            ("Version=2010-05-08&Action=ListUsers", Some("ListUsers")),
            ("Action=<b>", None),
            ("{\"Action\": 1}", None),
            ("", None),
        ] {
            assert_eq!(action(body.as_bytes()), asked, "{body}");
        }
    }
}
