//! `eventcast dev` with the limits of a scenario.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use eventcast::simulation::scenario::AccountQuotas;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use super::process::Process;

/// Time that the process may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// A running broker; it ends with this.
pub(crate) struct Platform {
    _broker: Process,
    _output: Lines<BufReader<ChildStdout>>,
    /// The port of MQTT over TCP.
    pub(crate) mqtt: u16,
}

impl Platform {
    pub(crate) async fn start(eventcast: &str, quotas: &AccountQuotas) -> anyhow::Result<Self> {
        let limit = |name: &str, rate: u32| match rate {
            0 => format!("{name}=off"),
            rate => format!("{name}={rate}"),
        };
        let mut command = Command::new(eventcast);
        command
            .args(["dev", "--bare", "--format", "json", "--port", "0"])
            .args(["--mqtt-port", "0", "--websocket-port", "0"])
            .args(["--limit", &limit("account-connects", quotas.connect_quota)])
            .args([
                "--limit",
                &limit("account-subscribes", quotas.subscribe_quota),
            ])
            // Each refusal is a line otherwise.
            .env("EVENTCAST_LOG", "error")
            .stdout(Stdio::piped());
        let mut broker = Process::start(&mut command)?;
        let stdout = broker.child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(READY, lines.next_line()).await??;
        let told: Value = serde_json::from_str(&line.context("it ended at once")?)?;
        let url = told["mqtt"]
            .as_str()
            .with_context(|| format!("no mqtt: {told}"))?;
        Ok(Self {
            mqtt: url.rsplit(':').next().unwrap_or_default().parse()?,
            _broker: broker,
            _output: lines,
        })
    }
}
