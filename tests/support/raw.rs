//! MQTT byte by byte: a client under the test's control, which can do what a library would not do.
//!
//! It shares nothing with the broker's own codec, so that a mistake there cannot hide here.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for anything. On a paused clock it is over as soon as nothing can come any more.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// A connection to a broker.
pub(crate) struct Raw<T> {
    io: T,
    arrived: Vec<u8>,
    v5: bool,
}

/// Fields of a CONNECT packet.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) name: &'static str,
    pub(crate) level: u8,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) id: String,
    pub(crate) will: Option<Will>,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) properties: Vec<u8>,
}

#[derive(Clone, Default)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
}

/// CONNECT of MQTT 5 with a clean start.
pub(crate) fn v5(id: &str) -> Connect {
    Connect {
        name: "MQTT",
        level: 5,
        clean: true,
        keep_alive: 600,
        id: id.to_owned(),
        will: None,
        user_name: None,
        password: None,
        properties: Vec::new(),
    }
}

/// CONNECT of MQTT 3.1.1 with a clean session.
pub(crate) fn v3(id: &str) -> Connect {
    Connect { level: 4, ..v5(id) }
}

impl Connect {
    pub(crate) fn dirty(self) -> Self {
        Self {
            clean: false,
            ..self
        }
    }

    pub(crate) fn keep_alive(self, keep_alive: u16) -> Self {
        Self { keep_alive, ..self }
    }

    pub(crate) fn with(mut self, property: &[u8]) -> Self {
        self.properties.extend_from_slice(property);
        self
    }

    /// Session expiry in seconds.
    pub(crate) fn expiry(self, seconds: u32) -> Self {
        self.with(&number4(0x11, seconds))
    }

    pub(crate) fn will(self, will: Will) -> Self {
        Self {
            will: Some(will),
            ..self
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let v5 = self.level == 5;
        let mut body = text(self.name);
        body.push(self.level);
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0b100 | (will.qos << 3) | (u8::from(will.retain) << 5);
        }
        flags |= u8::from(self.user_name.is_some()) << 7;
        flags |= u8::from(self.password.is_some()) << 6;
        body.push(flags);
        body.extend(self.keep_alive.to_be_bytes());
        if v5 {
            body.extend(block(&self.properties));
        }
        body.extend(text(&self.id));
        if let Some(will) = &self.will {
            if v5 {
                body.extend(block(&will.properties));
            }
            body.extend(text(&will.topic));
            body.extend(text(&will.payload));
        }
        for credential in [&self.user_name, &self.password].into_iter().flatten() {
            body.extend(text(credential));
        }
        packet(0x10, &body)
    }
}

/// A packet from its first byte and its body.
pub(crate) fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![header];
    bytes.extend(variable(body.len()));
    bytes.extend(body);
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

pub(crate) fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = value > 127;
        bytes.push(u8::try_from(value % 128).unwrap() | (u8::from(more) << 7));
        value /= 128;
        if !more {
            return bytes;
        }
    }
}

/// A block of properties with its length.
pub(crate) fn block(properties: &[u8]) -> Vec<u8> {
    let mut bytes = variable(properties.len());
    bytes.extend(properties);
    bytes
}

pub(crate) fn number1(id: u8, value: u8) -> Vec<u8> {
    vec![id, value]
}

pub(crate) fn number2(id: u8, value: u16) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

pub(crate) fn number4(id: u8, value: u32) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

pub(crate) fn string(id: u8, value: &str) -> Vec<u8> {
    [&[id][..], &text(value)].concat()
}

pub(crate) fn user_property(name: &str, value: &str) -> Vec<u8> {
    [&[0x26][..], &text(name), &text(value)].concat()
}

/// A packet from the broker, or the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    ConnAck {
        present: bool,
        code: u8,
        properties: Properties,
    },
    Message(Message),
    /// The packet's identifier, and the reason.
    PubAck(u16, u8),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16, Vec<u8>),
    Pong,
    Disconnect(u8),
    /// The end of the connection.
    End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: u16,
    pub(crate) properties: Properties,
}

/// Identifiers with the bytes of their values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties(pub(crate) Vec<(u8, Vec<u8>)>);

