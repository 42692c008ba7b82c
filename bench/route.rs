//! Decode plus route: one 1 KiB event against 1, 100 and 1,000 routes.
//!
//! `cargo bench --bench route`. Beside it, in the same run, the time of serde_json for the same
//! body (only to check that it is JSON, and to build a tree), so that figures from different
//! machines can be compared as ratios. Three mixes of routes: `types` (each route another
//! detail-type, one matches), `shared` (all routes ask for the same source and type and differ in a
//! detail field, one matches), `scanned` (prefixes only, which no index can look up, one matches).

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "a benchmark's harness is its documentation, and it may stop"
)]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eventcast::channel::{ChannelKind, IdFormat, Kinds};
use eventcast::event::envelope::{Envelope, EventDecoder};
use eventcast::event::fields::FieldTrie;
use eventcast::event::pattern::Pattern;
use eventcast::event::scan::scan;
use eventcast::route::payload::PayloadShape;
use eventcast::route::publication::Qos;
use eventcast::route::table::{OnInvalidTopic, Route, RouteTable};
use eventcast::route::target::TopicTarget;

/// An order event as a platform sends it, padded to 1 KiB.
fn event() -> Bytes {
    let head = r#"{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"OrderUpdated7","source":"shop.orders","account":"123456789012","time":"2026-11-24T10:00:00Z","region":"eu-central-1","resources":["arn:aws:dynamodb:eu-central-1:123456789012:table/orders"],"detail":{"orderId":"5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11","tenantId":"0d4f6c2a-9f51-4d3e-4f0b-5b0c7e0e2a11","state":"state-7","total":129.90,"currency":"EUR","items":[{"sku":"A-1","quantity":2,"price":9.95},{"sku":"B-2","quantity":1,"price":110.00}],"address":{"street":"Example Street 12","city":"Sample Town","zip":"12345","country":"DE"},"note":""#;
    let tail = r#""}}"#;
    let padding = 1_024 - head.len() - tail.len();
    format!("{head}{}{tail}", "x".repeat(padding)).into()
}

fn table(mix: &str, count: usize) -> RouteTable {
    let order = ChannelKind::try_new("order", IdFormat::Uuid).expect("a name");
    let kinds: Kinds = [("order".into(), order)].into();
    let target = TopicTarget::parse("order:{detail.orderId}", &kinds).expect("a target");
    // The route that matches is number 7, or the only one.
    let routes = (0..count).map(|n| {
        let n = if count == 1 { 7 } else { n };
        let pattern = match mix {
            "types" => format!(r#"{{"source":["shop.orders"],"detail-type":["OrderUpdated{n}"]}}"#),
            "shared" => format!(
                r#"{{"source":["shop.orders"],"detail-type":["OrderUpdated7"],"detail":{{"state":["state-{n}"]}}}}"#
            ),
            _ => format!(r#"{{"detail":{{"state":[{{"prefix":"state-{n}"}}],"currency":[{{"anything-but":"USD"}}]}}}}"#),
        };
        Route {
            name: Arc::from(format!("route-{n}")),
            pattern: Pattern::parse(&pattern).expect("a pattern"),
            targets: vec![target.clone()],
            oversize: eventcast::route::oversize::Oversize::DeadLetter,
            payload: PayloadShape::Event,
            qos: Qos::AtLeastOnce,
            retain: false,
            expires: None,
            conflate: false,
            order: None,
            replay: false,
            on_invalid_topic: OnInvalidTopic::DeadLetter,
        }
    });
    RouteTable::new(routes.collect(), Envelope::EventBridge, None)
}

fn decode_and_route(criterion: &mut Criterion) {
    let body = event();
    assert_eq!(body.len(), 1_024);
    let mut group = criterion.benchmark_group("decode_and_route");
    group.bench_function("serde_json/check", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&body)));
    });
    group.bench_function("serde_json/tree", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)));
    });
    let decoder = EventDecoder::new(Envelope::EventBridge, FieldTrie::new());
    group.bench_function("decode_alone", |bencher| {
        bencher.iter(|| decoder.decode(black_box(&body), "m").is_ok());
    });
    group.bench_function("scan_without_fields", |bencher| {
        let fields = FieldTrie::new();
        bencher.iter(|| scan(black_box(&body), &fields).is_ok());
    });
    for mix in ["types", "shared", "scanned"] {
        for count in [1, 100, 1_000] {
            let table = table(mix, count);
            let routed = table.route(&body, "m").expect("an event");
            assert_eq!(routed.publications.len(), 1, "{mix} {count}");
            group.bench_with_input(BenchmarkId::new(mix, count), &table, |bencher, table| {
                bencher.iter(|| table.route(black_box(&body), "m"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decode_and_route);
criterion_main!(benches);
