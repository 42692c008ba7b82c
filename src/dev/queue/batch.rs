//! The frame of every batch: how many entries there may be, and which of them succeeded.

use std::collections::HashSet;

use serde::Serialize;

use super::super::refusal::Refusal;
use super::super::{Answer, body_of};
use super::wire::{Entry, Failed, Request};

/// The most entries of one batch (SQS quotas).
const PER_BATCH: usize = 10;

/// Does the same with every entry of a batch, and tells which succeeded.
pub(super) fn batch<T: Serialize>(
    request: &Request,
    mut act: impl FnMut(&Entry) -> Result<T, Refusal>,
) -> Answer {
    let entries = request.entries.as_deref().unwrap_or_default();
    let refuse = |kind, code, message: &str| Err(Refusal::coded(kind, code, message));
    if entries.is_empty() {
        return refuse(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.",
        );
    }
    if entries.len() > PER_BATCH {
        return refuse(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10.",
        );
    }
    let ids: HashSet<_> = entries.iter().map(|entry| &entry.id).collect();
    if ids.len() < entries.len() {
        return refuse(
            "BatchEntryIdsNotDistinct",
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            "Id repeated.",
        );
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Outcome<T> {
        successful: Vec<T>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        failed: Vec<Failed>,
    }
    let mut outcome = Outcome {
        successful: Vec::with_capacity(entries.len()),
        failed: Vec::new(),
    };
    for entry in entries {
        match act(entry) {
            Ok(done) => outcome.successful.push(done),
            Err(refusal) => outcome.failed.push(Failed {
                id: entry.id.clone().unwrap_or_default(),
                sender_fault: true,
                code: refusal.code,
                message: refusal.message,
            }),
        }
    }
    body_of(&outcome)
}
