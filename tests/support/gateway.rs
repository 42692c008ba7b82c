//! Gateways within the test's own process, and a client of theirs that speaks HTTP by hand.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eventcast::broker::BrokerAddress;
use eventcast::config::{Config, ConfigSource, load};
use eventcast::gateway::api::cors::Origins;
use eventcast::gateway::api::{Gateway, GatewayOptions};
use eventcast::gateway::directory::{Directory, IssuerRoles};
use eventcast::gateway::limits::Limits;
use eventcast::gateway::link::BrokerSettings;
use eventcast::gateway::seal::{SealingKeys, SealingSecret};
use eventcast::gateway::sessions::Sessions;
use eventcast::http_server::{HttpLimits, serve};
use eventcast::shutdown::Shutdown;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// 32 bytes that every task of a test has.
pub(crate) const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The origin whose pages tests may use.
pub(crate) const ORIGIN: &str = "https://shop.example";

pub(crate) fn config(text: &str) -> Config {
    let loaded = load(&ConfigSource {
        file: "eventcast.yaml",
        text,
        ..ConfigSource::default()
    });
    loaded.config.expect("the configuration is right")
}

pub(crate) fn directory(config: &Config) -> Directory {
    let issuers = config.authorizer.issuers.iter().map(|known| IssuerRoles {
        issuer: known.issuer.clone(),
        role_claim: known.role_claim.clone(),
    });
    Directory {
        kinds: config.kinds.clone(),
        environment: config.environment.clone(),
        roles: config.roles.clone(),
        issuers: issuers.collect(),
    }
}

/// A broker's settings, with waits that a test can bear.
pub(crate) fn settings(port: u16) -> BrokerSettings {
    let broker = BrokerAddress::parse(&format!("mqtt://127.0.0.1:{port}")).unwrap();
    BrokerSettings {
        connect_interval: Duration::ZERO,
        ..BrokerSettings::plain(broker)
    }
}

/// One task. Dropping it is as `kill -9`.
pub(crate) struct Task {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) shutdown: Shutdown,
    pub(crate) address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Task {
    pub(crate) async fn start(settings: BrokerSettings, directory: Directory) -> Self {
        Self::limited(settings, directory, Limits::default()).await
    }

    pub(crate) async fn limited(
        settings: BrokerSettings,
        directory: Directory,
        limits: Limits,
    ) -> Self {
        let keys = SealingKeys::try_new(SealingSecret::parse(SECRET).unwrap(), None).unwrap();
        let shutdown = Shutdown::default();
        let sessions = Sessions::new(keys, settings, directory);
        let options = GatewayOptions {
            limits,
            origins: Origins::Listed(Arc::from([ORIGIN.to_owned()])),
            is_forwarded: true,
        };
        let gateway = Gateway::new(sessions, shutdown.clone(), options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let router = gateway.router();
        tasks.spawn(async move { serve(listener, router, HttpLimits::CLIENTS).await.unwrap() });
        Self {
            gateway,
            shutdown,
            address,
            tasks,
        }
    }

    pub(crate) fn client(&self, token: Option<&str>) -> Client {
        Client {
            address: self.address,
            token: token.map(str::to_owned),
            session: String::new(),
            cursor: String::new(),
        }
    }

    /// Ends as a process that is killed: connections break off without a word.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
        self.gateway.sessions().abort();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }

    /// The ids of its messages.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let messages = self.body["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["id"].as_str().unwrap())
            .collect()
    }
}

/// A client with a session.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) session: String,
    pub(crate) cursor: String,
}

impl Client {
    /// Goes on at another task.
    pub(crate) fn at(&self, task: &Task) -> Self {
        Self {
            address: task.address,
            ..self.clone()
        }
    }

    fn headers(&self) -> String {
        let token = self.token.iter();
        let token: String = token
            .map(|token| format!("authorization: Bearer {token}\r\n"))
            .collect();
        format!("content-type: application/json\r\n{token}")
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = self.headers();
        request(
            self.address,
            method,
            path,
            &headers,
            body.to_string().as_bytes(),
        )
        .await
    }

    pub(crate) async fn stream(&self) -> Events {
        let asked = json!({ "session": self.session, "cursor": self.cursor });
        let headers = self.headers();
        let body = asked.to_string();
        Events::open(self.address, "POST", "/rt/v1/stream", &headers, &body).await
    }

    /// Makes a session for channels, and keeps it.
    pub(crate) async fn open(&mut self, channels: &[&str]) -> Answer {
        let asked = json!({ "channels": channels });
        let answer = self.call("POST", "/rt/v1/session", &asked).await;
        if answer.status == 201 {
            self.session = answer.body["session"].as_str().unwrap().into();
            self.cursor = answer.body["cursor"].as_str().unwrap().into();
        }
        answer
    }

    /// Polls, and leaves the cursor as it is, as after a lost response.
    pub(crate) async fn poll_once(&self, seconds: u64) -> Answer {
        let asked = json!({
            "session": self.session, "cursor": self.cursor, "timeout_s": seconds, "max": 100,
        });
        self.call("POST", "/rt/v1/poll?n=1", &asked).await
    }

    /// Polls, and keeps the cursor.
    pub(crate) async fn poll(&mut self, seconds: u64) -> Answer {
        let answer = self.poll_once(seconds).await;
        if answer.status == 200 {
            self.cursor = answer.body["cursor"].as_str().unwrap().into();
        }
        answer
    }
}

/// An event stream, as it is read.
pub(crate) struct Events {
    stream: TcpStream,
    head: String,
    rest: Vec<u8>,
}

/// An event: its name, its id, its data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Events {
    pub(crate) async fn open(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: gateway\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut events = Self {
            stream,
            head: String::new(),
            rest: Vec::new(),
        };
        events.head = events.until("\r\n\r\n").await.expect("a head");
        events
    }

    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// Text before the next mark, which is taken too; `None` at the end of the connection.
    async fn until(&mut self, mark: &str) -> Option<String> {
        loop {
            let mark = mark.as_bytes();
            let found = self.rest.windows(mark.len()).position(|it| it == mark);
            if let Some(at) = found {
                let text: Vec<u8> = self.rest.drain(..at + mark.len()).collect();
                return Some(String::from_utf8(text).unwrap());
            }
            if self.stream.read_buf(&mut self.rest).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next event, heartbeats left out; `None` at a proper end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            // Each write is a chunk of its own (RFC 9112, section 7.1).
            let size = self.until("\r\n").await.expect("a chunk");
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if size == 0 {
                return None;
            }
            while self.rest.len() < size + 2 {
                assert_ne!(self.stream.read_buf(&mut self.rest).await.unwrap(), 0);
            }
            let chunk: Vec<u8> = self.rest.drain(..size + 2).collect();
            let text = String::from_utf8(chunk[..size].to_vec()).unwrap();
            assert_eq!(text.matches("\n\n").count(), 1, "one event a chunk: {text}");
            let field = |name: &str| {
                let mut lines = text.lines();
                let found = lines.find_map(|line| line.strip_prefix(name));
                found.unwrap_or_default().to_owned()
            };
            if !text.contains("data: ") {
                continue;
            }
            return Some(Event {
                name: field("event: "),
                id: field("id: "),
                data: serde_json::from_str(&field("data: ")).unwrap(),
            });
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server may answer, and close, before it has read all.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    parse(&String::from_utf8(bytes).unwrap())
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Answer {
        status: status.parse().unwrap(),
        headers: headers.collect(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}
