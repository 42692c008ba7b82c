//! Services: times that contradict each other, and Regions.

use super::findings::Findings;
use super::look::{FoundValue, each, is_open, look, member, number_or, text};
use super::template::Resource;
use super::templates::Templates;
use crate::config::Config;
use crate::event::pattern::tree::TreeValue;

/// Fargate's most, and ECS's default without a setting (ECS developer guide, "Task definition
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
        for container in containers(definition) {
            if runs(container, "bridge") {
                stop_timeout(definition, container, config, findings);
                place(definition, container, config, findings);
            }
            if runs(container, "gateway") {
                deregistration(templates, container, findings);
            }
        }
    }
    // Load balancers of other things have time-outs of their own.
    let has_gateway = templates
        .of_kind("AWS::ECS::TaskDefinition")
        .flat_map(containers)
        .any(|container| runs(container, "gateway"));
    if has_gateway {
        for balancer in templates.of_kind("AWS::ElasticLoadBalancingV2::LoadBalancer") {
            idle_timeout(balancer, findings);
        }
    }
}

fn containers(definition: &Resource) -> &[TreeValue] {
    let containers = member(&definition.properties, "ContainerDefinitions");
    containers.map(each).unwrap_or_default()
}

/// Returns `true` where a container runs a subcommand of eventcast. The image runs `bridge` where
/// the container says nothing.
fn runs(container: &TreeValue, subcommand: &str) -> bool {
    let words = |key: &str| -> Vec<String> {
        let listed = member(container, key).map(each).unwrap_or_default();
        let listed = listed.iter().filter_map(text);
        // A shell has all words in one.
        listed
            .flat_map(|one| {
                one.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let mut said = words("EntryPoint");
    said.extend(words("Command"));
    if said.is_empty() {
        let image = member(container, "Image")
            .and_then(text)
            .unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        let name = name.split([':', '@']).next().unwrap_or_default();
        return subcommand == "bridge" && name == "eventcast";
    }
    said.iter().any(|word| word == subcommand)
}

fn stop_timeout(
    definition: &Resource,
    container: &TreeValue,
    config: Option<&Config>,
    findings: &mut Findings,
) {
    let key = ["StopTimeout"];
    let Some((seconds, at)) = number_or(container, &key, DEFAULT_STOP_SECONDS) else {
        return;
    };
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
    container: &TreeValue,
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

/// A number among the attributes of a load balancer or a target group, or AWS's default; `None`
/// where it is not known.
fn attribute<'n>(
    resource: &'n Resource,
    list: &str,
    key: &str,
    default: u64,
) -> Option<(u64, &'n TreeValue)> {
    let list = match look(&resource.properties, &[list]) {
        FoundValue::Missing => return Some((default, &resource.properties)),
        FoundValue::Unknown => return None,
        FoundValue::Value(list) => each(list),
    };
    let found = list
        .iter()
        .find(|one| member(one, "Key").and_then(text).as_deref() == Some(key));
    match found {
        Some(found) => number_or(found, &["Value"], default),
        None if list.iter().any(is_open) => None,
        None => Some((default, &resource.properties)),
    }
}

fn idle_timeout(balancer: &Resource, findings: &mut Findings) {
    // Load balancers of other types have no such time-out.
    let is_application = match look(&balancer.properties, &["Type"]) {
        FoundValue::Missing => true,
        FoundValue::Unknown => false,
        FoundValue::Value(kind) => text(kind).as_deref() == Some("application"),
    };
    let key = "idle_timeout.timeout_seconds";
    let found = attribute(
        balancer,
        "LoadBalancerAttributes",
        key,
        DEFAULT_IDLE_SECONDS,
    );
    let Some((seconds, at)) = found.filter(|_| is_application) else {
        return;
    };
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

fn deregistration(templates: &Templates<'_>, container: &TreeValue, findings: &mut Findings) {
    let key = ["StopTimeout"];
    let Some((stop, _)) = number_or(container, &key, DEFAULT_STOP_SECONDS) else {
        return;
    };
    let name = member(container, "Name").and_then(text);
    for group in targets(templates, name.as_deref()) {
        let key = "deregistration_delay.timeout_seconds";
        let default = DEFAULT_DEREGISTRATION_SECONDS;
        let Some((seconds, at)) = attribute(group, "TargetGroupAttributes", key, default) else {
            continue;
        };
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

/// The target groups that a service has a container in; all where no service says it.
fn targets<'t>(templates: &Templates<'t>, container: Option<&str>) -> Vec<&'t Resource> {
    let mut said = Vec::new();
    for service in templates.of_kind("AWS::ECS::Service") {
        let balancers = member(&service.properties, "LoadBalancers").map(each);
        for balancer in balancers.unwrap_or_default() {
            let of = member(balancer, "ContainerName").and_then(text);
            let group = member(balancer, "TargetGroupArn");
            if of.as_deref() == container
                && let Some(group) = group.and_then(|group| templates.referred(service, group))
            {
                said.push(group);
            }
        }
    }
    match said.is_empty() {
        true => templates
            .of_kind("AWS::ElasticLoadBalancingV2::TargetGroup")
            .collect(),
        false => said,
    }
}
