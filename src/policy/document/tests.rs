//! Contents read from documents, and every message about faults in them.

use super::*;

/// Each document with its faults as a person is shown them, less the excerpt.
fn faults(text: &str) -> String {
    let error = Document::parse(text).unwrap_err();
    let lines = error.faults.iter().map(|fault| {
        let TextPosition { line, column } = fault.at;
        format!(
            "  {line}:{column} {} at `{}`: {}\n    accepted: {}\n    help: {}\n",
            fault.code, fault.key, fault.message, fault.accepted, fault.help,
        )
    });
    format!("{text}\n{}\n", lines.collect::<String>())
}

#[test]
fn all_faults_at_once() {
    let text = r#"{
  "Version": "2012-10-18",
  "Statements": [],
  "Statement": [
    {
      "Effect": "allow",
      "Action": ["Publish", "iot:Receive", 7],
      "NotResource": "topic/a",
      "Principal": "*"
    },
    {
      "Action": [],
      "NotAction": "iot:*",
      "Resource": "arn:aws:iot:us-east-1:topic/a",
      "Condition": {
        "StringEqual": {"iot:ClientId": "c"},
        "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "10.0.0.0/40", "x"]},
        "Bool": "true"
      }
    },
    {
      "Effect": "Deny",
      "Effect": "Deny",
      "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/${iot:ClientId"],
      "Condition": {"StringLike": {"k": "${}"}, "ArnLike": {"k": "topic/a"}, "NumericEquals": {"k": [true, null]}}
    }
  ]
}"#;
    insta::assert_snapshot!(faults(text));
}

#[test]
fn each_fault_alone() {
    let documents = [
        "",
        "{\"Version\": }",
        "[]",
        "{}",
        r#"{"Statement": "Allow"}"#,
        r#"{"Version": 2012, "Statement": []}"#,
        r#"{"Statement": {"Effect": "Allow", "Action": "iot:*"}}"#,
        r#"{"Statement": {"Effect": true, "Action": "", "Resource": "*"}}"#,
        r#"{"Statement": {"Sid": 1, "Effect": "Permit", "Action": "iot:", "Resource": ["*", {}]}}"#,
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:iot:r:1"}}"#,
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:iot:r:${aws:x}:topic/a"}}"#,
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": []}}"#,
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"ForAllValues:Null": {"k": "true"}}}}"#,
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"k": "yes"}, "DateEquals": {"k": "soon"}}}}"#,
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "\ud800"}}"#,
    ];
    insta::assert_snapshot!(documents.map(faults).join("\n"));
}

#[test]
fn what_is_read() {
    let document = Document::parse(
        r#"{"Statement": {"Sid": "One", "Effect": "Deny", "NotAction": "IOT:pub*", "NotResource": ["*"],
            "Condition": {"ForAnyValue:StringLike": {"k": ["a", 1, true]}}}}"#,
    )
    .unwrap();
    assert_eq!(document.version, LanguageVersion::Of2008);
    let [statement] = document.statements.as_slice() else {
        panic!("one statement")
    };
    assert_eq!(statement.sid.as_deref(), Some("One"));
    assert_eq!(statement.effect, Effect::Deny);
    assert!(matches!(&statement.actions, ElementList::AllBut(actions)
        if actions[0].matches("iot:Publish") && !actions[0].matches("iot:Receive")));
    assert!(matches!(&statement.resources, ElementList::AllBut(resources) if resources.len() == 1));
    let condition = &statement.conditions[0];
    assert_eq!(&*condition.operator, "ForAnyValue:StringLike");
    assert_eq!(condition.values, ["a", "1", "true"].map(Box::from));
    assert_eq!(
        condition.at,
        TextPosition {
            line: 2,
            column: 54
        }
    );
}

#[test]
fn variables_are_known() {
    let document = Document::parse(
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect",
            "Resource": "arn:aws:iot:*:*:client/${iot:ClientId}-${aws:SourceIp}",
            "Condition": {"StringLike": {"k": "*${iot:Connection.Thing.ThingName}"}}}]}"#,
    )
    .unwrap();
    let statement = &document.statements[0];
    let names: Vec<_> = statement.resources.listed()[0]
        .variables()
        .chain(statement.conditions[0].variables())
        .map(ContextKey::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "iot:ClientId",
            "aws:SourceIp",
            "iot:Connection.Thing.ThingName"
        ]
    );
}
