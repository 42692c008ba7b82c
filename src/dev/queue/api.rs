//! SQS's actions over the stores.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::super::observers::Observers;
use super::super::refusal::Refusal;
use super::super::sighting::{Letter, Seen, Sighting};
use super::super::uuid::uuid;
use super::super::{ACCOUNT, Answer, body_of};
use super::attributes::{self, Attributes};
use super::store::{Content, Handed, Stale, Store};
use super::wire::{
    Attribute, Entry, Failed, Message, Received, Request, Sent, attributes_md5, content_id, md5,
};

/// The most entries of one batch, and the most bytes of one batch or message (SQS quotas).
const PER_BATCH: usize = 10;
const BYTES: usize = 1_048_576;

/// The most messages that all queues hold together: memory is bounded.
const MOST_MESSAGES: usize = 2_000_000;

struct Queue {
    name: Arc<str>,
    url: String,
    arn: String,
    attributes: Mutex<Attributes>,
    tags: Mutex<BTreeMap<String, String>>,
    store: Mutex<Store>,
    /// Somebody may receive something.
    news: Notify,
    created: i64,
    sightings: Arc<Observers<Sighting>>,
}

/// All queues of a server.
pub(in crate::dev) struct Queues {
    by_name: Mutex<HashMap<String, Arc<Queue>>>,
    region: String,
    sightings: Arc<Observers<Sighting>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

    /// Sends a message to the queue with an ARN, as a rule of a bus does.
    pub(in crate::dev) fn deliver(&self, arn: &str, message: Message) -> Result<(), Refusal> {
        let queue = self.by_name(arn.rsplit(':').next().unwrap_or_default())?;
        if queue.arn != arn {
            return Err(no_queue());
        }
        if self.full() {
            return Err(over_limit());
        }
        queue.send(&message.into()).map(drop)
    }

    fn create(&self, request: &Request, base: &str) -> Answer {
        let name = request.queue_name.as_deref().unwrap_or_default();
        let fifo = request.attributes.get("FifoQueue").map(String::as_str) == Some("true");
        let stem = name.strip_suffix(".fifo");
        let letters = stem.unwrap_or(name);
        let right = !letters.is_empty()
            && name.len() <= 80
            && letters
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !right || fifo != stem.is_some() {
            return Err(Refusal::new(
                "InvalidParameterValue",
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length; the name of a FIFO queue ends with .fifo",
            ));
        }
        attributes::check(&request.attributes)?;
        let mut queues = lock(&self.by_name);
        if let Some(queue) = queues.get(name) {
            let known = lock(&queue.attributes);
            let differs = request
                .attributes
                .iter()
                .any(|(name, value)| known.get(name) != Some(value));
            if differs {
                return Err(Refusal::coded(
                    "QueueNameExists",
                    "QueueAlreadyExists",
                    "A queue already exists with the same name and a different value for an attribute.",
                ));
            }
            return body_of(&json!({ "QueueUrl": queue.url }));
        }
        let queue = Queue {
            name: name.into(),
            url: format!("{base}/{ACCOUNT}/{name}"),
            arn: format!("arn:aws:sqs:{}:{ACCOUNT}:{name}", self.region),
            store: Mutex::new(Store::new(attributes::settings(&request.attributes))),
            attributes: Mutex::new(request.attributes.clone()),
            tags: Mutex::new(request.create_tags.clone()),
            news: Notify::new(),
            created: Timestamp::now().as_second(),
            sightings: Arc::clone(&self.sightings),
        };
        let answer = body_of(&json!({ "QueueUrl": queue.url }));
        queues.insert(name.to_owned(), Arc::new(queue));
        answer
    }

    fn list(&self, request: &Request) -> Answer {
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let queues = lock(&self.by_name);
        let named = queues.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut urls: Vec<&str> = named.map(|(_, queue)| queue.url.as_str()).collect();
        urls.sort_unstable();
        body_of(&json!({ "QueueUrls": urls }))
    }

