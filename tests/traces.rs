//! Traces of the real daemon: spans that a collector receives by OTLP, and the context that a
//! subscriber sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/collector.rs"]
mod collector;
#[path = "support/dev.rs"]
mod dev;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/traced.rs"]
mod traced;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use authority::Authority;
use collector::{Collector, Manner};
use lines::{Lines, until};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use traced::Platform;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// An event about an order, with a trace context of its own where one is given.
fn event(order: &str, traceparent: Option<&str>) -> String {
    let context = traceparent.map_or(String::new(), |own| format!(r#","traceparent":"{own}""#));
    format!(
        r#"{{"id":"event-{order}","source":"shop.orders","detail-type":"Placed","detail":{{"order":"{order}"{context}}}}}"#
    )
}

/// The trace context that a message to an order's topic carried.
fn carried(subscriber: &Lines, order: &str) -> Option<String> {
    let topic = format!("order/{order} ");
    let lines = subscriber.all();
    let line = lines.iter().find(|line| line.starts_with(&topic))?;
    let word = line.split("traceparent:").nth(1)?;
    Some(word.split_whitespace().next()?.to_owned())
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn spans(collector: &Collector) -> Vec<Span> {
    let requests = collector.requests().into_iter();
    let resources = requests.flat_map(|request| request.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn text(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(array)) => {
            let each = array.values.iter().map(|one| text(&Some(one.clone())));
            format!("[{}]", each.collect::<Vec<_>>().join(", "))
        }
        other => panic!("{other:?}"),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let told: BTreeMap<_, _> = all
        .iter()
        .map(|one| (one.key.clone(), text(&one.value)))
        .collect();
    assert_eq!(told.len(), all.len(), "each key once: {all:?}");
    told
}

fn attribute(span: &Span, key: &str) -> String {
    attributes(&span.attributes).remove(key).unwrap_or_default()
}

/// The delivery of an event, and its publications.
fn tree(spans: &[Span], event: &str) -> (Span, Vec<Span>) {
    let mut found = spans
        .iter()
        .filter(|span| attribute(span, "eventcast.event.id") == event);
    let delivery = found.next().expect(event).clone();
    assert!(found.next().is_none(), "two deliveries of {event}");
    let below = spans
        .iter()
        .filter(|span| span.parent_span_id == delivery.span_id);
    let publications: Vec<Span> = below.cloned().collect();
    for span in &publications {
        assert_eq!(span.trace_id, delivery.trace_id);
        assert!(span.start_time_unix_nano >= delivery.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= delivery.end_time_unix_nano);
    }
    (delivery, publications)
}

/// A span as a text, without the parts that differ from run to run.
fn shown(span: &Span) -> String {
    let kind = SpanKind::try_from(span.kind).unwrap();
    let mut told = format!("{} {}\n", span.name, kind.as_str_name());
    for (key, value) in attributes(&span.attributes) {
        let value = match key.as_str() {
            "messaging.message.id" | "server.port" => "…".to_owned(),
            "aws.sqs.queue.url" => value.rsplit_once('/').unwrap().1.to_owned(),
            _ => value,
        };
        writeln!(told, "  {key} = {value}").unwrap();
    }
    if let Some(status) = &span.status
        && status.code() != StatusCode::Unset
    {
        writeln!(
            told,
            "  status {}: {}",
            status.code().as_str_name(),
            status.message
        )
        .unwrap();
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_and_publications_hang_below_the_sender() {
    let collector = Collector::start(Manner::Takes).await;
    let mut platform = Platform::new("tree").await;
    let subscriber = platform.subscriber();
    platform.start_bridge(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(collector.port())),
        ("OTEL_SERVICE_NAME", "shop-bridge"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]);
    let own = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    let xray = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    platform
        .send(&event("own", Some(&own("01"))), Some(xray))
        .await;
    platform.send(&event("xray", None), Some(xray)).await;
    platform.send(&event("none", None), None).await;
    platform
        .send(&event("unsampled", Some(&own("00"))), None)
        .await;
    platform.send("nonsense", Some(xray)).await;
    platform.emptied().await;
    // Three with a publication each, and the one that is no event.
    until("all spans have come", || spans(&collector).len() >= 7);
    platform.end();
    let spans = spans(&collector);
    assert_eq!(spans.len(), 7, "what is not sampled is not sent");

    let (delivery, publications) = tree(&spans, "event-own");
    assert_eq!(hex(&delivery.trace_id), TRACE);
    assert_eq!(hex(&delivery.parent_span_id), PARENT);
    assert_eq!(hex(&delivery.links[0].span_id), PARENT);
    insta::assert_snapshot!(shown(&delivery), @"
    process events SPAN_KIND_CONSUMER
      aws.sqs.queue.url = events
      eventcast.delivery.attempt = 1
      eventcast.event.id = event-own
      eventcast.outcome = finished
      eventcast.publications = 1
      eventcast.routes = [orders]
      messaging.destination.name = events
      messaging.message.body.size = 161
      messaging.message.id = …
      messaging.operation.name = process
      messaging.operation.type = process
      messaging.system = aws_sqs
      server.address = 127.0.0.1
      server.port = …
    ");
    let [publication] = &publications[..] else {
        panic!("{publications:?}");
    };
    insta::assert_snapshot!(shown(publication), @"
    publish SPAN_KIND_PRODUCER
      eventcast.outcome = published
      eventcast.qos = 1
      eventcast.route = orders
      eventcast.tries = 1
      messaging.message.body.size = 161
      messaging.operation.name = publish
      messaging.operation.type = send
      messaging.system = mqtt
      server.address = 127.0.0.1
      server.port = …
    ");
    assert_eq!(
        carried(&subscriber, "own"),
        Some(format!("00-{TRACE}-{}-01", hex(&publication.span_id)))
    );

    let (delivery, publications) = tree(&spans, "event-xray");
    assert_eq!(hex(&delivery.trace_id), "5759e988bd862e3fe1be46a994272793");
    assert_eq!(hex(&delivery.parent_span_id), "53995c3f42cd8ad8");
    assert_eq!(publications.len(), 1);

    let (delivery, publications) = tree(&spans, "event-none");
    assert_eq!(hex(&delivery.parent_span_id), "");
    assert!(delivery.links.is_empty());
    let (trace, span) = (hex(&delivery.trace_id), hex(&publications[0].span_id));
    assert_eq!(
        carried(&subscriber, "none"),
        Some(format!("00-{trace}-{span}-01"))
    );
    assert_eq!(carried(&subscriber, "unsampled"), Some(own("00")));

    let dead = spans
        .iter()
        .find(|span| attribute(span, "eventcast.outcome") == "dead_lettered");
    let dead = dead.unwrap();
    assert_eq!(hex(&dead.parent_span_id), "53995c3f42cd8ad8");
    insta::assert_snapshot!(shown(dead), @"
    process events SPAN_KIND_CONSUMER
      aws.sqs.queue.url = events
      error.type = not_an_event
      eventcast.delivery.attempt = 1
      eventcast.outcome = dead_lettered
      messaging.destination.name = events
      messaging.message.body.size = 8
      messaging.message.id = …
      messaging.operation.name = process
      messaging.operation.type = process
      messaging.system = aws_sqs
      server.address = 127.0.0.1
      server.port = …
      status STATUS_CODE_ERROR: not_an_event
    ");

    assert!(!collector.has_seen("order/"), "topics are not told");
    let resource = collector.requests()[0].resource_spans[0].clone();
    let scope = &resource.scope_spans[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "eventcast");
    assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.42.0");
    let resource = attributes(&resource.resource.unwrap().attributes);
    assert_eq!(resource["service.name"], "shop-bridge");
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampler_is_the_environments() {
    let collector = Collector::start(Manner::Takes).await;
    let mut platform = Platform::new("sampler").await;
    let subscriber = platform.subscriber();
    let traces = format!("{}/v1/traces", endpoint(collector.port()));
    platform.start_bridge(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ]);
    let own = format!("00-{TRACE}-{PARENT}-01");
    platform.send(&event("none", None), None).await;
    platform.send(&event("own", Some(&own)), None).await;
    platform.emptied().await;
    platform.end();
    let spans = spans(&collector);
    assert_eq!(spans.len(), 2);
    assert_eq!(tree(&spans, "event-own").1.len(), 1);
    assert_eq!(carried(&subscriber, "none"), None);
    let resource = collector.requests()[0].resource_spans[0].clone();
    let resource = attributes(&resource.resource.unwrap().attributes);
    assert_eq!(resource["service.name"], "eventcast");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_the_senders_context_passes_through() {
    let mut platform = Platform::new("off").await;
    let subscriber = platform.subscriber();
    platform.start_bridge(&[]);
    let own = format!("00-{TRACE}-{PARENT}-01");
    platform.send(&event("own", Some(&own)), None).await;
    platform.emptied().await;
    platform.end();
    assert_eq!(carried(&subscriber, "own"), Some(own));
    assert!(!platform.log().contains("traces are exported"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_sends_what_still_waits() {
    let collector = Collector::start(Manner::Takes).await;
    let mut platform = Platform::new("flush").await;
    platform.start_bridge(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(collector.port())),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ]);
    for n in 0..20 {
        platform.send(&event(&format!("n{n}"), None), None).await;
    }
    platform.emptied().await;
    assert_eq!(collector.count(), 0);
    platform.end();
    assert_eq!(spans(&collector).len(), 40);
    assert!(!platform.log().contains("spans were lost"));
}

/// Sends events to a daemon whose collector takes nothing; returns the last count of lost spans,
/// and the duration of the end.
async fn fails(name: &str, port: u16) -> (serde_json::Value, Duration) {
    let mut platform = Platform::new(name).await;
    let subscriber = platform.subscriber();
    platform.start_bridge(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(port)),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8"),
    ]);
    for n in 0..100 {
        platform.send(&event(&format!("n{n}"), None), None).await;
    }
    platform.emptied().await;
    until("all have arrived", || {
        (0..100).all(|n| subscriber.has(&format!("order/n{n} ")))
    });
    let took = platform.end();
    let log = platform.log();
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("spans were lost"))
        .collect();
    assert!((1..=3).contains(&told.len()), "{told:#?}");
    (serde_json::from_str(told[told.len() - 1]).unwrap(), took)
}

/// However it fails, the daemon works, says how many spans were lost, and ends in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_fails_does_not_hold_the_daemon_up() {
    let refusing = Collector::start(Manner::Refuses).await;
    let hanging = Collector::start(Manner::Hangs).await;
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nobody = closed.local_addr().unwrap().port();
    drop(closed);
    for (name, port, cause) in [
        ("refuses", refusing.port(), "status code: 503"),
        ("hangs", hanging.port(), "no answer before the end"),
        ("nobody", nobody, "Connection refused"),
    ] {
        let (lost, took) = fails(name, port).await;
        let count = |key: &str| lost[key].as_u64().unwrap();
        assert_eq!(count("queue_full") + count("not_taken"), 200, "{lost}");
        assert!(count("queue_full") > 0, "{lost}");
        assert!(lost["cause"].as_str().unwrap().contains(cause), "{lost}");
        // Two seconds for the last spans, one for polls that are still open, and some for a busy
        // machine.
        assert!(took < Duration::from_secs(8), "{name}: {took:?}");
    }
    assert!(refusing.count() > 0 && hanging.count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_comes_back_is_sent_spans_again() {
    let collector = Collector::start(Manner::Refuses).await;
    let mut platform = Platform::new("back").await;
    platform.start_bridge(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint(collector.port())),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]);
    platform.send(&event("early", None), None).await;
    // Tried four times, then given up.
    until("spans were lost", || {
        platform.log().contains("spans were lost")
    });
    assert!(collector.count() >= 4);
    collector.behave(Manner::Takes);
    platform.send(&event("late", None), None).await;
    until("the next spans have come", || {
        let spans = spans(&collector);
        let mut events = spans
            .iter()
            .map(|span| attribute(span, "eventcast.event.id"));
        events.any(|id| id == "event-late")
    });
    platform.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_reached_over_tls_if_the_system_trusts_it() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("collector", &["localhost"]);
    let collector = Collector::start_secure(&certificate, &key).await;
    let trusted = authority.certificate();
    let stranger = Authority::new();
    let url = format!("https://localhost:{}", collector.port());
    for (name, trusted) in [("stranger", &stranger.certificate()), ("trusted", &trusted)] {
        let mut platform = Platform::new(name).await;
        platform.start_bridge(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("SSL_CERT_FILE", trusted.to_str().unwrap()),
        ]);
        platform.send(&event("n", None), None).await;
        platform.emptied().await;
        platform.end();
        let wanted = if name == "trusted" { 2 } else { 0 };
        assert_eq!(spans(&collector).len(), wanted, "{}", platform.log());
        assert_eq!(
            platform.log().contains("invalid peer certificate"),
            name == "stranger"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_cannot_be_is_refused_at_the_start() {
    let platform = Platform::new("refused").await;
    let told = |otel: &[(&str, &str)]| {
        let output = platform.command(otel).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    insta::assert_snapshot!(told(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]), @"
    error: OTEL_EXPORTER_OTLP_ENDPOINT is `collector:4318`, which is not http://HOST:PORT or https://HOST:PORT
    help: such as OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318, for a collector beside the daemon
    ");
    insta::assert_snapshot!(told(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]), @"
    error: OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`; spans are sent as `http/protobuf`
    help: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the endpoint to the collector's port for HTTP, as a rule 4318
    ");
    insta::assert_snapshot!(told(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
    ]), @"
    error: exporting traces: reading the system's certificate authorities: failed to read PEM from file: No such file or directory (os error 2) at '/nonexistent'
    help: SSL_CERT_FILE names authorities to trust; without OTEL_EXPORTER_OTLP_ENDPOINT nothing is exported
    ");
}
