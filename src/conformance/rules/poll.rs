//! Rules on polls: waiting, waking, confirming, repeating, superseding.

use std::time::Duration;

use futures_util::future::{join, try_join};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::conformance::finding::{Finding, RuleOutcome, broken, ensure};
use crate::conformance::session::{Polled, id_of};
use crate::conformance::trial::{DELIVERY, RuleTrial};

/// Longest delay of an answer beyond the time that it waits for: a first poll may open a connection
/// to the broker.
const LATE: Duration = Duration::from_secs(6);

/// Time that a request may take to begin to wait, before something is done to it.
const BEGUN: Duration = Duration::from_millis(500);

pub(super) async fn empty(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    for _ in 0..2 {
        let polled = trial.poll(&session, 1).await?;
        let Polled {
            answer, messages, ..
        } = &polled;
        // Somebody else's message is no fault of the gateway.
        if messages.is_empty() {
            let took = answer.took;
            ensure(took >= Duration::from_millis(900), || {
                format!(
                    "{answer} after {} ms; expected it to wait for timeout_s, 1 s",
                    took.as_millis()
                )
            })?;
            ensure(took <= Duration::from_secs(1) + LATE, || {
                format!("{answer} after {} ms; expected 1 s", took.as_millis())
            })?;
            ensure(!polled.more, || format!("{answer}; expected `more`: false"))?;
        }
        session.cursor = polled.cursor;
    }
    Ok(())
}

pub(super) async fn at_once(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let polled = trial.poll(&session, 0).await?;
    let took = polled.answer.took;
    ensure(took <= LATE, || {
        format!(
            "{} after {} ms; expected it at once",
            polled.answer,
            took.as_millis()
        )
    })
}

pub(super) async fn wakes(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let id = trial.new_id();
    let publishing = async {
        sleep(BEGUN).await;
        trial.publish_as(&id).await
    };
    let (polled, ()) = try_join(trial.poll(&session, 25), publishing).await?;
    let ids = [id];
    ensure(polled.ours(&ids).len() == 1, || {
        format!(
            "{}; expected the message that was published meanwhile",
            polled.answer
        )
    })?;
    let took = polled.answer.took;
    ensure(took < DELIVERY, || {
        format!(
            "the poll took {} ms; expected the message to end it",
            took.as_millis()
        )
    })
}

pub(super) async fn message(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let ids = trial.publish(1).await?;
    let polled = trial.first_of(&mut session, &ids).await?;
    let found = polled
        .messages
        .iter()
        .find(|one| id_of(one, &ids).is_some());
    let Some(Value::Object(message)) = found else {
        return broken(format!("{}, whose message is no object", polled.answer));
    };
    let shown = || Value::Object(message.clone()).to_string();
    let is = |name: &str, holds: &dyn Fn(&Value) -> bool| message.get(name).is_some_and(holds);
    let text_or_null = |value: &Value| value.is_string() || value.is_null();
    for name in ["id", "channel", "type", "time"] {
        ensure(is(name, &text_or_null), || {
            format!(
                "a message {}; expected `{name}` to be a text or null",
                shown()
            )
        })?;
    }
    ensure(is("topic", &Value::is_string), || {
        format!("a message {}; expected a text `topic`", shown())
    })?;
    ensure(is("retained", &Value::is_boolean), || {
        format!(
            "a message {}; expected `retained` to be true or false",
            shown()
        )
    })?;
    ensure(
        message.contains_key("payload") != message.contains_key("base64"),
        || format!("a message {}; expected `payload` or `base64`", shown()),
    )?;
    let channel = &trial.channel()?.name;
    ensure(
        is("channel", &|value| value.as_str() == Some(channel.as_str())),
        || {
            format!(
                "a message {}; expected `channel` to be `{channel}`",
                shown()
            )
        },
    )
}

pub(super) async fn lost_response(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let ids = trial.publish(3).await?;
    let first = trial.first_of(&mut session, &ids).await?.ours(&ids);
    // The answer is lost, twice.
    for _ in 0..2 {
        let again = trial.poll(&session, 2).await?.ours(&ids);
        ensure(again.starts_with(&first), || {
            format!(
                "the same cursor returned {} of our messages after {}; expected the same again",
                again.len(),
                first.len()
            )
        })?;
    }
    // Messages that come meanwhile are returned too, sooner or later.
    let more = trial.publish(1).await?;
    let all: Vec<String> = ids.into_iter().chain(more).collect();
    trial.collect(&mut session, &all).await?;
    Ok(())
}

pub(super) async fn acknowledged(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let ids = trial.publish(3).await?;
    let came = trial.collect(&mut session, &ids).await?;
    ensure(came == ids, || {
        format!(
            "{} messages came for {}; expected each once, in its order",
            came.len(),
            ids.len()
        )
    })?;
    for _ in 0..2 {
        let polled = trial.poll(&session, 1).await?;
        ensure(polled.ours(&ids).is_empty(), || {
            "a message came again after the next cursor had confirmed it".to_owned()
        })?;
        session.cursor = polled.cursor;
    }
    Ok(())
}