    fn sources(&self, request: &Request) -> Answer {
        let target = self.queue(request)?;
        let queues = lock(&self.by_name);
        let sources = queues.values().filter(|queue| {
            let store = lock(&queue.store);
            store
                .settings
                .redrive
                .as_ref()
                .is_some_and(|(_, arn)| *arn == target.arn)
        });
        let mut urls: Vec<&str> = sources.map(|queue| queue.url.as_str()).collect();
        urls.sort_unstable();
        body_of(&json!({ "queueUrls": urls }))
    }

    fn by_name(&self, name: &str) -> Result<Arc<Queue>, Refusal> {
        lock(&self.by_name)
            .get(name)
            .map(Arc::clone)
            .ok_or_else(no_queue)
    }

    /// The queue that a URL names; the host does not matter.
    fn queue(&self, request: &Request) -> Result<Arc<Queue>, Refusal> {
        let url = request.queue_url.as_deref().unwrap_or_default();
        self.by_name(url.rsplit('/').next().unwrap_or_default())
    }

    fn set_attributes(&self, request: &Request) -> Answer {
        let queue = self.queue(request)?;
        attributes::check(&request.attributes)?;
        let mut known = lock(&queue.attributes);
        known.extend(request.attributes.clone());
        lock(&queue.store).settings = attributes::settings(&known);
        Ok(b"{}".to_vec())
    }

    fn full(&self) -> bool {
        let now = Instant::now();
        let queues = lock(&self.by_name);
        let held = queues.values().map(|queue| {
            let counts = lock(&queue.store).counts(now);
            counts.visible + counts.in_flight + counts.delayed
        });
        held.sum::<usize>() >= MOST_MESSAGES
    }

    fn send(&self, request: &Request) -> Answer {
        let queue = self.queue(request)?;
        if self.full() {
            return Err(over_limit());
        }
        body_of(&queue.send(&request.entry)?)
    }

    fn send_batch(&self, request: &Request) -> Answer {
        let queue = self.queue(request)?;
        if self.full() {
            return Err(over_limit());
        }
        let entries = request.entries.as_deref().unwrap_or_default();
        let bytes = |entry: &Entry| entry.message_body.as_ref().map_or(0, String::len);
        if entries.iter().map(bytes).sum::<usize>() > BYTES {
            return Err(Refusal::coded(
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
                format!("Batch requests cannot be longer than {BYTES} bytes."),
            ));
        }
        batch(request, |entry| queue.send(entry))
    }

    async fn receive(&self, request: &Request) -> Answer {
        let queue = self.queue(request)?;
        let most = bounded(
            request.max_number_of_messages,
            1,
            (1, 10),
            "MaxNumberOfMessages",
        )?;
        let usual = attributes::number(&lock(&queue.attributes), "ReceiveMessageWaitTimeSeconds");
        let usual = u32::try_from(usual).unwrap_or(0);
        let wait = bounded(request.wait_time_seconds, usual, (0, 20), "WaitTimeSeconds")?;
        let visibility = request
            .entry
            .visibility_timeout
            .map(|seconds| Duration::from_secs(seconds.into()));
        let until = Instant::now() + Duration::from_secs(wait.into());
        let handed = loop {
            // Listening begins before looking, so that nothing sent in between is missed.
            let news = queue.news.notified();
            let now = Instant::now();
            let (handed, dead, timer) = {
                let mut store = lock(&queue.store);
                let (handed, dead) = store.receive(
                    most as usize,
                    visibility,
                    Timestamp::now().as_millisecond(),
                    now,
                );
                (handed, dead, store.next_timer())
            };
            self.redrive(&queue, dead);
            if !handed.is_empty() || now >= until {
                break handed;
            }
            let until = timer.map_or(until, |timer| timer.min(until));
            let _ = timeout_at(until, news).await;
        };
        if handed.len() == most as usize {
            // There may be more for another.
            queue.news.notify_one();
        }
        for message in &handed {
            self.sightings.tell(|| Seen::Received {
                queue: Arc::clone(&queue.name),
                message_id: Arc::clone(&message.content.id),
                attempt: message.receives,
            });
        }
        let received: Vec<Received<'_>> = handed
            .iter()
            .map(|message| received(message, request))
            .collect();
        if received.is_empty() {
            return Ok(b"{}".to_vec());
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Messages<'m> {
            messages: Vec<Received<'m>>,
        }
        body_of(&Messages { messages: received })
    }

