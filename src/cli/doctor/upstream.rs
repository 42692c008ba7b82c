//! The road before the queue: the rules that send to it, their targets, dead-letter queues,
//! policies and keys.
//!
//! The account's resources are written as a template, and `eventcast infra check` looks at it: a
//! fault has the same words before and after the deployment.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use serde_json::{Map, Value, json};

use super::report::DoctorReport;
use crate::aws::sqs;
use crate::aws::upstream::{self, UpstreamRule};
use crate::cli::counted::counted;
use crate::config::Config;
use crate::config::fault::{Fault, Severity};
use crate::infra::check::{TemplateFile, check};

/// Names of the checks, in their order.
const RULE: &str = "rule";
const TARGET: &str = "rule target";
const UNDELIVERED: &str = "undelivered events";
const POLICY: &str = "queue policy";
const KEY: &str = "queue key";
const ALL: [&str; 5] = [RULE, TARGET, UNDELIVERED, POLICY, KEY];

/// Cure for a rule that is missing or wrong.
const RENDER: &str = "`eventcast infra render rule.json` makes one";

/// Reports that nothing was looked at.
pub(super) fn not_tried(why: &str, help: &str, report: &mut DoctorReport) {
    report.not_tried(RULE, why, help);
}

/// Looks at the road.
pub(super) async fn upstream(
    config: &Config,
    aws: &SdkConfig,
    unsigned: Option<&str>,
    report: &mut DoctorReport,
) {
    if let Some(why) = unsigned {
        return not_tried(why, "", report);
    }
    let Some(url) = &config.bridge.queue else {
        return not_tried("there is no queue", "", report);
    };
    let Some(queue) = attributes(aws, url).await else {
        return not_tried("the queue was not read", "", report);
    };
    let Some(arn) = queue.get("QueueArn").cloned() else {
        return not_tried("the queue has no ARN", "", report);
    };
    let found = match upstream::rules(aws, &arn).await {
        Ok(found) => found,
        Err(error) => {
            let help = "`eventcast policy generate --for doctor` has the permissions";
            return report.failed(RULE, error.to_string(), help);
        }
    };
    if found.rules.is_empty() {
        let noun = if found.buses == 1 { "bus" } else { "buses" };
        let what = format!("no rule of {} {noun} sends to this queue", found.buses);
        return report.missing(RULE, what, RENDER);
    }
    let mut account = Account {
        aws,
        resources: Map::new(),
        waiting: BTreeMap::new(),
        problems: Vec::new(),
    };
    account.queue("Queue", &arn, &queue).await;
    for (at, rule) in found.rules.iter().enumerate() {
        account.rule(at, rule).await;
    }
    account.report(&found.rules, config, report);
}

type UpstreamAttributes = BTreeMap<String, String>;

async fn attributes(aws: &SdkConfig, url: &str) -> Option<UpstreamAttributes> {
    let found = sqs::attributes(aws, url).await.ok()??;
    Some(found.into_iter().collect())
}

/// The account, as resources of a template.
struct Account<'a> {
    aws: &'a SdkConfig,
    resources: Map<String, Value>,
    /// Messages in the dead-letter queues of targets, by the queue's name.
    waiting: BTreeMap<String, u64>,
    /// Reading that failed: check, finding and help.
    problems: Vec<(&'static str, String, &'static str)>,
}

