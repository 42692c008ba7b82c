//! The event bus of `eventcast dev`, seen by AWS's own Python SDK and command line, and held against LocalStack's.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/localstack.rs"]
mod localstack;
#[path = "support/moto.rs"]
mod moto;

use std::process::Command;

use dev::Dev;
use localstack::LocalStack;

/// Runs a program to its end and gives what it printed.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn script(part: &str, environment: [(&'static str, String); 5]) -> String {
    output(moto::python("events.py").arg(part).envs(environment))
}

/// What AWS's service does as LocalStack's does it, this bus does too, answer for answer.
#[test]
fn it_does_as_localstack_does() {
    let ours = script("agreed", Dev::start(&[]).environment());
    let localstack = LocalStack::start();
    let theirs = script("agreed", localstack.environment());
    let both = ours.lines().zip(theirs.lines());
    for (line, (ours, theirs)) in both.enumerate() {
        assert_eq!(ours, theirs, "line {line}");
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    insta::assert_snapshot!(ours);
}

/// Where LocalStack is not AWS's equal.
#[test]
fn boto3_is_content() {
    assert_eq!(script("own", Dev::start(&[]).environment()), "well\n");
}

/// The way from a bus to a queue as the manual shows it, by AWS's command line.
#[test]
fn the_command_line_of_aws_works() {
    let dev = Dev::start(&[]);
    let aws = |arguments: &str| {
        let mut command = Command::new(moto::program("aws"));
        command.args(arguments.split(' ')).envs(dev.environment());
        // Version 1 overlooks AWS_ENDPOINT_URL for queues.
        command.args(["--endpoint-url", dev.endpoint()]);
        output(command.args(["--output", "json"]))
    };
    aws("sqs create-queue --queue-name events");
    aws("events create-event-bus --name shop");
    aws(
        r#"events put-rule --name orders --event-bus-name shop --event-pattern {"source":["shop.orders"]}"#,
    );
    let arn = "arn:aws:sqs:us-east-1:000000000000:events";
    aws(&format!(
        "events put-targets --rule orders --event-bus-name shop --targets Id=1,Arn={arn}"
    ));
    let listed = aws("events list-targets-by-rule --rule orders --event-bus-name shop");
    assert!(listed.contains(arn), "{listed}");
    let put = aws(
        r#"events put-events --entries [{"EventBusName":"shop","Source":"shop.orders","DetailType":"OrderPlaced","Detail":"{\"orderId\":\"o1\"}"}]"#,
    );
    let put: serde_json::Value = serde_json::from_str(&put).unwrap();
    assert_eq!(put["FailedEntryCount"], 0);
    let queue = format!("{}/000000000000/events", dev.endpoint());
    let received = aws(&format!("sqs receive-message --queue-url {queue}"));
    let received: serde_json::Value = serde_json::from_str(&received).unwrap();
    let event = received["Messages"][0]["Body"].as_str().unwrap();
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["id"], put["Entries"][0]["EventId"]);
    assert_eq!(event["detail"]["orderId"], "o1");
}

#[test]
fn faults_hit_the_bus_too() {
    let dev = Dev::start(&[]);
    for (fault, told) in [
        ("refuse", "ServiceUnavailable"),
        ("throttle", "ThrottlingException"),
    ] {
        dev.fault(&serde_json::json!({ "action": "ListEventBuses", "fault": fault }));
        let mut aws = Command::new(moto::program("aws"));
        aws.args(["events", "list-event-buses"])
            .envs(dev.environment())
            .env("AWS_MAX_ATTEMPTS", "1");
        let output = aws.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(told),
            "{errors}"
        );
        dev.no_faults();
        assert!(aws.output().unwrap().status.success());
    }
}
