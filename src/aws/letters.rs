//! The dead-letter queue from the other side: looking at letters, and sending them back to where they came from.

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

/// What names of a letter's own attributes begin with.
const OWN: &str = "eventcast.";

/// The reason of what a queue's own redrive moved here: it says none.
pub const REDRIVE: &str = "redrive";

/// A letter as it lies in the dead-letter queue.
pub struct Letter {
    /// The queue's id of the letter.
    pub id: String,
    /// The event as it was received.
    pub body: String,
    /// When it was sent to the queue it failed in, or here, by the queue's clock.
    pub sent: Option<Timestamp>,
    /// Why it is here.
    pub reason: String,
    /// One line for a person.
    pub detail: Option<String>,
    /// The route that could not be served.
    pub route: Option<String>,
    /// How often it had been handed out.
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
pub struct Letters {
    client: Client,
    queue: String,
}

impl Letters {
    /// A queue by its URL.
    pub fn new(config: &aws_config::SdkConfig, queue: String) -> Self {
        Self {
            client: Client::new(config),
            queue,
        }
    }

    /// About how many letters there are.
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

    /// Takes up to ten letters and hides them from others for a while. An empty vector means that no more were found.
    ///
    /// # Errors
    /// [`QueueError`] when the queue cannot be received from.
    pub async fn take(&self, hidden: Duration) -> Result<Vec<Letter>, QueueError> {
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
        Ok(messages.into_iter().filter_map(Letter::read).collect())
    }

    /// Lets others see letters again at once; up to ten.
    pub async fn put_back(&self, letters: &[Letter]) -> BatchOutcome {
        let doing = format!("putting letters back into {}", self.queue);
        let handles = letters
            .iter()
            .map(|letter| (letter.receipt.handle(), Duration::ZERO));
        batch::change_visibility(&self.client, &self.queue, &doing, handles).await
    }

    /// Sends up to ten letters to a queue as they were before they failed.
    pub async fn send_to(&self, queue: &str, letters: &[Letter]) -> BatchOutcome {
        let mut outcomes = Vec::with_capacity(letters.len());
        for batch in batches_of(letters, |letter| letter.body.len()) {
            outcomes.extend(self.send_batch(queue, batch).await);
        }
        outcomes
    }

    async fn send_batch(&self, queue: &str, letters: &[Letter]) -> BatchOutcome {
        let fifo = queue.ends_with(".fifo");
        let entries = letters.iter().enumerate().map(|(index, letter)| {
            let others = (!letter.others.is_empty()).then(|| letter.others.clone());
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&letter.body)
                .set_message_attributes(others)
                .set_message_group_id(letter.group.clone())
                // Sent twice, after an interruption in between, it is one message where the queue can tell.
                .set_message_deduplication_id(fifo.then(|| letter.id.clone()));
            match letter.trace.as_deref().map(system_attribute) {
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

    /// Deletes up to ten letters.
    pub async fn delete(&self, letters: &[Letter]) -> BatchOutcome {
        let handles = letters.iter().map(|letter| letter.receipt.handle());
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

impl Letter {
    fn read(message: Message) -> Option<Self> {
        let system = message.attributes.unwrap_or_default();
        let system = |name: MessageSystemAttributeName| system.get(&name).cloned();
        let mut others = message.message_attributes.unwrap_or_default();
        let mut own = |name: &str| {
            let value = others.remove(&format!("{OWN}{name}"));
            value.and_then(|value| value.string_value)
        };
        Some(Self {
            reason: own("reason").unwrap_or_else(|| REDRIVE.to_owned()),
            detail: own("detail"),
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
