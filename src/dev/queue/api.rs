//! SQS's actions: which there are, and the queues that they are about. What an action does is said in a file for each group of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::Notify;

use super::super::observers::Observers;
use super::super::refusal::Refusal;
use super::super::sighting::Sighting;
use super::super::{Answer, body_of};
use super::attributes::Attributes;
use super::batch::batch;
use super::store::Store;
use super::wire::Request;

/// One queue.
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    pub(super) url: String,
    pub(super) arn: String,
    pub(super) attributes: Mutex<Attributes>,
    pub(super) tags: Mutex<BTreeMap<String, String>>,
    pub(super) store: Mutex<Store>,
    /// Somebody may receive something.
    pub(super) news: Notify,
    pub(super) created: i64,
    pub(super) sightings: Arc<Observers<Sighting>>,
}

/// All queues of a server.
pub(in crate::dev) struct Queues {
    pub(super) by_name: Mutex<HashMap<String, Arc<Queue>>>,
    pub(super) region: String,
    pub(super) sightings: Arc<Observers<Sighting>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queues {
    pub(in crate::dev) fn new(region: &str) -> Self {
        Self {
            by_name: Mutex::default(),
            region: region.to_owned(),
            sightings: Arc::default(),
        }
    }

    /// Who looks at messages and events.
    pub(in crate::dev) fn sightings(&self) -> &Observers<Sighting> {
        &self.sightings
    }

    /// Does what is asked, and gives the answer's body. `base` is where the server is reached, for queues' URLs.
    pub(in crate::dev) async fn act(&self, action: &str, body: &[u8], base: &str) -> Answer {
        let request: Request = if body.is_empty() {
            Request::default()
        } else {
            serde_json::from_slice(body)
                .map_err(|error| Refusal::new("SerializationException", error.to_string()))?
        };
        match action {
            "CreateQueue" => self.create(&request, base),
            "GetQueueUrl" => {
                let queue = self.by_name(request.queue_name.as_deref().unwrap_or_default())?;
                body_of(&json!({ "QueueUrl": queue.url }))
            }
            "ListQueues" => self.list(&request),
            "DeleteQueue" => {
                let queue = self.queue(&request)?;
                lock(&self.by_name).retain(|_, known| !Arc::ptr_eq(known, &queue));
                Ok(b"{}".to_vec())
            }
            "ListDeadLetterSourceQueues" => self.sources(&request),
            "SendMessage" => self.send(&request),
            "SendMessageBatch" => self.send_batch(&request),
            "ReceiveMessage" => self.receive(&request).await,
            "DeleteMessage" => {
                let queue = self.queue(&request)?;
                queue.delete(&request.entry)?;
                Ok(b"{}".to_vec())
            }
            "DeleteMessageBatch" => {
                let queue = self.queue(&request)?;
                batch(&request, |entry| queue.delete(entry))
            }
            "ChangeMessageVisibility" => {
                let queue = self.queue(&request)?;
                queue.change_visibility(&request.entry)?;
                Ok(b"{}".to_vec())
            }
            "ChangeMessageVisibilityBatch" => {
                let queue = self.queue(&request)?;
                batch(&request, |entry| queue.change_visibility(entry))
            }
            "PurgeQueue" => {
                lock(&self.queue(&request)?.store).purge();
                Ok(b"{}".to_vec())
            }
            "GetQueueAttributes" => {
                let queue = self.queue(&request)?;
                body_of(&json!({ "Attributes": queue.attributes(&request.attribute_names) }))
            }
            "SetQueueAttributes" => self.set_attributes(&request),
            "TagQueue" => {
                lock(&self.queue(&request)?.tags).extend(request.tags);
                Ok(b"{}".to_vec())
            }
            "UntagQueue" => {
                let queue = self.queue(&request)?;
                lock(&queue.tags).retain(|key, _| !request.tag_keys.contains(key));
                Ok(b"{}".to_vec())
            }
            "ListQueueTags" => {
                let queue = self.queue(&request)?;
                body_of(&json!({ "Tags": *lock(&queue.tags) }))
            }
            _ => Err(Refusal::coded(
                "UnsupportedOperation",
                "AWS.SimpleQueueService.UnsupportedOperation",
                format!("eventcast dev does not offer {action}."),
            )),
        }
    }

    pub(super) fn by_name(&self, name: &str) -> Result<Arc<Queue>, Refusal> {
        lock(&self.by_name)
            .get(name)
            .map(Arc::clone)
            .ok_or_else(no_queue)
    }

    /// The queue that a URL names; the host does not matter.
    pub(super) fn queue(&self, request: &Request) -> Result<Arc<Queue>, Refusal> {
        let url = request.queue_url.as_deref().unwrap_or_default();
        self.by_name(url.rsplit('/').next().unwrap_or_default())
    }
}

pub(super) fn no_queue() -> Refusal {
    Refusal::coded(
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}
