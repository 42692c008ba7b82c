//! Disposition of a delivery, as a pure table.

use std::sync::Arc;
use std::time::Duration;

use crate::route::table::RouteRefusal;

/// Outcome of the work on a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeliveryOutcome {
    /// Every publication was acknowledged, or there was none to make.
    Done,
    /// It can never be published in full.
    Refused(RouteRefusal),
    /// It may succeed later.
    Postponed {
        /// One line for the log.
        why: String,
    },
    /// Its topic, or its message group, has more waiting than its share.
    OverShare,
    /// Others are to take it over at once.
    HandedBack,
    /// Its visibility timeout has ended: there is nothing to settle.
    Lost,
}

impl DeliveryOutcome {
    /// The graver of two. An outcome that may still succeed is graver than one that never can: all
    /// the rest has to be published before a delivery may leave the queue.
    pub(super) fn or(self, other: Self) -> Self {
        let weight = |outcome: &Self| match outcome {
            Self::Done => 0,
            Self::Refused(_) => 1,
            Self::Postponed { .. } | Self::OverShare => 2,
            Self::HandedBack => 3,
            Self::Lost => 4,
        };
        if weight(&other) > weight(&self) {
            other
        } else {
            self
        }
    }

    /// One publication was refused for good.
    pub(super) fn refused(reason: &'static str, detail: String, route: Option<Arc<str>>) -> Self {
        Self::Refused(RouteRefusal {
            reason,
            detail,
            route,
        })
    }

    pub(super) fn postponed(why: &str) -> Self {
        Self::Postponed { why: why.into() }
    }
}

/// Action that settles a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// It leaves the queue.
    Delete,
    /// It becomes visible again after a while.
    Release { after: Duration },
    /// It goes to the dead-letter queue, then leaves the queue.
    Bury(RouteRefusal),
}

/// The longest wait before a delivery that failed is visible again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// The longest wait before a delivery that found its topic's share taken is visible again.
const LONGEST_WAIT_FOR_ROOM: Duration = Duration::from_secs(30);

/// The longest wait before a publication is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Returns the action that settles a delivery, if there is anything to settle. `attempt` counts
/// from 1; `chance` is a random number from 0 to 1.
pub(super) fn dispose(outcome: DeliveryOutcome, attempt: u32, chance: f64) -> Option<Disposition> {
    Some(match outcome {
        DeliveryOutcome::Done => Disposition::Delete,
        DeliveryOutcome::Refused(refusal) => Disposition::Bury(refusal),
        DeliveryOutcome::Postponed { .. } => Disposition::Release {
            after: back_off(attempt, chance),
        },
        DeliveryOutcome::OverShare => Disposition::Release {
            after: room_after(attempt, chance),
        },
        DeliveryOutcome::HandedBack => Disposition::Release {
            after: Duration::ZERO,
        },
        DeliveryOutcome::Lost => return None,
    })
}

/// Time for which a delivery that failed stays invisible: 2 s, doubled with each attempt, up to
/// five minutes.
pub(super) fn back_off(attempt: u32, chance: f64) -> Duration {
    jittered(
        Duration::from_secs(1 << attempt.clamp(1, 9)).min(LONGEST_BACK_OFF),
        chance,
    )
}

/// Time for which a delivery stays invisible whose topic has its share: 1 s, doubled with each
/// attempt, up to half a minute. Nothing is wrong with it, so that it comes back sooner than one
/// that failed.
fn room_after(attempt: u32, chance: f64) -> Duration {
    jittered(
        Duration::from_millis(500 << attempt.clamp(1, 9)).min(LONGEST_WAIT_FOR_ROOM),
        chance,
    )
}

/// Delay of a publication that was refused for now: 200 ms, doubled with each try, up to half a
/// minute.
pub(super) fn retry_after(tries: u32, chance: f64) -> Duration {
    jittered(
        Duration::from_millis(100 << tries.clamp(1, 9)).min(LONGEST_RETRY),
        chance,
    )
}

/// Takes a random part of up to half off, so that deliveries that failed together do not come back
/// together.
fn jittered(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> DeliveryOutcome {
        DeliveryOutcome::refused("too_large", "x".into(), None)
    }

    fn postponed() -> DeliveryOutcome {
        DeliveryOutcome::postponed("x")
    }

    #[test]
    fn the_table() {
        let after = |outcome, attempt| match dispose(outcome, attempt, 0.0) {
            Some(Disposition::Release { after }) => after.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            dispose(DeliveryOutcome::Done, 1, 0.5),
            Some(Disposition::Delete)
        );
        assert!(matches!(
            dispose(refused(), 1, 0.5),
            Some(Disposition::Bury(_))
        ));
        assert_eq!(dispose(DeliveryOutcome::Lost, 1, 0.5), None);
        assert_eq!(after(DeliveryOutcome::HandedBack, 7), 0);
        let waits: Vec<u64> = [1, 2, 3, 8, 9, 4_000_000]
            .map(|n| after(postponed(), n))
            .into();
        assert_eq!(waits, [2, 4, 8, 256, 300, 300]);
        let waits: Vec<u64> = [1, 2, 5, 9, 4_000_000]
            .map(|n| after(DeliveryOutcome::OverShare, n))
            .into();
        assert_eq!(waits, [1, 2, 16, 30, 30]);
        assert_eq!(back_off(1, 1.0), Duration::from_secs(1));
        let waits: Vec<u128> = [1, 2, 8, 9, 4_000_000]
            .map(|n| retry_after(n, 0.0).as_millis())
            .into();
        assert_eq!(waits, [200, 400, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn what_may_succeed_keeps_a_delivery_in_the_queue() {
        assert_eq!(refused().or(postponed()), postponed());
        assert_eq!(postponed().or(refused()), postponed());
        assert_eq!(DeliveryOutcome::Done.or(refused()), refused());
        assert_eq!(
            DeliveryOutcome::Done.or(DeliveryOutcome::Done),
            DeliveryOutcome::Done
        );
    }
}
