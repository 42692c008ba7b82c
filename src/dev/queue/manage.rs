//! Making queues, finding them, and what they are told to be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::refusal::Refusal;
use super::super::{ACCOUNT, Answer, body_of};
use super::api::{Queue, Queues, lock};
use super::attributes;
use super::store::Store;
use super::wire::Request;

impl Queues {
    pub(super) fn create(&self, request: &Request, base: &str) -> Answer {
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

    pub(super) fn list(&self, request: &Request) -> Answer {
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let queues = lock(&self.by_name);
        let named = queues.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut urls: Vec<&str> = named.map(|(_, queue)| queue.url.as_str()).collect();
        urls.sort_unstable();
        body_of(&json!({ "QueueUrls": urls }))
    }

    pub(super) fn sources(&self, request: &Request) -> Answer {
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

    pub(super) fn set_attributes(&self, request: &Request) -> Answer {
        let queue = self.queue(request)?;
        attributes::check(&request.attributes)?;
        let mut known = lock(&queue.attributes);
        known.extend(request.attributes.clone());
        lock(&queue.store).settings = attributes::settings(&known);
        Ok(b"{}".to_vec())
    }
}

impl Queue {
    pub(super) fn attributes(&self, asked: &[String]) -> BTreeMap<String, String> {
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