    /// Moves what was handed out too often to where the queue says.
    fn redrive(&self, queue: &Queue, dead: Vec<Content>) {
        if dead.is_empty() {
            return;
        }
        let target = lock(&queue.store).settings.redrive.clone();
        let name = target.and_then(|(_, arn)| arn.rsplit(':').next().map(str::to_owned));
        let Some(Ok(target)) = name.map(|name| self.by_name(&name)) else {
            return;
        };
        let now = Instant::now();
        for content in dead {
            self.sightings.tell(|| Seen::Redriven {
                queue: Arc::clone(&queue.name),
                message_id: Arc::clone(&content.id),
                to: target.name.as_ref().into(),
            });
            lock(&target.store).put(content, None, now);
            target.news.notify_one();
        }
    }
}

fn no_queue() -> Refusal {
    Refusal::coded(
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.",
    )
}

fn over_limit() -> Refusal {
    Refusal::new(
        "OverLimit",
        format!("eventcast dev holds at most {MOST_MESSAGES} messages."),
    )
}

/// What a message is as a dead letter, by the daemon's attributes or those of a bus.
fn letter(attributes: &super::wire::Attributes) -> Option<Letter> {
    let value = |name: &str| attributes.get(name)?.string_value.as_deref();
    let told = |word, words| Some(format!("{}: {}", value(word)?, value(words)?).into());
    let why = told("eventcast.reason", "eventcast.detail");
    Some(Letter {
        why: why.or_else(|| told("ERROR_CODE", "ERROR_MESSAGE"))?,
        was: value("eventcast.message-id").map(Into::into),
    })
}

