//! The configuration as far as capacity depends on it.

use std::time::Duration;

use crate::channel::limits::{
    BYTES_PER_SECOND_PER_CONNECTION, PUBLISHES_PER_SECOND_PER_CONNECTION,
};
use crate::config::Config;
use crate::config::bridge::Publish;
use crate::config::queue_name::QueueName;
use crate::route::publication::Qos;

/// Facts of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteFacts {
    /// The name.
    pub name: String,
    /// Number of targets: messages of an event, unless lists are in it.
    pub targets: f64,
    /// QoS of its messages.
    pub qos: u8,
    /// `true` where the broker keeps the last message of a topic.
    pub retain: bool,
    /// `true` where only the newest message of a topic is sent.
    pub conflate: bool,
}

/// Facts of a platform.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformFacts {
    /// Region of the queue.
    pub region: Option<String>,
    /// `true` where the queue is FIFO.
    pub is_fifo: bool,
    /// `true` where the bridge publishes by HTTPS alone.
    pub publishes_by_https: bool,
    /// The most connections of a task.
    pub connections_per_task: f64,
    /// Messages a second on a connection.
    pub publishes_per_connection: f64,
    /// Bytes a second on a connection.
    pub bytes_per_connection: f64,
    /// Events of a task between receiving and settling.
    pub in_flight: f64,
    /// Long polls of a task at a time, at most.
    pub pollers: f64,
    /// Tasks that share the account's publish quota, where the configuration says so.
    pub fixed_tasks: Option<f64>,
    /// Time after which IoT Core asks the authorizer again for a connection.
    pub refresh: Duration,
    /// Sessions of a task of the gateway; `None` where nothing limits them.
    pub sessions_per_task: Option<f64>,
    /// The routes.
    pub routes: Vec<RouteFacts>,
}

impl Default for PlatformFacts {
    /// The defaults of the configuration, without routes.
    fn default() -> Self {
        Self {
            region: None,
            is_fifo: false,
            publishes_by_https: false,
            connections_per_task: 200.0,
            publishes_per_connection: f64::from(PUBLISHES_PER_SECOND_PER_CONNECTION),
            bytes_per_connection: f64::from(BYTES_PER_SECOND_PER_CONNECTION),
            in_flight: 1_000.0,
            pollers: 16.0,
            fixed_tasks: None,
            refresh: Duration::from_secs(900),
            sessions_per_task: Some(20_000.0),
            routes: Vec::new(),
        }
    }
}

impl PlatformFacts {
    /// The facts of a configuration.
    pub fn of(config: &Config) -> Self {
        let bridge = &config.bridge;
        let queue = bridge.queue.as_deref();
        let region = queue
            .and_then(QueueName::of_url)
            .and_then(|queue| queue.region);
        let scope = config.authorizer.scope.as_ref();
        let region = region.or_else(|| scope.map(|scope| &*scope.region));
        let pace = &bridge.pace;
        let shares = pace.task.is_some() && !pace.counts_tasks;
        Self {
            region: region.map(str::to_owned),
            is_fifo: queue.is_some_and(|queue| queue.ends_with(".fifo")),
            publishes_by_https: matches!(bridge.publish, Publish::Https(_)),
            connections_per_task: bridge.connections.1 as f64,
            publishes_per_connection: pace.publishes.map_or(f64::INFINITY, f64::from),
            bytes_per_connection: pace.bytes.map_or(f64::INFINITY, f64::from),
            in_flight: bridge.in_flight as f64,
            pollers: bridge.pollers.1 as f64,
            fixed_tasks: shares.then_some(f64::from(pace.tasks)),
            refresh: config.authorizer.refresh,
            sessions_per_task: config.gateway.limits.sessions.map(|most| most as f64),
            routes: config.routes.iter().map(route).collect(),
        }
    }

    /// The facts of a route; those of a plain one where the configuration has none of the name.
    pub fn route(&self, name: &str) -> RouteFacts {
        let found = self.routes.iter().find(|route| route.name == name);
        found.cloned().unwrap_or_else(|| RouteFacts {
            name: name.to_owned(),
            targets: 1.0,
            qos: 1,
            retain: false,
            conflate: false,
        })
    }
}

fn route(route: &crate::route::table::Route) -> RouteFacts {
    RouteFacts {
        name: route.name.to_string(),
        targets: route.targets.len() as f64,
        qos: u8::from(route.qos == Qos::AtLeastOnce),
        retain: route.retain,
        conflate: route.conflate,
    }
}
