//! RT020: a template makes a WebSocket API.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT020",
    "websocket-api",
    GuardSeverity::Error,
    "a template makes a WebSocket API",
    "An API Gateway WebSocket API is a second real-time layer with a table of \
     connections, its own authorizer and its own limits.",
    "remove the API, put events, and declare channels in the manifest",
    &[
        RuleSample::new(
            "template.yaml",
            r##"Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: !Sub '${AWS::StackName}-orders'
      ProtocolType: WEBSOCKET
"##,
        ),
        RuleSample::new(
            "main.tf",
            r##"resource "aws_apigatewayv2_api" "orders" {
  name          = "orders"
  protocol_type = "WEBSOCKET"
}
"##,
        ),
    ],
    &[
        RuleSample::new(
            "template.yaml",
            r##"Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: orders
      ProtocolType: HTTP
"##,
        ),
        RuleSample::new(
            "main.tf",
            r##"resource "aws_apigatewayv2_api" "orders" {
  name          = "orders"
  protocol_type = "HTTP"
}
"##,
        ),
    ],
);
