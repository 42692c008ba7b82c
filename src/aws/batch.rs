//! Calls of SQS that take a batch: up to ten entries, each with its own outcome.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry,
};

use super::error;
use crate::port::{BatchOutcome, QueueError};

/// The most entries of one batch (SQS API reference, SendMessageBatch).
const PER_BATCH: usize = 10;

/// All bodies and attributes of one batch together (SQS quotas, "Message batch": 1 MiB).
const BATCH_BYTES: usize = 1024 * 1024;

/// Deletes messages by their receipt handles.
pub(super) async fn delete<'h>(
    client: &Client,
    queue: &str,
    handles: impl ExactSizeIterator<Item = &'h str>,
) -> BatchOutcome {
    let count = handles.len();
    let entries = handles.enumerate().map(|(index, handle)| {
        DeleteMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .receipt_handle(handle)
            .build()
    });
    let call = client
        .delete_message_batch()
        .queue_url(queue)
        .set_entries(entries.collect::<Result<_, _>>().ok());
    let doing = format!("deleting from {queue}");
    match call.send().await {
        Ok(answer) => outcome(count, &doing, &answer.failed),
        Err(error) => failed(count, || error::queue(&doing, &error)),
    }
}

/// Says of messages, by their receipt handles, when each becomes visible again.
pub(super) async fn change_visibility<'h>(
    client: &Client,
    queue: &str,
    doing: &str,
    handles: impl ExactSizeIterator<Item = (&'h str, Duration)>,
) -> BatchOutcome {
    let count = handles.len();
    let entries = handles.enumerate().map(|(index, (handle, after))| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(index.to_string())
            .receipt_handle(handle)
            .visibility_timeout(i32::try_from(after.as_secs()).unwrap_or(43_200))
            .build()
    });
    let call = client
        .change_message_visibility_batch()
        .queue_url(queue)
        .set_entries(entries.collect::<Result<_, _>>().ok());
    match call.send().await {
        Ok(answer) => outcome(count, doing, &answer.failed),
        Err(error) => failed(count, || error::queue(doing, &error)),
    }
}

/// Sends messages; their ids are their places in the batch.
pub(super) async fn send(
    client: &Client,
    queue: &str,
    doing: &str,
    entries: impl ExactSizeIterator<Item = Result<SendMessageBatchRequestEntry, BuildError>>,
) -> BatchOutcome {
    let count = entries.len();
    let call = client
        .send_message_batch()
        .queue_url(queue)
        .set_entries(entries.collect::<Result<_, _>>().ok());
    match call.send().await {
        Ok(answer) => outcome(count, doing, &answer.failed),
        Err(error) => failed(count, || error::queue(doing, &error)),
    }
}

/// Splits letters into batches that SQS takes.
pub(super) fn batches_of<L>(letters: &[L], body_bytes: impl Fn(&L) -> usize) -> Vec<&[L]> {
    let mut batches = Vec::new();
    let mut rest = letters;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest
            .iter()
            .take(PER_BATCH)
            .take_while(|letter| {
                // Attributes count as well; names, types and values are well below 4 KiB together.
                bytes += body_bytes(letter) + 4 * 1024;
                bytes <= BATCH_BYTES
            })
            .count();
        // One that is too large by itself is sent by itself, so that SQS says so.
        let (batch, after) = rest.split_at(fits.max(1));
        batches.push(batch);
        rest = after;
    }
    batches
}

/// Each entry's outcome, from the list of those that failed.
fn outcome(count: usize, doing: &str, failures: &[BatchResultErrorEntry]) -> BatchOutcome {
    let mut outcomes: BatchOutcome = (0..count).map(|_| Ok(())).collect();
    for failure in failures {
        let place = failure.id.parse::<usize>().ok();
        if let Some(outcome) = place.and_then(|place| outcomes.get_mut(place)) {
            let message = failure.message.as_deref().unwrap_or_default();
            *outcome = Err(error::by_code(doing, &failure.code, message));
        }
    }
    outcomes
}

/// The same failure for every entry of a call that failed as a whole.
fn failed(count: usize, error: impl Fn() -> QueueError) -> BatchOutcome {
    (0..count).map(|_| Err(error())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_number_and_bytes() {
        let sizes = |bytes: &[usize]| {
            let batches = batches_of(bytes, |bytes| *bytes);
            batches.iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[10; 25]), [10, 10, 5]);
        assert_eq!(sizes(&[400 * 1024; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[2 * 1024 * 1024]), [1]);
    }
}
