//! Real proxies from Debian in front of `eventcast dev`, with their default configuration and with the one that
//! `docs/proxies.md` recommends: what streams, polls and WebSockets come through, and what becomes of them.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/proxies.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use dev::Dev;
use support::{Kind, Proxy, Setting, Upstreams};

/// Longer than anything here waits.
const BOUND: Duration = Duration::from_secs(20);

const IDLE: Duration = Duration::from_secs(30);

fn port_of(endpoint: &str) -> u16 {
    endpoint.rsplit(':').next().unwrap().parse().unwrap()
}

fn upstreams(dev: &Dev) -> Upstreams {
    Upstreams {
        http: port_of(dev.endpoint()),
        websocket: dev.port("ws"),
    }
}

/// Runs one check on every proxy, all at once; a failure names its proxy.
fn each(kinds: &[Kind], check: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        let runs: Vec<_> = kinds
            .iter()
            .map(|kind| (*kind, scope.spawn(|| check(*kind))))
            .collect();
        let failed: Vec<Kind> = runs
            .into_iter()
            .filter_map(|(kind, run)| run.join().is_err().then_some(kind))
            .collect();
        assert!(failed.is_empty(), "{failed:?}: see above");
    });
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// The status and the body of a GET.
fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = connect(port);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, body.to_owned())
}

/// A WebSocket on which a client has connected by MQTT, or the status that came instead.
fn websocket(port: u16) -> Result<TcpStream, u16> {
    let mut stream = connect(port);
    write!(
        stream,
        "GET /mqtt HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status != 101 {
        return Err(status);
    }
    assert!(
        head.to_lowercase()
            .contains("sec-websocket-protocol: mqtt\r\n"),
        "{head}"
    );
    // CONNECT of MQTT 5: clean start, keep alive 120 s, a client id of its own; one binary frame, masked with zeros.
    let id = format!("p{port}");
    let length = |bytes: usize| u8::try_from(bytes).unwrap();
    let mut packet = vec![0x10, length(13 + id.len())];
    packet.extend(b"\x00\x04MQTT\x05\x02\x00\x78\x00\x00");
    packet.push(length(id.len()));
    packet.extend(id.as_bytes());
    let mut frame = vec![0x82, 0x80 | length(packet.len()), 0, 0, 0, 0];
    frame.extend(packet);
    stream.write_all(&frame).unwrap();
    // A frame's type and length, CONNACK's type and length, its flags, its reason code.
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(
        (answer[0], answer[2], answer[5]),
        (0x82, 0x20, 0),
        "{answer:?}"
    );
    Ok(stream)
}

/// What WebSockets need is there by default in haproxy and caddy alone.
#[test]
fn websockets_come_through() {
    let dev = Dev::start(&[]);
    let upstreams = upstreams(&dev);
    each(&Kind::ALL, |kind| {
        for setting in [Setting::Default, Setting::Best] {
            let proxy = Proxy::start(kind, setting, upstreams, IDLE);
            assert_eq!(get(proxy.port(), "/health"), (200, "ok\n".to_owned()));
            let opened = websocket(proxy.port());
            let is_expected =
                setting == Setting::Best || matches!(kind, Kind::Haproxy | Kind::Caddy);
            assert_eq!(
                opened.is_ok(),
                is_expected,
                "{kind:?} {setting:?}: {opened:?}\n{}",
                proxy.log()
            );
        }
    });
}
