//! Documents for many clients, on as many threads as there are cores: from a token's claims to
//! documents that were read back and asked.
//!
//! `cargo run --release --example generate -- [CLIENTS] [THREADS]`, by default 100,000 on 2. Each
//! client has a role with one to ten orders of its own. The generator asks its documents for every
//! permission and a neighbour of each. Here they are read once more, every channel is asked for as
//! a client would receive from it, and an order of somebody else is refused. Prints one JSON
//! object; memory is that of the process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark that fails should say where"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use eventcast::channel::{ChannelKind, IdFormat, Kinds};
use eventcast::policy::arn::ResourceArn;
use eventcast::policy::context::Context;
use eventcast::policy::document::Document;
use eventcast::policy::evaluate::{Request, decide};
use eventcast::policy::generate::{DocumentForm, generate};
use eventcast::policy::grant::Grants;
use eventcast::policy::principal::ClientIdRules;
use eventcast::policy::role::{Role, RoleEntry, Use};
use eventcast::policy::scope::{self, Scope};
use serde_json::json;

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("a number"))
        .collect();
    let clients = numbers.first().copied().unwrap_or(100_000);
    let threads = numbers.get(1).copied().unwrap_or(2);
    let role = role();
    let scope = Scope::try_new("eu-central-1", "123456789012").unwrap();
    let (next, documents, bytes, grants) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let at_a_tenth = AtomicUsize::new(0);
    let begin = Instant::now();
    thread::scope(|spawner| {
        for _ in 0..threads {
            spawner.spawn(|| {
                loop {
                    let client = next.fetch_add(1, Ordering::Relaxed);
                    if client >= clients {
                        return;
                    }
                    if client == clients / 10 {
                        at_a_tenth.store(resident_kilobytes(), Ordering::Relaxed);
                    }
                    let made = one(client, &role, &scope);
                    documents.fetch_add(made.documents, Ordering::Relaxed);
                    bytes.fetch_add(made.bytes, Ordering::Relaxed);
                    grants.fetch_add(made.channels, Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let answer = json!({
        "clients": clients,
        "threads": threads,
        "seconds": (seconds * 100.0).round() / 100.0,
        "clients_per_second": (clients as f64 / seconds).round(),
        "channels": grants.into_inner(),
        "documents": documents.into_inner(),
        "document_bytes": bytes.into_inner(),
        "resident_kilobytes_at_a_tenth": at_a_tenth.into_inner(),
        "resident_kilobytes_at_the_end": resident_kilobytes(),
    });
    println!("{answer}");
}

fn role() -> Role {
    let kind = |name: &str| {
        (
            name.into(),
            ChannelKind::try_new(name, IdFormat::Uuid).unwrap(),
        )
    };
    let kinds: Kinds = [kind("user"), kind("tenant"), kind("order")].into();
    let entry = |text, purpose| RoleEntry::parse(text, purpose, &kinds).unwrap();
    Role {
        name: "customer".into(),
        bind: entry("user:{claims.sub}", Use::Bind),
        client_ids: ClientIdRules::default(),
        subscribe: [
            "user:{claims.sub}",
            "tenant:{claims.tenant}",
            "order:{claims.orders[*]}",
        ]
        .map(|text| entry(text, Use::Subscribe))
        .into(),
        publish: vec![],
        retain: false,
    }
}

fn uuid(number: usize, kind: usize) -> String {
    format!("{number:08x}-4f0b-4d3e-9f51-6a4f0c6c{kind:04x}")
}

struct Made {
    documents: usize,
    bytes: usize,
    channels: usize,
}

fn one(client: usize, role: &Role, scope: &Scope) -> Made {
    let orders: Vec<String> = (1..=1 + client % 10)
        .map(|kind| uuid(client, kind))
        .collect();
    let claims =
        json!({"sub": uuid(client, 0), "tenant": uuid(client % 1_000, 99), "orders": orders});
    let grants = Grants::of(role, &claims, Some("prod")).unwrap();
    let generated = generate(&grants, scope, DocumentForm::Authorizer, None).unwrap();
    let texts: Vec<String> = generated
        .documents
        .iter()
        .map(|draft| draft.minified())
        .collect();
    let documents: Vec<Document> = texts
        .iter()
        .map(|text| Document::parse(text).unwrap())
        .collect();
    let context = Context::of_client(&uuid(client, 0));
    let allowed = |action: &str, kind, name: &str| {
        let resource = scope.arn(kind, name);
        let request = Request {
            action,
            resource: ResourceArn::new(&resource),
            context: &context,
        };
        decide(&documents, &request).is_allowed()
    };
    assert!(allowed(
        "iot:Connect",
        scope::ResourceKind::Client,
        &uuid(client, 0)
    ));
    assert!(!allowed(
        "iot:Connect",
        scope::ResourceKind::Client,
        &uuid(client + 1, 0)
    ));
    for reach in &grants.subscriptions {
        assert!(allowed(
            "iot:Subscribe",
            scope::ResourceKind::TopicFilter,
            reach.text()
        ));
        assert!(allowed(
            "iot:Receive",
            scope::ResourceKind::Topic,
            reach.text()
        ));
    }
    let other = format!("prod/order/{}", uuid(client + 1, 1));
    assert!(!allowed(
        "iot:Subscribe",
        scope::ResourceKind::TopicFilter,
        &other
    ));
    assert!(!allowed("iot:Receive", scope::ResourceKind::Topic, &other));
    assert!(!allowed(
        "iot:Subscribe",
        scope::ResourceKind::TopicFilter,
        "prod/order/+"
    ));
    Made {
        documents: documents.len(),
        bytes: texts.iter().map(String::len).sum(),
        channels: grants.subscriptions.len(),
    }
}

/// Memory that the process holds, where Linux says so.
fn resident_kilobytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
