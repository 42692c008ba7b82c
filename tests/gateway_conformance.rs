//! The conformance suite against a gateway that keeps its protocol, and against ones that break it
//! in one place each: every fault is found, and named by its rule.

#![cfg(feature = "gateway")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::result_large_err,
    reason = "a test that fails should say where"
)]

#[path = "support/fake_gateway.rs"]
mod fake_gateway;
#[path = "gateway/process.rs"]
mod process;

use std::process::{Command, Output};

use eventcast::conformance::address::GatewayAddress;
use eventcast::conformance::publish::TestPublisher;
use eventcast::conformance::report::{ConformanceReport, RuleReport, RuleVerdict};
use eventcast::conformance::{ProbeChannel, Suite, SuiteProgress, rules};
use fake_gateway::{CHANNEL, FakeGateway, Fault, ORIGIN, OTHER_TOKEN, SESSIONS, TOKEN, TOPIC};

struct Unseen;

impl SuiteProgress for Unseen {
    fn begins(&self, _: &'static str) {}
    fn ends(&self, _: &RuleReport) {}
}

fn suite(gateway: &FakeGateway) -> Suite {
    let address = GatewayAddress::parse(&format!("http://127.0.0.1:{}", gateway.port)).unwrap();
    Suite {
        // The same task by another name: it answers as another one must.
        second: Some(address.clone()),
        address,
        tls: None,
        token: TOKEN.into(),
        other_token: Some(OTHER_TOKEN.into()),
        channels: vec![ProbeChannel {
            name: CHANNEL.into(),
            topic: Some(TOPIC.into()),
        }],
        denied_channel: Some("order:2".into()),
        publisher: Some(TestPublisher::DataPlane(format!(
            "127.0.0.1:{}",
            gateway.port
        ))),
        origin: Some(ORIGIN.into()),
        drain: Some(gateway.drain_command()),
        quota: Some(u32::try_from(SESSIONS).unwrap() + 4),
        is_quick: false,
        only: Vec::new(),
    }
}

async fn report(gateway: &FakeGateway, only: &[&str]) -> ConformanceReport {
    let suite = Suite {
        only: only.iter().map(|one| (*one).to_owned()).collect(),
        ..suite(gateway)
    };
    suite.run(&Unseen).await.unwrap()
}

#[tokio::test]
async fn a_gateway_that_keeps_the_protocol_passes() {
    let gateway = FakeGateway::start(None).await;
    let report = report(&gateway, &[]).await;
    let names: Vec<&str> = report.rules.iter().map(|rule| rule.rule).collect();
    let all: Vec<&str> = rules().map(|rule| rule.name).collect();
    assert_eq!(names, all);
    let others: Vec<&RuleReport> = report
        .rules
        .iter()
        .filter(|rule| rule.verdict != RuleVerdict::Held)
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Faults, with the rule that names each.
const FAULTS: [(Fault, &str); 52] = [
    (Fault::AcknowledgesAtOnce, "poll.lost-response"),
    (Fault::AcknowledgesAtOnce, "hostile.cut-answer"),
    (Fault::NothingOnTheSameCursor, "poll.lost-response"),
    (Fault::ConfirmsNothing, "poll.acknowledged"),
    (Fault::Compresses, "always.uncompressed"),
    (Fault::NoContent, "poll.empty"),
    (Fault::AnswersAtOnce, "poll.empty"),
    (Fault::HoldsUntilTheTimeout, "poll.wakes"),
    (Fault::TokenInLocation, "always.no-secrets"),
    (Fault::CursorInTicket, "ticket.cookie"),
    (Fault::TwoPolls, "poll.superseded"),
    (Fault::LosesAtSuperseding, "poll.superseded"),
    (Fault::LosesAtSuperseding, "tasks.take-over"),
    (Fault::AcknowledgesWhenWritten, "stream.unconfirmed"),
    (Fault::AcknowledgesNothing, "stream.confirmed"),
    (Fault::NoHeartbeat, "stream.heartbeat"),
    (Fault::HeartbeatLate, "stream.heartbeat"),
    (Fault::RetryZero, "stream.opens"),
    (Fault::StreamOfPlainText, "stream.opens"),
    (Fault::StreamWithoutIds, "stream.message"),
    (Fault::EndsEarly, "stream.ends"),
    (Fault::BreaksStreams, "stream.superseded"),
    (Fault::AnyOrigin, "cors.others"),
    (Fault::EchoesOrigins, "cors.others"),
    (Fault::NoVary, "cors.answer"),
    (Fault::CredentialsEverywhere, "cors.answer"),
    (Fault::ShortMaxAge, "cors.preflight"),
    (Fault::HidesRetryAfter, "cors.answer"),
    (Fault::Stores, "always.no-store"),
    (Fault::LetsBuffer, "always.unbuffered"),
    (Fault::Chunked, "always.length"),
    (Fault::PlainErrors, "always.error-body"),
    (Fault::NoChallenge, "refusal.token"),
    (Fault::TokenInQuery, "refusal.query-token"),
    (Fault::ForgetsDeleted, "session.deleted"),
    (Fault::SharesSessions, "session.bound"),
    (Fault::TakesChangedSessions, "session.sealed"),
    (Fault::IgnoresMax, "poll.batch"),
    (Fault::Reorders, "poll.batch"),
    (Fault::DropsBacklog, "poll.in-flight"),
    (Fault::LosesWhenLeft, "poll.left"),
    (Fault::TicketTwice, "ticket.once"),
    (Fault::TicketForEveryPath, "ticket.cookie"),
    (Fault::NoTag, "module.files"),
    (Fault::DeniesAll, "session.denied"),
    (Fault::NoDenied, "session.denied"),
    (Fault::PanicsOnBodies, "refusal.body"),
    (Fault::AnyContentType, "refusal.body"),
    (Fault::QuotaWithoutTime, "quota.sessions"),
    (Fault::DrainCuts, "tasks.drain"),
    (Fault::IgnoresRemoval, "session.changed"),
    (Fault::NoChannel, "poll.message"),
];

#[tokio::test]
async fn every_fault_is_found_and_named() {
    let found = futures_util::future::join_all(FAULTS.map(|(fault, rule)| async move {
        let gateway = FakeGateway::start(Some(fault)).await;
        // Demands on every answer need answers to look at.
        let mut only = vec![rule];
        if rule.starts_with("always.") {
            only.extend(["session.created", "poll.at-once", "refusal.path"]);
        }
        let report = report(&gateway, &only).await;
        let found = report.rules.into_iter().find(|one| one.rule == rule);
        (fault, rule, found.unwrap().verdict)
    }));
    let missed: Vec<_> = found
        .await
        .into_iter()
        .filter(|(_, _, verdict)| !matches!(verdict, RuleVerdict::Broken { .. }))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

/// A poll that a drain leaves waiting is found at the end of its wait.
#[tokio::test]
async fn a_gateway_that_does_not_drain_is_found() {
    let gateway = FakeGateway::start(Some(Fault::DrainSilent)).await;
    let report = report(&gateway, &["tasks.drain"]).await;
    let RuleVerdict::Broken { why } = &report.rules[0].verdict else {
        panic!("{report:?}");
    };
    assert!(why.contains("after the drain began"), "{why}");
}

#[tokio::test]
async fn what_is_not_given_is_not_tried() {
    let gateway = FakeGateway::start(None).await;
    let suite = Suite {
        second: None,
        other_token: None,
        denied_channel: None,
        publisher: None,
        origin: None,
        drain: None,
        quota: None,
        is_quick: true,
        ..suite(&gateway)
    };
    let report = suite.run(&Unseen).await.unwrap();
    assert_eq!(report.broken, 0, "{report:#?}");
    for (rule, help) in [
        ("session.bound", "--other-token"),
        ("session.denied", "--denied-channel"),
        ("poll.wakes", "--publish"),
        ("cors.preflight", "--origin"),
        ("tasks.take-over", "--second"),
        ("tasks.drain", "--drain"),
        ("quota.sessions", "--quota"),
        ("stream.ends", "--quick"),
    ] {
        let found = report.rules.iter().find(|one| one.rule == rule).unwrap();
        let RuleVerdict::NotTried { help: said, .. } = &found.verdict else {
            panic!("{found:?}");
        };
        assert!(said.contains(help), "{found:?}");
    }
}

fn eventcast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["gateway", "conformance"])
        .args(arguments)
        .env_remove("EVENTCAST_GATEWAY_TOKEN")
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_reports_and_exits() {
    let right = FakeGateway::start(None).await;
    let wrong = FakeGateway::start(Some(Fault::NoContent)).await;
    let run = |port: u16, more: &[&str]| {
        let url = format!("http://127.0.0.1:{port}");
        let arguments = [
            &[
                url.as_str(),
                "--token",
                TOKEN,
                "--channel",
                CHANNEL,
                "--only",
                "poll.empty",
            ],
            more,
        ]
        .concat();
        tokio::task::block_in_place(|| eventcast(&arguments))
    };
    let output = run(right.port, &[]);
    let (said, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    assert!(said.starts_with("held       poll.empty"), "{said}");
    assert!(said.contains("1 held, 0 broken, 0 not tried"), "{said}");
    let output = run(wrong.port, &["--format", "json"]);
    let (said, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{said}{errors}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["rules"][0]["verdict"], "broken", "{said}");
    let why = report["rules"][0]["why"].as_str().unwrap();
    assert!(
        why.contains("POST /rt/v1/poll answered 204; expected 200"),
        "{why}"
    );
    let output = run(wrong.port, &["--format", "junit"]);
    let (said, _) = texts(&output);
    assert!(
        said.contains("<failure message=\"POST /rt/v1/poll answered 204"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_said() {
    let gateway = FakeGateway::start(None).await;
    let url = format!("http://127.0.0.1:{}", gateway.port);
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let url = url.as_str();
    for (arguments, error) in [
        (
            &["ws://h", "--token", "x", "--channel", "y"][..],
            "error: URL is `ws://h`",
        ),
        (&[url, "--channel", CHANNEL], "error: no token is given"),
        (&[url, "--token", TOKEN], "error: no channel is given"),
        (
            &[url, "--token", "a b", "--channel", CHANNEL],
            "error: the token has characters",
        ),
        (
            &[url, "--token", "wrong", "--channel", CHANNEL],
            "the token is refused",
        ),
        (
            &[url, "--token", TOKEN, "--channel", "order:2"],
            "the token may listen to none",
        ),
        (
            &[nobody.as_str(), "--token", TOKEN, "--channel", CHANNEL],
            "connecting: ",
        ),
        (
            &[
                url,
                "--token",
                TOKEN,
                "--channel",
                CHANNEL,
                "--only",
                "polls",
            ],
            "no rule begins with `polls`",
        ),
        (
            &[
                url,
                "--token",
                TOKEN,
                "--channel",
                CHANNEL,
                "--only",
                "poll.wakes",
                "--publish",
                "exit 9",
            ],
            "the command of --publish ended with exit status: 9",
        ),
        (
            &[url, "--token-file", "/nowhere", "--channel", CHANNEL],
            "reading the token `/nowhere`",
        ),
    ] {
        let output = tokio::task::block_in_place(|| eventcast(arguments));
        let (said, errors) = texts(&output);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {said}{errors}"
        );
        assert!(errors.contains(error), "{arguments:?}: {errors}");
        assert!(errors.contains("\nhelp: "), "{arguments:?}: {errors}");
        assert!(!errors.contains(TOKEN), "{errors}");
    }
}
