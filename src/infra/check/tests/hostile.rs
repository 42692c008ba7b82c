//! Templates as strangers write them: policies of several queues, conditions, keys, redrive and
//! FIFO queues in short and long forms.

use super::alone;

/// Codes of the findings, each once for its place.
pub(super) fn codes(text: &str) -> String {
    let faults = alone(text);
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
    codes.join(" ")
}

#[track_caller]
pub(super) fn finds(text: &str, expected: &str) {
    assert_eq!(codes(text), expected, "{text}");
}

/// A rule, its queues and their policies without a fault, in short forms; `{…}` are replaced by
/// tests.
pub(super) const RIGHT: &str = r#"
Parameters:
  Env: { Type: String }
  Retention: { Type: Number }
Conditions:
  IsProd: !Equals [!Ref Env, prod]
Resources:
  R:
    Type: AWS::Events::Rule
    Properties:
      Name: shop
      EventPattern: { source: [shop] }
      Targets:
        - Id: q
          Arn: !GetAtt Q.Arn
          DeadLetterConfig: { Arn: !GetAtt D.Arn }
  Q:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: events
      RedrivePolicy: { deadLetterTargetArn: !GetAtt L.Arn, maxReceiveCount: 5 }
  L:
    Type: AWS::SQS::Queue
    Properties: { QueueName: letters, MessageRetentionPeriod: 1209600 }
  D:
    Type: AWS::SQS::Queue
    Properties: { QueueName: undelivered }
  P:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Q, !Ref D]
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: { Service: events.amazonaws.com }
            Action: sqs:SendMessage
            Resource: [!GetAtt Q.Arn, !GetAtt D.Arn]
            Condition: { ArnEquals: { aws:SourceArn: !GetAtt R.Arn } }
"#;

/// The right template with one part replaced.
#[track_caller]
pub(super) fn with(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    RIGHT.replacen(from, to, 1)
}

#[track_caller]
pub(super) fn change(from: &str, to: &str, expected: &str) {
    finds(&with(from, to), expected);
}

#[test]
fn nothing_is_found_in_what_is_right() {
    finds(RIGHT, "");
    // Other ways to say the same.
    for (from, to) in [
        ("Arn: !GetAtt Q.Arn", "Arn: { Fn::GetAtt: [Q, Arn] }"),
        ("Arn: !GetAtt Q.Arn", "Arn: !Sub '${Q.Arn}'"),
        (
            "Arn: !GetAtt Q.Arn",
            "Arn: { Fn::Sub: 'arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:events' }",
        ),
        (
            "Arn: !GetAtt Q.Arn",
            "Arn: !Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:${Q.QueueName}'",
        ),
        (
            "Arn: !GetAtt Q.Arn",
            "Arn: !Join [':', [arn, aws, sqs, !Ref AWS::Region, !Ref AWS::AccountId, !GetAtt Q.QueueName]]",
        ),
        (
            "[!Ref Q, !Ref D]",
            "[{ Ref: Q }, !Sub 'https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/undelivered']",
        ),
        (
            "[!Ref Q, !Ref D]",
            "[!Sub 'https://sqs.eu-west-1.amazonaws.com/${AWS::AccountId}/${Q.QueueName}', !Ref D]",
        ),
        ("Resource: [!GetAtt Q.Arn, !GetAtt D.Arn]", "Resource: '*'"),
        (
            "Resource: [!GetAtt Q.Arn, !GetAtt D.Arn]",
            "Resource: arn:aws:sqs:*:*:*e*",
        ),
        (
            "Resource: [!GetAtt Q.Arn, !GetAtt D.Arn]",
            "Resource: !Sub 'arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:${Some}'",
        ),
        (
            "Action: sqs:SendMessage",
            "Action: ['sqs:Get*', 'SQS:S?nd*']",
        ),
        ("Action: sqs:SendMessage", "NotAction: sqs:DeleteQueue"),
        (
            "ArnEquals: { aws:SourceArn: !GetAtt R.Arn }",
            "ArnLike: { AWS:SourceArn: !Sub 'arn:aws:events:*:${AWS::AccountId}:rule/sh*' }",
        ),
        (
            "ArnEquals: { aws:SourceArn: !GetAtt R.Arn }",
            "StringEquals: { aws:SourceArn: 'arn:aws:events:eu-west-1:123456789012:rule/shop' }",
        ),
        (
            "ArnEquals: { aws:SourceArn: !GetAtt R.Arn }",
            "ArnLikeIfExists: { aws:SourceArn: ['arn:aws:events:*:*:rule/a', 'arn:aws:events:*:*:rule/*'] }",
        ),
        (
            "Principal: { Service: events.amazonaws.com }",
            "Principal: { AWS: ['*'] }",
        ),
        (
            "Principal: { Service: events.amazonaws.com }",
            "Principal: '*'",
        ),
        ("maxReceiveCount: 5", "maxReceiveCount: '5'"),
    ] {
        change(from, to, "");
    }
}

