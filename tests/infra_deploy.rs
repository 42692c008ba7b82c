//! The templates of `infra/` deployed on stand-ins of AWS, with an event through the deployed bus,
//! rule and queue into the bridge. infra/README.md lists what each stand-in ignores; that list is
//! compared.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/dev.rs"]
mod dev;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/localstack.rs"]
mod localstack;
#[path = "support/ministack.rs"]
mod ministack;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/moto.rs"]
mod moto;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use daemon::Daemon;
use dev::Dev;
use lines::{subscriber, until};
use localstack::LocalStack;
use ministack::MiniStack;
use mosquitto::Mosquitto;
use moto::{Moto, environment, python};
use serde_json::Value;

const ORDER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

type Environment = [(&'static str, String); 5];

/// Runs `stacks.py`. Returns the exit status, and its output.
fn try_stacks(environment: &Environment, arguments: &[&str]) -> (bool, String, String) {
    let mut command = python("stacks.py");
    let output = command
        .args(arguments)
        .envs(environment.iter().cloned())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn stacks(environment: &Environment, arguments: &[&str]) -> String {
    let (succeeded, out, errors) = try_stacks(environment, arguments);
    assert!(succeeded, "{arguments:?}: {errors}");
    out.trim().to_owned()
}

fn manual() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/README.md");
    std::fs::read_to_string(path).unwrap()
}

/// A stand-in's column of the manual's table: `yes`, `bare` or `no` for each type of resource.
fn in_the_manual(stand_in: &str) -> BTreeMap<String, String> {
    let manual = manual();
    let mut rows = manual
        .lines()
        .skip_while(|line| !line.starts_with("| resource |"));
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let head = cells(rows.next().unwrap());
    let column = head.iter().position(|name| name.starts_with(stand_in));
    let column = column.unwrap();
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = cells(line);
            (cells[0].trim_matches('`').to_owned(), cells[column].clone())
        })
        .collect()
}

fn eventcast(environment: &Environment, queue: &Value, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .envs(environment.iter().cloned())
        .env("EVENTCAST_CONFIG", "infra/example/eventcast.yaml")
        .env("EVENTCAST_BRIDGE_QUEUE", queue.as_str().unwrap());
    command
}

