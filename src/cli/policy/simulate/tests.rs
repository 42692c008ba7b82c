//! Reports about a client, as people read them.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct SimulationLine {
    #[command(flatten)]
    simulate: SimulateCommand,
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
    let line = SimulationLine::try_parse_from(line).unwrap();
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = run(&line.simulate, None::<&[u8]>, &mut out, &mut messages).unwrap();
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
        "--receive",
        "order/secret",
        "--receive",
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
        "--receive",
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
    let (status, out, _) =
        simulated(&["--policy", policy, "--client", "c", "--receive", "a/b/c/d"]);
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
        crate::cli::usage::message(&SimulationLine::try_parse_from(line).err().unwrap())
    };
    let refusals = [
        refused(&["--client", "c"]),
        refused(&["--connect"]),
        refused(&["--client", "c", "--subscribe", "a/#/b"]),
        refused(&["--client", "c", "--receive", "a/+"]),
        refused(&["--client", "c", "--connect", "--principal", "me"]),
        refused(&["--client", "c", "--connect", "--context", "x"]),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}

const APP: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-west-1:123456789012:client/app-1",
   "Condition":{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["LastWill"]}}},
  {"Effect":"Allow","Action":"iot:Publish","Resource":["arn:aws:iot:eu-west-1:123456789012:topic/app-1/state","arn:aws:iot:eu-west-1:123456789012:topic/app-1/kept"]},
  {"Effect":"Allow","Action":"iot:RetainPublish","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/app-1/kept"}]}"#;

#[test]
fn retained_messages_wills_and_persistent_sessions() {
    let asked = |arguments: &[&str]| {
        let given = ["--policy", APP, "--client", "app-1"];
        let (status, out, _) = simulated(&[&given, arguments].concat());
        (status, out)
    };
    let (status, out) = asked(&["--publish", "app-1/state"]);
    assert_eq!(status, Status::Yes);
    assert!(out.contains("note: a retained message is refused"), "{out}");
    let (status, out) = asked(&["--publish", "app-1/kept"]);
    assert_eq!(status, Status::Yes);
    assert!(!out.contains("note:"), "{out}");
    let (status, out) = asked(&["--publish", "app-1/state", "--retain"]);
    assert_eq!(status, Status::No);
    assert!(
        out.contains("may not publish a retained message to `app-1/state`"),
        "{out}"
    );
    assert_eq!(
        asked(&["--publish", "app-1/kept", "--retain"]).0,
        Status::Yes
    );
    assert_eq!(asked(&["--will", "app-1/state"]).0, Status::Yes);
    assert_eq!(asked(&["--will", "app-1/state", "--retain"]).0, Status::No);
    assert_eq!(asked(&["--will", "app-2/state"]).0, Status::No);
    let (status, out) = asked(&["--connect"]);
    assert_eq!(status, Status::Yes);
    assert!(
        out.contains("note: a persistent session is refused"),
        "{out}"
    );
    assert_eq!(asked(&["--persistent"]).0, Status::No);
    assert_eq!(asked(&["--connect", "--retain"]).0, Status::CannotAnswer);
}

