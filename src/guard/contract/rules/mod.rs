//! The rules of contracts, one file each.

pub mod audience;
pub mod audience_narrowed;
pub mod change;
pub mod channel_removed;
pub mod conflation_added;
pub mod event_removed;
pub mod exceeded_quota;
pub mod expiry_shortened;
pub mod invalid_manifest;
pub mod narrow_audience;
pub mod payload_broken;
pub mod qos_lowered;
pub mod retain_removed;
pub mod routed_counter_example;
pub mod unrouted_event;
pub mod weaker_delivery;
pub mod wide_audience;

use crate::guard::rule::{GuardRule, RuleSample};

/// The rules of contracts, in the order of their ids.
pub static RULES: [&GuardRule; 15] = [
    &invalid_manifest::RULE,
    &unrouted_event::RULE,
    &routed_counter_example::RULE,
    &narrow_audience::RULE,
    &wide_audience::RULE,
    &exceeded_quota::RULE,
    &weaker_delivery::RULE,
    &channel_removed::RULE,
    &audience_narrowed::RULE,
    &payload_broken::RULE,
    &qos_lowered::RULE,
    &expiry_shortened::RULE,
    &conflation_added::RULE,
    &event_removed::RULE,
    &retain_removed::RULE,
];

/// The platform of the samples.
const PLATFORM: RuleSample = RuleSample::new(
    "eventcast.yaml",
    "\
channels:
  user: { id: uuid }
  order: { id: uuid }
routes:
  - name: order-updates
    match: { source: [shop.orders], detail-type: [OrderPlaced], detail: { test: [{ exists: false }] } }
    to: [\"order:{detail.orderId}\"]
    expires: 5m
roles:
  customer: { bind: \"user:{claims.sub}\", subscribe: [\"order:{claims.orders[*]}\"] }
  support: { bind: \"user:{claims.sub}\", subscribe: [\"order:*\"] }
bridge:
  queue: https://sqs.eu-central-1.amazonaws.com/123456789012/shop-events
",
);

/// The manifest of the samples, for which nothing is found.
const GOOD: RuleSample = RuleSample::new("realtime.yaml", GOOD_TEXT);
/// The same before a change.
const GOOD_BASE: RuleSample = RuleSample::new("base/realtime.yaml", GOOD_TEXT);
const GOOD_TEXT: &str = "\
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
";