impl Properties {
    pub(crate) fn number(&self, id: u8) -> Option<u64> {
        let (_, bytes) = self.0.iter().find(|(known, _)| *known == id)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    pub(crate) fn text(&self, id: u8) -> Option<String> {
        let (_, bytes) = self.0.iter().find(|(known, _)| *known == id)?;
        Some(String::from_utf8(bytes[2..].to_vec()).unwrap())
    }

    /// Subscription identifiers.
    pub(crate) fn subscriptions(&self) -> Vec<u64> {
        let ids = self.0.iter().filter(|(id, _)| *id == 0x0B);
        let mut ids: Vec<u64> = ids
            .map(|(_, bytes)| {
                let places = bytes.iter().enumerate();
                places.fold(0, |sum, (at, byte)| sum | u64::from(byte & 127) << (7 * at))
            })
            .collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn user(&self) -> Vec<(String, String)> {
        let pairs = self.0.iter().filter(|(id, _)| *id == 0x26);
        pairs
            .map(|(_, bytes)| {
                let mut rest = &bytes[..];
                let (name, value) = (take_text(&mut rest), take_text(&mut rest));
                (name, value)
            })
            .collect()
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn take_u16(rest: &mut &[u8]) -> u16 {
    u16::from_be_bytes(take(rest, 2).try_into().unwrap())
}

fn take_text(rest: &mut &[u8]) -> String {
    let length = usize::from(take_u16(rest));
    String::from_utf8(take(rest, length).to_vec()).unwrap()
}

fn take_variable(rest: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(rest, 1)[0];
        value |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return value;
        }
    }
}

fn take_properties(rest: &mut &[u8]) -> Properties {
    let length = take_variable(rest);
    let mut block = take(rest, length);
    let mut found = Vec::new();
    while !block.is_empty() {
        let id = take(&mut block, 1)[0];
        let length = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x13 | 0x21..=0x23 => 2,
            0x02 | 0x11 | 0x18 | 0x27 => 4,
            0x0B => 1 + block.iter().take_while(|byte| **byte > 127).count(),
            0x26 => {
                let first = 2 + usize::from(u16::from_be_bytes([block[0], block[1]]));
                let second = u16::from_be_bytes([block[first], block[first + 1]]);
                first + 2 + usize::from(second)
            }
            _ => 2 + usize::from(u16::from_be_bytes([block[0], block[1]])),
        };
        found.push((id, take(&mut block, length).to_vec()));
    }
    Properties(found)
}

impl Raw<TcpStream> {
    /// A connection on which nothing was said yet.
    pub(crate) async fn open(port: u16) -> Self {
        let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        io.set_nodelay(true).unwrap();
        Self::new(io)
    }

    /// Connects, and expects to be let in.
    pub(crate) async fn join(port: u16, connect: &Connect) -> Self {
        let mut raw = Self::open(port).await;
        raw.login(connect).await;
        raw
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Raw<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            arrived: Vec::new(),
            v5: true,
        }
    }

    /// Says CONNECT, and gives the answer.
    pub(crate) async fn knock(&mut self, connect: &Connect) -> Got {
        self.v5 = connect.level == 5;
        self.send(&connect.bytes()).await;
        self.next().await
    }

    /// Sends CONNECT, and expects to be admitted. Returns the session flag and the properties of
    /// CONNACK.
    pub(crate) async fn login(&mut self, connect: &Connect) -> (bool, Properties) {
        match self.knock(connect).await {
            Got::ConnAck {
                present,
                code: 0,
                properties,
            } => (present, properties),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Sends, where the broker may have closed already.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes).await
    }

    /// The next packet.
    pub(crate) async fn next(&mut self) -> Got {
        let got = timeout(BOUND, self.receive()).await;
        got.expect("something comes")
    }

    async fn receive(&mut self) -> Got {
        loop {
            if let Some((header, body)) = self.split() {
                return self.read(header, &body);
            }
            let mut part = [0; 4096];
            match self.io.read(&mut part).await {
                Ok(0) | Err(_) => {
                    assert!(self.arrived.is_empty(), "it ends within a packet");
                    return Got::End;
                }
                Ok(count) => self.arrived.extend_from_slice(&part[..count]),
            }
        }
    }

    fn split(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.arrived;
        let width = bytes.iter().skip(1).take_while(|byte| **byte > 127).count() + 1;
        if bytes.len() < 1 + width {
            return None;
        }
        let length = take_variable(&mut &bytes[1..]);
        let end = 1 + width + length;
        if bytes.len() < end {
            return None;
        }
        let packet: Vec<u8> = self.arrived.drain(..end).collect();
        Some((packet[0], packet[1 + width..].to_vec()))
    }

