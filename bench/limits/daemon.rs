//! The daemon under test: `eventcast bridge` with IoT Core's pacing, which is its default.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::http::Http;
use super::platform::{Platform, SOURCE};
use super::process::Process;
use super::scenario::AccountQuota;

/// Time for a start on a busy machine.
const START: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// The part of a log that is shown when a daemon does not work.
const LOG_BYTES: usize = 2_000;

/// A build, and its settings beyond the defaults.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) binary: String,
    /// `KEY=VALUE` as for `eventcast bridge --set`.
    pub(crate) settings: Vec<String>,
}

pub(crate) struct Daemon {
    pub(crate) process: Process,
    address: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts one task, whose files are in `folder`.
    pub(crate) fn start(
        build: &Build,
        platform: &Platform,
        quota: Option<AccountQuota>,
        folder: &Path,
        number: u32,
    ) -> anyhow::Result<Self> {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = probe.local_addr()?.to_string();
        drop(probe);
        let pace = quota.map(|quota| {
            let AccountQuota {
                publishes,
                configured_tasks,
            } = quota;
            format!("  pace: {{ account: {publishes}, tasks: {configured_tasks} }}\n")
        });
        let config = folder.join(format!("eventcast-{number}.yaml"));
        let text = format!(
            "channels: {{ order: {{ id: uuid }} }}\n\
             routes:\n\
             \x20 - name: orders\n\
             \x20   match: {{ source: [{SOURCE}] }}\n\
             \x20   to: [\"order:{{detail.orderId}}\"]\n\
             bridge:\n\
             \x20 queue: {queue}\n\
             \x20 broker: mqtt://127.0.0.1:{mqtt}\n\
             \x20 listen: {address}\n\
             {pace}",
            queue = platform.queue,
            mqtt = platform.mqtt,
            pace = pace.unwrap_or_default(),
        );
        fs::write(&config, text)?;
        let log = folder.join(format!("eventcast-{number}.log"));
        let mut command = Command::new(&build.binary);
        command.args(["bridge", "--config"]).arg(&config);
        for setting in &build.settings {
            command.args(["--set", setting]);
        }
        let endpoint = format!("http://{}", platform.address);
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(File::create(
                folder.join(format!("eventcast-{number}.out")),
            )?)
            .stderr(File::create(&log)?);
        let process = Process::start(&mut command)?;
        Ok(Self {
            process,
            address,
            log,
        })
    }

    /// Waits until queue and broker are reached.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.process.child.try_wait()? {
                bail!("the daemon has ended ({status}):\n{}", self.log_end());
            }
            if let Ok(mut http) = Http::open(&self.address).await
                && let Ok((200, _)) = http.read("/readyz").await
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the daemon does not become ready:\n{}", self.log_end());
            }
            sleep(LOOK).await;
        }
    }

    /// A metric of the daemon, added up over its labels.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let mut http = Http::open(&self.address)
            .await
            .with_context(|| self.log_end())?;
        let (_, metrics) = http.read("/metrics").await?;
        let metrics = String::from_utf8_lossy(&metrics);
        let values = metrics
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum::<f64>() as u64)
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let skipped = log.chars().count().saturating_sub(LOG_BYTES);
        log.chars().skip(skipped).collect()
    }
}
