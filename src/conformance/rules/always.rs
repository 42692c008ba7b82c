//! Rules on every answer of the run.

use crate::conformance::finding::Outcome;
use crate::conformance::observed::Demand;
use crate::conformance::trial::Trial;

pub(super) async fn no_store(trial: &Trial<'_>) -> Outcome {
    trial.observed().verdict(Demand::NoStore)
}

pub(super) async fn unbuffered(trial: &Trial<'_>) -> Outcome {
    trial.observed().verdict(Demand::Unbuffered)
}

pub(super) async fn uncompressed(trial: &Trial<'_>) -> Outcome {
    trial.observed().verdict(Demand::Uncompressed)
}

pub(super) async fn length(trial: &Trial<'_>) -> Outcome {
    trial.observed().verdict(Demand::Lengths)
}

pub(super) async fn error_body(trial: &Trial<'_>) -> Outcome {
    trial.observed().verdict(Demand::ErrorBodies)
}

pub(super) async fn no_secrets(trial: &Trial<'_>) -> Outcome {
    trial.observed().verdict(Demand::NoSecrets)
}
