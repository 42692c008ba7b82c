//! RT110: a channel that subscribers rely on and that is gone.

use super::{GOOD_BASE, PLATFORM};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT110",
    "channel-removed",
    GuardSeverity::Error,
    "a channel was removed or renamed",
    "Clients that are subscribed to the channel hear nothing any more, and no error says so. Subscribers of the old contract are in pages and apps that are open now, and in versions that stay installed.",
    "declare the new beside the old, move the subscribers, and remove the old when none is left; or waive the finding with an owner and a reason",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"orders:{orderId}\"
    audience: { customer: own, support: all }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"orders:{orderId}\"]
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
  - channel: \"order:{id}\"
    audience: { customer: own, support: all }
events:
  - name: order-placed
    source: shop.orders
    detail-type: OrderPlaced
    to: [\"order:{id}\"]
    examples:
      - detail: { orderId: 0d9b1f3a-7a54-4f0e-8f0c-3f1f5d1b7a01 }
",
        ),
        PLATFORM,
        GOOD_BASE,
    ],
);
