//! All rules, in the order of their ids.

use super::rule::GuardRule;
use super::rules;

/// Rules of the guard.
static RULES: [&GuardRule; 1] = [&rules::realtime_dependency::RULE];

/// All rules.
pub fn rules() -> impl Iterator<Item = &'static GuardRule> {
    RULES.iter().copied()
}

/// The rule of an id, in either case.
pub fn rule(id: &str) -> Option<&'static GuardRule> {
    rules().find(|rule| rule.id.eq_ignore_ascii_case(id))
}
