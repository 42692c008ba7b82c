//! The way out: what bounds publishing, whether the broker or the data plane can be reached, and whether a topic may be published to.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::report::Report;
use crate::aws::data_plane::DataPlane;
use crate::aws::endpoint;
use crate::channel::limits::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT;
use crate::channel::topic::Topic;
use crate::cli::broker;
use crate::config::bridge::{Bridge, Publish};
use crate::mqtt::{self, pool::Pool};
use crate::port::{PublishError, Publisher};
use crate::route::publication::{Facts, Publication, Qos};

/// How long the broker may take to be reached, and to answer.
const BROKER: Duration = Duration::from_secs(10);

/// How much one task may publish, and how many tasks the account has room for.
pub(super) fn limits(section: &Bridge, report: &mut Report) {
    let about = "limits";
    let quota = INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT;
    let of_connections = match (&section.publish, section.pace.publishes) {
        (Publish::Mqtt, Some(rate)) => u64::try_from(section.connections.1)
            .ok()
            .map(|most| most * u64::from(rate)),
        _ => None,
    };
    let rate = match (section.pace.task.map(u64::from), of_connections) {
        (Some(task), Some(connections)) => Some(task.min(connections)),
        (one, other) => one.or(other),
    };
    match rate {
        None => report.warning(
            about,
            "nothing bounds this task's publishes a second",
            "on IoT Core set bridge.pace.account and bridge.pace.tasks to your account's quota",
        ),
        Some(rate) => {
            let tasks = u64::from(quota) / rate.max(1);
            report.ok(
                about,
                format!("up to {rate} publishes a second for a task: {tasks} tasks within IoT Core's default quota of {quota}"),
            );
        }
    }
}

/// Reaches whatever is published to.
pub(super) async fn publishing(
    section: &Bridge,
    aws: &SdkConfig,
    topic: Option<&Topic>,
    report: &mut Report,
) {
    match &section.publish {
        Publish::Mqtt => by_mqtt(section, aws, topic, report).await,
        Publish::Https { endpoint, calls } => {
            let endpoint = match endpoint.as_deref().or(aws.endpoint_url()) {
                Some(endpoint) => Ok(endpoint.to_owned()),
                None => endpoint::describe(aws)
                    .await
                    .map(|host| format!("https://{host}")),
            };
            let endpoint = match endpoint {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    return report.missing("data plane", error.to_string(), "set bridge.endpoint");
                }
            };
            report.ok("data plane", endpoint.clone());
            let publisher = DataPlane::new(aws, &endpoint, *calls, section.pace.task);
            try_topic(&publisher, topic, report).await;
            publisher.close(Instant::now()).await;
        }
    }
}

async fn by_mqtt(section: &Bridge, aws: &SdkConfig, topic: Option<&Topic>, report: &mut Report) {
    let access = match broker::access(section, aws).await {
        Ok(access) => access,
        Err(error) => {
            return report.missing(
                "broker",
                format!("{error:#}"),
                "set bridge.broker, or grant iot:DescribeEndpoint",
            );
        }
    };
    let url = access.broker.to_string();
    let pool = Pool::start(mqtt::Settings {
        access,
        client_id: section.client_id.clone(),
        connections: (1, 1),
        ..mqtt::Settings::default()
    });
    if timeout(BROKER, pool.ready()).await.is_err() {
        let why = pool
            .last_error()
            .unwrap_or_else(|| "it does not answer".into());
        report.missing(
            "broker",
            format!("{url}: {why}"),
            "check address, TLS files and credentials; the policy must allow iot:Connect for client ids that begin with bridge.client_id",
        );
    } else {
        report.ok("broker", format!("{url} takes the connection"));
        try_topic(&pool, topic, report).await;
    }
    pool.close(Instant::now() + Duration::from_secs(1)).await;
}

async fn try_topic(publisher: &impl Publisher, topic: Option<&Topic>, report: &mut Report) {
    let about = "publish permission";
    let Some(topic) = topic else {
        return report.ok(about, "not tried; --publish TOPIC tries it");
    };
    let time = Timestamp::now().to_string();
    let publication = Publication {
        topic: topic.clone(),
        payload: Bytes::from_static(br#"{"from":"eventcast doctor"}"#),
        route: Arc::from("doctor"),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires: Some(Duration::from_secs(60)),
        conflate: false,
        content_type: "application/json",
        oversize: None,
        facts: Arc::new(Facts::new(
            "eventcast-doctor",
            [None, None, Some(&time), None],
        )),
    };
    let published = timeout(BROKER, async {
        publisher.publish(publication).await?.await
    });
    match published.await {
        Ok(Ok(())) => report.ok(about, format!("{topic} was acknowledged")),
        Ok(Err(PublishError::Permanent { what, .. })) => report.missing(
            about,
            format!("{topic}: {what}"),
            "the policy must allow iot:Publish on the topics of the routes",
        ),
        Ok(Err(PublishError::Transient { what })) => report.missing(
            about,
            format!("{topic}: {what}"),
            "IoT Core ends the connection of a client that may not publish: check iot:Publish in its policy",
        ),
        Err(_) => report.missing(about, format!("{topic}: no acknowledgement in {BROKER:?}"), "check the broker's log"),
    }
}
