//! Answer of an IoT custom authorizer (AWS IoT Core developer guide, "Defining your Lambda
//! function").

use std::time::Duration;

use jiff::Timestamp;
use ring::digest;
use serde::Serialize;

use crate::channel::limits::{AUTHORIZER_SECONDS, PRINCIPAL_ID_CHARACTERS};
use crate::policy::draft::Draft;

/// The answer to one question.
///
/// ```json
/// {"isAuthenticated": true, "principalId": "5b0c7e0e4f0b4d3e9f516a4f0c6c2a11", "disconnectAfterInSeconds": 3600,
///  "refreshAfterInSeconds": 3600, "policyDocuments": [{"Version": "2012-10-17", "Statement": []}]}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerResponse {
    /// Indicates that the client may connect at all.
    pub is_authenticated: bool,
    /// The principal's id, in letters and digits.
    pub principal_id: String,
    /// Seconds after which the connection ends; fixed when it begins.
    pub disconnect_after_in_seconds: u64,
    /// Seconds after which the authorizer is asked again.
    pub refresh_after_in_seconds: u64,
    /// Policy documents with its permissions.
    pub policy_documents: Vec<Draft>,
}

impl AuthorizerResponse {
    /// Lets a client in until its token expires, and asks again after a while.
    ///
    /// IoT Core takes 5 minutes at least: a token that expires sooner keeps its connection until then.
    pub fn admitted(
        principal: &str,
        expires: Timestamp,
        now: Timestamp,
        refresh: Duration,
        documents: Vec<Draft>,
    ) -> Self {
        let (least, most) = (*AUTHORIZER_SECONDS.start(), *AUTHORIZER_SECONDS.end());
        let left = u64::try_from(expires.duration_since(now).as_secs()).unwrap_or(0);
        let disconnect = left.clamp(least, most);
        Self {
            is_authenticated: true,
            principal_id: principal_id(principal),
            disconnect_after_in_seconds: disconnect,
            refresh_after_in_seconds: refresh.as_secs().clamp(least, disconnect),
            policy_documents: documents,
        }
    }

    /// Lets nobody in.
    pub fn refused() -> Self {
        let least = *AUTHORIZER_SECONDS.start();
        Self {
            is_authenticated: false,
            principal_id: "refused".into(),
            disconnect_after_in_seconds: least,
            refresh_after_in_seconds: least,
            policy_documents: Vec::new(),
        }
    }
}

/// A principal's name in letters and digits, which is all that IoT Core takes: a UUID loses its hyphens, a name of letters and
/// digits is itself, and any other keeps its letters and digits and gets a digest of the whole, so that `a.b` and `a_b` stay two.
pub fn principal_id(name: &str) -> String {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fits = |name: &str| !name.is_empty() && name.len() <= PRINCIPAL_ID_CHARACTERS;
    let without_hyphens = name.replace('-', "");
    if crate::channel::IdFormat::Uuid.accepts(name) {
        return without_hyphens;
    }
    if plain(name) && fits(name) {
        return name.to_owned();
    }
    let readable = name.chars().filter(char::is_ascii_alphanumeric);
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let digest: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let room = PRINCIPAL_ID_CHARACTERS - digest.len() - 1;
    readable
        .take(room)
        .chain("x".chars())
        .chain(digest.chars())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_end_with_their_token_within_bounds() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let answer = |seconds: i64, refresh: u64| {
            let expires = Timestamp::from_second(now.as_second() + seconds).unwrap();
            let refresh = Duration::from_secs(refresh);
            let answer = AuthorizerResponse::admitted("u1", expires, now, refresh, Vec::new());
            (
                answer.disconnect_after_in_seconds,
                answer.refresh_after_in_seconds,
            )
        };
        assert_eq!(answer(3_600, 600), (3_600, 600));
        assert_eq!(answer(301, 1), (301, 300));
        assert_eq!(answer(10, 300), (300, 300));
        // Within the leeway.
        assert_eq!(answer(-10, 300), (300, 300));
        assert_eq!(answer(1_000_000, 1_000_000), (86_400, 86_400));
        // There is nothing to ask for after the end.
        assert_eq!(answer(600, 900), (600, 600));
    }

    #[test]
    fn the_shape_is_aws_s() {
        let answer = serde_json::to_string(&AuthorizerResponse::refused()).unwrap();
        insta::assert_snapshot!(answer, @r#"{"isAuthenticated":false,"principalId":"refused","disconnectAfterInSeconds":300,"refreshAfterInSeconds":300,"policyDocuments":[]}"#);
    }

    #[test]
    fn principals_have_letters_and_digits() {
        assert_eq!(
            principal_id("5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11"),
            "5b0c7e0e4f0b4d3e9f516a4f0c6c2a11"
        );
        assert_eq!(principal_id("alice"), "alice");
        let long = "é@".repeat(200);
        let odd = ["a.b", "a_b", "ab.", "", "é", "alice@example.com", &long];
        for name in odd {
            let id = principal_id(name);
            assert!((1..=128).contains(&id.len()), "{id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        }
        let ids: std::collections::BTreeSet<String> = odd.into_iter().map(principal_id).collect();
        assert_eq!(ids.len(), odd.len());
        assert!(principal_id("alice@example.com").starts_with("aliceexamplecomx"));
    }
}
