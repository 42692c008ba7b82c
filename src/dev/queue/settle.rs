//! What becomes of a received message: deleted, or hidden for another time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::refusal::Refusal;
use super::super::sighting::Seen;
use super::api::{Queue, lock};
use super::store::{Stale, Store};
use super::wire::{Entry, bounded};

impl Queue {
    pub(super) fn delete(&self, entry: &Entry) -> Result<Value, Refusal> {
        let receipt = entry.receipt_handle.as_deref().unwrap_or_default();
        let (id, deleted) = {
            let mut store = lock(&self.store);
            let id = self.seen_id(&store, receipt);
            (id, store.delete(receipt, Instant::now()))
        };
        deleted.map_err(|stale| refused(stale, receipt))?;
        if let Some(message_id) = id {
            let queue = Arc::clone(&self.name);
            self.sightings.tell(|| Seen::Deleted { queue, message_id });
        }
        // The rest of its message group may be handed out now.
        self.news.notify_one();
        Ok(json!({ "Id": entry.id }))
    }

    /// The id of a receipt's message, if anybody wants to see what becomes of it.
    fn seen_id(&self, store: &Store, receipt: &str) -> Option<Arc<str>> {
        self.sightings.any().then(|| store.id(receipt)).flatten()
    }

    pub(super) fn change_visibility(&self, entry: &Entry) -> Result<Value, Refusal> {
        let receipt = entry.receipt_handle.as_deref().unwrap_or_default();
        let seconds = bounded(
            entry.visibility_timeout,
            0,
            (0, 43_200),
            "VisibilityTimeout",
        )?;
        let visibility = Duration::from_secs(seconds.into());
        let (id, changed) = {
            let mut store = lock(&self.store);
            let id = self.seen_id(&store, receipt);
            let changed = store.change_visibility(receipt, visibility, Instant::now());
            (id, changed)
        };
        changed.map_err(|stale| match stale {
            Stale::Invalid => refused(stale, receipt),
            Stale::Ended => Refusal::coded(
                "MessageNotInflight",
                "AWS.SimpleQueueService.MessageNotInflight",
                "The message referred to is not in flight.",
            ),
        })?;
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

fn refused(stale: Stale, receipt: &str) -> Refusal {
    let why = match stale {
        Stale::Invalid => {
            format!("The input receipt handle \"{receipt}\" is not a valid receipt handle.")
        }
        Stale::Ended => format!(
            "Value {receipt} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
        ),
    };
    Refusal::new("ReceiptHandleIsInvalid", why)
}
