//! Sending: one message, a batch, or the message of a bus's rule.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::super::refusal::ApiRefusal;
use super::super::sighting::{Letter, Seen};
use super::super::uuid::uuid;
use super::super::{ApiResult, body_of};
use super::api::{QueueHandle, QueueService, lock};
use super::batch::{act_on_each, check_entries};
use super::digest::{attributes_md5, content_id, md5};
use super::held::{MOST_BYTES, MOST_MESSAGES};
use super::limits::{LARGEST_MESSAGE, check_message, size};
use super::message::MessageContent;
use super::refusals::{batch, invalid, invalid_value, missing, no_queue, over_limit};
use super::wire::{
    InternalMessage, MessageAttribute, MessageAttributes, SendAnswer, SqsEntry, SqsRequest,
    sequence_number,
};

/// Options of a send, beside the message.
#[derive(Clone, Copy, Default)]
struct SendOptions<'s> {
    /// The `X-Amzn-Trace-Id` of the call.
    trace: Option<&'s str>,
    in_batch: bool,
}

/// The settings of a queue that sending depends on.
#[derive(Clone, Copy)]
struct SendRules {
    largest: usize,
    fifo: bool,
    content_deduplication: bool,
}

impl QueueService {
    /// Sends a message to the queue with an ARN, as a rule of a bus does.
    pub(in crate::dev) fn deliver(
        &self,
        arn: &str,
        message: InternalMessage,
    ) -> Result<(), ApiRefusal> {
        let queue = self.by_name(arn.rsplit(':').next().unwrap_or_default())?;
        if queue.arn != arn {
            return Err(no_queue());
        }
        self.make_room()?;
        queue
            .send(&message.into(), SendOptions::default())
            .map(drop)
    }

    pub(super) fn send(&self, request: &mut SqsRequest, trace: Option<&str>) -> ApiResult {
        let queue = self.queue(request)?;
        self.make_room()?;
        let sending = SendOptions {
            trace,
            in_batch: false,
        };
        body_of(&queue.send(&request.take_entry(), sending)?)
    }

    pub(super) fn send_batch(&self, request: &SqsRequest, trace: Option<&str>) -> ApiResult {
        let queue = self.queue(request)?;
        let entries = request.entries.as_deref().unwrap_or_default();
        check_entries("SendMessageBatch", entries)?;
        let bytes = entries.iter().map(size).sum::<usize>();
        if bytes > LARGEST_MESSAGE {
            return Err(batch(
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
                format!(
                    "Batch requests cannot be longer than {LARGEST_MESSAGE} bytes. You have sent {bytes} bytes."
                ),
            ));
        }
        let rules = queue.send_rules();
        for entry in entries {
            // Recorded: these refuse the whole batch, both with the same code.
            let fifo = rules.check_fifo(entry);
            fifo.map_err(|refusal| invalid(refusal.message))?;
        }
        self.make_room()?;
        let sending = SendOptions {
            trace,
            in_batch: true,
        };
        act_on_each(entries, |entry| queue.send(entry, sending))
    }

    /// Refuses if all queues together hold too much, even after expired messages are removed.
    fn make_room(&self) -> Result<(), ApiRefusal> {
        if !self.held.is_full() {
            return Ok(());
        }
        let now = Instant::now();
        for queue in lock(&self.by_name).values() {
            lock(&queue.store).advance(now);
        }
        if !self.held.is_full() {
            return Ok(());
        }
        Err(over_limit(format!(
            "eventcast dev holds at most {MOST_MESSAGES} messages and {MOST_BYTES} bytes in all queues together."
        )))
    }
}

