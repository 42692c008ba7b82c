//! RT102: an event that does not reach a channel it is declared for.

use super::{GOOD, PLATFORM};
use std::collections::BTreeSet;

use crate::guard::contract::ContractRun;
use crate::guard::manifest::example::{ExampleBody, ExpectedChannel};
use crate::guard::manifest::{DeclaredChannel, DeclaredEvent};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};
use crate::route::explain::EventExplanation;

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT102",
    "unrouted-event",
    GuardSeverity::Error,
    "an event does not reach its channel",
    "The platform publishes only what a route takes. An example of the event ran through the platform's routes, and no message of it is sent to the channel: subscribers wait for ever, without an error anywhere.",
    "add a route to the platform's eventcast.yaml, or correct the source, the detail type or the example; `eventcast routes explain --event FILE` shows each route's reason",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: { customer: own, support: all }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderShipped
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
",
        ),
        PLATFORM,
    ],
    &[GOOD, PLATFORM],
);

pub(in crate::guard::contract) fn check(run: &mut ContractRun<'_>) {
    let manifest = run.input.manifest;
    for event in &manifest.events {
        for example in &event.examples {
            let explanation = match run.routes.explain(example) {
                Ok(explanation) => explanation,
                Err(refusal) => {
                    let message = format!("an example of `{}` is no event: {refusal}", event.name);
                    run.find(&RULE, example.at, &event.name, message);
                    continue;
                }
            };
            if let Some(reason) = &explanation.refused {
                let message = format!(
                    "an example of `{}` goes to the dead-letter queue: {}: {}",
                    event.name, reason.reason, reason.detail
                );
                run.find(&RULE, example.at, &event.name, message);
                continue;
            }
            let mut is_sent = true;
            for channel in manifest.channels_of(event) {
                if run.routes.sent(&explanation, &channel.address).is_empty() {
                    is_sent = false;
                    let message =
                        format!("no route sends `{}` to `{}`", event.name, channel.address);
                    let help = advice(event, channel, &explanation);
                    let part = format!("{} {}", event.name, channel.address.shape());
                    run.find(&RULE, example.at, &part, message).help = Some(help);
                }
            }
            if is_sent {
                expected(run, event, example, &explanation);
            }
        }
    }
}

/// Channels that the example names one by one: all of them, and no other of the event's channels.
fn expected(
    run: &mut ContractRun<'_>,
    event: &DeclaredEvent,
    example: &ExampleBody,
    explanation: &EventExplanation,
) {
    if example.expect.is_empty() {
        return;
    }
    let environment = run.routes.environment();
    let topic = |expected: &ExpectedChannel| match environment {
        Some(environment) => format!("{environment}/{}", expected.topic),
        None => expected.topic.clone(),
    };
    let manifest = run.input.manifest;
    let sent: BTreeSet<&str> = manifest
        .channels_of(event)
        .flat_map(|channel| run.routes.sent(explanation, &channel.address))
        .map(|(_, publication)| publication.topic.as_str())
        .collect();
    let wanted: BTreeSet<String> = example.expect.iter().map(topic).collect();
    let mut found = Vec::new();
    for expected in example
        .expect
        .iter()
        .filter(|expected| !sent.contains(topic(expected).as_str()))
    {
        let message = format!(
            "an example of `{}` does not reach `{}`",
            event.name, expected.written
        );
        found.push((expected.at, expected.written.clone(), message));
    }
    for topic in sent.into_iter().filter(|topic| !wanted.contains(*topic)) {
        let message = format!(
            "an example of `{}` also reaches `{topic}`, which it does not expect",
            event.name
        );
        found.push((example.at, topic.to_owned(), message));
    }
    for (at, part, message) in found {
        run.find(&RULE, at, &format!("{} {part}", event.name), message);
    }
}

/// The reason of the nearest route, or the route to add.
fn advice(
    event: &DeclaredEvent,
    channel: &DeclaredChannel,
    explanation: &EventExplanation,
) -> String {
    if let Some(route) = explanation.routes.iter().find(|route| route.matches) {
        let topics: Vec<&str> = route
            .publications
            .iter()
            .map(|sent| sent.topic.as_str())
            .collect();
        return match topics.as_slice() {
            [] => format!(
                "route `{}` takes it, and publishes nothing of this example",
                route.route
            ),
            _ => format!(
                "route `{}` takes it, and sends to {}: add `{}` to its `to`",
                route.route,
                topics.join(", "),
                with_fields(channel)
            ),
        };
    }
    let near = explanation.routes.iter().filter_map(|route| {
        let mismatch = route.mismatches.first()?;
        let is_about = |part: &str| mismatch.to_string().contains(part);
        // A route for the same source is nearer than any other.
        (!is_about("`source`") && !is_about("source "))
            .then(|| format!("route `{}`: {mismatch}", route.route))
    });
    let route = format!(
        "add a route: {{ name: {}, match: {{ source: [{}], detail-type: [{}] }}, to: [\"{}\"] }}",
        event.name,
        event.source,
        event.detail_type,
        with_fields(channel)
    );
    match near.take(1).next() {
        Some(near) => format!("{near}; or {route}"),
        None => route,
    }
}

/// The address as a target of a route, its parameters as fields of `detail`.
fn with_fields(channel: &DeclaredChannel) -> String {
    channel.address.to_string().replace('{', "{detail.")
}
