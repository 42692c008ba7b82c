//! Publishing: its limits, the broker or data plane that is reached, and the permission for a
//! topic.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::report::DoctorReport;
use crate::aws::data_plane::DataPlanePublisher;
use crate::aws::endpoint;
use crate::channel::limits::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT;
use crate::channel::topic::Topic;
use crate::cli::broker;
use crate::cli::counted::counted;
use crate::config::Config;
use crate::config::bridge::{BridgeConfig, BrokerCredentials, DataPlaneCalls, Publish};
use crate::mqtt::{self, pool::Pool};
use crate::port::{PublishError, Publisher};
use crate::route::publication::{EnvelopeFacts, Publication, Qos};

/// Time for the broker to be reached, and to answer.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Names of the checks.
const BROKER: &str = "broker";
const DATA_PLANE: &str = "data plane";
const PERMISSION: &str = "publish permission";

/// The rate of one task, and the number of tasks within the account's quota.
pub(super) fn limits(section: &BridgeConfig, report: &mut DoctorReport) {
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
                format!(
                    "up to {} a second for each task: {} within IoT Core's default quota of {quota}",
                    counted(rate, "message"),
                    counted(tasks, "task")
                ),
            );
        }
    }
}

/// Reaches the place that is published to. `unsigned` is the reason why no request can be signed.
pub(super) async fn publishing(
    config: &Config,
    (aws, unsigned): (&SdkConfig, Option<&str>),
    topic: Option<&Topic>,
    report: &mut DoctorReport,
) {
    let section = &config.bridge;
    let trial = PublishTrial {
        topic,
        allowed: &config.doctor_topic(),
    };
    let about = match section.publish {
        Publish::Mqtt | Publish::Auto(_) => BROKER,
        Publish::Https(_) => DATA_PLANE,
    };
    let is_signed = section.publish != Publish::Mqtt
        || section.broker.is_none()
        || section.credentials == BrokerCredentials::Aws;
    if let Some(why) = unsigned.filter(|_| is_signed) {
        report.not_tried(about, why, "");
        report.not_tried(PERMISSION, why, "");
        return;
    }
    match &section.publish {
        Publish::Mqtt => by_mqtt(section, aws, &trial, report).await,
        Publish::Https(calls) => by_https(section, calls, aws, &trial, report).await,
        Publish::Auto(calls) => {
            by_mqtt(section, aws, &trial, report).await;
            by_https(section, calls, aws, &trial, report).await;
        }
    }
}

async fn by_https(
    section: &BridgeConfig,
    calls: &DataPlaneCalls,
    aws: &SdkConfig,
    trial: &PublishTrial<'_>,
    report: &mut DoctorReport,
) {
    let endpoint = match endpoint::of_data_plane(calls.endpoint.as_deref(), aws).await {
        Ok(endpoint) => endpoint,
        Err(error) => {
            report.failed(DATA_PLANE, error.to_string(), "set bridge.endpoint");
            return report.not_tried(PERMISSION, "the endpoint is not known", "");
        }
    };
    let publisher = DataPlanePublisher::new(aws, &endpoint, calls.most, section.pace.task);
    let answered = trial.publish(&publisher, report).await;
    if answered {
        report.ok(DATA_PLANE, endpoint);
    } else {
        report.not_tried(DATA_PLANE, endpoint, "--publish makes a call");
    }
    publisher.close(Instant::now()).await;
}

async fn by_mqtt(
    section: &BridgeConfig,
    aws: &SdkConfig,
    trial: &PublishTrial<'_>,
    report: &mut DoctorReport,
) {
    let access = match broker::access(section, aws).await {
        Ok(access) => access,
        Err(error) => {
            let help = if section.broker.is_none() {
                "set bridge.broker, or grant iot:DescribeEndpoint"
            } else {
                "correct bridge.tls or bridge.credentials"
            };
            report.failed(BROKER, format!("{error:#}"), help);
            return report.not_tried(PERMISSION, "the broker was not reached", "");
        }
    };
    let url = access.broker.to_string();
    let pool = Pool::start(mqtt::MqttSettings {
        access,
        client_id: section.client_id.clone(),
        connections: (1, 1),
        ..mqtt::MqttSettings::default()
    });
    if timeout(BROKER_TIMEOUT, pool.ready()).await.is_err() {
        let why = pool
            .last_error()
            .unwrap_or_else(|| "it does not answer".into());
        report.failed(
            BROKER,
            format!("{url}: {why}"),
            "check address, TLS files and credentials; the policy must allow iot:Connect for client ids that begin with bridge.client_id",
        );
        report.not_tried(PERMISSION, "the broker was not reached", "");
    } else {
        report.ok(BROKER, format!("{url} takes the connection"));
        trial.publish(&pool, report).await;
    }
    pool.close(Instant::now() + Duration::from_secs(1)).await;
}

/// One message that is published to learn whether that is allowed.
struct PublishTrial<'t> {
    /// Topic of the message; `None` when publishing was not asked for.
    topic: Option<&'t Topic>,
    /// The topic that the policy of `policy generate --for bridge` allows for this.
    allowed: &'t str,
}

impl PublishTrial<'_> {
    /// Publishes the message. Returns `true` when the publisher answered, with a refusal too.
    async fn publish(&self, publisher: &impl Publisher, report: &mut DoctorReport) -> bool {
        let Some(topic) = self.topic else {
            let help = "--publish tries it";
            report.not_tried(PERMISSION, "nothing is published unasked", help);
            return false;
        };
        let published = timeout(BROKER_TIMEOUT, async {
            publisher.publish(publication(topic))?.await
        });
        let allow = format!(
            "the policy must allow iot:Publish; that of `policy generate --for bridge` does on the topics of the routes and on {}",
            self.allowed
        );
        match published.await {
            Ok(Ok(())) => report.ok(PERMISSION, format!("{topic} was acknowledged")),
            Ok(Err(PublishError::Permanent { what, .. })) => {
                report.failed(PERMISSION, format!("{topic}: {what}"), &allow);
            }
            Ok(Err(error)) => {
                let help = format!(
                    "IoT Core may close the connection of a client that may not publish: {allow}"
                );
                report.failed(PERMISSION, format!("{topic}: {error}"), &help);
                return false;
            }
            Err(_) => {
                let found = format!("{topic}: no acknowledgement in {BROKER_TIMEOUT:?}");
                report.failed(PERMISSION, found, "check the broker's log");
                return false;
            }
        }
        true
    }
}

fn publication(topic: &Topic) -> Publication {
    let time = Timestamp::now().to_string();
    Publication {
        topic: topic.clone(),
        payload: Bytes::from_static(br#"{"from":"eventcast doctor"}"#),
        route: Arc::from("doctor"),
        qos: Qos::AtLeastOnce,
        retain: false,
        expires: Some(Duration::from_secs(60)),
        conflate: false,
        order: None,
        content_type: "application/json",
        oversize: None,
        facts: Arc::new(EnvelopeFacts::new(
            "eventcast-doctor",
            [None, None, Some(&time), None],
        )),
    }
}
