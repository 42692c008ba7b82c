//! The dead-letter queue from the operator's side: messages are looked at, deleted, and sent back to
//! the queue that they came from.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};
use jiff::Timestamp;

use super::batch::{self, batches_of};
use super::error;
use crate::port::{BatchOutcome, QueueError, Receipt};

/// Prefix of the attributes that the daemon adds to a dead-letter message.
const OWN: &str = "eventcast.";

/// Reason of a message without one: a queue's own redrive moved it here.
pub const REDRIVE: &str = "redrive";

/// Reason of a message that EventBridge could not deliver to the target of a rule.
pub const UNDELIVERED: &str = "undelivered";

/// Attributes that EventBridge gives an event in the dead-letter queue of a target (EventBridge
/// user guide, "Using dead-letter queues to process undelivered events",
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>). A replay leaves
/// them out.
const OF_EVENTBRIDGE: [&str; 6] = [
    RULE_ARN,
    "TARGET_ARN",
    "ERROR_CODE",
    "ERROR_MESSAGE",
    "EXHAUSTED_RETRY_CONDITION",
    "RETRY_ATTEMPTS",
];

/// The one that every such event has.
const RULE_ARN: &str = "RULE_ARN";

/// Message group of a replay to a FIFO queue, where a message has none: it comes from a standard
/// queue, the only kind that EventBridge takes as a dead-letter queue.
const REPLAY_GROUP: &str = "eventcast-replay";

/// A message as the dead-letter queue holds it.
pub struct DeadLetterMessage {
    /// The id that the dead-letter queue gave it.
    pub id: String,
    /// The event as it was received.
    pub body: String,
    /// Time at which it was sent to the queue it failed in, or here, by the queue's clock.
    pub sent: Option<Timestamp>,
    /// Reason why it was dead-lettered.
    pub reason: String,
    /// One line for a person.
    pub detail: Option<String>,
    /// The route that could not be served.
    pub route: Option<String>,
    /// Number of receives in the queue that it failed in.
    pub attempt: Option<u32>,
    /// The id it had in the queue it failed in.
    pub message_id: Option<String>,
    /// The message group.
    pub group: Option<String>,
    /// The right to settle it.
    pub receipt: Receipt,
    trace: Option<String>,
    others: HashMap<String, MessageAttributeValue>,
}

/// A dead-letter queue.
pub struct DeadLetterQueue {
    client: Client,
    queue: String,
}

impl DeadLetterQueue {
    /// A queue by its URL.
    pub fn new(config: &aws_config::SdkConfig, queue: String) -> Self {
        Self {
            client: Client::new(config),
            queue,
        }
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.queue
    }

    /// Returns `true` if the queue keeps order within message groups. A FIFO queue's name ends in
    /// `.fifo`.
    pub fn is_fifo(&self) -> bool {
        self.queue.ends_with(".fifo")
    }

    /// The approximate number of messages that can be received.
    ///
    /// # Errors
    /// [`QueueError`] when the queue does not exist, may not be read, or cannot be reached.
    pub async fn count(&self) -> Result<u64, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue)
            .attribute_names(name.clone())
            .send()
            .await
            .map_err(|error| {
                error::queue(&format!("reading the attributes of {}", self.queue), &error)
            })?;
        let count = answer.attributes.and_then(|mut all| all.remove(&name));
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Receives up to ten messages and hides them from others for a while. An empty vector means that
    /// no more were found. Not cancel safe: messages of a dropped call stay hidden.
    ///
    /// # Errors
    /// [`QueueError`] when the queue cannot be received from.
    pub async fn receive(&self, hidden: Duration) -> Result<Vec<DeadLetterMessage>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(10)
            // A short poll asks only some of a queue's servers.
            .wait_time_seconds(1)
            .visibility_timeout(i32::try_from(hidden.as_secs()).unwrap_or(43_200))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|error| error::queue(&format!("receiving from {}", self.queue), &error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages
            .into_iter()
            .filter_map(DeadLetterMessage::read)
            .collect())
    }

    /// Makes up to ten messages visible again at once.
    pub async fn release(&self, messages: &[DeadLetterMessage]) -> BatchOutcome {
        let doing = format!("making messages of {} visible again", self.queue);
        let handles = messages
            .iter()
            .map(|message| (message.receipt.handle(), Duration::ZERO));
        batch::change_visibility(&self.client, &self.queue, &doing, handles).await
    }

    /// Sends up to ten messages to a queue as they were before they failed.
    pub async fn send_to(&self, queue: &str, messages: &[DeadLetterMessage]) -> BatchOutcome {
        let mut outcomes = Vec::with_capacity(messages.len());
        for batch in batches_of(messages, |message| message.body.len()) {
            outcomes.extend(self.send_batch(queue, batch).await);
        }
        outcomes
    }

    async fn send_batch(&self, queue: &str, messages: &[DeadLetterMessage]) -> BatchOutcome {
        let fifo = queue.ends_with(".fifo");
        let entries = messages.iter().enumerate().map(|(index, message)| {
            let others = (!message.others.is_empty()).then(|| message.others.clone());
            let group = message.group.clone();
            let group = group.or_else(|| fifo.then(|| REPLAY_GROUP.to_owned()));
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .set_message_attributes(others)
                .set_message_group_id(group)
                // Sent twice, after an interruption in between, it is one message where the queue
                // can detect that.
                .set_message_deduplication_id(fifo.then(|| message.id.clone()));
            match message.trace.as_deref().map(system_attribute) {
                Some(Ok(trace)) => entry.message_system_attributes(
                    MessageSystemAttributeNameForSends::AwsTraceHeader,
                    trace,
                ),
                _ => entry,
            }
            .build()
        });
        batch::send(&self.client, queue, &format!("sending to {queue}"), entries).await
    }

    /// Deletes up to ten messages.
    pub async fn delete(&self, messages: &[DeadLetterMessage]) -> BatchOutcome {
        let handles = messages.iter().map(|message| message.receipt.handle());
        batch::delete(&self.client, &self.queue, handles).await
    }
}

