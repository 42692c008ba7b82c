//! The frame of every batch: the limits on its entries, and the result of each entry.

use std::collections::HashSet;

use serde::Serialize;

use super::super::refusal::ApiRefusal;
use super::super::{ApiResult, body_of};
use super::refusals::batch as refused;
use super::wire::{FailedEntry, SqsEntry};

/// The most entries of one batch (SQS quotas).
const PER_BATCH: usize = 10;

/// The most characters of an entry's id.
const LONGEST_ID: usize = 80;

/// Refuses a batch that is wrong as a whole. `action` is the action's name.
pub(super) fn check_entries(action: &str, entries: &[SqsEntry]) -> Result<(), ApiRefusal> {
    if entries.is_empty() {
        return Err(refused(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            format!("There should be at least one {action}RequestEntry in the request."),
        ));
    }
    if entries.len() > PER_BATCH {
        let count = entries.len();
        return Err(refused(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!(
                "Maximum number of entries per request are {PER_BATCH}. You have sent {count}."
            ),
        ));
    }
    let id = |entry: &SqsEntry| entry.id.clone().unwrap_or_default();
    let is_taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_id = |id: &str| (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_taken);
    if !entries.iter().all(|entry| is_id(&id(entry))) {
        return Err(refused(
            "InvalidBatchEntryId",
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
        ));
    }
    let mut seen = HashSet::new();
    if let Some(repeated) = entries.iter().map(id).find(|id| !seen.insert(id.clone())) {
        return Err(refused(
            "BatchEntryIdsNotDistinct",
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            format!("Id {repeated} repeated."),
        ));
    }
    Ok(())
}

/// Does the same with every entry of a checked batch, and reports the result of each.
pub(super) fn act_on_each<T: Serialize>(
    entries: &[SqsEntry],
    mut act: impl FnMut(&SqsEntry) -> Result<T, ApiRefusal>,
) -> ApiResult {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct SqsBatchOutcome<T> {
        successful: Vec<T>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        failed: Vec<FailedEntry>,
    }
    let mut outcome = SqsBatchOutcome {
        successful: Vec::with_capacity(entries.len()),
        failed: Vec::new(),
    };
    for entry in entries {
        match act(entry) {
            Ok(done) => outcome.successful.push(done),
            Err(refusal) => outcome.failed.push(FailedEntry {
                id: entry.id.clone().unwrap_or_default(),
                sender_fault: true,
                code: refusal.code,
                message: refusal.message,
            }),
        }
    }
    body_of(&outcome)
}
