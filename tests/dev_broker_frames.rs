//! Effects of WebSocket frames on the broker of `eventcast dev`: they bound no packets, and one
//! that breaks RFC 6455's rules, or MQTT's for WebSockets (5.0, section 6), ends its connection.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/panics.rs"]
mod panics;
#[path = "support/raw.rs"]
mod raw;

use std::sync::Arc;

use broker::{Running, listen};
use eventcast::dev::broker::Broker;
use eventcast::dev::broker::door::ListenerProtocol;
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use raw::{BOUND, v3};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A WebSocket of which each byte is ours.
struct Bare(TcpStream);

impl Bare {
    async fn open(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = "GET /mqtt HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
            sec-websocket-protocol: mqtt\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        Self(stream)
    }

    /// One frame, masked with nothing.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match u16::try_from(payload.len()).unwrap() {
            length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame: its first byte and its payload. The broker's are short here.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let next = async {
            let first = self.0.read_u8().await.unwrap();
            let mut payload = vec![0; usize::from(self.0.read_u8().await.unwrap())];
            self.0.read_exact(&mut payload).await.unwrap();
            (first, payload)
        };
        timeout(BOUND, next).await.expect("a frame comes")
    }

    async fn expect_end(mut self, what: &str) {
        let end = timeout(BOUND, self.0.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "{what}: the connection stays open");
    }
}

async fn websocket() -> Running {
    let broker = Broker::start(
        BrokerLimits::general(),
        BrokerRules::general(),
        Arc::new(AllowAll),
    );
    listen(broker, ListenerProtocol::WebSocket, None).await
}

#[tokio::test]
async fn frames_bound_no_packets() {
    panics::count();
    let running = websocket().await;
    let mut client = Bare::open(running.port).await;
    let connect = v3("a").bytes();
    // A message of three frames, each of them masked, with a ping in between; one of them is empty.
    let (first, second) = connect.split_at(5);
    client.send(0x02, first).await;
    client.send(0x00, &[]).await;
    client.send(0x89, b"ping").await;
    assert_eq!(client.frame().await, (0x8A, b"ping".to_vec()));
    client.send(0x80, second).await;
    assert_eq!(client.frame().await, (0x82, vec![0x20, 2, 0, 0]));
    // Two packets and a half in one frame, and the rest of the third.
    client.send(0x82, &[0xC0, 0, 0xC0, 0, 0xC0]).await;
    let mut answered = client.frame().await.1;
    client.send(0x82, &[0]).await;
    while answered.len() < 6 {
        answered.extend(client.frame().await.1);
    }
    assert_eq!(answered, [0xD0, 0].repeat(3));
    // A close frame is answered, and is no goodbye.
    client.send(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(client.frame().await.0, 0x88);
    client.expect_end("a close frame").await;
    running.until(|broker| broker.connections() == 0).await;
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection() {
    panics::count();
    let running = websocket().await;
    let connect = v3("a").bytes();
    let bad: [(&str, u8, &[u8]); 7] = [
        ("text", 0x81, b"hello"),
        ("text that is not UTF-8", 0x81, &[0xFF]),
        ("a reserved bit", 0xC2, &[0xC0, 0]),
        ("a reserved type", 0x83, &[0xC0, 0]),
        ("a ping in parts", 0x09, b"x"),
        ("a ping that is too long", 0x89, &[b'x'; 126]),
        ("the rest of nothing", 0x80, &[0xC0, 0]),
    ];
    for (what, first, payload) in bad {
        let mut client = Bare::open(running.port).await;
        client.send(0x82, &connect).await;
        assert_eq!(client.frame().await, (0x82, vec![0x20, 2, 0, 0]));
        client.send(first, payload).await;
        client.expect_end(what).await;
    }
    // Not masked; and longer than any packet, of which nothing has come yet.
    let raw: [(&str, &[u8]); 2] = [
        ("a frame without a mask", &[0x82, 2, 0xC0, 0]),
        (
            "a frame of 2 MB",
            &[0x82, 0xFF, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0],
        ),
    ];
    for (what, bytes) in raw {
        let mut client = Bare::open(running.port).await;
        client.send(0x82, &connect).await;
        client.frame().await;
        client.0.write_all(bytes).await.unwrap();
        client.expect_end(what).await;
    }
    running.until(|broker| broker.connections() == 0).await;
    assert_eq!(panics::counted(), 0);
}
