//! RT014: code uses a real-time service beside the platform's layer.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT014",
    "realtime-service",
    GuardSeverity::Error,
    "code uses a real-time service beside the platform's layer",
    "A hosted service or a managed one of AWS is a second real-time layer: what may be \
     heard is decided elsewhere, and the platform's teams neither see nor limit it.",
    "remove it, declare the channel in the manifest, and subscribe with the platform's \
     client",
    &[
        RuleSample::new(
            "src/chat.ts",
            r##"import Pusher from 'pusher-js';
import { events } from 'aws-amplify/data';
"##,
        ),
        RuleSample::new(
            "sst.config.ts",
            r##"const feed = new sst.aws.Realtime('Feed', { authorizer: 'src/authorizer.handler' });
"##,
        ),
    ],
    &[RuleSample::new(
        "src/chat.ts",
        r##"import { generateClient } from 'aws-amplify/data';
import { pusher } from './pusher';
"##,
    )],
);
