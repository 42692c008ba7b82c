//! The spans of a daemon over fakes, as a recorder in memory receives them.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::*;
use crate::bridge::Ending;
use crate::bridge::fakes::{FakePublisher, FakeQueue};
use crate::bridge::tests::{Run, permanent, route, routes, run_with, table, transient};
use crate::telemetry::traces::{Recorder, Recording};

/// The senders' trace, and the span in it.
const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A recorder that keeps what it receives.
#[derive(Default)]
struct Memory {
    /// A text for each span, in the order in which they began, and whether it has ended.
    spans: Mutex<Vec<(String, bool)>>,
    /// Samples nothing.
    blind: bool,
}

impl Memory {
    /// All spans, which have ended.
    fn told(&self) -> String {
        let spans = self.spans.lock().unwrap();
        assert!(spans.iter().all(|(_, ended)| *ended), "{spans:#?}");
        spans.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// Short name of a context in the recorder's memory: the sender's, or a span's number.
fn short(traceparent: &str) -> String {
    match traceparent.strip_prefix("span-") {
        Some(number) => number.to_owned(),
        None if traceparent == SENDER => "the sender".to_owned(),
        None => format!("unknown {traceparent}"),
    }
}

struct Noted {
    memory: Arc<Memory>,
    at: usize,
    traceparent: String,
}

impl Noted {
    fn write(&self, text: std::fmt::Arguments<'_>) {
        let mut spans = self.memory.spans.lock().unwrap();
        spans[self.at].0.write_fmt(text).unwrap();
    }
}

impl Recording for Noted {
    fn traceparent(&self) -> &str {
        &self.traceparent
    }

    fn say(&mut self, key: &'static str, value: AttributeValue<'_>) {
        match value {
            AttributeValue::Text(text) => self.write(format_args!("  {key} = {text}\n")),
            AttributeValue::Texts(texts) => self.write(format_args!("  {key} = {texts:?}\n")),
            AttributeValue::Number(number) => self.write(format_args!("  {key} = {number}\n")),
        }
    }

    fn fail(&mut self, kind: &'static str) {
        self.write(format_args!("  failed: {kind}\n"));
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.memory.spans.lock().unwrap()[self.at].1 = true;
    }
}

/// Recorder that writes to a shared memory.
struct Handle(Arc<Memory>);

impl Recorder for Handle {
    fn begin(&self, beginning: &SpanBeginning<'_>) -> Option<Box<dyn Recording>> {
        if self.0.blind {
            return None;
        }
        let at = self.0.spans.lock().unwrap().len();
        let below = beginning.parent.map_or("nothing".into(), short);
        let mut text = format!(
            "{at}: {}, {:?}, below {below}",
            beginning.name, beginning.kind
        );
        for link in beginning.links {
            write!(text, ", linked to {}", short(link)).unwrap();
        }
        text.push('\n');
        self.0.spans.lock().unwrap().push((text, false));
        let mut span = Noted {
            memory: Arc::clone(&self.0),
            at,
            traceparent: format!("span-{at}"),
        };
        for (key, value) in beginning.facts {
            span.say(key, *value);
        }
        Some(Box::new(span))
    }
}

/// Attributes of the queue and the broker, the same in all spans: one test shows them, the others
/// leave them out.
const PLACES: [&str; 8] = [
    "messaging.system",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.destination.name",
    "server.address",
    "server.port",
    "aws.sqs.queue.url",
    "eventcast.qos",
];

/// The lines for which something holds.
fn lines(told: &str, wanted: impl Fn(&str) -> bool) -> String {
    let lines = told.lines().filter(|line| wanted(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the lines of a text that differ between spans.
fn own(told: &str) -> String {
    lines(told, |line| {
        let key = line.trim_start().split(" = ").next();
        !PLACES.iter().any(|place| key == Some(*place))
    })
}

/// A daemon that is traced.
struct Traced {
    memory: Arc<Memory>,
    run: Run,
}

fn traced(queue: FakeQueue, publisher: FakePublisher, routes: RouteTable) -> Traced {
    traced_by(Memory::default(), queue, publisher, routes)
}

fn traced_by(
    memory: Memory,
    queue: FakeQueue,
    publisher: FakePublisher,
    routes: RouteTable,
) -> Traced {
    let memory = Arc::new(memory);
    let traces = Traces::to(Arc::new(Handle(Arc::clone(&memory))));
    let run = run_with(queue, publisher, routes, traces);
    Traced { memory, run }
}

impl Traced {
    /// Sends an event whose sender is traced.
    fn send(&self, kind: &str, n: u32) {
        self.run.queue.send(format!(
            r#"{{"id":"e{n}","source":"shop","detail-type":"{kind}","detail":{{"n":{n},"traceparent":"{SENDER}"}}}}"#
        ));
    }

    async fn handed_over(&self, count: usize) {
        let run = &self.run;
        run.until("as many are handed over", |run| {
            run.publisher.count() == count
        })
        .await;
    }

    /// Ends the daemon and returns all spans as text.
    async fn ended(self) -> String {
        let run = &self.run;
        run.until("the queue is empty", |run| run.queue.left() == 0)
            .await;
        assert_eq!(self.run.end().await, Ending::Drained);
        self.memory.told()
    }
}

/// The trace context that each message names, in the order in which they were handed over.
fn named(run: &Run) -> Vec<String> {
    let handed_over = run.publisher.handed_over.lock().unwrap();
    let contexts = handed_over.iter().map(|publication| {
        let mut properties = publication.user_properties();
        let context = properties.find(|(name, _)| *name == "traceparent");
        context.map_or("none".into(), |(_, context)| short(context))
    });
    contexts.collect()
}

#[tokio::test(start_paused = true)]
async fn a_delivery_hangs_below_its_sender_and_its_publications_below_it() {
    let traced = traced(FakeQueue::default(), FakePublisher::new(true), routes());
    traced.send("Two", 7);
    traced.handed_over(3).await;
    assert_eq!(named(&traced.run), ["1", "2", "3"]);
    let told = traced.ended().await;
    assert!(
        !told.contains("one/7") && !told.contains("also/"),
        "a topic: {told}"
    );
    let (first, others) = told.split_once("\n2: ").unwrap();
    insta::assert_snapshot!(first, @r#"
    0: process events, Consumer, below the sender, linked to the sender
      messaging.system = aws_sqs
      messaging.operation.name = process
      messaging.operation.type = process
      messaging.destination.name = events
      server.address = sqs.test
      aws.sqs.queue.url = https://sqs.test/1/events
      messaging.message.id = 1
      messaging.message.body.size = 136
      eventcast.delivery.attempt = 1
      eventcast.event.id = e7
      eventcast.routes = ["one", "two"]
      eventcast.publications = 3
      eventcast.outcome = finished
    1: publish, Producer, below 0
      messaging.system = mqtt
      messaging.operation.name = publish
      messaging.operation.type = send
      eventcast.route = one
      server.address = broker.test
      server.port = 1883
      eventcast.qos = 1
      messaging.message.body.size = 136
      eventcast.outcome = published
      eventcast.tries = 1
    "#);
    insta::assert_snapshot!(own(others), @"
    publish, Producer, below 0
      eventcast.route = two
      messaging.message.body.size = 136
      eventcast.outcome = published
      eventcast.tries = 1
    3: publish, Producer, below 0
      eventcast.route = two
      messaging.message.body.size = 136
      eventcast.outcome = published
      eventcast.tries = 1
    ");
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted_in_one_span() {
    let traced = traced(FakeQueue::default(), FakePublisher::new(false), routes());
    traced.send("One", 1);
    for tries in 1..=3 {
        traced.handed_over(tries).await;
        let fate = if tries == 3 { Ok(()) } else { transient() };
        traced.run.publisher.decide(fate);
    }
    assert_eq!(named(&traced.run), ["1", "1", "1"]);
    let told = traced.ended().await;
    insta::assert_snapshot!(own(told.split_once("\n1: ").unwrap().1), @"
    publish, Producer, below 0
      eventcast.route = one
      messaging.message.body.size = 136
      eventcast.outcome = published
      eventcast.tries = 3
    ");
}

#[tokio::test(start_paused = true)]
async fn what_goes_to_the_dead_says_why() {
    let queue = FakeQueue {
        buries: true,
        ..FakeQueue::default()
    };
    let traced = traced(queue, FakePublisher::new(false), routes());
    traced.run.queue.send("nonsense".into());
    traced.send("One", 1);
    traced.handed_over(1).await;
    traced.run.publisher.decide(permanent());
    insta::assert_snapshot!(own(&traced.ended().await), @r#"
    0: process events, Consumer, below nothing
      messaging.message.id = 1
      messaging.message.body.size = 8
      eventcast.delivery.attempt = 1
      failed: not_an_event
      eventcast.outcome = dead_lettered
    1: process events, Consumer, below the sender, linked to the sender
      messaging.message.id = 2
      messaging.message.body.size = 136
      eventcast.delivery.attempt = 1
      eventcast.event.id = e1
      eventcast.routes = ["one"]
      eventcast.publications = 1
      eventcast.route = one
      failed: not_authorized
      eventcast.outcome = dead_lettered
    2: publish, Producer, below 1
      eventcast.route = one
      messaging.message.body.size = 136
      eventcast.outcome = refused
      eventcast.tries = 1
      failed: not_authorized
    "#);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_no_route_hangs_below_its_sender_too() {
    let traced = traced(FakeQueue::default(), FakePublisher::new(true), routes());
    traced.send("Three", 1);
    insta::assert_snapshot!(own(&traced.ended().await), @"
    0: process events, Consumer, below the sender, linked to the sender
      messaging.message.id = 1
      messaging.message.body.size = 138
      eventcast.delivery.attempt = 1
      eventcast.event.id = e1
      eventcast.routes = []
      eventcast.publications = 0
      eventcast.outcome = finished
    ");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_comes_again_says_which_time_it_is() {
    let queue = FakeQueue::default();
    queue.failing_deletes.store(4, Ordering::SeqCst);
    let traced = traced(queue, FakePublisher::new(true), routes());
    traced.send("One", 1);
    let told = traced.ended().await;
    let ends = ["0: ", "attempt", "outcome", "failed", "2: "];
    let ends = lines(&told, |line| ends.iter().any(|end| line.contains(end)));
    insta::assert_snapshot!(ends, @"
    0: process events, Consumer, below the sender, linked to the sender
      eventcast.delivery.attempt = 1
      eventcast.outcome = finished
      failed: not_deleted
      eventcast.outcome = published
    2: process events, Consumer, below the sender, linked to the sender
      eventcast.delivery.attempt = 2
      eventcast.outcome = finished
      eventcast.outcome = published
    ");
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_the_place_of_another_is_linked_to_its_delivery() {
    let route = crate::route::table::Route {
        conflate: true,
        ..route("newest", r#"{"source":["shop"]}"#, &["newest"])
    };
    let traced = traced(
        FakeQueue::default(),
        FakePublisher::new(false),
        table(vec![route]),
    );
    for n in 0..3 {
        traced.send("Any", n);
    }
    for count in 1..=2 {
        traced.handed_over(count).await;
        traced.run.publisher.decide(Ok(()));
    }
    // The last one's, which the second delivery waits for as well.
    assert_eq!(named(&traced.run), ["3", "4"]);
    let told = traced.ended().await;
    insta::assert_snapshot!(lines(&told, |line| !line.starts_with(' ')), @"
    0: process events, Consumer, below the sender, linked to the sender
    1: process events, Consumer, below the sender, linked to the sender
    2: process events, Consumer, below the sender, linked to the sender
    3: publish, Producer, below 0
    4: publish, Producer, below 2, linked to 1
    ");
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_back_says_so() {
    let traced = traced(FakeQueue::default(), FakePublisher::new(false), routes());
    traced.send("One", 1);
    traced.handed_over(1).await;
    assert_eq!(traced.run.end().await, Ending::Drained);
    let told = traced.memory.told();
    let ends = lines(&told, |line| {
        line.contains("outcome") || line.contains("failed")
    });
    insta::assert_snapshot!(ends, @"
    eventcast.outcome = handed_back
    eventcast.outcome = withdrawn
    ");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_keeps_the_senders_context() {
    let blind = Memory {
        blind: true,
        ..Memory::default()
    };
    let traced = traced_by(
        blind,
        FakeQueue::default(),
        FakePublisher::new(true),
        routes(),
    );
    traced.send("Two", 1);
    traced.handed_over(3).await;
    assert_eq!(named(&traced.run), ["the sender"; 3]);
    assert_eq!(traced.ended().await, "");
}

#[test]
fn peers() {
    let told = |url: &str| {
        let peer = Peer::of(url);
        let mut facts = Vec::new();
        peer.address(&mut facts);
        format!("{} {facts:?}", peer.name())
    };
    insta::assert_snapshot!(told("https://sqs.eu-central-1.amazonaws.com/123456789012/events.fifo"), @r#"events.fifo [("server.address", Text("sqs.eu-central-1.amazonaws.com"))]"#);
    insta::assert_snapshot!(told("http://127.0.0.1:5000/123456789012/events"), @r#"events [("server.address", Text("127.0.0.1")), ("server.port", Number(5000))]"#);
    insta::assert_snapshot!(told("wss://[::1]:8443/mqtt"), @r#"mqtt [("server.address", Text("::1")), ("server.port", Number(8443))]"#);
}
