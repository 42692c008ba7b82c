//! Scaling: metric math that has no value without tasks, and more tasks than share the quota.

use super::findings::Findings;
use super::look::{FoundValue, each, elements, look, member, number, path, text};
use super::template::Resource;
use super::templates::Templates;
use crate::config::Config;

/// Metrics of Container Insights that count tasks.
const COUNTS: [&str; 2] = ["RunningTaskCount", "DesiredTaskCount"];

pub(super) fn check(templates: &Templates<'_>, config: Option<&Config>, findings: &mut Findings) {
    let mut is_counted = false;
    for policy in templates.of_kind("AWS::ApplicationAutoScaling::ScalingPolicy") {
        let metrics = [
            "TargetTrackingScalingPolicyConfiguration",
            "CustomizedMetricSpecification",
            "Metrics",
        ];
        is_counted |= division(policy, &metrics, findings);
    }
    // Step scaling and people are called by alarms.
    for alarm in templates.of_kind("AWS::CloudWatch::Alarm") {
        is_counted |= division(alarm, &["Metrics"], findings);
    }
    if is_counted {
        for cluster in templates.of_kind("AWS::ECS::Cluster") {
            container_insights(cluster, findings);
        }
    }
    if let Some(config) = config {
        for target in templates.of_kind("AWS::ApplicationAutoScaling::ScalableTarget") {
            most_tasks(target, config, findings);
        }
    }
}

/// Metric math that divides by the number of tasks; whether there is a metric that counts them.
fn division(resource: &Resource, metrics: &[&str], findings: &mut Findings) -> bool {
    let metrics = path(&resource.properties, metrics).and_then(elements);
    let metrics = metrics.unwrap_or_default();
    let counts = metrics.iter().filter(|metric| {
        let name = path(metric, &["MetricStat", "Metric", "MetricName"]);
        name.and_then(text)
            .is_some_and(|name| COUNTS.contains(&&*name))
    });
    let counts: Vec<String> = counts
        .filter_map(|metric| text(member(metric, "Id")?))
        .collect();
    for expression in metrics.iter().filter_map(|one| member(one, "Expression")) {
        let written = text(expression).unwrap_or_default();
        let divisor = counts.iter().find(|id| !is_guarded(&written, id));
        if let Some(id) = divisor {
            findings.error(
                "scaling-without-guard",
                resource,
                expression,
                format!("the expression divides by `{id}`, which is 0 or missing without tasks: the service never starts again"),
                format!("write IF(FILL({id}, 0) < 1, waiting, waiting / FILL({id}, 1))"),
            );
        }
    }
    !counts.is_empty()
}

/// Returns `true` where an expression has a value where `id` is 0 or missing: it is no divisor, or
/// IF asks for it first.
fn is_guarded(expression: &str, id: &str) -> bool {
    let plain: String = expression
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    let id = id.to_lowercase();
    let is_id = |text: &str| {
        let rest = text.strip_prefix(id.as_str());
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let is_divisor = plain.split('/').skip(1).any(|behind| {
        let behind = behind.trim_start_matches('(');
        // FILL replaces a missing number, and not 0.
        is_id(behind.strip_prefix("fill(").unwrap_or(behind))
    });
    let asks = plain.split("if(").skip(1).any(|condition| {
        let condition = condition
            .split(['<', '>', '=', '!'])
            .next()
            .unwrap_or_default();
        let condition = condition.trim_start_matches('(');
        is_id(condition.strip_prefix("fill(").unwrap_or(condition))
    });
    !is_divisor || asks
}

fn container_insights(cluster: &Resource, findings: &mut Findings) {
    let settings = match look(&cluster.properties, &["ClusterSettings"]) {
        FoundValue::Unknown => return,
        FoundValue::Missing => &[],
        FoundValue::Value(list) => each(list),
    };
    let is_on = settings.iter().any(|one| {
        let is = |key, words: &[&str]| Templates::is_word(one, &[key], words) != Some(false);
        is("Name", &["containerInsights"]) && is("Value", &["enabled", "enhanced"])
    });
    if !is_on {
        findings.error(
            "no-container-insights",
            cluster,
            &cluster.properties,
            "scaling divides by a number of tasks, which exists only with Container Insights: the policy has no data and never scales",
            "add ClusterSettings: [{ Name: containerInsights, Value: enabled }]",
        );
    }
}

fn most_tasks(target: &Resource, config: &Config, findings: &mut Findings) {
    let pace = config.bridge.pace;
    if let Some((most, at)) = number(&target.properties, &["MaxCapacity"])
        && pace.task.is_some()
        && !pace.counts_tasks
        && most > u64::from(pace.tasks)
    {
        findings.warning(
            "too-many-tasks",
            target,
            at,
            format!("up to {most} tasks share the quota that `bridge.pace.tasks` divides by {}: together they exceed it", pace.tasks),
            "set MaxCapacity and bridge.pace.tasks to one number",
        );
    }
}
