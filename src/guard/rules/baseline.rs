//! RT091: an entry of the baseline has no finding any more.

use crate::guard::rule::{GuardRule, GuardSeverity};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT091",
    "baseline-entry",
    GuardSeverity::Note,
    "an entry of the baseline has no finding any more",
    "An entry that covers nothing would hide the same fault when it comes back.",
    "run `eventcast guard baseline prune`",
    &[],
    &[],
);
