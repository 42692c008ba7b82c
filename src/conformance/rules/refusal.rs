//! Rules on refusals: requests without a token, bodies, paths and methods that are not as agreed.

use serde_json::json;

use crate::conformance::client::{HttpCall, counter};
use crate::conformance::finding::{RuleOutcome, ensure};
use crate::conformance::trial::RuleTrial;

/// A body that no request of the protocol needs.
const HUGE_BYTES: usize = 4 << 20;

pub(super) async fn token(trial: &RuleTrial<'_>) -> RuleOutcome {
    let body = json!({ "channels": [trial.channel()?.name] });
    let session = trial.session().await?;
    let calls = [
        HttpCall::new("POST", "/session").json(&body),
        HttpCall::new("POST", "/session")
            .token("no-token")
            .json(&body),
        HttpCall::new("POST", "/session")
            .json(&body)
            .header("authorization", "Basic dTpw"),
        HttpCall {
            token: None,
            ..session.poll(0, 100)
        },
        HttpCall {
            token: None,
            ..session.stream()
        },
        HttpCall {
            token: None,
            ..session.call("DELETE", "/session", &[])
        },
    ];
    for call in calls {
        let answer = trial.ask(&call).await?;
        answer.expect(401)?.expect_error("unauthorized")?;
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        ensure(challenge.to_lowercase().starts_with("bearer"), || {
            format!(
                "{answer} with `www-authenticate: {challenge}`; expected a Bearer challenge (RFC 6750, section 3)"
            )
        })?;
    }
    Ok(())
}

pub(super) async fn query_token(trial: &RuleTrial<'_>) -> RuleOutcome {
    let body = json!({ "channels": [trial.channel()?.name] });
    for name in ["token", "access_token"] {
        let path = format!("/session?{name}={}", trial.suite().token);
        let answer = trial.ask(&HttpCall::new("POST", path).json(&body)).await?;
        answer.expect(401)?;
    }
    Ok(())
}

pub(super) async fn body(trial: &RuleTrial<'_>) -> RuleOutcome {
    let token = &trial.suite().token;
    let post = || {
        HttpCall::new("POST", "/session")
            .token(token)
            .header("content-type", "application/json")
    };
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#"{"channels": 1}"#,
        r#"{"channels": [1]}"#,
        "\u{0}",
    ] {
        let answer = trial.ask(&post().body(text)).await?;
        answer.expect(400)?.expect_error("bad_request")?;
    }
    let session = trial.session().await?;
    let poll = |text: String| {
        HttpCall::new("POST", format!("/poll?n={}", counter()))
            .token(token)
            .header("content-type", "application/json")
            .body(text)
    };
    let without_cursor = json!({ "session": session.session }).to_string();
    for text in ["{}".to_owned(), "[1".to_owned(), without_cursor] {
        trial.ask(&poll(text)).await?.expect(400)?;
    }
    let as_text = HttpCall::new("POST", "/session")
        .token(token)
        .header("content-type", "text/plain")
        .body(json!({ "channels": [trial.channel()?.name] }).to_string());
    trial.ask(&as_text).await?.expect(415)?;
    let huge = json!({ "channels": ["x".repeat(HUGE_BYTES)] });
    // A server may close before it has read all of it; then there is no answer to look at.
    if let Ok(answer) = trial.client().try_ask(&post().body(huge.to_string())).await {
        answer.expect_one_of(&[400, 413])?;
    }
    Ok(())
}

pub(super) async fn path(trial: &RuleTrial<'_>) -> RuleOutcome {
    let token = &trial.suite().token;
    let call = HttpCall::new("GET", "/nothing-here").token(token);
    trial.ask(&call).await?.expect(404)?;
    for (method, path) in [
        ("GET", "/poll"),
        ("GET", "/session"),
        ("PUT", "/session"),
        ("GET", "/ack"),
    ] {
        let answer = trial.ask(&HttpCall::new(method, path).token(token)).await?;
        answer.expect(405)?;
        ensure(answer.header("allow").is_some(), || {
            format!("{answer} without Allow (RFC 9110, section 15.5.6)")
        })?;
    }
    Ok(())
}
