//! Rules on every answer of the run.

use crate::conformance::finding::RuleOutcome;
use crate::conformance::observed::AnswerDemand;
use crate::conformance::trial::RuleTrial;

pub(super) async fn no_store(trial: &RuleTrial<'_>) -> RuleOutcome {
    trial.observed().verdict(AnswerDemand::NoStore)
}

pub(super) async fn unbuffered(trial: &RuleTrial<'_>) -> RuleOutcome {
    trial.observed().verdict(AnswerDemand::Unbuffered)
}

pub(super) async fn uncompressed(trial: &RuleTrial<'_>) -> RuleOutcome {
    trial.observed().verdict(AnswerDemand::Uncompressed)
}

pub(super) async fn length(trial: &RuleTrial<'_>) -> RuleOutcome {
    trial.observed().verdict(AnswerDemand::Lengths)
}

pub(super) async fn error_body(trial: &RuleTrial<'_>) -> RuleOutcome {
    trial.observed().verdict(AnswerDemand::ErrorBodies)
}

pub(super) async fn no_secrets(trial: &RuleTrial<'_>) -> RuleOutcome {
    trial.observed().verdict(AnswerDemand::NoSecrets)
}
