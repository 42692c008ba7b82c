//! Documents as people get them, and why they do not get them.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct AnswerLine {
    #[command(flatten)]
    generate: GenerateCommand,
}

const CONFIG: &str = r#"
environment: prod
channels:
  user: { id: uuid }
  order: { id: uuid }
routes:
  - { name: orders, match: { source: [shop] }, to: ["order:{detail.id}"], retain: true }
  - { name: news, match: { source: [shop] }, to: [news] }
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}"]
    publish: ["presence/{claims.sub}"]
  support:
    bind: user:{claims.sub}
    subscribe: ["order:*", "tenant/+/alerts"]
bridge:
  queue: https://sqs.eu-central-1.amazonaws.com/123456789012/events
  dead_letter_queue: https://sqs.eu-central-1.amazonaws.com/123456789012/events-dlq
"#;
const USER: &str = "sub=5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
const ORDERS: &str =
    "orders=11111111-4f0b-4d3e-9f51-6a4f0c6c2a11,22222222-4f0b-4d3e-9f51-6a4f0c6c2a11";
const PLACE: [&str; 4] = ["--region", "eu-central-1", "--account", "123456789012"];

fn generated_with(config: &str, arguments: &[&str]) -> (Status, String) {
    let line = ["generate"].iter().chain(arguments);
    let mut line = AnswerLine::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    // The environment of the tests must have no effect.
    if !arguments.contains(&"--region") {
        line.generate.endpoint.region = None;
        line.generate.endpoint.account = None;
    }
    let source = crate::config::ConfigSource {
        file: "eventcast.yaml",
        text: config,
        ..Default::default()
    };
    let config = crate::config::load(&source).config.unwrap();
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let status = answer(&line.generate, &config, &mut out, &mut messages).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status, format!("{}{}", text(messages), text(out)))
}

fn generated(arguments: &[&str]) -> (Status, String) {
    generated_with(CONFIG, &[arguments, &PLACE].concat())
}

#[test]
fn for_a_role() {
    let (status, told) = generated(&["--role", "customer", "--claim", USER, "--claim", ORDERS]);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(told);
    let claims = r#"{"sub":"5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11","orders":["a"]}"#;
    let minified = [
        "--role", "customer", "--claims", claims, "--claim", "orders=", "--minify", "--as",
        "session",
    ];
    insta::assert_snapshot!(generated(&minified).1);
    let wide = [
        "--role", "support", "--claim", USER, "--as", "iot", "--format", "json",
    ];
    insta::assert_snapshot!(generated(&wide).1);
}

#[test]
fn for_grants_spelled_out() {
    let (status, told) = generated(&[
        "--client",
        "backoffice",
        "--subscribe",
        "order:*",
        "--subscribe",
        "news",
        "--publish",
        "news",
        "--retain",
        "--as",
        "iam",
    ]);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(told);
}

#[test]
fn for_the_bridge() {
    // IoT Core is in the Region of the queue.
    let (status, told) = generated_with(CONFIG, &["--for", "bridge"]);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(told);
    let certificate = format!("{CONFIG}  tls: {{ certificate: a, key: b }}\n");
    let (status, told) = generated_with(
        &certificate,
        &["--for", "bridge", "--as", "iot", "--minify"],
    );
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(told);
    let (status, told) = generated_with(&certificate, &["--for", "bridge", "--minify"]);
    assert_eq!(status, Status::Yes);
    insta::assert_snapshot!(told);
}

