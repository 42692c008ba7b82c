//! Services: times that contradict each other, Regions, and scaling.

use super::findings::Findings;
use super::template::{Resource, each, elements, member, number, path, text};
use super::templates::Templates;
use crate::config::Config;
use crate::event::pattern::tree::Node;

/// Fargate's most, and what ECS takes without a setting (ECS developer guide, "Task definition
/// parameters", stopTimeout).
const MAX_STOP_SECONDS: u64 = 120;
const DEFAULT_STOP_SECONDS: u64 = 30;

/// The default of load balancers (Elastic Load Balancing, "Edit attributes": idle time-out 60 s,
/// deregistration delay 300 s).
const DEFAULT_IDLE_SECONDS: u64 = 60;
const DEFAULT_DEREGISTRATION_SECONDS: u64 = 300;

/// Time between the last answer of a poll and the end of an idle connection.
const IDLE_MARGIN_SECONDS: u64 = 10;

/// The longest poll of the gateway.
const LONGEST_POLL_SECONDS: u64 = 50;

pub(super) fn check(templates: &Templates<'_>, config: Option<&Config>, findings: &mut Findings) {
    for definition in templates.of_kind("AWS::ECS::TaskDefinition") {
        let containers = member(&definition.properties, "ContainerDefinitions");
        for container in containers.map(each).unwrap_or_default() {
            if runs(container, "bridge") {
                stop_timeout(definition, container, config, findings);
                place(definition, container, config, findings);
            }
            if runs(container, "gateway") {
                deregistration(templates, container, findings);
            }
        }
    }
    for balancer in templates.of_kind("AWS::ElasticLoadBalancingV2::LoadBalancer") {
        idle_timeout(balancer, findings);
    }
    for policy in templates.of_kind("AWS::ApplicationAutoScaling::ScalingPolicy") {
        scaling(templates, policy, findings);
    }
    if let Some(config) = config {
        for target in templates.of_kind("AWS::ApplicationAutoScaling::ScalableTarget") {
            most_tasks(target, config, findings);
        }
    }
}

/// Whether a container runs a subcommand of eventcast.
fn runs(container: &Node, subcommand: &str) -> bool {
    let command = member(container, "Command").map(each).unwrap_or_default();
    command
        .iter()
        .filter_map(text)
        .any(|word| word == subcommand)
}

fn stop_timeout(
    definition: &Resource,
    container: &Node,
    config: Option<&Config>,
    findings: &mut Findings,
) {
    let found = number(container, &["StopTimeout"]);
    let at = found.as_ref().map_or(container, |(_, at)| at);
    let seconds = found
        .as_ref()
        .map_or(DEFAULT_STOP_SECONDS, |(seconds, _)| *seconds);
    if seconds > MAX_STOP_SECONDS {
        findings.error(
            "stop-timeout",
            definition,
            at,
            format!("`StopTimeout` is {seconds}, and Fargate takes {MAX_STOP_SECONDS} at most"),
            "lower it, and bridge.drain with it",
        );
    }
    let drain = config.map(|config| config.bridge.drain.as_secs());
    if let Some(drain) = drain
        && seconds <= drain
    {
        findings.error(
            "stop-timeout",
            definition,
            at,
            format!("ECS kills the task after {seconds}s, and `bridge.drain` is {drain}s: events in flight wait for their visibility time-out"),
            format!("set StopTimeout to {} or more, or shorten bridge.drain", drain + 5),
        );
    }
}

/// The Region that the container names, and that of the queue.
fn place(
    definition: &Resource,
    container: &Node,
    config: Option<&Config>,
    findings: &mut Findings,
) {
    let environment = member(container, "Environment")
        .map(each)
        .unwrap_or_default();
    let named = environment.iter().find(|one| {
        let name = member(one, "Name").and_then(text);
        matches!(name.as_deref(), Some("AWS_REGION" | "AWS_DEFAULT_REGION"))
    });
    let Some((value, config)) = named.and_then(|one| member(one, "Value")).zip(config) else {
        return;
    };
    let Some(region) = text(value).filter(|region| !region.contains("${")) else {
        return;
    };
    for mismatch in config.region_mismatches(&region) {
        findings.error(
            "queue-elsewhere",
            definition,
            value,
            format!(
                "the tasks sign for `{region}`, and `{}` is of `{}`",
                mismatch.key, mismatch.named
            ),
            "make queue, rule and tasks in one Region",
        );
    }
}

