//! Rules behind hostile proxies, which run on this machine in front of the deployment.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::stream::next_ours;
use crate::conformance::event_stream::StreamItem;
use crate::conformance::finding::{RuleOutcome, broken, ensure};
use crate::conformance::relay::Hostility;
use crate::conformance::session::Polled;
use crate::conformance::trial::{DELIVERY, RuleTrial, quota_wait};

/// Time that a mute stream is listened to.
const MUTE: Duration = Duration::from_secs(2);

pub(super) async fn buffering(trial: &RuleTrial<'_>) -> RuleOutcome {
    let (_relay, through) = trial.relay(Hostility::Buffer).await?;
    let mut session = trial.session().await?;
    let ids = trial.publish(2).await?;
    let until = Instant::now() + DELIVERY;
    let mut came = Vec::new();
    while came.len() < ids.len() {
        let polled = trial.poll_at(&through, &session, 2, 100).await?;
        came.extend(polled.ours(&ids));
        session.cursor = polled.cursor;
        ensure(Instant::now() < until, || {
            format!(
                "{} of {} messages came in polls through the proxy",
                came.len(),
                ids.len()
            )
        })?;
    }
    // Not even the head of a stream gets through; its client gives up and polls.
    let call = session.stream();
    let ids = trial.publish(2).await?;
    if let Ok(opened) = tokio::time::timeout(MUTE, through.open(&call)).await {
        let answer = opened?.whole().await?;
        return broken(format!("{answer}; expected a stream that goes on"));
    }
    let polled = trial.poll_at(&through, &session, 2, 100).await?;
    let found = polled.ours(&ids).len();
    if found < ids.len() {
        trial.collect(&mut session, &ids).await?;
    }
    Ok(())
}

pub(super) async fn cut_answer(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let ids = trial.publish(5).await?;
    trial.first_of(&mut session, &ids).await?;
    for bytes in [0, 1, 40] {
        let (_relay, through) = trial.relay(Hostility::CutBody(bytes)).await?;
        let answer = through.try_ask(&session.poll(2, 100)).await;
        if let Ok(answer) = answer {
            return broken(format!(
                "an answer that was cut after {bytes} bytes looks complete: {}",
                answer.what
            ));
        }
    }
    let came = trial.collect(&mut session, &ids).await?;
    ensure(came == ids, || {
        format!(
            "{} messages came of {} after cut answers",
            came.len(),
            ids.len()
        )
    })
}

pub(super) async fn cut_wait(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let (_relay, through) = trial
        .relay(Hostility::CutIdle(Duration::from_millis(700)))
        .await?;
    if let Ok(answer) = through.try_ask(&session.poll(25, 100)).await {
        return broken(format!("{answer}; expected it to wait"));
    }
    let ids = trial.publish(3).await?;
    // Another one that is cut while messages are on their way.
    let _ = through.try_ask(&session.poll(25, 100)).await;
    trial.collect(&mut session, &ids).await?;
    Ok(())
}

pub(super) async fn slices(trial: &RuleTrial<'_>) -> RuleOutcome {
    let slices = Hostility::Slice {
        bytes: 7,
        pause: Duration::from_millis(1),
    };
    let (_relay, through) = trial.relay(slices).await?;
    let mut session = trial.session().await?;
    let ids = trial.publish(1).await?;
    trial.first_of(&mut session, &ids).await?;
    let polled = trial.poll_at(&through, &session, 2, 100).await?;
    ensure(polled.ours(&ids).len() == 1, || {
        format!("{}; expected the message", polled.answer)
    })?;
    session.cursor = polled.cursor;
    let mut stream = trial.stream_of(&through, &session.stream()).await?;
    let ids = trial.publish(2).await?;
    for _ in &ids {
        next_ours(&mut stream, &ids).await?;
    }
    let item = stream.next(Instant::now()).await;
    ensure(!matches!(item, StreamItem::Broken(_)), || {
        "the stream broke off".to_owned()
    })
}

/// Number of messages that come through random cuts.
const SOAKED: usize = 40;

pub(super) async fn random_cuts(trial: &RuleTrial<'_>) -> RuleOutcome {
    let mut session = trial.session().await?;
    let mut ids: Vec<String> = Vec::new();
    let mut first_seen: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    let until = Instant::now() + 2 * DELIVERY;
    while known.len() < SOAKED {
        if ids.len() < SOAKED {
            ids.extend(trial.publish(4).await?);
        }
        // Two of three polls are cut somewhere: in the head's wait, in the body, behind it.
        let cut = fastrand::usize(..1_500);
        let (_relay, through) = trial.relay(Hostility::CutBody(cut)).await?;
        let call = session.poll(1, 100);
        let answer = match fastrand::u8(..3) {
            0 => Ok(trial.ask(&call).await?),
            _ => through.try_ask(&call).await,
        };
        // A cut answer is no answer: the same cursor again.
        if let Ok(answer) = answer {
            if let Some(wait) = quota_wait(&answer) {
                sleep(wait).await;
                continue;
            }
            let polled = Polled::of(answer)?;
            for id in polled.ours(&ids) {
                if known.insert(id.clone()) {
                    first_seen.push(id);
                }
            }
            session.cursor = polled.cursor;
        }
        ensure(Instant::now() < until, || {
            format!("{} of {SOAKED} messages came", known.len())
        })?;
        sleep(Duration::from_millis(5)).await;
    }
    ensure(first_seen == ids, || {
        "messages came out of their order through cuts".to_owned()
    })
}
