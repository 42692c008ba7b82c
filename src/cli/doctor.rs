//! `eventcast doctor`: tries everything that the daemon needs, and says what to do about what is missing.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_config::SdkConfig;
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::configuration::Configuration;
use super::{Format, Status, broker};
use crate::aws::data_plane::DataPlane;
use crate::aws::sign::Signer;
use crate::aws::{client, clock, endpoint, sqs};
use crate::channel::limits::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT;
use crate::channel::topic::Topic;
use crate::config::bridge::{Bridge, Publish};
use crate::mqtt::{self, pool::Pool};
use crate::port::{PublishError, Publisher};
use crate::route::publication::{Facts, Publication, Qos};

/// How long the broker may take to be reached, and to answer.
const BROKER: Duration = Duration::from_secs(10);

/// AWS refuses signatures of clocks that are more than five minutes off; half of that is worth a warning.
const SKEW: (Duration, Duration) = (Duration::from_secs(150), Duration::from_secs(300));

/// Fewer attempts than these turn a hiccup into a dead letter.
const ATTEMPTS: u32 = 3;

/// A shorter visibility is mostly spent on extending leases.
const VISIBILITY: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is received and nothing published, unless --publish names a topic: then one message is sent to it.

Examples:
  eventcast doctor
  eventcast doctor --publish eventcast/doctor --format json

Exit status: 0 all is well (there may be warnings), 1 something is missing, 2 the configuration is not right.")]
pub(super) struct Command {
    #[command(flatten)]
    configuration: Configuration,
    /// Publish one message to this topic, to see that it is allowed
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    publish: Option<Topic>,
    /// How the report is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|error| error.to_string())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Missing,
}

#[derive(Debug, Serialize)]
struct Check {
    about: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// What was found so far.
#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.add(about, Verdict::Ok, found, None);
    }

    fn warning(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Warning, found, Some(help));
    }

    fn missing(&mut self, about: &'static str, found: impl Into<String>, help: &str) {
        self.add(about, Verdict::Missing, found, Some(help));
    }

    fn add(
        &mut self,
        about: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        help: Option<&str>,
    ) {
        self.0.push(Check {
            about,
            verdict,
            found: found.into(),
            help: help.filter(|help| !help.is_empty()).map(str::to_owned),
        });
    }

    fn write(&self, format: Format, out: &mut impl Write) -> anyhow::Result<Status> {
        let missing = self.0.iter().any(|check| check.verdict == Verdict::Missing);
        if format == Format::Json {
            serde_json::to_writer_pretty(&mut *out, &serde_json::json!({ "checks": self.0 }))?;
            writeln!(out)?;
        } else {
            for check in &self.0 {
                let word = match check.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Warning => "warning",
                    Verdict::Missing => "MISSING",
                };
                writeln!(out, "{word:<8} {:<18} {}", check.about, check.found)?;
                if let Some(help) = &check.help {
                    writeln!(out, "{:27} help: {help}", "")?;
                }
            }
        }
        Ok(if missing { Status::No } else { Status::Yes })
    }
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let mut report = Report::default();
    report.ok("configuration", format!("{} routes", config.routes.len()));
    runtime.block_on(async {
        let section = &config.bridge;
        let aws = client::environment().await;
        credentials(&aws, &mut report).await;
        queues(section, &aws, &mut report).await;
        limits(section, &mut report);
        publishing(section, &aws, command.publish.as_ref(), &mut report).await;
    });
    report.write(command.format, out)
}

async fn credentials(aws: &SdkConfig, report: &mut Report) {
    let about = "AWS credentials";
    let signer = match Signer::try_new(aws) {
        Ok(signer) => signer,
        Err(error) => return report.missing(about, error.to_string(), ""),
    };
    match signer.expiry().await {
        Ok(None) => report.ok(about, "found; they do not expire"),
        Ok(Some(expiry)) => match expiry.duration_since(SystemTime::now()) {
            Ok(left) => report.ok(about, format!("found; good for {}s", left.as_secs())),
            Err(_) => report.missing(
                about,
                "they have expired",
                "renew them, such as by aws sso login",
            ),
        },
        Err(error) => report.missing(
            about,
            error.to_string(),
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or give the task a role",
        ),
    }
}

