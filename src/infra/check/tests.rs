//! Planted faults: each is found once, at its line, with a cure; and a right template has no
//! finding.

mod conditions;
mod forms;
mod hidden_parts;
mod hostile;
mod plants;

use std::collections::BTreeSet;

use plants::PLANTS;

use super::*;
use crate::config::fault::ValuePlace;
use crate::config::valid;
use crate::infra::example::EXAMPLE;

/// The project's own templates, which have no fault.
const TEMPLATES: [(&str, &str); 9] = [
    (
        "queues.yaml",
        include_str!("../../../infra/cloudformation/queues.yaml"),
    ),
    (
        "events.yaml",
        include_str!("../../../infra/cloudformation/events.yaml"),
    ),
    (
        "service.yaml",
        include_str!("../../../infra/cloudformation/service.yaml"),
    ),
    (
        "scaling.yaml",
        include_str!("../../../infra/cloudformation/scaling.yaml"),
    ),
    (
        "gateway.yaml",
        include_str!("../../../infra/cloudformation/gateway.yaml"),
    ),
    (
        "authorizer.yaml",
        include_str!("../../../infra/cloudformation/authorizer.yaml"),
    ),
    (
        "observability.yaml",
        include_str!("../../../infra/cloudformation/observability.yaml"),
    ),
    (
        "rule.json",
        include_str!("../../../infra/example/rule.json"),
    ),
    (
        "subscriber.json",
        include_str!("../../../infra/example/subscriber.json"),
    ),
];

fn with(
    parameters: &[(&str, &str)],
    config: &Config,
    change: impl Fn(&str, &str) -> String,
) -> Vec<Fault> {
    let texts: Vec<(&str, String)> = TEMPLATES
        .iter()
        .map(|(name, text)| (*name, change(name, text)))
        .collect();
    let files: Vec<TemplateFile<'_>> = texts
        .iter()
        .map(|(name, text)| TemplateFile { name, text })
        .collect();
    let on = [
        ("ImageUri", "image:1"),
        (
            "CertificateArn",
            "arn:aws:acm:us-east-1:123456789012:certificate/1",
        ),
    ];
    let parameters: Vec<(String, String)> = on
        .iter()
        .chain(parameters)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    check(&files, &parameters, Some(config))
}

fn shown(faults: &[Fault]) -> String {
    let one = |fault: &Fault| {
        format!(
            "{} {}: {}\n  help: {}\n",
            fault.code,
            fault.place,
            fault.message,
            fault.help.as_deref().unwrap_or("-")
        )
    };
    faults.iter().map(one).collect()
}

#[test]
fn the_own_templates_are_right() {
    let none = |parameters: &[(&str, &str)]| {
        let faults = with(parameters, &valid(EXAMPLE), |_, text| text.to_owned());
        assert_eq!(shown(&faults), "", "{parameters:?}");
    };
    none(&[]);
    none(&[("Encryption", "sqs")]);
    none(&[("EventBusName", "shop")]);
    none(&[("RuleName", "other"), ("EventBusName", "shop")]);
    none(&[("UndeliveredQueueName", "lost-and-found")]);
}

/// A FIFO queue by parameter: the rule of a standard queue has no group.
#[test]
fn parameters_are_looked_through() {
    let text = EXAMPLE
        .replace("/eventcast-events\n", "/eventcast-events.fifo\n")
        .replace("/eventcast-events-dlq", "/eventcast-events-dlq.fifo");
    let faults = with(
        &[("Fifo", "true")],
        &valid(&text),
        |name, text| match name {
            "rule.json" | "subscriber.json" => {
                text.replace(":eventcast-events\"", ":eventcast-events.fifo\"")
            }
            _ => text.to_owned(),
        },
    );
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
    assert_eq!(
        codes,
        ["fifo-without-group", "fifo-without-group"],
        "{}",
        shown(&faults)
    );
}