/// One policy for several queues: each queue is asked on its own.
#[test]
fn a_policy_of_several_queues() {
    let resources = "Resource: [!GetAtt Q.Arn, !GetAtt D.Arn]";
    change(
        resources,
        "Resource: !GetAtt Q.Arn",
        "dead-letters-without-policy",
    );
    change(resources, "Resource: !GetAtt D.Arn", "queue-without-policy");
    change(
        resources,
        "Resource: arn:aws:sqs:eu-west-1:123456789012:events",
        "dead-letters-without-policy",
    );
    change(
        "Queues: [!Ref Q, !Ref D]",
        "Queues: [!Ref Q]",
        "dead-letters-without-policy",
    );
    change(
        "Queues: [!Ref Q, !Ref D]",
        "Queues: [!Ref L]",
        "queue-without-policy dead-letters-without-policy",
    );
    // A queue that is not known may be any of them.
    change(
        "Queues: [!Ref Q, !Ref D]",
        "Queues: [!Ref Q, !ImportValue other]",
        "",
    );
    let inline = with(
        "Type: AWS::SQS::QueuePolicy",
        "Type: AWS::SQS::QueueInlinePolicy",
    );
    let inline = inline.replace("Queues: [!Ref Q, !Ref D]", "Queue: !Ref Q");
    finds(&inline, "dead-letters-without-policy");
}

/// A Deny wins, where it holds for a service.
#[test]
fn statements_that_deny() {
    let deny = |rest: &str| {
        format!(
            "{RIGHT}          - {{ Effect: Deny, Principal: '*', Action: 'sqs:*', Resource: '*'{rest} }}\n"
        )
    };
    let both = "queue-without-policy dead-letters-without-policy";
    let of = |text: &str| {
        let mut found: Vec<String> = codes(text).split(' ').map(str::to_owned).collect();
        found.sort();
        found.reverse();
        found.join(" ")
    };
    assert_eq!(of(&deny("")), both);
    assert_eq!(
        of(&deny(
            ", Condition: { StringNotEquals: { aws:SourceVpce: vpce-1 } }"
        )),
        both
    );
    assert_eq!(
        of(&deny(
            ", Condition: { StringNotEquals: { aws:PrincipalOrgID: o-1 } }"
        )),
        both
    );
    assert_eq!(
        of(&deny(
            ", Condition: { NotIpAddress: { aws:SourceIp: 10.0.0.0/8 } }"
        )),
        both
    );
    for right in [
        "Bool: { aws:SecureTransport: 'false' }",
        "StringNotEquals: { aws:SourceVpce: vpce-1 }, Bool: { aws:PrincipalIsAWSService: 'false' }",
        "StringEquals: { aws:PrincipalOrgID: o-1 }",
        "NumericLessThan: { s3:TlsVersion: 1.2 }",
    ] {
        assert_eq!(of(&deny(&format!(", Condition: {{ {right} }}"))), "");
    }
    assert_eq!(
        of(&deny("").replace("'sqs:*', Resource", "'sqs:DeleteQueue', Resource")),
        ""
    );
}

