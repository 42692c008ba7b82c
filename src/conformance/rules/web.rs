//! Rules for web pages: CORS (Fetch, "HTTP-CORS protocol"), and the browser module's files.

use serde_json::json;

use crate::conformance::answer::HttpAnswer;
use crate::conformance::client::HttpCall;
use crate::conformance::finding::{RuleOutcome, ensure, not_tried};
use crate::conformance::trial::RuleTrial;

/// An origin that no deployment allows: the name is reserved (RFC 6761, section 6.4).
const STRANGER: &str = "https://conformance.invalid";

/// Time that browsers may keep a preflight's answer.
const MAX_AGE: &str = "7200";

fn origin<'t>(trial: &'t RuleTrial<'_>) -> RuleOutcome<&'t str> {
    match &trial.suite().origin {
        Some(origin) => Ok(origin),
        None => not_tried(
            "no origin is known that the deployment allows",
            "give one with --origin",
        ),
    }
}

fn asked(origin: &str, method: &'static str, path: &'static str) -> HttpCall {
    HttpCall::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
}

/// Returns `true` where a list of a header names something, whatever its case.
fn lists(answer: &HttpAnswer, header: &str, wanted: &str) -> bool {
    let value = answer.header(header).unwrap_or_default();
    value
        .split(',')
        .any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

fn expect_listed(answer: &HttpAnswer, header: &str, wanted: &str) -> RuleOutcome {
    ensure(lists(answer, header, wanted), || {
        let value = answer.header(header).unwrap_or_default();
        format!("{answer} with `{header}: {value}`; expected `{wanted}` in it")
    })
}

pub(super) async fn preflight(trial: &RuleTrial<'_>) -> RuleOutcome {
    let origin = origin(trial)?;
    for (method, path) in [
        ("POST", "/session"),
        ("PATCH", "/session"),
        ("DELETE", "/session"),
        ("POST", "/poll"),
        ("POST", "/stream"),
        ("POST", "/ack"),
    ] {
        let answer = trial.ask(&asked(origin, method, path)).await?;
        answer.expect_one_of(&[200, 204])?;
        let allowed = answer.header("access-control-allow-origin");
        ensure(allowed.as_deref() == Some(origin), || {
            format!("{answer} without `access-control-allow-origin: {origin}`")
        })?;
        expect_listed(&answer, "access-control-allow-methods", method)?;
        expect_listed(&answer, "access-control-allow-headers", "authorization")?;
        expect_listed(&answer, "access-control-allow-headers", "content-type")?;
        expect_listed(&answer, "vary", "origin")?;
        let age = answer.header("access-control-max-age");
        ensure(age.as_deref() == Some(MAX_AGE), || {
            format!(
                "{answer} with `access-control-max-age: {}`; expected {MAX_AGE}",
                age.unwrap_or_default()
            )
        })?;
    }
    Ok(())
}

pub(super) async fn answer(trial: &RuleTrial<'_>) -> RuleOutcome {
    let origin = origin(trial)?;
    let session = trial.session().await?;
    // An error must be readable for the page as well.
    let refused = HttpCall {
        token: None,
        ..session.poll(0, 100)
    };
    for call in [session.poll(0, 100), refused] {
        let answer = trial.ask(&call.header("origin", origin)).await?;
        let allowed = answer.header("access-control-allow-origin");
        ensure(allowed.as_deref() == Some(origin), || {
            format!("{answer} without `access-control-allow-origin: {origin}`")
        })?;
        expect_listed(&answer, "vary", "origin")?;
        // Without it a page cannot read how long to wait.
        expect_listed(&answer, "access-control-expose-headers", "retry-after")?;
        ensure(
            answer.header("access-control-allow-credentials").is_none(),
            || {
                format!(
                    "{answer} with access-control-allow-credentials; expected it for the ticket alone"
                )
            },
        )?;
    }
    let ticket = session
        .call(
            "POST",
            "/stream/ticket",
            &[("cursor", json!(session.cursor))],
        )
        .header("origin", origin);
    let answer = trial.ask(&ticket).await?;
    answer.expect(204)?;
    expect_listed(&answer, "access-control-allow-credentials", "true")
}

pub(super) async fn others(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    for call in [
        asked(STRANGER, "POST", "/session"),
        session.poll(0, 100).header("origin", STRANGER),
        session.poll(0, 100).header("origin", "null"),
    ] {
        let answer = trial.ask(&call).await?;
        let allowed = answer.header("access-control-allow-origin");
        ensure(allowed.is_none(), || {
            format!(
                "{answer} allows the origin `{}`",
                allowed.unwrap_or_default()
            )
        })?;
    }
    Ok(())
}

pub(super) async fn module(trial: &RuleTrial<'_>) -> RuleOutcome {
    for (path, kind) in [
        ("/eventcast.js", "text/javascript"),
        ("/eventcast.d.ts", ""),
    ] {
        let answer = trial.ask(&HttpCall::new("GET", path)).await?;
        answer.expect(200)?;
        let found = answer.header("content-type").unwrap_or_default();
        ensure(found.starts_with(kind), || {
            format!(
                "{} answered with `content-type: {found}`; expected {kind}",
                answer.what
            )
        })?;
        let Some(tag) = answer.header("etag") else {
            return ensure(false, || {
                format!("{} answered without an ETag", answer.what)
            });
        };
        let again = HttpCall::new("GET", path).header("if-none-match", tag);
        let again = trial.client().ask(&again).await?;
        again.expect(304)?;
    }
    Ok(())
}