fn put(environment: &Environment, detail_type: &str, order: &str) {
    let detail = format!(r#"{{"orderId":"{order}","watchers":[]}}"#);
    let arguments = ["put", "shop", "shop.orders", detail_type, &detail];
    stacks(environment, &arguments);
}

/// Deploys all stacks, compares the resources with the manual, and sends events through them.
fn deployed(stand_in: &str, environment: &Environment) {
    let outputs = stacks(environment, &["deploy", stand_in]);
    let outputs: Value = serde_json::from_str(&outputs).unwrap();
    let made: BTreeMap<String, String> =
        serde_json::from_str(&stacks(environment, &["made"])).unwrap();
    assert_eq!(made, in_the_manual(stand_in));

    let broker = Mosquitto::start();
    let subscriber = subscriber(broker.mqtt_port());
    let mut command = eventcast(environment, &outputs["QueueUrl"], &["bridge", "--wait"]);
    let url = format!("mqtt://127.0.0.1:{}", broker.mqtt_port());
    command
        .env("EVENTCAST_BRIDGE_BROKER", url)
        .env("EVENTCAST_BRIDGE_WAIT", "1s")
        .stderr(Stdio::null());
    let bridge = Daemon(command.spawn().unwrap());
    // The rule's pattern takes the second alone.
    put(
        environment,
        "OrderForgotten",
        "00000000-0000-4000-8000-000000000000",
    );
    put(environment, "OrderPlaced", ORDER);
    let topic = format!("order/{ORDER} ");
    until("the event reaches the broker", || subscriber.has(&topic));
    assert!(!subscriber.has("OrderForgotten"));
    drop(bridge);
}

#[test]
fn on_moto() {
    let moto = Moto::start();
    deployed("moto", &moto.environment());
}

#[test]
fn on_localstack() {
    let services = "sqs,events,cloudformation,iam,sts,ssm,logs,cloudwatch,sns,ec2";
    let localstack = LocalStack::start_with(services);
    deployed("localstack", &localstack.environment());
}

#[test]
fn on_ministack() {
    let ministack = MiniStack::start(true);
    deployed("ministack", &ministack.environment());
}

/// ministack decides by a queue's policy, though not for EventBridge: nothing comes in without TLS.
#[test]
fn queues_refuse_what_is_not_encrypted() {
    let ministack = MiniStack::start(true);
    let environment = ministack.environment();
    stacks(&environment, &["queues"]);
    let (succeeded, _, errors) = try_stacks(&environment, &["send", "eventcast-events"]);
    assert!(!succeeded && errors.contains("AccessDenied"), "{errors}");
}

/// An event that the queue refuses waits in the dead-letter queue of the rule's target, and comes
/// back from there. No other stand-in has that queue, so the deployed rule is put on the bus of
/// `dev`.
#[test]
fn an_undelivered_event_comes_back() {
    let ministack = MiniStack::start(true);
    stacks(&ministack.environment(), &["deploy", "ministack"]);
    let rule = stacks(&ministack.environment(), &["rule", "shop", "eventcast"]);
    let dev = Dev::start(&[]);
    let there = environment(dev.endpoint().to_owned());
    let undelivered = stacks(&there, &["create", "eventcast-undelivered"]);
    stacks(&there, &["copy", "shop", "eventcast", &rule]);
    put(&there, "OrderPlaced", ORDER);
    assert_eq!(stacks(&there, &["count", &undelivered]), "1");

    let queue = stacks(&there, &["create", "eventcast-events"]);
    let dlq = |arguments: &[&str]| {
        let queue = Value::from(queue.clone());
        let mut command = eventcast(&there, &queue, &["dlq"]);
        command.args(arguments);
        let output = command
            .args(["--dead-letter-queue", &undelivered])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        text
    };
    let listed = dlq(&["list"]);
    assert!(listed.contains("undelivered"), "{listed}");
    let shown = dlq(&["show", "--format", "json", &first_id(&listed)]);
    assert!(shown.contains("rule/shop/eventcast"), "{shown}");
    dlq(&["replay"]);
    assert_eq!(stacks(&there, &["count", &undelivered]), "0");
    assert_eq!(stacks(&there, &["count", &queue]), "1");
}

/// The first id of a listing's table of messages.
fn first_id(listing: &str) -> String {
    let mut lines = listing.lines().skip_while(|line| !line.starts_with("ID "));
    let line = lines.nth(1).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// The commands of a section of the manual, in their order.
fn commands(section: &str) -> Vec<String> {
    let manual = manual();
    let (_, text) = manual.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    lines.map(str::to_owned).collect()
}

/// An operator's shell on moto, in a folder with the templates, the program, and the AWS command
/// line; removed when dropped.
struct OperatorShell {
    moto: Moto,
    broker: Mosquitto,
    folder: PathBuf,
}

impl OperatorShell {
    fn open(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("eventcast-{name}-{}", std::process::id()));
        let bin = folder.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        symlink(repository.join("infra"), folder.join("infra")).unwrap();
        symlink(env!("CARGO_BIN_EXE_eventcast"), bin.join("eventcast")).unwrap();
        let python = moto::program("python").display().to_string();
        let script = repository.join("tests/support/aws_deploy.py");
        let aws = format!("#!/bin/sh\nexec {python} {} \"$@\"\n", script.display());
        std::fs::write(bin.join("aws"), aws).unwrap();
        std::fs::set_permissions(bin.join("aws"), Permissions::from_mode(0o755)).unwrap();
        Self {
            moto: Moto::start(),
            broker: Mosquitto::start(),
            folder,
        }
    }

    /// Runs commands in one shell: the indices of those that fail, and all that they write.
    fn run(&self, commands: &[String]) -> (Vec<usize>, String) {
        let lines = commands
            .iter()
            .enumerate()
            .map(|(at, command)| format!("{command} || echo \"NOT DONE {at}\"\n"));
        let bin = self.folder.join("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-c", &lines.collect::<String>()])
            .current_dir(&self.folder)
            .envs(self.moto.environment())
            .env("PATH", path)
            .env(
                "EVENTCAST_BRIDGE_BROKER",
                format!("mqtt://127.0.0.1:{}", self.broker.mqtt_port()),
            )
            .env_remove("AWS_REGION")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, errors) = (text(output.stdout), text(output.stderr));
        let failed = out
            .lines()
            .filter_map(|line| line.strip_prefix("NOT DONE "))
            .map(|at| at.parse().unwrap());
        (failed.collect(), out + &errors)
    }
}

