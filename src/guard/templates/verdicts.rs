//! The table of resources that are a real-time layer, or lead past the platform's.

use super::{InfraResource, TemplateScan, is_unknown, members, region, text, walk};
use crate::event::pattern::tree::TextPosition;
use crate::guard::finding::GuardFinding;
use crate::guard::rule::GuardRule;
use crate::guard::rules;

/// Condition on a resource's properties.
#[derive(Clone, Copy)]
enum WantedProperty {
    /// None: the resource itself is the fault.
    Any,
    /// A value at a path of keys.
    Equal(&'static [&'static str], &'static str),
}

use WantedProperty::{Any, Equal};

/// Kinds of resources, the condition, and the rule. Names of properties are those of the
/// CloudFormation resource reference, of the AWS provider for Terraform, and of AWS SAM.
static VERDICTS: &[(&str, WantedProperty, &GuardRule)] = &[
    (
        "AWS::ApiGatewayV2::Api",
        Equal(&["ProtocolType"], "WEBSOCKET"),
        &rules::websocket_api::RULE,
    ),
    (
        "AWS::ApiGatewayV2::Route",
        Equal(&["RouteKey"], "$connect"),
        &rules::websocket_api::RULE,
    ),
    (
        "AWS::Serverless::WebSocketApi",
        Any,
        &rules::websocket_api::RULE,
    ),
    (
        "aws_apigatewayv2_api",
        Equal(&["protocol_type"], "WEBSOCKET"),
        &rules::websocket_api::RULE,
    ),
    (
        "aws_apigatewayv2_route",
        Equal(&["route_key"], "$connect"),
        &rules::websocket_api::RULE,
    ),
    (
        "awscc_apigatewayv2_api",
        Equal(&["protocol_type"], "WEBSOCKET"),
        &rules::websocket_api::RULE,
    ),
    ("AWS::AppSync::Api", Any, &rules::event_api::RULE),
    (
        "AWS::AppSync::ChannelNamespace",
        Any,
        &rules::event_api::RULE,
    ),
    ("aws_appsync_api", Any, &rules::event_api::RULE),
    (
        "aws_appsync_channel_namespace",
        Any,
        &rules::event_api::RULE,
    ),
    ("awscc_appsync_api", Any, &rules::event_api::RULE),
    (
        "awscc_appsync_channel_namespace",
        Any,
        &rules::event_api::RULE,
    ),
    (
        "AWS::Lambda::Url",
        Equal(&["InvokeMode"], "RESPONSE_STREAM"),
        &rules::response_stream::RULE,
    ),
    (
        "AWS::Serverless::Function",
        Equal(&["FunctionUrlConfig", "InvokeMode"], "RESPONSE_STREAM"),
        &rules::response_stream::RULE,
    ),
    (
        "AWS::Lambda::WebFunction",
        Any,
        &rules::response_stream::RULE,
    ),
    (
        "AWS::ApiGateway::Method",
        Equal(&["Integration", "ResponseTransferMode"], "STREAM"),
        &rules::response_stream::RULE,
    ),
    (
        "aws_lambda_function_url",
        Equal(&["invoke_mode"], "RESPONSE_STREAM"),
        &rules::response_stream::RULE,
    ),
    (
        "awscc_lambda_url",
        Equal(&["invoke_mode"], "RESPONSE_STREAM"),
        &rules::response_stream::RULE,
    ),
    (
        "aws_api_gateway_integration",
        Equal(&["response_transfer_mode"], "STREAM"),
        &rules::response_stream::RULE,
    ),
    ("AWS::IoT::Policy", Any, &rules::broker_resource::RULE),
    ("AWS::IoT::Authorizer", Any, &rules::broker_resource::RULE),
    ("AWS::IoT::TopicRule", Any, &rules::broker_resource::RULE),
    (
        "AWS::IoT::TopicRuleDestination",
        Any,
        &rules::broker_resource::RULE,
    ),
    (
        "AWS::IoT::DomainConfiguration",
        Any,
        &rules::broker_resource::RULE,
    ),
    ("aws_iot_policy", Any, &rules::broker_resource::RULE),
    ("aws_iot_authorizer", Any, &rules::broker_resource::RULE),
    ("aws_iot_topic_rule", Any, &rules::broker_resource::RULE),
    (
        "aws_iot_topic_rule_destination",
        Any,
        &rules::broker_resource::RULE,
    ),
    (
        "aws_iot_domain_configuration",
        Any,
        &rules::broker_resource::RULE,
    ),
    ("awscc_iot_policy", Any, &rules::broker_resource::RULE),
    ("awscc_iot_authorizer", Any, &rules::broker_resource::RULE),
    ("awscc_iot_topic_rule", Any, &rules::broker_resource::RULE),
    (
        "awscc_iot_domain_configuration",
        Any,
        &rules::broker_resource::RULE,
    ),
    // A module of Terraform, by the input that its resource needs.
    (
        "module",
        Equal(&["protocol_type"], "WEBSOCKET"),
        &rules::websocket_api::RULE,
    ),
    (
        "module",
        Equal(&["invoke_mode"], "RESPONSE_STREAM"),
        &rules::response_stream::RULE,
    ),
];

