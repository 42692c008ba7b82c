//! RT111: clients that may not receive from a channel any more.

use super::{GOOD_BASE, PLATFORM};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT111",
    "audience-narrowed",
    GuardSeverity::Error,
    "an audience was narrowed",
    "Clients of the role are refused with SUBACK 0x80, which most MQTT libraries do not show. Subscribers of the old contract are in pages and apps that are open now, and in versions that stay installed.",
    "declare the new beside the old, move the subscribers, and remove the old when none is left; or waive the finding with an owner and a reason",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: [customer]
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
        GOOD_BASE,
    ],
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audience: { customer: own, support: all, courier: own }
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
        GOOD_BASE,
    ],
);
