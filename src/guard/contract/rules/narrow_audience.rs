//! RT104: an audience that cannot receive from its channel.

use super::{GOOD, PLATFORM};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT104",
    "narrow-audience",
    GuardSeverity::Error,
    "a declared audience cannot hear its channel",
    "The documents that the platform hands out for the role were asked as IoT Core asks them: subscribing, or receiving, is denied. Clients of the feature would be refused.",
    "grant the channel in `subscribe` of the role in the platform's eventcast.yaml, or correct the audience",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: { customer: all, support: all }
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
    &[GOOD, PLATFORM],
);