/// Kinds of modules: a missing or unknown input says nothing of them.
const MODULE: &str = "module";

/// Parts of names that lead to IoT's data plane: targets of Pipes, EventBridge v2, Scheduler and
/// Step Functions (`aws-sdk:iotdataplane:publish`), and integrations of API Gateway
/// (`arn:aws:apigateway:eu-west-1:iotdata:path/topics/x`).
const DATA_PLANE: [&str; 2] = ["aws-sdk:iotdataplane", ":iotdata:"];

/// Judges a resource.
pub(super) fn judge(path: &str, resource: &InfraResource, scan: &mut TemplateScan) {
    for (kind, wanted, rule) in VERDICTS {
        if *kind != resource.kind {
            continue;
        }
        match wanted {
            Any => found(path, resource, rule, None, scan),
            Equal(keys, value) => {
                let mut at = &resource.properties;
                // A value may come from a parameter: the place is that of the property.
                let mut place = resource.at;
                let mut is_open = is_unknown(at);
                for key in *keys {
                    let Some(below) = members(at).iter().find(|one| &*one.key == *key) else {
                        at = &resource.properties;
                        break;
                    };
                    (at, place) = (&below.value, below.key_at);
                    is_open = is_open || is_unknown(at);
                }
                let is_found = text(at).is_some_and(|text| text.eq_ignore_ascii_case(value));
                if is_found {
                    found(path, resource, rule, Some(place), scan);
                } else if is_open && resource.kind != MODULE {
                    let keys = keys.join(".");
                    let id = &resource.id;
                    scan.cannot_tell(path, place, format!("`{keys}` of `{id}`"));
                }
            }
        }
    }
    let mut is_streamed = false;
    let mut past_bridge = None;
    walk(&resource.properties, "", &mut |node, key| {
        let Some(text) = text(node) else {
            return;
        };
        if key == "responseTransferMode" && text.eq_ignore_ascii_case("STREAM") {
            is_streamed = true;
        }
        if past_bridge.is_none() && DATA_PLANE.iter().any(|part| text.contains(part)) {
            past_bridge = Some(node.at);
        }
    });
    // An OpenAPI document within the template.
    if is_streamed {
        found(path, resource, &rules::response_stream::RULE, None, scan);
    }
    if let Some(at) = past_bridge {
        found(path, resource, &rules::broker_target::RULE, Some(at), scan);
    }
    if members(&resource.properties)
        .iter()
        .any(|one| &*one.key == "Fn::Transform")
    {
        let detail = format!("`Fn::Transform` makes properties of `{}`", resource.id);
        scan.cannot_tell(path, resource.at, detail);
    }
}

fn found(
    path: &str,
    resource: &InfraResource,
    rule: &GuardRule,
    at: Option<TextPosition>,
    scan: &mut TemplateScan,
) {
    let at = at.filter(|at| at.line > 0).unwrap_or(resource.at);
    let (id, kind) = (&resource.id, &resource.kind);
    let message = match kind.as_str() {
        MODULE => format!("module `{id}`: {}", rule.summary),
        _ => format!("`{id}` ({kind}): {}", rule.summary),
    };
    let matched = format!("{kind} {id}");
    let mut finding = GuardFinding::new(rule, path, region(at), &matched, message);
    finding.statement = (resource.at.line, at.line.max(resource.at.line));
    scan.findings.push(finding);
}