impl Account<'_> {
    /// A queue with its policy and its key.
    async fn queue(&mut self, id: &str, arn: &str, attributes: &UpstreamAttributes) {
        let mut properties = Map::new();
        properties.insert("QueueName".into(), arn.rsplit(':').next().into());
        for key in ["FifoQueue", "ContentBasedDeduplication", "KmsMasterKeyId"] {
            if let Some(value) = attributes.get(key) {
                properties.insert(key.into(), value.as_str().into());
            }
        }
        if let Some(policy) = attributes.get("Policy") {
            let policy: Value = serde_json::from_str(policy).unwrap_or_default();
            let policy = json!({ "Type": "AWS::SQS::QueuePolicy", "Properties": {
                "Queues": [{ "Ref": id }], "PolicyDocument": policy,
            } });
            self.resources.insert(format!("{id}Policy"), policy);
        }
        if let Some(key) = attributes.get("KmsMasterKeyId")
            && !key.ends_with("alias/aws/sqs")
        {
            match upstream::key_policy(self.aws, key).await {
                Ok(policy) => {
                    let key =
                        json!({ "Type": "AWS::KMS::Key", "Properties": { "KeyPolicy": policy } });
                    self.resources.insert(format!("{id}Key"), key);
                    let named = json!({ "Ref": format!("{id}Key") });
                    properties.insert("KmsMasterKeyId".into(), named);
                }
                Err(error) => self.problems.push((
                    KEY,
                    error.to_string(),
                    "allow kms:DescribeKey and kms:GetKeyPolicy",
                )),
            }
        }
        let queue = json!({ "Type": "AWS::SQS::Queue", "Properties": properties });
        self.resources.insert(id.to_owned(), queue);
    }

    /// A rule with the dead-letter queues of its targets.
    async fn rule(&mut self, at: usize, rule: &UpstreamRule) {
        let pattern = rule
            .described
            .get("EventPattern")
            .and_then(Value::as_str)
            .unwrap_or("{}");
        let properties = json!({
            "Name": rule.name,
            "EventBusName": rule.bus,
            "State": rule.described.get("State"),
            "EventPattern": serde_json::from_str::<Value>(pattern).unwrap_or_default(),
            "Targets": rule.targets,
        });
        let resource = json!({ "Type": "AWS::Events::Rule", "Properties": properties });
        self.resources.insert(format!("Rule{at}"), resource);
        for (number, target) in rule.targets.iter().enumerate() {
            let arn = target
                .pointer("/DeadLetterConfig/Arn")
                .and_then(Value::as_str);
            if let Some(arn) = arn {
                self.dead_letters(&format!("Undelivered{at}x{number}"), arn)
                    .await;
            }
        }
    }

    async fn dead_letters(&mut self, id: &str, arn: &str) {
        let parts: Vec<&str> = arn.split(':').collect();
        let [_, _, _, region, account, name] = parts.as_slice() else {
            return;
        };
        let url = format!("https://sqs.{region}.amazonaws.com/{account}/{name}");
        match sqs::attributes(self.aws, &url).await {
            Ok(Some(attributes)) => {
                let attributes: UpstreamAttributes = attributes.into_iter().collect();
                let waiting = attributes.get("ApproximateNumberOfMessages");
                let waiting = waiting.and_then(|count| count.parse().ok()).unwrap_or(0);
                self.waiting.insert((*name).to_owned(), waiting);
                self.queue(id, arn, &attributes).await;
            }
            Ok(None) => self.problems.push((
                UNDELIVERED,
                format!("the target's dead-letter queue {arn} is missing"),
                "make it: infra/cloudformation/queues.yaml has it",
            )),
            Err(error) => self.problems.push((
                UNDELIVERED,
                error.to_string(),
                "allow sqs:GetQueueAttributes on the target's dead-letter queue",
            )),
        }
    }

    fn report(&self, rules: &[UpstreamRule], config: &Config, report: &mut DoctorReport) {
        let template = json!({ "Resources": self.resources }).to_string();
        let file = TemplateFile {
            name: "the account",
            text: &template,
        };
        let faults = check(&[file], &[], Some(config));
        for about in ALL {
            let own: Vec<&Fault> = faults
                .iter()
                .filter(|fault| self::about(fault) == Some(about))
                .collect();
            let problem = self
                .problems
                .iter()
                .find(|(where_from, ..)| *where_from == about);
            if let Some((_, found, help)) = problem {
                report.failed(about, found, help);
            }
            for fault in &own {
                let help = fault.help.as_deref().unwrap_or_default();
                match fault.severity {
                    Severity::Error => report.failed(about, &fault.message, help),
                    Severity::Warning => report.warning(about, &fault.message, help),
                }
            }
            if own.is_empty() && problem.is_none() {
                self.is_well(about, rules, report);
            }
        }
    }

    fn is_well(&self, about: &'static str, rules: &[UpstreamRule], report: &mut DoctorReport) {
        let names: Vec<String> = rules
            .iter()
            .map(|rule| format!("{}/{}", rule.bus, rule.name))
            .collect();
        let waiting: u64 = self.waiting.values().sum();
        match about {
            RULE if rules.len() > 1 => report.warning(
                about,
                format!("{} send to this queue: an event that several match comes as often", names.join(", ")),
                "keep one",
            ),
            RULE => report.ok(about, format!("{}, enabled, takes the routes' events", names.join(", "))),
            TARGET => report.ok(about, "the whole event, as the queue wants it"),
            UNDELIVERED if waiting > 0 => report.warning(
                about,
                format!("{} in {}", counted(waiting, "event"), self.waiting.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
                "`eventcast dlq list --dead-letter-queue URL` says why; `replay` sends them to the queue",
            ),
            UNDELIVERED => report.ok(about, format!("none in {}", self.waiting.keys().map(String::as_str).collect::<Vec<_>>().join(", "))),
            POLICY => report.ok(about, "lets the rule send, here and to the dead-letter queue"),
            _ if self.resources.keys().any(|id| id.ends_with("Key")) => report.ok(about, "grants EventBridge its use"),
            _ => report.ok(about, "none of your own"),
        }
    }
}

/// The check that a finding belongs to; `None` for findings that other checks report.
fn about(fault: &Fault) -> Option<&'static str> {
    let is_undelivered = fault.key.contains("Undelivered");
    match fault.code {
        "rule-disabled" | "route-without-events" | "bad-pattern" => Some(RULE),
        "target-without-dead-letters"
        | "dead-letters-are-fifo"
        | "dead-letters-are-the-target"
        | "dead-letters-elsewhere"
        | "dead-letters-without-policy" => Some(UNDELIVERED),
        "policy-without-source" | "policy-of-another-rule" if is_undelivered => Some(UNDELIVERED),
        "queue-without-policy" | "policy-without-source" | "policy-of-another-rule" => Some(POLICY),
        "managed-key" | "key-without-grant" => Some(KEY),
        "fifo-without-group"
        | "fifo-without-deduplication"
        | "body-is-no-event"
        | "target-with-role"
        | "short-retries"
        | "another-queue"
        | "queue-elsewhere" => Some(TARGET),
        _ => None,
    }
}
