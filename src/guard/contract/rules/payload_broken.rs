//! RT112: a field that subscribers read and that is gone or of another type.

use super::PLATFORM;
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT112",
    "payload-broken",
    GuardSeverity::Error,
    "a required payload field was removed or retyped",
    "Subscribers read the field without asking whether it is there. Subscribers of the old contract are in pages and apps that are open now, and in versions that stay installed.",
    "add the new field beside the old one, move the subscribers, and remove the old one when none is left",
    &[RuleSample::new(
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
    schema: { type: object, required: [orderId], properties: { orderId: { type: string }, total: { type: string } } }
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01, total: \"7\" }
",
    ), PLATFORM, RuleSample::new(
        "base/realtime.yaml",
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
    schema: { type: object, required: [orderId, total], properties: { orderId: { type: string }, total: { type: integer } } }
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01, total: 7 }
",
    )],
    &[RuleSample::new(
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
    schema: { type: object, required: [orderId, total], properties: { orderId: { type: string }, total: { type: integer } } }
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01, total: 7 }
",
    ), PLATFORM, RuleSample::new(
        "base/realtime.yaml",
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
    schema: { type: object, required: [orderId, total], properties: { orderId: { type: string }, total: { type: number } } }
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01, total: 7 }
",
    )],
);
