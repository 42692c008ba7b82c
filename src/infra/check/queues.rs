//! Queues: policies, keys, redrive and times.

use super::findings::Findings;
use super::rules::rule_arn_end;
use super::template::{Resource, each, member, members, number, path, text};
use super::templates::{QueueReference, Templates, is_fifo};
use crate::config::Config;
use crate::event::pattern::tree::Node;

/// The principal of EventBridge.
const EVENTBRIDGE: &str = "events.amazonaws.com";

/// SQS's defaults (SetQueueAttributes): 30 seconds and 4 days.
const VISIBILITY_SECONDS: u64 = 30;
const RETENTION_SECONDS: u64 = 345_600;

/// A shorter visibility is mostly spent on extending leases, as `eventcast doctor` says.
const SHORT_VISIBILITY_SECONDS: u64 = 10;

/// Fewer receives turn a hiccup into a dead letter.
const FEW_RECEIVES: u64 = 3;

/// A rule that sends to a queue.
pub(super) struct Sender<'c> {
    pub(super) templates: &'c Templates<'c>,
    pub(super) rule: &'c Resource,
}

/// Whether EventBridge can write to a queue: by its policy, and with its key.
pub(super) fn delivers(sender: &Sender<'_>, queue: &Resource, part: &str, findings: &mut Findings) {
    policy(sender, queue, part, findings);
    key(sender, queue, part, findings);
}

fn policy(sender: &Sender<'_>, queue: &Resource, part: &str, findings: &mut Findings) {
    let code = match part {
        "queue" => "queue-without-policy",
        _ => "dead-letters-without-policy",
    };
    let cure = "allow sqs:SendMessage to events.amazonaws.com, with ArnEquals aws:SourceArn the ARN of the rule";
    let Some(statements) = sender.templates.policy_of(queue) else {
        return findings.error(
            code,
            queue,
            &queue.properties,
            format!(
                "the {part} `{}` has no policy: EventBridge is refused, and the event is gone",
                queue.id
            ),
            format!("add an AWS::SQS::QueuePolicy: {cure}"),
        );
    };
    let allowing: Vec<&Node> = statements
        .into_iter()
        .filter(|statement| allows(statement))
        .collect();
    let Some(first) = allowing.first() else {
        return findings.error(
            code,
            queue,
            &queue.properties,
            format!(
                "no statement of the policy of the {part} `{}` allows EventBridge to send",
                queue.id
            ),
            cure,
        );
    };
    let end = rule_arn_end(sender.templates, sender.rule);
    let sources: Vec<Option<Vec<String>>> = allowing
        .iter()
        .map(|statement| source_arns(sender, statement))
        .collect();
    let is_open = |source: &Option<Vec<String>>| source.is_none();
    if sources.iter().any(is_open) {
        if allowing
            .iter()
            .all(|statement| condition_keys(statement).is_empty())
        {
            findings.warning(
                "policy-without-source",
                queue,
                first,
                format!(
                    "the policy of the {part} `{}` lets rules of every account send",
                    queue.id
                ),
                "add Condition: { ArnEquals: { aws:SourceArn: the ARN of the rule } }",
            );
        }
        return;
    }
    let Some(end) = end else {
        return;
    };
    let names = sources.iter().flatten().flatten();
    let fits = |arn: &String| arn == OWN_RULE || arn_fits(arn, &end);
    if !names.clone().any(fits) {
        let named: Vec<&str> = names.map(String::as_str).collect();
        findings.error(
            "policy-of-another-rule",
            queue,
            first,
            format!("the policy of the {part} `{}` allows `{}`, and the rule is `{end}`: EventBridge is refused", queue.id, named.join("`, `")),
            "name the rule's ARN: arn:aws:events:REGION:ACCOUNT:rule/BUS/NAME, without BUS on the default bus",
        );
    }
}

/// Stands for the ARN of the very rule, by reference.
const OWN_RULE: &str = "\u{0}";

/// Whether an ARN, perhaps with `*`, may be that of a rule.
fn arn_fits(arn: &str, end: &str) -> bool {
    let Some(at) = arn.find("rule/") else {
        return arn.contains('*') || arn.contains("${");
    };
    let written = arn.get(at..).unwrap_or_default();
    if written.contains("${") {
        return true;
    }
    match written.split_once('*') {
        None => written == end,
        Some((before, _)) => end.starts_with(before),
    }
}

