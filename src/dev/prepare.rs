//! Setup of a bridge's input: a queue with its dead-letter queue, and a rule of the default bus
//! that matches every event.

use serde_json::{Map, Value, json};

use super::refusal::ApiRefusal;
use super::{ACCOUNT, Platform};

/// Name of the rule.
const RULE: &str = "to-eventcast";

/// Receives of a message before the queue moves it to the dead-letter queue.
const RECEIVES: u32 = 5;

/// Visibility timeout, in seconds: short, since developers stop processes at any moment.
const VISIBILITY: u32 = 30;

/// Queues that receive the events.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Name of the bus.
    pub bus: &'static str,
    /// URL of the queue.
    pub queue: String,
    /// URL of the dead-letter queue.
    pub dead_letter_queue: String,
}

impl Platform {
    /// Creates queues of these names, as on AWS, and sends all events of the default bus to the
    /// first one. `base` is the platform's base URL.
    ///
    /// # Errors
    /// The reason why one of them cannot be created, in one line.
    pub async fn prepare(
        &self,
        base: &str,
        region: &str,
        queue: &str,
        dead_letter_queue: &str,
    ) -> Result<Prepared, String> {
        let is_fifo = |name: &str| name.ends_with(".fifo");
        let fifo = |name: &str| -> Map<String, Value> {
            let attributes = ["FifoQueue", "ContentBasedDeduplication"];
            let attributes = attributes.into_iter().filter(|_| is_fifo(name));
            attributes
                .map(|name| (name.to_owned(), "true".into()))
                .collect()
        };
        let arn = |name: &str| format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}");
        let dead = self
            .queue(dead_letter_queue, fifo(dead_letter_queue), base)
            .await?;
        let redrive =
            json!({ "deadLetterTargetArn": arn(dead_letter_queue), "maxReceiveCount": RECEIVES });
        let mut attributes = fifo(queue);
        attributes.insert("VisibilityTimeout".into(), VISIBILITY.to_string().into());
        attributes.insert("RedrivePolicy".into(), redrive.to_string().into());
        let url = self.queue(queue, attributes, base).await?;
        let pattern = json!({ "source": [{ "prefix": "" }] }).to_string();
        self.bus("PutRule", &json!({ "Name": RULE, "EventPattern": pattern }))?;
        // A FIFO queue requires a message group; null members count as absent.
        let group = is_fifo(queue).then(|| json!({ "MessageGroupId": "events" }));
        let target = json!({ "Id": "eventcast", "Arn": arn(queue), "SqsParameters": group });
        self.bus("PutTargets", &json!({ "Rule": RULE, "Targets": [target] }))?;
        Ok(Prepared {
            bus: "default",
            queue: url,
            dead_letter_queue: dead,
        })
    }

    async fn queue(
        &self,
        name: &str,
        attributes: Map<String, Value>,
        base: &str,
    ) -> Result<String, String> {
        let body = json!({ "QueueName": name, "Attributes": attributes });
        let failed = |error: &str| format!("making the queue `{name}`: {error}");
        let answer = self.queues("CreateQueue", &body, base).await;
        let answer = answer.map_err(|ApiRefusal { message, .. }| failed(&message))?;
        let answer: Value =
            serde_json::from_slice(&answer).map_err(|error| failed(&error.to_string()))?;
        let url = answer.get("QueueUrl").and_then(Value::as_str);
        url.map(str::to_owned)
            .ok_or_else(|| failed("it has no URL"))
    }

    fn bus(&self, action: &str, body: &Value) -> Result<(), String> {
        let done = self.buses(action, body);
        done.map(drop)
            .map_err(|ApiRefusal { message, .. }| format!("{action}: {message}"))
    }

    /// Puts an event on the default bus and returns its id.
    ///
    /// # Errors
    /// The reason why the bus refuses the event, in one line.
    pub fn put_event(
        &self,
        source: &str,
        detail_type: &str,
        detail: &Value,
    ) -> Result<String, String> {
        let entry =
            json!({ "Source": source, "DetailType": detail_type, "Detail": detail.to_string() });
        let answer = self.buses("PutEvents", &json!({ "Entries": [entry] }));
        let answer = answer.map_err(|ApiRefusal { message, .. }| message)?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let member = |name: &str| {
            answer
                .pointer(&format!("/Entries/0/{name}"))
                .and_then(Value::as_str)
        };
        let id = member("EventId").map(str::to_owned);
        id.ok_or_else(|| {
            member("ErrorMessage")
                .unwrap_or("the event was not taken")
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::EndpointOptions;
    use super::*;

    #[tokio::test]
    async fn events_are_led_to_the_queue() {
        for (queue, dead) in [("events", "events-dlq"), ("events.fifo", "dead.fifo")] {
            let platform = Platform::new(EndpointOptions::default());
            let base = "http://127.0.0.1:4566";
            let prepared = platform
                .prepare(base, "us-east-1", queue, dead)
                .await
                .unwrap();
            assert_eq!(prepared.queue, format!("{base}/000000000000/{queue}"));
            let id = platform.put_event("shop", "t", &json!({ "a": 1 })).unwrap();
            let received = platform
                .queues(
                    "ReceiveMessage",
                    &json!({ "QueueUrl": prepared.queue }),
                    base,
                )
                .await
                .unwrap();
            assert!(String::from_utf8(received).unwrap().contains(&id));
            assert!(platform.put_event("aws.s3", "t", &json!({})).is_err());
        }
    }
}
