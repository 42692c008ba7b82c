//! Rules of classic buses: their targets, and the dead-letter queues of those.

use bytes::Bytes;
use serde_json::Value;

use super::findings::Findings;
use super::look::{FoundValue, each, flag, has_open, look, member, number, path, text};
use super::queues::{delivers, redrive};
use super::statements::Sender;
use super::template::Resource;
use super::templates::{QueueReference, Templates, is_fifo, queue_name};
use crate::config::Config;
use crate::config::queue_name::QueueName;
use crate::event::envelope::Envelope;
use crate::event::pattern::Pattern;
use crate::event::pattern::explain::PatternExplainer;
use crate::event::pattern::tree::TreeValue;
use crate::event::scan::scan;

/// An outage of the target that EventBridge should outlast.
const SHORT_AGE_SECONDS: u64 = 3_600;

pub(super) fn check(templates: &Templates<'_>, config: Option<&Config>, findings: &mut Findings) {
    for rule in templates.of_kind("AWS::Events::Rule") {
        let targets = member(&rule.properties, "Targets")
            .map(each)
            .unwrap_or_default();
        let to_queues: Vec<&TreeValue> = targets
            .iter()
            .filter(|target| is_queue(templates, rule, target))
            .collect();
        if to_queues.is_empty() {
            continue;
        }
        state(rule, findings);
        if let Some(config) = config {
            routes(rule, config, findings);
        }
        for target in to_queues {
            if let Some(arn) = member(target, "Arn") {
                QueueTarget {
                    templates,
                    rule,
                    target,
                    arn,
                }
                .check(config, findings);
            }
        }
    }
}

fn is_queue(templates: &Templates<'_>, rule: &Resource, target: &TreeValue) -> bool {
    let arn = member(target, "Arn");
    arn.is_some_and(|arn| !matches!(templates.queue(rule, arn), QueueReference::Unknown))
}

fn state(rule: &Resource, findings: &mut Findings) {
    let Some(state) = member(&rule.properties, "State") else {
        return;
    };
    if text(state).as_deref() == Some("DISABLED") {
        findings.error(
            "rule-disabled",
            rule,
            state,
            format!(
                "the rule `{}` is DISABLED: events pass by, and are not kept",
                rule.id
            ),
            "set State to ENABLED; for maintenance stop the service, since the queue keeps events",
        );
    }
}

/// Checks that the rule takes an example of each route's events.
fn routes(rule: &Resource, config: &Config, findings: &mut Findings) {
    let Some(written) = member(&rule.properties, "EventPattern") else {
        return;
    };
    // A pattern with a part that is not known takes nobody knows which events.
    if has_open(written) {
        return;
    }
    if config.envelope != Envelope::EventBridge {
        return;
    }
    let pattern = match Pattern::from_tree(written) {
        Ok(pattern) => pattern,
        Err(error) => {
            let at = TreeValue {
                at: error.at,
                ..written.clone()
            };
            return findings.error(
                "bad-pattern",
                rule,
                &at,
                format!("`EventPattern`: {}", error.aws_text()),
                "`eventcast infra render rule.json` makes the pattern of the routes",
            );
        }
    };
    let explainer = PatternExplainer::new(&pattern);
    for route in &config.routes {
        let example = route.example();
        let event = Value::Object(example.fields);
        let Ok(scanned) = scan(&Bytes::from(event.to_string()), explainer.fields()) else {
            continue;
        };
        let is_taken = explainer.explain(&scanned).is_ok_and(|found| found.matches);
        // An example that its own route does not take proves nothing.
        if example.matches && !is_taken {
            findings.error(
                "route-without-events",
                rule,
                written,
                format!(
                    "the rule does not take events of the route `{}`, such as {event}",
                    route.name
                ),
                "`eventcast infra render rule.json` makes the pattern of the routes",
            );
        }
    }
}

/// A target that is a queue.
struct QueueTarget<'c> {
    templates: &'c Templates<'c>,
    rule: &'c Resource,
    target: &'c TreeValue,
    arn: &'c TreeValue,
}

