//! RT017: code imports an MQTT client beside the platform's client.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT017",
    "mqtt-client",
    GuardSeverity::Error,
    "code imports an MQTT client beside the platform's client",
    "A feature's own MQTT client needs credentials, a client id and subscriptions of its \
     own. It misses what the platform's client does: chunks of eight filters, fresh \
     tokens, the fallback over HTTP, and refusals that are shown.",
    "subscribe with the platform's client; it speaks MQTT for the page",
    &[
        RuleSample::new(
            "src/orders.ts",
            r##"const mqtt = await import('mqtt');
"##,
        ),
        RuleSample::new(
            "src/device.py",
            r##"from paho.mqtt import client as mqtt
"##,
        ),
    ],
    &[RuleSample::new(
        "src/orders.ts",
        r##"import { mqttTopic } from './mqtt';
import packet from 'mqtt-packet';
"##,
    )],
);
