//! `eventcast trace`: one event's way, each hop with its time.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::{DevAddress, InspectorAnswer};
use crate::cli::json::write_json;
use crate::cli::{OutputFormat, Status};
use crate::dev::inspector::trail::{EventTimeline, TimelineEntry, TimelineStep, between};
use crate::dev::inspector::views::OutcomeView;
use crate::escape::write_line;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eventcast trace 3c04ef9b-15e4-44a6-a916-2352603f2c86
  eventcast trace 3c04ef9b-15e4-44a6-a916-2352603f2c86 --endpoint http://127.0.0.1:4599

A running `eventcast dev` remembers the latest 1,000 events. AWS keeps no record of single events, so there --aws says \
only where to look.

Exit status: 0 it was published and nobody was denied it, 1 it was not (or is not known), 2 the question cannot be \
answered, 3 nobody could be asked.")]
pub(in crate::cli) struct TraceCommand {
    /// The event's id
    event_id: String,
    #[command(flatten)]
    place: DevAddress,
}

/// An event as `eventcast dev` reports it.
#[derive(Deserialize)]
struct TracedEvent {
    #[serde(flatten)]
    trail: EventTimeline,
    routes: Vec<OutcomeView>,
    refused: Option<String>,
    not_an_event: Option<String>,
}

const ON_AWS: &str = "\
error: AWS keeps no record of single events: neither EventBridge, SQS nor IoT Core finds one by its id
help: `eventcast dlq list` shows what could not be published, with reasons; `eventcast routes explain --event FILE` says what the
help: routes do with an event; the daemon's log names the messages that it postponed or buried; each message carries the event's id
help: as `eb-id`, so clients can tell which arrived";

/// Runs the command.
pub(in crate::cli) fn run(
    command: &TraceCommand,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    if command.place.aws {
        writeln!(messages, "{ON_AWS}")?;
        return Ok(Status::CannotAnswer);
    }
    let told = command
        .place
        .ask("/_dev/event", &[("id", &command.event_id)])?;
    let value = match told {
        InspectorAnswer::Found(value) => value,
        InspectorAnswer::Nothing(why) => {
            write_line(messages, format_args!("{why}"))?;
            return Ok(Status::No);
        }
        InspectorAnswer::Wrong(why) => {
            write_line(messages, format_args!("error: {why}"))?;
            return Ok(Status::CannotAnswer);
        }
    };
    let event = TracedEvent::deserialize(&value)?;
    match command.place.format {
        OutputFormat::Json => write_json(&value, out)?,
        OutputFormat::Text => write(&event, out)?,
    }
    let trail = &event.trail;
    let well = trail.published > 0 && trail.withheld == 0 && !trail.dead;
    Ok(if well { Status::Yes } else { Status::No })
}