impl Queue {
    fn send(&self, entry: &Entry) -> Result<Sent, Refusal> {
        let body = entry.message_body.as_deref().unwrap_or_default();
        let invalid = |message: String| Refusal::new("InvalidParameterValue", message);
        if body.is_empty() {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain the parameter MessageBody.",
            ));
        }
        let known = lock(&self.attributes).clone();
        let most =
            usize::try_from(attributes::number(&known, "MaximumMessageSize")).unwrap_or(BYTES);
        if body.len() > most {
            return Err(invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            )));
        }
        let mut store = lock(&self.store);
        let fifo = store.settings.fifo;
        let by_content = known.get("ContentBasedDeduplication").map(String::as_str) == Some("true");
        let deduplication = match &entry.message_deduplication_id {
            Some(id) => Some(id.as_str().into()),
            None if fifo && by_content => Some(content_id(body).into()),
            None if fifo => {
                return Err(invalid(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly".into(),
                ));
            }
            None => None,
        };
        if fifo && entry.message_group_id.is_none() {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain the parameter MessageGroupId.",
            ));
        }
        let body_md5 = md5(body.as_bytes());
        let attributes_md5 = attributes_md5(
            entry
                .message_attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value)),
        );
        let trace = entry.message_system_attributes.get("AWSTraceHeader");
        let content = Content {
            id: uuid().into(),
            body: Value::from(body).to_string().into(),
            body_md5: body_md5.as_str().into(),
            attributes: Arc::new(entry.message_attributes.clone()),
            trace_header: trace.and_then(|trace| trace.string_value.as_deref().map(Into::into)),
            group: entry.message_group_id.as_deref().map(Into::into),
            deduplication,
            sent: Timestamp::now().as_millisecond(),
        };
        let delay = entry
            .delay_seconds
            .map(|seconds| Duration::from_secs(seconds.into()));
        let quoted = Arc::clone(&content.body);
        let (message_id, sequence) = store.send(content, delay, Instant::now());
        // Told before anybody can receive it.
        self.sightings.tell(|| Seen::Queued {
            queue: Arc::clone(&self.name),
            message_id: Arc::clone(&message_id),
            body: quoted,
            from: entry.from.clone(),
            dead_letter: letter(&entry.message_attributes),
        });
        drop(store);
        self.news.notify_one();
        Ok(Sent {
            id: entry.id.clone(),
            message_id: message_id.to_string(),
            body_md5,
            attributes_md5,
            sequence_number: fifo.then(|| sequence_number(sequence)),
        })
    }

    fn delete(&self, entry: &Entry) -> Result<Value, Refusal> {
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

    fn change_visibility(&self, entry: &Entry) -> Result<Value, Refusal> {
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

    fn attributes(&self, asked: &[String]) -> BTreeMap<String, String> {
        let known = lock(&self.attributes);
        let counts = lock(&self.store).counts(Instant::now());
        let mut all: BTreeMap<String, String> = known.clone();
        all.extend(
            attributes::numbers(&known).map(|(name, number)| (name.to_owned(), number.to_string())),
        );
        let created = self.created.to_string();
        for (name, value) in [
            ("QueueArn", self.arn.clone()),
            ("CreatedTimestamp", created.clone()),
            ("LastModifiedTimestamp", created),
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                counts.in_flight.to_string(),
            ),
            (
                "ApproximateNumberOfMessagesDelayed",
                counts.delayed.to_string(),
            ),
        ] {
            all.insert(name.to_owned(), value);
        }
        all.retain(|name, _| asked.iter().any(|asked| asked == "All" || asked == name));
        all
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

/// Does the same with every entry of a batch, and tells which succeeded.
fn batch<T: Serialize>(
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

fn received<'m>(message: &'m Handed, request: &Request) -> Received<'m> {
    let content = &message.content;
    let asked = |name: &str| {
        let all = request
            .message_system_attribute_names
            .iter()
            .chain(&request.attribute_names);
        all.into_iter().any(|asked| asked == "All" || asked == name)
    };
    let text = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
    let fifo = content.deduplication.is_some() && content.group.is_some();
    let attributes = [
        (
            "ApproximateReceiveCount",
            Some(message.receives.to_string()),
        ),
        (
            "ApproximateFirstReceiveTimestamp",
            Some(message.first_received.to_string()),
        ),
        ("SentTimestamp", Some(content.sent.to_string())),
        ("SenderId", Some(ACCOUNT.to_owned())),
        ("MessageGroupId", text(&content.group)),
        ("MessageDeduplicationId", text(&content.deduplication)),
        (
            "SequenceNumber",
            fifo.then(|| sequence_number(message.sequence)),
        ),
        ("AWSTraceHeader", text(&content.trace_header)),
    ];
    let attributes = attributes
        .into_iter()
        .filter(|(name, _)| asked(name))
        .filter_map(|(name, value)| Some((name, value?)));
    let wanted = |name: &str| {
        request.message_attribute_names.iter().any(|asked| {
            asked == "All"
                || asked == name
                || asked
                    .strip_suffix(".*")
                    .is_some_and(|prefix| name.starts_with(prefix))
        })
    };
    let message_attributes: BTreeMap<&str, &Attribute> = content
        .attributes
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    Received {
        message_id: &content.id,
        receipt_handle: &message.receipt,
        body_md5: &content.body_md5,
        // It was written as JSON.
        body: serde_json::from_str(&content.body).unwrap_or(RawValue::NULL),
        attributes: attributes.collect(),
        attributes_md5: attributes_md5(
            message_attributes
                .iter()
                .map(|(name, value)| (*name, *value)),
        ),
        message_attributes,
    }
}

/// Numbers of twenty digits, as SQS has them.
fn sequence_number(sequence: u64) -> String {
    format!("{:020}", 1_885_000_000_000_000_000_u64 + sequence)
}

fn bounded(
    value: Option<u32>,
    default: u32,
    (least, most): (u32, u32),
    name: &str,
) -> Result<u32, Refusal> {
    let value = value.unwrap_or(default);
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let message = format!(
        "Value {value} for parameter {name} is invalid. Reason: Must be >= {least} and <= {most}, if provided."
    );
    Err(Refusal::new("InvalidParameterValue", message))
}
