//! The result of a rule that does not hold, or that could not be tried.

/// Reason why a rule is not known to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The deployment did something else; what, and what was expected.
    Broken(String),
    /// Something that the rule needs was not given.
    NotTried {
        /// The missing thing.
        why: String,
        /// The way to give it.
        help: String,
    },
    /// Something beside the gateway failed, so that nothing further can be said.
    Impossible(String),
}

/// A rule's outcome.
pub(super) type RuleOutcome<T = ()> = Result<T, Finding>;

/// A finding of a broken rule.
pub(super) fn broken<T>(why: impl Into<String>) -> RuleOutcome<T> {
    Err(Finding::Broken(why.into()))
}

/// A finding that a rule needs something.
pub(super) fn not_tried<T>(why: &str, help: &str) -> RuleOutcome<T> {
    Err(Finding::NotTried {
        why: why.to_owned(),
        help: help.to_owned(),
    })
}

/// Breaks a rule unless a condition holds.
pub(super) fn ensure(holds: bool, why: impl FnOnce() -> String) -> RuleOutcome {
    if holds {
        Ok(())
    } else {
        Err(Finding::Broken(why()))
    }
}
