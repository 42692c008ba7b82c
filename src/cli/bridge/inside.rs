//! The daemon within another program: `eventcast dev`.

use std::sync::Arc;

use aws_config::SdkConfig;
use tokio::sync::watch;

use super::reach::{Parts, over_mqtt};
use crate::bridge::Ending;
use crate::config::Config;
use crate::mqtt::pool::Pool;
use crate::route::table::RouteTable;
use crate::shutdown::Shutdown;
use crate::telemetry::health::Health;
use crate::telemetry::http::Vitals;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// A daemon inside a process that runs other parts as well.
pub(in crate::cli) struct Inside {
    config: Config,
    queue: String,
    parts: Parts<Pool>,
    metrics: Arc<Metrics>,
}

impl Inside {
    /// Reaches queue and broker as the configuration says, and counts in `metrics`.
    pub(in crate::cli) async fn reach(
        config: Config,
        queue: &str,
        aws: &SdkConfig,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let parts = over_mqtt(&config.bridge, queue, aws, &metrics).await?;
        let queue = queue.to_owned();
        Ok(Self {
            config,
            queue,
            parts,
            metrics,
        })
    }

    /// Works by the latest of `routes` until it is asked to end and has drained.
    pub(in crate::cli) async fn work(
        self,
        routes: watch::Receiver<Arc<RouteTable>>,
        shutdown: Shutdown,
    ) -> anyhow::Result<Ending> {
        let traced = (Traces::default(), &*self.queue);
        let vitals = Vitals {
            metrics: self.metrics,
            health: Health::new(shutdown.clone()),
        };
        super::work(&self.config, self.parts, traced, routes, &shutdown, &vitals).await
    }
}