/// Whether a statement lets EventBridge send.
fn allows(statement: &Node) -> bool {
    let is = |key: &str, word: &str| member(statement, key).and_then(text).as_deref() == Some(word);
    if !is("Effect", "Allow") {
        return false;
    }
    let principal = member(statement, "Principal");
    let is_principal = principal.is_some_and(|principal| {
        let service = member(principal, "Service").map(each).unwrap_or_default();
        let named = |node: &Node| text(node).is_some_and(|text| text == EVENTBRIDGE || text == "*");
        service.iter().any(named) || named(principal) || member(principal, "AWS").is_some_and(named)
    });
    let actions = member(statement, "Action").map(each).unwrap_or_default();
    is_principal
        && actions.iter().filter_map(text).any(|action| {
            let action = action.to_ascii_lowercase();
            matches!(&*action, "sqs:sendmessage" | "sqs:*" | "*" | "sqs:send*")
        })
}

fn condition_keys(statement: &Node) -> Vec<String> {
    let operators = member(statement, "Condition")
        .and_then(members)
        .unwrap_or_default();
    let keys = operators
        .iter()
        .flat_map(|one| members(&one.value).unwrap_or_default());
    keys.map(|one| one.key.to_ascii_lowercase()).collect()
}

/// The values of `aws:SourceArn`; `None` where there is no such condition.
fn source_arns(sender: &Sender<'_>, statement: &Node) -> Option<Vec<String>> {
    let operators = member(statement, "Condition").and_then(members)?;
    let keys = operators
        .iter()
        .flat_map(|one| members(&one.value).unwrap_or_default());
    let source = keys
        .filter(|one| one.key.eq_ignore_ascii_case("aws:SourceArn"))
        .collect::<Vec<_>>();
    if source.is_empty() {
        return None;
    }
    let values = source.iter().flat_map(|one| each(&one.value));
    Some(
        values
            .map(|value| match text(value) {
                Some(text) => text,
                None => match sender.templates.referred(sender.rule, value) {
                    Some(found) if found.id == sender.rule.id => OWN_RULE.to_owned(),
                    Some(found) => format!("the ARN of {}", found.id),
                    // Not resolved: it may be.
                    None => "*".to_owned(),
                },
            })
            .collect(),
    )
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
    let key = sender.templates.referred(queue, named).map(|found| {
        let target = member(&found.properties, "TargetKeyId");
        match (&*found.kind, target) {
            ("AWS::KMS::Alias", Some(target)) => {
                sender.templates.referred(found, target).unwrap_or(found)
            }
            _ => found,
        }
    });
    let Some(key) = key.filter(|key| key.kind == "AWS::KMS::Key") else {
        return;
    };
    let statements = path(&key.properties, &["KeyPolicy", "Statement"])
        .map(each)
        .unwrap_or_default();
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
            is_allow
                && is_service
                && actions.iter().filter_map(text).any(|action| {
                    let action = action.to_ascii_lowercase();
                    action == "kms:*"
                        || action
                            .strip_suffix('*')
                            .map_or(action == wanted, |begin| wanted.starts_with(begin))
                })
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
    redrive: &Node,
    findings: &mut Findings,
) {
    if let Some((receives, at)) = number(redrive, &["maxReceiveCount"])
        && receives < FEW_RECEIVES
    {
        findings.warning(
            "few-receives",
            queue,
            &at,
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
    if letters.is_fifo().is_some_and(|fifo| fifo != is_fifo(queue)) {
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
            number(&queue.properties, &["MessageRetentionPeriod"])
                .map_or(RETENTION_SECONDS, |(seconds, _)| seconds)
        };
        if retention(letters) < retention(queue)
            || (!is_fifo(letters) && retention(letters) == retention(queue))
        {
            findings.error(
                "short-retention",
                letters,
                member(&letters.properties, "MessageRetentionPeriod").unwrap_or(&letters.properties),
                format!("`{}` keeps messages for {}s, and `{}` for {}s: a redriven message keeps its age, and may be deleted at once", letters.id, retention(letters), queue.id, retention(queue)),
                "set MessageRetentionPeriod of the dead-letter queue to 1209600, the most",
            );
        }
    }
}

fn visibility(queue: &Resource, is_source: bool, config: Option<&Config>, findings: &mut Findings) {
    let found = number(&queue.properties, &["VisibilityTimeout"]);
    let at = found.as_ref().map_or(&queue.properties, |(_, at)| at);
    let seconds = found
        .as_ref()
        .map_or(VISIBILITY_SECONDS, |(seconds, _)| *seconds);
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
