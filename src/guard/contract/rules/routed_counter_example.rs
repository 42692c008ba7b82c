//! RT103: an event that reaches a channel and must not.

use super::PLATFORM;
use crate::guard::contract::ContractRun;
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT103",
    "routed-counter-example",
    GuardSeverity::Error,
    "an event reaches a channel that it must not reach",
    "The manifest declares events that subscribers must not get. One of them ran through the platform's routes and reached the channel: the route's pattern is wider than the feature means.",
    "narrow the pattern of the named route in the platform's eventcast.yaml, or correct the counter-example",
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
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
    counter_examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01, draft: true }
",
        ),
        PLATFORM,
    ],
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
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
    counter_examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01, test: true }
",
        ),
        PLATFORM,
    ],
);

pub(in crate::guard::contract) fn check(run: &mut ContractRun<'_>) {
    let manifest = run.input.manifest;
    for event in &manifest.events {
        for example in &event.counter_examples {
            // Text that is not an event reaches nothing.
            let Ok(explanation) = run.routes.explain(example) else {
                continue;
            };
            for channel in manifest.channels_of(event) {
                let sent = run.routes.sent(&explanation, &channel.address);
                if let Some((route, publication)) = sent.first() {
                    let message = format!(
                        "a counter-example of `{}` reaches `{}` by route `{route}`",
                        event.name, publication.topic
                    );
                    let part = format!("{} {}", event.name, channel.address.shape());
                    run.find(&RULE, example.at, &part, message);
                }
            }
        }
    }
}
