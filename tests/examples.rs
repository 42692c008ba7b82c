//! Examples that README, the manual, `--help` and the inspector print: each is run as it is
//! printed.
//!
//! Commands are lines that begin with a program's name in a block of code, or in the text of
//! `--help`. They run in a folder with the files that they name, beside a running `eventcast dev`,
//! through a shell; only ports are other ones, and a command that runs for ever gets a time. A new
//! example is run without a change here; one that cannot be run is listed in `NOT_RUN` with the
//! reason.

#![cfg(all(feature = "admin", feature = "dev"))]
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails should say where; real processes run on the real clock"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/examples.rs"]
mod examples;
#[path = "support/moto.rs"]
mod moto;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dev::Dev;
use examples::{
    Block, Example, blocks, commands_of_block, commands_of_help, fixtures, help_of_all,
};
use serde_json::Value;

/// Examples that are not run: a part of the command, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "promtool ",
        "needs the tools of Prometheus, and a daemon that runs",
    ),
    ("ENDPOINT", "needs IoT Core with a custom authorizer"),
    (" --aws", "needs an account of AWS"),
    ("aws dynamodb ", "eventcast dev has no tables"),
    ("eu-west-1", "names things of an account of AWS"),
    (
        "cargo ",
        "builds or installs: its own test would build inside a test",
    ),
    ("./tests/", "is the tests, or starts other software"),
    (
        "mosquitto_",
        "tests/dev_command.rs runs mosquitto's clients",
    ),
    (
        "gateway conformance",
        "takes minutes: tests/gateway_conformance.rs runs it",
    ),
    (
        "dev-recovery.yaml",
        "needs a curve that bench/recovery/run has measured",
    ),
    (
        "openssl ",
        "makes keys by other software; tests/certificates use it",
    ),
    (
        "--changed-since",
        "needs a repository of git: tests/guard.rs has one",
    ),
    (
        "realtime-rules",
        "needs rules of a team: tests/guard.rs has them",
    ),
    (
        "guard baseline prune",
        "needs a baseline: tests/guard.rs writes one",
    ),
    (
        "check services/orders",
        "names a folder of a repository: tests/guard.rs has one",
    ),
    ("check cdk.out", "needs what CDK synthesizes"),
    (
        "write services/orders",
        "names a folder of a repository: tests/guard.rs has one",
    ),
    (
        "OTEL_EXPORTER",
        "needs a build with the feature otlp: tests/traces.rs",
    ),
];

/// Commands whose status 1 is an answer that does not depend on the example being right.
const ONE_IS_AN_ANSWER: &[&str] = &[
    "eventcast trace",
    "eventcast inspect",
    "eventcast doctor",
    "eventcast healthcheck",
    "eventcast dlq",
    // README's configuration and the templates of infra/ name other queues.
    "eventcast infra check",
    // Fixtures of other examples are not of a feature.
    "eventcast guard check",
    "eventcast policy simulate",
    "eventcast policy diff",
    "eventcast policy lint",
    "eventcast policy show",
    "eventcast pattern test",
    // The token is of another issuer than the file's key.
    "eventcast token verify --key",
    "eventcast token verify -",
    "eventcast authorizer invoke",
];

/// Words that say that an example is of no use although its status is good.
const USELESS: [&str; 3] = [
    "nobody would be let in",
    "would be rejected",
    "unknown command",
];

fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.push(root.join("README.md"));
    files.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        (name, std::fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// The places that examples talk to.
struct Platforms {
    shop: Dev,
    /// With a queue and a dead-letter queue, for the daemon and the commands that look at its
    /// queues.
    bare: Dev,
    event: String,
    certificate: String,
    token: String,
}

impl Platforms {
    fn start() -> Self {
        let (shop, bare) = (Dev::assembled(&[]), Dev::start(&[]));
        for name in ["events", "events-dlq", "one-event"] {
            let body = format!(r#"{{"QueueName":"{name}"}}"#);
            examples::post(&bare, "/", "x-amz-target: AmazonSQS.CreateQueue\r\n", &body);
        }
        let url = format!("{}/000000000000/one-event", bare.endpoint());
        let send =
            serde_json::json!({ "QueueUrl": url, "MessageBody": examples::event().to_string() });
        examples::post(
            &bare,
            "/",
            "x-amz-target: AmazonSQS.SendMessage\r\n",
            &send.to_string(),
        );
        let entry =
            r#"{"Entries":[{"Source":"shop.office","DetailType":"Announced","Detail":"{}"}]}"#;
        let put = examples::post(&shop, "/", "x-amz-target: AWSEvents.PutEvents\r\n", entry);
        let claims = serde_json::json!({ "sub": examples::USER, "orders": [] });
        let mint = serde_json::json!({ "role": "customer", "claims": claims }).to_string();
        let minted = examples::post(&shop, "/_dev/tokens", "", &mint);
        // A policy that is deployed, under the name that examples have.
        let allow = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;
        let policy = serde_json::json!({ "policyDocument": allow }).to_string();
        examples::post(&shop, "/policies/customer", "", &policy);
        let made = examples::post(&shop, "/keys-and-certificate?setAsActive=true", "", "");
        Self {
            event: put["Entries"][0]["EventId"].as_str().unwrap().to_owned(),
            token: minted["token"].as_str().unwrap().to_owned(),
            certificate: made["certificateArn"].as_str().unwrap().to_owned(),
            shop,
            bare,
        }
    }

    /// The command as it is run here: ports, ids, and an end for a command that has none.
    fn adapted(&self, command: &str, platform: &Dev) -> String {
        let address = |scheme: &str| format!("127.0.0.1:{}", platform.port(scheme));
        let endpoint = platform.endpoint().trim_start_matches("http://");
        let mut adapted = command
            .replace("127.0.0.1:4566", endpoint)
            .replace("127.0.0.1:4599", endpoint)
            .replace("127.0.0.1:1883", &address("mqtt"))
            .replace("127.0.0.1:9001", &address("ws"))
            .replace("EVENT_ID", &self.event)
            .replace(
                "arn:aws:iot:us-east-1:000000000000:cert/ID",
                &self.certificate,
            );
        if command.starts_with("eventcast dev") && !command.contains("--limit help") {
            for flag in ["--port", "--mqtt-port", "--websocket-port"] {
                if !command.contains(&format!(" {flag}")) {
                    adapted += &format!(" {flag} 0");
                }
            }
            if command.contains("--tls ") || command.contains("--certificate ") {
                adapted += " --mqtts-port 0 --wss-port 0";
            }
            adapted += " --duration 1s";
        }
        // Version 1 of aws overlooks the variable for queues.
        if command.starts_with("aws ") && !command.contains("--endpoint-url") {
            adapted = adapted.replacen("aws ", "aws --endpoint-url $AWS_ENDPOINT_URL ", 1);
        }
        if command.starts_with("eventcast listen") && !command.contains("--duration") {
            adapted = adapted.replace("eventcast listen", "eventcast listen --duration 1s");
        }
        adapted
    }

    fn run(&self, example: &Example, folder: &Path) -> Result<(), String> {
        let command = example.command.as_str();
        let first = |names: &[&str]| names.iter().any(|name| command.contains(name));
        let has_queues = [
            "eventcast bridge",
            "eventcast dlq",
            "eventcast doctor",
            "$QUEUE",
        ];
        let platform = if first(&has_queues) {
            &self.bare
        } else {
            &self.shop
        };
        let mut shell = Command::new("bash");
        // A daemon takes the shell's place, so that it gets the signal that ends it.
        let ready = match command {
            _ if command.starts_with("eventcast bridge") => Some("the bridge is up"),
            _ if command.starts_with("eventcast gateway") => Some("gateway ready"),
            _ => None,
        };
        let exec = if ready.is_some() { "exec " } else { "" };
        let script = format!(
            "set -o pipefail\n{}\n{exec}{}",
            example.before,
            self.adapted(command, platform)
        );
        shell
            .args(["-c", &script])
            .current_dir(folder)
            .stdin(Stdio::null())
            .envs(platform.environment())
            .env("HOME", folder)
            .env("PATH", examples::path())
            .env("USER_ID", examples::USER)
            .env("USER", examples::USER)
            .env("A", examples::USER)
            .env("B", examples::OTHER)
            .env("CERTIFICATE_ARN", &self.certificate)
            .env("TOKEN", &self.token)
            .env(
                "QUEUE",
                format!("{}/000000000000/one-event", platform.endpoint()),
            )
            // As in a shell for an account.
            .env("AWS_ACCOUNT_ID", "123456789012");
        if command.starts_with("eventcast init") || command.starts_with("eventcast guard init") {
            // The file that it writes must not be there.
            let empty = folder.join("init");
            let _ = fs::remove_dir_all(&empty);
            fs::create_dir(&empty).unwrap();
            shell.current_dir(empty);
        }
        if command.starts_with("eventcast healthcheck") {
            // Nobody listens there, which is an answer.
            shell.env("EVENTCAST_BRIDGE_LISTEN", "127.0.0.1:9");
        }
        if first(&has_queues) {
            let queue = |name: &str| format!("{}/000000000000/{name}", platform.endpoint());
            shell
                .env("EVENTCAST_BRIDGE_QUEUE", queue("events"))
                .env("EVENTCAST_BRIDGE_DEAD_LETTER_QUEUE", queue("events-dlq"))
                .env(
                    "EVENTCAST_BRIDGE_BROKER",
                    format!("mqtt://127.0.0.1:{}", platform.port("mqtt")),
                );
        }
        if let Some(ready) = ready {
            let broker = format!("mqtt://127.0.0.1:{}", platform.port("mqtt"));
            shell
                .env("EVENTCAST_GATEWAY_BROKER", broker)
                .env("EVENTCAST_GATEWAY_LISTEN", "127.0.0.1:0");
            return until_up(&mut shell, ready);
        }
        judge(command, &shell.output().unwrap())
    }
}

/// Runs a daemon until it says that it is up, and ends it.
fn until_up(shell: &mut Command, ready: &str) -> Result<(), String> {
    let mut child = shell
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    let up = lines.by_ref().map_while(Result::ok).any(|line| {
        said += &line;
        said += "\n";
        line.contains(ready)
    });
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    said.extend(lines.map_while(Result::ok).map(|line| line + "\n"));
    let status = child.wait().unwrap();
    if up && status.success() {
        Ok(())
    } else {
        Err(format!("{status}, up: {up}\n{said}"))
    }
}

fn judge(command: &str, output: &Output) -> Result<(), String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout);
    let answers = ONE_IS_AN_ANSWER
        .iter()
        .any(|name| command.starts_with(name));
    let useless = USELESS.iter().find(|word| errors.contains(**word));
    match (output.status.code(), useless) {
        (Some(0), None) => Ok(()),
        (Some(1), None) if answers => Ok(()),
        (status, _) => Err(format!(
            "status {status:?}\n{errors}{}",
            out.chars().take(400).collect::<String>()
        )),
    }
}

