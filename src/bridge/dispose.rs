//! What becomes of a delivery, as a pure table.

use std::sync::Arc;
use std::time::Duration;

use crate::port::PublishError;
use crate::route::table::Refusal;

/// How working on a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every publication was acknowledged, or there was none to make.
    Done,
    /// It can never be published in full.
    Refused(Refusal),
    /// It may succeed later.
    Postponed {
        /// One line for the log.
        why: String,
    },
    /// Nothing of it was begun.
    NotStarted,
}

impl Outcome {
    /// The graver of two. What may still succeed is graver than what never can: all the rest has to be published before a
    /// delivery may leave the queue.
    pub(super) fn or(self, other: Self) -> Self {
        let weight = |outcome: &Self| match outcome {
            Self::Done => 0,
            Self::Refused(_) => 1,
            Self::Postponed { .. } => 2,
            Self::NotStarted => 3,
        };
        if weight(&other) > weight(&self) {
            other
        } else {
            self
        }
    }

    /// What one publication's fate means for its delivery.
    pub(super) fn of(fate: Result<(), PublishError>, route: &Arc<str>) -> Self {
        match fate {
            Ok(()) => Self::Done,
            Err(PublishError::Transient { what }) => Self::Postponed { why: what },
            Err(PublishError::Permanent { reason, what }) => Self::Refused(Refusal {
                reason,
                detail: what,
                route: Some(Arc::clone(route)),
            }),
        }
    }
}

/// What is done with a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It leaves the queue.
    Delete,
    /// It becomes visible again after a while.
    Release { after: Duration },
    /// It goes to the dead-letter queue, then leaves the queue.
    Bury(Refusal),
}

/// The longest wait before a delivery that failed is visible again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// What to do with a delivery. `attempt` counts from 1; `chance` is a random number from 0 to 1.
pub(super) fn dispose(outcome: Outcome, attempt: u32, chance: f64) -> Disposition {
    match outcome {
        Outcome::Done => Disposition::Delete,
        Outcome::Refused(refusal) => Disposition::Bury(refusal),
        Outcome::Postponed { .. } => Disposition::Release {
            after: back_off(attempt, chance),
        },
        Outcome::NotStarted => Disposition::Release {
            after: Duration::ZERO,
        },
    }
}

/// 2 s, doubled with each attempt, up to five minutes; a random part of up to half is taken off, so that what failed
/// together does not come back together.
pub(super) fn back_off(attempt: u32, chance: f64) -> Duration {
    let doubled = Duration::from_secs(1 << attempt.clamp(1, 9));
    doubled
        .min(LONGEST_BACK_OFF)
        .mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Outcome {
        Outcome::Refused(Refusal {
            reason: "too_large",
            detail: "x".into(),
            route: None,
        })
    }

    fn postponed() -> Outcome {
        Outcome::Postponed { why: "x".into() }
    }

    #[test]
    fn the_table() {
        let after = |outcome, attempt| match dispose(outcome, attempt, 0.0) {
            Disposition::Release { after } => after.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(dispose(Outcome::Done, 1, 0.5), Disposition::Delete);
        assert!(matches!(dispose(refused(), 1, 0.5), Disposition::Bury(_)));
        assert_eq!(after(Outcome::NotStarted, 7), 0);
        let waits: Vec<u64> = [1, 2, 3, 8, 9, 4_000_000]
            .map(|n| after(postponed(), n))
            .into();
        assert_eq!(waits, [2, 4, 8, 256, 300, 300]);
        assert_eq!(back_off(1, 1.0), Duration::from_secs(1));
    }

    #[test]
    fn what_may_succeed_keeps_a_delivery_in_the_queue() {
        assert_eq!(refused().or(postponed()), postponed());
        assert_eq!(postponed().or(refused()), postponed());
        assert_eq!(Outcome::Done.or(refused()), refused());
        assert_eq!(Outcome::Done.or(Outcome::Done), Outcome::Done);
    }
}
