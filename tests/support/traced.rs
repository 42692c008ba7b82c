//! A queue, a broker with a subscriber, and the daemon between them with OpenTelemetry's variables
//! as a test wants them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that fails should say where"
)]

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
};

use super::dev::Dev;
use super::lines::{Lines, until};
use super::mosquitto::Mosquitto;

const CONFIG: &str = r#"
channels: { order: { id: { pattern: "[a-z0-9]+" } } }
routes:
  - name: orders
    match: { source: [shop.orders] }
    to: ["order:{detail.order}"]
bridge:
  publish: mqtt
  wait: 1s
  drain: 10s
"#;

/// A queue, a broker with a subscriber, and the daemon between them.
pub(crate) struct Platform {
    dev: Dev,
    sqs: Client,
    queue: String,
    dead: String,
    broker: Mosquitto,
    folder: PathBuf,
    bridge: Option<Child>,
}

impl Platform {
    /// Starts all but the daemon.
    pub(crate) async fn new(name: &str) -> Self {
        let dev = Dev::start(&[]);
        let credentials = Credentials::new("testing", "testing", None, None, "test");
        let config = eventcast::aws::client::environment().await.to_builder();
        let config = config
            .endpoint_url(dev.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let sqs = Client::new(&config);
        let create = async |name: &str| {
            let request = sqs.create_queue().queue_name(name);
            let request = request.attributes(QueueAttributeName::VisibilityTimeout, "30");
            request.send().await.unwrap().queue_url.unwrap()
        };
        let folder =
            std::env::temp_dir().join(format!("eventcast-traces-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("eventcast.yaml"), CONFIG).unwrap();
        Self {
            queue: create("events").await,
            dead: create("events-dlq").await,
            sqs,
            dev,
            broker: Mosquitto::start(),
            folder,
            bridge: None,
        }
    }

    /// The daemon's command line and environment; the variables of OpenTelemetry are those given
    /// alone.
    pub(crate) fn command(&self, otel: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command
            .args(["bridge", "--log-format", "json", "--config"])
            .arg(self.folder.join("eventcast.yaml"))
            .arg(format!("--set=bridge.queue={}", self.queue))
            .arg(format!("--set=bridge.dead_letter_queue={}", self.dead))
            .arg(format!(
                "--set=bridge.broker=mqtt://127.0.0.1:{}",
                self.broker.mqtt_port()
            ));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", self.dev.endpoint())
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_REGION", "us-east-1")
            .envs(otel.iter().copied());
        command
    }

    /// Starts the daemon and waits until it is up.
    pub(crate) fn start_bridge(&mut self, otel: &[(&str, &str)]) {
        let log = File::create(self.folder.join("log")).unwrap();
        self.bridge = Some(self.command(otel).stderr(log).spawn().unwrap());
        until("the bridge is up", || {
            self.log().contains("the bridge is up")
        });
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Sends a body, with the trace header of AWS X-Ray where one is given.
    pub(crate) async fn send(&self, body: &str, header: Option<&str>) {
        let mut request = self.sqs.send_message().queue_url(&self.queue);
        if let Some(header) = header {
            let value = MessageSystemAttributeValue::builder()
                .data_type("String")
                .string_value(header)
                .build();
            let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
            request = request.message_system_attributes(name, value.unwrap());
        }
        request.message_body(body).send().await.unwrap();
    }

    pub(crate) async fn left(&self) -> usize {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.sqs.get_queue_attributes().queue_url(&self.queue);
        let request = request.set_attribute_names(Some(names.to_vec()));
        let counts = request.send().await.unwrap().attributes.unwrap();
        counts
            .values()
            .map(|count| count.parse::<usize>().unwrap())
            .sum()
    }

    pub(crate) async fn emptied(&self) {
        for _ in 0..600 {
            if self.left().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the queue is not empty");
    }

    /// Ends the daemon in order, and returns the time that it took.
    pub(crate) fn end(&mut self) -> Duration {
        let mut bridge = self.bridge.take().unwrap();
        let id = bridge.id().to_string();
        let began = tokio::time::Instant::now();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert_eq!(bridge.wait().unwrap().code(), Some(0));
        began.elapsed()
    }

    /// A subscriber that writes topics and user properties.
    pub(crate) fn subscriber(&self) -> Lines {
        let port = self.broker.mqtt_port().to_string();
        let subscriber = Lines::of(
            Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &port, "-V", "mqttv5"])
                .args(["-q", "1", "-t", "#", "-F", "%t %P"]),
        );
        let publish = || {
            let mut command = Command::new("mosquitto_pub");
            command.args(["-h", "127.0.0.1", "-p", &port, "-t", "probe", "-m", "x"]);
            command.stderr(Stdio::null()).status()
        };
        until("the subscription stands", || {
            let _ = publish();
            subscriber.has("probe")
        });
        subscriber
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Some(bridge) = &mut self.bridge {
            let _ = bridge.kill();
            let _ = bridge.wait();
        }
        if thread::panicking() {
            eprintln!("the bridge's log:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
