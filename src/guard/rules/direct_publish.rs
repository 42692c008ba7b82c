//! RT016: code publishes to AWS IoT past the event bus.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT016",
    "direct-publish",
    GuardSeverity::Error,
    "code publishes to AWS IoT past the event bus",
    "A message that skips the bus has no rule, no archive and no replay, is in no order \
     with the events of the same thing, and escapes the bridge's pace and dead letters.",
    "put an event on the bus and declare its route; the platform's bridge publishes it",
    &[
        RuleSample::new(
            "src/push.ts",
            r##"import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
"##,
        ),
        RuleSample::new(
            "src/push.py",
            r##"import boto3

iot = boto3.client("iot-data")
iot.publish(topic=topic, payload=payload)
"##,
        ),
        RuleSample::new(
            "push.go",
            r##"package push

import "github.com/aws/aws-sdk-go-v2/service/iotdataplane"
"##,
        ),
    ],
    &[
        RuleSample::new(
            "src/shadow.ts",
            r##"import { IoTDataPlaneClient, GetThingShadowCommand } from '@aws-sdk/client-iot-data-plane';
"##,
        ),
        RuleSample::new(
            "src/shadow.py",
            r##"import boto3

iot = boto3.client("iot-data")
iot.get_thing_shadow(thingName=name)
"##,
        ),
    ],
);