impl Drop for OperatorShell {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn position(commands: &[String], begin: &str) -> usize {
    let found = commands.iter().position(|one| one.starts_with(begin));
    found.unwrap_or_else(|| panic!("{begin}: {commands:#?}"))
}

/// The first deployment, word by word. moto has the services that are asked; the doctor reports the
/// parts that moto ignores.
#[test]
fn a_new_operator_follows_the_manual() {
    let shell = OperatorShell::open("manual");
    let commands = commands("First deployment");
    assert!(commands.len() > 18, "{commands:#?}");
    let (failed, out) = shell.run(&commands);
    assert_eq!(failed, [position(&commands, "eventcast doctor")], "{out}");
    let bad: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with("FAILED ") || line.starts_with("MISSING"))
        // moto ignores policies of queues. It fails on a key that a stack made.
        .filter(|line| {
            !line.contains("has no policy") && !line.contains("kms:DescribeKey: HTTP 500")
        })
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for part in [
        "ok        rule               shop/eventcast, enabled, takes the routes' events",
        "ok        rule target",
        "ok        publish permission",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let url = "https://sqs.us-east-1.amazonaws.com/123456789012/eventcast-events";
    assert_eq!(stacks(&shell.moto.environment(), &["count", url]), "1");
}

/// Runbooks, word by word, on the first deployment: both dead-letter queues and the archive are
/// replayed, the service is stopped and started again, the key is rotated and replaced.
#[test]
fn an_operator_follows_the_runbooks() {
    let shell = OperatorShell::open("runbooks");
    let deployment = commands("First deployment");
    let own = |command: &str| command.to_owned();
    // The stacks alone: neither the doctor nor an event.
    let mut all = deployment[..position(&deployment, "eventcast doctor")].to_vec();
    let target = "aws application-autoscaling register-scalable-target --service-namespace ecs --scalable-dimension \
        ecs:service:DesiredCount --resource-id service/eventcast/eventcast --min-capacity 2 --max-capacity 10";
    all.extend([
        own("say() { echo \"SEEN $*\"; }"),
        own(
            "count() { aws sqs get-queue-attributes --queue-url $(output queues $1) --attribute-names \
                ApproximateNumberOfMessages --query Attributes.ApproximateNumberOfMessages --output text; }",
        ),
        own(
            "service() { aws ecs describe-services --cluster eventcast --services eventcast --query \
                'services[0].desiredCount'; }",
        ),
        own(
            "targets() { aws application-autoscaling describe-scalable-targets --service-namespace ecs --query \
                'ScalableTargets[0].[SuspendedState.DynamicScalingOutSuspended,MinCapacity]' --output text; }",
        ),
        // Resources of the templates that moto does not make, and messages that a dead-letter queue
        // would have.
        own(target),
        own(
            "aws sqs send-message --queue-url $(output queues DeadLetterQueueUrl) --message-body '{}' \
                --message-attributes '{\"eventcast.reason\":{\"DataType\":\"String\",\"StringValue\":\"not_an_event\"}}'",
        ),
        own(
            "aws sqs send-message --queue-url $(output queues UndeliveredQueueUrl) --message-body '{}' \
                --message-attributes '{\"ERROR_CODE\":{\"DataType\":\"String\",\"StringValue\":\"NO_PERMISSIONS\"}}'",
        ),
    ]);
    for (section, after) in [
        (
            "Replay",
            "say replay $(count QueueUrl) $(count DeadLetterQueueUrl) $(count UndeliveredQueueUrl)",
        ),
        ("Maintenance mode", "say maintenance $(service) $(targets)"),
        (
            "Key rotation",
            "say key $OLD $NEW $(aws sqs get-queue-attributes --queue-url $(output queues QueueUrl) --attribute-names \
                KmsMasterKeyId --query Attributes.KmsMasterKeyId --output text)",
        ),
    ] {
        let steps = commands(section);
        assert!(!steps.is_empty(), "{section}");
        for step in steps {
            let is_stop = step.contains("--desired-count 0");
            all.push(step);
            if is_stop {
                all.push(own("say stopped $(service) $(targets)"));
            }
        }
        all.push(own(after));
    }
    let (failed, out) = shell.run(&all);
    let failed: Vec<&String> = failed.iter().map(|at| &all[*at]).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{out}");
    let seen = |name: &str| -> Vec<&str> {
        let line = out
            .lines()
            .find_map(|line| line.strip_prefix(&format!("SEEN {name} ")));
        let line = line.unwrap_or_else(|| panic!("{name}: {out}"));
        line.split_whitespace().collect()
    };
    assert_eq!(seen("replay"), ["2", "0", "0"], "{out}");
    assert_eq!(seen("stopped"), ["0", "True", "2"], "{out}");
    assert_eq!(seen("maintenance"), ["2", "False", "2"], "{out}");
    let keys = seen("key");
    assert!(keys[0] != keys[1] && keys[1] == keys[2], "{keys:?}");
}
