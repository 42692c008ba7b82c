//! RT105: a channel that more clients may receive from than are declared.

use super::{GOOD, PLATFORM};
use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT105",
    "wide-audience",
    GuardSeverity::Error,
    "a channel is heard by clients outside its declared audience",
    "The documents that the platform hands out were asked as IoT Core asks them, and let clients hear the channel that the manifest does not name: a role, or channels that the token does not name.",
    "narrow the grant of the role in the platform's eventcast.yaml, or declare the role in the audience so that a reviewer sees it",
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
    ],
    &[GOOD, PLATFORM],
);