/// An attribute of a load balancer or a target group.
fn attribute<'n>(list: Option<&'n Node>, key: &str) -> Option<(u64, &'n Node)> {
    let found = list
        .map(each)?
        .iter()
        .find(|one| member(one, "Key").and_then(text).as_deref() == Some(key))?;
    let value = member(found, "Value")?;
    Some((text(value)?.parse().ok()?, value))
}

fn idle_timeout(balancer: &Resource, findings: &mut Findings) {
    let list = member(&balancer.properties, "LoadBalancerAttributes");
    let found = attribute(list, "idle_timeout.timeout_seconds");
    let (seconds, at) = found.unwrap_or((DEFAULT_IDLE_SECONDS, &balancer.properties));
    if seconds < LONGEST_POLL_SECONDS + IDLE_MARGIN_SECONDS {
        findings.error(
            "idle-timeout",
            balancer,
            at,
            format!("the idle time-out is {seconds}s, and a long poll takes up to {LONGEST_POLL_SECONDS}s: polls end with 504"),
            format!("set idle_timeout.timeout_seconds to {} or more", LONGEST_POLL_SECONDS + IDLE_MARGIN_SECONDS),
        );
    }
}

fn deregistration(templates: &Templates<'_>, container: &Node, findings: &mut Findings) {
    let stop =
        number(container, &["StopTimeout"]).map_or(DEFAULT_STOP_SECONDS, |(seconds, _)| seconds);
    for group in templates.of_kind("AWS::ElasticLoadBalancingV2::TargetGroup") {
        let list = member(&group.properties, "TargetGroupAttributes");
        let found = attribute(list, "deregistration_delay.timeout_seconds");
        let (seconds, at) = found.unwrap_or((DEFAULT_DEREGISTRATION_SECONDS, &group.properties));
        if seconds >= stop {
            findings.error(
                "deregistration",
                group,
                at,
                format!("the deregistration delay is {seconds}s, and the task is killed {stop}s after SIGTERM: polls are cut"),
                format!("set deregistration_delay.timeout_seconds below {}", stop.saturating_sub(4)),
            );
        }
    }
}

/// Metric math that divides by the number of tasks.
fn scaling(templates: &Templates<'_>, policy: &Resource, findings: &mut Findings) {
    let metrics = path(
        &policy.properties,
        &[
            "TargetTrackingScalingPolicyConfiguration",
            "CustomizedMetricSpecification",
            "Metrics",
        ],
    );
    let metrics = metrics.and_then(elements).unwrap_or_default();
    let is_count = |metric: &&Node| {
        let name = path(metric, &["MetricStat", "Metric", "MetricName"]);
        name.and_then(text).as_deref() == Some("RunningTaskCount")
    };
    let Some(count) = metrics.iter().find(is_count) else {
        return;
    };
    let id = member(count, "Id").and_then(text).unwrap_or_default();
    for metric in metrics {
        let Some(expression) = member(metric, "Expression") else {
            continue;
        };
        let written: String = text(expression)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        if written.contains(&format!("/{id}")) && !written.to_ascii_uppercase().contains("IF(") {
            findings.error(
                "scaling-without-guard",
                policy,
                expression,
                format!("the expression divides by `{id}`, which is 0 or missing without tasks: the service never starts again"),
                format!("write IF(FILL({id}, 0) < 1, waiting, waiting / FILL({id}, 1))"),
            );
        }
    }
    for cluster in templates.of_kind("AWS::ECS::Cluster") {
        let settings = member(&cluster.properties, "ClusterSettings")
            .map(each)
            .unwrap_or_default();
        let is_on = settings.iter().any(|one| {
            let is = |key: &str, words: &[&str]| {
                member(one, key)
                    .and_then(text)
                    .is_some_and(|text| words.contains(&&*text))
            };
            is("Name", &["containerInsights"]) && is("Value", &["enabled", "enhanced"])
        });
        if !is_on {
            findings.error(
                "no-container-insights",
                cluster,
                &cluster.properties,
                "scaling divides by RunningTaskCount, which exists only with Container Insights: the policy has no data and never scales",
                "add ClusterSettings: [{ Name: containerInsights, Value: enabled }]",
            );
        }
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
            &at,
            format!("up to {most} tasks share the quota that `bridge.pace.tasks` divides by {}: together they exceed it", pace.tasks),
            "set MaxCapacity and bridge.pace.tasks to one number",
        );
    }
}
