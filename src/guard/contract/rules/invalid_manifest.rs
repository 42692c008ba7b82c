//! RT101: a manifest that cannot be read.

use super::{GOOD, PLATFORM};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT101",
    "invalid-manifest",
    GuardSeverity::Error,
    "the feature's manifest is not right",
    "A manifest that cannot be read proves nothing: no route, audience or quota of the feature was checked.",
    "correct the value in the named line; `eventcast guard init` writes a manifest to begin with",
    &[
        RuleSample::new(
            "realtime.yaml",
            "\
feature: order-tracking
platform: { config: eventcast.yaml }
channels:
  - channel: \"order:{orderId}\"
    audiance: [customer]
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
