//! `eventcast dev` in a process of its own.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running `eventcast dev`; killed when dropped.
pub(crate) struct Dev {
    process: Child,
    endpoint: String,
    told: serde_json::Value,
}

impl Dev {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["dev", "--port", "0", "--format", "json"])
            .args(["--mqtt-port", "0", "--websocket-port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self {
            process,
            endpoint: told["endpoint"].as_str().unwrap().to_owned(),
            told,
        }
    }

    /// The broker's port for a scheme, such as `mqtt` or `ws`.
    pub(crate) fn port(&self, scheme: &str) -> u16 {
        let url = self.told[scheme].as_str().unwrap();
        let port = url.trim_end_matches("/mqtt").rsplit(':').next().unwrap();
        port.parse().unwrap()
    }

    /// Tells it to end.
    pub(crate) fn terminate(&mut self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Where it is reached.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What makes an AWS SDK talk to it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", "testing".into()),
            ("AWS_SECRET_ACCESS_KEY", "testing".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ]
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