fn system_attribute(
    text: &str,
) -> Result<MessageSystemAttributeValue, aws_sdk_sqs::error::BuildError> {
    MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(text)
        .build()
}

impl DeadLetterMessage {
    /// The event's id, where the body is an event.
    pub fn event_id(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Event {
            id: String,
        }
        let event = serde_json::from_str::<Event>(&self.body).ok()?;
        Some(event.id)
    }

    /// Returns `true` if an id means this message: its own, that of the original message, or the
    /// event's.
    pub fn has_id(&self, id: &str) -> bool {
        self.id == id
            || self.message_id.as_deref() == Some(id)
            || self.event_id().is_some_and(|event| event == id)
    }

    fn read(message: Message) -> Option<Self> {
        let system = message.attributes.unwrap_or_default();
        let system = |name: MessageSystemAttributeName| system.get(&name).cloned();
        let mut others = message.message_attributes.unwrap_or_default();
        let undelivered = Undelivered::take(&mut others);
        let mut own = |name: &str| {
            let value = others.remove(&format!("{OWN}{name}"));
            value.and_then(|value| value.string_value)
        };
        let (reason, detail) = undelivered.map_or((REDRIVE.to_owned(), None), |undelivered| {
            (UNDELIVERED.to_owned(), Some(undelivered.detail))
        });
        Some(Self {
            reason: own("reason").unwrap_or(reason),
            detail: own("detail").or(detail),
            route: own("route"),
            attempt: own("attempt").and_then(|attempt| attempt.parse().ok()),
            message_id: own("message-id"),
            sent: system(MessageSystemAttributeName::SentTimestamp)
                .and_then(|milliseconds| milliseconds.parse().ok())
                .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok()),
            group: system(MessageSystemAttributeName::MessageGroupId),
            trace: system(MessageSystemAttributeName::AwsTraceHeader),
            id: message.message_id?,
            body: message.body.unwrap_or_default(),
            receipt: Receipt::new(message.receipt_handle?),
            others,
        })
    }
}

/// An event that EventBridge could not deliver.
struct Undelivered {
    /// The error and the rule.
    detail: String,
}

impl Undelivered {
    /// Takes the attributes of EventBridge out of a message's; `None` where it has none.
    fn take(attributes: &mut HashMap<String, MessageAttributeValue>) -> Option<Self> {
        if !attributes.contains_key(RULE_ARN) {
            return None;
        }
        let [rule, _, code, message, condition, retries] = OF_EVENTBRIDGE.map(|name| {
            let value = attributes.remove(name);
            value.and_then(|value| value.string_value)
        });
        let rule = rule?;
        let parts = [
            code,
            message,
            condition,
            retries.map(|n| format!("after {n} retries")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        Some(Self {
            detail: format!("{}, by {rule}", parts.join(": ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(&str, &str)]) -> DeadLetterMessage {
        let mut message = Message::builder().message_id("1").receipt_handle("r");
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(*value);
            message = message.message_attributes(*name, value.build().unwrap());
        }
        DeadLetterMessage::read(message.build()).unwrap()
    }

    #[test]
    fn reasons() {
        let rule = "arn:aws:events:eu-central-1:123456789012:rule/shop/eventcast";
        let undelivered = message(&[
            ("RULE_ARN", rule),
            ("TARGET_ARN", "arn:aws:sqs:eu-central-1:123456789012:events"),
            ("ERROR_CODE", "NO_PERMISSIONS"),
            ("ERROR_MESSAGE", "the queue's policy refuses"),
            ("tenant", "x"),
        ]);
        assert_eq!(undelivered.reason, UNDELIVERED);
        assert_eq!(
            undelivered.detail.unwrap(),
            format!("NO_PERMISSIONS: the queue's policy refuses, by {rule}")
        );
        // Attributes that EventBridge added are not sent back; those of the event are.
        assert_eq!(undelivered.others.keys().collect::<Vec<_>>(), ["tenant"]);
        let exhausted = message(&[
            ("RULE_ARN", rule),
            ("ERROR_CODE", "SDK_CLIENT_ERROR"),
            ("EXHAUSTED_RETRY_CONDITION", "MaximumRetryAttempts"),
            ("RETRY_ATTEMPTS", "185"),
        ]);
        assert_eq!(
            exhausted.detail.unwrap(),
            format!("SDK_CLIENT_ERROR: MaximumRetryAttempts: after 185 retries, by {rule}")
        );
        assert_eq!(message(&[]).reason, REDRIVE);
        let own = message(&[("eventcast.reason", "too_large"), ("RULE_ARN", rule)]);
        assert_eq!(own.reason, "too_large");
        // An attribute of the same name on an event of the platform's own is none of EventBridge's.
        let other = message(&[("ERROR_CODE", "7")]);
        assert_eq!((other.reason.as_str(), other.others.len()), (REDRIVE, 1));
    }
}
