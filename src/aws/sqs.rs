//! SQS as the daemon's queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use super::batch::{self, batches_of};
use super::error;
use super::received::ReadReceived;
use crate::event::trace;
use crate::log_limit::LogLimit;
use crate::port::{
    BatchOutcome, DeadLetter, Delivery, Hold, Queue, QueueError, QueueFacts, Receipt,
};

/// The longest text of an attribute that describes a failure: a line for a person, and well below
/// SQS's bounds.
const DETAIL_BYTES: usize = 1_024;

/// One queue, and the dead-letter queue for messages that can never be published.
pub struct Sqs {
    client: Client,
    queue: String,
    dead_letter_queue: Option<String>,
    /// Visibility timeout of a received message: the queue's own setting, read before the first
    /// receive.
    visibility: Duration,
    /// Messages that were left out of what was received.
    unusable: AtomicU64,
}

/// Reason why a message that was received cannot be worked on. SQS sends none of these; a proxy or
/// an emulator may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
enum Unusable {
    /// It could be neither named nor distinguished from others.
    #[error("it has no MessageId")]
    MessageId,
    /// It could not be settled.
    #[error("it has no ReceiptHandle")]
    ReceiptHandle,
    /// A dead-letter message could not hold it unchanged.
    #[error("its Body or one of its attributes is missing or not text")]
    Body,
}

static UNUSABLE: LogLimit<Unusable> = LogLimit::new();

impl Sqs {
    /// Connects to a queue and reads its settings.
    ///
    /// # Errors
    /// [`QueueError`] when the queue does not exist, may not be read, or cannot be reached.
    pub async fn open(
        config: &aws_config::SdkConfig,
        queue: String,
        dead_letter_queue: Option<String>,
    ) -> Result<Self, QueueError> {
        let config = aws_sdk_sqs::config::Builder::from(config).interceptor(ReadReceived);
        let mut sqs = Self {
            client: Client::from_conf(config.build()),
            queue,
            dead_letter_queue,
            visibility: Duration::ZERO,
            unusable: AtomicU64::new(0),
        };
        sqs.visibility = sqs.describe().await?.visibility;
        Ok(sqs)
    }

    fn delivery(&self, message: Message, received: Instant) -> Result<Delivery, Unusable> {
        let attribute = |name: &MessageSystemAttributeName| {
            message.attributes.as_ref().and_then(|all| all.get(name))
        };
        let attempt = attribute(&MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        let group = attribute(&MessageSystemAttributeName::MessageGroupId)
            .map(|group| group.as_str().into());
        let sent = attribute(&MessageSystemAttributeName::SentTimestamp)
            .and_then(|milliseconds| milliseconds.parse().ok())
            .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok());
        let traceparent = attribute(&MessageSystemAttributeName::AwsTraceHeader)
            .and_then(|header| trace::from_xray(header))
            .map(String::into_boxed_str);
        let id = message.message_id.ok_or(Unusable::MessageId)?;
        let receipt = message.receipt_handle.ok_or(Unusable::ReceiptHandle)?;
        let body = message.body.ok_or(Unusable::Body)?;
        Ok(Delivery {
            attempt,
            traceparent,
            group,
            sent,
            id: id.into(),
            body: Bytes::from(body),
            receipt: Receipt::new(receipt),
            lease: received + self.visibility,
        })
    }
}

impl Queue for Sqs {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(i32::try_from(max.clamp(1, 10)).unwrap_or(10))
            .wait_time_seconds(i32::try_from(wait.as_secs().min(20)).unwrap_or(20))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .send()
            .await
            .map_err(|error| error::queue(&format!("receiving from {}", self.queue), &error))?;
        let messages = answer.messages.unwrap_or_default();
        // The call may have waited its whole time: the answer's arrival is the best guess at when
        // the queue handed them out. It is late by the way from there to here. Code that relies on
        // the visibility timeout leaves room for that.
        let received = Instant::now();
        let mut deliveries = Vec::with_capacity(messages.len());
        for message in messages {
            // Only what is left out needs a copy of its id.
            let id = match (&message.body, &message.receipt_handle) {
                (Some(_), Some(_)) => None,
                _ => message.message_id.clone(),
            };
            match self.delivery(message, received) {
                Ok(delivery) => deliveries.push(delivery),
                Err(why) => self.left_out(id.as_deref(), why),
            }
        }
        Ok(deliveries)
    }

    fn unusable(&self) -> u64 {
        self.unusable.load(Ordering::Relaxed)
    }

    async fn delete(&self, receipts: &[Receipt]) -> BatchOutcome {
        let handles = receipts.iter().map(Receipt::handle);
        batch::delete(&self.client, &self.queue, handles).await
    }

    async fn change_visibility(&self, holds: &[(Hold, Duration)]) -> BatchOutcome {
        let doing = format!("changing the visibility of messages of {}", self.queue);
        let handles = holds.iter().map(|(hold, after)| (hold.handle(), *after));
        batch::change_visibility(&self.client, &self.queue, &doing, handles).await
    }

    async fn bury(&self, letters: &[DeadLetter]) -> Option<BatchOutcome> {
        let queue = self.dead_letter_queue.as_deref()?;
        let mut outcomes = Vec::with_capacity(letters.len());
        for batch in batches_of(letters, |letter| letter.body.len()) {
            outcomes.extend(self.bury_batch(queue, batch).await);
        }
        Some(outcomes)
    }

    async fn describe(&self) -> Result<QueueFacts, QueueError> {
        let attributes = read_attributes(&self.client, &self.queue)
            .await
            .map_err(|error| unreadable(&self.queue, &error))?;
        let value = |name: QueueAttributeName| attributes.get(name.as_str()).map(String::as_str);
        Ok(QueueFacts {
            visibility: value(QueueAttributeName::VisibilityTimeout)
                .and_then(|seconds| seconds.parse().ok())
                .map_or(Duration::from_secs(30), Duration::from_secs),
            fifo: value(QueueAttributeName::FifoQueue) == Some("true"),
            backlog: value(QueueAttributeName::ApproximateNumberOfMessages)
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
            max_receives: value(QueueAttributeName::RedrivePolicy).and_then(max_receives),
        })
    }
}

