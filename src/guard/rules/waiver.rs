//! RT090: a waiver is incomplete, has expired or covers nothing.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT090",
    "waiver",
    GuardSeverity::Error,
    "a waiver is incomplete, has expired or covers nothing",
    "A waiver without an owner, a reason or an end is a hole that nobody closes; one that \
     covers nothing hides the next finding at its place.",
    "give it an owner, a reason and a day within the longest life, or remove it",
    &[RuleSample::new(
        "src/orders.ts",
        r##"// rt-allow: RT010 until=2020-01-31 owner=orders reason="moves in spring"
const socket = new WebSocket(url);
"##,
    )],
    &[RuleSample::new(
        "src/orders.ts",
        r##"// rt-allow: RT010 until=2026-01-31 owner=orders reason="moves in spring"
const socket = new WebSocket(url);
"##,
    )],
);
