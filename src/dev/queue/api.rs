//! SQS's actions: their list, and the queues that they are about. A file for each group of actions
//! implements them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::observers::Observers;
use super::super::refusal::ApiRefusal;
use super::super::sighting::Sighting;
use super::super::{ApiResult, body_of};
use super::attributes::QueueAttributes;
use super::batch::{act_on_each, check_entries};
use super::held::HeldMessages;
use super::refusals::no_queue;
use super::store::QueueStore;
use super::wire::SqsRequest;

/// The actions that queues offer.
pub(in crate::dev) const ACTIONS: [&str; 20] = [
    "AddPermission",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "TagQueue",
    "UntagQueue",
];

/// One queue.
pub(super) struct QueueHandle {
    pub(super) name: Arc<str>,
    pub(super) url: String,
    pub(super) arn: String,
    pub(super) facts: Mutex<ServedQueueFacts>,
    pub(super) store: Mutex<QueueStore>,
    /// Signals that a message may be received.
    pub(super) news: Notify,
    pub(super) created: i64,
    pub(super) sightings: Arc<Observers<Sighting>>,
}

/// Facts of a queue, beside its messages.
pub(super) struct ServedQueueFacts {
    pub(super) attributes: QueueAttributes,
    pub(super) tags: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(super) modified: i64,
    pub(super) purged: Option<Instant>,
}

/// The surroundings of a call that an action depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dev) struct CallOrigin<'c> {
    /// Base address of the server, for queues' URLs.
    pub(in crate::dev) base: &'c str,
    /// The `X-Amzn-Trace-Id` of the call.
    pub(in crate::dev) trace: Option<&'c str>,
}

/// All queues of a server.
pub(in crate::dev) struct QueueService {
    pub(super) by_name: Mutex<HashMap<String, Arc<QueueHandle>>>,
    /// The names of queues that were deleted a moment ago.
    pub(super) deleted: Mutex<HashMap<String, Instant>>,
    pub(super) held: Arc<HeldMessages>,
    pub(super) region: String,
    pub(super) sightings: Arc<Observers<Sighting>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl QueueService {
    pub(in crate::dev) fn new(region: &str) -> Self {
        Self {
            by_name: Mutex::default(),
            deleted: Mutex::default(),
            held: Arc::default(),
            region: region.to_owned(),
            sightings: Arc::default(),
        }
    }

    /// Observers of messages and events.
    pub(in crate::dev) fn sightings(&self) -> &Observers<Sighting> {
        &self.sightings
    }

    /// Carries out an action, and returns the answer's body.
    pub(in crate::dev) async fn act(
        &self,
        action: &str,
        body: &[u8],
        origin: CallOrigin<'_>,
    ) -> ApiResult {
        let mut request: SqsRequest = if body.is_empty() {
            SqsRequest::default()
        } else {
            serde_json::from_slice(body)
                .map_err(|error| ApiRefusal::new("SerializationException", error.to_string()))?
        };
        match action {
            "CreateQueue" => self.create(&request, origin.base),
            "GetQueueUrl" => {
                let queue = self.by_name(request.queue_name.as_deref().unwrap_or_default())?;
                body_of(&json!({ "QueueUrl": queue.url }))
            }
            "ListQueues" => self.list(&request),
            "DeleteQueue" => self.delete_queue(&request),
            "ListDeadLetterSourceQueues" => self.sources(&request),
            "SendMessage" => self.send(&mut request, origin.trace),
            "SendMessageBatch" => self.send_batch(&request, origin.trace),
            "ReceiveMessage" => self.receive(&mut request).await,
            "DeleteMessage" => {
                let queue = self.queue(&request)?;
                queue.delete(&request.take_entry())?;
                Ok(b"{}".to_vec())
            }
            "ChangeMessageVisibility" => {
                let queue = self.queue(&request)?;
                queue.change_visibility(&request.take_entry())?;
                Ok(b"{}".to_vec())
            }
            "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
                let queue = self.queue(&request)?;
                let entries = request.entries.as_deref().unwrap_or_default();
                check_entries(action, entries)?;
                act_on_each(entries, |entry| match action {
                    "DeleteMessageBatch" => queue.delete(entry),
                    _ => queue.change_visibility(entry),
                })
            }
            "PurgeQueue" => self.queue(&request)?.purge(),
            "GetQueueAttributes" => self
                .queue(&request)?
                .told_attributes(&request.attribute_names),
            "SetQueueAttributes" => self.set_attributes(&request),
            "TagQueue" => self.queue(&request)?.tag(&request),
            "UntagQueue" => self.queue(&request)?.untag(&request),
            "ListQueueTags" => self.queue(&request)?.told_tags(),
            "AddPermission" => self.queue(&request)?.add_permission(&request),
            "RemovePermission" => self.queue(&request)?.remove_permission(&request),
            _ => Err(ApiRefusal::coded(
                "UnsupportedOperation",
                "AWS.SimpleQueueService.UnsupportedOperation",
                format!("eventcast dev does not offer {action}."),
            )),
        }
    }

    pub(super) fn by_name(&self, name: &str) -> Result<Arc<QueueHandle>, ApiRefusal> {
        lock(&self.by_name)
            .get(name)
            .map(Arc::clone)
            .ok_or_else(no_queue)
    }

    /// The queue that a URL names; the host does not matter.
    pub(super) fn queue(&self, request: &SqsRequest) -> Result<Arc<QueueHandle>, ApiRefusal> {
        let url = request.queue_url.as_deref().unwrap_or_default();
        self.by_name(url.rsplit('/').next().unwrap_or_default())
    }
}
