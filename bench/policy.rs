//! One decision on a document of ten channels, as an authorizer hands it out, and reading such a
//! document.
//!
//! `cargo bench --bench policy`. The document grants Connect to one client, and Subscribe and
//! Receive on ten channels, each named; requests are about the last of them, so that all are
//! compared. Beside it the same by variables and wildcards, a condition on the client's address,
//! and ten such documents pooled.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "a benchmark's harness is its documentation, and it may stop"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use eventcast::channel::filter::Filter;
use eventcast::policy::arn::ResourceArn;
use eventcast::policy::context::Context;
use eventcast::policy::document::Document;
use eventcast::policy::evaluate::{Request, Verdict, decide};
use eventcast::policy::scope::Scope;
use eventcast::policy::simulate::Simulation;

const HEAD: &str = "arn:aws:iot:eu-central-1:123456789012";

fn channel(number: usize) -> String {
    format!("order/5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a{number:02}")
}

/// A document with Subscribe and Receive on some channels, and something more in every statement.
fn document(channels: impl Iterator<Item = String> + Clone, more: &str) -> String {
    let list = |kind: &str| -> Vec<String> {
        channels
            .clone()
            .map(|channel| format!("{HEAD}:{kind}/{channel}"))
            .collect()
    };
    format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Action":"iot:Connect","Resource":"{HEAD}:client/user-7"}},
            {{"Effect":"Allow","Action":"iot:Subscribe","Resource":{:?}{more}}},
            {{"Effect":"Allow","Action":"iot:Receive","Resource":{:?}{more}}}]}}"#,
        list("topicfilter"),
        list("topic")
    )
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policy");
    let named = document((0..10).map(channel), "");
    let by_variable = document(
        (0..10).map(|number| format!("order/${{iot:ClientId}}/{number}*")),
        "",
    );
    let by_address = document(
        (0..10).map(channel),
        r#","Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:db8::/32"]}}"#,
    );
    let mut context = Context::of_client("user-7");
    context.set("aws:SourceIp", ["2001:db8::7"]);
    let read = |text: &str| Document::parse(text).expect("a document");
    let last = format!("{HEAD}:topicfilter/{}", channel(9));
    let none = format!("{HEAD}:topicfilter/{}", channel(10));
    let own = format!("{HEAD}:topicfilter/order/user-7/9");
    let pooled: Vec<Document> = (0..10).map(|_| read(&named)).collect();
    let cases = [
        (
            "last_of_10_channels",
            vec![read(&named)],
            &last,
            Verdict::Allowed,
        ),
        (
            "none_of_10_channels",
            vec![read(&named)],
            &none,
            Verdict::ImplicitDeny,
        ),
        (
            "last_of_10_variables",
            vec![read(&by_variable)],
            &own,
            Verdict::Allowed,
        ),
        (
            "last_with_condition",
            vec![read(&by_address)],
            &last,
            Verdict::Allowed,
        ),
        ("none_of_10_documents", pooled, &none, Verdict::ImplicitDeny),
    ];
    for (name, documents, resource, verdict) in &cases {
        let decided = || {
            let request = Request {
                action: "iot:Subscribe",
                resource: ResourceArn::new(black_box(resource)),
                context: &context,
            };
            decide(documents, &request)
        };
        assert_eq!(decided().verdict, *verdict, "{name}");
        group.bench_function(*name, |bencher| bencher.iter(decided));
    }
    group.bench_function("read_10_channels", |bencher| {
        bencher.iter(|| Document::parse(black_box(&named)));
    });
    let documents = [read(&named)];
    let simulation = Simulation {
        documents: &documents,
        scope: &Scope::of(&documents).expect("one scope"),
        context: &context,
    };
    let topic = Filter::exact(&channel(9)).expect("a topic");
    group.bench_function("hear", |bencher| bencher.iter(|| simulation.hear(&topic)));
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