    fn read(&self, header: u8, body: &[u8]) -> Got {
        let mut rest = body;
        let rest = &mut rest;
        match header >> 4 {
            2 => {
                let (present, code) = (take(rest, 1)[0] == 1, take(rest, 1)[0]);
                let properties = if self.v5 && !rest.is_empty() {
                    take_properties(rest)
                } else {
                    Properties::default()
                };
                Got::ConnAck {
                    present,
                    code,
                    properties,
                }
            }
            3 => {
                let qos = (header >> 1) & 3;
                Got::Message(Message {
                    qos,
                    retain: header & 1 == 1,
                    dup: header & 8 == 8,
                    topic: take_text(rest),
                    id: if qos > 0 { take_u16(rest) } else { 0 },
                    properties: if self.v5 {
                        take_properties(rest)
                    } else {
                        Properties::default()
                    },
                    payload: String::from_utf8_lossy(rest).into_owned(),
                })
            }
            4 => {
                let id = take_u16(rest);
                Got::PubAck(id, rest.first().copied().unwrap_or(0))
            }
            kind @ (9 | 11) => {
                let id = take_u16(rest);
                if self.v5 {
                    take_properties(rest);
                }
                let codes = rest.to_vec();
                if kind == 9 {
                    Got::SubAck(id, codes)
                } else {
                    Got::UnsubAck(id, codes)
                }
            }
            13 => Got::Pong,
            14 => Got::Disconnect(rest.first().copied().unwrap_or(0)),
            other => panic!("a packet of type {other}"),
        }
    }

    /// The next message; acknowledges it.
    pub(crate) async fn message(&mut self) -> Message {
        match self.next().await {
            Got::Message(message) => {
                if message.qos == 1 {
                    self.send(&puback(message.id)).await;
                }
                message
            }
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// Subscribes to one filter with the highest QoS, and gives the answer's code.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> u8 {
        self.subscribe_with(filter, 1, &[]).await
    }

    pub(crate) async fn subscribe_with(
        &mut self,
        filter: &str,
        options: u8,
        properties: &[u8],
    ) -> u8 {
        let bytes = subscribe(self.v5, 77, &[(filter, options)], properties);
        self.send(&bytes).await;
        match self.next().await {
            Got::SubAck(77, codes) => codes[0],
            other => panic!("{other:?} instead of SUBACK"),
        }
    }

    /// Publishes with QoS 1, and gives the answer's code.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str) -> u8 {
        self.publish_with(topic, payload, false, &[]).await
    }

    pub(crate) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        retain: bool,
        properties: &[u8],
    ) -> u8 {
        let bytes = publish(self.v5, topic, payload, 1, 88, retain, properties);
        self.send(&bytes).await;
        match self.next().await {
            Got::PubAck(88, code) => code,
            other => panic!("{other:?} instead of PUBACK"),
        }
    }

    /// Publishes with QoS 0.
    pub(crate) async fn fire(&mut self, topic: &str, payload: &str) {
        let bytes = publish(self.v5, topic, payload, 0, 0, false, &[]);
        self.send(&bytes).await;
    }

    /// Checks that nothing comes before the answer to a ping.
    pub(crate) async fn expect_silence(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.next().await, Got::Pong);
    }

    /// Expects the end, without a word.
    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.next().await, Got::End);
    }

    /// Expects MQTT 5's DISCONNECT with a reason, and the end.
    pub(crate) async fn expect_disconnect(&mut self, reason: u8) {
        assert_eq!(self.next().await, Got::Disconnect(reason));
        self.expect_end().await;
    }

    /// Says goodbye, and waits until the broker has closed.
    pub(crate) async fn leave(mut self) {
        self.send(&[0xE0, 0]).await;
        self.expect_end().await;
    }
}

pub(crate) fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

pub(crate) fn publish(
    v5: bool,
    topic: &str,
    payload: &str,
    qos: u8,
    id: u16,
    retain: bool,
    properties: &[u8],
) -> Vec<u8> {
    let mut body = text(topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    if v5 {
        body.extend(block(properties));
    }
    body.extend(payload.as_bytes());
    packet(0x30 | (qos << 1) | u8::from(retain), &body)
}

pub(crate) fn subscribe(v5: bool, id: u16, filters: &[(&str, u8)], properties: &[u8]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if v5 {
        body.extend(block(properties));
    }
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

pub(crate) fn unsubscribe(v5: bool, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if v5 {
        body.extend(block(&[]));
    }
    for filter in filters {
        body.extend(text(filter));
    }
    packet(0xA2, &body)
}
