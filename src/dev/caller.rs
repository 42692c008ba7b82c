//! Who calls: STS's GetCallerIdentity, since tools that change an account ask first whose it is.
//!
//! It answers by STS's query protocol, whose answers are XML (STS API reference, GetCallerIdentity). Everybody is the same user.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::ACCOUNT;
use super::uuid::uuid;

/// Whether a body of the query protocol asks that.
pub(super) fn is_asked(body: &[u8]) -> bool {
    let mut pairs = body.split(|byte| *byte == b'&');
    pairs.any(|pair| pair == b"Action=GetCallerIdentity")
}

pub(super) fn answer() -> Response {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
        <Arn>arn:aws:iam::{ACCOUNT}:user/developer</Arn><UserId>DEVELOPER</UserId><Account>{ACCOUNT}</Account>\
        </GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        uuid()
    );
    ([(CONTENT_TYPE, "text/xml")], body).into_response()
}