/// Conditions that name other rules, or none at all.
#[test]
fn rules_that_a_policy_names() {
    let source = "ArnEquals: { aws:SourceArn: !GetAtt R.Arn }";
    for other in [
        "ArnEquals: { aws:SourceArn: 'arn:aws:events:eu-west-1:123456789012:rule/other' }",
        "ArnLike: { aws:SourceArn: 'arn:aws:events:*:*:rule/*/shop' }",
        "StringEquals: { aws:SourceArn: 'arn:aws:events:eu-west-1:123456789012:rule/*' }",
        "StringLike: { AWS:SourceARN: ['arn:aws:events:*:*:rule/shop-?', 'arn:aws:sns:*:*:*x'] }",
    ] {
        let text = with(source, other);
        // The policy is at one place, and found for both queues.
        let found = codes(&text);
        let only = found
            .split(' ')
            .all(|code| code == "policy-of-another-rule");
        assert!(only && !found.is_empty(), "{other}: {found}");
    }
    let open = with(
        "            Condition: { ArnEquals: { aws:SourceArn: !GetAtt R.Arn } }\n",
        "",
    );
    assert_eq!(codes(&open), "policy-without-source policy-without-source");
    // With another condition it is not open, and not decided.
    change(
        source,
        "StringEquals: { aws:SourceAccount: '123456789012' }",
        "",
    );
}

/// Redrive policies as objects, as JSON text, and as text that functions put together.
#[test]
fn redrive_policies() {
    let object = "RedrivePolicy: { deadLetterTargetArn: !GetAtt L.Arn, maxReceiveCount: 5 }";
    for few in [
        "RedrivePolicy: { deadLetterTargetArn: !GetAtt L.Arn, maxReceiveCount: 1 }",
        r#"RedrivePolicy: '{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:letters", "maxReceiveCount": 2}'"#,
        r#"RedrivePolicy: !Sub '{"deadLetterTargetArn": "${L.Arn}", "maxReceiveCount": "1"}'"#,
        r#"RedrivePolicy: { Fn::Join: ['', ['{"deadLetterTargetArn":"', !GetAtt L.Arn, '","maxReceiveCount":1}']] }"#,
    ] {
        change(object, few, "few-receives");
    }
    change(object, "VisibilityTimeout: 30", "queue-without-redrive");
    change(
        object,
        "RedrivePolicy: !If [IsProd, !Ref AWS::NoValue, { deadLetterTargetArn: !GetAtt L.Arn, maxReceiveCount: 5 }]",
        "queue-without-redrive",
    );
    change(object, "RedrivePolicy: !Ref Retention", "");
    change(
        "MessageRetentionPeriod: 1209600",
        "MessageRetentionPeriod: 345600",
        "short-retention",
    );
    change(
        "MessageRetentionPeriod: 1209600",
        "MessageRetentionPeriod: !Ref Retention",
        "",
    );
    change(
        "QueueName: events",
        "QueueName: events, MessageRetentionPeriod: 600"
            .replace(", ", "\n      ")
            .as_str(),
        "short-retention",
    );
    change(
        "QueueName: letters",
        "QueueName: letters.fifo, FifoQueue: true",
        "redrive-of-another-kind",
    );
}

/// A value that cannot be resolved has no finding: nothing is known of it.
#[test]
fn what_is_not_known() {
    for (from, to) in [
        ("Arn: !GetAtt Q.Arn", "Arn: !ImportValue queue"),
        (
            "DeadLetterConfig: { Arn: !GetAtt D.Arn }",
            "DeadLetterConfig: { Arn: { Fn::ImportValue: !Sub '${Env}-dlq' } }",
        ),
        (
            "DeadLetterConfig: { Arn: !GetAtt D.Arn }",
            "DeadLetterConfig: !Transform { Name: M }",
        ),
        (
            "EventPattern: { source: [shop] }",
            "EventPattern: { source: [!Ref Env] }",
        ),
        ("QueueName: events", "QueueName: !Ref Env"),
        ("QueueName: events", "FifoQueue: !Ref Env"),
        (
            "        Statement:\n",
            "        Statement: !If [Nowhere, [], []]\n        Other:\n",
        ),
        (
            "Condition: { ArnEquals: { aws:SourceArn: !GetAtt R.Arn } }",
            "Condition: !FindInMap [A, B, C]",
        ),
        ("maxReceiveCount: 5", "maxReceiveCount: !Ref Retention"),
    ] {
        change(from, to, "");
    }
    // The default of a parameter of SSM is the parameter's name.
    let ssm = with(
        "Env: { Type: String }",
        "Env: { Type: 'AWS::SSM::Parameter::Value<String>', Default: arn:aws:sqs:eu-west-1:123456789012:events.fifo }",
    );
    finds(&ssm.replace("Arn: !GetAtt Q.Arn", "Arn: !Ref Env"), "");
}

