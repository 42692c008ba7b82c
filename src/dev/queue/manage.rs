//! Creation, lookup and settings of queues.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::refusal::ApiRefusal;
use super::super::{ACCOUNT, ApiResult, body_of};
use super::api::{QueueHandle, QueueService, ServedQueueFacts, lock};
use super::attributes::{
    self, QueueAttributes, asks_for_fifo, change, check_names, defaults, is_told,
};
use super::redrive::{RedrivePolicy, allows, redrive_refusal};
use super::refusals::{deleted_recently, invalid, missing, name_exists, purge_in_progress};
use super::store::QueueStore;
use super::wire::{SqsRequest, bounded};

/// The time that a deleted queue's name is not free, and that lies between two purges (SQS API
/// reference, DeleteQueue and PurgeQueue).
const PAUSE: Duration = Duration::from_secs(60);

/// The most tags of a queue (SQS quotas, "Queue quotas").
const MOST_TAGS: usize = 50;

/// The most queues of one page of a list, which is also the usual number.
const PAGE: usize = 1_000;

impl QueueService {
    pub(super) fn create(&self, request: &SqsRequest, base: &str) -> ApiResult {
        let name = request.queue_name.as_deref().unwrap_or_default();
        let fifo = asks_for_fifo(&request.attributes);
        check_name(name, fifo)?;
        let mut queues = lock(&self.by_name);
        let default = defaults(fifo);
        let set = match queues.get(name) {
            Some(queue) => {
                let known = lock(&queue.facts);
                let asked = change(&known.attributes, &request.attributes)?;
                let asked = request
                    .attributes
                    .keys()
                    .map(|name| (name, asked.get(name)));
                let mut differing =
                    asked.filter(|(name, value)| known.attributes.get(*name) != *value);
                return match differing.next() {
                    Some((name, _)) => Err(name_exists(name)),
                    None => body_of(&json!({ "QueueUrl": queue.url })),
                };
            }
            None => change(&default, &request.attributes)?,
        };
        let now = Instant::now();
        let mut deleted = lock(&self.deleted);
        deleted.retain(|_, at| *at + PAUSE > now);
        if deleted.contains_key(name) {
            return Err(deleted_recently());
        }
        let arn = format!("arn:aws:sqs:{}:{ACCOUNT}:{name}", self.region);
        check_redrive(&queues, &arn, fifo, set.get("RedrivePolicy"))?;
        check_tags(name, &request.create_tags)?;
        let created = Timestamp::now().as_second();
        let queue = QueueHandle {
            name: name.into(),
            url: format!("{base}/{ACCOUNT}/{name}"),
            arn,
            store: Mutex::new(QueueStore::new(
                attributes::settings(&set),
                Arc::clone(&self.held),
            )),
            facts: Mutex::new(ServedQueueFacts {
                attributes: set,
                tags: request.create_tags.clone(),
                modified: created,
                purged: None,
            }),
            news: Notify::new(),
            created,
            sightings: Arc::clone(&self.sightings),
        };
        let answer = body_of(&json!({ "QueueUrl": queue.url }));
        queues.insert(name.to_owned(), Arc::new(queue));
        answer
    }

    pub(super) fn delete_queue(&self, request: &SqsRequest) -> ApiResult {
        let queue = self.queue(request)?;
        let mut deleted = lock(&self.deleted);
        deleted.insert(queue.name.to_string(), Instant::now());
        drop(deleted);
        lock(&self.by_name).retain(|_, known| !Arc::ptr_eq(known, &queue));
        Ok(b"{}".to_vec())
    }

    pub(super) fn list(&self, request: &SqsRequest) -> ApiResult {
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let queues = lock(&self.by_name);
        let named = queues.iter().filter(|(name, _)| name.starts_with(prefix));
        let urls = named.map(|(_, queue)| queue.url.as_str()).collect();
        page("QueueUrls", urls, request)
    }

    pub(super) fn sources(&self, request: &SqsRequest) -> ApiResult {
        let target = self.queue(request)?;
        let queues = lock(&self.by_name);
        let sources = queues.values().filter(|queue| {
            let store = lock(&queue.store);
            let redrive = store.settings().redrive.as_ref();
            redrive.is_some_and(|redrive| redrive.target == target.arn)
        });
        let urls = sources.map(|queue| queue.url.as_str()).collect();
        page("queueUrls", urls, request)
    }

    pub(super) fn set_attributes(&self, request: &SqsRequest) -> ApiResult {
        let queue = self.queue(request)?;
        let policy = request.attributes.get("RedrivePolicy");
        if let Some(policy) = policy.filter(|policy| !policy.is_empty()) {
            // Not with the facts locked: a queue may be its own dead-letter queue.
            let fifo = lock(&queue.store).settings().fifo;
            check_redrive(&lock(&self.by_name), &queue.arn, fifo, Some(policy))?;
        }
        let mut facts = lock(&queue.facts);
        let changed = change(&facts.attributes, &request.attributes)?;
        lock(&queue.store).set(attributes::settings(&changed), Instant::now());
        facts.attributes = changed;
        facts.modified = Timestamp::now().as_second();
        // A shorter delay or another dead-letter queue may give a poll something to do.
        queue.news.notify_one();
        Ok(b"{}".to_vec())
    }
}

/// Refuses names that no queue may have, and those of the other kind of queue.
fn check_name(name: &str, fifo: bool) -> Result<(), ApiRefusal> {
    let stem = name.strip_suffix(".fifo");
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let has_name = !stem.unwrap_or(name).is_empty() && name.len() <= 80;
    if has_name && stem.unwrap_or(name).chars().all(letters) && fifo == stem.is_some() {
        return Ok(());
    }
    Err(match fifo && stem.is_none() {
        true => invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.",
        ),
        false => invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ),
    })
}

