//! Figures of the custom authorizer: CPU time of one decision on an ES256 token, and the cold start
//! of its program.
//!
//! ```sh
//! cargo run --profile function --features lambda --example authorizer -- decision
//! image/authorizer
//! cargo run --release --features lambda --example authorizer -- start target/x86_64-unknown-linux-gnu/function/eventcast-authorizer
//! ```
//!
//! A decision is what the function does with an event of IoT Core but for Lambda's own protocol:
//! the event is read, the token is found, its signature is checked, grants and documents are made,
//! each document is evaluated, and the answer is written. Time is the process's CPU time
//! (`/proc/self/stat`), the best of some rounds, since others use the machine as well.
//!
//! A cold start is from before `exec` to the answer to the first event, under an emulation of the
//! runtime API, with the program in the page cache and its configuration in a file.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark runs on the real clock, and should say where it fails"
)]

#[path = "../../tests/support/runtime_api.rs"]
mod runtime_api;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventcast::authorizer::decide::TokenAuthority;
use eventcast::authorizer::expected::ExpectedClaims;
use eventcast::authorizer::function::AuthorizerFunction;
use eventcast::authorizer::issuer::TrustedIssuer;
use eventcast::authorizer::key::{Keys, TokenSigner};
use eventcast::authorizer::key_set::IssuerKeys;
use eventcast::authorizer::token::mint;
use eventcast::config::{ConfigSource, load};
use eventcast::policy::role_claim::RoleClaim;
use eventcast::policy::scope::Scope;
use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use runtime_api::{Answered, RuntimeApi};
use serde_json::{Value, json};

const SUBJECT: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

const CONFIGURATION: &str = r#"
channels:
  user: { id: uuid }
  tenant: { id: uuid }
  order: { id: uuid }
routes:
  - { name: orders, match: { source: [shop.orders] }, to: ["order:{detail.orderId}"] }
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "tenant:{claims.tenant}", "order:{claims.orders[*]}"]
authorizer: { keys: [issuer.pem], issuer: "https://id.example.com/", audience: realtime }
"#;

/// Decisions of one round.
const DECISIONS: u32 = 4_000;
/// Rounds, of which the best counts.
const ROUNDS: usize = 7;
/// Starts of the program.
const STARTS: usize = 40;
/// Ticks of `/proc/self/stat` in a second (`sysconf(_SC_CLK_TCK)` of Linux on every architecture
/// that matters here).
const TICKS: u32 = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    match words.as_slice() {
        ["decision"] => runtime.block_on(decisions()),
        ["start", program] => runtime.block_on(starts(Path::new(program))),
        _ => panic!("one of: decision, start PROGRAM"),
    }
}

fn token(pair: &KeyPair, orders: usize) -> String {
    let orders: Vec<String> = (0..orders)
        .map(|n| format!("{n:08}{}", &SUBJECT[8..]))
        .collect();
    let claims = json!({ "sub": SUBJECT, "iss": "https://id.example.com/", "aud": "realtime", "role": "customer",
                         "tenant": SUBJECT, "orders": orders });
    let key = TokenSigner::parse(&pair.serialize_pem(), None).unwrap();
    let claims = claims.as_object().unwrap().clone();
    let minted = mint(claims, &key, Timestamp::now(), Duration::from_secs(3_600));
    minted.unwrap_or_else(|error| panic!("{error}")).token
}

fn event(token: &str) -> String {
    json!({ "token": token, "signatureVerified": false, "protocols": ["tls", "mqtt"],
            "protocolData": { "tls": { "serverName": "x.iot.eu-central-1.amazonaws.com" },
                              "mqtt": { "username": "anybody", "clientId": format!("{SUBJECT}-phone") } },
            "connectionMetadata": { "id": "0e4f5b0c-4f0b-4d3e-9f51-6a4f0c6c2a11" } })
    .to_string()
}

/// CPU time of this process.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().unwrap())
        .sum();
    Duration::from_secs(1) * ticks / TICKS
}

async fn decisions() {
    let loaded = load(&ConfigSource {
        file: "eventcast.yaml",
        text: CONFIGURATION,
        ..ConfigSource::default()
    });
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let authority = TokenAuthority {
        issuers: vec![TrustedIssuer {
            name: None,
            expected: ExpectedClaims {
                issuer: Some("https://id.example.com/".into()),
                audiences: vec!["realtime".into()],
                ..ExpectedClaims::default()
            },
            keys: IssuerKeys::Fixed(Arc::new(Keys::parse(&pair.public_key_pem()).unwrap())),
            role_claim: RoleClaim::of_name("role"),
        }],
        revoked: None,
        roles: loaded.config.unwrap().roles,
        environment: None,
        scope: Scope::default(),
        refresh: Duration::from_secs(900),
    };
    let function = AuthorizerFunction::new(Arc::new(authority), "token");
    for channels in [1, 5, 10, 50] {
        let event = event(&token(&pair, channels.max(2) - 2));
        let mut best = Duration::MAX;
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let begin = cpu();
            for _ in 0..DECISIONS {
                let read: Value = serde_json::from_str(&event).unwrap();
                let decision = function.decide(&read).await;
                assert!(decision.answer.is_authenticated);
                bytes = serde_json::to_string(&decision.answer).unwrap().len();
            }
            best = best.min((cpu() - begin) / DECISIONS);
        }
        println!(
            "decision, ES256, {} channels: {best:?} of CPU, {bytes} bytes",
            channels.max(2)
        );
    }
}

async fn starts(program: &Path) {
    let folder = std::env::temp_dir().join(format!("eventcast-start-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    fs::write(folder.join("issuer.pem"), pair.public_key_pem()).unwrap();
    fs::write(folder.join("eventcast.yaml"), CONFIGURATION).unwrap();
    let program = program.canonicalize().unwrap();
    let event = event(&token(&pair, 8));
    let mut times = Vec::new();
    let mut memory = 0;
    for _ in 0..STARTS {
        let mut api = RuntimeApi::start().await;
        let answered = api.ask(&event).await;
        let mut command = Command::new(&program);
        api.environment(&mut command);
        let begin = Instant::now();
        let mut process = command
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answered = answered.await.unwrap();
        times.push(begin.elapsed());
        let Answered::Response(answer) = answered else {
            panic!("{answered:?}");
        };
        assert!(answer.contains(r#""isAuthenticated":true"#), "{answer}");
        memory = memory.max(resident(process.id()));
        process.kill().unwrap();
        process.wait().unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
    times.sort_unstable();
    println!(
        "start to first answer of {STARTS}: best {:?}, median {:?}, worst {:?}; {} bytes of program, {memory} KiB resident",
        times[0],
        times[STARTS / 2],
        times[STARTS - 1],
        fs::metadata(&program).unwrap().len(),
    );
}

/// Resident memory of a process in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
