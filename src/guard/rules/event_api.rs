//! RT021: a template makes an AppSync event API.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT021",
    "event-api",
    GuardSeverity::Error,
    "a template makes an AppSync event API",
    "AppSync Events is a second real-time layer: channels, authorization and quotas that \
     the platform does not know.",
    "remove the API and its channel namespaces, put events, and declare channels in the \
     manifest",
    &[
        RuleSample::new(
            "template.yaml",
            r##"Resources:
  Api:
    Type: AWS::AppSync::Api
    Properties:
      Name: orders
  Channels:
    Type: AWS::AppSync::ChannelNamespace
    Properties:
      ApiId: !GetAtt Api.ApiId
      Name: orders
"##,
        ),
        RuleSample::new(
            "main.tf",
            r##"resource "aws_appsync_api" "orders" {
  name = "orders"
}
"##,
        ),
    ],
    &[RuleSample::new(
        "template.yaml",
        r##"Resources:
  Api:
    Type: AWS::AppSync::GraphQLApi
    Properties:
      Name: orders
      AuthenticationType: AWS_IAM
"##,
    )],
);
