//! RT030: a declared dependency that is a real-time layer of its own.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT030",
    "realtime-dependency",
    GuardSeverity::Error,
    "a dependency is a real-time layer of its own",
    "A feature that brings its own WebSocket, server-sent events or MQTT library runs a second \
     real-time layer: its connections are not authorized by the platform's policies, are not \
     counted in its quotas, and have no fallback where WebSockets are blocked.",
    "remove the dependency, declare the channel in the feature's manifest, and subscribe with the \
     platform's client; development dependencies are not looked at",
    &[RuleSample::new(
        "package.json",
        "{\n  \"dependencies\": {\n    \"react\": \"19.2.0\",\n    \"socket.io-client\": \"4.8.1\"\n  }\n}\n",
    )],
    &[RuleSample::new(
        "package.json",
        "{\n  \"dependencies\": {\n    \"mqtt-packet\": \"9.0.0\"\n  },\n  \"devDependencies\": {\n    \"ws\": \"8.18.0\"\n  }\n}\n",
    )],
);