#[test]
fn planted_faults_are_found() {
    let config = valid(EXAMPLE);
    let mut all = String::new();
    for (file, from, to, code) in PLANTS {
        let faults = with(&[], &config, |name, text| {
            if name != file {
                return text.to_owned();
            }
            assert!(text.contains(from), "{file} has no {from:?}");
            text.replacen(from, to, 1)
        });
        let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
        assert!(
            codes.contains(&code) || (code.is_empty() && codes.is_empty()),
            "{file}: {to}: {code} is not found: {}",
            shown(&faults)
        );
        assert!(
            faults.iter().all(|fault| fault.code == code
                || code.starts_with("dead-letters-are")
                || code.starts_with("fifo-")
                || code == "redrive-of-another-kind"
                || code == "queue-elsewhere"
                || code == "another-queue"),
            "{}",
            shown(&faults)
        );
        assert!(faults.iter().all(|fault| fault.help.is_some()
            && matches!(&fault.place, ValuePlace::File { line, .. } if *line > 0)));
        all += &format!(
            "{file}: {}\n{}\n",
            to.lines().next().unwrap_or_default().trim(),
            shown(&faults)
        );
    }
    insta::assert_snapshot!(all);
}

/// The manual lists the checks, and each has its plant.
#[test]
fn each_check_has_a_plant() {
    let manual = include_str!("../../../docs/infra.md");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<&str> = rows
        .filter_map(|row| row.split_once('`'))
        .map(|(code, _)| code)
        .filter(|code| !code.contains('.'))
        .collect();
    let planted: BTreeSet<&str> = PLANTS.iter().map(|(.., code)| *code).collect();
    let planted: BTreeSet<&str> = planted
        .into_iter()
        .filter(|code| !code.is_empty())
        .collect();
    assert_eq!(listed, planted);
    assert!(planted.len() >= 15);
}

fn alone(text: &str) -> Vec<Fault> {
    check(
        &[TemplateFile {
            name: "t.yaml",
            text,
        }],
        &[],
        None,
    )
}

