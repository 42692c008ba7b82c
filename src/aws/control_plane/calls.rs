//! Calls of the control plane: paced under each action's rate, repeated when that is worth it, and
//! counted.
//!
//! The quotas are per action, account and Region (AWS General Reference, "AWS IoT Core endpoints and quotas", "API rate limits").
//! Others use the account too, so that throttling is still to be expected: then every call of that action waits.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::sleep;

use super::error::{ControlError, meaning};
use crate::pace::Rate;

/// Delay before a call is made again: the first one, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20));

/// Maximum number of tries of a throttled call: within about a minute and a half.
const THROTTLED_TIMES: u32 = 9;

/// Maximum number of tries of a call without an answer: within about ten seconds.
const UNANSWERED_TIMES: u32 = 5;

/// Actions that this program calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the API's own")]
pub enum ControlAction {
    AttachPolicy,
    CreatePolicy,
    CreatePolicyVersion,
    DeleteConnection,
    DeletePolicy,
    DeletePolicyVersion,
    DetachPolicy,
    GetCallerIdentity,
    GetPolicy,
    GetPolicyVersion,
    ListAttachedPolicies,
    ListPolicies,
    ListPolicyVersions,
    ListTargetsForPolicy,
}

/// All actions with the calls a second that an account may make by default. STS allows
/// GetCallerIdentity far more often than this program calls it. The quota of ListPolicyVersions is
/// not published: it is taken to be its neighbours'.
const QUOTAS: [(ControlAction, f64); 14] = [
    (ControlAction::AttachPolicy, 15.0),
    (ControlAction::CreatePolicy, 10.0),
    (ControlAction::CreatePolicyVersion, 10.0),
    (ControlAction::DeleteConnection, 100.0),
    (ControlAction::DeletePolicy, 10.0),
    (ControlAction::DeletePolicyVersion, 10.0),
    (ControlAction::DetachPolicy, 15.0),
    (ControlAction::GetCallerIdentity, 10.0),
    (ControlAction::GetPolicy, 10.0),
    (ControlAction::GetPolicyVersion, 15.0),
    (ControlAction::ListAttachedPolicies, 15.0),
    (ControlAction::ListPolicies, 10.0),
    (ControlAction::ListPolicyVersions, 10.0),
    (ControlAction::ListTargetsForPolicy, 10.0),
];

impl ControlAction {
    /// The action's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttachPolicy => "AttachPolicy",
            Self::CreatePolicy => "CreatePolicy",
            Self::CreatePolicyVersion => "CreatePolicyVersion",
            Self::DeleteConnection => "DeleteConnection",
            Self::DeletePolicy => "DeletePolicy",
            Self::DeletePolicyVersion => "DeletePolicyVersion",
            Self::DetachPolicy => "DetachPolicy",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetPolicy => "GetPolicy",
            Self::GetPolicyVersion => "GetPolicyVersion",
            Self::ListAttachedPolicies => "ListAttachedPolicies",
            Self::ListPolicies => "ListPolicies",
            Self::ListPolicyVersions => "ListPolicyVersions",
            Self::ListTargetsForPolicy => "ListTargetsForPolicy",
        }
    }

    /// IAM's name of the permission for it.
    pub(super) fn permission(self) -> String {
        let service = match self {
            Self::GetCallerIdentity => "sts",
            _ => "iot",
        };
        format!("{service}:{}", self.name())
    }

    /// Returns `true` if the action can be called again after a call with an unknown outcome. A
    /// version would be made twice; everything else is as it should be after the second time, or
    /// says that it was so already.
    fn repeats(self) -> bool {
        self != Self::CreatePolicyVersion
    }
}

#[derive(Debug)]
struct CallLane {
    action: ControlAction,
    rate: Rate,
    made: AtomicU64,
}

/// Makes calls.
#[derive(Debug)]
pub(in crate::aws) struct Calls {
    lanes: Vec<CallLane>,
}

impl Calls {
    /// At a multiple of the default quotas: 0.1 or more.
    pub(in crate::aws) fn new(times: f64) -> Self {
        let lane = |(action, per_second): (ControlAction, f64)| CallLane {
            action,
            rate: Rate::new((per_second * times).max(1.0)),
            made: AtomicU64::new(0),
        };
        Self {
            lanes: QUOTAS.into_iter().map(lane).collect(),
        }
    }

    /// Numbers of calls made, by action, without the actions that were not called.
    pub(in crate::aws) fn made(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.lanes
            .iter()
            .map(|lane| (lane.action.name(), lane.made.load(Ordering::Relaxed)))
            .filter(|(_, made)| *made > 0)
    }

