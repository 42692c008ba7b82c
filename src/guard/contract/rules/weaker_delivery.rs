//! RT107: a delivery that the routes do not give.

use super::PLATFORM;
use crate::guard::contract::ContractRun;
use crate::guard::contract::routed::ServedDelivery;
use crate::guard::manifest::DeclaredDelivery;
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT107",
    "weaker-delivery",
    GuardSeverity::Error,
    "the platform's routes deliver less than the manifest declares",
    "Clients of the feature rely on the declared delivery. The examples ran through the platform's routes, and the messages get less: a lower QoS, a shorter life, left-out steps, or no last value.",
    "correct `qos`, `expires`, `conflate` or `retain` of the named route in the platform's eventcast.yaml, or what the manifest declares",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: { customer: own, support: all }
    delivery: { qos: 1, expires: 1h }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
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
    delivery: { qos: 1, expires: 1m }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{orderId}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
",
        ),
        PLATFORM,
    ],
);

pub(in crate::guard::contract) fn check(run: &mut ContractRun<'_>) {
    let manifest = run.input.manifest;
    for event in &manifest.events {
        for channel in manifest.channels_of(event) {
            // Without a message RT102 has its finding.
            let Some(served) = run.routes.delivery(&event.examples, &channel.address) else {
                continue;
            };
            let name = &event.name;
            for message in missing(&channel.delivery, served) {
                let message = format!("{message} (event `{name}` on `{}`)", channel.address);
                let part = format!("{name} {} {message}", channel.address.shape());
                run.find(&RULE, channel.at, &part, message);
            }
        }
    }
}

/// Promises that the routes do not keep; a line each.
fn missing(declared: &DeclaredDelivery, served: ServedDelivery) -> Vec<String> {
    let mut found = Vec::new();
    if declared.qos.is_some_and(|qos| served.qos < qos) {
        found.push(format!(
            "the manifest declares QoS 1, and the route has {}",
            served.qos
        ));
    }
    if let (Some(declared), Some(seconds)) = (declared.expires, served.expires_seconds)
        && seconds < declared.as_secs()
    {
        found.push(format!(
            "the manifest declares that messages live for {}s, and the route gives {seconds}s",
            declared.as_secs()
        ));
    }
    if declared.conflate == Some(false) && served.conflate {
        found.push(
            "the manifest declares each message, and the route leaves out intermediate ones".into(),
        );
    }
    if declared.retain == Some(true) && !served.retain {
        found.push(
            "the manifest declares a last value, and the route does not retain messages".into(),
        );
    }
    found
}
