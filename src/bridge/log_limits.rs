//! Limits on the daemon's log lines that events and refusals cause: a flood of either must not
//! become a flood of lines.
//!
//! Suppressed lines are counted, and metrics count all of them. Keys come from closed sets:
//! reasons, and the routes of the configuration.

use std::sync::Arc;

use crate::log_limit::LogLimit;
use crate::route::table::RouteRefusal;

/// Reason why an event or a route was refused, and the route at fault where one is.
pub(super) type Cause = (&'static str, Option<Arc<str>>);

/// One limit for each kind of line.
#[derive(Debug, Default)]
pub(super) struct LogLimits {
    pub(super) skipped: LogLimit<Cause>,
    pub(super) dead_lettered: LogLimit<Cause>,
    pub(super) not_dead_lettered: LogLimit<()>,
    pub(super) refused: LogLimit<Cause>,
    pub(super) retried: LogLimit<Arc<str>>,
    pub(super) over_share: LogLimit<Arc<str>>,
    pub(super) postponed: LogLimit<()>,
    pub(super) lease_lost: LogLimit<()>,
    pub(super) not_extended: LogLimit<()>,
    pub(super) not_deleted: LogLimit<()>,
    pub(super) not_released: LogLimit<()>,
}

impl LogLimits {
    /// The number of suppressed lines that no line has reported yet.
    pub(super) fn take_suppressed(&self) -> u64 {
        self.skipped.take_suppressed()
            + self.dead_lettered.take_suppressed()
            + self.not_dead_lettered.take_suppressed()
            + self.refused.take_suppressed()
            + self.retried.take_suppressed()
            + self.over_share.take_suppressed()
            + self.postponed.take_suppressed()
            + self.lease_lost.take_suppressed()
            + self.not_extended.take_suppressed()
            + self.not_deleted.take_suppressed()
            + self.not_released.take_suppressed()
    }
}

/// The key of a refusal.
pub(super) fn cause(refusal: &RouteRefusal) -> Cause {
    (refusal.reason, refusal.route.clone())
}
