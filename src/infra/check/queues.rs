//! Queues: policies, keys, redrive and times.

use super::findings::Findings;
use super::look::{FoundValue, each, look, member, number, number_or, path, text};
use super::statements::{EVENTBRIDGE, Sender, StatementEffect, admission, fits};
use super::template::Resource;
use super::templates::{QueuePolicies, QueueReference, Templates, is_fifo};
use crate::config::Config;
use crate::event::pattern::tree::TreeValue;

/// SQS's defaults (SetQueueAttributes): 30 seconds and 4 days.
const VISIBILITY_SECONDS: u64 = 30;
const RETENTION_SECONDS: u64 = 345_600;

/// A queue that keeps events no longer loses those of an outage.
const SHORT_RETENTION_SECONDS: u64 = 86_400;

/// With a shorter visibility timeout, most calls only extend it, as `eventcast doctor` says.
const SHORT_VISIBILITY_SECONDS: u64 = 10;

/// Fewer receives make a dead-letter message of one short failure.
const FEW_RECEIVES: u64 = 3;

/// Cure of a policy that does not let EventBridge in.
const ALLOW: &str = "allow sqs:SendMessage to events.amazonaws.com on the queue, with ArnEquals aws:SourceArn the ARN of the rule";

/// Checks that EventBridge can write to a queue, and that the queue keeps its messages.
pub(super) fn delivers(sender: &Sender<'_>, queue: &Resource, part: &str, findings: &mut Findings) {
    policy(sender, queue, part, findings);
    key(sender, queue, part, findings);
    retention(queue, part, findings);
}

fn policy(sender: &Sender<'_>, queue: &Resource, part: &str, findings: &mut Findings) {
    let code = match part {
        "queue" => "queue-without-policy",
        _ => "dead-letters-without-policy",
    };
    let id = &queue.id;
    let statements = match sender.templates.policies_of(queue) {
        QueuePolicies::Unknown => return,
        QueuePolicies::Statements(statements) => statements,
        QueuePolicies::None => {
            return findings.error(
                code,
                queue,
                &queue.properties,
                format!(
                    "the {part} `{id}` has no policy: EventBridge is refused, and the event is gone"
                ),
                format!("add an AWS::SQS::QueuePolicy: {ALLOW}"),
            );
        }
    };
    match admission(sender, queue, &statements) {
        StatementEffect::Admitted => {}
        StatementEffect::NotAllowed => findings.error(
            code,
            queue,
            &queue.properties,
            format!("no statement of the policy of the {part} `{id}` allows EventBridge to send"),
            ALLOW,
        ),
        StatementEffect::Denied(at) => findings.error(
            code,
            queue,
            at,
            format!("a statement of the policy of the {part} `{id}` denies EventBridge to send: a call of a service has no VPC, address or identity of its own"),
            "leave services out of the Deny: Bool aws:PrincipalIsAWSService: \"false\"",
        ),
        StatementEffect::Open(at) => findings.warning(
            "policy-without-source",
            queue,
            at,
            format!("the policy of the {part} `{id}` lets rules of every account send"),
            "add Condition: { ArnEquals: { aws:SourceArn: the ARN of the rule } }",
        ),
        StatementEffect::OtherRules { at, named } => findings.error(
            "policy-of-another-rule",
            queue,
            at,
            format!("the policy of the {part} `{id}` allows `{}`, and the rule is `{}`: EventBridge is refused", named.join("`, `"), sender.arn_end.as_deref().unwrap_or(&sender.rule.id)),
            "name the rule's ARN: arn:aws:events:REGION:ACCOUNT:rule/BUS/NAME, without BUS on the default bus; StringEquals knows no wildcards",
        ),
    }
}

fn key(sender: &Sender<'_>, queue: &Resource, part: &str, findings: &mut Findings) {
    let Some(named) = member(&queue.properties, "KmsMasterKeyId") else {
        return;
    };
    let written = text(named).unwrap_or_default();
    if written == "alias/aws/sqs" || written.ends_with(":alias/aws/sqs") {
        return findings.error(
            "managed-key",
            queue,
            named,
            format!("the {part} `{}` is encrypted with `alias/aws/sqs`, whose policy cannot let EventBridge in", queue.id),
            "use a key of your own with a statement for events.amazonaws.com, or SqsManagedSseEnabled: true",
        );
    }
    let Some(key) = sender.templates.key(queue, named) else {
        return;
    };
    if let Some(enabled) = member(&key.properties, "Enabled")
        && text(enabled).is_some_and(|text| text.eq_ignore_ascii_case("false"))
    {
        findings.error(
            "key-disabled",
            key,
            enabled,
            format!(
                "the key of the {part} `{}` is disabled: nothing can be sent to the queue or read",
                queue.id
            ),
            "leave Enabled out, or set it to true",
        );
    }
    let Some(statements) = Templates::key_statements(key) else {
        return;
    };
    let granted = |wanted: &str| {
        statements.iter().any(|statement| {
            let is_allow = member(statement, "Effect").and_then(text).as_deref() == Some("Allow");
            let service = path(statement, &["Principal", "Service"])
                .map(each)
                .unwrap_or_default();
            let is_service = service
                .iter()
                .filter_map(text)
                .any(|name| name == EVENTBRIDGE);
            let actions = member(statement, "Action").map(each).unwrap_or_default();
            let mut actions = actions.iter().filter_map(text);
            is_allow
                && is_service
                && actions.any(|action| fits(&action.to_ascii_lowercase(), wanted))
        })
    };
    let missing: Vec<&str> = ["kms:Decrypt", "kms:GenerateDataKey"]
        .into_iter()
        .filter(|action| !granted(&action.to_ascii_lowercase()))
        .collect();
    if !missing.is_empty() {
        let at = path(&key.properties, &["KeyPolicy"]).unwrap_or(&key.properties);
        findings.error(
            "key-without-grant",
            key,
            at,
            format!("the key of the {part} `{}` does not grant {} to events.amazonaws.com: PutEvents succeeds, and nothing arrives", queue.id, missing.join(" and ")),
            "add a statement to KeyPolicy: Allow, Principal Service events.amazonaws.com, Action [kms:Decrypt, kms:GenerateDataKey], Resource \"*\"",
        );
    }
}

