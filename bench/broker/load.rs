//! Brokers side by side: `eventcast dev` and mosquitto under the same load in one run, by CPU time
//! and memory of their processes.
//!
//! `load EVENTCAST [--subscribers N] [--messages N] [--window N] [--rounds N]`. Scenes: idle; N
//! WebSocket subscribers of a topic each; fan-out 1 and fan-out 1,000 at QoS 1, over TCP and over
//! WebSocket, with so many messages (the window) on their way at once. Prints a line of JSON for
//! each. The client here is written for the load: it acknowledges in batches, and looks at nothing
//! but lengths. `eventcast` is the endpoints alone (`dev --bare`), `inspected` has bridge and
//! inspector inside, and somebody looks at the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark that fails should say where"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

const PAYLOAD: usize = 200;

/// Time for which a broker is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(2);

/// A configuration without roles: every client may do everything.
const CONFIG: &str = "channels: { load: { id: uuid } }
routes: [{ name: load, match: { source: [load] }, to: ['load:{detail.id}'] }]
bridge: { queue: https://sqs.eu-central-1.amazonaws.com/123456789012/load }
";

/// A broker as a process of its own.
struct Server {
    name: &'static str,
    process: Child,
    mqtt: u16,
    websocket: u16,
    /// From its start until it said that it is ready; `None` of a broker that says nothing.
    started: Option<Duration>,
    /// URL of the inspector's page.
    page: Option<String>,
}

impl Server {
    /// The broker with a bus and queues, nothing that uses them.
    fn eventcast(binary: &str) -> Self {
        Self::dev("eventcast", binary, &["--bare"])
    }

    /// All that `eventcast dev` has.
    fn inspected(binary: &str) -> Self {
        let file = std::env::temp_dir().join(format!("eventcast-load-{}.yaml", std::process::id()));
        fs::write(&file, CONFIG).unwrap();
        let server = Self::dev("inspected", binary, &["--config", file.to_str().unwrap()]);
        fs::remove_file(file).unwrap();
        server
    }

    fn dev(name: &'static str, binary: &str, how: &[&str]) -> Self {
        let begin = Instant::now();
        let mut process = Command::new(binary)
            .arg("dev")
            .args(how)
            .args(["--port", "0", "--mqtt-port", "0", "--websocket-port", "0"])
            .args(["--broker", "general", "--format", "json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let started = begin.elapsed();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let port = |scheme: &str| {
            let url = told[scheme].as_str().unwrap();
            let port = url.rsplit(':').next().unwrap();
            port.trim_end_matches("/mqtt").parse().unwrap()
        };
        Self {
            name,
            mqtt: port("mqtt"),
            websocket: port("ws"),
            process,
            started: Some(started),
            page: told["page"].as_str().map(str::to_owned),
        }
    }

    /// Reads the events of the inspector's page, for ever.
    async fn look(&self) -> Option<JoinHandle<()>> {
        let address = self.page.as_ref()?.strip_prefix("http://")?;
        let mut io = TcpStream::connect(address.trim_end_matches('/'))
            .await
            .unwrap();
        io.write_all(b"GET /_dev/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = vec![0; 64 * 1024];
        let count = io.read(&mut bytes).await.unwrap();
        assert!(
            bytes[..count].starts_with(b"HTTP/1.1 200"),
            "the page is told"
        );
        Some(tokio::spawn(async move {
            while io.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        }))
    }

    fn mosquitto() -> Self {
        let free = || {
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let (mqtt, websocket) = (free(), free());
        let file = std::env::temp_dir().join(format!("eventcast-load-{mqtt}.conf"));
        let text = format!(
            "user root\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 1000\n\
             max_queued_messages 0\nlog_dest none\nlistener {mqtt} 127.0.0.1\nprotocol mqtt\n\
             listener {websocket} 127.0.0.1\nprotocol websockets\n"
        );
        fs::write(&file, text).unwrap();
        let process = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed");
        Self {
            name: "mosquitto",
            process,
            mqtt,
            websocket,
            started: None,
            page: None,
        }
    }

    async fn ready(&self) {
        for port in [self.mqtt, self.websocket] {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Resident memory in KiB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Seconds of CPU so far, in user and system mode together.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Progress that a subscriber reports to the publisher.
#[derive(Default)]
struct Progress {
    delivered: AtomicU64,
    changed: Notify,
}

/// One connection, plain or WebSocket.
struct Client {
    io: TcpStream,
    is_websocket: bool,
    frames: Vec<u8>,
    packets: Vec<u8>,
}

impl Client {
    async fn open(server: &Server, is_websocket: bool, id: &str) -> Self {
        let port = if is_websocket {
            server.websocket
        } else {
            server.mqtt
        };
        let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        io.set_nodelay(true).unwrap();
        let mut client = Self {
            io,
            is_websocket,
            frames: Vec::new(),
            packets: Vec::new(),
        };
        if is_websocket {
            client.upgrade().await;
        }
        let mut body = b"\x00\x04MQTT\x04\x02\x02\x58".to_vec();
        body.extend(text(id));
        client.send(&packet(0x10, &body)).await;
        let (header, _) = client.next().await;
        assert_eq!(header >> 4, 2, "CONNACK");
        client
    }

    async fn upgrade(&mut self) {
        let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
        self.io.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(self.io.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
    }

    async fn send(&mut self, bytes: &[u8]) {
        if !self.is_websocket {
            return self.io.write_all(bytes).await.unwrap();
        }
        // Masked with zeros, which leaves the bytes as they are.
        let mut frame = vec![0x82];
        match u16::try_from(bytes.len()).unwrap() {
            short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(bytes);
        self.io.write_all(&frame).await.unwrap();
    }

    async fn read(&mut self) {
        let into = if self.is_websocket {
            &mut self.frames
        } else {
            &mut self.packets
        };
        let before = into.len();
        into.resize(before + 16 * 1024, 0);
        let count = self.io.read(&mut into[before..]).await.unwrap();
        assert!(count > 0, "the broker has closed");
        into.truncate(before + count);
        while let Some((begin, end)) = frame(&self.frames) {
            self.packets.extend_from_slice(&self.frames[begin..end]);
            self.frames.drain(..end);
        }
    }

    /// Takes one packet: its first byte and its body.
    fn take(&mut self, at: &mut usize) -> Option<(u8, std::ops::Range<usize>)> {
        let bytes = &self.packets[*at..];
        let width = bytes.iter().skip(1).take_while(|byte| **byte > 127).count() + 1;
        let lengths = bytes.get(1..1 + width)?.iter().enumerate();
        let length: usize = lengths
            .map(|(n, byte)| usize::from(byte & 127) << (7 * n))
            .sum();
        let end = 1 + width + length;
        if bytes.len() < end {
            return None;
        }
        let body = *at + 1 + width..*at + end;
        let header = bytes[0];
        *at += end;
        Some((header, body))
    }

    async fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            let mut at = 0;
            if let Some((header, body)) = self.take(&mut at) {
                let body = self.packets[body].to_vec();
                self.packets.drain(..at);
                return (header, body);
            }
            self.read().await;
        }
    }

    async fn subscribe(&mut self, filter: &str) {
        let mut body = vec![0, 1];
        body.extend(text(filter));
        body.push(1);
        self.send(&packet(0x82, &body)).await;
        let (header, body) = self.next().await;
        assert_eq!((header >> 4, body[2]), (9, 1), "SUBACK");
    }

    /// Acknowledges everything that comes, for ever.
    async fn listen(mut self, progress: Arc<Progress>) {
        let mut answers = Vec::new();
        loop {
            self.read().await;
            let (mut at, mut count) = (0, 0);
            answers.clear();
            while let Some((header, body)) = self.take(&mut at) {
                if header >> 4 == 3 {
                    let topic = usize::from(u16::from_be_bytes([
                        self.packets[body.start],
                        self.packets[body.start + 1],
                    ]));
                    let id = body.start + 2 + topic;
                    answers.extend([0x40, 2, self.packets[id], self.packets[id + 1]]);
                    count += 1;
                }
            }
            self.packets.drain(..at);
            if count > 0 {
                let answers = std::mem::take(&mut answers);
                self.send(&answers).await;
                progress.delivered.fetch_add(count, Ordering::Relaxed);
                progress.changed.notify_one();
            }
        }
    }
}

/// The first frame's payload.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(bytes.get(1)? & 127);
    let (begin, length) = match short {
        126 => {
            let length = bytes.get(2..4)?;
            (4, usize::from(u16::from_be_bytes([length[0], length[1]])))
        }
        127 => {
            let length = bytes.get(2..10)?.try_into().unwrap();
            (10, usize::try_from(u64::from_be_bytes(length)).unwrap())
        }
        short => (2, short),
    };
    (bytes.len() >= begin + length).then_some((begin, begin + length))
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![header];
    let mut length = body.len();
    loop {
        let more = length > 127;
        bytes.push(u8::try_from(length % 128).unwrap() | (u8::from(more) << 7));
        length /= 128;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Publishes to `fan_out` subscribers, and reports the result.
async fn fan_out(server: &Server, fan_out: u64, messages: u64, window: u64, is_websocket: bool) {
    let progress = Arc::new(Progress::default());
    let mut tasks = JoinSet::new();
    let topic = |_| "load/topic".to_owned();
    for client in subscribers(server, fan_out, is_websocket, topic).await {
        tasks.spawn(client.listen(Arc::clone(&progress)));
    }
    let publisher = Client::open(server, false, "publisher").await;
    let (mut answers, mut out) = publisher.io.into_split();
    tasks.spawn(async move {
        let mut bytes = vec![0; 16 * 1024];
        while answers.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    });
    let (cpu, begin) = (server.cpu(), Instant::now());
    let total = messages * fan_out;
    let mut sent = 0;
    let mut id = 0_u16;
    let payload = vec![b'x'; PAYLOAD];
    loop {
        let delivered = progress.delivered.load(Ordering::Relaxed);
        if delivered >= total {
            break;
        }
        let mut burst = Vec::new();
        while sent < messages && sent * fan_out < delivered + window * fan_out {
            id = id.checked_add(1).unwrap_or(1);
            let mut body = text("load/topic");
            body.extend(id.to_be_bytes());
            body.extend(&payload);
            burst.extend(packet(0x32, &body));
            sent += 1;
        }
        if burst.is_empty() {
            timeout(Duration::from_secs(60), progress.changed.notified())
                .await
                .expect("messages arrive");
        } else {
            out.write_all(&burst).await.unwrap();
        }
    }
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), server.cpu() - cpu);
    let told = serde_json::json!({
        "broker": server.name,
        "scene": format!("fan-out {fan_out}, QoS 1, window {window}, {}", if is_websocket { "WebSocket" } else { "TCP" }),
        "deliveries": total,
        "deliveries_per_second": (total as f64 / wall).round(),
        "deliveries_per_cpu_second": (total as f64 / cpu).round(),
        "cpu_microseconds_each": (cpu / total as f64 * 1e8).round() / 100.0,
        "memory_kib": server.memory(),
    });
    println!("{told}");
}

/// Connects and subscribes, many at once: mosquitto takes its time for each WebSocket.
async fn subscribers(
    server: &Server,
    count: u64,
    is_websocket: bool,
    topic: impl Fn(u64) -> String,
) -> Vec<Client> {
    const AT_ONCE: u64 = 200;
    let mut clients = Vec::new();
    for from in (0..count).step_by(200) {
        let some = (from..count.min(from + AT_ONCE)).map(|n| {
            let topic = topic(n);
            async move {
                let mut client = Client::open(server, is_websocket, &format!("s{n}")).await;
                client.subscribe(&topic).await;
                client
            }
        });
        clients.extend(join_all(some).await);
    }
    clients
}

async fn hold(server: &Server, count: u64) {
    let before = server.memory();
    let topic = |n| format!("hold/{n}/5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11");
    let clients = subscribers(server, count, true, topic).await;
    let after = server.memory();
    let told = serde_json::json!({
        "broker": server.name,
        "scene": format!("{count} WebSocket subscribers"),
        "memory_kib": after,
        "bytes_each": (after - before) * 1024 / count,
    });
    println!("{told}");
    drop(clients);
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let binary = arguments
        .first()
        .expect("the path of eventcast comes first");
    let subscribers = option("--subscribers", 10_000);
    let messages = option("--messages", 1_000);
    let window = option("--window", 50);
    for _ in 0..option("--rounds", 1) {
        for start in [
            |binary: &str| Server::eventcast(binary),
            |binary: &str| Server::inspected(binary),
            |_: &str| Server::mosquitto(),
        ] {
            let server = start(binary);
            server.ready().await;
            sleep(IDLE).await;
            let told = serde_json::json!({
                "broker": server.name, "scene": "idle", "memory_kib": server.memory(),
                "ready_after_milliseconds": server.started.map(|started| started.as_millis()),
            });
            println!("{told}");
            let page = server.look().await;
            for is_websocket in [false, true] {
                fan_out(&server, 1, messages * 50, window, is_websocket).await;
                fan_out(&server, 1_000, messages, window, is_websocket).await;
            }
            if let Some(page) = page {
                page.abort();
            }
            drop(server);
            let server = start(binary);
            server.ready().await;
            hold(&server, subscribers).await;
        }
    }
}