fn write(event: &TracedEvent, out: &mut impl Write) -> io::Result<()> {
    let trail = &event.trail;
    let name = trail.detail_type.as_deref().unwrap_or("event");
    let source = trail.source.as_deref().unwrap_or("somebody");
    let bytes = trail.bytes;
    write_line(out, format_args!("{name} from {source}, {bytes} bytes"))?;
    write_line(out, format_args!("event {}", trail.id))?;
    writeln!(out)?;
    for hop in &trail.hops {
        let (name, words) = words(hop);
        let after = millis(between(trail.began, hop.at));
        write_line(out, format_args!("{after:>12}  {name:<8}{words}"))?;
    }
    if trail.more_hops > 0 {
        write_line(
            out,
            format_args!(
                "              and {} more steps like these",
                trail.more_hops
            ),
        )?;
    }
    writeln!(out)?;
    write_line(out, format_args!("{}", summary(event)))?;
    if !event.routes.is_empty() {
        writeln!(out, "\nroutes")?;
    }
    for route in &event.routes {
        let topics = route.topics.join(", ");
        let outcome = match (route.matches, topics.as_str()) {
            (true, "") => "matches, but publishes nothing",
            (false, "") => "no match",
            (_, topics) => topics,
        };
        write_line(out, format_args!("  {}: {outcome}", route.route))?;
        for line in &route.lines {
            write_line(out, format_args!("    {line}"))?;
        }
    }
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("+{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn plural(count: impl Into<u64>, one: &str, more: &str) -> String {
    match count.into() {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    }
}

fn summary(event: &TracedEvent) -> String {
    let trail = &event.trail;
    if let Some(why) = &event.not_an_event {
        return format!("it is no event: {why}");
    }
    let put = trail.hops.iter().find_map(|hop| match &hop.step {
        TimelineStep::Put { rules, .. } => Some(*rules),
        _ => None,
    });
    match (trail.published, put) {
        (_, Some(None)) => {
            "it was put on a bus that does not exist: such events are taken and dropped".into()
        }
        (0, Some(Some(0))) => "no rule of the bus takes it, so it went nowhere".into(),
        (0, _) if trail.dead => {
            let why = event.refused.as_deref();
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            format!("nothing was published{why}; it is a dead letter")
        }
        (0, _) if trail.done => "no route publishes it".into(),
        (0, _) => "it waits for the bridge".into(),
        (published, _) => {
            let messages = plural(published, "message", "messages");
            let deliveries = plural(trail.delivered, "delivery", "deliveries");
            let first = trail.first_after.map(Duration::from_micros);
            let first = first.map_or_else(String::new, |first| {
                format!(
                    ", the first after {}",
                    millis(first).trim_start_matches('+')
                )
            });
            let denied = match trail.withheld {
                0 => String::new(),
                withheld => format!("; {} denied", plural(withheld, "delivery", "deliveries")),
            };
            format!("{messages}, {deliveries}{first}{denied}")
        }
    }
}

/// Name of a hop, and the text about it.
fn words(hop: &TimelineEntry) -> (&'static str, String) {
    match &hop.step {
        TimelineStep::Put { bus, rules } => {
            let rules = match rules {
                None => "there is no such bus".into(),
                Some(count) => plural(*count as u64, "rule takes it", "rules take it"),
            };
            ("bus", format!("put on `{bus}`; {rules}"))
        }
        TimelineStep::Unsent { rule, target, why } => (
            "bus",
            format!("rule `{rule}` could not send it to {target}: {why}"),
        ),
        TimelineStep::Queued {
            queue,
            rule,
            dead_letter,
            ..
        } => match (dead_letter, rule) {
            (Some(why), _) => ("queue", format!("`{queue}`, as a dead letter: {why}")),
            (None, Some(rule)) => ("queue", format!("`{queue}`, by rule `{rule}`")),
            (None, None) => ("queue", format!("`{queue}`, sent there directly")),
        },
        TimelineStep::Received { attempt: 1, .. } => ("bridge", "took it".into()),
        TimelineStep::Received { attempt, .. } => ("bridge", format!("took it, attempt {attempt}")),
        TimelineStep::Hidden { seconds: 0, .. } => ("bridge", "gave it back".into()),
        TimelineStep::Hidden { seconds, .. } => {
            ("bridge", format!("keeps it for {seconds} s more"))
        }
        TimelineStep::Deleted { queue } => ("bridge", format!("deleted it from `{queue}`")),
        TimelineStep::Redriven { to, .. } => {
            ("queue", format!("handed out too often, moved to `{to}`"))
        }
        TimelineStep::Published {
            topic,
            route,
            client,
            qos,
            retain,
            sessions,
            ..
        } => {
            let by = match (route, &**client) {
                (Some(route), _) => format!("route `{route}`"),
                (None, "") => "HTTPS".into(),
                (None, client) => format!("`{client}`"),
            };
            let retain = if *retain { ", retained" } else { "" };
            let sessions = plural(*sessions as u64, "subscriber", "subscribers");
            (
                "topic",
                format!("{topic} by {by}, QoS {qos}{retain}; {sessions}"),
            )
        }
        TimelineStep::Delivered {
            topic,
            client,
            retained,
            ..
        } => {
            let later = if *retained {
                ", later, as the retained message"
            } else {
                ""
            };
            ("client", format!("{client} got it on {topic}{later}"))
        }
        TimelineStep::Withheld { topic, client, why } => (
            "denied",
            format!("{client} did not get it on {topic}: {why}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> TracedEvent {
        TracedEvent::deserialize(value).unwrap()
    }

    fn told(value: &Value) -> String {
        let mut out = Vec::new();
        write(&read(value), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn event(hops: &Value) -> Value {
        json!({
            "id": "e1", "source": "shop.orders", "detail_type": "OrderPlaced", "bytes": 325, "began": 1_000_000, "ended": 1_028_000,
            "published": 0, "delivered": 0, "withheld": 0, "first_after": null, "dead": false, "done": true,
            "hops": hops, "more_hops": 0, "body": null, "refused": null, "not_an_event": null, "routes": [],
        })
    }

    #[test]
    fn a_whole_way() {
        let mut event = event(&json!([
            { "at": 1_000_000, "step": "put", "bus": "default", "rules": 1 },
            { "at": 1_000_200, "step": "queued", "queue": "events", "message_id": "m", "rule": "to-eventcast" },
            { "at": 1_000_600, "step": "received", "queue": "events", "attempt": 2 },
            { "at": 1_003_700, "step": "published", "topic": "order/1", "route": "orders", "client": "b", "bytes": 3, "qos": 1, "retain": true, "sessions": 2 },
            { "at": 1_004_100, "step": "delivered", "topic": "order/1", "client": "c1", "qos": 1 },
            { "at": 1_004_200, "step": "withheld", "topic": "order/1", "client": "c2", "why": "no policy allows iot:Receive on its topic" },
            { "at": 1_028_000, "step": "deleted", "queue": "events" },
        ]));
        event["published"] = 1.into();
        event["delivered"] = 1.into();
        event["withheld"] = 1.into();
        event["first_after"] = 4_100.into();
        event["more_hops"] = 7.into();
        event["routes"] = json!([
            { "route": "orders", "matches": true, "topics": ["order/1"], "lines": [] },
            { "route": "office", "matches": false, "topics": [], "lines": ["`source` is \"shop.orders\"; wanted [\"shop.office\"]"] },
            { "route": "strict", "matches": true, "topics": [], "lines": ["missing_field: {detail.x} is missing"] },
        ]);
        insta::assert_snapshot!(told(&event));
    }

    #[test]
    fn what_an_event_brings_moves_no_cursor() {
        let mut event = event(&json!([
            { "at": 1_000_000, "step": "put", "bus": "de\u{1b}[2Jfault", "rules": 1 },
            { "at": 1_004_100, "step": "delivered", "topic": "order/1", "client": "c1\n  +9.9 ms  client  forged", "qos": 1 },
        ]));
        event["id"] = "e\u{7}1".into();
        event["detail_type"] = "Order\rPlaced".into();
        event["routes"] = json!([{ "route": "r", "matches": false, "topics": [], "lines": ["`source` is \u{202e}x"] }]);
        let told = told(&event);
        assert!(!told.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}']));
        assert!(!told.lines().any(|line| line.starts_with("  +9.9 ms")));
    }

    #[test]
    fn ways_that_end_early() {
        let summary = |change: &dyn Fn(&mut Value)| {
            let mut event =
                event(&json!([{ "at": 1_000_000, "step": "put", "bus": "default", "rules": 1 }]));
            change(&mut event);
            summary(&read(&event))
        };
        insta::assert_snapshot!(
            [
                summary(&|_| {}),
                summary(&|event| event["done"] = false.into()),
                summary(&|event| event["hops"][0]["rules"] = 0.into()),
                summary(&|event| event["hops"][0]["rules"] = Value::Null),
                summary(&|event| event["not_an_event"] = "the body is not JSON".into()),
                summary(&|event| {
                    event["dead"] = true.into();
                    event["refused"] = "too many topics".into();
                }),
            ]
            .join("\n")
        );
    }
}
