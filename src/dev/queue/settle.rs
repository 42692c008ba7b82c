//! Settlement of a received message: it is deleted, or hidden for another time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::refusal::ApiRefusal;
use super::super::sighting::Seen;
use super::api::{QueueHandle, lock};
use super::refusals::{invalid_value, missing};
use super::store::{LONGEST_VISIBILITY, QueueStore, ReceiptFault};
use super::wire::{SqsEntry, bounded};

impl QueueHandle {
    pub(super) fn delete(&self, entry: &SqsEntry) -> Result<Value, ApiRefusal> {
        let receipt = receipt_handle(entry)?;
        let (id, deleted) = {
            let mut store = lock(&self.store);
            let id = self.seen_id(&store, receipt);
            (id, store.delete(receipt, Instant::now()))
        };
        let is_gone = deleted.map_err(|fault| refused(fault, receipt, 0))?;
        if let Some(message_id) = id.filter(|_| is_gone) {
            let queue = Arc::clone(&self.name);
            self.sightings.tell(|| Seen::Deleted { queue, message_id });
        }
        // The rest of its message group may be handed out now.
        self.news.notify_one();
        Ok(json!({ "Id": entry.id }))
    }

    /// The id of a receipt's message, if anybody observes.
    fn seen_id(&self, store: &QueueStore, receipt: &str) -> Option<Arc<str>> {
        self.sightings
            .any()
            .then(|| store.message_id(receipt))
            .flatten()
    }

    pub(super) fn change_visibility(&self, entry: &SqsEntry) -> Result<Value, ApiRefusal> {
        let receipt = receipt_handle(entry)?;
        let longest = i64::try_from(LONGEST_VISIBILITY.as_secs()).unwrap_or(i64::MAX);
        let seconds = bounded(
            "VisibilityTimeout",
            entry.visibility_timeout,
            (0, longest),
            "Must be between 0 and 43200",
        )?;
        let seconds = seconds.ok_or_else(|| missing("VisibilityTimeout"))?;
        let visibility = Duration::from_secs(seconds.into());
        let (id, changed) = {
            let mut store = lock(&self.store);
            let id = self.seen_id(&store, receipt);
            let changed = store.change_visibility(receipt, visibility, Instant::now());
            (id, changed)
        };
        changed.map_err(|fault| refused(fault, receipt, seconds))?;
        if let Some(message_id) = id {
            self.sightings.tell(|| Seen::Hidden {
                queue: Arc::clone(&self.name),
                message_id,
                seconds: seconds.into(),
            });
        }
        self.news.notify_one();
        Ok(json!({ "Id": entry.id }))
    }
}

fn receipt_handle(entry: &SqsEntry) -> Result<&str, ApiRefusal> {
    let handle = entry.receipt_handle.as_deref();
    handle.ok_or_else(|| missing("ReceiptHandle"))
}

fn refused(fault: ReceiptFault, receipt: &str, seconds: u32) -> ApiRefusal {
    let expired = |reason: &str| invalid_value("ReceiptHandle", receipt, reason);
    match fault {
        ReceiptFault::Invalid => ApiRefusal::new(
            "ReceiptHandleIsInvalid",
            format!("The input receipt handle \"{receipt}\" is not a valid receipt handle."),
        ),
        ReceiptFault::Expired => expired("The receipt handle has expired."),
        ReceiptFault::Unavailable => {
            expired("Message does not exist or is not available for visibility timeout change.")
        }
        ReceiptFault::TooLong => invalid_value(
            "VisibilityTimeout",
            seconds,
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
        ),
    }
}
