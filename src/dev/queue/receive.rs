//! Receiving: a long poll, what it shows of each message, and what is moved away because it was handed out too often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::super::sighting::Seen;
use super::super::{ACCOUNT, Answer, body_of};
use super::api::{Queue, Queues, lock};
use super::attributes;
use super::store::{Content, Handed};
use super::wire::{Attribute, Received, Request, attributes_md5, bounded, sequence_number};

impl Queues {
    pub(super) async fn receive(&self, request: &Request) -> Answer {
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
