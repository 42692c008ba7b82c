//! Sending: one message, a batch, or what a rule of a bus sends.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::super::refusal::Refusal;
use super::super::sighting::{Letter, Seen};
use super::super::uuid::uuid;
use super::super::{Answer, body_of};
use super::api::{Queue, Queues, lock, no_queue};
use super::attributes;
use super::batch::batch;
use super::store::Content;
use super::wire::{
    Attributes, Entry, Message, Request, Sent, attributes_md5, content_id, md5, sequence_number,
};

/// The most bytes of one batch or message (SQS quotas).
const BYTES: usize = 1_048_576;

/// The most messages that all queues hold together: memory is bounded.
const MOST_MESSAGES: usize = 2_000_000;

impl Queues {
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

    pub(super) fn send(&self, request: &Request) -> Answer {
        let queue = self.queue(request)?;
        if self.full() {
            return Err(over_limit());
        }
        body_of(&queue.send(&request.entry)?)
    }

    pub(super) fn send_batch(&self, request: &Request) -> Answer {
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

    fn full(&self) -> bool {
        let now = Instant::now();
        let queues = lock(&self.by_name);
        let held = queues.values().map(|queue| {
            let counts = lock(&queue.store).counts(now);
            counts.visible + counts.in_flight + counts.delayed
        });
        held.sum::<usize>() >= MOST_MESSAGES
    }
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
}

fn over_limit() -> Refusal {
    Refusal::new(
        "OverLimit",
        format!("eventcast dev holds at most {MOST_MESSAGES} messages."),
    )
}

/// What a message is as a dead letter, by the daemon's attributes or those of a bus.
fn letter(attributes: &Attributes) -> Option<Letter> {
    let value = |name: &str| attributes.get(name)?.string_value.as_deref();
    let told = |word, words| Some(format!("{}: {}", value(word)?, value(words)?).into());
    let why = told("eventcast.reason", "eventcast.detail");
    Some(Letter {
        why: why.or_else(|| told("ERROR_CODE", "ERROR_MESSAGE"))?,
        was: value("eventcast.message-id").map(Into::into),
    })
}
