//! Rules on tickets: the cookie by which `EventSource`, which can send no header, opens a stream.

use serde_json::json;
use tokio::time::Instant;

use super::stream::next_ours;
use crate::conformance::answer::HttpAnswer;
use crate::conformance::client::HttpCall;
use crate::conformance::event_stream::StreamItem;
use crate::conformance::finding::{RuleOutcome, broken, ensure};
use crate::conformance::session::TestedSession;
use crate::conformance::trial::{DELIVERY, RuleTrial};

/// A ticket's parts.
struct TicketParts {
    /// Each `NAME=VALUE`, as a Cookie header has them.
    pairs: String,
    /// Attributes of each cookie, in lower case.
    attributes: Vec<Vec<String>>,
    /// The path below the base.
    path: String,
}

async fn ticket(
    trial: &RuleTrial<'_>,
    session: &TestedSession,
) -> RuleOutcome<(HttpAnswer, TicketParts)> {
    let call = session.call(
        "POST",
        "/stream/ticket",
        &[("cursor", json!(session.cursor))],
    );
    let answer = trial.ask(&call).await?;
    answer.expect(204)?;
    let Some(location) = answer.header("location") else {
        return broken(format!("{answer} without Location"));
    };
    let base = &trial.suite().address.base;
    // An absolute address ends with the same path.
    let Some((_, path)) = location.split_once(base.as_str()) else {
        return broken(format!("Location does not lead below {base}"));
    };
    let (mut pairs, mut attributes) = (Vec::new(), Vec::new());
    for cookie in answer.headers.get_all("set-cookie") {
        let cookie = String::from_utf8_lossy(cookie.as_bytes()).into_owned();
        let mut parts = cookie.split(';').map(str::trim);
        pairs.extend(parts.next().map(str::to_owned));
        attributes.push(parts.map(str::to_lowercase).collect());
    }
    if pairs.is_empty() {
        return broken(format!("{answer} without Set-Cookie"));
    }
    let ticket = TicketParts {
        pairs: pairs.join("; "),
        attributes,
        path: path.to_owned(),
    };
    Ok((answer, ticket))
}

pub(super) async fn cookie(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let (_, ticket) = ticket(trial, &session).await?;
    let path = format!("path={}{}", trial.suite().address.base, ticket.path).to_lowercase();
    for wanted in ["httponly", "secure", "samesite=none", path.as_str()] {
        for attributes in &ticket.attributes {
            ensure(attributes.iter().any(|one| one == wanted), || {
                format!(
                    "a cookie has the attributes `{}`; expected `{wanted}` among them",
                    attributes.join("; ")
                )
            })?;
        }
    }
    ensure(
        ticket.path.starts_with("/stream/") && !ticket.path.contains('?'),
        || {
            format!(
                "the ticket's path is `{}`; expected /stream/RANDOM",
                ticket.path
            )
        },
    )?;
    for secret in [&session.token, &session.session, &session.cursor] {
        ensure(
            !ticket.pairs.contains(secret.as_str()) && !ticket.path.contains(secret.as_str()),
            || "the cookie or its path has a token, session or cursor in it".to_owned(),
        )?;
    }
    Ok(())
}

pub(super) async fn once(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let (_, ticket) = ticket(trial, &session).await?;
    let get = HttpCall::new("GET", ticket.path.as_str()).header("accept", "text/event-stream");
    let without = trial.ask(&get).await?;
    without.expect_one_of(&[401, 403, 404])?;
    let with = get.header("cookie", ticket.pairs.as_str());
    let mut stream = trial.stream_of(trial.client(), &with).await?;
    let ids = trial.publish(1).await?;
    next_ours(&mut stream, &ids).await?;
    let again = trial.open(trial.client(), &with).await?;
    if again.status == 200 {
        return broken("a ticket opened a second stream");
    }
    again.whole().await?.expect_one_of(&[401, 403, 404, 410])?;
    // The one that is open is none the worse.
    let more = trial.publish(1).await?;
    next_ours(&mut stream, &more).await?;
    let item = stream.next(Instant::now()).await;
    ensure(
        !matches!(item, StreamItem::Broken(_) | StreamItem::End),
        || format!("the stream ended in {} s", DELIVERY.as_secs()),
    )
}
