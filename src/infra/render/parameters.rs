//! Values of parameters that follow from the configuration, for the templates by hand and for the
//! Terraform module.

use serde_json::{Value, json};

use super::pattern::RulePattern;
use super::{Names, RenderError, with};
use crate::channel::limits::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT;
use crate::config::Config;
use crate::config::bridge::{BridgeConfig, Publish};
use crate::plan::fleet::TaskCount;

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
    planned: Option<&TaskCount>,
) -> Result<[(&'static str, String); 4], RenderError> {
    let (least, most) = task_bounds(&config.bridge, planned);
    let mut scaling = vec![("QueueName", names.whole(&names.queue))];
    // Without a plan the template's own default is the least.
    scaling.extend(planned.map(|_| ("MinTasks", least.to_string())));
    scaling.push(("MaxTasks", most.to_string()));
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
        ("parameters-scaling.txt", list(&scaling)),
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
pub(super) fn note(bridge: &BridgeConfig, planned: Option<&TaskCount>) -> Option<String> {
    if let Some(planned) = planned {
        return planned_note(bridge, planned);
    }
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

/// Remark on a plan that takes more tasks than the configuration shares the quota among.
fn planned_note(bridge: &BridgeConfig, planned: &TaskCount) -> Option<String> {
    let is_fixed = bridge.pace.task.is_some() && !bridge.pace.counts_tasks;
    let tasks = bridge.pace.tasks;
    (is_fixed && planned.peak > f64::from(tasks)).then(|| {
        format!(
            "the load takes {} tasks at its peak, and bridge.pace.tasks is {tasks}: MaxTasks is what bridge.pace.tasks says",
            planned.peak
        )
    })
}

/// Variables of the Terraform module (`infra/terraform`).
pub(super) fn terraform(
    config: &Config,
    names: &Names,
    pattern: &RulePattern,
    roles: &Value,
    planned: Option<&TaskCount>,
) -> Result<Value, RenderError> {
    let (least, most) = task_bounds(&config.bridge, planned);
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
    let variables = json!({
        "event_pattern": pattern.tree.to_json(),
        "queue_name": names.queue,
        "dead_letter_queue_name": names.dead_letter_queue,
        "fifo": names.is_fifo,
        "stop_timeout": stop_timeout(&config.bridge)?,
        "max_tasks": most,
        "inbound_quota": quota(&config.bridge),
        "count_tasks": config.bridge.pace.counts_tasks,
        "bridge_policy": document("Bridge"),
        "doctor_policy": document("Doctor"),
        "dlq_policy": document("DeadLetters"),
        "dlq_read_policy": document("DeadLettersRead"),
        "routes": routes,
    });
    Ok(match planned {
        Some(_) => with(variables, "min_tasks", least.into()),
        None => variables,
    })
}

fn list(values: &[(&str, String)]) -> String {
    let line = |(key, value): &(&str, String)| format!("{key}={value}\n");
    values.iter().map(line).collect()
}

fn stop_timeout(bridge: &BridgeConfig) -> Result<u64, RenderError> {
    let (least, most) = STOP_TIMEOUT_SECONDS;
    let needed = bridge.drain.as_secs().saturating_add(AFTER_DRAIN_SECONDS);
    if needed > most {
        return Err(RenderError::Drain(bridge.drain.as_secs()));
    }
    Ok(needed.max(least))
}

/// Publishes a second of the account.
fn quota(bridge: &BridgeConfig) -> u32 {
    let account = bridge.pace.account;
    account.unwrap_or(INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT)
}

/// The fewest and the most tasks: those of a plan, or those that the account's quota feeds.
fn task_bounds(bridge: &BridgeConfig, planned: Option<&TaskCount>) -> (u32, u32) {
    let fed = max_tasks(bridge);
    let Some(planned) = planned else {
        return (LEAST_TASKS, fed);
    };
    let is_fixed = bridge.pace.task.is_some() && !bridge.pace.counts_tasks;
    // A plan's numbers are whole and far below this.
    let whole = |tasks: f64| tasks.clamp(1.0, 100_000.0) as u32;
    let most = if is_fixed { fed } else { whole(planned.most) };
    (whole(planned.least).min(most), most)
}

/// The most tasks that the account's quota feeds.
fn max_tasks(bridge: &BridgeConfig) -> u32 {
    if bridge.pace.task.is_some() && !bridge.pace.counts_tasks {
        // `bridge.pace.tasks` says how many share the quota: one more would exceed it.
        return bridge.pace.tasks;
    }
    let fed = task_rate(bridge).map_or(0, |rate| quota(bridge) / rate.max(1));
    fed.max(LEAST_TASKS)
}

/// Publishes a second that the connections of one task carry; `None` where nothing bounds them.
fn task_rate(bridge: &BridgeConfig) -> Option<u32> {
    let connections = u32::try_from(bridge.connections.1).unwrap_or(u32::MAX);
    match (&bridge.publish, bridge.pace.publishes) {
        (Publish::Mqtt, Some(rate)) => Some(rate.saturating_mul(connections)),
        _ => None,
    }
}
