//! Rules on a deployment's tasks: take-over, quota, drain.

use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::conformance::client::{GatewayClient, HttpCall};
use crate::conformance::event_stream::StreamItem;
use crate::conformance::finding::{Finding, RuleOutcome, broken, ensure, not_tried};
use crate::conformance::publish::run;
use crate::conformance::session::{Polled, TestedSession};
use crate::conformance::trial::RuleTrial;

/// Time that another task may need: IoT Core takes one CONNECT in 10 s for a client id in effect.
const TAKE_OVER: Duration = Duration::from_secs(30);

/// Time that a drain may take to reach waiting requests.
const DRAIN: Duration = Duration::from_secs(10);

const BEGUN: Duration = Duration::from_millis(500);

pub(super) async fn take_over(trial: &RuleTrial<'_>) -> RuleOutcome {
    let second = trial.second()?;
    let mut session = trial.session().await?;
    // The first task has returned a message, and its answer was lost on the way.
    let unread = trial.publish(1).await?;
    trial.first_of(&mut session, &unread).await?;
    if come(trial, second, &mut session, &unread).await? == Taken::Lost {
        return Ok(());
    }
    // The second task holds a poll, and the first one gets the next.
    let waits = session.poll(25, 100);
    let older = trial.ask_of(second, &waits);
    let newer = async {
        sleep(BEGUN).await;
        let mut taken = session.clone();
        trial
            .ask(&taken.poll(0, 100))
            .await?
            .expect_one_of(&[200, 410, 503])?;
        let ids = trial.publish(2).await?;
        come(trial, trial.client(), &mut taken, &ids).await
    };
    let (older, newer) = join(older, newer).await;
    newer?;
    older?.expect_one_of(&[200, 409, 410])?;
    Ok(())
}

/// Outcome of a take-over by another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Everything came.
    Whole,
    /// The session is said to be lost, which is a right answer.
    Lost,
}

/// Polls a task until messages have come, or the session is said to be lost.
async fn come(
    trial: &RuleTrial<'_>,
    client: &GatewayClient,
    session: &mut TestedSession,
    ids: &[String],
) -> RuleOutcome<Taken> {
    let until = Instant::now() + TAKE_OVER;
    let mut came: Vec<String> = Vec::new();
    while ids.iter().any(|id| !came.contains(id)) {
        let answer = trial.ask_of(client, &session.poll(2, 100)).await?;
        match answer.status {
            410 => {
                answer.expect_resync()?;
                return Ok(Taken::Lost);
            }
            // The other task needs time to take over.
            503 => sleep(Duration::from_millis(500)).await,
            _ => {
                let polled = Polled::of(answer)?;
                came.extend(polled.ours(ids));
                session.cursor = polled.cursor;
            }
        }
        ensure(Instant::now() < until, || {
            format!(
                "{} of {} messages came after a take-over",
                came.len(),
                ids.len()
            )
        })?;
    }
    Ok(Taken::Whole)
}

pub(super) async fn quota(trial: &RuleTrial<'_>) -> RuleOutcome {
    let Some(most) = trial.suite().quota else {
        return not_tried(
            "the quota of sessions is not known",
            "give the most sessions that may be opened in search of it with --quota",
        );
    };
    let names = [trial.channel()?.name.as_str()];
    let call = HttpCall::new("POST", "/session")
        .token(&trial.suite().token)
        .json(&json!({ "channels": names }));
    for opened in 0..=most {
        let answer = trial.ask_once(&call).await?;
        if answer.status == 201 {
            trial.session_of(&answer)?;
            continue;
        }
        answer.expect(429)?.expect_error("quota")?;
        let wait = answer.header("retry-after").unwrap_or_default();
        ensure(wait.parse::<u64>().is_ok(), || {
            format!("{answer} with `retry-after: {wait}`; expected seconds")
        })?;
        ensure(opened > 0, || format!("{answer} at the first session"))?;
        return Ok(());
    }
    broken(format!(
        "{} sessions were opened and none was refused",
        most + 1
    ))
}

pub(super) async fn drain(trial: &RuleTrial<'_>) -> RuleOutcome {
    let Some(command) = &trial.suite().drain else {
        return not_tried(
            "there is no way to make the gateway drain",
            "give a command with --drain",
        );
    };
    let polling = trial.session().await?;
    let streaming = trial.session().await?;
    let mut stream = trial.stream(&streaming).await?;
    let call = polling.poll(50, 100);
    let waiting = async {
        let answer = trial.client().try_ask(&call).await;
        (answer, Instant::now())
    };
    let draining = async {
        sleep(BEGUN).await;
        let began = Instant::now();
        let done = run(command)
            .await
            .map_err(|why| Finding::Impossible(format!("the command of --drain {why}")));
        done.map(|()| began)
    };
    let both = timeout(Duration::from_secs(70), join(waiting, draining)).await;
    let Ok(((answer, answered), began)) = both else {
        return broken("a poll was not answered by the drain");
    };
    let began = began?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return broken(format!("the drain cut a waiting poll: {why}")),
    };
    answer.expect_one_of(&[503, 200])?;
    if answer.status == 503 {
        let wait = answer.header("retry-after");
        ensure(wait.as_deref() == Some("0"), || {
            format!(
                "{answer} with `retry-after: {}`; expected 0",
                wait.unwrap_or_default()
            )
        })?;
        answer.expect_error("draining")?;
    }
    let late = answered.saturating_duration_since(began);
    ensure(late <= DRAIN, || {
        format!(
            "{answer} {} s after the drain began; expected it at once",
            late.as_secs()
        )
    })?;
    stream_ends(&mut stream).await?;
    goes_on(trial, polling).await
}

async fn stream_ends(stream: &mut crate::conformance::event_stream::EventStream) -> RuleOutcome {
    // A drain may ride the planned ends of streams.
    let until = Instant::now() + Duration::from_secs(105);
    let mut is_advised = false;
    loop {
        match stream.next(until).await {
            StreamItem::Comment => {}
            StreamItem::Event(event) => {
                let advice: Value = serde_json::from_str(&event.data).unwrap_or_default();
                let asks = advice.get("reconnect") == Some(&Value::Bool(true));
                is_advised |= event.name == "advice" && asks;
            }
            StreamItem::End => break,
            StreamItem::Broken(why) => return broken(format!("the drain cut a stream: {why}")),
            StreamItem::Silence => return broken("a stream did not end by the drain"),
        }
    }
    ensure(is_advised, || {
        "a stream ended without the event `advice` with `reconnect`: true".to_owned()
    })
}

/// A session goes on at another task that answers by the same address, or is said to be lost.
async fn goes_on(trial: &RuleTrial<'_>, session: TestedSession) -> RuleOutcome {
    let answer = trial.client().try_ask(&session.poll(0, 100)).await;
    match answer {
        Ok(answer) if answer.status == 410 => answer.expect_resync().map(drop),
        Ok(answer) => answer.expect_one_of(&[200, 503]).map(drop),
        // The only task is gone.
        Err(_) => Ok(()),
    }
}
