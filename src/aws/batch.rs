//! Calls of SQS that take a batch: up to ten entries, each with its own outcome.
//!
//! An answer lists entries that succeeded and entries that failed (SQS API reference,
//! DeleteMessageBatch, SendMessageBatch and ChangeMessageVisibilityBatch, "Response Elements"). AWS
//! names each entry in one of the lists; a proxy or an emulator may not. So an entry has succeeded
//! only if the answer says so: what it names nowhere, or in both lists, has failed and is tried
//! again.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry,
};

use super::error;
use crate::log_limit::LogLimit;
use crate::port::{BatchOutcome, QueueError};

/// The most entries of one batch (SQS API reference, SendMessageBatch).
const PER_BATCH: usize = 10;

/// All bodies and attributes of one batch together (SQS quotas, "Message batch": 1 MiB).
const BATCH_BYTES: usize = 1024 * 1024;

static UNKNOWN_IDS: LogLimit<()> = LogLimit::new();

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
        Ok(answer) => {
            let deleted = answer.successful.iter().map(|entry| entry.id());
            outcomes(
                count,
                &doing,
                deleted,
                &answer.failed,
                error::by_receipt_code,
            )
        }
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
        Ok(answer) => {
            let changed = answer.successful.iter().map(|entry| entry.id());
            outcomes(
                count,
                doing,
                changed,
                &answer.failed,
                error::by_receipt_code,
            )
        }
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
        Ok(answer) => {
            let sent = answer.successful.iter().map(|entry| entry.id());
            outcomes(count, doing, sent, &answer.failed, error::by_code)
        }
        Err(error) => failed(count, || error::queue(doing, &error)),
    }
}

/// Splits dead-letter messages into batches that SQS takes.
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

/// Each entry's outcome: success where the answer names the entry as successful and not as failed.
fn outcomes<'a>(
    count: usize,
    doing: &str,
    successes: impl Iterator<Item = &'a str>,
    failures: &[BatchResultErrorEntry],
    meaning: fn(&str, &str, &str) -> QueueError,
) -> BatchOutcome {
    let mut outcomes: BatchOutcome = (0..count).map(|_| Err(unnamed(doing))).collect();
    let mut unknown = 0;
    for id in successes {
        match place(&mut outcomes, id) {
            Some(outcome) => *outcome = Ok(()),
            None => unknown += 1,
        }
    }
    for failure in failures {
        match place(&mut outcomes, &failure.id) {
            Some(outcome) => {
                let message = failure.message.as_deref().unwrap_or_default();
                *outcome = Err(meaning(doing, &failure.code, message));
            }
            None => unknown += 1,
        }
    }
    if unknown > 0
        && let Some(suppressed) = UNKNOWN_IDS.admit(())
    {
        tracing::warn!(
            doing,
            unknown,
            suppressed,
            "batch answer names entries that were not sent"
        );
    }
    outcomes
}

/// The entry that an answer names. Ids are places in the batch, written as they were sent.
fn place<'o>(outcomes: &'o mut BatchOutcome, id: &str) -> Option<&'o mut Result<(), QueueError>> {
    let place: usize = id.parse().ok()?;
    outcomes.get_mut(place).filter(|_| place.to_string() == id)
}

fn unnamed(doing: &str) -> QueueError {
    QueueError::Transient {
        what: format!("{doing}: the answer does not say what became of the message"),
    }
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

    fn failure(id: &str) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder()
            .id(id)
            .sender_fault(false)
            .code("InternalError")
            .build()
            .unwrap()
    }

    /// Checks the reading of an answer to a batch of three: `+` for success.
    #[track_caller]
    fn check(successes: &[&str], failures: &[&str], wanted: &str) {
        let failures: Vec<_> = failures.iter().map(|id| failure(id)).collect();
        let outcomes = outcomes(
            3,
            "sending",
            successes.iter().copied(),
            &failures,
            error::by_code,
        );
        let told: String = outcomes
            .iter()
            .map(|outcome| match outcome {
                Ok(()) => '+',
                Err(QueueError::Transient { .. }) => '-',
                Err(other) => panic!("{other}"),
            })
            .collect();
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_is_not_named_as_successful_has_failed() {
        check(&["0", "1", "2"], &[], "+++");
        check(&["2", "0"], &["1"], "+-+");
        // An empty answer, and one that leaves an entry out.
        check(&[], &[], "---");
        check(&["1"], &["0"], "-+-");
        // Ids that were not sent, in either list.
        check(&["3", "m-0", "", "-1", "00", "+1"], &[], "---");
        check(&["0", "1"], &["7", "2 "], "++-");
        // Both at once, and one twice.
        check(&["0", "1", "2"], &["1"], "+-+");
        check(&["0", "0", "0"], &[], "+--");
    }
}
