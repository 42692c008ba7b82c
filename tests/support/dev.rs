//! `eventcast dev` in a process of its own.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The header line that every request needs.
const LOCALHOST: &str = "host: localhost\r\n";

/// A running `eventcast dev`; killed when dropped.
pub(crate) struct Dev {
    process: Child,
    endpoint: String,
    told: serde_json::Value,
    lines: BufReader<ChildStdout>,
    arguments: Vec<String>,
}

impl Dev {
    /// The endpoints alone.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::assembled(&[&["--bare"], arguments].concat())
    }

    /// Everything: the built-in shop, its bridge and the inspector.
    pub(crate) fn assembled(arguments: &[&str]) -> Self {
        Self::at(0, arguments.iter().map(|one| (*one).to_owned()).collect())
    }

    /// With MQTT at a port; 0 is any.
    fn at(mqtt_port: u16, arguments: Vec<String>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["dev", "--port", "0", "--format", "json"])
            .args(["--mqtt-port", &mqtt_port.to_string()])
            .args(["--websocket-port", "0"])
            .args(&arguments)
            .env_remove("EVENTCAST_CONFIG")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let told = read_json(&mut lines).unwrap();
        Self {
            process,
            endpoint: told["endpoint"].as_str().unwrap().to_owned(),
            told,
            lines,
            arguments,
        }
    }

    /// Ends it as `kill -9` does, and starts it again with its MQTT port. All that it held is gone.
    pub(crate) fn restart(&mut self) {
        let port = self.port("mqtt");
        let _ = self.process.kill();
        self.ended();
        *self = Self::at(port, std::mem::take(&mut self.arguments));
    }

    /// The line that it wrote when it was ready.
    pub(crate) fn told(&self) -> &serde_json::Value {
        &self.told
    }

    /// The next line that it writes; `None` at its end.
    pub(crate) fn next(&mut self) -> Option<serde_json::Value> {
        read_json(&mut self.lines)
    }

    /// Asks it to end, as Ctrl-C does. Returns its exit status.
    pub(crate) fn interrupt(&mut self) -> Option<i32> {
        self.signal("-INT");
        self.ended()
    }

    /// Waits for its end; its exit status.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// The broker's port for a scheme, such as `mqtt` or `ws`.
    pub(crate) fn port(&self, scheme: &str) -> u16 {
        let url = self.told[scheme].as_str().unwrap();
        let port = url.trim_end_matches("/mqtt").rsplit(':').next().unwrap();
        port.parse().unwrap()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&mut self) {
        self.signal("-TERM");
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to reload its configuration.
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Address of its endpoint.
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

    /// The faults that there are, each with how often it has struck.
    pub(crate) fn faults(&self) -> Vec<serde_json::Value> {
        let answer = self.ask("GET", "");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    fn ask_faults(&self, method: &str, body: &str) {
        let answer = self.ask(method, body);
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    fn ask(&self, method: &str, body: &str) -> String {
        self.request(&format!("{method} /_dev/faults"), LOCALHOST, body)
    }

    /// One request over HTTP, such as `GET /health`, with these header lines; the whole answer.
    pub(crate) fn request(&self, request: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.endpoint.trim_start_matches("http://")).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Environment variables that direct an AWS SDK to it.
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

fn read_json(lines: &mut impl BufRead) -> Option<serde_json::Value> {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
