//! Subscribers: MQTT 3.1.1 over TCP, QoS 1, as few topics on a connection as keep it far below IoT
//! Core's 100 messages a second.
//!
//! Written for the load: it looks at nothing but a message's number, and acknowledges in batches. A
//! topic that is too busy for one connection has a shared subscription with several members.

use std::rc::Rc;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use super::record::Record;
use super::scenario::Load;
use super::schedule::topic_name;

/// The messages a second that one connection should get: so few that a burst stays below the limit
/// as well.
pub(crate) const MESSAGES_PER_SECOND: u32 = 25;

/// Filters in one SUBSCRIBE, and on one connection (AWS General Reference, "AWS IoT Core endpoints
/// and quotas").
const FILTERS_PER_SUBSCRIBE: usize = 8;
const FILTERS: usize = 50;

/// Subscriptions before a pause, which keeps all of them below the account's 3,000 a second.
const SUBSCRIPTIONS: usize = 500;
const PAUSE: Duration = Duration::from_millis(250);

/// One connection.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    bytes: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(port: u16, client_id: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            bytes: Vec::new(),
        };
        // MQTT 3.1.1, a clean session, a keep-alive of ten minutes.
        let mut body = b"\x00\x04MQTT\x04\x02\x02\x58".to_vec();
        push_text(&mut body, client_id);
        connection.stream.write_all(&packet(0x10, &body)).await?;
        let (header, answer) = connection.next().await?;
        ensure!(
            header == 0x20 && answer.get(1) == Some(&0),
            "CONNACK says no"
        );
        Ok(connection)
    }

    async fn subscribe(&mut self, filters: &[String]) -> anyhow::Result<()> {
        let mut body = vec![0, 1];
        for filter in filters {
            push_text(&mut body, filter);
            body.push(1);
        }
        self.stream.write_all(&packet(0x82, &body)).await?;
        let (header, answer) = self.next().await?;
        let granted = answer.iter().skip(2).filter(|code| **code == 1).count();
        ensure!(header == 0x90 && granted == filters.len(), "SUBACK says no");
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((header, begin, end)) = first_packet(&self.bytes) {
                let body = self.bytes[begin..end].to_vec();
                self.bytes.drain(..end);
                return Ok((header, body));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let count = self.stream.read_buf(&mut self.bytes).await?;
        ensure!(count > 0, "the broker has closed a subscriber's connection");
        Ok(())
    }

    /// Records and acknowledges whatever comes, until the connection ends.
    async fn listen(mut self, record: Rc<Record>) -> anyhow::Result<()> {
        let mut answers = Vec::new();
        loop {
            let mut at = 0;
            while let Some((header, begin, end)) = first_packet(&self.bytes[at..]) {
                let body = &self.bytes[at + begin..at + end];
                at += end;
                if header >> 4 != 3 {
                    continue;
                }
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let id = &body[2 + topic..4 + topic];
                record.receipt(&body[4 + topic..]);
                answers.extend([0x40, 2, id[0], id[1]]);
            }
            self.bytes.drain(..at);
            if !answers.is_empty() {
                self.stream.write_all(&answers).await?;
                answers.clear();
            }
            self.read().await?;
        }
    }
}

/// Header byte, and begin and end of the body, of the first packet if it is whole.
pub(crate) fn first_packet(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut length, mut width) = (0, 0);
    loop {
        let byte = *bytes.get(1 + width)?;
        length |= usize::from(byte & 127) << (7 * width);
        width += 1;
        if byte < 128 {
            break;
        }
    }
    let begin = 1 + width;
    (bytes.len() >= begin + length).then(|| (bytes[0], begin, begin + length))
}

pub(crate) fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
}

pub(crate) fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![header];
    let mut length = body.len();
    while length > 127 {
        bytes.push((length % 128) as u8 | 128);
        length /= 128;
    }
    bytes.push(length as u8);
    bytes.extend(body);
    bytes
}

/// The filters of each connection, so that it gets so many messages a second.
fn filters(load: Load, messages_per_second: u32) -> Vec<Vec<String>> {
    let mut connections = Vec::new();
    let mut add = |topics: Vec<u32>, rate: f64| {
        let each = rate / topics.len() as f64;
        let members = (each / f64::from(messages_per_second)).ceil() as usize;
        if members > 1 {
            for topic in topics {
                let filter = format!("$share/limits/{}", topic_name(topic));
                connections.extend(vec![vec![filter]; members + 1]);
            }
            return;
        }
        let together = (f64::from(messages_per_second) / each) as usize;
        let together = together.clamp(1, FILTERS);
        let chunks = topics.chunks(together);
        connections
            .extend(chunks.map(|some| some.iter().map(|topic| topic_name(*topic)).collect()));
    };
    add((0..load.topics).collect(), f64::from(load.rate));
    if load.hot_rate > 0 {
        add(vec![load.topics], f64::from(load.hot_rate));
    }
    connections
}

/// Connections that have subscribed to all topics of a load, and do not listen yet.
pub(crate) async fn subscribe(
    port: u16,
    load: Load,
    messages_per_second: u32,
) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    let mut subscribed = 0;
    for (number, filters) in filters(load, messages_per_second).into_iter().enumerate() {
        let mut connection = Connection::open(port, &format!("subscriber-{number}"))
            .await
            .context("connecting a subscriber")?;
        for some in filters.chunks(FILTERS_PER_SUBSCRIBE) {
            connection.subscribe(some).await?;
        }
        connections.push(connection);
        subscribed += filters.len();
        if subscribed > SUBSCRIPTIONS {
            subscribed = 0;
            sleep(PAUSE).await;
        }
    }
    Ok(connections)
}

/// Listens on all of them; a task ends with its connection.
pub(crate) fn listen(
    connections: Vec<Connection>,
    record: &Rc<Record>,
) -> JoinSet<anyhow::Result<()>> {
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn_local(connection.listen(Rc::clone(record)));
    }
    tasks
}