    /// Makes one call, and again for as long as that is worth it.
    pub(in crate::aws) async fn call<T, E, F>(
        &self,
        action: ControlAction,
        doing: &str,
        send: impl Fn() -> F,
    ) -> Result<T, ControlError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let lane = self.lanes.iter().find(|lane| lane.action == action);
        let mut wait = AGAIN.0;
        let (mut throttled, mut unanswered) = (0, 0);
        loop {
            if let Some(lane) = lane {
                lane.rate.turn().await;
                lane.made.fetch_add(1, Ordering::Relaxed);
            }
            let error = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => meaning(action, doing, &error),
            };
            let pause = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
            match error {
                ControlError::Throttled(told) => {
                    throttled += 1;
                    if throttled >= THROTTLED_TIMES {
                        return Err(ControlError::Throttled(told));
                    }
                    if let Some(lane) = lane {
                        lane.rate.pause(pause);
                    }
                }
                ControlError::Unavailable(told) if action.repeats() => {
                    unanswered += 1;
                    if unanswered >= UNANSWERED_TIMES {
                        return Err(ControlError::Unavailable(told));
                    }
                    sleep(pause).await;
                }
                ControlError::Unavailable(told) => {
                    sleep(pause).await;
                    return Err(ControlError::Outdated(told));
                }
                other => return Err(other),
            }
            wait = (wait * 2).min(AGAIN.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;

    use aws_sdk_iot::error::ErrorMetadata;
    use aws_sdk_iot::operation::get_policy::GetPolicyError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    type Answer = Result<(), SdkError<GetPolicyError, HttpResponse>>;

    fn refusal(status: u16, code: &str) -> SdkError<GetPolicyError, HttpResponse> {
        let metadata = ErrorMetadata::builder().code(code).build();
        let status = StatusCode::try_from(status).unwrap();
        SdkError::service_error(
            GetPolicyError::generic(metadata),
            HttpResponse::new(status, SdkBody::empty()),
        )
    }

    /// Calls until it succeeds or is given up; returns the number of calls that the service
    /// received, and the time taken.
    async fn asked(
        action: ControlAction,
        status: u16,
        code: &str,
        times: usize,
    ) -> (Result<(), ControlError>, usize, Duration) {
        let calls = Calls::new(1.0);
        let made = Cell::new(0);
        let began = Instant::now();
        let send = async || {
            made.set(made.get() + 1);
            if made.get() <= times {
                Err(refusal(status, code))
            } else {
                Ok(())
            }
        };
        let outcome = calls.call(action, "trying", send).await;
        let counted: u64 = calls.made().map(|(_, made)| made).sum();
        assert_eq!(counted, made.get() as u64);
        (outcome, made.get(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_calls_are_made_again_for_a_while() {
        let (outcome, made, _) =
            asked(ControlAction::CreatePolicy, 429, "ThrottlingException", 3).await;
        assert_eq!((outcome, made), (Ok(()), 4));
        let (outcome, made, took) =
            asked(ControlAction::CreatePolicy, 429, "ThrottlingException", 100).await;
        assert!(matches!(outcome, Err(ControlError::Throttled(_))));
        assert_eq!(made, 9);
        assert!((30..120).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_without_an_answer_are_made_again_unless_that_would_do_harm() {
        let (outcome, made, _) = asked(
            ControlAction::AttachPolicy,
            500,
            "InternalFailureException",
            2,
        )
        .await;
        assert_eq!((outcome, made), (Ok(()), 3));
        let (outcome, made, took) = asked(ControlAction::AttachPolicy, 503, "", 100).await;
        assert!(matches!(outcome, Err(ControlError::Unavailable(_))));
        assert_eq!(made, 5);
        assert!((3..20).contains(&took.as_secs()), "{took:?}");
        let (outcome, made, _) = asked(ControlAction::CreatePolicyVersion, 500, "", 1).await;
        assert!(matches!(outcome, Err(ControlError::Outdated(_))));
        assert_eq!(made, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_succeed_is_not_tried_again() {
        for (status, code) in [
            (404, "ResourceNotFoundException"),
            (403, "ExpiredTokenException"),
            (400, "MalformedPolicyException"),
        ] {
            let (outcome, made, _) = asked(ControlAction::CreatePolicy, status, code, 1).await;
            assert!(outcome.is_err());
            assert_eq!(made, 1, "{code}");
        }
    }

    /// Makes so many calls at once; the most that any second held.
    async fn most(calls: &Calls, action: ControlAction, count: usize) -> usize {
        let window = RefCell::new(VecDeque::new());
        let most = Cell::new(0);
        let send = async || -> Answer {
            let mut window = window.borrow_mut();
            window.push_back(Instant::now());
            while window
                .front()
                .is_some_and(|at: &Instant| at.elapsed() >= Duration::from_secs(1))
            {
                window.pop_front();
            }
            most.set(most.get().max(window.len()));
            Ok(())
        };
        let all = (0..count).map(|_| calls.call(action, "trying", send));
        assert!(join_all(all).await.iter().all(Result::is_ok));
        most.get()
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_calls_than_the_quota() {
        for (action, quota) in QUOTAS {
            let calls = Calls::new(1.0);
            let most = most(&calls, action, 150).await;
            assert!(
                most as f64 <= quota && most as f64 >= quota * 0.8,
                "{action:?} {most}"
            );
        }
        let began = Instant::now();
        let calls = Calls::new(3.0);
        let (create, attach) = tokio::join!(
            most(&calls, ControlAction::CreatePolicy, 200),
            most(&calls, ControlAction::AttachPolicy, 200)
        );
        assert!(create <= 30 && attach <= 45, "{create} {attach}");
        // Each action has a quota of its own.
        assert!(
            (6..8).contains(&began.elapsed().as_secs()),
            "{:?}",
            began.elapsed()
        );
        assert!(most(&Calls::new(0.1), ControlAction::GetPolicy, 5).await <= 1);
    }
}
