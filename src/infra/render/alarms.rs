//! Alarms by route, on the embedded metrics that have the route as their dimension
//! (docs/metrics.md).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::RenderError;
use crate::route::table::Route;

/// Resources of a stack (CloudFormation quotas).
const MAX_RESOURCES: usize = 500;

/// The template.
pub(super) fn template(routes: &[Route]) -> Result<Value, RenderError> {
    let mut resources = Map::new();
    let mut taken = BTreeMap::new();
    for route in routes {
        let id = logical_id(&route.name, &mut taken);
        resources.insert(
            format!("{id}DeadLetters"),
            alarm(
                route,
                "dead_lettered",
                "dead-letters",
                "has dead letters",
                1,
                0,
            ),
        );
        resources.insert(
            format!("{id}Throttled"),
            alarm(route, "throttled", "throttles", "is throttled", 3, 0),
        );
        if route.expires.is_some() {
            resources.insert(
                format!("{id}Expired"),
                alarm(
                    route,
                    "expired",
                    "age",
                    "has events that came too late to be sent",
                    3,
                    0,
                ),
            );
        }
    }
    if resources.len() > MAX_RESOURCES {
        return Err(RenderError::Routes(routes.len()));
    }
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "eventcast: alarms by route (made by `eventcast infra render`)",
        "Parameters": {
            "Name": { "Type": "String", "Default": "eventcast", "Description": "The service, which is also the namespace of its metrics" },
            "AlarmTopicArn": { "Type": "String", "Description": "Output TopicArn of observability.yaml" },
        },
        "Resources": resources,
    }))
}

fn alarm(
    route: &Route,
    metric: &str,
    runbook: &str,
    what: &str,
    minutes: u32,
    threshold: u32,
) -> Value {
    let name = &*route.name;
    json!({
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": { "Fn::Join": ["", [{ "Ref": "Name" }, format!("-route-{name}-{metric}")]] },
            "AlarmDescription": format!("Route {name} {what}. Runbook: infra/README.md, {runbook}"),
            "Namespace": { "Ref": "Name" },
            "MetricName": metric,
            "Dimensions": [{ "Name": "route", "Value": name }],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": minutes,
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{ "Ref": "AlarmTopicArn" }],
            "OKActions": [{ "Ref": "AlarmTopicArn" }],
        },
    })
}

/// A logical id: letters and digits. Names that would share one get a number.
fn logical_id(name: &str, taken: &mut BTreeMap<String, usize>) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let mut id = String::from("Route");
    for word in words {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.extend(letters);
    }
    let count = taken.entry(id.clone()).or_insert(0);
    *count += 1;
    match *count {
        1 => id,
        more => format!("{id}N{more}"),
    }
}
