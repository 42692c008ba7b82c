//! Rules on sessions: made, changed, deleted, sealed, bound to a principal.

use serde_json::{Value, json};

use crate::conformance::client::HttpCall;
use crate::conformance::finding::{RuleOutcome, broken, ensure, not_tried};
use crate::conformance::session::TestedSession;
use crate::conformance::trial::RuleTrial;

/// The reasons for which a channel may be denied.
const REASONS: [&str; 4] = ["authorization", "quota", "limit", "network"];

fn request(token: &str, channels: &[&str]) -> HttpCall {
    HttpCall::new("POST", "/session")
        .token(token)
        .json(&json!({ "channels": channels }))
}

/// Items of a list.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    let list = value.get(name).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

pub(super) async fn created(trial: &RuleTrial<'_>) -> RuleOutcome {
    let channel = &trial.channel()?.name;
    let call = request(&trial.suite().token, &[channel]);
    let answer = trial.ask(&call).await?;
    let session = trial.session_of(&answer)?;
    let json = answer.json()?;
    ensure(list(&json, "granted") == [json!(channel)], || {
        format!("{answer}; expected `granted` to be [`{channel}`]")
    })?;
    ensure(json.get("denied") == Some(&json!([])), || {
        format!("{answer}; expected `denied` to be an empty list")
    })?;
    for name in ["timeout_s", "min_interval_ms", "expires_in_s"] {
        let advice = json.get("advice").and_then(|advice| advice.get(name));
        ensure(advice.is_some_and(Value::is_u64), || {
            format!("{answer}; expected `advice.{name}` to be a whole number")
        })?;
    }
    for (name, text) in [("session", &session.session), ("cursor", &session.cursor)] {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        ensure(!text.is_empty() && text.chars().all(is_part), || {
            format!("`{name}` has other characters than A-Z a-z 0-9 - _")
        })?;
        // Sealed text can be neither read nor made by clients.
        ensure(text.len() >= 32 && !text.contains(channel.as_str()), || {
            format!("`{name}` is too short to be sealed, or shows its channel")
        })?;
    }
    Ok(())
}

pub(super) async fn denied(trial: &RuleTrial<'_>) -> RuleOutcome {
    let Some(denied) = &trial.suite().denied_channel else {
        return not_tried(
            "no channel is known that the token does not grant",
            "give one with --denied-channel",
        );
    };
    let channel = &trial.channel()?.name;
    let call = request(&trial.suite().token, &[denied, channel]);
    let answer = trial.ask(&call).await?;
    trial.session_of(&answer)?;
    let json = answer.json()?;
    ensure(list(&json, "granted") == [json!(channel)], || {
        format!("{answer}; expected `granted` to be [`{channel}`]")
    })?;
    let [refused] = list(&json, "denied") else {
        return broken(format!("{answer}; expected one channel in `denied`"));
    };
    ensure(refused.get("channel") == Some(&json!(denied)), || {
        format!("{answer}; expected `{denied}` in `denied`")
    })?;
    let reason = refused.get("reason").and_then(Value::as_str);
    ensure(reason.is_some_and(|one| REASONS.contains(&one)), || {
        format!("{answer}; expected a reason, one of {}", REASONS.join(", "))
    })
}

pub(super) async fn changed(trial: &RuleTrial<'_>) -> RuleOutcome {
    let channel = &trial.channel()?.name;
    let mut session = trial.session().await?;
    let remove = session.call(
        "PATCH",
        "/session",
        &[("add", json!([])), ("remove", json!([channel]))],
    );
    let answer = trial.ask(&remove).await?;
    answer.expect(200)?;
    session.session = answer.text("session")?;
    let json = answer.json()?;
    ensure(list(&json, "granted").is_empty(), || {
        format!("{answer}; expected `granted` to be empty after its only channel was removed")
    })?;
    let ids = trial.publish(1).await?;
    let polled = trial.poll(&session, 2).await?;
    ensure(polled.ours(&ids).is_empty(), || {
        "a message came on a channel that was removed".to_owned()
    })?;
    session.cursor = polled.cursor;
    let add = session.call(
        "PATCH",
        "/session",
        &[("add", json!([channel])), ("remove", json!([]))],
    );
    let answer = trial.ask(&add).await?;
    answer.expect(200)?;
    session.session = answer.text("session")?;
    let json = answer.json()?;
    ensure(list(&json, "granted") == [json!(channel)], || {
        format!("{answer}; expected `granted` to be [`{channel}`]")
    })?;
    let ids = trial.publish(1).await?;
    trial.collect(&mut session, &ids).await?;
    Ok(())
}

pub(super) async fn deleted(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let delete = session.call("DELETE", "/session", &[]);
    trial.ask(&delete).await?.expect(204)?;
    let answer = trial.ask(&session.poll(0, 100)).await?;
    answer.expect(410)?.expect_error("gone")?.expect_resync()?;
    // It is gone for a repeated request as well.
    trial.ask(&delete).await?.expect_one_of(&[204, 410])?;
    Ok(())
}

/// A text with one character in its middle changed to another one of the alphabet.
fn changed_text(text: &str) -> String {
    let middle = text.len() / 2;
    let change = |(at, c): (usize, char)| match (at == middle, c) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, c) => c,
    };
    text.chars().enumerate().map(change).collect()
}

pub(super) async fn sealed(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let other = TestedSession {
        session: changed_text(&session.session),
        ..session.clone()
    };
    let answer = trial.ask(&other.poll(0, 100)).await?;
    answer.expect_one_of(&[400, 410])?;
    let other = TestedSession {
        cursor: changed_text(&session.cursor),
        ..session.clone()
    };
    let answer = trial.ask(&other.poll(0, 100)).await?;
    answer.expect_one_of(&[400, 410])?;
    // A cursor of another session confirms nothing here.
    let stranger = trial.session().await?;
    let other = TestedSession {
        cursor: stranger.cursor,
        ..session.clone()
    };
    let answer = trial.ask(&other.poll(0, 100)).await?;
    answer.expect_one_of(&[400, 403, 410])?;
    // The session itself is none the worse.
    trial.poll(&session, 0).await?;
    Ok(())
}

pub(super) async fn bound(trial: &RuleTrial<'_>) -> RuleOutcome {
    let Some(other) = &trial.suite().other_token else {
        return not_tried(
            "no token of another principal is known",
            "give one with --other-token",
        );
    };
    let session = trial.session().await?;
    let stolen = TestedSession {
        token: other.clone(),
        ..session.clone()
    };
    for call in [
        stolen.poll(0, 100),
        stolen.stream(),
        stolen.call("DELETE", "/session", &[]),
    ] {
        trial
            .ask(&call)
            .await?
            .expect(403)?
            .expect_error("forbidden")?;
    }
    trial.poll(&session, 0).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_text_is_another() {
        for text in ["AAAA", "abcd", "A"] {
            assert_ne!(changed_text(text), text);
            assert_eq!(changed_text(text).len(), text.len());
        }
    }
}
