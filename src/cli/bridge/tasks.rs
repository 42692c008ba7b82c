//! This task's share of the account's quota, which follows the number of tasks that run.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use crate::aws::client;
use crate::aws::ecs_tasks::{EcsTasks, EcsTasksError};
use crate::cli::environment;
use crate::config::bridge::{PaceLimits, share};
use crate::log_limit::LogLimit;
use crate::port::Publisher;

/// Time between two counts of the tasks.
const EVERY: Duration = Duration::from_secs(60);

/// The variable by which ECS names a task its metadata.
const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";

static NOT_COUNTED: LogLimit<()> = LogLimit::new();

/// Counts the running tasks now and then, where the configuration says so, and gives the publisher
/// its share.
pub(super) async fn follow(pace: &PaceLimits, publisher: &impl Publisher) -> Infallible {
    let Some(account) = pace.account.filter(|_| pace.counts_tasks) else {
        return pending().await;
    };
    let Some(metadata) = environment::variable(METADATA) else {
        tracing::warn!(
            "bridge.pace.count_tasks is ecs, and {METADATA} is not set: this is no task of ECS, and bridge.pace.tasks holds"
        );
        return pending().await;
    };
    let (mut tasks, mut known) = (None, None);
    loop {
        match count(&mut tasks, &metadata).await {
            Ok(tasks) if known == Some(tasks) => {}
            Ok(tasks) => {
                let task = share(account, tasks);
                tracing::info!(tasks, task, "tasks that share the account's quota");
                publisher.set_share(Some(task));
                known = Some(tasks);
            }
            Err(error) => {
                if let Some(suppressed) = NOT_COUNTED.admit(()) {
                    tracing::warn!(%error, suppressed, "the running tasks are not counted: the share stays as it is");
                }
            }
        }
        // Tasks that were started together do not ask together.
        sleep(EVERY.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
    }
}

/// Counts the tasks; which family they are of does not change, and is read once.
async fn count(tasks: &mut Option<EcsTasks>, metadata: &str) -> Result<u32, EcsTasksError> {
    let tasks = match tasks {
        Some(tasks) => tasks,
        None => tasks.insert(EcsTasks::find(client::environment().await, metadata).await?),
    };
    tasks.running().await
}
