//! RT023: a template sends events to AWS IoT past the platform's bridge.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT023",
    "broker-target",
    GuardSeverity::Error,
    "a template sends events to AWS IoT past the platform's bridge",
    "A rule, a pipe or an integration that calls IoT's data plane has no order, no pace \
     and no dead letters, and its topics are checked by nobody.",
    "declare a route in the platform's configuration; the bridge publishes the event",
    &[
        RuleSample::new(
            "template.yaml",
            r##"Resources:
  Pipe:
    Type: AWS::Pipes::Pipe
    Properties:
      Source: !GetAtt Queue.Arn
      Target: arn:aws:scheduler:::aws-sdk:iotdataplane:publish
      RoleArn: !GetAtt Role.Arn
"##,
        ),
        RuleSample::new(
            "template.json",
            r##"{"Resources": {"Post": {"Type": "AWS::ApiGateway::Method", "Properties": {"HttpMethod": "POST", "Integration": {"Type": "AWS", "Uri": {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:iotdata:path/topics/{topic}"}}}}}}
"##,
        ),
    ],
    &[RuleSample::new(
        "template.yaml",
        r##"Resources:
  Pipe:
    Type: AWS::Pipes::Pipe
    Properties:
      Source: !GetAtt Queue.Arn
      Target: !GetAtt Bus.Arn
      RoleArn: !GetAtt Role.Arn
"##,
    )],
);
