//! Rules on streams: their beginning, their contents, confirmation, and their end.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::conformance::event_stream::{EventStream, StreamEvent, StreamItem};
use crate::conformance::finding::{Finding, RuleOutcome, broken, ensure};
use crate::conformance::session::{Polled, TestedSession, id_of};
use crate::conformance::trial::{DELIVERY, RuleTrial};

/// Time that the beginning of a stream may take.
const BEGIN: Duration = Duration::from_secs(3);

/// Interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Tolerated delay.
const LATE: Duration = Duration::from_secs(4);

/// Moment when a stream ends by itself.
const PLANNED_END: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(100);

fn broken_off<T>(why: &str) -> RuleOutcome<T> {
    broken(format!("the stream broke off: {why}"))
}

/// Waits for one of our messages; other events are passed over.
pub(super) async fn next_ours(
    stream: &mut EventStream,
    ids: &[String],
) -> RuleOutcome<(String, StreamEvent)> {
    let until = Instant::now() + DELIVERY;
    loop {
        match stream.next(until).await {
            StreamItem::Comment => {}
            StreamItem::Event(event) => {
                if event.name != "message" {
                    continue;
                }
                let Ok(message) = serde_json::from_str::<Value>(&event.data) else {
                    return broken("the data of an event is not one JSON document");
                };
                if let Some(id) = id_of(&message, ids) {
                    return Ok((id, event));
                }
            }
            StreamItem::End => return broken("the stream ended before the message came"),
            StreamItem::Broken(why) => return broken_off(&why),
            StreamItem::Silence => {
                return broken(format!(
                    "no message came on the stream in {} s",
                    DELIVERY.as_secs()
                ));
            }
        }
    }
}

pub(super) async fn opens(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let call = session.stream();
    let opened = trial.open(trial.client(), &call).await?;
    if opened.status != 200 {
        opened.whole().await?.expect(200)?;
        return Ok(());
    }
    ensure(!opened.headers.contains_key("content-length"), || {
        "the stream has a content-length, so that proxies hold it back".to_owned()
    })?;
    drop(opened);
    let session = trial.session().await?;
    let mut stream = trial.stream(&session).await?;
    let until = Instant::now() + BEGIN;
    loop {
        match stream.next(until).await {
            StreamItem::Comment => break,
            StreamItem::Event(_) => {}
            StreamItem::End => return broken("the stream ended at once"),
            StreamItem::Broken(why) => return broken_off(&why),
            StreamItem::Silence => {
                return broken(format!(
                    "no comment came in the first {} s of the stream",
                    BEGIN.as_secs()
                ));
            }
        }
    }
    // The retry may be the line after the comment.
    if stream.retry_ms().is_none() {
        let until = Instant::now() + Duration::from_millis(200);
        while stream.retry_ms().is_none() {
            if stream.next(until).await == StreamItem::Silence {
                break;
            }
        }
    }
    match stream.retry_ms() {
        Some(0) => broken("`retry: 0` makes browsers reconnect in a tight loop"),
        Some(_) => Ok(()),
        None => broken("the stream says no `retry`"),
    }
}

pub(super) async fn message(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let mut stream = trial.stream(&session).await?;
    let ids = trial.publish(3).await?;
    let mut cursors: Vec<String> = Vec::new();
    for expected in &ids {
        let (id, event) = next_ours(&mut stream, &ids).await?;
        ensure(id == *expected, || {
            "messages come out of their order".to_owned()
        })?;
        ensure(!event.id.is_empty() && !cursors.contains(&event.id), || {
            "an event has no id of its own, which would be its cursor".to_owned()
        })?;
        trial.observed().add_secret(&event.id);
        cursors.push(event.id);
    }
    drop(stream);
    // The id of an event is the cursor behind it: events after it come again, events up to it do
    // not.
    let (Some(second), Some(last)) = (cursors.get(1), ids.last()) else {
        return Ok(());
    };
    session.cursor.clone_from(second);
    let came = trial
        .collect(&mut session, std::slice::from_ref(last))
        .await?;
    ensure(came.len() == 1, || "the last message came twice".to_owned())
}

pub(super) async fn unconfirmed(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let mut stream = trial.stream(&session).await?;
    let ids = trial.publish(2).await?;
    for _ in &ids {
        next_ours(&mut stream, &ids).await?;
    }
    // Nothing counts as delivered because it was written.
    drop(stream);
    let came = trial.collect(&mut session, &ids).await?;
    ensure(came.len() == ids.len(), || {
        format!("{} messages came again of {}", came.len(), ids.len())
    })
}

