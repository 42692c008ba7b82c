//! `eventcast dev` in a process of its own.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
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

    /// Asks for a fault.
    pub(crate) fn fault(&self, fault: &serde_json::Value) {
        self.ask_faults("POST", &fault.to_string());
    }

    /// Ends all faults.
    pub(crate) fn no_faults(&self) {
        self.ask_faults("DELETE", "");
    }

    fn ask_faults(&self, method: &str, body: &str) {
        let mut stream = TcpStream::connect(self.endpoint.trim_start_matches("http://")).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} /_dev/faults HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
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
