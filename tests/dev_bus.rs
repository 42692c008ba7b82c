//! The event bus of `eventcast dev`, seen by AWS's own SDKs for Python and Rust and its command
//! line, and held against LocalStack's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/localstack.rs"]
mod localstack;
#[path = "support/moto.rs"]
mod moto;

use std::process::Command;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata as _;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, RuleState, Target};
use dev::Dev;
use localstack::LocalStack;

/// Runs a program to its end, and returns its output.
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

/// The bus does all that AWS's service and LocalStack do alike, answer for answer.
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

/// Behaviour of AWS that LocalStack does not have.
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

const PATTERN: &str = r#"{"source":["shop.orders"],"detail":{"total":[{"numeric":[">",10]}]}}"#;

async fn sdk(dev: &Dev) -> (Client, aws_sdk_sqs::Client) {
    let config = eventcast::aws::client::stand_in(dev.endpoint(), "us-east-1").await;
    (Client::new(&config), aws_sdk_sqs::Client::new(&config))
}

/// A bus with one rule, whose target is a queue; gives the queue's URL and ARN.
async fn from_bus_to_queue(events: &Client, sqs: &aws_sdk_sqs::Client) -> (String, String) {
    let created = sqs.create_queue().queue_name("events").send().await;
    let queue = created.unwrap().queue_url.unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:events".to_owned();
    let bus = events.create_event_bus().name("shop").send().await.unwrap();
    let bus_arn = "arn:aws:events:us-east-1:000000000000:event-bus/shop";
    assert_eq!(bus.event_bus_arn(), Some(bus_arn));
    let rule = events.put_rule().name("large").event_bus_name("shop");
    let rule = rule.event_pattern(PATTERN).send().await.unwrap();
    let rule_arn = "arn:aws:events:us-east-1:000000000000:rule/shop/large";
    assert_eq!(rule.rule_arn(), Some(rule_arn));
    let target = Target::builder().id("1").arn(&arn).build().unwrap();
    let put = events.put_targets().event_bus_name("shop").rule("large");
    let put = put.targets(target).send().await.unwrap();
    assert_eq!(put.failed_entry_count(), 0);
    (queue, arn)
}

#[tokio::test]
async fn the_rust_sdk_puts_events() {
    let dev = Dev::start(&[]);
    let (events, sqs) = sdk(&dev).await;
    let (queue, _) = from_bus_to_queue(&events, &sqs).await;
    let entry = |source: &str, detail: &str| {
        let entry = PutEventsRequestEntry::builder().event_bus_name("shop");
        let entry = entry.source(source).detail_type("OrderPlaced");
        entry.detail(detail).build()
    };
    let put = events
        .put_events()
        .entries(entry("shop.orders", r#"{"total":11,"orderId":"o1"}"#))
        .entries(entry("shop.orders", "no JSON"))
        .entries(entry("aws.s3", "{}"))
        .entries(entry("shop.orders", r#"{"total":10}"#));
    let put = put.send().await.unwrap();
    let codes: Vec<Option<&str>> = put.entries().iter().map(|one| one.error_code()).collect();
    let wanted = ["MalformedDetail", "NotAuthorizedForSourceException"];
    assert_eq!(codes, [None, Some(wanted[0]), Some(wanted[1]), None]);
    assert_eq!(put.failed_entry_count(), 2);
    // The one that matches arrives, and no other.
    let receive = sqs.receive_message().queue_url(&queue);
    let received = receive.max_number_of_messages(10).send().await.unwrap();
    let [message] = received.messages() else {
        panic!("one message instead of {received:?}");
    };
    let event: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(event["id"].as_str(), put.entries()[0].event_id());
    assert_eq!(event["detail"]["orderId"], "o1");
}

#[tokio::test]
async fn the_rust_sdk_lists_what_there_is() {
    let dev = Dev::start(&[]);
    let (events, sqs) = sdk(&dev).await;
    let (_, arn) = from_bus_to_queue(&events, &sqs).await;
    let buses = events.list_event_buses().send().await.unwrap();
    let names: Vec<&str> = buses
        .event_buses()
        .iter()
        .flat_map(|bus| bus.name())
        .collect();
    assert_eq!(names, ["default", "shop"]);
    let rules = events
        .list_rules()
        .event_bus_name("shop")
        .send()
        .await
        .unwrap();
    let [rule] = rules.rules() else {
        panic!("one rule instead of {rules:?}");
    };
    assert_eq!(rule.name(), Some("large"));
    assert_eq!(rule.state(), Some(&RuleState::Enabled));
    assert_eq!(rule.event_pattern(), Some(PATTERN));
    let targets = events
        .list_targets_by_rule()
        .event_bus_name("shop")
        .rule("large");
    let targets = targets.send().await.unwrap();
    let arns: Vec<&str> = targets.targets().iter().map(Target::arn).collect();
    assert_eq!(arns, [&arn]);
    let names = events.list_rule_names_by_target().event_bus_name("shop");
    let names = names.target_arn(&arn).send().await.unwrap();
    assert_eq!(names.rule_names(), ["large"]);
    for (total, matches) in [(11, true), (10, false)] {
        let event = serde_json::json!({
            "id": "1", "account": "000000000000", "source": "shop.orders", "time": "2026-11-25T00:00:00Z",
            "region": "us-east-1", "detail-type": "OrderPlaced", "detail": { "total": total },
        });
        let test = events.test_event_pattern().event_pattern(PATTERN);
        let tested = test.event(event.to_string()).send().await.unwrap();
        assert_eq!(tested.result(), matches);
    }
}

/// Errors come as the SDK's own types, not as something that it does not know.
#[tokio::test]
async fn the_rust_sdk_knows_the_errors() {
    let dev = Dev::start(&[]);
    let (events, sqs) = sdk(&dev).await;
    from_bus_to_queue(&events, &sqs).await;
    let error = events.describe_event_bus().name("nowhere").send().await;
    let error = error.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    assert_eq!(error.message(), Some("Event bus nowhere does not exist."));
    let rule = events.put_rule().name("r").event_bus_name("nowhere");
    let error = rule.event_pattern(PATTERN).send().await;
    assert!(
        error
            .unwrap_err()
            .into_service_error()
            .is_resource_not_found_exception()
    );
    let rule = events
        .put_rule()
        .name("r")
        .event_pattern(r#"{"source":"x"}"#);
    let error = rule.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_event_pattern_exception(), "{error:?}");
    let error = events.create_event_bus().name("shop").send().await;
    let error = error.unwrap_err().into_service_error();
    assert!(error.is_resource_already_exists_exception(), "{error:?}");
    let error = events.delete_rule().name("large").event_bus_name("shop");
    let error = error.send().await.unwrap_err().into_service_error();
    // It still has a target: a ValidationException, which the model has no type for.
    assert_eq!(error.code(), Some("ValidationException"), "{error:?}");
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
