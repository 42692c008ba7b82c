//! The processes of a round: the broker with TLS, and the gateway.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::process::Process;

/// Time that a process may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// Channels of orders, and a role whose bearer receives those of a token.
const CONFIGURATION: &str = r#"
channels:
  user: { id: uuid }
  order: { id: uuid }
routes:
  - name: orders
    match: { source: [bench.orders] }
    to: ["order:{detail.orderId}"]
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["order:{claims.order}"]
"#;

type Output = Lines<BufReader<ChildStdout>>;

/// A running platform; its processes end with it.
pub(crate) struct Platform {
    folder: PathBuf,
    _broker: Process,
    _output: Output,
    gateway: Process,
    /// The data plane's port.
    pub(crate) data_plane: u16,
    /// The address of the broker's WebSocket.
    pub(crate) websocket: String,
    /// The gateway's port.
    pub(crate) port: u16,
}

fn port_of(url: &str) -> anyhow::Result<u16> {
    let url = url.trim_end_matches("/mqtt");
    Ok(url.rsplit(':').next().unwrap_or_default().parse()?)
}

/// The first line of a process, and its output, which is to stay open.
async fn first_line(process: &mut Process) -> anyhow::Result<(Value, Output)> {
    let stdout = process.child.stdout.take().context("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = timeout(READY, lines.next_line()).await??;
    let line = line.context("it ended at once")?;
    Ok((serde_json::from_str(&line)?, lines))
}

impl Platform {
    pub(crate) async fn start(eventcast: &str) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("eventcast-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let file = folder.join("eventcast.yaml");
        fs::write(&file, CONFIGURATION)?;
        let mut command = Command::new(eventcast);
        command
            .args(["dev", "--no-bridge", "--format", "json", "--port", "0"])
            .args(["--mqtt-port", "0", "--websocket-port", "0"])
            .args(["--mqtts-port", "0", "--wss-port", "0"])
            .arg("--config")
            .arg(&file)
            .arg("--tls")
            .arg(folder.join("tls"))
            // The load is no account's of IoT Core.
            .args(["--broker", "general"])
            .stdout(std::process::Stdio::piped());
        let mut broker = Process::start(&mut command)?;
        let (told, output) = first_line(&mut broker).await.context("eventcast dev")?;
        let address = |name: &str| {
            told[name]
                .as_str()
                .with_context(|| format!("no {name}: {told}"))
        };
        let (port, free) = free_port().await?;
        drop(free);
        let settings = format!(
            "{CONFIGURATION}\
             gateway:\n\
             \x20 listen: 127.0.0.1:{port}\n\
             \x20 broker: {}\n\
             \x20 token_key: token\n\
             \x20 tls: {{ ca: '{}' }}\n\
             \x20 limits: {{ sessions_per_second: 0, requests_per_second: 0 }}\n",
            address("mqtts")?,
            address("authority")?
        );
        let file = folder.join("gateway.yaml");
        fs::write(&file, settings)?;
        let mut command = Command::new(eventcast);
        command
            .arg("gateway")
            .arg("--config")
            .arg(&file)
            // Base64 of 32 bytes.
            .env(
                "EVENTCAST_GATEWAY_SEALING_KEY",
                format!("{}=", "A".repeat(43)),
            )
            .env("EVENTCAST_LOG", "warn");
        let gateway = Process::start(&mut command)?;
        let platform = Self {
            data_plane: port_of(address("endpoint")?)?,
            websocket: address("ws")?.to_owned(),
            folder,
            _broker: broker,
            _output: output,
            gateway,
            port,
        };
        for _ in 0..READY.as_millis() / 50 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(platform);
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("eventcast gateway does not listen on port {port}")
    }

    /// The resident memory of the gateway, in bytes (proc(5), VmRSS).
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let id = self.gateway.child.id().context("the gateway has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kibibytes.context("no VmRSS")?.parse::<u64>()? * 1_024)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn free_port() -> anyhow::Result<(u16, tokio::net::TcpListener)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok((listener.local_addr()?.port(), listener))
}
