//! The recorder of traces: OpenTelemetry's SDK, which sends spans to a collector by OTLP, as protobuf over HTTP.
//!
//! Sampling, batching and the wire are the SDK's, and so are its environment variables (OpenTelemetry specification, "Environment
//! variable specification"). Around it: a client on a thread of its own (`collector`), so that a collector that fails or hangs
//! never holds the daemon up, and a count of the spans that were lost to it (`tally`).

mod collector;
pub mod settings;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, Key, KeyValue, StringValue};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span,
};

use self::collector::Collector;
use self::settings::ExportSettings;
use self::tally::{Counting, CountingProcessor, Tally};
use super::traces::{AttributeValue, Recorder, Recording, SpanBeginning, SpanRole, Traces};

/// The semantic conventions that spans follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.42.0";

/// The export while it runs.
pub struct RunningExport {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

impl RunningExport {
    /// Begins to export.
    ///
    /// # Errors
    /// One line, when the endpoint is no address, or TLS cannot be set up.
    pub fn start(settings: &ExportSettings) -> Result<(Self, Traces), String> {
        let tally = Arc::new(Tally::new(settings.room));
        let collector = Collector::open(settings, &tally)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .build()
            .map_err(|error| error.to_string())?;
        let exporter = Counting::new(exporter, &tally);
        let batches = BatchConfigBuilder::default().with_max_queue_size(settings.room);
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches.build())
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(CountingProcessor::new(processor, &tally))
            .build();
        let scope = InstrumentationScope::builder("eventcast")
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA)
            .build();
        let recorder = Otlp(provider.tracer_with_scope(scope));
        Ok((Self { provider, tally }, Traces::to(Arc::new(recorder))))
    }

    /// Sends the spans that are left, and waits for that no longer than `within`. Blocks.
    pub fn end(self, within: Duration) {
        // Spans that could not be sent in time are counted as lost.
        let _ = self.provider.shutdown_with_timeout(within);
        self.tally.close();
    }
}