/// Refuses a dead-letter queue that cannot be one for this queue.
fn check_redrive(
    queues: &HashMap<String, Arc<QueueHandle>>,
    source: &str,
    fifo: bool,
    policy: Option<&String>,
) -> Result<(), ApiRefusal> {
    let Some(policy) = policy else {
        return Ok(());
    };
    let redrive = RedrivePolicy::parse(policy)?;
    let refuse = |reason: &str| Err(redrive_refusal(policy, reason));
    let target = queues.values().find(|queue| queue.arn == redrive.target);
    let Some(target) = target else {
        return refuse("Dead letter target does not exist.");
    };
    let target = lock(&target.facts);
    if target.attributes.contains_key("FifoQueue") != fifo {
        return refuse("Dead-letter queue must be same type of queue as the source.");
    }
    let allow = target.attributes.get("RedriveAllowPolicy");
    if !allows(allow.map(String::as_str), source) {
        return refuse(
            "The RedriveAllowPolicy of the dead-letter queue does not allow this queue as a source.",
        );
    }
    Ok(())
}

fn check_tags(queue: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiRefusal> {
    if tags.len() > MOST_TAGS {
        return Err(invalid(format!("Too many tags added for queue {queue}.")));
    }
    if tags
        .keys()
        .any(|key| !(1..=128).contains(&key.chars().count()))
    {
        return Err(invalid(
            "Tag keys must be between 1 and 128 characters in length.",
        ));
    }
    let is_reserved = |key: &String| {
        key.get(..4)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("aws:"))
    };
    if let Some(key) = tags.keys().find(|key| is_reserved(key)) {
        return Err(invalid(format!(
            "The tag key '{key}' is invalid. Tag keys that begin with 'aws:' are reserved."
        )));
    }
    if tags.values().any(|value| value.chars().count() > 256) {
        return Err(invalid(
            "Tag values must be between 0 and 256 characters in length.",
        ));
    }
    Ok(())
}

/// One page of a list of URLs; a token is the last URL of the page before.
fn page(member: &str, mut urls: Vec<&str>, request: &SqsRequest) -> ApiResult {
    let (least, most) = (1, PAGE as i64);
    let reason = "Must be between 1 and 1000";
    let count = bounded("MaxResults", request.max_results, (least, most), reason)?;
    urls.sort_unstable();
    if let Some(token) = &request.next_token {
        let last = STANDARD.decode(token).ok();
        let last = last.and_then(|bytes| String::from_utf8(bytes).ok());
        let last = last.ok_or_else(|| invalid("Invalid or expired next token."))?;
        urls.retain(|url| *url > last.as_str());
    }
    let size = count.map_or(PAGE, |count| count as usize);
    // Only a caller that asks for pages learns that there are more.
    let next = urls
        .get(..size)
        .filter(|page| count.is_some() && page.len() < urls.len());
    let next = next
        .and_then(|page| page.last())
        .map(|last| STANDARD.encode(last));
    urls.truncate(size);
    let mut answer = serde_json::Map::new();
    if !urls.is_empty() || member == "queueUrls" {
        answer.insert(member.to_owned(), json!(urls));
    }
    answer.extend(next.map(|token| ("NextToken".to_owned(), token.into())));
    body_of(&answer)
}

impl QueueHandle {
    pub(super) fn told_attributes(&self, asked: &[String]) -> ApiResult {
        check_names(asked)?;
        let facts = lock(&self.facts);
        let counts = lock(&self.store).counts(Instant::now());
        let mut all: QueueAttributes = facts.attributes.clone();
        all.retain(|name, _| is_told(name, &facts.attributes));
        for (name, value) in [
            ("QueueArn", self.arn.clone()),
            ("CreatedTimestamp", self.created.to_string()),
            ("LastModifiedTimestamp", facts.modified.to_string()),
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
        match all.is_empty() {
            true => Ok(b"{}".to_vec()),
            false => body_of(&json!({ "Attributes": all })),
        }
    }

    /// Deletes all messages, once a minute.
    pub(super) fn purge(&self) -> ApiResult {
        let mut facts = lock(&self.facts);
        let now = Instant::now();
        if facts.purged.is_some_and(|at| at + PAUSE > now) {
            return Err(purge_in_progress(&self.name));
        }
        facts.purged = Some(now);
        lock(&self.store).purge();
        Ok(b"{}".to_vec())
    }

    pub(super) fn tag(&self, request: &SqsRequest) -> ApiResult {
        if request.tags.is_empty() {
            return Err(missing("Tags"));
        }
        let mut facts = lock(&self.facts);
        let mut tags = facts.tags.clone();
        tags.extend(request.tags.clone());
        check_tags(&self.name, &tags)?;
        facts.tags = tags;
        Ok(b"{}".to_vec())
    }

    pub(super) fn untag(&self, request: &SqsRequest) -> ApiResult {
        if request.tag_keys.is_empty() {
            return Err(invalid(
                "Tag keys must be between 1 and 128 characters in length.",
            ));
        }
        let mut facts = lock(&self.facts);
        facts.tags.retain(|key, _| !request.tag_keys.contains(key));
        Ok(b"{}".to_vec())
    }

    pub(super) fn told_tags(&self) -> ApiResult {
        match &lock(&self.facts).tags {
            none if none.is_empty() => Ok(b"{}".to_vec()),
            tags => body_of(&json!({ "Tags": tags })),
        }
    }
}
