//! `eventcast dev` as the ground of a run: a bus whose rule leads to a queue, and the broker.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use super::http::Http;
use super::process::Process;

/// The source of every event of the load.
pub(crate) const SOURCE: &str = "shop.orders";

/// Time for a start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The state of a run's broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// IoT Core's limits hold.
    pub(crate) has_limits: bool,
    /// The account's quota of publishes a second, where it is another than IoT Core's.
    pub(crate) account_publishes: Option<u32>,
    pub(crate) acknowledged_after: Duration,
}

pub(crate) struct Platform {
    pub(crate) process: Process,
    /// `HOST:PORT` of bus and queue.
    pub(crate) address: String,
    pub(crate) mqtt: u16,
    pub(crate) queue: String,
    http: Http,
    /// Open for as long as the platform writes.
    _lines: Lines<BufReader<ChildStdout>>,
}

/// The broker's counters from its start on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BrokerCounts {
    /// Connections that were let in.
    pub(crate) connected: u64,
    /// Messages discarded for a limit.
    pub(crate) throttled: u64,
}

impl Platform {
    pub(crate) async fn start(binary: &str, manner: Manner) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["dev", "--bare", "--format", "json"])
            .args(["--port", "0", "--mqtt-port", "0", "--websocket-port", "0"])
            .args([
                "--broker",
                if manner.has_limits {
                    "iot-core"
                } else {
                    "general"
                },
            ]);
        if let Some(publishes) = manner.account_publishes {
            command.arg(format!("--limit=account-publishes-in={publishes}"));
        }
        command.stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let stdout = process.child.stdout.take();
        let mut lines = BufReader::new(stdout.context("no standard output")?).lines();
        let line = timeout(START, lines.next_line()).await;
        let line = line.context("`eventcast dev` does not start")??;
        let line = line.context("`eventcast dev` has ended at once")?;
        let told: Value = serde_json::from_str(&line)?;
        let endpoint = told["endpoint"].as_str().context("no endpoint")?;
        let address = endpoint.trim_start_matches("http://").to_owned();
        let mqtt = told["mqtt"].as_str().context("no broker")?;
        let mqtt = mqtt.rsplit(':').next().unwrap_or_default().parse()?;
        let mut http = Http::open(&address).await?;
        let queue = lead_to_queue(&mut http).await?;
        if !manner.acknowledged_after.is_zero() {
            let milliseconds = manner.acknowledged_after.as_millis();
            let fault =
                json!({ "action": "Publish", "fault": "delay", "milliseconds": milliseconds });
            http.post("/_dev/faults", &fault).await?;
        }
        Ok(Self {
            process,
            address,
            mqtt,
            queue,
            http,
            _lines: lines,
        })
    }

    /// Number of messages in the queue, handed out or not.
    pub(crate) async fn left(&mut self) -> anyhow::Result<u64> {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let asked = json!({ "QueueUrl": self.queue, "AttributeNames": names });
        let told = self
            .http
            .json("AmazonSQS.GetQueueAttributes", &asked)
            .await?;
        let count = |name: &&str| -> Option<u64> {
            told["Attributes"][*name]
                .as_str()
                .and_then(|text| text.parse().ok())
        };
        Ok(names.iter().filter_map(count).sum())
    }

    /// The broker's counters; `None` of a build that does not report them.
    pub(crate) async fn counts(&mut self) -> anyhow::Result<Option<BrokerCounts>> {
        let (status, body) = self.http.read("/_dev/counts").await?;
        if status == 404 {
            return Ok(None);
        }
        anyhow::ensure!(status == 200, "/_dev/counts was answered with {status}");
        let told: Value = serde_json::from_slice(&body)?;
        let count = |name: &str| told[name].as_u64().unwrap_or_default();
        Ok(Some(BrokerCounts {
            connected: count("connected"),
            throttled: count("throttled"),
        }))
    }
}

/// Makes a queue, and a rule that sends the events of the load there; the queue's URL.
async fn lead_to_queue(http: &mut Http) -> anyhow::Result<String> {
    let asked = json!({ "QueueName": "events", "Attributes": { "VisibilityTimeout": "60" } });
    let made = http.json("AmazonSQS.CreateQueue", &asked).await?;
    let queue = made["QueueUrl"].as_str().context("no queue")?.to_owned();
    let pattern = json!({ "source": [SOURCE] }).to_string();
    let rule = json!({ "Name": "to-eventcast", "EventPattern": pattern });
    http.json("AWSEvents.PutRule", &rule).await?;
    let target = json!({ "Id": "events", "Arn": "arn:aws:sqs:us-east-1:000000000000:events" });
    let targets = json!({ "Rule": "to-eventcast", "Targets": [target] });
    http.json("AWSEvents.PutTargets", &targets).await?;
    Ok(queue)
}
