//! What people are told about a client.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    simulate: Simulate,
}

const CUSTOMER: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Connect",
      "Effect": "Allow",
      "Action": "iot:Connect",
      "Resource": "arn:aws:iot:eu-central-1:111122223333:client/${iot:Connection.Thing.ThingName}",
      "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    },
    {
      "Sid": "Orders",
      "Effect": "Allow",
      "Action": "iot:Subscribe",
      "Resource": [
        "arn:aws:iot:eu-central-1:111122223333:topicfilter/order/*",
        "arn:aws:iot:eu-central-1:111122223333:topic/user/1"
      ]
    },
    {
      "Effect": "Allow",
      "Action": "iot:Receive",
      "Resource": "arn:aws:iot:eu-central-1:111122223333:topic/*"
    },
    {
      "Sid": "Secrets",
      "Effect": "Deny",
      "Action": ["iot:Receive", "iot:Publish"],
      "Resource": "arn:aws:iot:eu-central-1:111122223333:topic/order/secret"
    }
  ]
}"#;

fn simulated(arguments: &[&str]) -> (Status, String, String) {
    let line = ["simulate"].iter().chain(arguments);
    let line = Line::try_parse_from(line).unwrap();
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = run(&line.simulate, &mut out, &mut messages).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status, text(out), text(messages))
}

#[test]
fn explained_in_words() {
    let (status, out, messages) = simulated(&[
        "--policy",
        CUSTOMER,
        "--client",
        "lamp1",
        "--connect",
        "--subscribe",
        "order/#",
        "--subscribe",
        "user/1",
        "--publish",
        "order/1",
        "--publish",
        "order/secret",
        "--receive",
        "order/1",
        "--hear",
        "order/1",
        "--hear",
        "order/secret",
        "--hear",
        "tenant/1",
    ]);
    assert_eq!((status, &*messages), (Status::No, ""));
    insta::assert_snapshot!(out);
}

#[test]
fn allowed_with_facts() {
    let (status, out, _) = simulated(&[
        "--policy",
        CUSTOMER,
        "--client",
        "lamp1",
        "--thing",
        "lamp1",
        "--context",
        "aws:SourceIp=203.0.113.7",
        "--connect",
    ]);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(out);
}

#[test]
fn explained_as_json() {
    let facts = r#"{"clientId":"lamp1","conditions":{"aws:SourceIp":"10.0.0.1"},"thing":{"name":"lamp1","attachedToPrincipal":true}}"#;
    let (status, out, _) = simulated(&[
        "--policy",
        CUSTOMER,
        "--facts",
        facts,
        "--connect",
        "--hear",
        "order/1",
        "--format",
        "json",
    ]);
    assert_eq!(status, Status::No);
    insta::assert_snapshot!(out);
}

#[test]
fn a_client_that_cannot_connect_is_noted() {
    let policy = r#"{"Statement":{"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":"*"}}"#;
    let (status, out, _) = simulated(&["--policy", policy, "--client", "c", "--hear", "a/b/c/d"]);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(out);
}

#[test]
fn bad_input() {
    let told = |arguments: &[&str]| {
        let (status, out, messages) = simulated(arguments);
        assert_eq!((status, &*out), (Status::CannotAnswer, ""));
        messages
    };
    let two_regions = [
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":["arn:aws:iot:us-east-1:1:*","arn:aws:iot:us-east-2:1:*"]}}"#,
        "--client",
        "c",
        "--connect",
    ];
    let messages = [
        told(&[
            "--policy",
            r#"{"Statement":{"Effect":"Alow","Action":"*"}}"#,
            "--client",
            "c",
            "--connect",
        ]),
        told(&[
            "--policy",
            "no-such-file.json",
            "--client",
            "c",
            "--connect",
        ]),
        told(&[&["--policy"], &two_regions[..]].concat()),
        told(&[
            "--policy",
            CUSTOMER,
            "--facts",
            r#"{"clientid":"c"}"#,
            "--connect",
        ]),
    ];
    insta::assert_snapshot!(messages.join("\n"));
    let (status, ..) = simulated(
        &[
            &["--policy"],
            &two_regions[..],
            &["--region", "us-east-2", "--account", "1"],
        ]
        .concat(),
    );
    assert_eq!(status, Status::Yes);
}

#[test]
fn bad_arguments() {
    let refused = |arguments: &[&str]| {
        let line = ["simulate", "--policy", "{}"].iter().chain(arguments);
        crate::cli::usage::message(&Line::try_parse_from(line).err().unwrap())
    };
    let refusals = [
        refused(&["--client", "c"]),
        refused(&["--connect"]),
        refused(&["--client", "c", "--subscribe", "a/#/b"]),
        refused(&["--client", "c", "--hear", "a/+"]),
        refused(&["--client", "c", "--connect", "--principal", "me"]),
        refused(&["--client", "c", "--connect", "--context", "x"]),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}
