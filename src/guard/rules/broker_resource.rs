//! RT024: a template makes policies, authorizers or rules of AWS IoT outside the platform.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT024",
    "broker-resource",
    GuardSeverity::Error,
    "a template makes policies, authorizers or rules of AWS IoT outside the platform",
    "Who may connect, publish and subscribe is decided by the platform's policies and \
     authorizer. A feature's own opens topics of other features, and a topic rule hears \
     what its owner may not.",
    "remove the resource; grant the channel to a role in the platform's configuration",
    &[
        RuleSample::new(
            "template.yaml",
            r##"Resources:
  Policy:
    Type: AWS::IoT::Policy
    Properties:
      PolicyDocument:
        Version: '2012-10-17'
        Statement: []
"##,
        ),
        RuleSample::new(
            "main.tf",
            r##"resource "aws_iot_policy" "orders" {
  name   = "orders"
  policy = jsonencode({ Statement = [] })
}
"##,
        ),
    ],
    &[RuleSample::new(
        "template.yaml",
        r##"Resources:
  Thing:
    Type: AWS::IoT::Thing
    Properties:
      ThingName: printer
"##,
    )],
);