pub(super) async fn confirmed(trial: &RuleTrial<'_>) -> RuleOutcome {
    let before = trial.session().await?;
    let mut session = before.clone();
    let mut stream = trial.stream(&session).await?;
    let ids = trial.publish(2).await?;
    for _ in &ids {
        let (_, event) = next_ours(&mut stream, &ids).await?;
        session.cursor = event.id;
    }
    trial.observed().add_secret(&session.cursor);
    trial
        .ask(&session.ack(&session.cursor))
        .await?
        .expect(204)?;
    drop(stream);
    // The cursor of before does not bring them back: it is refused, or returns later messages.
    let answer = trial.ask(&before.poll(0, 100)).await?;
    let is_back = match answer.status {
        410 => answer.expect_resync().map(|_| false)?,
        _ => !Polled::of(answer)?.ours(&ids).is_empty(),
    };
    ensure(!is_back, || {
        "a message came again after /ack had confirmed it".to_owned()
    })?;
    let polled = trial.poll(&session, 2).await?;
    ensure(polled.ours(&ids).is_empty(), || {
        "a message came again behind the cursor that /ack had confirmed".to_owned()
    })
}

pub(super) async fn superseded(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let mut stream = trial.stream(&session).await?;
    let polled = trial.poll(&session, 1).await?;
    drop(polled);
    let until = Instant::now() + LATE;
    loop {
        match stream.next(until).await {
            StreamItem::End => return Ok(()),
            StreamItem::Broken(why) => return broken_off(&why),
            StreamItem::Silence => {
                return broken(format!(
                    "the stream goes on {} s after a poll took the session",
                    LATE.as_secs()
                ));
            }
            StreamItem::Comment | StreamItem::Event(_) => {}
        }
    }
}

/// Confirms events of other rules' messages, so that the stream goes on.
async fn confirm(
    trial: &RuleTrial<'_>,
    session: &TestedSession,
    event: &StreamEvent,
) -> RuleOutcome {
    if event.name == "message" && !event.id.is_empty() {
        trial.ask(&session.ack(&event.id)).await?.expect(204)?;
    }
    Ok(())
}

pub(super) async fn heartbeat(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let mut stream = trial.stream(&session).await?;
    let mut last = Instant::now();
    let mut comments = 0;
    // The one at once, and two that follow.
    while comments < 3 {
        match stream.next(last + HEARTBEAT + LATE).await {
            StreamItem::Comment => {
                comments += 1;
                last = Instant::now();
            }
            StreamItem::Event(event) => {
                last = Instant::now();
                confirm(trial, &session, &event).await?;
            }
            StreamItem::End => return broken("the stream ended before the second heartbeat"),
            StreamItem::Broken(why) => return broken_off(&why),
            StreamItem::Silence => {
                return broken(format!(
                    "the stream was silent for {} s; expected a comment every {} s",
                    last.elapsed().as_secs(),
                    HEARTBEAT.as_secs()
                ));
            }
        }
    }
    Ok(())
}

pub(super) async fn ends(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let mut stream = trial.stream(&session).await?;
    let until = Instant::now() + *PLANNED_END.end() + LATE;
    let mut is_advised = false;
    loop {
        match stream.next(until).await {
            StreamItem::Comment => {}
            StreamItem::Event(event) => {
                if event.name == "advice" {
                    let advice: Value = serde_json::from_str(&event.data).unwrap_or_default();
                    is_advised |= advice.get("reconnect") == Some(&Value::Bool(true));
                }
                if event.name == "message" {
                    session.cursor.clone_from(&event.id);
                }
                confirm(trial, &session, &event).await?;
            }
            StreamItem::End => break,
            StreamItem::Broken(why) => return broken_off(&why),
            StreamItem::Silence => {
                return broken(format!(
                    "the stream goes on after {} s; expected it to end by itself",
                    stream.age().as_secs()
                ));
            }
        }
    }
    let age = stream.age();
    ensure(age + Duration::from_secs(1) >= *PLANNED_END.start(), || {
        format!(
            "the stream ended after {} s; expected 60 to 100 s",
            age.as_secs()
        )
    })?;
    ensure(is_advised, || {
        "the stream ended without the event `advice` with `reconnect`: true".to_owned()
    })?;
    // The session goes on.
    match trial.poll(&session, 0).await {
        Err(Finding::Broken(why)) => broken(format!("after the stream's end: {why}")),
        other => other.map(drop),
    }
}
