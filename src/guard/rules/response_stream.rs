//! RT022: a template makes a response that stays open.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT022",
    "response-stream",
    GuardSeverity::Error,
    "a template makes a response that stays open",
    "Response streaming keeps a function or an integration running for each client: it is \
     billed for the time, ends at fifteen minutes, and knows nothing of lost messages.",
    "answer requests at once, put events, and let clients subscribe to a channel",
    &[
        RuleSample::new(
            "template.yaml",
            r##"Resources:
  Url:
    Type: AWS::Lambda::Url
    Properties:
      AuthType: AWS_IAM
      InvokeMode: RESPONSE_STREAM
      TargetFunctionArn: !Ref Function
"##,
        ),
        RuleSample::new(
            "template.json",
            r##"{"Resources": {"Get": {"Type": "AWS::ApiGateway::Method", "Properties": {"HttpMethod": "GET", "Integration": {"Type": "AWS_PROXY", "ResponseTransferMode": "STREAM"}}}}}
"##,
        ),
        RuleSample::new(
            "main.tf",
            r##"resource "aws_lambda_function_url" "feed" {
  function_name      = "feed"
  authorization_type = "AWS_IAM"
  invoke_mode        = "RESPONSE_STREAM"
}
"##,
        ),
    ],
    &[RuleSample::new(
        "template.yaml",
        r##"Resources:
  Url:
    Type: AWS::Lambda::Url
    Properties:
      AuthType: AWS_IAM
      InvokeMode: BUFFERED
      TargetFunctionArn: !Ref Function
"##,
    )],
);