#[test]
fn why_there_are_none() {
    let mut told = String::new();
    let mut refuse = |expected: Status, config: &str, arguments: &[&str]| {
        let (status, text) = generated_with(config, arguments);
        assert_eq!(status, expected, "{arguments:?}: {text}");
        told += &format!("$ {}\n{text}\n", arguments.join(" "));
    };
    let input = Status::CannotAnswer;
    let nowhere = CONFIG.replace(
        "sqs.eu-central-1.amazonaws.com/123456789012",
        "queues.example/1",
    );
    refuse(
        input,
        &nowhere,
        &["--role", "customer", "--claim", USER, "--claim", ORDERS],
    );
    refuse(input, &nowhere, &["--role", "customer", "--claim", USER]);
    refuse(
        input,
        CONFIG,
        &[
            "--role",
            "customer",
            "--claim",
            USER,
            "--region",
            "eu",
            "--account",
            "123456789012",
            "--claim",
            "orders=",
        ],
    );
    refuse(input, CONFIG, &["--role", "customr"]);
    refuse(input, CONFIG, &["--role", "customer", "--claim", "sub=*"]);
    refuse(
        input,
        CONFIG,
        &["--role", "customer", "--claims", "no-such-file.json"],
    );
    refuse(input, CONFIG, &["--role", "customer", "--claims", "{"]);
    refuse(
        input,
        CONFIG,
        &[
            "--client",
            "a-b",
            "--subscribe",
            "order:1",
            "--publish",
            "a/+",
        ],
    );
    refuse(
        input,
        CONFIG,
        &["--client", "a", "--subscribe", "order:{claims.sub}"],
    );
    refuse(input, CONFIG, &["--for", "bridge", "--as", "iot"]);
    let without_queue = CONFIG.split("bridge:").next().unwrap();
    refuse(
        input,
        without_queue,
        &[
            "--for",
            "bridge",
            "--region",
            "eu-central-1",
            "--account",
            "123456789012",
        ],
    );
    let orders: Vec<String> = (0..60)
        .map(|n| format!("{n:08x}-4f0b-4d3e-9f51-6a4f0c6c2a11"))
        .collect();
    let orders = format!("{{\"orders\":[\"{}\"]}}", orders.join("\",\""));
    let many = [
        &["--role", "customer", "--claim", USER, "--claims", &orders][..],
        &PLACE,
    ]
    .concat();
    let (status, text) = generated_with(CONFIG, &many);
    assert_eq!(status, Status::No);
    let (session, more) = generated_with(
        CONFIG,
        &[&many[..], &["--as", "session", "--subscriptions", "100"]].concat(),
    );
    assert_eq!(session, Status::No);
    insta::assert_snapshot!(format!("{told}{text}{more}"));
}

#[test]
fn arguments_that_do_not_go_together() {
    let mut told = String::new();
    for line in [
        "",
        "--role a --client b",
        "--client a --claim sub=1",
        "--role a --subscribe b",
        "--client a --retain",
        "--role a --claim sub",
        "--for gateway",
    ] {
        let Err(error) =
            AnswerLine::try_parse_from(["generate"].into_iter().chain(line.split_whitespace()))
        else {
            panic!("`{line}` is taken");
        };
        told += &format!("$ {line}\n{}", crate::cli::usage::message(&error));
    }
    insta::assert_snapshot!(told);
}

/// The configuration says where IoT Core is: by its authorizer, or by where its queue is.
#[test]
fn where_iot_core_is() {
    let asked = ["--role", "customer", "--claim", USER, "--claim", ORDERS];
    let (status, told) = generated_with(CONFIG, &asked);
    assert_eq!(status, Status::Yes, "{told}");
    assert!(
        told.contains("arn:aws:iot:eu-central-1:123456789012:client/"),
        "{told}"
    );
    let authorizer = "authorizer:\n  region: us-west-2\n  account: \"210987654321\"\n";
    let (status, told) = generated_with(&format!("{CONFIG}{authorizer}"), &asked);
    assert_eq!(status, Status::Yes, "{told}");
    assert!(
        told.contains("arn:aws:iot:us-west-2:210987654321:client/"),
        "{told}"
    );
    let (_, told) = generated_with(
        &format!("{CONFIG}{authorizer}"),
        &[&asked[..], &PLACE].concat(),
    );
    assert!(
        told.contains("arn:aws:iot:eu-central-1:123456789012:client/"),
        "{told}"
    );
}