/// Keys by reference, alias, text and in other words.
#[test]
fn keys_of_queues() {
    let key = |more: &str| {
        format!(
            "  K:\n    Type: AWS::KMS::Key\n    Properties:\n{more}      KeyPolicy: {{ Statement: [{{ Effect: Allow, Principal: {{ AWS: root }}, Action: 'kms:*' }}, GRANT] }}\n  A:\n    Type: AWS::KMS::Alias\n    Properties: {{ AliasName: alias/events, TargetKeyId: !GetAtt K.Arn }}\n"
        )
    };
    let queue = |master: &str, more: &str| {
        with(
            "QueueName: events",
            &format!("QueueName: events\n      KmsMasterKeyId: {master}"),
        ) + &key(more)
    };
    let grant = "{ Effect: Allow, Principal: { Service: events.amazonaws.com }, Action: ['kms:Decrypt', 'kms:Generate*'], Resource: '*' }";
    let none = "{ Effect: Allow, Principal: { Service: sns.amazonaws.com }, Action: 'kms:*' }";
    for master in [
        "!Ref K",
        "!GetAtt K.Arn",
        "alias/events",
        "!Ref A",
        "!Sub 'arn:aws:kms:${AWS::Region}:${AWS::AccountId}:key/${K}'",
        "!Sub 'arn:aws:kms:eu-west-1:123456789012:alias/events'",
    ] {
        let text = queue(master, "");
        finds(&text.replace("GRANT", grant), "");
        finds(&text.replace("GRANT", none), "key-without-grant");
    }
    finds(
        &queue("!Ref K", "      Enabled: false\n").replace("GRANT", grant),
        "key-disabled",
    );
    finds(&queue("!ImportValue key", "").replace("GRANT", none), "");
    finds(&queue("!Ref K", "").replace("GRANT", "!Ref Grant"), "");
    finds(
        &queue("alias/aws/sqs", "").replace("GRANT", grant),
        "managed-key",
    );
}

/// A FIFO queue in other words.
#[test]
fn fifo_targets() {
    for name in [
        "QueueName: events.fifo",
        "FifoQueue: true",
        "FifoQueue: yes",
        "FifoQueue: 'TRUE'",
    ] {
        let text = with(
            "QueueName: events",
            &format!("{name}\n      ContentBasedDeduplication: 'true'"),
        );
        let text = text.replace("      RedrivePolicy: { deadLetterTargetArn: !GetAtt L.Arn, maxReceiveCount: 5 }\n", "      RedrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:123456789012:l.fifo', maxReceiveCount: 5 }\n");
        finds(&text, "fifo-without-group");
        let with_group = |group: &str| {
            text.replace(
                "          Arn: !GetAtt Q.Arn\n",
                &format!("          Arn: !GetAtt Q.Arn\n          SqsParameters: {group}\n"),
            )
        };
        finds(&with_group("{ MessageGroupId: g }"), "");
        finds(&with_group("{ MessageGroupId: '' }"), "fifo-without-group");
        finds(&with_group("!If [Nowhere, {}, {}]"), "");
        let no_deduplication = with_group("{ MessageGroupId: g }")
            .replace("      ContentBasedDeduplication: 'true'\n", "");
        finds(&no_deduplication, "fifo-without-deduplication");
    }
}