async fn queues(section: &Bridge, aws: &SdkConfig, report: &mut Report) {
    let Some(url) = &section.queue else {
        return report.missing(
            "queue",
            "bridge.queue is not set",
            "set it, or EVENTCAST_BRIDGE_QUEUE",
        );
    };
    skew(url, aws, report).await;
    let attributes = match sqs::attributes(aws, url).await {
        Ok(attributes) => attributes,
        Err(error) => return report.missing("queue", error.to_string(), ""),
    };
    let seconds = |attributes: &HashMap<String, String>, name: &str| {
        let value = attributes
            .get(name)
            .and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(value.unwrap_or(0))
    };
    let is_fifo = |attributes: &HashMap<String, String>| {
        attributes.get("FifoQueue").map(String::as_str) == Some("true")
    };
    let count = |name: &str| attributes.get(name).map_or("?", String::as_str);
    let kind = if is_fifo(&attributes) {
        "FIFO"
    } else {
        "standard"
    };
    report.ok(
        "queue",
        format!(
            "{kind}, {} waiting, {} in flight",
            count("ApproximateNumberOfMessages"),
            count("ApproximateNumberOfMessagesNotVisible")
        ),
    );
    let visibility = seconds(&attributes, "VisibilityTimeout");
    if visibility.is_zero() {
        report.missing(
            "visibility",
            "VisibilityTimeout is 0",
            "every event would be handed out twice: set it to 30 seconds",
        );
    } else if visibility < VISIBILITY {
        let found = format!("VisibilityTimeout is {visibility:?}");
        report.warning(
            "visibility",
            found,
            "leases are extended all the time: set it to 30 seconds",
        );
    } else {
        report.ok("visibility", format!("{visibility:?}"));
    }
    redrive(section, attributes.get("RedrivePolicy"), report);
    let Some(url) = &section.dead_letter_queue else {
        return;
    };
    match sqs::attributes(aws, url).await {
        Err(error) => report.missing("dead-letter queue", error.to_string(), ""),
        Ok(dead) if is_fifo(&dead) && !is_fifo(&attributes) => report.missing(
            "dead-letter queue",
            "it is FIFO, and the queue is not",
            "letters without a message group are refused there: make it a standard queue",
        ),
        Ok(dead) => {
            let (kept, letters) = (
                seconds(&attributes, "MessageRetentionPeriod"),
                seconds(&dead, "MessageRetentionPeriod"),
            );
            let waiting = dead
                .get("ApproximateNumberOfMessages")
                .map_or("?", String::as_str);
            let found = format!("{waiting} letters, kept for {}h", letters.as_secs() / 3_600);
            if letters < kept {
                report.warning(
                    "dead-letter queue",
                    found,
                    "it forgets sooner than the queue: set MessageRetentionPeriod to 14 days",
                );
            } else {
                report.ok("dead-letter queue", found);
            }
        }
    }
}

fn redrive(section: &Bridge, policy: Option<&String>, report: &mut Report) {
    let receives = policy.and_then(|policy| sqs::max_receives(policy));
    match (receives, &section.dead_letter_queue) {
        (Some(receives), _) if receives < ATTEMPTS => report.warning(
            "redrive",
            format!("maxReceiveCount is {receives}"),
            "tasks that are replaced use attempts up: set it to 5 or more",
        ),
        (Some(receives), _) => report.ok("redrive", format!("after {receives} receives")),
        (None, Some(_)) => report.ok("redrive", "none; dead letters go to bridge.dead_letter_queue"),
        (None, None) => report.warning(
            "redrive",
            "neither bridge.dead_letter_queue nor a redrive policy",
            "what can never be published comes again until it expires: set bridge.dead_letter_queue",
        ),
    }
}

async fn skew(url: &str, aws: &SdkConfig, report: &mut Report) {
    let about = "clock";
    let url = aws.endpoint_url().unwrap_or(url);
    let skew = match clock::skew(url).await {
        Ok(skew) => skew,
        Err(error) => return report.warning(about, format!("not compared: {error}"), ""),
    };
    let found = format!("{}s off", skew.as_secs());
    if skew > SKEW.1 {
        report.missing(
            about,
            found,
            "AWS refuses signatures of a clock this wrong: set the clock",
        );
    } else if skew > SKEW.0 {
        report.warning(
            about,
            found,
            "AWS refuses signatures beyond 300s: set the clock",
        );
    } else {
        report.ok(about, found);
    }
}

fn limits(section: &Bridge, report: &mut Report) {
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

async fn publishing(section: &Bridge, aws: &SdkConfig, topic: Option<&Topic>, report: &mut Report) {
    match &section.publish {
        Publish::Mqtt => {
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
        Publish::Https { endpoint, calls } => {
            let endpoint = match endpoint.as_deref().or(aws.endpoint_url()) {
                Some(endpoint) => Ok(endpoint.to_owned()),
                None => endpoint::describe(aws)
                    .await
                    .map(|host| format!("https://{host}")),
            };
            match endpoint {
                Err(error) => {
                    report.missing("data plane", error.to_string(), "set bridge.endpoint")
                }
                Ok(endpoint) => {
                    report.ok("data plane", endpoint.clone());
                    let publisher = DataPlane::new(aws, &endpoint, *calls, section.pace.task);
                    try_topic(&publisher, topic, report).await;
                    publisher.close(Instant::now()).await;
                }
            }
        }
    }
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