/// Rules as others write them: the same faults in other words.
#[test]
fn the_same_faults_in_other_words() {
    let codes = |text: &str| {
        let faults = alone(text);
        let codes = faults.iter().map(|fault| fault.code);
        let codes = codes.filter(|code| *code != "queue-without-redrive");
        codes.collect::<Vec<_>>().join(" ")
    };
    let policy = |queue: &str, more: &str| {
        format!(
            "  P{queue}: {{ Type: 'AWS::SQS::QueuePolicy', Properties: {{ Queues: [{{ Ref: {queue} }}], PolicyDocument: {{ Statement: {{ Effect: Allow, Principal: {{ Service: [events.amazonaws.com] }}, Action: ['SQS:SendMessage'], Resource: '*'{more} }} }} }} }}\n"
        )
    };
    let source = ", Condition: { ArnLike: { 'aws:SourceArn': { 'Fn::GetAtt': R.Arn } } }";
    let rule = "Resources:\n  R: { Type: 'AWS::Events::Rule', Properties: { Name: n, Targets: [{ Id: '1', Arn: { 'Fn::GetAtt': [Q, Arn] }, DeadLetterConfig: { Arn: !Sub '${D.Arn}' } }] } }\n";
    let queues = "  Q: { Type: 'AWS::SQS::Queue' }\n  D: { Type: 'AWS::SQS::Queue' }\n";
    let right = format!(
        "{rule}{queues}{}{}",
        policy("Q", source),
        policy("D", source)
    );
    assert_eq!(codes(&right), "");
    assert_eq!(
        codes(&format!("{rule}{queues}{}", policy("Q", source))),
        "dead-letters-without-policy"
    );
    assert_eq!(
        codes(&format!("{rule}{queues}{}", policy("D", source))),
        "queue-without-policy"
    );
    assert_eq!(
        codes(&right.replacen(source, "", 1)),
        "policy-without-source"
    );
    let other = source.replace(
        "{ 'Fn::GetAtt': R.Arn }",
        "'arn:aws:events:us-east-1:123456789012:rule/bus/n'",
    );
    assert_eq!(
        codes(&right.replacen(source, &other, 1)),
        "policy-of-another-rule"
    );
    let like = source.replace(
        "{ 'Fn::GetAtt': R.Arn }",
        "'arn:aws:events:us-east-1:123456789012:rule/*'",
    );
    assert_eq!(codes(&right.replacen(source, &like, 1)), "");
    // A FIFO queue by its attribute, by its name, and by an ARN of another stack.
    let fifo = right.replace(
        "  Q: { Type: 'AWS::SQS::Queue' }",
        "  Q: { Type: 'AWS::SQS::Queue', Properties: { FifoQueue: true } }",
    );
    assert_eq!(
        codes(&fifo),
        "fifo-without-group fifo-without-deduplication"
    );
    let named = right.replace("  Q: { Type: 'AWS::SQS::Queue' }", "  Q: { Type: 'AWS::SQS::Queue', Properties: { QueueName: q.fifo, ContentBasedDeduplication: 'true' } }");
    assert_eq!(codes(&named), "fifo-without-group");
    let elsewhere = right.replace(
        "{ 'Fn::GetAtt': [Q, Arn] }",
        "'arn:aws:sqs:us-east-1:123456789012:q.fifo'",
    );
    assert_eq!(codes(&elsewhere), "fifo-without-group");
    // Keys: by an alias resource, without a word of EventBridge, and SQS's own by its ARN.
    let key = "  K: { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: { Statement: [{ Effect: Allow, Principal: { AWS: '*' }, Action: 'kms:*' }] } } }\n  A: { Type: 'AWS::KMS::Alias', Properties: { AliasName: alias/x, TargetKeyId: !Ref K } }\n";
    let keyed = |master: &str| {
        right.replace(
            "  D: { Type: 'AWS::SQS::Queue' }",
            &format!(
                "  D: {{ Type: 'AWS::SQS::Queue', Properties: {{ KmsMasterKeyId: {master} }} }}"
            ),
        ) + key
    };
    assert_eq!(codes(&keyed("!Ref A")), "key-without-grant");
    assert_eq!(
        codes(&keyed("{ 'Fn::GetAtt': [K, KeyId] }")),
        "key-without-grant"
    );
    assert_eq!(
        codes(&keyed("'arn:aws:kms:us-east-1:123456789012:alias/aws/sqs'")),
        "managed-key"
    );
    let granted = keyed("!Ref A").replace(
        "Principal: { AWS: '*' }",
        "Principal: { Service: [s3.amazonaws.com, events.amazonaws.com] }",
    );
    assert_eq!(codes(&granted), "");
    // A value that cannot be resolved has no finding: an import, a parameter without a default.
    let imported = rule.replace("{ 'Fn::GetAtt': [Q, Arn] }", "!ImportValue q");
    assert_eq!(codes(&imported), "");
}

#[test]
fn conditions_choose_branches() {
    let template = |default: &str| {
        format!(
            "Parameters: {{ P: {{ Type: String, Default: {default} }} }}\nConditions: {{ A: !Equals [!Ref P, a], B: !Not [!Condition A], C: !Or [!Condition A, !Condition B], D: !And [!Condition C, !Condition B] }}\nResources:\n  Q: {{ Type: 'AWS::SQS::Queue', Properties: {{ VisibilityTimeout: !If [D, 0, 30], RedrivePolicy: {{ maxReceiveCount: !If [A, !Ref AWS::NoValue, 1] }} }} }}\n  X: {{ Type: 'AWS::SQS::Queue', Condition: D, Properties: {{ RedrivePolicy: {{ maxReceiveCount: 2 }} }} }}\n"
        )
    };
    let codes = |default: &str| {
        alone(&template(default))
            .iter()
            .map(|fault| fault.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes("a"), Vec::<&str>::new());
    assert_eq!(codes("b"), ["visibility", "few-receives", "few-receives"]);
}

#[test]
fn what_is_no_template() {
    let refused = ["", "a: [", "Resources: 1", "- 1", "{\"Parameters\": {}}"].map(|text| {
        let faults = alone(text);
        assert_eq!(faults.len(), 1, "{text}");
        format!("{} {}", faults[0].place, faults[0].message)
    });
    insta::assert_snapshot!(refused.join("\n"));
    // Conditions that name themselves, and deep nesting, end.
    let cycle = "Conditions: { A: !Not [!Condition A] }\nResources:\n  Q: { Type: 'AWS::SQS::Queue', Condition: A }\n";
    assert_eq!(alone(cycle).len(), 0);
}