impl Sqs {
    /// Counts a message that cannot be worked on. It stays in the queue: it comes again when its
    /// visibility timeout ends, until the queue's redrive policy moves it, unchanged, to the
    /// dead-letter queue.
    fn left_out(&self, message_id: Option<&str>, why: Unusable) {
        self.unusable.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = UNUSABLE.admit(why) {
            let queue = &self.queue;
            tracing::error!(queue, message_id, %why, suppressed, "message received that cannot be worked on: it is left to the queue's redrive");
        }
    }

    async fn bury_batch(&self, queue: &str, letters: &[DeadLetter]) -> BatchOutcome {
        let entries = letters.iter().enumerate().map(|(index, letter)| {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(String::from_utf8_lossy(&letter.body))
                .set_message_group_id(letter.group.as_deref().map(str::to_owned))
                // Dead-lettered twice, after a crash in between, it is one message where the queue
                // can detect that.
                .set_message_deduplication_id(letter.group.as_ref().map(|_| letter.id.to_string()));
            letter_attributes(letter)
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .fold(entry, |entry, (name, value)| {
                    entry.message_attributes(name, text_attribute(value))
                })
                .build()
        });
        let doing = format!("sending to the dead-letter queue {queue}");
        batch::send(&self.client, queue, &doing, entries).await
    }
}

/// A queue's redrive policy; the count is a number or text, depending on its writer.
#[derive(serde::Deserialize)]
struct Redrive {
    #[serde(rename = "maxReceiveCount")]
    max_receive_count: serde_json::Value,
}

/// Number of receives of a message that a redrive policy allows.
pub fn max_receives(policy: &str) -> Option<u32> {
    let redrive: Redrive = serde_json::from_str(policy).ok()?;
    match &redrive.max_receive_count {
        serde_json::Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| number.try_into().ok()),
    }
}

/// All attributes of a queue, by SQS's names; `None` when there is no such queue.
///
/// # Errors
/// [`QueueError`] when the queue may not be read, or cannot be reached.
pub async fn attributes(
    config: &aws_config::SdkConfig,
    queue: &str,
) -> Result<Option<HashMap<String, String>>, QueueError> {
    match read_attributes(&Client::new(config), queue).await {
        Ok(attributes) => Ok(Some(attributes)),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetQueueAttributesError::is_queue_does_not_exist) =>
        {
            Ok(None)
        }
        Err(error) => Err(unreadable(queue, &error)),
    }
}

fn unreadable(queue: &str, error: &SdkError<GetQueueAttributesError>) -> QueueError {
    error::queue(&format!("reading the attributes of {queue}"), error)
}

async fn read_attributes(
    client: &Client,
    queue: &str,
) -> Result<HashMap<String, String>, SdkError<GetQueueAttributesError>> {
    let answer = client
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await?;
    let attributes = answer.attributes.unwrap_or_default().into_iter();
    Ok(attributes
        .map(|(name, value)| (name.as_str().to_owned(), value))
        .collect())
}

/// Attributes of a dead-letter message, with its reason and origin.
fn letter_attributes(letter: &DeadLetter) -> [(&'static str, String); 5] {
    let mut detail = letter.detail.clone();
    let mut end = detail.len().min(DETAIL_BYTES);
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    detail.truncate(end);
    [
        ("eventcast.reason", letter.reason.to_owned()),
        ("eventcast.detail", detail),
        (
            "eventcast.route",
            letter.route.as_deref().unwrap_or_default().to_owned(),
        ),
        ("eventcast.attempt", letter.attempt.to_string()),
        ("eventcast.message-id", letter.id.to_string()),
    ]
}

fn text_attribute(value: String) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value);
    #[expect(
        clippy::expect_used,
        reason = "the data type is the only required field, and it is set"
    )]
    builder.build().expect("a data type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(bytes: usize) -> DeadLetter {
        DeadLetter {
            id: "m".into(),
            body: Bytes::from(vec![b'x'; bytes]),
            group: None,
            reason: "too_large",
            detail: "é".repeat(DETAIL_BYTES),
            route: None,
            attempt: 2,
        }
    }

    #[test]
    fn attributes_are_cut_between_characters() {
        let [_, (name, detail), ..] = letter_attributes(&letter(1));
        assert_eq!((name, detail.len()), ("eventcast.detail", DETAIL_BYTES));
    }
}