/// Attributes of the process: `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, or else the
/// program's name.
fn resource() -> Resource {
    let found = Resource::builder().build();
    let service = Key::from_static_str("service.name");
    let named = found
        .get(&service)
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut ours = vec![KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    ours.retain(|one| found.get(&one.key).is_none());
    if !named {
        ours.push(KeyValue::new(service, "eventcast"));
    }
    Resource::builder().with_attributes(ours).build()
}

/// Records spans with the SDK.
struct Otlp(SdkTracer);

impl Recorder for Otlp {
    fn begin(&self, beginning: &SpanBeginning<'_>) -> Option<Box<dyn Recording>> {
        // A consumer's parent is in another process, a producer's is one of ours.
        let remote = beginning.kind == SpanRole::Consumer;
        let parent = beginning.parent.and_then(|parent| context(parent, remote));
        let links = beginning
            .links
            .iter()
            .filter_map(|link| context(link, remote));
        let builder = SpanBuilder {
            span_kind: Some(match beginning.kind {
                SpanRole::Consumer => SpanKind::Consumer,
                SpanRole::Producer => SpanKind::Producer,
            }),
            start_time: Some(beginning.since),
            attributes: Some(
                beginning
                    .facts
                    .iter()
                    .map(|(key, value)| attribute(key, *value))
                    .collect(),
            ),
            links: Some(links.map(Link::with_context).collect()),
            ..SpanBuilder::from_name(beginning.name.to_owned())
        };
        let around = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let span = self.0.build_with_context(builder, &around);
        span.is_recording()
            .then(|| Box::new(Recorded::new(span)) as Box<dyn Recording>)
    }
}

/// One span of the SDK.
struct Recorded {
    span: Span,
    traceparent: String,
    failed: bool,
}

impl Recorded {
    fn new(span: Span) -> Self {
        let own = span.span_context();
        let traceparent = format!(
            "00-{}-{}-{:02x}",
            own.trace_id(),
            own.span_id(),
            own.trace_flags()
        );
        Self {
            span,
            traceparent,
            failed: false,
        }
    }
}

impl Recording for Recorded {
    fn traceparent(&self) -> &str {
        &self.traceparent
    }

    fn say(&mut self, key: &'static str, value: AttributeValue<'_>) {
        self.span.set_attribute(attribute(key, value));
    }

    fn fail(&mut self, kind: &'static str) {
        // The first failure is the cause of those that follow.
        if !std::mem::replace(&mut self.failed, true) {
            self.span.set_status(Status::error(kind));
            self.span.set_attribute(KeyValue::new("error.type", kind));
        }
    }
}

/// Reads a W3C `traceparent` of version 00.
fn context(traceparent: &str, remote: bool) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let context = SpanContext::new(
        trace,
        span,
        TraceFlags::new(flags),
        remote,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

fn attribute(key: &'static str, value: AttributeValue<'_>) -> KeyValue {
    match value {
        AttributeValue::Text(text) => KeyValue::new(key, text.to_owned()),
        AttributeValue::Number(number) => {
            KeyValue::new(key, i64::try_from(number).unwrap_or(i64::MAX))
        }
        AttributeValue::Texts(texts) => {
            let texts = texts.iter().map(|text| StringValue::from(text.to_string()));
            let texts = Array::String(texts.collect());
            KeyValue::new(key, opentelemetry::Value::Array(texts))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::time::SystemTime;

    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{Sampler, SpanData};
    use proptest::prelude::*;

    use super::*;

    const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Keeps the spans that it is given.
    #[derive(Clone, Debug, Default)]
    struct KeptSpans(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for KeptSpans {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    fn recorder(sampler: Sampler) -> (Otlp, KeptSpans, SdkTracerProvider) {
        let kept = KeptSpans::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .with_sampler(sampler)
            .build();
        (Otlp(provider.tracer("test")), kept, provider)
    }

    fn beginning<'b>(
        kind: SpanRole,
        parent: Option<&'b str>,
        links: &'b [&'b str],
    ) -> SpanBeginning<'b> {
        SpanBeginning {
            name: "a span",
            kind,
            since: SystemTime::UNIX_EPOCH,
            parent,
            links,
            facts: &[("fact", AttributeValue::Number(7))],
        }
    }

    #[test]
    fn a_span_is_recorded_as_it_was_told() {
        let always = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let (recorder, kept, _provider) = recorder(always);
        let consumer = beginning(SpanRole::Consumer, Some(SENDER), &[SENDER]);
        let mut consumer = recorder.begin(&consumer).unwrap();
        let own = consumer.traceparent().to_owned();
        let producer = beginning(SpanRole::Producer, Some(&own), &[]);
        drop(recorder.begin(&producer).unwrap());
        consumer.say("texts", AttributeValue::Texts(&["a", "b"]));
        consumer.fail("first");
        consumer.fail("second");
        drop(consumer);
        let spans = kept.0.lock().unwrap();
        let [producer, consumer] = &spans[..] else {
            panic!("{spans:?}");
        };
        let context = &consumer.span_context;
        assert_eq!(
            own,
            format!("00-{}-{}-01", context.trace_id(), context.span_id())
        );
        assert_eq!(context.trace_id().to_string(), SENDER[3..35]);
        assert_eq!(consumer.parent_span_id.to_string(), SENDER[36..52]);
        assert_eq!(
            consumer.links.links[0].span_context.span_id(),
            consumer.parent_span_id
        );
        assert_eq!(consumer.start_time, SystemTime::UNIX_EPOCH);
        assert_eq!(consumer.status, Status::error("first"));
        let attributes: Vec<String> = consumer
            .attributes
            .iter()
            .map(|one| format!("{}={}", one.key, one.value))
            .collect();
        assert_eq!(
            attributes,
            ["fact=7", r#"texts=["a","b"]"#, "error.type=first"]
        );
        assert_eq!(producer.parent_span_id, context.span_id());
        assert_eq!(producer.span_context.trace_id(), context.trace_id());
        assert!(consumer.parent_span_is_remote && !producer.parent_span_is_remote);
        let kinds = (&consumer.span_kind, &producer.span_kind);
        assert_eq!(kinds, (&SpanKind::Consumer, &SpanKind::Producer));
    }

    #[test]
    fn what_is_not_sampled_is_not_recorded() {
        let unsampled = format!("{}00", &SENDER[..53]);
        let always = || Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let never = || Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        for (sampler, parent, recorded) in [
            (always(), None, true),
            (always(), Some(SENDER), true),
            (always(), Some(&*unsampled), false),
            (never(), None, false),
            (never(), Some(SENDER), true),
            (Sampler::AlwaysOff, Some(SENDER), false),
        ] {
            let case = format!("{sampler:?} {parent:?}");
            let (recorder, ..) = recorder(sampler);
            let span = recorder.begin(&beginning(SpanRole::Consumer, parent, &[]));
            assert_eq!(span.is_some(), recorded, "{case}");
        }
    }

    proptest! {
        /// The SDK's own reader of the header is the reference.
        #[test]
        fn contexts_are_read_as_the_sdk_reads_them(
            trace in "[0-9a-f]{32}|0{32}",
            span in "[0-9a-f]{16}|0{16}",
            sampled in any::<bool>(),
        ) {
            let traceparent = format!("00-{trace}-{span}-0{}", u8::from(sampled));
            let header = HashMap::from([("traceparent".to_owned(), traceparent.clone())]);
            let theirs = TraceContextPropagator::new().extract_with_context(&Context::new(), &header);
            let theirs = theirs.span().span_context().clone();
            let theirs = Some(theirs).filter(SpanContext::is_valid);
            prop_assert_eq!(context(&traceparent, true), theirs);
        }
    }
}