#[test]
fn answers_of_others_are_read() {
    let quoted = serde_json::to_string(APP).unwrap();
    for answer in [
        format!(r#"{{"policyName":"app","policyDocument":{quoted},"defaultVersionId":"1"}}"#),
        format!(
            r#"{{"isAuthenticated":true,"principalId":"a","policyDocuments":[{quoted}],"disconnectAfterInSeconds":300}}"#
        ),
        format!(r#"{{"form":"iot","documents":[{APP}],"characters":[1],"notes":[]}}"#),
    ] {
        let (status, _, messages) = simulated(&[
            "--policy",
            &answer,
            "--client",
            "app-1",
            "--publish",
            "app-1/kept",
        ]);
        assert_eq!((status, &*messages), (Status::Yes, ""), "{answer}");
    }
    let (status, _, messages) =
        simulated(&["--policy", r#"{"jobs":[]}"#, "--client", "c", "--connect"]);
    assert_eq!(status, Status::CannotAnswer);
    assert!(messages.contains("error[unknown-shape]"), "{messages}");
    let line = [
        "simulate",
        "--policy",
        "-",
        "--client",
        "app-1",
        "--connect",
    ];
    let line = SimulationLine::try_parse_from(line).unwrap();
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = run(
        &line.simulate,
        Some(APP.as_bytes()),
        &mut out,
        &mut messages,
    )
    .unwrap();
    assert_eq!(status, Status::Yes);
}

#[test]
fn channels_can_be_received() {
    let file = std::env::temp_dir().join(format!("eventcast-channels-{}.yaml", std::process::id()));
    std::fs::write(
        &file,
        "environment: dev\nchannels:\n  order: { id: { pattern: \"[0-9]+\" } }\nroutes:\n  - { name: r, match: { source: [s] }, to: [t] }\n",
    )
    .unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":["arn:aws:iot:us-east-1:123456789012:topicfilter/dev/order/1","arn:aws:iot:us-east-1:123456789012:topic/dev/order/1"]}]}"#;
    let asked = |receive: &str| {
        let file = file.display().to_string();
        simulated(&[
            "--policy",
            policy,
            "--client",
            "c",
            "--receive",
            receive,
            "--config",
            &file,
        ])
    };
    let (status, out, _) = asked("order:1");
    assert_eq!(status, Status::Yes, "{out}");
    assert!(
        out.contains("may receive messages on `dev/order/1`"),
        "{out}"
    );
    let (status, out, _) = asked("order/1");
    assert_eq!(status, Status::No);
    assert!(
        out.contains("the request lacks `dev/` at its beginning"),
        "{out}"
    );
    let (status, _, messages) = asked("order:x");
    assert_eq!(status, Status::CannotAnswer);
    assert!(
        messages.contains("`x` is not a valid id for channel `order`"),
        "{messages}"
    );
    let (_, _, messages) =
        simulated(&["--policy", policy, "--client", "c", "--hear", "dev/order/1"]);
    std::fs::remove_file(&file).unwrap();
    assert!(
        messages.contains("--hear is the older name of --receive"),
        "{messages}"
    );
}

#[test]
fn documents_far_beyond_the_limits_are_refused() {
    let globs: Vec<String> = (0..4_000)
        .map(|n| format!("arn:aws:iot:us-east-1:123456789012:topicfilter/{n}?*?*"))
        .collect();
    let policy =
        format!(r#"{{"Statement":{{"Effect":"Allow","Action":"iot:*","Resource":{globs:?}}}}}"#);
    let (status, _, messages) =
        simulated(&["--policy", &policy, "--client", "c", "--receive", "a/b"]);
    assert_eq!(status, Status::CannotAnswer);
    assert!(messages.contains("error[too-large]"), "{messages}");
    let fitting = globs.get(..300).unwrap();
    let policy =
        format!(r#"{{"Statement":{{"Effect":"Allow","Action":"iot:*","Resource":{fitting:?}}}}}"#);
    let many = vec![policy.as_str(); 10];
    let given = [&["--client", "c", "--connect", "--policy"][..], &many].concat();
    let (status, _, messages) = simulated(&given);
    assert_eq!(status, Status::CannotAnswer);
    assert!(messages.contains("characters together"), "{messages}");
}

#[test]
fn control_characters_of_policies_are_escaped() {
    let policy = r#"{"Statement":{"Sid":"a\u001b[31m\nFORGED","Effect":"Allow","Action":"iot:Publish","Resource":"*"}}"#;
    let (_, out, _) = simulated(&["--policy", policy, "--client", "c", "--publish", "a"]);
    assert!(out.contains("`a\\u{1b}[31m\\nFORGED`"), "{out}");
    assert!(
        !out.contains('\u{1b}') && !out.contains("\nFORGED"),
        "{out}"
    );
}
