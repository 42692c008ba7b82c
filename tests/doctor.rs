//! `eventcast doctor` and the policies of `eventcast policy generate --for`: moto checks each call
//! against them.
//!
//! moto's IAM (5.2.5, `moto/iam/access_control.py`) knows the ARNs of queues and none of IoT, and
//! does not get the signature of DescribeEndpoint right, whose query has a colon; so
//! `tests/ministack.rs` shows the actions of IoT. A call that takes a batch is an action of its own
//! there (`sqs:DeleteMessageBatch`), where AWS takes the single one's permission; so the test adds
//! the batch's name beside the single one's. GetQueueUrl is not called.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/role.rs"]
mod role;
#[path = "support/scripted_http.rs"]
mod scripted_http;

use std::process::{Command, Output};

use daemon::Daemon;
use lines::until;
use mosquitto::Mosquitto;
use moto::Moto;
use role::{EVERYTHING, actions, document, names, resources};
use scripted_http::Scripted;
use serde_json::Value;

/// The configuration of the shop, with moto's queues.
struct Platform {
    moto: Moto,
    broker: Mosquitto,
    queue: String,
    dead_letter_queue: String,
}

impl Platform {
    fn new() -> Self {
        let moto = Moto::start();
        let urls = moto.bus(&["setup", "30"]);
        let (queue, dead_letter_queue) = urls.trim().split_once(' ').unwrap();
        Self {
            queue: queue.into(),
            dead_letter_queue: dead_letter_queue.into(),
            broker: Mosquitto::start(),
            moto,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs(self.moto.environment())
            .env("EVENTCAST_CONFIG", "tests/shop/eventcast.yaml")
            .env("EVENTCAST_BRIDGE_QUEUE", &self.queue)
            .env(
                "EVENTCAST_BRIDGE_DEAD_LETTER_QUEUE",
                &self.dead_letter_queue,
            );
        command
    }

    /// With a broker that asks nobody who they are.
    fn at_broker(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        let broker = format!("mqtt://127.0.0.1:{}", self.broker.mqtt_port());
        command.env("EVENTCAST_BRIDGE_BROKER", broker);
        command
    }

    /// Statements of a generated policy.
    fn policy(&self, part: &str) -> Vec<Value> {
        self.policy_with(part, &[])
    }

    fn policy_with(&self, part: &str, arguments: &[&str]) -> Vec<Value> {
        let mut command = self.command(&["policy", "generate", "--for", part]);
        command.args(arguments);
        let (status, document, errors) = told(command.output().unwrap());
        assert_eq!(status, 0, "{errors}");
        let document: Value = serde_json::from_str(&document).unwrap();
        document["Statement"].as_array().unwrap().clone()
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

/// The check of a name in a JSON report: verdict and finding.
fn check(report: &str, about: &str) -> (String, String) {
    let report: Value = serde_json::from_str(report).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["about"] == about);
    let check = check.unwrap_or_else(|| panic!("no {about} in {report:#}"));
    let text = |name: &str| check[name].as_str().unwrap().to_owned();
    (text("verdict"), text("found"))
}

#[test]
fn what_is_missing_is_reported() {
    let platform = Platform::new();
    let doctor = |command: &mut Command| told(command.output().unwrap());
    let (status, report, errors) = doctor(&mut platform.at_broker(&["doctor", "--publish", "a/b"]));
    assert_eq!(status, 0, "{report}{errors}");
    for part in [
        "ok        configuration      3 routes",
        "ok        AWS Region         us-east-1",
        "ok        AWS credentials    found; they do not expire",
        "ok        queue              standard, 0 waiting, 0 in flight",
        "ok        visibility         30s",
        "ok        dead-letter queue  0 messages",
        "not tried queue permissions  receiving, deleting, changing visibility; sending to the dead-letter queue",
        "ok        publish permission a/b was acknowledged",
        "up to 20000 messages a second",
        "ok        clock",
        " 0 missing, 0 failed, 2 not tried",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    // Without --publish its permission is not known.
    let (status, report, _) = doctor(&mut platform.at_broker(&["doctor", "--format", "json"]));
    assert_eq!(status, 0, "{report}");
    assert_eq!(check(&report, "publish permission").0, "not_tried");

    let (status, report, _) = doctor(
        platform
            .command(&["doctor", "--format", "json"])
            .env("EVENTCAST_BRIDGE_QUEUE", format!("{}-none", platform.queue))
            .env("EVENTCAST_BRIDGE_BROKER", "mqtt://127.0.0.1:1"),
    );
    assert_eq!(status, 1, "{report}");
    for (about, verdict, found) in [
        ("queue", "missing", "there is no queue http"),
        ("visibility", "not_tried", "the queue was not read"),
        ("redrive", "not_tried", "the queue was not read"),
        ("dead-letter queue", "ok", "0 messages"),
        ("broker", "failed", "refused"),
        (
            "publish permission",
            "not_tried",
            "the broker was not reached",
        ),
    ] {
        let (word, text) = check(&report, about);
        assert!(
            word == verdict && text.contains(found),
            "{about}: {word} {text}"
        );
    }
}

/// Nothing that needs a signature is tried without a Region or credentials; a broker that needs
/// none is.
#[test]
fn without_region_or_credentials() {
    let platform = Platform::new();
    let absent = [
        ("AWS_CONFIG_FILE", "/nonexistent"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let arguments = ["doctor", "--format", "json"];
    let mut command = platform.at_broker(&arguments);
    command
        .env_remove("AWS_REGION")
        .env_remove("AWS_DEFAULT_REGION")
        .envs(absent);
    let (status, report, _) = told(command.output().unwrap());
    assert_eq!(status, 1, "{report}");
    assert_eq!(check(&report, "AWS Region").0, "missing");
    assert!(report.contains("set AWS_REGION"), "{report}");
    for about in ["AWS credentials", "queue", "clock", "dead-letter queue"] {
        let expected = ("not_tried".to_owned(), "there is no AWS Region".to_owned());
        assert_eq!(check(&report, about), expected, "{about}");
    }
    assert_eq!(check(&report, "broker").0, "ok");

    let mut command = platform.command(&arguments);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .envs(absent);
    let (status, report, _) = told(command.output().unwrap());
    assert_eq!(status, 1, "{report}");
    assert_eq!(check(&report, "AWS credentials").0, "missing");
    for about in ["queue", "broker", "publish permission"] {
        let expected = (
            "not_tried".to_owned(),
            "there are no AWS credentials".to_owned(),
        );
        assert_eq!(check(&report, about), expected, "{about}");
    }
}

/// A Region that AWS would refuse the signature for: the doctor says so, and the bridge does not
/// start. Behind an endpoint of one's own it is a warning.
#[test]
fn regions_that_do_not_fit() {
    let eventcast = |arguments: &[&str], queue: &str, more: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .env("EVENTCAST_CONFIG", "tests/shop/eventcast.yaml")
            .env("AWS_REGION", "eu-central-1")
            .env("EVENTCAST_BRIDGE_QUEUE", queue)
            .envs(more.iter().copied());
        told(command.output().unwrap())
    };
    let ireland = "https://sqs.eu-west-1.amazonaws.com/123456789012/events";
    let here = "https://sqs.eu-central-1.amazonaws.com/123456789012/events";
    let broker = "wss://abc-ats.iot.us-east-1.amazonaws.com";
    for (queue, more, expected) in [
        (
            ireland,
            vec![],
            "error: `bridge.queue` names the Region `eu-west-1`, and requests are signed for `eu-central-1`\nhelp: set AWS_REGION=eu-west-1",
        ),
        (
            here,
            vec![("EVENTCAST_BRIDGE_DEAD_LETTER_QUEUE", ireland)],
            "error: `bridge.dead_letter_queue` names the Region `eu-west-1`",
        ),
        (
            here,
            vec![("EVENTCAST_BRIDGE_BROKER", broker)],
            "error: `bridge.broker` names the Region `us-east-1`",
        ),
    ] {
        let (status, _, errors) = eventcast(&["bridge"], queue, &more);
        assert_eq!(status, 2, "{errors}");
        assert!(errors.starts_with(expected), "{errors}");
    }
    // Nothing listens at the endpoint: the call itself fails.
    let overridden = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
    ];
    let (status, _, errors) = eventcast(&["bridge"], ireland, &overridden);
    assert_eq!(status, 3, "{errors}");
    let arguments = ["doctor", "--format", "json"];
    let (_, report, _) = eventcast(&arguments, ireland, &overridden);
    assert_eq!(check(&report, "AWS Region").0, "warning", "{report}");
    // No credentials: nothing is sent anywhere.
    let nowhere = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("EVENTCAST_AUTHORIZER_REGION", "us-east-1"),
        ("EVENTCAST_AUTHORIZER_ACCOUNT", "123456789012"),
    ];
    let (status, report, _) = eventcast(&arguments, ireland, &nowhere);
    assert_eq!(
        (status, &*check(&report, "AWS Region").0),
        (1, "failed"),
        "{report}"
    );
    let (word, found) = check(&report, "policy scope");
    assert!(
        word == "warning" && found.contains("`us-east-1`"),
        "{report}"
    );
}

type Keys = [(&'static str, String)];

/// Runs `try_it` with the keys of a policy, and with those of the policy less each action of
/// `needed`, given with the end of the resource: everything works with it, and `try_it` notices the
/// missing action.
fn each_is_needed(
    platform: &Platform,
    statements: &[Value],
    needed: &[(&str, &str)],
    try_it: impl Fn(&Keys) -> Result<(), String>,
) {
    let user = |without| platform.moto.user(&document(statements, without));
    let whole = user(None);
    let less: Vec<_> = needed.iter().map(|one| (one, user(Some(*one)))).collect();
    platform.moto.enforce(true);
    if let Err(why) = try_it(&whole) {
        panic!("the whole policy does not do: {why}");
    }
    for ((action, resource), keys) in less {
        let Err(why) = try_it(&keys) else {
            panic!("{action} on {resource} is not needed");
        };
        assert!(
            why.contains("HTTP 403") || why.contains("AccessDenied"),
            "{action} {resource}: {why}"
        );
    }
    platform.moto.enforce(false);
}

/// README's sequence: the role that is generated for the bridge is enough for the doctor, and the
/// doctor reads with nothing else.
#[test]
fn the_bridges_role_is_enough_for_the_doctor() {
    let platform = Platform::new();
    let statements = platform.policy("bridge");
    let needed = [
        ("sqs:GetQueueAttributes", ":events"),
        ("sqs:GetQueueAttributes", ":events-dlq"),
    ];
    each_is_needed(&platform, &statements, &needed, |keys| {
        let mut command = platform.at_broker(&["doctor", "--publish", "--format", "json"]);
        let (status, report, _) = told(command.envs(keys.iter().cloned()).output().unwrap());
        if status == 0 { Ok(()) } else { Err(report) }
    });
    // The topics to which `doctor --publish` publishes.
    let topics = statements
        .iter()
        .filter(|one| actions(one).contains(&"iot:Publish".to_owned()));
    let topics: Vec<String> = topics.map(|one| one["Resource"].to_string()).collect();
    assert!(
        topics.concat().contains(":topic/eventcast/doctor\""),
        "{topics:?}"
    );
}

/// The right to list a cluster's tasks is in the role exactly where the configuration counts them,
/// bound to the cluster, and the daemon counts with it alone.
#[test]
fn the_daemon_counts_its_tasks_with_its_role() {
    let platform = Platform::new();
    let counted = ["bridge.pace.account=2000", "bridge.pace.count_tasks=ecs"];
    let counted = counted.iter().flat_map(|value| ["--set", value]);
    let counted: Vec<&str> = counted.collect();
    assert!(!names(&platform.policy("bridge"), "ecs:ListTasks"));
    let statements = platform.policy_with("bridge", &counted);
    let listing = statements
        .iter()
        .find(|one| actions(one) == ["ecs:ListTasks"]);
    let cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/eventcast";
    assert_eq!(
        listing.unwrap()["Condition"],
        serde_json::json!({ "ArnEquals": { "ecs:cluster": cluster } })
    );
    let mut aws = Command::new(moto::program("aws"));
    let endpoint = &platform.moto.environment();
    let endpoint = endpoint
        .iter()
        .find(|(name, _)| *name == "AWS_ENDPOINT_URL");
    aws.args(["--endpoint-url", &endpoint.unwrap().1, "ecs"]);
    aws.args(["create-cluster", "--cluster-name", "eventcast"]);
    let (status, _, errors) = told(aws.envs(platform.moto.environment()).output().unwrap());
    assert_eq!(status, 0, "{errors}");

    let task = r#"{"Cluster":"eventcast","TaskARN":"arn:x","Family":"eventcast"}"#;
    let metadata = Scripted::start(&[(200, "", task); 4]);
    let needed = [("ecs:ListTasks", "*")];
    each_is_needed(&platform, &statements, &needed, |keys| {
        let mut command = platform.at_broker(&["bridge"]);
        command
            .args(&counted)
            .env("ECS_CONTAINER_METADATA_URI_V4", metadata.url())
            .envs(keys.iter().cloned());
        let path = std::env::temp_dir().join(format!("eventcast-tasks-{}", std::process::id()));
        let log = std::fs::File::create(&path).unwrap();
        let bridge = Daemon(command.stderr(log).spawn().unwrap());
        let told = || std::fs::read_to_string(&path).unwrap();
        let is_counted = || told().contains("share the account's quota");
        until("the tasks are counted or not", || {
            is_counted() || told().contains("are not counted")
        });
        drop(bridge);
        let (is_counted, told) = (is_counted(), told());
        std::fs::remove_file(&path).unwrap();
        if is_counted { Ok(()) } else { Err(told) }
    });
}

/// The road before the queue, and its faults.
#[test]
fn the_road_before_the_queue() {
    let platform = Platform::new();
    let doctor = || {
        let mut command = platform.at_broker(&["doctor", "--upstream", "--format", "json"]);
        told(command.output().unwrap())
    };
    let bus = |arguments: &[&str]| platform.moto.bus(arguments);
    let (status, report, errors) = doctor();
    assert_eq!(status, 1, "{report}{errors}");
    for (about, verdict, found) in [
        ("rule", "ok", "shop/to-clients, enabled"),
        ("rule target", "ok", "the whole event"),
        ("undelivered events", "failed", "has no dead-letter queue"),
        ("queue policy", "failed", "has no policy"),
        ("queue key", "ok", "none of your own"),
    ] {
        let (word, text) = check(&report, about);
        let fits = word == verdict && text.contains(found);
        assert!(fits, "{about}: {word} {text}");
    }
    // With all of it in place there is nothing to say.
    bus(&["road", "right"]);
    let (status, report, errors) = doctor();
    assert_eq!(status, 0, "{report}{errors}");
    for about in [
        "rule",
        "rule target",
        "undelivered events",
        "queue policy",
        "queue key",
    ] {
        assert_eq!(check(&report, about).0, "ok", "{about}: {report}");
    }
    for (change, about, found) in [
        ("disabled", "rule", "is DISABLED"),
        (
            "input",
            "rule target",
            "sends something else than the event",
        ),
        ("other-rule", "queue policy", "EventBridge is refused"),
        (
            "key",
            "queue key",
            "does not grant kms:Decrypt and kms:GenerateDataKey",
        ),
        ("letters-gone", "undelivered events", "is missing"),
    ] {
        bus(&["road", "right"]);
        bus(&["road", change]);
        let (status, report, _) = doctor();
        assert_eq!(status, 1, "{change}: {report}");
        let (word, text) = check(&report, about);
        assert!(
            word == "failed" && text.contains(found),
            "{change}: {about}: {word} {text}"
        );
    }
    bus(&["road", "gone"]);
    let (_, report, _) = doctor();
    let (word, text) = check(&report, "rule");
    assert!(
        word == "missing" && text.contains("sends to this queue"),
        "{word} {text}"
    );
}

/// The role of `--for doctor` is enough for all that the doctor asks, and each of its actions is
/// needed.
#[test]
fn the_doctors_role_is_enough_upstream() {
    let platform = Platform::new();
    platform.moto.bus(&["road", "right"]);
    // moto's IAM knows no ARNs of rules and keys: to it each call is on `*`.
    let mut statements = platform.policy("doctor");
    for statement in &mut statements {
        let is_foreign =
            |resource: &String| !resource.contains(":sqs:") && !resource.contains(":iot:");
        if resources(statement).iter().all(is_foreign) {
            statement["Resource"] = "*".into();
        }
    }
    let needed = [
        ("sqs:GetQueueAttributes", ":*"),
        ("events:ListEventBuses", "*"),
        ("events:ListRuleNamesByTarget", "*"),
        ("events:DescribeRule", "*"),
        ("events:ListTargetsByRule", "*"),
        ("kms:DescribeKey", "*"),
        ("kms:GetKeyPolicy", "*"),
    ];
    each_is_needed(&platform, &statements, &needed, |keys| {
        let mut command = platform.at_broker(&["doctor", "--upstream", "--format", "json"]);
        let (status, report, _) = told(command.envs(keys.iter().cloned()).output().unwrap());
        if status == 0 { Ok(()) } else { Err(report) }
    });
    for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:SendMessage"] {
        assert!(!names(&statements, action), "{action}");
    }
}

/// Everything is listed by `dlq list`, sent back by `replay` and gone after `purge`.
#[test]
fn the_roles_of_the_dead_letter_queue() {
    let platform = Platform::new();
    let dlq = |arguments: &[&str], keys: &Keys| {
        let mut command = platform.command(&[&["dlq"], arguments].concat());
        told(command.envs(keys.iter().cloned()).output().unwrap())
    };
    let read = platform.policy("dlq-read");
    let needed = [
        ("sqs:GetQueueAttributes", ":events-dlq"),
        ("sqs:ReceiveMessage", ":events-dlq"),
        ("sqs:ChangeMessageVisibility", ":events-dlq"),
    ];
    platform
        .moto
        .bus(&["letters", "2", "too_large", "order-updates"]);
    each_is_needed(&platform, &read, &needed, |keys| {
        let (status, out, errors) = dlq(&["list"], keys);
        if status == 0 && out.contains("too_large") && errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    });
    let change = platform.policy("dlq");
    let needed = [
        ("sqs:DeleteMessage", ":events-dlq"),
        ("sqs:SendMessage", ":events"),
    ];
    let owner = platform.moto.user(EVERYTHING);
    each_is_needed(&platform, &change, &needed, |keys| {
        let mut put = platform
            .moto
            .bus_command(&["letters", "1", "too_large", "order-updates"]);
        let (status, _, errors) = told(put.envs(owner.iter().cloned()).output().unwrap());
        assert_eq!(status, 0, "{errors}");
        let (status, _, errors) = dlq(&["replay"], keys);
        if status == 0 && errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    });
    // Reading changes nothing, so that its role may not.
    for action in ["sqs:DeleteMessage", "sqs:SendMessage", "sqs:PurgeQueue"] {
        assert!(!names(&read, action), "{action}");
    }
}

/// The daemon receives, deletes and dead-letters with the role, and with nothing less. A visibility
/// timeout is extended only while an event takes long: `dlq list` shows that action.
#[test]
fn the_bridges_role_is_enough_for_the_bridge() {
    let platform = Platform::new();
    let statements = platform.policy("bridge");
    let needed = [
        ("sqs:GetQueueAttributes", ":events"),
        ("sqs:ReceiveMessage", ":events"),
        ("sqs:DeleteMessage", ":events"),
        ("sqs:SendMessage", ":events-dlq"),
    ];
    let owner = platform.moto.user(EVERYTHING);
    each_is_needed(&platform, &statements, &needed, |keys| {
        live(&platform, keys, &owner)
    });
}

/// One life of the daemon: an event that is published, and a body that is dead-lettered. The error
/// is its log.
fn live(platform: &Platform, keys: &Keys, owner: &Keys) -> Result<(), String> {
    let bus = |arguments: &[&str]| {
        let mut command = platform.moto.bus_command(arguments);
        let (status, out, errors) = told(command.envs(owner.iter().cloned()).output().unwrap());
        assert_eq!(status, 0, "{errors}");
        out
    };
    let state = || serde_json::from_str::<Value>(&bus(&["state"])).unwrap();
    let dead = || state()["dead"].as_array().unwrap().len();
    let (before, broker) = (dead(), Mosquitto::start());
    let file = std::env::temp_dir().join(format!("eventcast-role-{}.log", keys[0].1));
    let mut bridge = platform
        .command(&["bridge", "--set=bridge.wait=1s", "--set=bridge.drain=1s"])
        .env(
            "EVENTCAST_BRIDGE_BROKER",
            format!("mqtt://127.0.0.1:{}", broker.mqtt_port()),
        )
        .envs(keys.iter().cloned())
        .stderr(std::fs::File::create(&file).unwrap())
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(&file).unwrap();
    let denied = || log().contains("HTTP 403");
    let mut ended = false;
    let mut until = |what: &str, done: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if done() || denied() || ended {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            ended = bridge.try_wait().unwrap().is_some();
        }
        panic!("{what}: {}", log());
    };
    until("it is up", &|| log().contains("the bridge is up"));
    bus(&["put", "0", "1"]);
    let nonsense = std::env::temp_dir().join(format!("eventcast-role-{}.txt", keys[0].1));
    std::fs::write(&nonsense, "nonsense").unwrap();
    bus(&["send", nonsense.to_str().unwrap()]);
    let settled = || {
        let state = state();
        state["visible"] == 0 && state["invisible"] == 0
    };
    until("both are settled", &|| dead() > before && settled());
    let id = bridge.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    bridge.wait().unwrap();
    let told = log();
    for file in [file, nonsense] {
        let _ = std::fs::remove_file(file);
    }
    if told.contains("HTTP 403") {
        Err(told)
    } else {
        Ok(())
    }
}