pub(super) async fn left(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let call = session.poll(25, 100);
    // The connection is closed while the poll waits.
    if let Ok(answer) = timeout(BEGUN, trial.client().ask(&call)).await {
        return broken(format!("{}; expected it to wait", answer?));
    }
    let ids = trial.publish(2).await?;
    let came = trial.collect(&mut session, &ids).await?;
    ensure(came.len() == ids.len(), || {
        format!("{} messages came for {}", came.len(), ids.len())
    })
}

pub(super) async fn superseded(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let begin = Instant::now();
    let older = session.poll(25, 100);
    let older = async {
        let answer = trial.ask(&older).await;
        (answer, begin.elapsed())
    };
    let newer = async {
        sleep(BEGUN).await;
        let id = trial.new_id();
        let waiting = trial.poll(&session, 25);
        let publishing = async {
            // The older one is over by then.
            sleep(3 * BEGUN).await;
            trial.publish_as(&id).await
        };
        let (polled, ()) = try_join(waiting, publishing).await?;
        Ok::<_, Finding>((polled, id))
    };
    let ((answer, took), newer) = join(older, newer).await;
    let answer = answer?;
    answer.expect(409)?.expect_error("superseded")?;
    ensure(took <= BEGUN + LATE, || {
        format!(
            "{answer} after {} ms; expected it at once when the second poll came",
            took.as_millis()
        )
    })?;
    let (polled, id) = newer?;
    let ids = [id];
    if polled.ours(&ids).is_empty() {
        session.cursor = polled.cursor;
        trial.collect(&mut session, &ids).await?;
    }
    Ok(())
}

/// The most messages that one client of IoT Core may have unacknowledged (AWS IoT Core endpoints
/// and quotas, "Maximum inbound unacknowledged QoS 1 publish requests" and its outbound
/// counterpart).
const WINDOW: usize = 100;

pub(super) async fn batch(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let ids = trial.publish(WINDOW).await?;
    let until = Instant::now() + DELIVERY;
    let mut came = Vec::new();
    while came.len() < ids.len() {
        let polled = trial.poll_at(trial.client(), &session, 2, 40).await?;
        ensure(polled.messages.len() <= 40, || {
            format!(
                "a poll returned {} messages; `max` was 40",
                polled.messages.len()
            )
        })?;
        came.extend(polled.ours(&ids));
        session.cursor = polled.cursor;
        ensure(Instant::now() < until, || {
            format!(
                "{} of {} messages came in {} s",
                came.len(),
                ids.len(),
                DELIVERY.as_secs()
            )
        })?;
    }
    ensure(came == ids, || {
        "100 messages did not come once each in the order in which they were published".to_owned()
    })
}

pub(super) async fn in_flight(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    // More than one poll may return, and none is confirmed before all are published.
    let ids = trial.publish(WINDOW + WINDOW / 2).await?;
    let answer = trial.ask(&session.poll(2, 100)).await?;
    // A backlog that is too long may be refused, if that is said.
    if answer.status == 410 {
        answer.expect_resync()?;
        return Ok(());
    }
    let polled = Polled::of(answer)?;
    ensure(polled.messages.len() <= 100, || {
        format!(
            "a poll returned {} messages; `max` was 100",
            polled.messages.len()
        )
    })?;
    let first = polled.ours(&ids);
    session.cursor = polled.cursor;
    let missing: Vec<String> = ids
        .iter()
        .filter(|id| !first.contains(*id))
        .cloned()
        .collect();
    trial.collect(&mut session, &missing).await?;
    Ok(())
}

pub(super) async fn bounds(trial: &RuleTrial<'_>) -> RuleOutcome {
    let session = trial.session().await?;
    let changed = |name: &str, value: Value| {
        let mut more = vec![("cursor", Value::from(session.cursor.clone()))];
        more.push((if name == "max" { "max" } else { "timeout_s" }, value));
        session.call(
            "POST",
            &format!("/poll?n={}", crate::conformance::client::counter()),
            &more,
        )
    };
    for name in ["timeout_s", "max"] {
        let answer = trial.ask(&changed(name, Value::from("all"))).await?;
        answer.expect(400)?;
        let answer = trial.ask(&changed(name, Value::from(-1))).await?;
        answer.expect_one_of(&[400, 200])?;
    }
    // A wait beyond the bound is refused, or it begins and is bounded.
    let call = changed("timeout_s", Value::from(100_000));
    if let Ok(answer) = timeout(Duration::from_secs(2), trial.ask(&call)).await {
        answer?.expect_one_of(&[400, 200])?;
    }
    Ok(())
}