impl QueueHandle {
    fn send(&self, entry: &SqsEntry, sending: SendOptions<'_>) -> Result<SendAnswer, ApiRefusal> {
        check_message(entry)?;
        let rules = self.send_rules();
        rules.check(entry, sending.in_batch)?;
        let body = entry.message_body.as_deref().unwrap_or_default();
        let body_md5 = md5(body.as_bytes());
        let named = |attributes: &MessageAttributes| {
            let all = attributes.iter();
            attributes_md5(
                all.map(|(name, value): (&String, &MessageAttribute)| (name.as_str(), value)),
            )
        };
        let system = &entry.message_system_attributes;
        let trace = system.get("AWSTraceHeader");
        let trace = trace.and_then(|trace| trace.string_value.as_deref());
        let by_content = || content_id(body).into();
        let content = MessageContent {
            id: uuid().into(),
            body: Value::from(body).to_string().into(),
            body_md5: body_md5.as_str().into(),
            attributes: Arc::new(entry.message_attributes.clone()),
            trace_header: trace.or(sending.trace).map(Into::into),
            group: entry.message_group_id.as_deref().map(Into::into),
            deduplication: match &entry.message_deduplication_id {
                Some(id) => Some(id.as_str().into()),
                None => rules.fifo.then(by_content),
            },
            sent: Timestamp::now().as_millisecond(),
            moved_from: None,
        };
        let delay = entry
            .delay_seconds
            .and_then(|delay| u64::try_from(delay).ok());
        // The delay of a FIFO queue counts for each of its messages.
        let delay = delay.filter(|_| !rules.fifo).map(Duration::from_secs);
        let quoted = Arc::clone(&content.body);
        let mut store = lock(&self.store);
        let (message_id, sequence) = store.send(content, delay, Instant::now());
        // Reported before anybody can receive it.
        self.sightings.tell(|| Seen::Queued {
            queue: Arc::clone(&self.name),
            message_id: Arc::clone(&message_id),
            body: quoted,
            from: entry.from.clone(),
            dead_letter: letter(&entry.message_attributes),
        });
        drop(store);
        self.news.notify_one();
        Ok(SendAnswer {
            id: entry.id.clone(),
            message_id: message_id.to_string(),
            body_md5,
            attributes_md5: named(&entry.message_attributes),
            system_attributes_md5: named(system),
            sequence_number: rules.fifo.then(|| sequence_number(sequence)),
        })
    }

    fn send_rules(&self) -> SendRules {
        let store = lock(&self.store);
        let settings = store.settings();
        SendRules {
            largest: settings.largest,
            fifo: settings.fifo,
            content_deduplication: settings.content_deduplication,
        }
    }
}

impl SendRules {
    /// Refuses a message without the ids that a FIFO queue needs.
    fn check_fifo(self, entry: &SqsEntry) -> Result<(), ApiRefusal> {
        if self.fifo && entry.message_group_id.is_none() {
            return Err(missing("MessageGroupId"));
        }
        let has_id = entry.message_deduplication_id.is_some() || self.content_deduplication;
        if self.fifo && !has_id {
            return Err(invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
            ));
        }
        Ok(())
    }

    /// Refuses a message that this queue does not take.
    fn check(self, entry: &SqsEntry, in_batch: bool) -> Result<(), ApiRefusal> {
        let not_for_kind = |name: &str, value: &str| {
            let reason = "The request include parameter that is not valid for this queue type.";
            Err(invalid_value(name, value, reason))
        };
        match (&entry.message_deduplication_id, entry.delay_seconds) {
            (Some(id), _) if !self.fifo => return not_for_kind("MessageDeduplicationId", id),
            (_, Some(delay)) if self.fifo && delay > 0 => {
                return not_for_kind("DelaySeconds", &delay.to_string());
            }
            _ => {}
        }
        self.check_fifo(entry)?;
        let bytes = size(entry);
        if bytes > self.largest {
            let told = if in_batch {
                "cannot be validated"
            } else {
                "are invalid"
            };
            let most = self.largest;
            return Err(invalid(format!(
                "One or more parameters {told}. Reason: Message must be shorter than {most} bytes."
            )));
        }
        Ok(())
    }
}

/// Facts of a dead-letter message, by the daemon's attributes or those of a bus.
fn letter(attributes: &MessageAttributes) -> Option<Letter> {
    let value = |name: &str| attributes.get(name)?.string_value.as_deref();
    let told = |word, words| Some(format!("{}: {}", value(word)?, value(words)?).into());
    let why = told("eventcast.reason", "eventcast.detail");
    Some(Letter {
        why: why.or_else(|| told("ERROR_CODE", "ERROR_MESSAGE"))?,
        was: value("eventcast.message-id").map(Into::into),
    })
}
