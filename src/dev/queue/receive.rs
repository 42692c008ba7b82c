//! Receiving: a long poll, the attributes shown of each message, and the redrive of messages that
//! were received too often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::super::refusal::ApiRefusal;
use super::super::sighting::Seen;
use super::super::{ACCOUNT, ApiResult, body_of};
use super::api::{QueueHandle, QueueService, lock};
use super::digest::attributes_md5;
use super::message::{ReceivedMessage, RedrivenMessage};
use super::refusals::{over_limit, unknown_attribute};
use super::store::LONGEST_VISIBILITY;
use super::wire::{MessageAttribute, ReceivedAnswer, SqsRequest, bounded, sequence_number};

/// The system attributes of a message (SQS API reference, ReceiveMessage).
const SYSTEM_ATTRIBUTES: [&str; 9] = [
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

/// A checked ReceiveMessage.
struct ReceiveRequest {
    most: usize,
    visibility: Option<Duration>,
    until: Instant,
    waits: bool,
}

impl ReceiveRequest {
    fn of(request: &mut SqsRequest, queue: &QueueHandle) -> Result<Self, ApiRefusal> {
        let names = request.attribute_names.iter();
        let mut names = names.chain(&request.message_system_attribute_names);
        let is_unknown =
            |name: &&String| *name != "All" && !SYSTEM_ATTRIBUTES.contains(&name.as_str());
        if let Some(unknown) = names.find(is_unknown) {
            return Err(unknown_attribute(unknown));
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let (least, most) = (1, 10);
        let count = request.max_number_of_messages;
        let reason = "Must be between 1 and 10";
        let count = bounded("MaxNumberOfMessages", count, (least, most), reason)?;
        let wait = request.wait_time_seconds;
        let wait = bounded("WaitTimeSeconds", wait, (0, 20), "Must be >= 0 and <= 20")?;
        let visibility = request.take_entry().visibility_timeout;
        let longest = i64::try_from(LONGEST_VISIBILITY.as_secs()).unwrap_or(i64::MAX);
        let reason = "Must be between 0 and 43200";
        let visibility = bounded("VisibilityTimeout", visibility, (0, longest), reason)?;
        let usual = || lock(&queue.store).settings().wait;
        let wait = wait.map_or_else(usual, seconds);
        Ok(Self {
            most: count.unwrap_or(1) as usize,
            visibility: visibility.map(seconds),
            until: Instant::now() + wait,
            waits: !wait.is_zero(),
        })
    }
}

impl QueueService {
    pub(super) async fn receive(&self, request: &mut SqsRequest) -> ApiResult {
        let queue = self.queue(request)?;
        let poll = ReceiveRequest::of(request, &queue)?;
        let handed = loop {
            // Listening begins before looking, so that nothing sent in between is missed.
            let news = queue.news.notified();
            let now = Instant::now();
            let target = self.dead_letter_queue(&queue);
            let (receive, fifo, timer) = {
                let mut store = lock(&queue.store);
                let milliseconds = Timestamp::now().as_millisecond();
                let redrive = target.is_some();
                let receive = store.receive(poll.most, poll.visibility, redrive, milliseconds, now);
                (receive, store.settings().fifo, store.next_timer())
            };
            if let Some(target) = target {
                self.redrive(&queue, &target, receive.moved);
            }
            if receive.is_full && !fifo && !poll.waits {
                return Err(over_limit(
                    "The maximum number of in flight messages is reached.",
                ));
            }
            if !receive.handed.is_empty() || now >= poll.until {
                break receive.handed;
            }
            let until = timer.map_or(poll.until, |timer| timer.min(poll.until));
            let _ = timeout_at(until, news).await;
        };
        if handed.len() == poll.most {
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
        let received: Vec<ReceivedAnswer<'_>> = handed
            .iter()
            .map(|message| received(message, request))
            .collect();
        if received.is_empty() {
            return Ok(b"{}".to_vec());
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct ReceiveAnswer<'m> {
            messages: Vec<ReceivedAnswer<'m>>,
        }
        body_of(&ReceiveAnswer { messages: received })
    }

    /// The queue that a queue's dead-letter messages are moved to. They stay if that queue is gone,
    /// or is the queue itself.
    fn dead_letter_queue(&self, queue: &QueueHandle) -> Option<Arc<QueueHandle>> {
        let store = lock(&queue.store);
        let arn = &store.settings().redrive.as_ref()?.target;
        let name = arn.rsplit(':').next()?.to_owned();
        drop(store);
        // Moved to itself, a message would be moved again at once, for ever.
        if *name == *queue.name {
            return None;
        }
        self.by_name(&name).ok()
    }

    /// Moves messages that were received too often to the queue's dead-letter queue.
    fn redrive(&self, queue: &QueueHandle, target: &QueueHandle, moved: Vec<RedrivenMessage>) {
        let now = Instant::now();
        for mut moved in moved {
            self.sightings.tell(|| Seen::Redriven {
                queue: Arc::clone(&queue.name),
                message_id: Arc::clone(&moved.content.id),
                to: target.name.as_ref().into(),
            });
            moved.content.moved_from = Some(queue.arn.as_str().into());
            lock(&target.store).take_moved(moved, now);
            target.news.notify_one();
        }
    }
}

fn received<'m>(message: &'m ReceivedMessage, request: &SqsRequest) -> ReceivedAnswer<'m> {
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
        ("DeadLetterQueueSourceArn", text(&content.moved_from)),
    ];
    let attributes = attributes
        .into_iter()
        .filter(|(name, _)| asked(name))
        .filter_map(|(name, value)| Some((name, value?)));
    let wanted = |name: &str| {
        request.message_attribute_names.iter().any(|asked| {
            matches!(asked.as_str(), "All" | "*")
                || asked == name
                || asked
                    .strip_suffix(".*")
                    .is_some_and(|prefix| name.starts_with(prefix))
        })
    };
    let message_attributes: BTreeMap<&str, &MessageAttribute> = content
        .attributes
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    ReceivedAnswer {
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
