//! Values of parameters that follow from the configuration, for the templates by hand and for the
//! Terraform module.

use serde_json::{Value, json};

use super::pattern::RulePattern;
use super::{Names, RenderError};
use crate::channel::limits::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT;
use crate::config::Config;
use crate::config::bridge::{Bridge, Publish};

/// Time between the end of draining and SIGKILL, for the last deletions and log lines.
const AFTER_DRAIN_SECONDS: u64 = 15;

/// The longest stop time-out on Fargate, and the shortest of service.yaml.
const STOP_TIMEOUT_SECONDS: (u64, u64) = (30, 120);

/// The fewest that are the most: one task for each of two zones.
const LEAST_TASKS: u32 = 2;

/// The files by their names: lines `NAME=VALUE`, as `aws cloudformation deploy
/// --parameter-overrides` takes them. No value has white space.
pub(super) fn all(
    config: &Config,
    names: &Names,
) -> Result<[(&'static str, String); 4], RenderError> {
    let queue = names.whole(&names.queue);
    let letters = names.whole(&names.dead_letter_queue);
    Ok([
        (
            "parameters-queues.txt",
            list(&[
                ("QueueName", names.queue.clone()),
                ("DeadLetterQueueName", names.dead_letter_queue.clone()),
                ("Fifo", names.is_fifo.to_string()),
            ]),
        ),
        (
            "parameters-service.txt",
            list(&[("StopTimeout", stop_timeout(&config.bridge)?.to_string())]),
        ),
        (
            "parameters-scaling.txt",
            list(&[
                ("QueueName", queue.clone()),
                ("MaxTasks", max_tasks(&config.bridge).to_string()),
            ]),
        ),
        (
            "parameters-observability.txt",
            list(&[
                ("QueueName", queue),
                ("DeadLetterQueueName", letters),
                ("InboundQuota", quota(&config.bridge).to_string()),
            ]),
        ),
    ])
}

/// Remark on a bridge whose tasks may exceed the account's quota together.
pub(super) fn note(bridge: &Bridge) -> Option<String> {
    let rate = match task_rate(bridge) {
        _ if bridge.pace.task.is_some() => return None,
        Some(rate) if rate.saturating_mul(LEAST_TASKS) <= quota(bridge) => return None,
        Some(rate) => format!("a task may send {rate} publishes a second"),
        None => "nothing bounds what a task sends a second".to_owned(),
    };
    Some(format!(
        "{rate}: MaxTasks is {LEAST_TASKS}, which together may exceed the account's quota; set bridge.pace.account and bridge.pace.tasks"
    ))
}

/// Variables of the Terraform module (`infra/terraform`).
pub(super) fn terraform(
    config: &Config,
    names: &Names,
    pattern: &RulePattern,
    roles: &Value,
) -> Result<Value, RenderError> {
    let document = |name: &str| {
        let document = roles.pointer(&format!(
            "/Resources/{name}Policy0/Properties/PolicyDocument"
        ));
        document.map(Value::to_string)
    };
    let routes = config.routes.iter();
    let routes: Vec<Value> = routes
        .map(|route| json!({ "name": &*route.name, "expires": route.expires.is_some() }))
        .collect();
    Ok(json!({
        "event_pattern": pattern.tree.to_json(),
        "queue_name": names.queue,
        "dead_letter_queue_name": names.dead_letter_queue,
        "fifo": names.is_fifo,
        "stop_timeout": stop_timeout(&config.bridge)?,
        "max_tasks": max_tasks(&config.bridge),
        "inbound_quota": quota(&config.bridge),
        "count_tasks": config.bridge.pace.counts_tasks,
        "bridge_policy": document("Bridge"),
        "doctor_policy": document("Doctor"),
        "dlq_policy": document("DeadLetters"),
        "dlq_read_policy": document("DeadLettersRead"),
        "routes": routes,
    }))
}

fn list(values: &[(&str, String)]) -> String {
    let line = |(key, value): &(&str, String)| format!("{key}={value}\n");
    values.iter().map(line).collect()
}

fn stop_timeout(bridge: &Bridge) -> Result<u64, RenderError> {
    let (least, most) = STOP_TIMEOUT_SECONDS;
    let needed = bridge.drain.as_secs().saturating_add(AFTER_DRAIN_SECONDS);
    if needed > most {
        return Err(RenderError::Drain(bridge.drain.as_secs()));
    }
    Ok(needed.max(least))
}

/// Publishes a second of the account.
fn quota(bridge: &Bridge) -> u32 {
    let account = bridge.pace.account;
    account.unwrap_or(INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT)
}

/// The most tasks that the account's quota feeds.
fn max_tasks(bridge: &Bridge) -> u32 {
    if bridge.pace.task.is_some() && !bridge.pace.counts_tasks {
        // `bridge.pace.tasks` says how many share the quota: one more would exceed it.
        return bridge.pace.tasks;
    }
    let fed = task_rate(bridge).map_or(0, |rate| quota(bridge) / rate.max(1));
    fed.max(LEAST_TASKS)
}

/// Publishes a second that the connections of one task carry; `None` where nothing bounds them.
fn task_rate(bridge: &Bridge) -> Option<u32> {
    let connections = u32::try_from(bridge.connections.1).unwrap_or(u32::MAX);
    match (&bridge.publish, bridge.pace.publishes) {
        (Publish::Mqtt, Some(rate)) => Some(rate.saturating_mul(connections)),
        _ => None,
    }
}