#[test]
fn every_command_that_is_printed_runs() {
    let platforms = Platforms::start();
    let folder = fixtures(&platforms.shop);
    let mut all = Vec::new();
    for (name, text) in pages() {
        for block in blocks(&text) {
            all.extend(commands_of_block(&name, &block));
        }
    }
    for (name, text) in help_of_all() {
        all.extend(commands_of_help(&name, &text));
    }
    assert!(all.len() > 90, "examples are found: {}", all.len());
    let mut failed = Vec::new();
    let mut ran = 0;
    for example in &all {
        if NOT_RUN
            .iter()
            .any(|(part, _)| example.command.contains(part))
        {
            continue;
        }
        ran += 1;
        if let Err(why) = platforms.run(example, folder.path()) {
            failed.push(format!("{}: {}\n{why}", example.place, example.command));
        }
    }
    assert!(
        ran * 10 > all.len() * 7,
        "{ran} of {} examples are run",
        all.len()
    );
    assert!(
        failed.is_empty(),
        "{} of {ran} fail:\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

/// Blocks of YAML with routes or channels are whole configurations, or stand beside a route that
/// this test adds.
#[test]
fn every_configuration_that_is_printed_is_right() {
    let mut checked = 0;
    let mut failed = Vec::new();
    for (name, text) in pages() {
        for Block {
            language,
            text,
            line,
        } in blocks(&text)
        {
            let sections = ["channels:", "routes:", "roles:", "bridge:", "authorizer:"];
            let is_configuration = text
                .lines()
                .any(|line| sections.iter().any(|section| line.starts_with(section)));
            // The manifest of a feature has channels too: tests/guard.rs proves it.
            let is_manifest = text.lines().any(|line| line.starts_with("feature:"));
            if language != "yaml" || !is_configuration || is_manifest {
                continue;
            }
            checked += 1;
            // Load descriptions have routes as well, and clients.
            let is_load = text.lines().any(|line| line.starts_with("clients:"));
            let (arguments, whole) = if is_load {
                (["plan", "--print-load", "--load", "/dev/stdin"], text)
            } else {
                let whole = examples::completed(&text);
                (["routes", "check", "--config", "/dev/stdin"], whole)
            };
            let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
                .args(arguments)
                .stdin(examples::piped(&whole))
                .output()
                .unwrap();
            if !output.status.success() {
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                let out = String::from_utf8_lossy(&output.stdout).into_owned();
                failed.push(format!("{name}:{line}\n{errors}{out}"));
            }
        }
    }
    assert!(checked > 2, "configurations are found: {checked}");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn every_json_that_is_printed_is_json() {
    let mut checked = 0;
    let mut failed = Vec::new();
    for (name, text) in pages() {
        for Block {
            language,
            text,
            line,
        } in blocks(&text)
        {
            if language == "json" {
                checked += 1;
                if let Err(error) = serde_json::from_str::<Value>(&text) {
                    failed.push(format!("{name}:{line}: {error}"));
                }
            } else if language == "jsonl" {
                for one in text.lines().filter(|line| !line.trim().is_empty()) {
                    checked += 1;
                    if let Err(error) = serde_json::from_str::<Value>(one) {
                        failed.push(format!("{name}:{line}: {error}: {one}"));
                    }
                }
            }
        }
    }
    assert!(checked > 0, "JSON is found");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
