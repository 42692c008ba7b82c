//! How calls of the control plane are made: under each action's rate, again when that is worth it, and counted.
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

/// How long before a call is made again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20));

/// How often a throttled call is made: within about a minute and a half.
const THROTTLED_TIMES: u32 = 9;

/// How often a call without an answer is made: within about ten seconds.
const UNANSWERED_TIMES: u32 = 5;

/// What is called: the actions that this program uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the API's own")]
pub enum Action {
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

/// All actions with the calls a second that an account may make by default. STS tells who one is far more often than that is
/// asked, and the quota of ListPolicyVersions is not published: it is taken to be its neighbours'.
const QUOTAS: [(Action, f64); 14] = [
    (Action::AttachPolicy, 15.0),
    (Action::CreatePolicy, 10.0),
    (Action::CreatePolicyVersion, 10.0),
    (Action::DeleteConnection, 100.0),
    (Action::DeletePolicy, 10.0),
    (Action::DeletePolicyVersion, 10.0),
    (Action::DetachPolicy, 15.0),
    (Action::GetCallerIdentity, 10.0),
    (Action::GetPolicy, 10.0),
    (Action::GetPolicyVersion, 15.0),
    (Action::ListAttachedPolicies, 15.0),
    (Action::ListPolicies, 10.0),
    (Action::ListPolicyVersions, 10.0),
    (Action::ListTargetsForPolicy, 10.0),
];

impl Action {
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

    /// What IAM calls the permission for it.
    pub(super) fn permission(self) -> String {
        let service = match self {
            Self::GetCallerIdentity => "sts",
            _ => "iot",
        };
        format!("{service}:{}", self.name())
    }

    /// Whether a call of which nobody knows whether it was carried out can be made again. A version would be made twice; everything
    /// else is as it should be after the second time, or says that it was so already.
    fn repeats(self) -> bool {
        self != Self::CreatePolicyVersion
    }
}

#[derive(Debug)]
struct Lane {
    action: Action,
    rate: Rate,
    made: AtomicU64,
}

/// Makes calls.
#[derive(Debug)]
pub(in crate::aws) struct Calls {
    lanes: Vec<Lane>,
}

impl Calls {
    /// At a multiple of the default quotas: 0.1 or more.
    pub(in crate::aws) fn new(times: f64) -> Self {
        let lane = |(action, per_second): (Action, f64)| Lane {
            action,
            rate: Rate::new((per_second * times).max(1.0)),
            made: AtomicU64::new(0),
        };
        Self {
            lanes: QUOTAS.into_iter().map(lane).collect(),
        }
    }

    /// How many calls were made, by action; those that were not made at all are left out.
    pub(in crate::aws) fn made(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.lanes
            .iter()
            .map(|lane| (lane.action.name(), lane.made.load(Ordering::Relaxed)))
            .filter(|(_, made)| *made > 0)
    }

    /// Makes one call, and again for as long as that is worth it.
    pub(in crate::aws) async fn call<T, E, F>(
        &self,
        action: Action,
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