/// Returns `true` where a queue keeps events for an outage.
fn retention(queue: &Resource, part: &str, findings: &mut Findings) {
    if let Some((seconds, at)) = number(&queue.properties, &["MessageRetentionPeriod"])
        && seconds < SHORT_RETENTION_SECONDS
    {
        findings.warning(
            "short-retention",
            queue,
            at,
            format!(
                "the {part} `{}` keeps events for {seconds}s: those of a longer outage are deleted",
                queue.id
            ),
            "set MessageRetentionPeriod to 345600 or more; to 1209600, the most, for dead letters",
        );
    }
}

/// Redrive and times of each queue that has consumers: those that a rule sends to, or the bridge
/// reads.
pub(super) fn check(templates: &Templates<'_>, config: Option<&Config>, findings: &mut Findings) {
    for queue in templates.of_kind("AWS::SQS::Queue") {
        let redrive = member(&queue.properties, "RedrivePolicy");
        if let Some(redrive) = redrive {
            check_redrive(templates, queue, redrive, findings);
        }
        visibility(queue, redrive.is_some(), config, findings);
    }
}

fn check_redrive(
    templates: &Templates<'_>,
    queue: &Resource,
    redrive: &TreeValue,
    findings: &mut Findings,
) {
    if let Some((receives, at)) = number(redrive, &["maxReceiveCount"])
        && receives < FEW_RECEIVES
    {
        findings.warning(
            "few-receives",
            queue,
            at,
            format!(
                "`maxReceiveCount` of `{}` is {receives}: tasks that are replaced use attempts up",
                queue.id
            ),
            "set 5 or more",
        );
    }
    let Some(arn) = member(redrive, "deadLetterTargetArn") else {
        return;
    };
    let letters = templates.queue(queue, arn);
    if letters
        .is_fifo()
        .zip(is_fifo(queue))
        .is_some_and(|(one, other)| one != other)
    {
        findings.error(
            "redrive-of-another-kind",
            queue,
            arn,
            format!("`{}` and its dead-letter queue are not of one kind: SQS refuses the redrive policy", queue.id),
            "make both FIFO, or neither",
        );
    }
    if let QueueReference::Here(letters) = letters {
        let retention = |queue: &Resource| {
            let key = ["MessageRetentionPeriod"];
            Some(number_or(&queue.properties, &key, RETENTION_SECONDS)?.0)
        };
        let (Some(kept), Some(longest)) = (retention(letters), retention(queue)) else {
            return;
        };
        // A message of a standard queue keeps its age when it moves.
        if kept < longest || (is_fifo(letters) == Some(false) && kept == longest) {
            findings.error(
                "short-retention",
                letters,
                member(&letters.properties, "MessageRetentionPeriod").unwrap_or(&letters.properties),
                format!("`{}` keeps messages for {kept}s, and `{}` for {longest}s: a redriven message keeps its age, and may be deleted at once", letters.id, queue.id),
                "set MessageRetentionPeriod of the dead-letter queue to 1209600, the most",
            );
        }
    }
}

/// Returns `true` where an event that is received again and again has an end.
pub(super) fn redrive(queue: &Resource, findings: &mut Findings) {
    if matches!(
        look(&queue.properties, &["RedrivePolicy"]),
        FoundValue::Missing
    ) {
        findings.warning(
            "queue-without-redrive",
            queue,
            &queue.properties,
            format!("`{}` has no `RedrivePolicy`: an event that tasks cannot settle comes back until the queue deletes it", queue.id),
            "add RedrivePolicy: { deadLetterTargetArn: …, maxReceiveCount: 5 }",
        );
    }
}

fn visibility(queue: &Resource, is_source: bool, config: Option<&Config>, findings: &mut Findings) {
    let key = ["VisibilityTimeout"];
    let Some((seconds, at)) = number_or(&queue.properties, &key, VISIBILITY_SECONDS) else {
        return;
    };
    if !is_source {
        return;
    }
    if seconds == 0 {
        findings.error(
            "visibility",
            queue,
            at,
            format!(
                "`VisibilityTimeout` of `{}` is 0: every event is handed out twice",
                queue.id
            ),
            "set 30",
        );
    } else if seconds < SHORT_VISIBILITY_SECONDS {
        findings.warning(
            "visibility",
            queue,
            at,
            format!(
                "`VisibilityTimeout` of `{}` is {seconds}: leases are extended all the time",
                queue.id
            ),
            "set 30",
        );
    }
    if let Some(config) = config
        && seconds > config.bridge.hold.as_secs()
    {
        findings.warning(
            "visibility",
            queue,
            at,
            format!("`VisibilityTimeout` of `{}` is {seconds}, longer than `bridge.hold` ({}s): events of a task that died wait longer than any event is worked on", queue.id, config.bridge.hold.as_secs()),
            "set 30: the bridge extends it while it works",
        );
    }
}