impl QueueTarget<'_> {
    fn check(&self, config: Option<&Config>, findings: &mut Findings) {
        let queue = self.templates.queue(self.rule, self.arn);
        self.fifo(&queue, findings);
        self.body(config, findings);
        self.role(findings);
        self.retries(findings);
        self.dead_letters(&queue, config, findings);
        if let Some(config) = config {
            self.place(&queue, config, findings);
        }
        if let QueueReference::Here(queue) = queue {
            redrive(queue, findings);
            delivers(&self.sender(config), queue, "queue", findings);
        }
    }

    fn sender(&self, config: Option<&Config>) -> Sender<'_> {
        let url = config.and_then(|config| config.bridge.queue.as_deref());
        let region = url
            .and_then(QueueName::of_url)
            .and_then(|queue| queue.region);
        Sender {
            templates: self.templates,
            rule: self.rule,
            arn_end: rule_arn_end(self.templates, self.rule),
            region: region.map(str::to_owned),
        }
    }

    fn fifo(&self, queue: &QueueReference<'_>, findings: &mut Findings) {
        if queue.is_fifo() != Some(true) {
            return;
        }
        // A group that is not resolved, such as an import, is one.
        let is_missing = match look(self.target, &["SqsParameters", "MessageGroupId"]) {
            FoundValue::Missing => true,
            FoundValue::Unknown => false,
            FoundValue::Value(group) => text(group).is_some_and(|text| text.is_empty()),
        };
        if is_missing {
            findings.error(
                "fifo-without-group",
                self.rule,
                self.arn,
                "the target is a FIFO queue, and there is no `SqsParameters.MessageGroupId`: PutEvents succeeds, and nothing arrives",
                "add SqsParameters: { MessageGroupId: eventcast } to the target",
            );
        }
        if let QueueReference::Here(queue) = queue
            && flag(&queue.properties, "ContentBasedDeduplication") == Some(false)
        {
            findings.error(
                "fifo-without-deduplication",
                queue,
                &queue.properties,
                format!("`{}` is FIFO and has no `ContentBasedDeduplication`: EventBridge gives no deduplication id, and SQS refuses its messages", queue.id),
                "set ContentBasedDeduplication: true",
            );
        }
    }

    /// Checks for input that replaces the event: the bridge then finds no event in the body.
    fn body(&self, config: Option<&Config>, findings: &mut Findings) {
        let is_raw = config.is_some_and(|config| config.envelope == Envelope::Raw);
        for key in ["Input", "InputPath", "InputTransformer"] {
            let Some(input) = member(self.target, key) else {
                continue;
            };
            if is_raw || (key == "InputPath" && text(input).as_deref() == Some("$")) {
                continue;
            }
            findings.error(
                "body-is-no-event",
                self.rule,
                input,
                format!("`{key}` sends something else than the event: the bridge dead-letters it as `not_an_event`"),
                format!("leave {key} out; or set `envelope: raw` in eventcast.yaml, and pass on what routes need"),
            );
        }
    }

    fn role(&self, findings: &mut Findings) {
        if let Some(role) = member(self.target, "RoleArn") {
            findings.error(
                "target-with-role",
                self.rule,
                role,
                "a target that is a queue has a `RoleArn`: EventBridge may fail to deliver, to encrypted queues above all",
                "leave RoleArn out, and allow events.amazonaws.com in the queue's policy",
            );
        }
    }

    fn retries(&self, findings: &mut Findings) {
        if let Some((age, at)) = number(self.target, &["RetryPolicy", "MaximumEventAgeInSeconds"])
            && age < SHORT_AGE_SECONDS
        {
            findings.warning(
                "short-retries",
                self.rule,
                at,
                format!("`MaximumEventAgeInSeconds` is {age}: events of a longer outage go to the dead-letter queue"),
                "set 86400, the most",
            );
        }
        if let Some((0, at)) = number(self.target, &["RetryPolicy", "MaximumRetryAttempts"]) {
            findings.warning(
                "short-retries",
                self.rule,
                at,
                "`MaximumRetryAttempts` is 0: one throttled call sends an event to the dead-letter queue",
                "set 185, the most",
            );
        }
    }

    fn dead_letters(
        &self,
        queue: &QueueReference<'_>,
        config: Option<&Config>,
        findings: &mut Findings,
    ) {
        let config_of = look(self.target, &["DeadLetterConfig"]);
        if matches!(config_of, FoundValue::Unknown) {
            return;
        }
        let Some(arn) = path(self.target, &["DeadLetterConfig", "Arn"]) else {
            return findings.error(
                "target-without-dead-letters",
                self.rule,
                self.target,
                "the target has no dead-letter queue: what EventBridge cannot hand to the queue vanishes",
                "add DeadLetterConfig: { Arn: … } with a standard queue whose policy names this rule",
            );
        };
        let letters = self.templates.queue(self.rule, arn);
        if letters.is_fifo() == Some(true) {
            findings.error(
                "dead-letters-are-fifo",
                self.rule,
                arn,
                "the target's dead-letter queue is FIFO: EventBridge takes standard queues alone",
                "name a standard queue; it may serve a FIFO target",
            );
        }
        if let (QueueReference::Here(one), QueueReference::Here(other)) = (queue, &letters)
            && std::ptr::eq(*one, *other)
        {
            findings.error(
                "dead-letters-are-the-target",
                self.rule,
                arn,
                "the target's dead-letter queue is the target itself: what cannot be sent to it cannot be kept there either",
                "name another queue",
            );
        }
        let here = region(self.arn).or_else(|| self.sender(config).region);
        if let (Some(one), Some(other)) = (here, region(arn))
            && one != other
        {
            findings.error(
                "dead-letters-elsewhere",
                self.rule,
                arn,
                format!("the target is in `{one}`, and its dead-letter queue in `{other}`: EventBridge takes one of the rule's Region"),
                "name a queue of the rule's Region",
            );
        }
        if let QueueReference::Here(letters) = letters {
            let sender = self.sender(config);
            delivers(&sender, letters, "dead-letter queue", findings);
        }
    }

    /// The queue that the bridge reads.
    fn place(&self, queue: &QueueReference<'_>, config: &Config, findings: &mut Findings) {
        let Some(read) = config.bridge.queue.as_deref().and_then(QueueName::of_url) else {
            return;
        };
        let name = match queue {
            QueueReference::Here(queue) => queue_name(queue),
            QueueReference::Elsewhere { name } => name.clone(),
            QueueReference::Unknown => return,
        };
        if name.contains("${") {
            return;
        }
        if name != read.name {
            findings.error(
                "another-queue",
                self.rule,
                self.arn,
                format!(
                    "the rule sends to `{name}`, and `bridge.queue` reads `{}`",
                    read.name
                ),
                "name one queue in both",
            );
        } else if let (Some(there), Some(here)) = (region(self.arn), read.region)
            && there != here
        {
            findings.error(
                "queue-elsewhere",
                self.rule,
                self.arn,
                format!(
                    "the rule sends to a queue of `{there}`, and `bridge.queue` is one of `{here}`"
                ),
                "make queue, rule and tasks in one Region",
            );
        }
        if let QueueReference::Here(queue) = queue
            && is_fifo(queue).is_some_and(|fifo| fifo != read.name.ends_with(".fifo"))
        {
            findings.error(
                "another-queue",
                self.rule,
                self.arn,
                format!("`{}` and `bridge.queue` are not of one kind: the one is FIFO, the other is not", queue.id),
                "name one queue in both",
            );
        }
    }
}

/// The Region of an ARN, where it is written out.
pub(super) fn region(arn: &TreeValue) -> Option<String> {
    let arn = text(arn)?.replace("AWS::", "AWS.");
    let region = arn.split(':').nth(3)?;
    (!region.is_empty() && !region.contains("${")).then(|| region.to_owned())
}

/// The end of a rule's ARN, as far as it is known: `rule/BUS/NAME`, on the default bus `rule/NAME`.
pub(super) fn rule_arn_end(templates: &Templates<'_>, rule: &Resource) -> Option<String> {
    let name = member(&rule.properties, "Name").and_then(text)?;
    let bus = match member(&rule.properties, "EventBusName") {
        None => "default".to_owned(),
        Some(bus) => match templates.referred(rule, bus) {
            Some(bus) => member(&bus.properties, "Name").and_then(text)?,
            None => text(bus)?,
        },
    };
    let bus = bus.rsplit('/').next()?;
    let end = match bus {
        "default" => format!("rule/{name}"),
        bus => format!("rule/{bus}/{name}"),
    };
    (!end.contains("${")).then_some(end)
}
